"""The request that is being answered, for what a decoder calls: samplers and rewards.

A context variable follows a request through tasks and into threads, so that one decoder
serves all requests.
"""

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
    cut_off : set of str
        Answers that the token limit cut off.
    """

    asked: Asked
    number: int = 0
    cut_off: set = field(default_factory=set)


CURRENT = ContextVar("adaalloc_current")
