import numpy as np
import pytest

from sklearn_adaalloc.curves import preferences
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import (
    SuccessRateDisplay,
)

REWARDS = make_reward_table(60, 6, random_state=0).rewards
RATES = REWARDS.mean(axis=1)
GUESS = np.clip(RATES + np.random.default_rng(0).normal(0, 0.2, 60), 0, 1)
ROUTING = make_reward_table(60, 6, profile="routing", random_state=0).rewards


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


def test_a_routing_estimator_is_compared_as_preferences(policy):
    step = (preferences(ROUTING) - 0.5)[:, None]
    display = SuccessRateDisplay.from_estimator(policy, step, ROUTING)
    np.testing.assert_allclose(display.predicted, display.observed)
    assert display.ax_.get_xlabel() == "preference for strong of a query"


def test_bad_predictions():
    with pytest.raises(ValueError, match="numbers of queries: 60 and 2"):
        SuccessRateDisplay.from_predictions(REWARDS, [0.5, 0.5])
    with pytest.raises(ValueError, match="not finite in row 0"):
        SuccessRateDisplay.from_predictions(REWARDS, np.full(60, np.nan))
    with pytest.raises(ValueError, match=r"n_bins=0 is not accepted"):
        SuccessRateDisplay.from_rewards(REWARDS, n_bins=0)
