"""Plans in rounds against dynamic programming over the joint state of all queries."""

import itertools
from functools import cache

import numpy as np
import pytest

from sklearn_adaalloc.curves import mixture_marginals, rate_marginals
from sklearn_adaalloc.planning import (
    failure_curves,
    next_chances,
    plan_one_by_one,
    plan_round,
    stop_expenses,
)


def random_chances(rng, n_queries, max_budget):
    """Chances under random distributions over nine success rates, 0 and 1 included."""
    rates = np.linspace(0, 1, 9)
    weights = rng.dirichlet(np.full(9, rng.choice([0.3, 1.0, 3.0])), size=n_queries)
    return next_chances(mixture_marginals(weights, rates, max_budget))


def after_failures(chances, failures):
    """Chances of the samples that follow so many failures; zero beyond the limit."""
    left = np.zeros_like(chances)
    for row, n_failures in enumerate(failures):
        left[row, : chances.shape[1] - n_failures] = chances[row, n_failures:]
    return left


def expected_solved(chances, money, n_rounds, policy=None):
    """Expected number of solved queries by enumeration, of the best policy or of one.

    The state holds the failures of every query, None once it is solved.
    """
    failing = failure_curves(chances)
    max_budget = chances.shape[1]

    def value_of(action, state, money, n_rounds):
        total = 0.0
        for verdicts in itertools.product([False, True], repeat=len(state)):
            chance, after = 1.0, []
            for query, (failures, n_new) in enumerate(zip(state, action, strict=True)):
                fails = (
                    1.0
                    if failures is None
                    else failing[query, failures + n_new] / failing[query, failures]
                )
                chance *= 1 - fails if verdicts[query] else fails
                after.append(None if verdicts[query] else failures)
                if after[-1] is not None:
                    after[-1] += n_new
            if chance > 0:
                left = money - sum(action)
                total += chance * (
                    sum(verdicts) + best_value(tuple(after), left, n_rounds - 1)
                )
        return total

    def actions(state, money, n_rounds):
        if policy is not None:
            unsolved = [i for i, failures in enumerate(state) if failures is not None]
            failures = np.array([state[i] for i in unsolved])
            left = after_failures(chances[unsolved], failures)
            action = np.zeros(len(state), dtype=int)
            action[unsolved] = policy(left, money, n_rounds)
            assert action.sum() <= money
            return [tuple(int(n_new) for n_new in action)]
        most = [0 if f is None else min(max_budget - f, money) for f in state]
        every = itertools.product(*(range(n + 1) for n in most))
        return [action for action in every if sum(action) <= money]

    @cache
    def best_value(state, money, n_rounds):
        if n_rounds == 0 or money == 0 or all(failures is None for failures in state):
            return 0.0
        return max(
            value_of(action, state, money, n_rounds)
            for action in actions(state, money, n_rounds)
        )

    return best_value((0,) * len(chances), money, n_rounds)


