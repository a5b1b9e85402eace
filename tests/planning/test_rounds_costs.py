"""Plans in rounds where samples differ in cost."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_adaalloc.planning._rounds import plan_one_by_one, plan_round

RANDOM = np.random.default_rng(0)
CHANCES = np.sort(RANDOM.beta(0.6, 1.5, (60, 12)), axis=1)[:, ::-1]
COSTS = RANDOM.lognormal(3, 1, 60)


@pytest.mark.parametrize("money", [0, 1, 40, 400])
def test_equal_costs_change_only_the_unit(money):
    sevens = np.full(60, 7.0)
    in_cost = plan_round(CHANCES, 7.0 * money, 1, costs=sevens)
    assert_array_equal(in_cost, plan_round(CHANCES, money, 1))
    one = plan_one_by_one(CHANCES, 7.0 * money, sevens)
    assert_array_equal(one, plan_one_by_one(CHANCES, money))


@pytest.mark.parametrize("n_rounds", [2, 4])
def test_among_equal_plans_early_samples_tell_what_samples_cost(n_rounds):
    late = plan_round(CHANCES, 40, n_rounds)
    early = plan_round(CHANCES, 40.0, n_rounds, costs=np.ones(60))
    assert early.sum() > late.sum()


@pytest.mark.parametrize("n_rounds", [1, 2, 4])
@pytest.mark.parametrize("share", [0.01, 0.3, 2, 100])
@pytest.mark.parametrize("min_budget", [0, 1])
def test_a_round_never_costs_more_than_the_money(n_rounds, share, min_budget):
    money = (share + min_budget) * COSTS.sum()
    options = {"costs": COSTS, "min_budget": min_budget}
    budgets = plan_round(CHANCES, money, n_rounds, **options)
    assert COSTS @ budgets <= money * (1 + 1e-9)
    assert budgets.min() >= min_budget


def test_queries_of_one_kind_are_planned_by_their_own_cost():
    kind = np.repeat(np.arange(60), 2)
    costs = np.where(np.arange(120) % 2, 100.0, 1.0)
    budgets = plan_round(CHANCES, 300.0, 3, kind=kind, costs=costs)
    cheap, dear = budgets[::2], budgets[1::2]
    assert (cheap >= dear).all()
    assert cheap.sum() > dear.sum()
    alone = plan_round(CHANCES[kind], 300.0, 3, costs=costs)
    assert_array_equal(budgets, alone)


def test_the_unit_of_cost_does_not_matter():
    thousands = plan_round(CHANCES, 2.0, 3, costs=COSTS / 1000)
    assert_array_equal(thousands, plan_round(CHANCES, 2000.0, 3, costs=COSTS))


def test_one_by_one_goes_by_chance_per_cost():
    chances, costs = np.array([[0.9, 0.5], [0.4, 0.3]]), np.array([10.0, 1.0])
    assert_array_equal(plan_one_by_one(chances, 2.0, costs), [0, 1])
    assert_array_equal(plan_one_by_one(chances, 12.0, costs), [1, 1])
