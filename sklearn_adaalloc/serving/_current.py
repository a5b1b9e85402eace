"""The request that is being answered, for what a decoder calls: samplers and rewards.

A context variable follows a request through tasks and into threads, so that one decoder
serves all requests.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from sklearn_adaalloc.serving._asking import Asked


@dataclass
class Current:
    """One choice of a request.

    Parameters
    ----------
    asked : Asked
        The request.
    number : int
        Number of the choice; each is decided alone.
    is_judged : bool
        Whether answers can be judged.
    may_vote : bool
        Whether they are voted on if not.
    cut_off : set of str
        Answers that the token limit cut off.
    features : array-like of 1 query or None
        What the policy reads of the query, once it has decided.
    predict : callable or None
        Returns the chance of success that it then predicts, or None. None if rewards
        are no chances.
    """

    asked: Asked
    number: int = 0
    is_judged: bool = True
    may_vote: bool = False
    cut_off: set = field(default_factory=set)
    features: object = None
    predict: Callable | None = None


CURRENT = ContextVar("adaalloc_current")
