"""Menus of decoders, against exact programmes over all plans."""

import numpy as np
import pytest
from menu_plans import (
    all_counts,
    cheapest_orders,
    cheapest_rounds,
    failing_at,
    small_instance,
)
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_adaalloc.planning._menu_beliefs import MenuBelief, group_menus
from sklearn_adaalloc.planning._menus import (
    certain_steps,
    decoder_subsets,
    failure_paths,
    follow_paths,
    improved_counts,
    path_expenses,
    plan_at_price,
    plan_menu,
    prices_around,
)
from sklearn_adaalloc.planning._rounds import plan_one_by_one, plan_round
from sklearn_adaalloc.planning._success import next_chances


def shortfalls(exact_expense, n_rounds, n_instances=500):
    """Share of the exact net value that the best stop of the best path misses."""
    rng = np.random.default_rng(0)
    missed = []
    for _ in range(n_instances):
        weights, profiles, costs, limits, price = small_instance(rng)
        counts = all_counts(limits[0])
        failing = failing_at(counts, weights[0], profiles)
        exact = (1 - failing - price * exact_expense(counts, costs[0], failing)).max()
        paths = failure_paths(weights, profiles, costs, limits)
        expense = path_expenses(paths, n_rounds)[-1]
        missed.append(1 - (1 - paths.failing - price * expense).max() / exact)
    return np.array(missed)


def test_one_by_one_is_close_to_the_exact_programme():
    missed = shortfalls(cheapest_orders, None)
    assert missed.min() > -1e-9
    assert missed.mean() < 1e-4
    assert missed.max() < 0.01


@pytest.mark.parametrize("n_rounds", [2, 3])
def test_rounds_are_close_to_the_exact_programme(n_rounds):
    def exact(counts, costs, failing):
        return cheapest_rounds(counts, costs, failing, n_rounds)

    missed = shortfalls(exact, n_rounds, n_instances=200)
    assert missed.min() > -1e-9
    assert missed.mean() < 0.002
    assert missed.max() < 0.05


def test_one_round_at_a_price_is_close_to_the_exact_programme():
    rng = np.random.default_rng(0)
    missed = []
    for _ in range(500):
        *query, price = small_instance(rng)
        weights, profiles, costs, limits = query
        counts = all_counts(limits[0])
        failing = failing_at(counts, weights[0], profiles)
        exact = (1 - failing - price * counts @ costs[0]).max()
        paths = failure_paths(*query)
        ours = improved_counts(paths, *query, price)
        value = 1 - failing_at(ours, weights[0], profiles) - price * ours @ costs[0]
        missed.append(1 - value[0] / exact)
    assert min(missed) > -1e-9
    assert np.mean(missed) < 1e-3
    assert max(missed) < 0.01


def best_shared(values, expenses, money):
    """Largest total value of one plan per query whose whole costs fit the money."""
    totals = np.zeros(money + 1)
    for value, expense in zip(values, expenses, strict=True):
        options = np.full(money + 1, -np.inf)
        for gain, cost in zip(value, expense, strict=True):
            if cost <= money:
                shifted = totals[: money + 1 - cost] + gain
                options[cost:] = np.maximum(options[cost:], shifted)
        totals = options
    return totals.max()


def test_one_round_of_a_batch_is_close_to_the_exact_programme():
    rng = np.random.default_rng(0)
    missed = []
    for _ in range(60):
        _, profiles, costs, limits, _ = small_instance(rng)
        weights = rng.dirichlet(np.ones(len(profiles)), size=8)
        costs = np.repeat(np.ceil(costs), 8, axis=0)
        counts = all_counts(limits[0])
        limits = np.repeat(limits, 8, axis=0)
        money = int(rng.uniform(2, 20) * 8)
        ours = plan_menu(weights, profiles, costs, limits, money, 1)
        assert (ours * costs).sum() <= money
        assert (ours <= limits).all()
        solved = [1 - failing_at(counts, one, profiles) for one in weights]
        exact = best_shared(solved, [(counts @ costs[0]).astype(int)] * 8, money)
        value = sum(
            1 - failing_at(own[None], one, profiles)[0]
            for own, one in zip(ours, weights, strict=True)
        )
        missed.append(1 - value / exact)
    assert min(missed) > -1e-9
    assert np.mean(missed) < 0.005
    assert max(missed) < 0.05


# One decoder


def one_decoder(n_queries=40, n_steps=12, seed=0):
    """Weights over rates, as weights over profiles and as chances."""
    random = np.random.default_rng(seed)
    rates = random.uniform(0.02, 0.95, size=5)
    weights = random.dirichlet(np.full(5, 0.4), size=n_queries)
    marginals = weights @ (rates[:, None] * (1 - rates[:, None]) ** np.arange(n_steps))
    limits = np.full((n_queries, 1), n_steps)
    menu = weights, rates[:, None], np.ones((n_queries, 1)), limits
    return menu, next_chances(marginals)


