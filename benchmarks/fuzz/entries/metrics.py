"""Everything in `sklearn_adaalloc.metrics`."""

import numpy as np
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from benchmarks.fuzz.outcomes import REFUSED, attempt
from benchmarks.fuzz.strategies import (
    EXTREMES,
    ODD,
    REAL,
    UNIT,
    arrays,
    budgets_for,
    number,
    odd_arrays,
    rarely,
    reward_tables,
    tables_and,
    whole,
)
from benchmarks.fuzz.targets import target
from sklearn_adaalloc import metrics
from sklearn_adaalloc._utils.rewards import check_rewards

empty_rewards = number(st.floats(-2, 2))
least_budgets = number(st.integers(0, 2))
seeds = number(st.integers(0, 9))


def marginals_for(n_queries):
    """Predicted marginals of that many queries, falling or not."""
    shapes = st.integers(1, 4).map(lambda n_steps: (n_queries, n_steps))
    right = shapes.flatmap(lambda shape: arrays(shape, [*REAL, *EXTREMES]))
    single = arrays((n_queries, 1), REAL, np.float32)
    some_odd = shapes.flatmap(lambda shape: arrays(shape, ODD))
    return rarely(odd_arrays | some_odd, right | single)


def scores_for(n_queries):
    """One score per query."""
    odd = odd_arrays | arrays((n_queries,), ODD)
    return rarely(odd, arrays((n_queries,), UNIT))


def predictions_for(n_queries):
    """Rates, preferences or marginals."""
    return scores_for(n_queries) | marginals_for(n_queries)


def two_budgets_for(n_queries):
    """Budgets of two policies."""
    return st.tuples(budgets_for(n_queries), budgets_for(n_queries))


def assert_in_range(score, rewards, *more):
    """A score is finite and within what was graded, up to rounding."""
    values = np.append(check_rewards(rewards).ravel(), [float(m) for m in more])
    low, high = np.nanmin(values), np.nanmax(values)
    slack = 1e-9 * max(1.0, abs(low), abs(high))
    assert np.isfinite(score), score
    assert low - slack <= score <= high + slack, (low, score, high)


@target(
    "metrics.expected_reward_score",
    inputs=4000,
    pair=tables_and(budgets_for),
    empty_reward=empty_rewards,
)
def expected_reward_score(pair, empty_reward):
    score = attempt(metrics.expected_reward_score, *pair, empty_reward=empty_reward)
    if score is not REFUSED:
        assert_in_range(score, pair[0], empty_reward)
        again = metrics.expected_reward_score(*pair, empty_reward=empty_reward)
        assert score == again


@target("metrics.mean_budget_score", inputs=2500, pair=tables_and(budgets_for))
def mean_budget_score(pair):
    spend = attempt(metrics.mean_budget_score, *pair)
    if spend is not REFUSED:
        assert 0 <= spend <= np.max(pair[1])


@target(
    "metrics.net_reward_score",
    inputs=2500,
    pair=tables_and(budgets_for),
    price=number(st.floats(0, 3)),
    empty_reward=empty_rewards,
)
def net_reward_score(pair, price, empty_reward):
    score = attempt(
        metrics.net_reward_score, *pair, price=price, empty_reward=empty_reward
    )
    if score is not REFUSED:
        assert np.isfinite(score)
        gross = metrics.expected_reward_score(*pair, empty_reward=empty_reward)
        assert score <= gross + 1e-9 * max(1, abs(gross))


class Fixed(BaseEstimator):
    """Predicts the budgets or marginals that it was made with."""

    def __init__(self, given):
        self.given = given

    def predict(self, X):
        """What was given."""
        return self.given

    def predict_marginals(self, X, max_budget=None):
        """What was given."""
        return self.given


