import numpy as np
import pytest
from matplotlib import pyplot
from sklearn.linear_model import Ridge

from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor, RewardTable
from sklearn_adaalloc.curves import marginal_rewards
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import (
    BudgetCurveDisplay,
    budget_curve,
    expected_reward_score,
)

REWARDS = make_reward_table(30, 6, random_state=0).rewards
MARGINALS = np.sort(np.random.default_rng(0).random((30, 6)))[:, ::-1]
ROUTING = make_reward_table(30, 6, profile="routing", random_state=0).rewards


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


def test_budget_curve_of_estimators(policy):
    one = BudgetCurveDisplay.from_estimator(policy, MARGINALS, REWARDS)
    assert set(one.curves) == {"Policy"}
    two = BudgetCurveDisplay.from_estimator(
        {"x": policy, "y": policy}, MARGINALS, REWARDS, min_budget=1
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


def test_policies_with_different_max_budgets_have_no_common_oracle():
    policies = {"a": MARGINALS, "b": MARGINALS[:, :3]}
    with pytest.raises(ValueError, match=r"max_budget \[3, 6\]"):
        BudgetCurveDisplay.from_predictions(REWARDS, policies)
    with pytest.raises(ValueError, match="at least one policy"):
        BudgetCurveDisplay.from_predictions(REWARDS, {})


def test_a_policy_that_buys_nothing_can_still_be_drawn():
    curve = BudgetCurveDisplay.from_predictions(REWARDS, np.zeros_like(MARGINALS))
    np.testing.assert_array_equal(curve.lines_["policy"].get_xydata(), [[0, 0]])


def test_an_estimator_brings_its_selection():
    rewards = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]] * 3)
    table = RewardTable(rewards, answers=[["a", "b", "b"], ["a", "a", "b"]] * 3)
    X = np.arange(6.0)[:, None]
    votes, best = (
        AdaptiveAllocator(RewardRegressor(Ridge()), budget=1, selection=selection)
        for selection in ("vote", "reward")
    )
    votes, best = votes.fit(X, table), best.fit(X, table)
    display = BudgetCurveDisplay.from_estimator(votes, X, table)
    expected = budget_curve(table, votes.predict_marginals(X), selection="vote")
    np.testing.assert_allclose(display.curves["AdaptiveAllocator"].reward, expected[1])
    with pytest.raises(ValueError, match=r"different selection.*Expected one rule"):
        BudgetCurveDisplay.from_estimator({"a": votes, "b": best}, X, table)
