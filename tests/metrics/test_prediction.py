import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.utils import Bunch

from sklearn_adaalloc.curves import marginal_rewards
from sklearn_adaalloc.metrics import calibration_table, prediction_report

HARD_TO_EASY = [[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1]]


def test_success_rates_are_scored_by_cross_entropy():
    pred = np.array([0.1, 0.3, 0.5, 0.9])
    report = prediction_report(HARD_TO_EASY, pred)
    labels = np.ravel(HARD_TO_EASY)
    # Every graded answer is one 0/1 label of its query's prediction.
    assert report.ours == pytest.approx(log_loss(labels, np.repeat(pred, 4)))
    assert report.avg == pytest.approx(log_loss(labels, np.full(16, 0.5)))
    rates = np.repeat([0, 0.25, 0.75, 1], 4)
    assert report.opt == pytest.approx(log_loss(labels, rates))
    assert report.loss == "cross_entropy"
    assert isinstance(report, Bunch)


def test_ready_made_rates_give_the_same_report():
    pred = [0.1, 0.3, 0.5, 0.9]
    from_table = prediction_report(HARD_TO_EASY, pred)
    assert prediction_report([0, 0.25, 0.75, 1], pred) == from_table


def test_ends_of_the_scale():
    at_average = prediction_report(HARD_TO_EASY, np.full(4, 0.5))
    assert at_average.share_explained == pytest.approx(0)
    at_optimum = prediction_report(HARD_TO_EASY, [0, 0.25, 0.75, 1])
    assert at_optimum.share_explained == pytest.approx(1)
    assert at_optimum.ours == at_optimum.opt
    assert at_optimum.acc == 1
    backwards = prediction_report(HARD_TO_EASY, [0.9, 0.75, 0.25, 0.1])
    assert backwards.share_explained < 0
    assert backwards.acc == 0


def test_marginal_rewards_are_scored_by_squared_error():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(30, 6))
    truth = marginal_rewards(rewards, 4, empty_reward=-2)
    pred = truth + rng.normal(size=truth.shape)
    report = prediction_report(rewards, pred, empty_reward=-2)
    assert report.loss == "squared_error"
    assert report.ours == pytest.approx(((pred - truth) ** 2).mean())
    assert report.avg == pytest.approx(truth.var(axis=0).mean())
    assert report.opt == 0
    r2 = r2_score(truth, pred, multioutput="variance_weighted")
    assert report.share_explained == pytest.approx(r2)


def test_preferences_are_scored_by_cross_entropy():
    rewards = [[[0.0, 1.0], [1.0, 1.0]], [[1.0, np.nan], [0.0, np.nan]]]
    observed = [(expit(1) + expit(0)) / 2, expit(-1)]
    report = prediction_report(rewards, observed)
    assert report.ours == report.opt
    assert report.share_explained == pytest.approx(1)
    by_hand = [p * np.log(p) + (1 - p) * np.log(1 - p) for p in observed]
    assert report.opt == pytest.approx(-np.mean(by_hand))


def test_routing_steps_are_strong_minus_weak():
    rewards = [[[0.0], [1.0]], [[1.0], [0.5]]]
    report = prediction_report(rewards, [[1.0], [-0.5]])
    assert (report.loss, report.ours) == ("squared_error", 0)


def test_accuracy_cuts_both_sides_at_their_own_median():
    rng = np.random.default_rng(0)
    rates = rng.random(101)
    pred = 0.3 * rates + 0.1 * rng.random(101)  # never above the median of the rates
    expected = accuracy_score(rates > np.median(rates), pred > np.median(pred))
    assert prediction_report(rates, pred).acc == pytest.approx(expected)
    assert expected > 0.8


def test_certain_and_wrong_is_costly_but_finite():
    report = prediction_report([[0, 1], [1, 1]], [0.0, 1.0])
    assert report.ours == pytest.approx(-np.log(np.finfo(float).eps) / 4, rel=1e-6)


def test_missing_samples_are_left_out():
    report = prediction_report([[0, 1, np.nan], [1, np.nan, np.nan]], [0.5, 1.0])
    assert report.share_explained == pytest.approx(1)


def test_alike_queries_leave_nothing_to_explain():
    with pytest.warns(UndefinedMetricWarning, match="all queries are alike") as caught:
        report = prediction_report([[0, 1], [1, 0]], [0.4, 0.6])
    assert np.isnan(report.share_explained)
    assert caught[0].filename == __file__


