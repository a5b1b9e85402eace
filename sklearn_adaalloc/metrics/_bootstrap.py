"""Bootstrap over samples (a scorer) and over queries (intervals and p-values)."""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import make_scorer
from sklearn.utils import check_random_state

from sklearn_adaalloc._utils.budgets import check_budgets
from sklearn_adaalloc._utils.parameters import check_in_interval, check_whole
from sklearn_adaalloc._utils.rewards import (
    check_empty_reward,
    has_decoders,
)
from sklearn_adaalloc.curves._decoders import as_samples, largest_budget
from sklearn_adaalloc.curves._reward_curves import expected_rewards
from sklearn_adaalloc.curves._table import as_table
from sklearn_adaalloc.metrics._expected_reward import query_rewards


class RewardInterval(NamedTuple):
    """A score and the ends of its confidence interval."""

    score: float
    low: float
    high: float


class PairedDifference(NamedTuple):
    """A difference of scores, its confidence interval and its two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def bootstrap_scorer(
    *, empty_reward=0.0, selection="reward", n_bootstrap=None, random_state=None
):
    r"""Make a scorer: expected reward under a bootstrap over each query's samples.

    The bootstrap of Damani et al. draws :math:`b_i` of the m graded answers of a query
    with replacement, keeps the best, and averages over many repetitions. With
    infinitely many repetitions it is an exact sum over the sorted rewards,
    :math:`\sum_k r_{(k)} [(k/m)^b - ((k-1)/m)^b]`. The exact sum is the default here,
    because it is faster and has no noise. It accepts budgets above m without a warning.
    Biased at budgets from 2 to m: slightly below the unbiased
    ``make_scorer(expected_reward_score)``.

    Parameters
    ----------
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. "score" needs a
        :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
        Not used in routing.
    n_bootstrap : int, default=None
        Number of Monte Carlo repetitions. None computes the exact sum.
    random_state : int, RandomState instance or None, default=None
        Seed of the repetitions. With an int, every call draws the same samples.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, rewards)``, for the parameter ``scoring``.

    Raises
    ------
    ValueError
        When the scorer is called, if a parameter, the table or a budget is invalid.

    Examples
    --------
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn_adaalloc.metrics import bootstrap_scorer
    >>> always_two = DummyRegressor(strategy="constant", constant=2).fit([[0]], [0])
    >>> bootstrap_scorer()(always_two, [[0]], [[0, 0, 0, 1]])
    0.4375
    """
    return make_scorer(
        bootstrap_reward,
        empty_reward=empty_reward,
        selection=selection,
        n_bootstrap=n_bootstrap,
        random_state=random_state,
    )


def bootstrap_reward(
    rewards, budgets, *, empty_reward, selection, n_bootstrap, random_state
):
    """Metric that :func:`bootstrap_scorer` wraps, with the same parameters."""
    table = as_table(rewards)
    empty_reward = check_empty_reward(empty_reward)
    most = largest_budget(table)
    budgets = check_budgets(budgets, n_queries=len(table), max_budget=most)
    if has_decoders(table):  # one answer of one decoder: nothing to select
        table, selection = table.rewards, "reward"
    table, budgets = as_samples(table, budgets)
    if n_bootstrap is None:
        expected = expected_rewards(
            table,
            budgets,
            empty_reward=empty_reward,
            replacement=True,
            selection=selection,
        )
        return float(expected.mean())
    if selection != "reward":
        raise ValueError(
            f"n_bootstrap={n_bootstrap!r} is not accepted with selection={selection!r}."
            " Expected None: the score is then exact."
        )
    rewards = np.asarray(table)
    n_bootstrap = check_whole(n_bootstrap, "n_bootstrap", least=1)
    rng = check_random_state(random_state)
    draws = _draw_means(rewards, budgets, empty_reward, n_bootstrap, rng)
    return float(np.mean(draws))


def _draw_means(rewards, budgets, empty_reward, n_bootstrap, rng):
    """Mean over queries of the best of `budgets` resampled rewards (n_bootstrap,)."""
    samples = np.sort(rewards, axis=1)  # NaN sorts last, so it is never picked
    n_samples = np.isfinite(samples).sum(axis=1)[:, None]
    unused = np.arange(budgets.max()) >= budgets[:, None]  # (n_queries, largest budget)
    means = np.empty(n_bootstrap)
    for i in range(n_bootstrap):
        picks = (rng.random_sample(unused.shape) * n_samples).astype(np.intp)
        drawn = np.take_along_axis(samples, picks, axis=1)
        drawn[unused] = -np.inf
        best = drawn.max(axis=1, initial=-np.inf)
        means[i] = np.where(budgets == 0, empty_reward, best).mean()
    return means


def expected_reward_interval(
    rewards,
    budgets,
    *,
    empty_reward=0.0,
    selection="reward",
    unit="samples",
    confidence=0.95,
    n_bootstrap=2000,
    random_state=None,
):
    """Score budgets with a confidence interval from a bootstrap over queries.

    The expected reward of each query is exact. The interval describes the uncertainty
    from the choice of queries: it contains the central `confidence` of the means of
    `n_bootstrap` resamples of the queries (percentile method). Assumes that the queries
    are independent draws from one population.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; NaN marks a missing sample.
    budgets : array-like of shape (n_queries,) or float
        Samples given to each query, see :func:`expected_reward_score`.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. "score" needs a
        :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
        Not used in routing.
    unit : {"samples", "cost"}, default="samples"
        What a uniform budget counts. "cost" needs a
        :class:`~sklearn_adaalloc.RewardTable` with costs; a sample of a query then
        costs the mean of the query's samples.
    confidence : float, default=0.95
        Coverage of the interval, between 0 and 1.
    n_bootstrap : int, default=2000
        Number of resamples of the queries.
    random_state : int, RandomState instance or None, default=None
        Seed of the resamples.

    Returns
    -------
    score : float
        The value of :func:`expected_reward_score`.
    low, high : float
        Ends of the interval.

    Raises
    ------
    ValueError
        If `confidence` or `n_bootstrap` is invalid, or as in
        :func:`expected_reward_score`.

    See Also
    --------
    paired_difference : Use it to compare two policies.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import expected_reward_interval
    >>> rewards = [[0, 1], [1, 1], [0, 0], [1, 1]]
    >>> expected_reward_interval(rewards, [1, 1, 1, 1], random_state=0)
    RewardInterval(score=0.625, low=0.25, high=1.0)
    """
    confidence = check_in_interval(confidence, "confidence", 0, 1)
    expected = query_rewards(
        rewards, budgets, empty_reward=empty_reward, selection=selection, unit=unit
    )
    low, high = mean_interval(expected, confidence, n_bootstrap, random_state)
    return RewardInterval(float(expected.mean()), low, high)


def mean_interval(values, confidence, n_bootstrap, random_state):
    """Ends of the percentile interval of a mean, by a bootstrap over queries.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._bootstrap import mean_interval
    >>> mean_interval(np.array([0.0, 1.0, 1.0, 1.0]), 0.9, 2000, random_state=0)
    (0.25, 1.0)
    """
    means = _resampled_means(values, n_bootstrap, random_state)
    return _central_interval(means, confidence)


def paired_difference(
    rewards,
    budgets_a,
    budgets_b,
    *,
    empty_reward=0.0,
    selection="reward",
    unit="samples",
    confidence=0.95,
    n_bootstrap=2000,
    random_state=None,
):
    """Difference in expected reward between two policies on the same queries.

    The bootstrap resamples per-query differences. Queries therefore stay paired, and
    the variance of their difficulty, which both policies share, cancels. Compare
    policies at equal realised spend: for example,
    ``paired_difference(rewards, budgets, np.mean(budgets))`` is the gain over uniform,
    and ``paired_difference(table, budgets, mean_budget_score(table, budgets,
    unit="cost"), unit="cost")`` that at equal cost.
    Assumes that the queries are independent draws from one population.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; NaN marks a missing sample.
    budgets_a, budgets_b : array-like of shape (n_queries,) or float
        Budgets of the two policies. One number is a uniform budget, see
        :func:`expected_reward_score`.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. "score" needs a
        :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
        Not used in routing.
    unit : {"samples", "cost"}, default="samples"
        What a uniform budget counts. "cost" needs a
        :class:`~sklearn_adaalloc.RewardTable` with costs; a sample of a query then
        costs the mean of the query's samples.
    confidence : float, default=0.95
        Coverage of the interval, between 0 and 1.
    n_bootstrap : int, default=2000
        Number of resamples of the queries.
    random_state : int, RandomState instance or None, default=None
        Seed of the resamples.

    Returns
    -------
    difference : float
        Score of `budgets_a` minus score of `budgets_b`.
    low, high : float
        Ends of the percentile interval of `difference`.
    p_value : float
        Two-sided p-value, ``2 * (1 + k) / (1 + n_bootstrap)``, at most 1. Here k is the
        smaller of two counts: resampled differences >= 0 and resampled differences
        <= 0.

    Raises
    ------
    ValueError
        If `confidence` or `n_bootstrap` is invalid, or as in
        :func:`expected_reward_score`.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import paired_difference
    >>> rewards = [[0, 1], [1, 1], [0, 1], [1, 1]]
    >>> paired_difference(rewards, [2, 1, 2, 1], 1.5, random_state=0).difference
    0.125
    """
    options = {"empty_reward": empty_reward, "selection": selection, "unit": unit}
    gain = query_rewards(rewards, budgets_a, **options)
    gain = gain - query_rewards(rewards, budgets_b, **options)
    return difference_from_gains(
        gain,
        confidence=confidence,
        n_bootstrap=n_bootstrap,
        random_state=random_state,
    )


def difference_from_gains(gains, *, confidence=0.95, n_bootstrap=2000, random_state):
    """Paired bootstrap on given per-query differences.

    Parameters
    ----------
    gains : ndarray of shape (n_queries,)
        Reward of one policy minus that of the other.
    confidence, n_bootstrap, random_state
        As in :func:`paired_difference`.

    Returns
    -------
    PairedDifference

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._bootstrap import difference_from_gains
    >>> difference_from_gains(np.zeros(3), random_state=0)
    PairedDifference(difference=0.0, low=0.0, high=0.0, p_value=1.0)
    """
    confidence = check_in_interval(confidence, "confidence", 0, 1)
    means = _resampled_means(gains, n_bootstrap, random_state)
    low, high = _central_interval(means, confidence)
    smaller_side = min((means <= 0).sum(), (means >= 0).sum())
    p_value = min(1.0, 2 * (1 + int(smaller_side)) / (1 + len(means)))
    return PairedDifference(float(gains.mean()), low, high, p_value)


def _resampled_means(values, n_bootstrap, random_state):
    n_bootstrap = check_whole(n_bootstrap, "n_bootstrap", least=1)
    rng = check_random_state(random_state)
    n_queries = len(values)
    draws = (rng.randint(n_queries, size=n_queries) for _ in range(n_bootstrap))
    return np.array([values[draw].mean() for draw in draws])


def _central_interval(means, confidence):
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
