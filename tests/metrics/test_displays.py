import numpy as np
import pytest
from matplotlib import pyplot
from sklearn.base import BaseEstimator

from sklearn_adaalloc._curves import marginal_rewards
from sklearn_adaalloc._solvers import allocate
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import (
    AllocationDisplay,
    BudgetCurveDisplay,
    budget_curve,
    expected_reward_score,
)

REWARDS = make_reward_table(30, 6, random_state=0).rewards
MARGINALS = np.sort(np.random.default_rng(0).random((30, 6)))[:, ::-1]
ROUTING = make_reward_table(30, 6, profile="routing", random_state=0).rewards


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


class Policy(BaseEstimator):
    """Hand out marginals that stand in X."""

    def predict_marginals(self, X):
        return X


def test_budget_curve_draws_the_curves():
    display = BudgetCurveDisplay.from_predictions(REWARDS, MARGINALS, name="mine")
    drawn = display.lines_["mine"].get_xydata().T
    np.testing.assert_allclose(drawn, budget_curve(REWARDS, MARGINALS))
    oracle = budget_curve(REWARDS, marginal_rewards(REWARDS, 6))
    np.testing.assert_allclose(display.lines_["oracle"].get_xydata().T, oracle)
    uniform = [expected_reward_score(REWARDS, budget) for budget in range(7)]
    np.testing.assert_array_equal(display.lines_["uniform"].get_xdata(), range(7))
    np.testing.assert_allclose(display.lines_["uniform"].get_ydata(), uniform)


def test_budget_curve_says_what_is_on_its_axes():
    display = BudgetCurveDisplay.from_predictions(REWARDS, MARGINALS)
    assert display.ax_.get_xlabel() == "mean budget (samples per query)"
    assert display.ax_.get_ylabel() == "expected reward per query"
    assert display.ax_.get_xlim() == (0, 6)
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["oracle", "policy", "uniform"]
    assert display.figure_ is display.ax_.figure


def test_budget_curve_of_several_policies_on_given_axes():
    _, ax = pyplot.subplots()
    policies = {"a": MARGINALS, "b": MARGINALS[::-1]}
    display = BudgetCurveDisplay.from_predictions(REWARDS, policies, ax=ax)
    assert display.ax_ is ax
    assert set(display.lines_) == {"a", "b", "oracle", "uniform"}
    colors = {line.get_color() for line in display.lines_.values()}
    assert len(colors) == 4


def test_budget_curve_of_estimators():
    one = BudgetCurveDisplay.from_estimator(Policy(), MARGINALS, REWARDS)
    assert set(one.curves) == {"Policy"}
    two = BudgetCurveDisplay.from_estimator(
        {"x": Policy(), "y": Policy()}, MARGINALS, REWARDS, min_budget=1
    )
    expected = budget_curve(REWARDS, MARGINALS, min_budget=1)
    np.testing.assert_array_equal(two.curves["y"], expected)


def test_plot_returns_the_display_and_leaves_references_out_on_request():
    display = BudgetCurveDisplay.from_predictions(REWARDS, MARGINALS)
    again = display.plot(
        plot_uniform=False, plot_oracle=False, line_kwargs={"linewidth": 3}
    )
    assert again is display
    assert list(display.lines_) == ["policy"]
    assert display.lines_["policy"].get_linewidth() == 3


def test_budget_curve_of_routing():
    display = BudgetCurveDisplay.from_predictions(ROUTING, np.ones((30, 1)))
    assert "strong decoder" in display.ax_.get_xlabel()
    ends = ROUTING.mean(axis=(0, 2))  # all weak, all strong
    np.testing.assert_allclose(display.lines_["policy"].get_ydata()[[0, -1]], ends)


