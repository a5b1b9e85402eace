import numpy as np
import pytest
from matplotlib import pyplot

from sklearn_adaalloc.curves import preferences
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import (
    RewardCalibrationDisplay,
    calibration_table,
)

REWARDS = make_reward_table(60, 6, random_state=0).rewards
RATES = REWARDS.mean(axis=1)
GUESS = np.clip(RATES + np.random.default_rng(0).normal(0, 0.2, 60), 0, 1)
ROUTING = make_reward_table(60, 6, profile="routing", random_state=0).rewards


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


def test_calibration_of_an_estimator(policy):
    marginals = np.column_stack([GUESS, np.zeros(60)])
    display = RewardCalibrationDisplay.from_estimator(
        policy, marginals, REWARDS, n_bins=5
    )
    table = calibration_table(REWARDS, GUESS, n_bins=5)
    np.testing.assert_allclose(display.observed, table.observed)
    assert display.name == "Policy"


def test_a_routing_estimator_is_compared_as_preferences(policy):
    step = (preferences(ROUTING) - 0.5)[:, None]
    display = RewardCalibrationDisplay.from_estimator(policy, step, ROUTING)
    np.testing.assert_allclose(display.predicted, display.observed)


def test_calibration_plots_again_on_given_axes():
    display = RewardCalibrationDisplay.from_predictions(REWARDS, GUESS)
    _, ax = pyplot.subplots()
    assert display.plot(ax, color="tab:red") is display
    assert display.ax_ is ax
    assert display.figure_ is ax.figure


def test_bad_number_of_bins():
    with pytest.raises(ValueError, match=r"n_bins=0 is not accepted"):
        RewardCalibrationDisplay.from_predictions(REWARDS, GUESS, n_bins=0)
