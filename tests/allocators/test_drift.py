import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    BinnedAllocator,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
)
from sklearn_adaalloc.allocators import DriftReport
from sklearn_adaalloc.allocators._drift import compare_with_calibration
from sklearn_adaalloc.datasets import make_reward_table

RIDGE = RewardRegressor(Ridge())
ALLOCATORS = [BinnedAllocator(RIDGE, budget=4), PricedAllocator(RIDGE, budget=4)]
DATA = make_reward_table(6000, 16, random_state=0)


@pytest.fixture(params=ALLOCATORS, ids=lambda allocator: type(allocator).__name__)
def fitted(request):
    allocator = clone(request.param).set_params(random_state=0)
    return allocator.fit(DATA.data[:3000], DATA.rewards[:3000])


def compare(calibration, new, **changes):
    """Report on scores that are also the budgets."""
    calibration, new = np.asarray(calibration), np.asarray(new)
    given = {
        "calibration_scores": calibration,
        "scores": new,
        "calibration_budgets": calibration,
        "budgets": new,
        "budget": 2.0,
        "alpha": 0.01,
    }
    return compare_with_calibration(**given | changes)


# The report of a policy


def test_queries_like_those_of_fit_are_no_drift(fitted):
    report = fitted.drift_report(DATA.data[3000:])
    assert not report.drifted
    assert report.budget == 4
    assert report.promised_budget == fitted.realised_budget_
    assert report.realised_budget == fitted.predict(DATA.data[3000:]).mean()
    assert report.difference[0] < 0 < report.difference[1]
    assert (report.n_calibration, report.n_queries) == (600, 3000)
    assert "Scores are like those of calibration" in str(report)


def test_easier_queries_are_drift_and_change_the_spend(fitted):
    easy = DATA.data[3000:][DATA.rates[3000:] > 0.8]
    report = fitted.drift_report(easy)
    assert report.drifted
    assert report.p_value < 1e-9
    low, high = report.difference
    assert high < -0.1
    assert low < report.realised_budget - report.promised_budget < high
    assert "calibrate on them" in str(report)


def test_scores_that_were_logged_serve_as_well(fitted):
    new = DATA.data[3000:]
    logged = fitted.predict_marginals(new)
    assert fitted.drift_report(scores=logged) == fitted.drift_report(new)


def test_first_marginals_are_enough_for_bins():
    binned = clone(ALLOCATORS[0]).set_params(random_state=0)
    binned.fit(DATA.data[:500], DATA.rewards[:500])
    first = binned.predict_marginals(DATA.data[3000:])[:, 0]
    assert binned.drift_report(scores=first) == binned.drift_report(DATA.data[3000:])


def test_the_report_is_of_the_current_budget(fitted):
    report = fitted.set_params(budget=2).drift_report(DATA.data[3000:])
    assert report.budget == 2
    assert report.promised_budget == pytest.approx(2, abs=0.1)


def test_it_survives_joblib(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "policy.joblib")
    restored = joblib.load(tmp_path / "policy.joblib")
    new = DATA.data[3000:4000]
    assert restored.drift_report(new) == fitted.drift_report(new)


def test_calibrating_again_keeps_the_promise_without_training(fitted):
    hard = np.flatnonzero(DATA.rates[3000:] < 0.3) + 3000
    graded, served = hard[::2], hard[1::2]
    frozen = FrozenEstimator(fitted.regressor_)
    again = clone(fitted).set_params(regressor=frozen)
    again.fit(DATA.data[graded], DATA.rewards[graded])
    assert again.regressor_.estimator is fitted.regressor_
    assert_array_equal(
        again.predict_marginals(DATA.data[served]),
        fitted.predict_marginals(DATA.data[served]),
    )
    before = fitted.drift_report(DATA.data[served])
    after = again.drift_report(DATA.data[served])
    assert before.drifted
    assert not after.drifted
    assert after.difference[0] < 0 < after.difference[1]


# Several decoders


def make_menu(n_queries=1200):
    """Rewards of two decoders; the second feature helps only the second one."""
    random = np.random.default_rng(0)
    X = random.normal(size=(n_queries, 2))
    logits = np.column_stack([X[:, 0] - 1, X[:, 0] + X[:, 1] + 1])
    rewards = random.random((n_queries, 2, 8)) < 1 / (1 + np.exp(-logits))[:, :, None]
    return X, RewardTable(rewards, costs=[1.0, 4.0])


MENU_X, MENU = make_menu()
PROFILES = RewardRegressor(Ridge(), target="rate_profiles")


@pytest.fixture(scope="module", params=[("samples", 2.0), ("cost", 4.0)])
def menu(request):
    unit, budget = request.param
    policy = PricedAllocator(PROFILES, unit=unit, budget=budget, random_state=0)
    return policy.fit(MENU_X[:600], MENU[:600])


def test_the_budgets_of_several_decoders_are_added_up(menu):
    new = MENU_X[600:]
    report = menu.drift_report(new)
    costs = [1.0, 1.0] if menu.unit == "samples" else [1.0, 4.0]
    assert not report.drifted
    assert report.realised_budget == pytest.approx((menu.predict(new) @ costs).mean())
    assert report.promised_budget == pytest.approx(menu.realised_budget_)
    assert (report.n_calibration, report.n_queries) == (120, 600)


def test_a_change_for_one_of_several_decoders_is_drift(menu):
    # The first decoder is as good on these queries as on those of fit.
    new = MENU_X[600:]
    report = menu.drift_report(new[new[:, 1] > 0])
    assert report.drifted
    assert "Scores differ from those of calibration" in str(report)


