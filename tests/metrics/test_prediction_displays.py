import numpy as np
import pytest
from matplotlib import pyplot
from sklearn.base import BaseEstimator

from sklearn_adaalloc._curves import preferences
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import (
    RewardCalibrationDisplay,
    SuccessRateDisplay,
    calibration_table,
)

REWARDS = make_reward_table(60, 6, random_state=0).rewards
RATES = REWARDS.mean(axis=1)
GUESS = np.clip(RATES + np.random.default_rng(0).normal(0, 0.2, 60), 0, 1)
ROUTING = make_reward_table(60, 6, profile="routing", random_state=0).rewards


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


class Policy(BaseEstimator):
    """Hand out marginals that stand in X."""

    def predict_marginals(self, X):
        return X


def drawn_points(display):
    line, _, _ = display.errorbar_.lines
    return line.get_xydata().T


def test_calibration_draws_the_table():
    display = RewardCalibrationDisplay.from_predictions(
        REWARDS, GUESS, n_bins=6, name="guess"
    )
    table = calibration_table(REWARDS, GUESS, n_bins=6)
    points = [table.predicted, table.observed]
    np.testing.assert_allclose(drawn_points(display), points)
    _, _, (bars,) = display.errorbar_.lines
    lengths = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
    np.testing.assert_allclose(lengths, 2 * table.standard_error)
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["calibrated", "guess"]


def test_calibration_diagonal_spans_both_axes():
    display = RewardCalibrationDisplay.from_predictions(REWARDS, GUESS)
    x, y = display.diagonal_.get_data()
    np.testing.assert_array_equal(x, y)
    points = drawn_points(display)
    assert x[0] == points.min()
    assert x[1] == points.max()


@pytest.mark.parametrize(
    ("rewards", "pred", "quantity"),
    [
        (REWARDS, GUESS, "success rate"),
        (REWARDS, GUESS[:, None], "first marginal reward"),
        (REWARDS - 0.5, GUESS, "mean reward"),
        (ROUTING, GUESS, "preference for strong"),
    ],
)
def test_axes_name_what_is_predicted(rewards, pred, quantity):
    display = RewardCalibrationDisplay.from_predictions(rewards, pred)
    assert display.ax_.get_xlabel() == f"predicted {quantity} (mean of bin)"
    assert display.ax_.get_ylabel() == f"observed {quantity} (± standard error)"


def test_calibration_of_an_estimator():
    marginals = np.column_stack([GUESS, np.zeros(60)])
    display = RewardCalibrationDisplay.from_estimator(
        Policy(), marginals, REWARDS, n_bins=5
    )
    table = calibration_table(REWARDS, GUESS, n_bins=5)
    np.testing.assert_allclose(display.observed, table.observed)
    assert display.name == "Policy"


def test_routing_estimators_are_compared_as_preferences():
    truth = preferences(ROUTING)
    step = (truth - 0.5)[:, None]
    calibration = RewardCalibrationDisplay.from_estimator(Policy(), step, ROUTING)
    np.testing.assert_allclose(calibration.predicted, calibration.observed)
    histogram = SuccessRateDisplay.from_estimator(Policy(), step, ROUTING)
    np.testing.assert_allclose(histogram.predicted, histogram.observed)
    assert histogram.ax_.get_xlabel() == "preference for strong of a query"


def test_calibration_plots_again_on_given_axes():
    display = RewardCalibrationDisplay.from_predictions(REWARDS, GUESS)
    _, ax = pyplot.subplots()
    assert display.plot(ax, color="tab:red") is display
    assert display.ax_ is ax
    assert display.figure_ is ax.figure


def test_histogram_shows_shares_of_queries():
    display = SuccessRateDisplay.from_rewards(
        [[0, 0], [0, 1], [1, 1], [0, 0]], n_bins=4
    )
    shares = display.observed_.get_data()
    np.testing.assert_allclose(shares.values, [0.5, 0, 0.25, 0.25])
    np.testing.assert_allclose(shares.edges, [0, 0.25, 0.5, 0.75, 1])
    assert display.ax_.get_xlabel() == "success rate of a query"
    assert display.ax_.get_ylabel() == "share of queries"
    assert display.predicted_ is None
    assert display.ax_.get_legend() is None


def test_histogram_of_predictions_beside_the_observations():
    display = SuccessRateDisplay.from_predictions(
        REWARDS, np.full(60, 0.35), n_bins=10, name="average"
    )
    np.testing.assert_allclose(
        display.predicted_.get_data().values, np.eye(10)[3], atol=1e-12
    )
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["observed", "average"]


def test_histogram_leaves_no_prediction_out():
    pred = np.linspace(-0.5, 1.5, 60)
    display = SuccessRateDisplay.from_predictions(REWARDS, pred)
    assert display.predicted_.get_data().values.sum() == pytest.approx(1)
    assert display.ax_.get_xlim() == (-0.5, 1.5)


def test_histogram_of_real_rewards_spans_their_range():
    display = SuccessRateDisplay.from_rewards([[-4.0, -2.0], [5.0, 7.0]], n_bins=3)
    np.testing.assert_allclose(display.observed_.get_data().edges, [-3, 0, 3, 6])
    assert display.ax_.get_xlabel() == "mean reward of a query"


def test_bad_predictions():
    with pytest.raises(ValueError, match="numbers of queries: 60 and 2"):
        SuccessRateDisplay.from_predictions(REWARDS, [0.5, 0.5])
    with pytest.raises(ValueError, match="not finite in row 0"):
        SuccessRateDisplay.from_predictions(REWARDS, np.full(60, np.nan))
    with pytest.raises(ValueError, match=r"n_bins=0 is not accepted"):
        SuccessRateDisplay.from_rewards(REWARDS, n_bins=0)
    with pytest.raises(ValueError, match=r"n_bins=0 is not accepted"):
        RewardCalibrationDisplay.from_predictions(REWARDS, GUESS, n_bins=0)