def plan_equal_split(chances, money, n_rounds):
    """The naive rule: an equal part of the money in every round."""
    return plan_round(chances, money // n_rounds, 1)


# --- against the joint optimum ---------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_one_by_one_attains_the_optimum(seed):
    # With as many rounds as money, the optimum may decide after every single sample.
    rng = np.random.default_rng(seed)
    chances, money = random_chances(rng, 3, 3), int(rng.integers(2, 7))
    ours = expected_solved(
        chances, money, money, lambda left, money, _: plan_one_by_one(left, money)
    )
    assert ours == pytest.approx(expected_solved(chances, money, money), rel=1e-9)


@pytest.mark.slow
def test_rounds_are_within_one_percent_of_the_optimum():
    rng = np.random.default_rng(0)
    ours, naive = [], []
    for _ in range(40):
        chances, money = random_chances(rng, 3, 4), int(rng.integers(3, 9))
        n_rounds = int(rng.integers(2, 4))
        best = expected_solved(chances, money, n_rounds)
        ours.append(expected_solved(chances, money, n_rounds, plan_round) / best)
        naive.append(expected_solved(chances, money, n_rounds, plan_equal_split) / best)
    assert min(ours) > 0.99
    assert np.mean(ours) > 0.999
    assert np.mean(naive) < np.mean(ours)


def test_one_round_is_the_budget_problem():
    rng = np.random.default_rng(0)
    chances = random_chances(rng, 3, 4)
    best = expected_solved(chances, 5, 1)
    assert expected_solved(chances, 5, 1, plan_round) == pytest.approx(best)


# --- properties of a plan --------------------------------------------------------


@pytest.mark.parametrize("n_rounds", [1, 2, 3, 6])
@pytest.mark.parametrize("money", [0, 7, 40, 200])
def test_plan_keeps_the_money(money, n_rounds):
    chances = random_chances(np.random.default_rng(1), 20, 8)
    budgets = plan_round(chances, money, n_rounds)
    assert budgets.sum() <= money
    assert budgets.min() >= 0
    assert budgets.max() <= 8


@pytest.mark.parametrize("n_rounds", [1, 2, 4])
def test_plan_gives_min_budget_first(n_rounds):
    chances = random_chances(np.random.default_rng(2), 20, 8)
    chances[:5] = 0.0
    budgets = plan_round(chances, 60, n_rounds, min_budget=2)
    assert budgets[:5].tolist() == [2] * 5
    assert budgets.min() == 2
    assert budgets.sum() <= 60


def test_expected_expense_meets_the_money():
    # Many queries, few kinds: the mean expense of the first round's stops, followed to
    # the end, is the money up to one step of one query.
    kind = np.repeat(np.arange(4), 250)
    chances = random_chances(np.random.default_rng(3), 4, 16)
    money, rng = 4000, np.random.default_rng(4)
    spent, failures, solved = 0, np.zeros(1000, int), np.zeros(1000, bool)
    first = np.where(rng.random((1000, 16)) < chances[kind], 1, 0)
    first = np.where(first.any(axis=1), first.argmax(axis=1), 16)
    for n_rounds in (3, 2, 1):
        rows = np.flatnonzero(~solved & (failures < 16))
        left = after_failures(chances[kind[rows]], failures[rows])
        budgets = plan_round(left, money - spent, n_rounds)
        spent += budgets.sum()
        failures[rows] += budgets
        solved = first < failures
    assert spent == money


def test_hopeless_queries_get_nothing():
    chances = np.array([[0.0, 0.0], [0.5, 0.4]])
    assert plan_round(chances, 4, 2)[0] == 0
    assert plan_one_by_one(chances, 4).tolist() == [0, 1]


def test_equal_curves_are_split_by_what_the_money_pays_for():
    # Chance 0.5, at most 2 samples, 2 rounds: one and, if wrong, another cost 1.5 in
    # expectation. 100 queries and 75 samples: half of the queries, lowest rows first.
    budgets = plan_round(np.full((100, 2), 0.5), 75, 2)
    assert budgets.sum() <= 75
    assert set(budgets.tolist()) <= {0, 1}
    assert (np.diff(budgets) <= 0).all()


def test_kinds_stand_for_their_queries():
    chances = random_chances(np.random.default_rng(5), 6, 5)
    kind = np.tile(np.arange(6), 10)
    for n_rounds in (1, 2, 3):
        shared = plan_round(chances, 130, n_rounds, kind=kind)
        own = plan_round(chances[kind], 130, n_rounds)
        np.testing.assert_array_equal(shared, own)


# --- the pieces ------------------------------------------------------------------


def test_known_rates_have_constant_chances():
    rates = np.array([0.0, 0.1, 0.9, 1.0])
    chances = next_chances(rate_marginals(rates, 64))
    np.testing.assert_allclose(
        chances, np.repeat(rates[:, None], 64, axis=1), atol=1e-8
    )


def test_curves_of_no_exchangeable_samples_are_repaired():
    # Constant marginals beyond 1 in total: chances would rise, and pass 1.
    chances = next_chances(np.full((1, 4), 0.4))
    np.testing.assert_allclose(chances, 0.4)
    assert next_chances(np.array([[-0.1, -0.2]])).tolist() == [[0.0, 0.0]]


def test_a_first_step_below_zero_does_not_make_the_rest_worthless():
    # The majorant of the curve 0, -0.1, 0.1, 0.2 rises by 0.2 / 3 at each step.
    chances = next_chances(np.array([[-0.1, 0.2, 0.1]]))
    step = 0.2 / 3
    np.testing.assert_allclose(chances[0], step)


def test_empty_reward_is_not_a_chance():
    marginals = np.array([[0.5, 0.25]])
    shifted = marginals - [[0.2, 0.0]]
    np.testing.assert_allclose(
        next_chances(shifted, empty_reward=0.2), next_chances(marginals)
    )


def test_stop_expenses_equal_enumeration():
    failing = failure_curves(random_chances(np.random.default_rng(7), 2, 6)).T
    expenses = stop_expenses(failing, 3)[-1]
    for query, last in itertools.product(range(2), range(7)):
        by_hand = min(
            a + (b - a) * failing[a, query] + (last - b) * failing[b, query]
            for a, b in itertools.combinations_with_replacement(range(last + 1), 2)
        )
        assert expenses[last, query] == pytest.approx(by_hand)


def test_more_rounds_never_cost_more_and_end_at_one_by_one():
    failing = failure_curves(random_chances(np.random.default_rng(8), 5, 6)).T
    expenses = np.array(stop_expenses(failing, 7))
    assert (np.diff(expenses, axis=0) <= 1e-12).all()
    one_by_one = np.cumsum(failing[:-1], axis=0)
    np.testing.assert_allclose(expenses[-1][1:], one_by_one)


def test_one_by_one_takes_the_steps_that_all_failing_would():
    chances = np.array([[0.9, 0.8, 0.7], [0.6, 0.5, 0.4], [0.3, 0.2, 0.1]])
    # Money for 4 if all fail: three steps of the first, one of the second.
    assert plan_one_by_one(chances, 4).tolist() == [1, 1, 0]
    assert plan_one_by_one(chances, 3).tolist() == [1, 0, 0]
    assert plan_one_by_one(chances, 100).tolist() == [1, 1, 1]
