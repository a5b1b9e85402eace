"""A session on a query of a stream."""

import numpy as np

from sklearn_adaalloc._utils.numbers import LARGEST
from sklearn_adaalloc._utils.parameters import check_in_interval

_ROUNDING = 1e-9


class StreamSession:
    """A session on a query of a stream: ask, sample, grade, tell, and ask again.

    :meth:`Stream.start` opens it. It asks and is told as a
    :class:`~sklearn_adaalloc.allocators.SequentialSession` is, of one query or of those
    that arrived together. When `ask` returns None, or when you give the query up, close
    it: only then does the stream count it. As a context manager it closes itself, also
    if an exception leaves the block. Samples that it asked for and was never told count
    as spent.

    On several decoders it is like a
    :class:`~sklearn_adaalloc.allocators.MenuSession`: what is said of each query below
    is then said of each decoder of each query, in shape (n_queries, n_decoders).

    Parameters
    ----------
    stream : Stream
        The stream.
    session : SequentialSession, MenuSession, ScoreSession, VoteSession or \
            UnjudgedSession
        Holds what is known of the query.
    n_closed_before : int
        Number of queries of the stream that were closed when this one started.
    record : SessionRecord
        Keeps what the drift report of the stream needs.
    expect : callable
        Returns what `expected_rewards` is.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc import RewardRegressor, StreamAllocator
    >>> X, rewards = [[0], [1], [2], [3]], [[1, 1], [1, 0], [0, 1], [0, 0]]
    >>> policy = StreamAllocator(
    ...     RewardRegressor(Ridge()), budget=1.5, holdout=0.5, random_state=0
    ... )
    >>> session = policy.fit(X, rewards).open().start([0.5])
    >>> session.ask()
    array([1])
    >>> session.tell([[0]])
    >>> session.budgets, session.best_rewards
    (array([1]), array([0.]))
    >>> session.close()
    """

    def __init__(self, stream, session, n_closed_before, record, expect):
        self._stream = stream
        self._session = session
        self._record = record
        self._expect = expect
        self._n_closed_before = n_closed_before
        self._charged = 0.0
        self._foreseen = 0.0  # what the stream counts for it until it is closed
        self._is_closed = False
        self._is_learnt_from = True

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if not self._is_closed:
            self.close()

    @property
    def budgets(self):
        """Number of samples of each query so far, ndarray of shape (n_queries,)."""
        return self._session.budgets

    @property
    def costs(self):
        """What was paid for each query so far, ndarray of shape (n_queries,)."""
        return self._session.costs

    @property
    def predicted_costs(self):
        """Expected cost of the next sample of each query, ndarray (n_queries,).

        What was paid has corrected it. None if the budget counts samples.
        """
        return self._session.predicted_costs

    @property
    def expected_rewards(self):
        """Reward that was predicted of each query before any sample, (n_queries,).

        It is that of the one-shot plan, as ``explain`` shows it: a chance of success,
        if rewards are 0 or 1. With several decoders and no `n_rounds`, it is that of
        the order in which they are asked, once `ask` has chosen it.
        """
        return self._expect()

    @property
    def rounds_taken(self):
        """Number of rounds whose rewards the session has received, int."""
        return self._session.rounds_taken

    @property
    def best_rewards(self):
        """Best reward of each query so far, if rewards are told, (n_queries,)."""
        return self._session.best_rewards

    @property
    def best_scores(self):
        """Highest score of each query so far, if scores are told, (n_queries,)."""
        return self._session.best_scores

    @property
    def answers(self):
        """Answer with most votes of each query so far, if answers are told, a list."""
        return self._session.answers

    @property
    def counts(self):
        """Votes of each answer so far, if answers are told, a list of dict."""
        return self._session.counts

    def ask(self):
        """Return the number of samples wanted of each query in this round.

        If it is called again before `tell`, it returns the same answer.

        Returns
        -------
        budgets : ndarray of shape (n_queries,), dtype int64, or None
            None if no further sample is worth its price. Close the session then.

        Raises
        ------
        ValueError
            If the session is closed.
        """
        self._check_open("ask")
        before = self._session._asked
        asked = self._session.ask()
        if before is None and asked is not None:
            self._stream._foresee(self)
        return asked

    def charge(self, cost):
        """Count what was paid for something else than samples.

        Such as prompts that a model has read, and from which it gave no answer.

        Parameters
        ----------
        cost : float
            What it cost for all queries together, in the unit of the budget.

        Raises
        ------
        ValueError
            If it is negative or not finite, or if the session is closed.
        """
        self._check_open("charge")
        self._charged += check_in_interval(cost, "cost", 0, LARGEST, closed="both")

    def refund(self, cost):
        """Take back what samples were told to cost too much.

        Such as a prompt that they share and that is paid once.

        Parameters
        ----------
        cost : float
            What was not paid for all queries together, in the unit of the budget.

        Raises
        ------
        ValueError
            If it is negative, not finite or more than what was paid, or if the session
            is closed.
        """
        self._check_open("refund")
        cost = check_in_interval(cost, "cost", 0, LARGEST, closed="both")
        paid = float(self.costs.sum()) + self._charged
        if cost > paid * (1 + _ROUNDING):
            raise ValueError(
                f"refund was called with cost={cost!r}, but the session has told and "
                f"charged {paid:.6g}. Expected at most that."
            )
        self._charged -= cost

    def tell(self, rewards, costs=None):
        """Give the session the rewards of the samples that it asked for.

        Parameters
        ----------
        rewards : sequence of n_queries sequences, or array-like of shape \
                (n_queries, n_samples)
            For each query, as many rewards as `ask` returned, or scores or answers,
            by the `selection` of the policy.
        costs : array-like of the shape of `rewards` or (n_queries,), default=None
            What these samples cost. Required if the budget counts costs.

        Raises
        ------
        ValueError
            If `ask` was not called since the last `tell`, if rewards or costs do not
            fit, or if the session is closed. The session then stays unchanged.
        """
        self._check_open("tell")
        before = self._session.budgets
        self._session.tell(rewards, costs)
        if self._record.is_wanted and not before.all():
            self._record.add(rewards, before, self._session.budgets, self.costs)

    def withdraw(self, gone):
        """Ask for no more samples where no further answer can be had.

        Parameters
        ----------
        gone : ndarray of bool
            Which queries are gone, (n_queries,). With several decoders: which decoders
            are gone for which queries, (n_queries, n_decoders).

        Raises
        ------
        ValueError
            If it has another shape or type, if a round was asked for but not told, or
            if the session is closed.
        """
        self._check_open("withdraw")
        self._session.withdraw(gone)

    def disregard(self):
        """Learn nothing from what was told of these queries.

        For queries whose answers nobody could judge. What they cost counts all the
        same.

        Raises
        ------
        ValueError
            If the session is closed.
        """
        self._check_open("disregard")
        self._is_learnt_from = False
        self._record.forget_told()

    def close(self):
        """Count what the queries spent; the price of the stream follows it.

        Raises
        ------
        ValueError
            If the session is closed already.
        """
        self._check_open("close")
        self._is_closed = True
        self._stream._close(self, self._spent().tolist(), self._n_closed_before)

    def _spent(self):
        """What each query spent, also for samples it still waits for (n_queries,)."""
        costs = self.costs
        spent = costs.astype(np.float64).ravel()
        if (untold := self._session._asked) is not None:
            predicted = self.predicted_costs
            untold = np.ravel(untold)
            spent += untold if predicted is None else untold * predicted.ravel()
        spent = spent.reshape(len(costs), -1).sum(axis=1)
        return np.maximum(spent + self._charged / len(spent), 0.0)

    def _check_open(self, name):
        if self._is_closed:
            raise ValueError(
                f"{name} was called on a closed session. Expected an open one: start "
                "a new session for each query, and close it once."
            )
