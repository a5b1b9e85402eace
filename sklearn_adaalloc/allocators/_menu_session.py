"""Rounds of sampling on one batch that several decoders can answer."""

import numpy as np

from sklearn_adaalloc._utils.numbers import LARGEST, reward_array
from sklearn_adaalloc.allocators._session import SequentialSession


class MenuSession(SequentialSession):
    """Rounds of sampling on one batch that several decoders can answer.

    :meth:`~sklearn_adaalloc.SequentialAllocator.start` opens it if the allocator was
    fitted on a table with an axis of decoders. What a `SequentialSession` has for each
    query, it has for each decoder of each query.

    Parameters
    ----------
    belief : object
        Holds what is known about the queries and plans the rounds.
    shape : tuple of two int
        Number of queries and of decoders.
    **options
        As of `SequentialSession`.

    Attributes
    ----------
    rounds_taken : int
        Number of rounds whose rewards the session has received.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn_adaalloc import RewardRegressor, RewardTable, SequentialAllocator
    >>> rewards = np.tile([[[0, 1], [1, 1]], [[0, 0], [1, 0]]], (10, 1, 1))
    >>> table = RewardTable(rewards, costs=[1.0, 5.0])
    >>> regressor = RewardRegressor(DummyRegressor(), target="rate_profiles")
    >>> policy = SequentialAllocator(regressor, budget=4, unit="cost", n_rounds=2)
    >>> session = policy.fit(np.zeros((20, 1)), table).start(np.zeros((2, 1)))
    >>> session.ask()
    array([[2, 0],
           [1, 0]])
    >>> session.tell([[[0, 1], []], [[0], []]], [[[1, 1], []], [[1], []]])
    >>> session.ask()  # the first is solved
    array([[0, 0],
           [0, 1]])
    """

    def __init__(self, belief, shape, **options):
        super().__init__(belief, **options)
        self._shape = shape

    @property
    def budgets(self):
        """Samples so far, ndarray of shape (n_queries, n_decoders)."""
        return super().budgets.reshape(self._shape)

    @property
    def costs(self):
        """What was paid so far, ndarray of shape (n_queries, n_decoders).

        If the budget counts samples, each costs 1.
        """
        return super().costs.reshape(self._shape)

    @property
    def predicted_costs(self):
        """Expected cost of the next sample, ndarray (n_queries, n_decoders).

        What was paid has corrected it. None if the budget counts samples.
        """
        predicted = super().predicted_costs
        return None if predicted is None else predicted.reshape(self._shape)

    def ask(self):
        """Return the number of samples wanted in this round.

        If it is called again before `tell`, it returns the same answer.

        Returns
        -------
        budgets : ndarray of shape (n_queries, n_decoders), dtype int64, or None
            None ends the session: no round or no budget is left, or no further sample
            is expected to be right, or better than the best so far.
        """
        asked = super().ask()
        return None if asked is None else asked.reshape(self._shape)

    def tell(self, rewards, costs=None):
        """Give the session the rewards of the samples that it asked for.

        Parameters
        ----------
        rewards : array-like of shape (n_queries, n_decoders, n_samples), or sequence \
                of n_queries sequences of n_decoders sequences
            For each decoder of each query, as many rewards as `ask` returned; an array
            has NaN where there is none.
        costs : array-like of the shape of `rewards` or (n_queries, n_decoders), \
                default=None
            What each of these samples cost, or all samples of each decoder of a query
            together. Required if the budget counts costs.

        Raises
        ------
        ValueError
            If `ask` was not called, if the number of rewards does not fit, if one is
            infinite, or if it is neither 0 nor 1 although the allocator was fitted on
            0/1 rewards. Also if costs are missing, of another shape, or not
            positive where there is a reward. The session then stays unchanged.
        """
        cells = self._cells(rewards, "rewards")
        if self._asked is not None:
            self._check_cells(cells)
        totals = costs is not None and _is_numeric(costs, self._shape)
        if totals and not _is_numeric(rewards, self._shape):
            costs = reward_array(costs, "costs").ravel()
        elif costs is not None:
            costs = self._cells(costs, "costs")
        super().tell(cells, costs)

    def _cells(self, values, name):
        """Numbers of each cell (n_cells, n_new), with NaN."""
        n_queries, n_decoders = self._shape
        if _is_numeric(values, self._shape):  # one sample of each at most
            return reward_array(values, name).reshape(-1, 1)
        try:
            rows = [list(row) for row in values]
        except TypeError:  # no nested sequences
            rows = []
        if len(rows) != n_queries or any(len(row) != n_decoders for row in rows):
            raise ValueError(
                f"{name} does not fit {n_queries} queries with {n_decoders} decoders. "
                "Expected one sequence for each decoder of each query, or an array "
                "(n_queries, n_decoders, n_samples) with NaN."
            )
        return reward_array([cell for row in rows for cell in row], name)

    def _check_cells(self, cells):
        """Raise if rewards do not fit what was asked for, naming query and decoder."""
        given = np.isfinite(cells).sum(axis=1)
        verdict = ~(np.abs(cells) > LARGEST)
        if self._belief.binary:
            verdict = (cells == 0) | (cells == 1) | np.isnan(cells)
        wrong = np.flatnonzero((given != self._asked) | ~verdict.all(axis=1))
        if wrong.size == 0:
            return
        query, decoder = divmod(int(wrong[0]), self._shape[1])
        kind = "rewards of 0 or 1" if self._belief.binary else "finite rewards"
        raise ValueError(
            f"rewards has {cells[wrong[0]].tolist()} for decoder {decoder} of query "
            f"{query}, where {self._asked[wrong[0]]} were asked for. Expected as many "
            f"{kind} as ask returned, and only NaN beyond them."
        )