def test_calibration_of_perfect_predictions_lies_on_the_diagonal():
    rates = np.random.default_rng(0).random(200)
    table = calibration_table(rates, rates, n_bins=8)
    np.testing.assert_allclose(table.predicted, table.observed)
    np.testing.assert_array_equal(table.n_queries, 25)
    assert (np.diff(table.predicted) > 0).all()


def test_calibration_by_hand():
    table = calibration_table(HARD_TO_EASY, [0.2, 0.4, 0.7, 0.9], n_bins=2)
    np.testing.assert_allclose(table.predicted, [0.3, 0.8])
    np.testing.assert_allclose(table.observed, [0.125, 0.875])
    # Deviations of 1/8 either side: 1/8 / sqrt(2).
    np.testing.assert_allclose(table.standard_error, [0.125 / np.sqrt(2)] * 2)


def test_calibration_keeps_equal_predictions_together():
    pred = [0.5] * 7 + [0.9]
    table = calibration_table(np.linspace(0, 1, 8), pred, n_bins=4)
    np.testing.assert_array_equal(table.n_queries, [7, 1])
    np.testing.assert_allclose(table.predicted, [0.5, 0.9])
    shuffled = np.random.default_rng(0).permutation(8)
    again = calibration_table(
        np.linspace(0, 1, 8)[shuffled], np.array(pred)[shuffled], n_bins=4
    )
    np.testing.assert_allclose(again.observed, table.observed)


def test_calibration_of_marginals_looks_at_the_first_step():
    rewards = np.random.default_rng(0).normal(size=(12, 5))
    truth = marginal_rewards(rewards, 3, empty_reward=-1)
    table = calibration_table(rewards, truth, n_bins=3, empty_reward=-1)
    np.testing.assert_allclose(table.predicted, table.observed)


def test_calibration_of_real_valued_means_needs_no_unit_interval():
    rewards = np.array([[-3.0, -1.0], [4.0, 6.0]])
    table = calibration_table(rewards, [-2.0, 5.0], n_bins=2)
    np.testing.assert_allclose(table.observed, [-2, 5])


def test_calibration_table_is_a_data_frame_away():
    frame = pd.DataFrame(calibration_table(HARD_TO_EASY, [0.2, 0.4, 0.7, 0.9], 2))
    assert list(frame) == ["predicted", "observed", "standard_error", "n_queries"]
    assert frame.n_queries.sum() == 4


@pytest.mark.parametrize("function", [prediction_report, calibration_table])
@pytest.mark.parametrize(
    ("y", "pred", "match"),
    [
        ([], [0.5], "rewards is empty"),
        ([[0, 1]], [0.5, 0.5], "y and pred .* numbers of queries: 1 and 2"),
        ([[0, 1]], [np.nan], "not finite in row 0"),
        ([[0, 1]], [[0.5, np.inf]], "not finite in row 0, step 2"),
        ([[0, 1]], [[[0.5]]], r"Expected \(n_queries, max_budget\)"),
        ([[np.nan, np.nan]], [0.5], "no sample in row 0"),
    ],
)
def test_bad_input(function, y, pred, match):
    with pytest.raises(ValueError, match=match):
        function(y, pred)


@pytest.mark.parametrize(
    ("y", "pred", "match"),
    [
        ([[0, 1]], [1.2], r"in row 0 is 1\.2\. Expected one in"),
        ([0.5, -0.1], [0.5, 0.5], r"in row 1 is -0\.1\. Expected one in"),
        ([[4.0, 5.0]], [0.5], r"in row 0 is 4\.5\. Expected one in"),
    ],
)
def test_rates_outside_the_unit_interval(y, pred, match):
    with pytest.raises(ValueError, match=match):
        prediction_report(y, pred)


def test_more_steps_than_samples_warns():
    with pytest.warns(UserWarning, match="with-replacement estimator"):
        prediction_report([[0, 1], [1, 1]], np.zeros((2, 3)))


@pytest.mark.parametrize("n_bins", [0, 2.0, "auto"])
def test_bad_number_of_bins(n_bins):
    with pytest.raises(ValueError, match=r"n_bins=.* is not accepted"):
        calibration_table([[0, 1]], [0.5], n_bins)
