"""Queries whose answers nobody judges: how many samples they get, and their session."""

import numpy as np

_FEWEST = 3  # of two votes, neither outvotes the other


def plan_unjudged(means, costs, budget, *, most, votes):
    """Who answers a query that nobody judges, and how often.

    Of the decoders whose sample the budget pays for, the one answers whose samples are
    predicted to be best. If answers are voted on, it gives as many as the budget pays
    for, and otherwise one: nobody could choose among several.

    Parameters
    ----------
    means : ndarray of shape (n_decoders,)
        Predicted reward of a sample.
    costs : ndarray of shape (n_decoders,)
        Predicted cost of a sample, in the unit of the budget.
    budget : float
        What a query spends on average.
    most : int
        Largest number of samples.
    votes : bool
        Whether answers are voted on.

    Returns
    -------
    order : list of n_decoders int
        The decoder that answers, and those that stand in for it.
    n_samples : int
        1, or at least 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._unjudged import plan_unjudged
    >>> means, costs = np.array([0.2, 0.9, 0.7]), np.array([1.0, 9.0, 2.0])
    >>> plan_unjudged(means, costs, 6.0, most=8, votes=True)
    ([2, 0, 1], 3)
    """
    paid_for = costs <= budget
    order = np.lexsort((np.where(paid_for, -means, costs), ~paid_for)).tolist()
    n_samples = min(round(budget / costs[order[0]]), most) if votes else 1
    return order, n_samples if n_samples >= _FEWEST else 1


class UnjudgedSession:
    """A session on one query whose answers nobody judges.

    It asks for a number of samples that was fixed up front. If they vote, it first asks
    for the smallest majority of them. If those agree, the vote is decided.

    Parameters
    ----------
    order : list of int
        The decoder that is asked, and those that stand in for it if it is gone.
    n_samples : int
        Number of samples; more than one vote.
    shape : tuple of int
        (1,), or (1, n_decoders).
    costs : ndarray of that shape, default=None
        Predicted cost of a sample. None if each costs 1.
    grant : callable, default=None
        Says how many samples are allowed, of those wanted and those that are mandatory.
    expected : float, default=NaN
        Predicted reward of the answer.

    Examples
    --------
    >>> from sklearn_adaalloc.allocators._unjudged import UnjudgedSession
    >>> session = UnjudgedSession([0], 5, (1,))
    >>> session.ask()
    array([3])
    >>> session.tell([["7", "7", "8"]])
    >>> session.ask()
    array([2])
    >>> session.tell([["7", "9"]])
    >>> session.ask() is None, session.costs
    (True, array([5.]))
    """

    _belief = None  # nothing is learnt from it

    def __init__(
        self, order, n_samples, shape, *, costs=None, grant=None, expected=np.nan
    ):
        self._order = list(order)
        self._n_samples = self._left = n_samples
        self._grant = grant
        self._asked = None
        self._budgets = np.zeros(shape, dtype=np.int64)
        self.costs = np.zeros(shape)
        self.predicted_costs = costs
        self.rounds_taken = 0
        self.expected_rewards = np.array([expected])

    @property
    def budgets(self):
        """Samples so far, in the shape of the session."""
        return self._budgets.copy()

    def ask(self):
        """Samples wanted in this round, or None."""
        if self._asked is None and self._order and self._left:
            majority = self._n_samples // 2 + 1
            wanted = np.zeros_like(self._budgets)
            wanted.flat[self._order[0]] = (
                majority if self._left == self._n_samples else self._left
            )
            if self._grant is not None:
                nothing = np.zeros(wanted.size, dtype=np.int64)
                allowed = self._grant(wanted.ravel(), nothing).reshape(wanted.shape)
                if allowed.sum() < wanted.sum():  # there will be no others
                    self._left = int(allowed.sum())
                wanted = allowed
            self._asked = wanted if wanted.any() else None
        return None if self._asked is None else self._asked.copy()

    def tell(self, answers, costs=None):
        """Take what samples vote for, and what they cost."""
        asked, self._asked = self._asked, None
        self._budgets += asked
        self.costs += asked if costs is None else np.reshape(costs, asked.shape)
        self.rounds_taken += 1
        is_majority = self._left == self._n_samples
        self._left -= int(asked.sum())
        if is_majority and self._left:
            labels = set(answers[0])
            if len(labels) == 1 and None not in labels:
                self._left = 0

    def charge(self, cost):
        """Nothing: what is left is not planned by it."""

    def refund(self, cost):
        """Nothing: what is left is not planned by it."""

    def withdraw(self, gone):
        """Ask the next decoder, if the one that was asked is gone."""
        if self._order and np.ravel(gone)[self._order[0]]:
            self._order.pop(0)
            self._left = self._n_samples


def open_unjudged(policy, predicted, costs, budget, *, votes, grant=None):
    """Open a session on one query that nobody judges.

    Parameters
    ----------
    policy : RegressorAllocator
        Fitted.
    predicted : ndarray of shape (1, n_outputs)
        What it predicts of the query.
    costs : ndarray of shape (1,) or (1, n_decoders), or None
        Predicted cost of a sample.
    budget : float
        What a query spends on average.
    votes : bool
        Whether answers are voted on.
    grant : callable, default=None
        As for :class:`UnjudgedSession`.

    Returns
    -------
    session : UnjudgedSession
    """
    means = policy._mean_rewards(predicted)
    most = int(np.max(policy._check_budget()[2]))
    known = np.ones_like(means) if costs is None else costs
    order, n_samples = plan_unjudged(
        means.ravel(), known.ravel(), budget, most=most, votes=votes
    )
    is_known = n_samples == 1  # what a vote comes to was not learnt
    return UnjudgedSession(
        order,
        n_samples,
        means.shape,
        costs=costs,
        grant=grant,
        expected=float(means.flat[order[0]]) if is_known else np.nan,
    )