@target(
    "metrics.bootstrap_scorer",
    inputs=2500,
    pair=tables_and(budgets_for),
    empty_reward=empty_rewards,
    n_bootstrap=st.none() | number(st.integers(1, 5)),
    random_state=seeds,
)
def bootstrap_scorer(pair, empty_reward, n_bootstrap, random_state):
    rewards, budgets = pair
    scorer = metrics.bootstrap_scorer(
        empty_reward=empty_reward, n_bootstrap=n_bootstrap, random_state=random_state
    )
    score = attempt(scorer, Fixed(budgets), [[0]], rewards)
    if score is not REFUSED:
        assert_in_range(score, rewards, empty_reward)


@target(
    "metrics.expected_reward_interval",
    inputs=2500,
    pair=tables_and(budgets_for),
    confidence=number(st.floats(0.01, 0.99)),
    n_bootstrap=number(st.integers(1, 20)),
    random_state=seeds,
)
def expected_reward_interval(pair, confidence, n_bootstrap, random_state):
    found = attempt(
        metrics.expected_reward_interval,
        *pair,
        confidence=confidence,
        n_bootstrap=n_bootstrap,
        random_state=random_state,
    )
    if found is not REFUSED:
        assert found.low <= found.high
        for value in found:
            assert_in_range(value, pair[0], 0.0)


@target(
    "metrics.paired_difference",
    inputs=2500,
    pair=tables_and(two_budgets_for),
    confidence=number(st.floats(0.01, 0.99)),
    n_bootstrap=number(st.integers(1, 20)),
    random_state=seeds,
)
def paired_difference(pair, confidence, n_bootstrap, random_state):
    found = attempt(
        metrics.paired_difference,
        pair[0],
        *pair[1],
        confidence=confidence,
        n_bootstrap=n_bootstrap,
        random_state=random_state,
    )
    if found is not REFUSED:
        assert np.isfinite(found).all()
        assert found.low <= found.high
        assert 0 < found.p_value <= 1


@target(
    "metrics.budget_curve",
    inputs=3500,
    pair=tables_and(marginals_for),
    min_budget=least_budgets,
    empty_reward=empty_rewards,
)
def budget_curve(pair, min_budget, empty_reward):
    options = {"min_budget": min_budget, "empty_reward": empty_reward}
    curve = attempt(metrics.budget_curve, *pair, **options)
    if curve is not REFUSED:
        assert curve.spend[0] == min_budget
        assert (np.diff(curve.spend) > 0).all()
        assert curve.spend[-1] <= np.shape(pair[1])[1]
        for reward in curve.reward:
            assert_in_range(reward, pair[0], empty_reward)


@target(
    "metrics.gap_recovered_score",
    inputs=3000,
    pair=tables_and(marginals_for),
    min_budget=least_budgets,
    empty_reward=empty_rewards,
)
def gap_recovered_score(pair, min_budget, empty_reward):
    options = {"min_budget": min_budget, "empty_reward": empty_reward}
    score = attempt(metrics.gap_recovered_score, *pair, **options)
    if score is not REFUSED:
        assert np.isnan(score) or score <= 1 + 1e-6


@target(
    "metrics.compute_saved",
    inputs=3000,
    pair=tables_and(marginals_for),
    budget=number(st.floats(0, 4)),
    min_budget=least_budgets,
    empty_reward=empty_rewards,
)
def compute_saved(pair, budget, min_budget, empty_reward):
    options = {"min_budget": min_budget, "empty_reward": empty_reward}
    share = attempt(metrics.compute_saved, *pair, budget, **options)
    if share is not REFUSED:
        assert np.isnan(share) or share <= 1


@target(
    "metrics.oracle_budgets",
    inputs=3000,
    rewards=reward_tables,
    budget=number(st.floats(0, 4)),
    min_budget=least_budgets,
    max_budget=st.none() | number(whole),
    empty_reward=empty_rewards,
)
def oracle_budgets(rewards, budget, min_budget, max_budget, empty_reward):
    options = {
        "min_budget": min_budget,
        "max_budget": max_budget,
        "empty_reward": empty_reward,
    }
    budgets = attempt(metrics.oracle_budgets, rewards, budget, **options)
    if budgets is not REFUSED:
        assert budgets.dtype == np.int64
        assert budgets.sum() <= np.floor(budget * len(budgets))
        assert (budgets >= min_budget).all()
        assert max_budget is None or (budgets <= max_budget).all()