def test_scores_of_each_decoder_alone_are_not_enough(menu):
    scores = menu.predict_marginals(MENU_X[600:])
    with pytest.raises(ValueError, match=r"(?s)scores are not.*2 decoders.*queries as"):
        menu.drift_report(scores=scores)


# The statistics


def test_numbers_by_hand():
    # Distribution functions differ most at 1: half of the old, none of the new.
    report = compare([1, 1, 3, 3], [3, 3, 5, 5])
    assert report == DriftReport(
        budget=2.0,
        promised_budget=2.0,
        realised_budget=4.0,
        difference=report.difference,
        n_calibration=4,
        n_queries=4,
        statistic=0.5,
        p_value=report.p_value,
        alpha=0.01,
    )
    # Variances 1 and 1, four queries each: standard error sqrt(1/2).
    assert report.difference == pytest.approx(
        (2 - 1.959964 * 0.5**0.5, 2 + 1.959964 * 0.5**0.5)
    )


def test_false_alarms_are_as_rare_as_alpha_says():
    rng = np.random.default_rng(0)
    reports = [
        compare(rng.random(300), rng.random(400), alpha=0.1) for _ in range(1000)
    ]
    alarms = sum(report.drifted for report in reports)
    assert 60 < alarms < 130  # 100 expected, standard deviation 9.5
    missed = sum(not r.difference[0] < 0 < r.difference[1] for r in reports)
    assert 30 < missed < 75  # 50 expected, standard deviation 7


def test_the_decoder_that_differs_most_counts():
    random = np.random.default_rng(0)
    old, new = random.random((2, 300, 3))
    new += [0.1, 0.3, 0.0]
    budgets = {"calibration_budgets": np.ones(300), "budgets": np.ones(300)}
    alone = compare(old[:, 1], new[:, 1], **budgets)
    report = compare(old, new, **budgets)
    assert report.statistic == alone.statistic
    assert report.p_value == pytest.approx(3 * alone.p_value)
    assert compare(old, old, **budgets).p_value == 1


def test_false_alarms_of_several_decoders_are_no_more_frequent():
    random = np.random.default_rng(0)
    budgets = {"calibration_budgets": np.ones(300), "budgets": np.ones(400)}
    reports = [
        compare(random.random((300, 3)), random.random((400, 3)), alpha=0.1, **budgets)
        for _ in range(250)
    ]
    # 24 expected, with a standard deviation of 4.7.
    assert 8 < sum(report.drifted for report in reports) < 40


def test_equal_budgets_leave_no_doubt():
    report = compare([2, 2, 2], [2, 2])
    assert report.difference == (0, 0)
    assert not report.drifted


def test_the_sentence():
    report = DriftReport(
        budget=4.0,
        promised_budget=3.98,
        realised_budget=4.61,
        difference=(0.5123, 0.7512),
        n_calibration=500,
        n_queries=2000,
        statistic=0.141,
        p_value=2.3e-9,
        alpha=0.01,
    )
    assert str(report) == (
        "Mean budget 4.61 over 2000 queries, promised 3.98 (difference between +0.51 "
        "and +0.75). Scores differ from those of calibration (Kolmogorov-Smirnov 0.14, "
        "p = 2e-09): grade some of these queries and calibrate on them."
    )


# Bad input


def test_one_of_queries_and_scores(fitted):
    with pytest.raises(ValueError, match=r"X and scores: neither given\. Expected one"):
        fitted.drift_report()
    with pytest.raises(ValueError, match=r"X and scores: both given"):
        fitted.drift_report(DATA.data, scores=[0.1])


def test_priced_budgets_need_whole_rows():
    priced = clone(ALLOCATORS[1]).fit(DATA.data[:300], DATA.rewards[:300])
    with pytest.raises(ValueError, match=r"scores has shape \(2, 1\).*looks at 16"):
        priced.drift_report(scores=[0.1, 0.2])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"X": DATA.data[:1]}, r"was given 1 query\. Expected a sample"),
        ({"scores": np.full((3, 16), np.nan)}, r"not finite|finite"),
        ({"scores": np.zeros((3, 2, 2))}, r"shape \(3, 2, 2\)"),
        ({"scores": [[], [0.1]]}, r"scores could not be read as numbers"),
        ({"X": DATA.data[:9], "alpha": 0}, r"alpha=0 is not accepted"),
        ({"X": DATA.data[:9], "alpha": 5}, r"alpha=5 is not accepted"),
    ],
)
def test_bad_input(fitted, options, match):
    with pytest.raises(ValueError, match=match):
        fitted.drift_report(**options)


@pytest.mark.parametrize("Allocator", [PricedAllocator, BinnedAllocator])
def test_a_budget_of_costs_is_reported_as_a_cost(Allocator):
    data = make_reward_table(400, 8, random_state=0)
    costs = np.exp(data.data[:, 0])
    table = RewardTable(data.rewards, costs=costs)
    policy = Allocator(RIDGE, budget=4.0, unit="cost")
    report = policy.fit(data.data, table).drift_report(data.data)
    spent = (
        policy.predict(data.data) * policy.cost_regressor_.predict(data.data)
    ).mean()
    assert report.realised_budget == pytest.approx(spent)
    assert not report.drifted
    with pytest.raises(ValueError, match=r"scores are not accepted with unit='cost'"):
        policy.drift_report(scores=policy.predict_marginals(data.data))
