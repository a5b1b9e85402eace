"""The least budget that keeps a promise on the expected reward."""

import math

import numpy as np
from scipy.stats import t as student
from sklearn.utils import Bunch, check_random_state

from sklearn_adaalloc._utils.numbers import check_numbers
from sklearn_adaalloc._utils.parameters import (
    check_flag,
    check_in_interval,
    is_number,
)
from sklearn_adaalloc.curves._table import as_table
from sklearn_adaalloc.metrics._expected_reward import (
    mean_budget_score,
    observed_costs,
    query_rewards,
)

_LARGEST_BET = 0.75  # share of the capital that one query may lose


def smallest_budget(
    policy,
    X,
    rewards,
    *,
    reward,
    confidence=0.95,
    budgets=None,
    empty_reward=0.0,
    selection="reward",
    distribution_free=False,
    reward_range=(0.0, 1.0),
    random_state=0,
):
    """Find the least budget whose expected reward is high enough, with confidence.

    Budgets are tested from the largest down, each with the null hypothesis that its
    expected reward is below the target. The first that cannot be rejected ends the
    search; the budget before it is named. This fixed sequence needs no correction for
    the number of tests (Angelopoulos et al., "Learn then Test"): the promise is broken
    with probability at most 1 − `confidence`.

    Assumes that the queries are a sample of those to come, and that none of them was
    used to fit or to calibrate the policy. An allocator that decides jointly over a
    batch is tested as if each query were decided alone, which holds approximately for
    large batches.

    Parameters
    ----------
    policy : estimator
        Fitted allocator, or a pipeline that ends in one. It is not changed.
    X : array-like of shape (n_queries, ...)
        Queries as the policy takes them.
    rewards : array-like of shape (n_queries, n_samples) or RewardTable
        Rewards of the same queries.
    reward : float or str
        Target: the expected reward that is wanted, or "best-of-8" for that of 8 samples
        of every query (any number of samples).
    confidence : float, default=0.95
        Probability that the promise holds.
    budgets : array-like of shape (n_budgets,), default=None
        Budgets to choose from, in the unit of the policy. None takes 100 values that
        are even in logarithm, up to the policy's largest. If the policy counts costs,
        that needs `rewards` with costs.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples.
    distribution_free : bool, default=False
        Which test is used. False takes Student's t-test, whose level is right for some
        hundred queries and more. True takes a test by betting: its level is right for
        any number of queries and any distribution, but it names budgets that are
        larger by some percent.
    reward_range : tuple of float, default=(0.0, 1.0)
        Least and largest reward that is possible; only used by the test by betting.
    random_state : int, RandomState instance or None, default=0
        Order of the queries in the test by betting.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        budget : float
            The least budget that was accepted; NaN if none was.
        expected_reward : float
            Its expected reward on these queries; NaN if there is none.
        mean_cost : float
            What that budget's samples cost on average on these queries; NaN if there is
            no such budget or `rewards` has no costs.
        target : float
            The reward that was asked for; of "best-of-8", its value on these queries.
        tested : ndarray of shape (n_tested,)
            Budgets that were tested, in order.
        p_values : ndarray of shape (n_tested,)
            Their p-values.

    Raises
    ------
    ValueError
        If a parameter is not accepted, a reward lies outside `reward_range`, or the
        policy has no budget.

    References
    ----------
    Angelopoulos, Bates, Candès, Jordan and Lei, "Learn then Test: Calibrating
    Predictive Algorithms to Achieve Risk Control", Annals of Applied Statistics 2025.

    Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
    JRSS B 2024: the test.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc import PricedAllocator, RewardRegressor
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> from sklearn_adaalloc.metrics import smallest_budget
    >>> X, rewards = make_reward_table(2000, 16, random_state=0, return_X_y=True)
    >>> policy = PricedAllocator(RewardRegressor(Ridge()), random_state=0)
    >>> policy = policy.fit(X[:1000], rewards[:1000])
    >>> result = smallest_budget(policy, X[1000:], rewards[1000:], reward="best-of-4")
    >>> result.budget < 4
    True
    """
    table = as_table(rewards)
    confidence = check_in_interval(confidence, "confidence", 0, 1)
    distribution_free = check_flag(distribution_free, "distribution_free")
    options = {"empty_reward": empty_reward, "selection": selection}
    target, baseline = _check_target(reward, table, options)
    name = _budget_parameter(policy)
    candidates = _check_budgets(budgets, policy, table)
    p_value = _t_test
    if distribution_free:
        low, high = _check_range(reward_range, table, empty_reward)
        order = check_random_state(random_state).permutation(len(table))
        p_value = _BettingTest(order, high - low, 1 - confidence)
    tested, p_values, accepted = [], [], (math.nan, math.nan, math.nan)
    for budget in candidates:
        samples = _predict_at(policy, name, budget, X)
        own = query_rewards(table, samples, **options)
        tested.append(budget)
        p_values.append(p_value(own - (target if baseline is None else baseline)))
        if p_values[-1] > 1 - confidence:
            break
        mean_cost = math.nan
        if table.costs is not None:
            mean_cost = mean_budget_score(table, samples, unit="cost")
        accepted = float(budget), float(own.mean()), mean_cost
    return Bunch(
        budget=accepted[0],
        expected_reward=accepted[1],
        mean_cost=accepted[2],
        target=target,
        tested=np.array(tested),
        p_values=np.array(p_values),
    )


