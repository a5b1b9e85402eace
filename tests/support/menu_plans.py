"""Small menus, and exact programmes over all plans for them."""

import numpy as np


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