@pytest.mark.parametrize("n_rounds", [1, 2, 4])
@pytest.mark.parametrize("money", [15, 80, 200])
def test_rounds_of_one_decoder_are_those_without_an_axis(n_rounds, money):
    menu, chances = one_decoder()
    ours = plan_menu(*menu, money, n_rounds)[:, 0]
    plain = plan_round(chances, money, n_rounds)
    # The rest of the money, less than a step, can go to another query.
    assert (ours != plain).sum() <= 2
    assert np.abs(ours - plain).max() <= 1


def test_orders_of_one_decoder_are_chances():
    menu, chances = one_decoder()
    decoders, ratios = follow_paths(*menu, 100)
    assert not decoders.any()
    assert_allclose(ratios, chances, rtol=1e-9)


@pytest.mark.parametrize("money", [10, 41.5, 100])
def test_certain_steps_of_one_decoder_are_those_without_an_axis(money):
    menu, chances = one_decoder()
    _, ratios = follow_paths(*menu, money)
    each = np.arange(len(ratios))
    certain = certain_steps(ratios, np.ones_like(ratios), each, 0 * each, money)
    assert_array_equal(certain, plan_one_by_one(chances, int(money)))


# Paths, prices, beliefs


@pytest.mark.parametrize(("n_decoders", "n_subsets"), [(1, 1), (2, 3), (3, 7), (5, 11)])
def test_subsets_are_distinct_and_not_empty(n_decoders, n_subsets):
    subsets = decoder_subsets(n_decoders)
    assert len(np.unique(subsets, axis=0)) == len(subsets) == n_subsets
    assert subsets.any(axis=1).all()


def test_ratios_are_slopes_of_the_majorant():
    """After one failure of the first decoder, the second is likely to be right."""
    weights = np.array([[0.5, 0.5]])
    profiles = np.array([[0.99, 0.01], [0.01, 0.99]])
    limits = np.ones((1, 2), dtype=int)
    decoders, ratios = follow_paths(weights, profiles, np.array([[1, 1.1]]), limits, 9)
    both_fail = 0.99 * 0.01
    block = (1 - both_fail) / (1 + 1.1 * 0.5)
    assert_array_equal(decoders[0], [0, 1])
    assert_allclose(ratios[0], [block, block])


def test_a_path_without_a_step_is_not_followed():
    """Equal queries, and money for three of four, so none is worth its price alone."""
    menu = np.ones((1, 1)), np.array([[0.2, 0.7]]), np.array([[1.0, 5.0]])
    limits, kind = np.array([[0, 2]]), np.zeros(4, dtype=int)
    decoders, ratios = follow_paths(*menu, limits, 16.0, kind=kind)
    assert_array_equal(decoders, [[1, 1]])
    assert_allclose(ratios, [[0.14, 0.14]])


def test_plans_at_the_price_of_a_budget_spend_it():
    rng = np.random.default_rng(0)
    _, profiles, costs, limits, _ = small_instance(rng)
    weights = rng.dirichlet(np.ones(len(profiles)), size=500)
    costs, limits = np.repeat(costs, 500, axis=0), np.repeat(limits, 500, axis=0)
    mandatory = np.minimum(1, limits)
    money = 500 * costs[0].sum() * 1.5
    menu = weights, profiles, costs, limits
    high, low = prices_around(*menu, money, mandatory=mandatory)
    few, many = (plan_at_price(*menu, t, mandatory=mandatory) for t in (high, low))
    assert (few >= mandatory).all()
    assert (few * costs).sum() <= money <= (many * costs).sum()
    assert ((many - few) * costs).sum() < 0.05 * money


def test_queries_of_a_kind_are_similar():
    rng = np.random.default_rng(0)
    profiles = rng.uniform(0.05, 0.9, size=(6, 3))
    weights, costs = rng.dirichlet(np.ones(6), size=5000), np.ones((5000, 3))
    kind, means = group_menus(weights, profiles, costs, 256)
    assert len(means) == 256
    assert_allclose(np.bincount(kind) @ means, weights.sum(axis=0))
    assert np.abs(means[kind] @ profiles - weights @ profiles).mean() < 0.05


@pytest.mark.parametrize("n_rounds", [1, 3, None])
def test_shared_plans_stay_within_the_money(n_rounds):
    rng = np.random.default_rng(1)
    profiles = rng.uniform(0.05, 0.9, size=(6, 2))
    weights = rng.dirichlet(np.ones(6), size=3000)
    costs = np.exp(rng.normal(0, 0.5, size=(3000, 2)))
    belief = MenuBelief(weights, profiles, costs, np.full((3000, 2), 20))
    money = 4000.0
    counts = belief.plan(money, n_rounds, costs=costs.ravel())
    assert 0 < (counts * costs.ravel()).sum() <= money * (1 + 1e-9)
