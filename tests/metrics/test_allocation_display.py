import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor, RewardTable
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import (
    AllocationDisplay,
)
from sklearn_adaalloc.planning import allocate

REWARDS = make_reward_table(30, 6, random_state=0).rewards
MARGINALS = np.sort(np.random.default_rng(0).random((30, 6)))[:, ::-1]
ROUTING = make_reward_table(30, 6, profile="routing", random_state=0).rewards


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


class TestCost:
    COSTS = np.random.default_rng(1).uniform(1, 9, size=(30, 1)) * np.ones(6)
    TABLE = RewardTable(REWARDS, costs=COSTS)

    @pytest.mark.parametrize("min_budget", [0, 1])
    def test_groups_are_drawn_by_what_they_cost(self, min_budget):
        paid = self.COSTS[:, 0]
        display = AllocationDisplay.from_predictions(
            self.TABLE, MARGINALS, min_budget=min_budget, unit="cost", costs=paid
        )
        for point in (0, 20, 77, len(display.spend) - 1):
            spend = display.spend[point]
            budgets, _ = allocate(
                MARGINALS,
                spend * (1 + 1e-9),
                min_budget=min_budget,
                costs=paid,
            )
            assert (budgets * paid).mean() == pytest.approx(spend)
            np.testing.assert_allclose(
                [line.get_ydata()[point] for line in display.artists_],
                [
                    (budgets * paid)[rows].mean()
                    for rows in thirds_by_difficulty(REWARDS)
                ],
            )
        assert display.ax_.get_xlabel() == "mean cost (per query)"
        assert display.ax_.get_ylabel() == "mean cost per query of the group"

    def test_stacked_shares_of_cost_fill_the_budget(self):
        display = AllocationDisplay.from_predictions(
            self.TABLE, MARGINALS, unit="cost", kind="stacked"
        )
        weighted = sum(
            share * display.budgets[name]
            for name, share in display.group_shares.items()
        )
        np.testing.assert_allclose(weighted, display.spend)
        assert display.ax_.get_ylabel() == "share of all cost"

    def test_an_allocator_in_cost_predicts_its_costs(self):
        X = np.column_stack([REWARDS.mean(axis=1), np.log(self.COSTS[:, 0])])
        allocator = AdaptiveAllocator(RewardRegressor(Ridge()), unit="cost", budget=9)
        allocator.fit(X, self.TABLE)
        display = AllocationDisplay.from_estimator(
            allocator, X, self.TABLE, unit="cost"
        )
        given = AllocationDisplay.from_predictions(
            self.TABLE,
            allocator.predict_marginals(X),
            unit="cost",
            costs=allocator.cost_regressor_.predict(X),
        )
        np.testing.assert_array_equal(display.budgets["hard"], given.budgets["hard"])

    def test_costs_are_needed(self):
        with pytest.raises(ValueError, match="unit='cost' needs the costs of samples"):
            AllocationDisplay.from_predictions(REWARDS, MARGINALS, unit="cost")


def test_allocation_in_routing_ranks_by_the_weak_decoder(policy):
    gain = np.diff(ROUTING.mean(axis=2), axis=1)
    display = AllocationDisplay.from_estimator(policy, gain, ROUTING)
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
    display = AllocationDisplay.from_predictions(REWARDS, nothing, kind=kind)
    np.testing.assert_array_equal(display.spend, [0])
    display.figure_.canvas.draw()
