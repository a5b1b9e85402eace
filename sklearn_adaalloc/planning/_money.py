"""Money of a session: what is left, what a round may spend, what samples will cost.

A session counts its budget in samples or in cost. Each kind of money has the same
attributes and methods:

=============================================  =====================================
``left``                                       what may still be spent
``paid``                                       what each query took (n_queries,)
``plan(belief, n_rounds, min_budget)``         samples to take now (n_queries,)
``read(costs, rewards, asked)``                what a round took (n_queries,),
                                               checked
``pay(paid, n_samples)``                       count what a round took
=============================================  =====================================
"""

from typing import NamedTuple

import numpy as np

from sklearn_adaalloc._utils.numbers import LARGEST, reward_array
from sklearn_adaalloc.planning._prices import money_left
from sklearn_adaalloc.planning._solvers import count_steps

_CAUTION = 3.0  # standard errors of a round's cost that are kept back
_SCALE_SPREAD = 0.2  # prior standard deviation of what predictions of a batch are off
_LEAST_VARIANCE = 1e-9
_OUT_OF_REACH = 1e6  # factor on the cost of a sample that the money left cannot pay


class CostSpread(NamedTuple):
    """Relative variance of costs around their prediction."""

    between: float  # of the mean costs of queries
    within: float  # of samples of one query


def fit_cost_spread(costs, predicted):
    """Relative variances of costs, between queries and between samples of one query.

    Parameters
    ----------
    costs : ndarray of shape (n_queries, n_samples)
        Observed costs; NaN where there is no sample.
    predicted : ndarray of shape (n_queries,)
        Predicted mean costs, from a regressor that did not learn from these queries.

    Returns
    -------
    CostSpread

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._money import fit_cost_spread
    >>> spread = fit_cost_spread(
    ...     np.array([[4.0, 6.0], [15.0, 15.0]]), np.array([10.0, 10.0])
    ... )
    >>> spread.within
    0.01
    """
    predicted = predicted * (np.nanmean(costs, axis=1).mean() / predicted.mean())
    weights = predicted**2 / np.sum(predicted**2)
    n_samples = np.isfinite(costs).sum(axis=1)
    means = np.nanmean(costs, axis=1)
    squares = np.nansum(((costs - means[:, None]) / predicted[:, None]) ** 2, axis=1)
    within = weights @ squares / max(weights @ (n_samples - 1), _LEAST_VARIANCE)
    between = weights @ ((means / predicted - 1) ** 2 - within / n_samples)
    return CostSpread(float(max(between, 0.0)), float(within))


class SampleMoney:
    """Money counted in samples.

    Parameters
    ----------
    left : int
        Number of samples that may still be taken.
    n_samples : ndarray of shape (n_queries,), int
        Number of samples that each query took so far.
    """

    predicted = None

    def __init__(self, left, n_samples):
        self.left = left
        self.paid = n_samples

    @classmethod
    def of_budget(cls, budget, n_queries):
        """Money of `budget` samples per query, nothing of it spent."""
        zeros = np.zeros(n_queries, dtype=np.int64)
        return cls(count_steps(budget, n_queries, 0), zeros)

    def plan(self, belief, n_rounds, min_budget):
        """Plan a round that takes at most all samples that are left."""
        return belief.plan(self.left, n_rounds, min_budget)

    def read(self, costs, rewards, asked):
        """Each sample that was asked for counts 1."""
        if costs is not None:
            raise ValueError(
                "costs were told to a session that counts samples. Expected none: "
                "fit the allocator with unit='cost' to count costs."
            )
        return asked

    def pay(self, paid, n_samples):
        """Count the samples of a round."""
        self.left -= int(n_samples.sum())
        self.paid = self.paid + n_samples