def _is_numeric(values, shape):
    """Whether values are one number, or None, per cell."""
    try:
        return np.shape(values) == shape == reward_array(values).shape
    except ValueError:  # nested sequences of different lengths
        return False


def replay_menu(session, rewards, costs=None):
    """Simulate a session to its end on graded samples, taken in their order.

    Parameters
    ----------
    session : MenuSession
        A new session whose queries are the rows of the table.
    rewards : ndarray of shape (n_queries, n_decoders, n_samples)
        Reward table, with as many samples as the session may ask for.
    costs : ndarray of the shape of `rewards`, default=None
        What each sample costs, for a session whose budget counts that.

    Returns
    -------
    best_rewards : ndarray of shape (n_queries,)
    """
    tables = [rewards] + ([] if costs is None else [costs])
    tables = [_samples_first(table, rewards) for table in tables]
    while (asked := session.ask()) is not None:
        columns = session.budgets[:, :, None] + np.arange(asked.max())
        wanted = np.arange(asked.max()) < asked[:, :, None]
        columns = np.minimum(columns, rewards.shape[2] - 1)
        told = [np.take_along_axis(table, columns, axis=2) for table in tables]
        session.tell(*(np.where(wanted, table, np.nan) for table in told))
    return session.best_rewards


def best_so_far(rewards, budgets, *, empty_reward=0.0):
    """Best reward of each query among the first samples of its decoders.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_decoders, n_samples)
        Reward table.
    budgets : ndarray of shape (n_queries, n_decoders), int
        Number of samples of each decoder.
    empty_reward : float, default=0.0
        Reward of a query without a sample.

    Returns
    -------
    best_rewards : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._menu_session import best_so_far
    >>> best_so_far(np.array([[[0.0, 1.0], [np.nan, 0.0]]]), np.array([[1, 1]]))
    array([0.])
    """
    taken = np.arange(rewards.shape[2]) < budgets[:, :, None]
    best = np.where(taken, _samples_first(rewards, rewards), -np.inf).max(axis=(1, 2))
    return np.where(budgets.any(axis=1), best, empty_reward)


def _samples_first(table, rewards):
    """The samples of a table, in order, and then NaN where rewards have it."""
    order = np.argsort(np.isnan(rewards), axis=2, kind="stable")
    return np.take_along_axis(table, order, axis=2)