@target(
    "metrics.prediction_report",
    inputs=3500,
    pair=tables_and(predictions_for),
    empty_reward=empty_rewards,
)
def prediction_report(pair, empty_reward):
    report = attempt(metrics.prediction_report, *pair, empty_reward=empty_reward)
    if report is not REFUSED:
        assert np.isfinite([report.ours, report.avg, report.opt]).all()
        assert report.opt <= report.avg * (1 + 1e-9) + 1e-9
        assert 0 <= report.acc <= 1


@target(
    "metrics.calibration_table",
    inputs=3000,
    pair=tables_and(predictions_for),
    n_bins=number(st.integers(1, 5)),
    empty_reward=empty_rewards,
)
def calibration_table(pair, n_bins, empty_reward):
    table = attempt(metrics.calibration_table, *pair, n_bins, empty_reward=empty_reward)
    if table is not REFUSED:
        assert len(table.n_queries) <= n_bins
        assert table.n_queries.sum() == len(check_rewards(pair[0]))
        for values in table.values():
            assert np.isfinite(values).all()


@target(
    "metrics.average_gap_recovered",
    inputs=2500,
    pair=tables_and(scores_for, routing=True),
    n_thresholds=st.none() | number(st.integers(1, 12)),
)
def average_gap_recovered(pair, n_thresholds):
    score = attempt(metrics.average_gap_recovered, *pair, n_thresholds=n_thresholds)
    assert score is REFUSED or not np.isinf(score)


@target(
    "metrics.cost_to_recover",
    inputs=2500,
    pair=tables_and(scores_for, routing=True),
    share=number(st.floats(0.01, 1)),
    n_thresholds=st.none() | number(st.integers(1, 12)),
)
def cost_to_recover(pair, share, n_thresholds):
    calls = attempt(
        metrics.cost_to_recover, *pair, share=share, n_thresholds=n_thresholds
    )
    assert calls is REFUSED or np.isnan(calls) or 0 <= calls <= 1


def _plot(display, *args, **kwargs):
    """Draw and close again; the display."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = attempt(display, *args, **kwargs)
    plt.close("all")
    return shown


@target(
    "metrics.BudgetCurveDisplay",
    inputs=40,
    pair=tables_and(marginals_for),
    min_budget=least_budgets,
    empty_reward=empty_rewards,
)
def budget_curve_display(pair, min_budget, empty_reward):
    rewards, marginals = pair
    _plot(
        metrics.BudgetCurveDisplay.from_predictions,
        rewards,
        {"policy": marginals},
        min_budget=min_budget,
        empty_reward=empty_reward,
    )


@target(
    "metrics.AllocationDisplay",
    inputs=40,
    pair=tables_and(marginals_for),
    min_budget=least_budgets,
)
def allocation_display(pair, min_budget):
    _plot(metrics.AllocationDisplay.from_predictions, *pair, min_budget=min_budget)


@target(
    "metrics.RewardCalibrationDisplay",
    inputs=40,
    pair=tables_and(predictions_for),
    n_bins=number(st.integers(1, 5)),
)
def calibration_display(pair, n_bins):
    _plot(metrics.RewardCalibrationDisplay.from_predictions, *pair, n_bins=n_bins)


@target(
    "metrics.SuccessRateDisplay",
    inputs=40,
    pair=tables_and(predictions_for),
    n_bins=number(st.integers(1, 5)),
)
def success_rate_display(pair, n_bins):
    _plot(metrics.SuccessRateDisplay.from_predictions, *pair, n_bins=n_bins)
    _plot(metrics.SuccessRateDisplay.from_rewards, pair[0], n_bins=n_bins)
