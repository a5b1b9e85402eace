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
from sklearn.linear_model import GammaRegressor

from sklearn_adaalloc._utils.numbers import LARGEST, reward_array
from sklearn_adaalloc.planning._prices import money_left
from sklearn_adaalloc.planning._solvers import count_steps

_CAUTION = 3.0  # standard errors of a round's cost that are kept back
_SCALE_SPREAD = 0.1  # prior standard deviation of the scale of a batch's costs
_LEAST_VARIANCE = 1e-9  # relative
_POWERS = (0.0, 2.0)  # from equal variances to equal relative variances
_FIRM_SAMPLES = 10.0  # prior weight, in samples, of what is expected of later samples
_HALVINGS = 10
_OUT_OF_REACH = 1e6  # factor on the cost of a sample that the money left cannot pay


class CostSpread(NamedTuple):
    """Variance of costs around predictions: a factor times a power of the prediction.

    Attributes
    ----------
    between, between_power : float
        Of the mean costs of queries.
    within, within_power : float
        Of samples of one query.
    highest : float
        Highest cost seen. Variances are limited to what it allows.
    """

    between: float
    between_power: float
    within: float
    within_power: float
    highest: float

    def relative(self, predicted):
        """Variances between and within, divided by the squared prediction."""
        between = self.between * predicted ** (self.between_power - 2)
        within = self.within * predicted ** (self.within_power - 2)
        # Of positive numbers up to `highest`, the variance is at most this.
        most = np.maximum(self.highest / predicted - 1, 0.0)
        return np.clip([between, within], _LEAST_VARIANCE, most + _LEAST_VARIANCE)


def fit_cost_spread(costs, predicted):
    """Fit the variance of costs, between queries and between samples of one query.

    Costs differ in how their variance grows with their mean: answers that never end
    make those of cheap queries as variable as those of dear ones. A regression of
    squared deviations on the logarithm of the prediction finds the power (a gamma
    regression, so that the sum of the variances fits).

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
    Standard deviations that are a tenth of the prediction:

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._money import fit_cost_spread
    >>> predicted = np.array([10.0, 20.0, 40.0])
    >>> spread = fit_cost_spread(predicted[:, None] * [0.9, 1.0, 1.1], predicted)
    >>> round(spread.within, 2), round(spread.within_power, 1)
    (0.01, 2.0)
    """
    n_samples = np.isfinite(costs).sum(axis=1)
    means = np.nanmean(costs, axis=1)
    predicted = predicted * (means.mean() / predicted.mean())
    several = n_samples > 1
    within = within_power = 0.0
    if several.any():
        variances = np.nanvar(costs[several], axis=1, ddof=1)
        within, within_power = _fit_power(predicted[several], variances)
    noise = within * predicted**within_power / n_samples
    squares = np.maximum((means - predicted) ** 2 - noise, 0.0)
    between = _fit_power(predicted, squares)
    return CostSpread(*between, within, within_power, float(np.nanmax(costs)))


def _fit_power(predicted, variances):
    """Factor and power of a curve through variances of costs; their sums agree."""
    least = _LEAST_VARIANCE * predicted**2
    if np.ptp(np.log(predicted)) < _LEAST_VARIANCE or (variances < least).all():
        power = 2.0
    else:
        logs = np.log(predicted / predicted.mean())[:, None]
        target = np.maximum(variances, least)
        regression = GammaRegressor(alpha=1e-3, max_iter=1000)
        regression.fit(logs, target / target.mean())
        power = float(np.clip(regression.coef_[0], *_POWERS))
    return float(variances.sum() / (predicted**power).sum()), power


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
        return belief.plan(int(self.left), n_rounds, min_budget)

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


class PricedMoney:
    """Money without a limit: a sample is taken if it is worth its price.

    Parameters
    ----------
    money : SampleMoney or CostMoney
        Counts what is paid. Its own limit is infinite.
    prices : callable
        Returns the prices of the queries now (n_queries,), per unit of `money`.
    grant : callable, default=None
        Takes the samples wanted and those that are mandatory, both (n_queries,), and
        returns how many are allowed. None allows all.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._beliefs import SuccessBelief
    >>> from sklearn_adaalloc.planning._money import PricedMoney, SampleMoney
    >>> money = SampleMoney(np.inf, np.zeros(2, dtype=int))
    >>> money = PricedMoney(money, lambda: np.array([0.4, 0.4]))
    >>> belief = SuccessBelief(np.array([[0.5], [0.3]]), np.array([1, 1]))
    >>> money.plan(belief, n_rounds=None, min_budget=0)
    array([1, 0])
    """

    left = np.inf

    def __init__(self, money, prices, grant=None):
        self._money = money
        self._prices = prices
        self._grant = grant

    @property
    def paid(self):
        """What each query took (n_queries,)."""
        return self._money.paid

    @property
    def predicted(self):
        """Expected cost of the next sample (n_queries,); None if each costs 1."""
        return self._money.predicted

    def plan(self, belief, n_rounds, min_budget):
        """Plan a round of samples that are worth their prices."""
        prices = self._prices()
        if self.predicted is not None:
            prices = prices * self.predicted
        budgets = belief.plan_at(prices, n_rounds, min_budget)
        if self._grant is None:
            return budgets
        return self._grant(budgets, np.minimum(budgets, min_budget))

    def read(self, costs, rewards, asked):
        """Check what a round cost."""
        return self._money.read(costs, rewards, asked)

    def pay(self, paid, n_samples):
        """Count the cost of a round."""
        self._money.pay(paid, n_samples)


