"""A hard cap on the samples of a stream, in windows of queries or of time."""

from functools import partial
from math import floor
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc._utils.budgets import limit_samples
from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc.planning._control import promise_samples

_WINDOWS_KEPT = 64  # a query that is still open so many windows later gets no more
_ROUNDING = 1e-9  # 2.3 samples of each of 100 queries are 230
_PLURALS = {"query": "queries", "second": "seconds"}


class CapReachedError(RuntimeError):
    """A stream refuses a query, because the samples of its window are used up.

    :meth:`Stream.start` raises it if the policy has a `cap` and
    ``cap_action="refuse"``. Nothing was spent. Answer the query in another way, or let
    it come again later.

    Parameters
    ----------
    message : str
        Which window is used up.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc import RewardRegressor, StreamAllocator
    >>> from sklearn_adaalloc.allocators import CapReachedError
    >>> X, rewards = [[0], [1], [2], [3]], [[1, 1], [1, 0], [0, 1], [0, 0]]
    >>> policy = StreamAllocator(
    ...     RewardRegressor(Ridge()),
    ...     budget=1,
    ...     cap=1,
    ...     cap_window=2,
    ...     cap_action="refuse",
    ...     holdout=0.5,
    ...     random_state=0,
    ... )
    >>> stream = policy.fit(X, rewards).open()
    >>> with stream.start([0.5]) as session:  # takes both samples of the window
    ...     while session.ask() is not None:
    ...         session.tell([[0]])
    >>> try:
    ...     stream.start([0.5])
    ... except CapReachedError:
    ...     print("come again later")
    come again later
    """

    def __init__(self, message):
        super().__init__(message)


class StreamCap(NamedTuple):
    """Hard limit on the samples that are promised in any window.

    Attributes
    ----------
    most : int
        Largest number of samples of a window, besides mandatory ones if these are set
        aside: where no query is refused.
    length : int or float
        Number of queries or of seconds of a window.
    unit : {"query", "second"}
        What `length` counts.
    least : int
        Number of mandatory samples of each query.
    refuses : bool
        Whether queries are refused once the samples of their window are used up.
    """

    most: int
    length: float
    unit: str
    least: int
    refuses: bool

    @classmethod
    def of(cls, policy, budget, min_budget):
        """Cap of a StreamAllocator, checked; None if it has none."""
        cap, unit = policy.cap, policy.cap_per
        if cap is None:
            return None
        least = int(np.sum(min_budget))
        if unit == "query":
            check_whole(policy.cap_window, "cap_window", least=1)
            _check_queries(policy, budget, least)
        elif least and policy.cap_action == "min_budget":
            raise ValueError(
                f"min_budget={policy.min_budget!r} is not accepted with "
                "cap_per='second': nobody knows how many queries a window of time will "
                "bring. Expected min_budget=0, or cap_action='refuse'."
            )
        refuses = policy.cap_action == "refuse"
        free = cap if refuses else cap - least
        most = floor(free * policy.cap_window * (1 + _ROUNDING))
        if refuses and most < max(least, 1):
            raise ValueError(
                f"cap={cap!r} allows {most} samples in a window of "
                f"{policy.cap_window:g} {_PLURALS[unit]}, and a query gets at least "
                f"{max(least, 1)}: every query would be refused. Raise cap or "
                "cap_window."
            )
        return cls(most, policy.cap_window, unit, least, refuses)

    def admit(self, state, numbers, now):
        """Windows of queries (n_queries,) that arrive, or CapReachedError.

        Parameters
        ----------
        state : object
            Where the state of the stream is kept.
        numbers : ndarray of shape (n_queries,)
            Numbers of the queries on the stream.
        now : float
            Time in seconds.
        """
        windows = self._windows(numbers, now)
        if self.refuses and (full := state.update(partial(self._reserve, windows))):
            raise CapReachedError(
                f"the {self.most} samples of window {full[0]} of {self.length} "
                f"{_PLURALS[self.unit]} are used up. The query was refused: answer it "
                "in another way, or start it again in a later window."
            )
        return windows

    def _reserve(self, windows, state):
        """Set mandatory samples aside; the first window where there are none left."""
        after = state
        for window in windows.tolist():
            after, granted = promise_samples(
                after, window, max(self.least, 1), whole=True, **self._terms
            )
            if not granted:
                return state, [window]
        return (after if self.least else state), []

    def grant(self, state, windows, now, wanted, mandatory):
        """Samples that may be taken now (n_queries,); mandatory ones always.

        Parameters
        ----------
        state : object
            Where the state of the stream is kept.
        windows : ndarray of shape (n_queries,)
            From :meth:`admit`.
        now : float
            Time in seconds.
        wanted, mandatory : ndarrays of shape (n_queries,)
            Numbers of samples. Of several decoders, one for each (n_cells,).
        """
        if self.unit == "second":
            windows = self._windows(windows, now)
        windows = windows.repeat(len(wanted) // len(windows))
        granted = mandatory.copy()
        for row in np.flatnonzero(wanted > mandatory):
            extra = int(wanted[row] - mandatory[row])
            granted[row] += self._promise(state, int(windows[row]), extra)
        return granted

    def _windows(self, numbers, now):
        if self.unit == "second":
            return np.full(len(numbers), int(max(now, 0) // self.length))
        return numbers // self.length

    def _promise(self, state, window, wanted):
        promise = partial(promise_samples, window=window, wanted=wanted, **self._terms)
        return state.update(promise)

    @property
    def _terms(self):
        return {
            "most": self.most,
            "kind": f"{self.length:g} {_PLURALS[self.unit]}",
            "n_kept": _WINDOWS_KEPT,
            "by_clock": self.unit == "second",
        }


class Allowance:
    """Samples that the queries of a session may still have, by the user's wish.

    Parameters
    ----------
    n_queries : int
        Number of queries.
    max_samples : int
        Samples that each may have.
    grant : callable, default=None
        A cap that also limits them; see :meth:`StreamCap.grant`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._stream_cap import Allowance
    >>> allowance, none = Allowance(1, 3), np.array([0])
    >>> allowance(np.array([2]), none), allowance(np.array([2]), none)
    (array([2]), array([1]))
    """

    def __init__(self, n_queries, max_samples, grant=None):
        self._left = np.full(n_queries, max_samples)
        self._grant = grant

    def __call__(self, wanted, mandatory):
        """Samples that may be taken now, in the shape of those wanted."""
        allowed = limit_samples(wanted.reshape(len(self._left), -1), self._left)
        allowed = allowed.reshape(wanted.shape)
        if self._grant is not None:
            allowed = self._grant(allowed, np.minimum(mandatory, allowed))
        self._left = self._left - allowed.reshape(len(self._left), -1).sum(axis=1)
        return allowed


def _check_queries(policy, budget, least):
    """Check that a cap per query pays for mandatory samples and for the budget."""
    if policy.cap < least:
        raise ValueError(
            f"cap={policy.cap!r} is below min_budget={policy.min_budget!r}, which "
            "every query gets: min_budget alone exceeds it. Raise cap or lower "
            "min_budget."
        )
    in_samples = policy.unit == "samples" and policy.target == "budget"
    if in_samples and policy.cap < budget:
        raise ValueError(
            f"cap={policy.cap!r} is below budget={budget!r}, which could then never "
            "be spent. Raise cap or lower budget."
        )
