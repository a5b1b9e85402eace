"""The price of rows in several blocks: the same as of one array."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_adaalloc.planning._blocks import (
    answer,
    buy_steps,
    floats_between,
    price_of_steps,
    purchases,
)
from sklearn_adaalloc.planning._solvers import allocate, count_steps


def in_blocks(marginals, edges, budget, *, min_budget=0, most=None):
    """Budgets of an array that is cut into blocks of rows."""
    views = [part[:, min_budget:] for part in np.split(marginals, edges)]
    sizes = [len(view) for view in views]
    n_steps = count_steps(budget, len(marginals), min_budget)
    search = purchases(sizes, views[0].shape[1], n_steps, most=most)
    purchase, quotas = answer(search, views)
    parts = [buy_steps(v, purchase, q) for v, q in zip(views, quotas, strict=True)]
    return min_budget + np.concatenate(parts)


def falling(rng, shape, decimals):
    return np.sort(rng.normal(0.3, 0.5, shape).round(decimals), axis=1)[:, ::-1]


@pytest.mark.parametrize("most", [None, 4])
@pytest.mark.parametrize("decimals", [1, 12])
def test_budgets_are_those_of_one_array(decimals, most):
    # One decimal gives many ties, and few entries make the bracket be narrowed.
    for seed in range(40):
        rng = np.random.default_rng(seed)
        marginals = falling(rng, (rng.integers(1, 60), 7), decimals)
        edges = np.sort(rng.integers(0, len(marginals) + 1, size=3))
        least = int(rng.integers(0, 3))
        budget = rng.uniform(least, 7)
        expected, _ = allocate(marginals, budget, min_budget=least)
        found = in_blocks(marginals, edges, budget, min_budget=least, most=most)
        assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_wide_bracket_is_narrowed_to_the_exact_price(dtype):
    rng = np.random.default_rng(0)
    entries = rng.normal(0, 1, 4000) * 10.0 ** rng.integers(-300, 20, 4000)
    marginals = np.sort(entries.astype(dtype).reshape(-1, 8), axis=1)[:, ::-1]
    blocks = np.split(marginals, [100, 333])
    ranked = np.sort(marginals, axis=None)[::-1]
    for k in (1, 17, 1500):
        search = price_of_steps([len(each) for each in blocks], 8, k, most=3)
        assert answer(search, blocks) == max(ranked[k - 1], 0)


def test_rows_that_rise_are_named_by_their_number_in_all_blocks():
    blocks = [np.ones((3, 2)), np.array([[1.0, 0.5], [0.1, 0.2]])]
    for n_steps in (2, 100):
        with pytest.raises(ValueError, match=r"\[0.1 0.2\] in row 4"):
            answer(price_of_steps([3, 2], 2, n_steps), blocks)


def test_floats_are_even_in_rank():
    floats = floats_between(np.float64(-1.0), np.float64(1.0), 64)
    assert floats[0] == -1
    assert floats[-1] == 1
    assert (np.diff(floats) > 0).all()
    assert 60 < len(floats) < 70
    next_up = np.nextafter(np.float32(1), np.float32(2))
    assert_array_equal(floats_between(np.float32(1), next_up, 64), [1, next_up])