class CostMoney:
    r"""Money counted in cost, with what is known of the cost of samples.

    The cost of sample j of query i is modelled as :math:`s \hat c_i \epsilon_i
    \eta_{ij}`: its prediction, a scale of the whole batch, and what the query and the
    sample deviate by. Scale and mean cost of each query are estimated from what was
    paid, by linear credibility. A round is only started if the money left pays for its
    expected cost and three standard errors. In the last round that stays unspent.

    Parameters
    ----------
    budget : float
        Mean cost per query.
    predicted : ndarray of shape (n_queries,)
        Predicted cost of a sample of each query.
    spread : CostSpread
        How well such predictions agree with costs.
    min_budget : int, default=0
        Number of samples that every query gets in any case.

    Raises
    ------
    ValueError
        If the budget does not pay for `min_budget`.

    References
    ----------
    Bühlmann, "Experience Rating and Credibility", ASTIN Bulletin 1967.

    Examples
    --------
    Both samples of the first query cost twice what was predicted:

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._money import CostMoney, CostSpread
    >>> money = CostMoney(10, np.array([3.0, 3.0]), CostSpread(0.1, 0.1))
    >>> money.pay(np.array([12.0, 0.0]), np.array([2, 0]))
    >>> money.left
    8.0
    >>> money.predicted.round(1)
    array([5.2, 3.6])
    """

    def __init__(self, budget, predicted, spread, *, min_budget=0):
        money_left(budget, predicted, min_budget)  # raises if it does not suffice
        self._prior = predicted
        self._spread = CostSpread(*np.maximum(spread, _LEAST_VARIANCE).tolist())
        self._n_samples = np.zeros(len(predicted), dtype=np.int64)
        self.left = float(budget * len(predicted))
        self.paid = np.zeros(len(predicted))

    @property
    def predicted(self):
        """Expected cost of the next sample of each query (n_queries,)."""
        return self._estimate()[0]

    def plan(self, belief, n_rounds, min_budget):
        """Plan a round that the money left pays for with near certainty."""
        means, variance_of = self._estimate()
        # The last round spends what the others keep back.
        n_rounds = n_rounds if n_rounds is None else max(n_rounds - 1, 1)
        alone = means + _CAUTION * np.sqrt(variance_of(1))
        means = np.where(alone > self.left, _OUT_OF_REACH * means, means)
        least = float(min_budget * means.sum())
        money = max(self.left, least)
        while True:
            budgets = belief.plan(money, n_rounds, min_budget, means)
            error = np.sqrt(variance_of(budgets).sum())
            too_much = means @ budgets + _CAUTION * error - self.left
            if too_much <= 0 or money <= least:
                return budgets
            money = max(money - max(too_much, means.min()), least)

    def read(self, costs, rewards, asked):
        """Check the costs of a round: one per sample, or one total per query."""
        if costs is None:
            raise ValueError(
                "costs is None, but the budget counts costs. Expected what the samples "
                "cost: session.tell(rewards, costs)."
            )
        rewards, costs = reward_array(rewards), reward_array(costs)
        if costs.shape == asked.shape:
            where, paid = asked > 0, costs
        elif costs.shape == rewards.shape:
            where, paid = np.isfinite(rewards), costs
        else:
            raise ValueError(
                f"costs has shape {costs.shape}. Expected one per sample, as rewards "
                f"{rewards.shape}, or one total per query {asked.shape}."
            )
        wrong = where & ~((paid > 0) & (paid <= LARGEST))
        if wrong.any():
            place = np.argwhere(wrong)[0]
            raise ValueError(
                f"costs has {paid[tuple(place)]:g} in row {place[0]}, where there is a "
                f"reward. Expected a positive number of at most {LARGEST:g}: what was "
                "paid."
            )
        return np.where(where, paid, 0.0).reshape(len(asked), -1).sum(axis=1)

    def pay(self, paid, n_samples):
        """Count the cost of a round."""
        self.left -= float(paid.sum())
        self.paid = self.paid + paid
        self._n_samples = self._n_samples + n_samples

    def _estimate(self):
        """Mean cost of the next samples, and the variance of the cost of budgets."""
        between, within = self._spread
        n_samples, prior = self._n_samples, self._prior
        ratios = self.paid / prior / np.maximum(n_samples, 1)
        precision = n_samples / (n_samples * between + within)
        total = precision.sum() + _SCALE_SPREAD**-2
        scale = (precision @ ratios + _SCALE_SPREAD**-2) / total
        trust = precision * between
        means = prior * ((1 - trust) * scale + trust * ratios)

        def variance_of(budgets):
            own = budgets**2 * between * (1 - trust) + budgets * within
            return (scale * prior) ** 2 * own

        return means, variance_of
