"""Menus of decoders, against exact programmes over all plans."""

import numpy as np
import pytest

from sklearn_adaalloc.planning._menus import (
    _improved_counts,
    failure_paths,
    path_expenses,
    plan_menu,
)


def small_instance(rng):
    """A query with 2-3 decoders, 2-4 profiles, costs up to 20-fold, and a price."""
    n_decoders, n_profiles = rng.integers(2, 4), rng.integers(2, 5)
    spread = rng.choice([0.3, 0.5, 1.0])
    profiles = rng.beta(spread, spread, size=(n_profiles, n_decoders))
    profiles = np.clip(profiles, 1e-9, 1 - 1e-9)
    weights = rng.dirichlet(np.ones(n_profiles))[None]
    costs = np.exp(rng.uniform(0, np.log(20), size=(1, n_decoders)))
    limits = rng.integers(1, 8, size=(1, n_decoders))
    best = (weights @ profiles / costs).max()
    return weights, profiles, costs, limits, best * np.exp(rng.uniform(-4, -0.1))


def all_counts(limits):
    """Every combination of numbers of samples, in an order in which they grow."""
    return np.array(list(np.ndindex(*(limits + 1))))


def failing_at(counts, weights, profiles):
    """Probability that these samples of a query all fail."""
    return (1 - profiles[None]).__pow__(counts[:, None]).prod(axis=2) @ weights


def cheapest_orders(counts, costs, failing):
    """Exact expected cost of each combination, one sample at a time."""
    place = {tuple(count): row for row, count in enumerate(counts)}
    expense = np.full(len(counts), np.inf)
    expense[0] = 0.0
    for row, count in enumerate(counts[1:], start=1):
        for decoder in np.flatnonzero(count):
            before = count.copy()
            before[decoder] -= 1
            last = place[tuple(before)]
            step = costs[decoder] * failing[last]
            expense[row] = min(expense[row], expense[last] + step)
    return expense


def cheapest_rounds(counts, costs, failing, n_rounds):
    """Exact expected cost of each combination, in rounds."""
    spent = counts @ costs
    within = (counts[:, None] <= counts[None]).all(axis=2)  # (before, after)
    expense = spent
    for _ in range(1, n_rounds):
        steps = expense[:, None] + failing[:, None] * (spent[None] - spent[:, None])
        expense = np.where(within, steps, np.inf).min(axis=0)
    return expense


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
    print(missed.mean(), missed.max())
    assert missed.min() > -1e-9
    assert missed.mean() < 0.01


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
        ours = _improved_counts(paths, *query, price)
        value = 1 - failing_at(ours, weights[0], profiles) - price * ours @ costs[0]
        missed.append(1 - value[0] / exact)
    print(np.mean(missed), max(missed))
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
    print(np.mean(missed), max(missed))
    assert min(missed) > -1e-9
    assert np.mean(missed) < 0.01