class CostMoney:
    r"""Money counted in cost, with what is known of the cost of samples.

    The cost of sample j of query i is modelled as :math:`s \hat c_i \epsilon_i
    \eta_{ij}`: its prediction, a scale of the whole batch, and what the query and the
    sample deviate by. Scale and mean cost of each query are estimated from what was
    paid, by linear credibility. A round is only started if the money left pays for its
    expected cost and three standard errors. What other rounds keep back, the last one
    spends, all but its own standard errors.

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
    >>> money = CostMoney(10, np.array([3.0, 3.0]), CostSpread(0.1, 2, 0.1, 2, 9))
    >>> money.pay(np.array([12.0, 0.0]), np.array([2, 0]))
    >>> money.left
    8.0
    >>> money.predicted.round(1)
    array([5.1, 3.2])
    """

    def __init__(self, budget, predicted, spread, *, min_budget=0):
        money_left(budget, predicted, min_budget)  # raises if it does not suffice
        self._prior = predicted
        self._variances = spread.relative(predicted)
        self._n_samples = np.zeros(len(predicted), dtype=np.int64)
        self.left = float(budget * len(predicted))
        self.paid = np.zeros(len(predicted))
        # Cost of samples of queries that had some before, and what was expected of it.
        self._again = np.full(2, _FIRM_SAMPLES * float(predicted.mean()))

    @property
    def predicted(self):
        """Expected cost of the next sample of each query (n_queries,)."""
        return self._estimate()[0]

    def plan(self, belief, n_rounds, min_budget):
        """Plan a round that the money left pays for with near certainty."""
        means, variance_of, shared_variance = self._estimate()
        if n_rounds == 1 and not self._n_samples.any():
            shared_variance = 0.0  # predictions are all that such a session has
        # The last round spends what the others keep back.
        n_rounds = n_rounds if n_rounds is None else max(n_rounds - 1, 1)
        alone = means + _CAUTION * np.sqrt(variance_of(1))
        if not min_budget:
            means = np.where(alone > self.left, _OUT_OF_REACH * means, means)

        def plan(money):
            budgets = belief.plan(money, n_rounds, min_budget, means)
            cost = means @ budgets
            variance = variance_of(budgets).sum() + shared_variance * cost**2
            return budgets, cost + _CAUTION * np.sqrt(variance) <= self.left

        low = float(min_budget * means.sum())
        high = max(self.left, low)
        budgets, is_safe = plan(high)
        if is_safe:
            return budgets
        budgets, _ = plan(low)
        for _ in range(_HALVINGS):  # the largest plan that is safe
            middle = (low + high) / 2
            planned, is_safe = plan(middle)
            if is_safe:
                budgets, low = planned, middle
            else:
                high = middle
        return budgets

    def read(self, costs, rewards, asked):
        """Check the costs of a round: one per sample, or one total per query."""
        if costs is None:
            raise ValueError(
                "costs is None, but the budget counts costs. Expected what the samples "
                "cost: session.tell(rewards, costs)."
            )
        rewards, costs = reward_array(rewards), reward_array(costs, "costs")
        if rewards.ndim == costs.ndim == 2:  # they may be padded to different widths
            width = rewards.shape[1]
            costs = costs[:, :width] if np.isnan(costs[:, width:]).all() else costs
        if costs.shape == asked.shape:
            where, paid = asked > 0, costs
        elif costs.shape == rewards.shape:
            where, paid = np.isfinite(rewards), costs
        else:
            raise ValueError(
                f"costs has shape {costs.shape}. Expected one per sample, as rewards "
                f"{rewards.shape}, or one total per query {asked.shape}."
            )
        wrong = where & ~((paid >= 1 / LARGEST) & (paid <= LARGEST))
        if wrong.any():
            row, *column = np.argwhere(wrong)[0]
            raise ValueError(
                f"costs has {paid[(row, *column)]:g} {self._place(row)}, where there "
                f"is a reward. Expected a positive number of at most {LARGEST:g}, and "
                f"at least {1 / LARGEST:g}: what was paid."
            )
        return np.where(where, paid, 0.0).reshape(len(asked), -1).sum(axis=1)

    def _place(self, row):
        return f"in row {row}"

    def pay(self, paid, n_samples):
        """Count the cost of a round."""
        again = (self._n_samples > 0) & (n_samples > 0)
        expected = self._estimate()[0][again] @ n_samples[again]
        self._again = self._again + np.array([paid[again].sum(), expected])
        self.left -= float(paid.sum())
        self.paid = self.paid + paid
        self._n_samples = self._n_samples + n_samples

    def _estimate(self):
        """Mean cost of the next samples, and the variance of the cost of budgets."""
        between, within = self._variances
        n_samples, prior = self._n_samples, self._prior
        ratios = self.paid / prior / np.maximum(n_samples, 1)
        precision = n_samples / (n_samples * between + within)
        total = precision.sum() + _SCALE_SPREAD**-2
        scale = (precision @ ratios + _SCALE_SPREAD**-2) / total
        trust = precision * between
        means = prior * ((1 - trust) * scale + trust * ratios)
        # Sampled again are those whose answers were wrong: they are dearer than others.
        factor = self._again[0] / self._again[1]
        means = np.where(n_samples > 0, factor * means, means)

        def variance_of(budgets):
            own = budgets**2 * between * (1 - trust) + budgets * within
            return (scale * prior) ** 2 * own

        return means, variance_of, 1 / total / scale**2