def _t_test(gains):
    """P-value of the hypothesis that the mean gain is not positive."""
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.inf
    if error == 0:
        return float(gains.mean() <= 0)
    return float(student.sf(gains.mean() / error, len(gains) - 1))


class _BettingTest:
    """The same for gains of at most a known size, for any distribution."""

    def __init__(self, order, size, level):
        self.order = order
        self.size = size
        self.level = level

    def __call__(self, gains):
        values = (gains[self.order] / self.size + 1) / 2  # in [0, 1]
        return betting_p_value(values, 0.5, self.level)


def betting_p_value(values, mean, level):
    """P-value of the hypothesis that independent values in [0, 1] have a mean below.

    A player bets on each value to lie above `mean`, a share of the capital that depends
    on the values before. If the hypothesis is true, the capital is a supermartingale:
    the largest capital ever reached exceeds 1 / p with probability at most p.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        Observed values, in random order.
    mean : float
        Largest mean under the hypothesis.
    level : float
        Level for which the bets are good; the p-value holds for any.

    Returns
    -------
    p_value : float

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._smallest_budget import betting_p_value
    >>> values = np.tile([0.0, 1.0, 1.0, 1.0], 100)
    >>> betting_p_value(values, 0.5, 0.05) < 1e-6, betting_p_value(values, 0.8, 0.05)
    (True, 1.0)
    """
    n_values = len(values)
    if mean <= 0:
        return 0.0 if values.mean() > 0 else 1.0
    counts = np.arange(1, n_values + 1)
    means = (0.5 + np.cumsum(values)) / (counts + 1)
    squares = np.cumsum((values - means) ** 2)
    variances = np.concatenate([[0.25], (0.25 + squares[:-1]) / (counts[:-1] + 1)])
    bets = np.sqrt(2 * np.log(1 / level) / (n_values * variances))
    bets = np.minimum(bets, _LARGEST_BET / mean)
    capital = np.cumsum(np.log1p(bets * (values - mean)))
    return float(min(1.0, np.exp(-capital.max(initial=0.0))))


def _predict_at(policy, name, budget, X):
    """Budgets of the queries when the policy has another mean budget."""
    before = policy.get_params()[name]
    policy.set_params(**{name: float(budget)})
    try:
        return policy.predict(X)
    finally:
        policy.set_params(**{name: before})


def _budget_parameter(policy):
    """Name of the parameter that holds the mean budget, in a pipeline with its step."""
    names = [
        name
        for name in policy.get_params()
        if name.rpartition("__")[2] == "budget" and "regressor" not in name
    ]
    if not names:
        raise ValueError(
            f"policy={policy!r} has no parameter budget. Expected a fitted allocator, "
            "or a pipeline that ends in one."
        )
    return min(names, key=len)


def _check_range(reward_range, table, empty_reward):
    bounds = check_numbers(reward_range, "reward_range", "two numbers, low and high")
    if bounds.shape != (2,) or not np.isfinite(bounds).all() or bounds[0] >= bounds[1]:
        raise ValueError(
            f"reward_range={reward_range!r} is not accepted. Expected two numbers, the "
            "lower first."
        )
    low, high = bounds.tolist()
    least = min(np.nanmin(table.rewards), empty_reward)
    largest = max(np.nanmax(table.rewards), empty_reward)
    if least < low or largest > high:
        raise ValueError(
            f"rewards go from {least:g} to {largest:g}, outside reward_range="
            f"{reward_range!r}. Expected a range that holds all rewards that are "
            "possible, that of a query without a sample among them."
        )
    return low, high


def _check_target(reward, table, options):
    """The target, and what each query earns with the samples that it compares with."""
    if isinstance(reward, str):
        start, _, number = reward.rpartition("-")
        if start == "best-of" and number.isdigit() and int(number) > 0:
            samples = np.full(len(table), int(number))
            baseline = query_rewards(table, samples, **options)
            return float(baseline.mean()), baseline
    if not is_number(reward):
        raise ValueError(
            f"reward={reward!r} is not accepted. Expected a number, or 'best-of-8' "
            "with any number of samples."
        )
    return float(reward), None


def _check_budgets(budgets, policy, table):
    """Budgets to test, from the largest down."""
    if budgets is not None:
        expected = "positive numbers, shape (n_budgets,)"
        budgets = check_numbers(budgets, "budgets", expected).astype(np.float64)
        fine = budgets.ndim == 1 and budgets.size and np.isfinite(budgets).all()
        if not fine or budgets.min() < 0:
            raise ValueError(
                f"budgets={budgets!r} is not accepted. Expected {expected}."
            )
        return np.unique(budgets)[::-1]
    allocator = policy[-1] if hasattr(policy, "steps") else policy
    largest = getattr(allocator, "max_budget", None) or allocator.n_steps_
    least = max(0.02 * largest, getattr(allocator, "min_budget", 0))
    costs = observed_costs(table, getattr(allocator, "unit", "samples"))
    cost = 1.0 if costs is None else float(costs.mean())
    return cost * np.geomspace(largest, least, 100)