def test_long_curves_are_thinned_but_keep_their_ends():
    rewards = make_reward_table(400, 6, random_state=0).rewards
    marginals = np.tile(np.linspace(1, 0.5, 6), (400, 1))
    display = BudgetCurveDisplay.from_predictions(rewards, marginals)
    line = display.lines_["policy"].get_xydata()
    assert len(display.curves["policy"].spend) == 2401
    assert len(line) == 1000
    assert line[-1, 0] == 6


def test_policies_with_different_max_budgets_have_no_common_oracle():
    policies = {"a": MARGINALS, "b": MARGINALS[:, :3]}
    with pytest.raises(ValueError, match=r"max_budget \[3, 6\]"):
        BudgetCurveDisplay.from_predictions(REWARDS, policies)
    with pytest.raises(ValueError, match="at least one policy"):
        BudgetCurveDisplay.from_predictions(REWARDS, {})


def thirds_by_difficulty(rewards):
    return np.array_split(np.argsort(-rewards.mean(axis=1), kind="stable"), 3)


@pytest.mark.parametrize("min_budget", [0, 1])
def test_allocation_draws_what_the_groups_get(min_budget):
    display = AllocationDisplay.from_predictions(
        REWARDS, MARGINALS, min_budget=min_budget
    )
    thirds = thirds_by_difficulty(REWARDS)
    for point in (0, 20, 77, len(display.spend) - 1):
        spend = display.spend[point]
        budgets, _ = allocate(MARGINALS, spend, min_budget=min_budget)
        means = [line.get_ydata()[point] for line in display.artists_]
        np.testing.assert_allclose(means, [budgets[rows].mean() for rows in thirds])
        assert display.artists_[0].get_xdata()[point] == spend
    labels = [line.get_label() for line in display.ax_.lines]
    assert labels == ["easy", "medium", "hard", "uniform"]
    assert display.ax_.get_ylabel() == "mean samples per query of the group"


def test_stacked_shares_fill_the_budget():
    display = AllocationDisplay.from_predictions(
        REWARDS[:29], MARGINALS[:29], kind="stacked"
    )
    top = display.artists_[-1].get_paths()[0].vertices
    assert top[:, 1].max() == pytest.approx(1)
    weighted = sum(
        share * display.budgets[name] for name, share in display.group_shares.items()
    )
    np.testing.assert_allclose(weighted, display.spend)
    assert display.ax_.get_ylabel() == "share of all samples"
    first_spend = np.unique(top[:, 0])[0]
    assert first_spend == pytest.approx(1 / 29)


def test_allocation_in_routing_ranks_by_the_weak_decoder():
    gain = np.diff(ROUTING.mean(axis=2), axis=1)
    display = AllocationDisplay.from_estimator(Policy(), gain, ROUTING)
    hard = thirds_by_difficulty(ROUTING[:, 0])[2]
    expected = (gain[hard] > 0).mean()
    assert display.budgets["hard"][-1] == pytest.approx(expected)
    assert display.ax_.get_ylabel() == "mean strong calls per query of the group"


def test_allocation_needs_three_queries():
    with pytest.raises(ValueError, match="rewards has 2 queries"):
        AllocationDisplay.from_predictions(REWARDS[:2], MARGINALS[:2])


def test_allocation_of_unknown_kind():
    with pytest.raises(ValueError, match=r"kind='pie' .* \['lines', 'stacked'\]"):
        AllocationDisplay.from_predictions(REWARDS, MARGINALS, kind="pie")


@pytest.mark.parametrize("kind", ["lines", "stacked"])
def test_a_policy_that_buys_nothing_can_still_be_drawn(kind):
    nothing = np.zeros_like(MARGINALS)
    allocation = AllocationDisplay.from_predictions(REWARDS, nothing, kind=kind)
    np.testing.assert_array_equal(allocation.spend, [0])
    curve = BudgetCurveDisplay.from_predictions(REWARDS, nothing)
    np.testing.assert_array_equal(curve.lines_["policy"].get_xydata(), [[0, 0]])
    allocation.figure_.canvas.draw()
