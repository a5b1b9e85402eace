"""Rounds of a query that is alone, against an independent dynamic programme."""

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_adaalloc.planning._rounds import plan_at_price


def values_of_first_rounds(chances, price, n_rounds, min_budget):
    """Value of each number of samples now, by recursion over failures and rounds."""
    n_steps = len(chances)

    @cache
    def value(failures, left):
        return max(each(k, failures, left) for k in range(n_steps - failures + 1))

    def each(k, failures, left):
        failing = np.prod(1 - chances[failures : failures + k])
        later = value(failures + k, left - 1) if left > 1 else 0.0
        return 1 - failing - price * k + failing * later

    return [each(k, 0, n_rounds) for k in range(min_budget, n_steps + 1)]


@pytest.mark.parametrize("n_rounds", [1, 2, 3])
@pytest.mark.parametrize("min_budget", [0, 2])
def test_the_first_round_is_the_best(n_rounds, min_budget):
    rng = np.random.default_rng(n_rounds)
    chances = np.sort(rng.uniform(0, 0.9, (60, 6)))[:, ::-1]
    prices = rng.uniform(0.02, 0.6, 60)
    planned = plan_at_price(chances, prices, n_rounds, min_budget=min_budget)
    for row, price, n_samples in zip(chances, prices, planned, strict=True):
        values = values_of_first_rounds(row, price, n_rounds, min_budget)
        assert values[n_samples - min_budget] == pytest.approx(max(values))


def test_one_by_one_takes_what_is_above_the_price():
    chances = np.array([[0.5, 0.4], [0.3, 0.2], [0.1, 0.0]])
    assert_array_equal(plan_at_price(chances, np.full(3, 0.2), None), [1, 1, 0])
    assert_array_equal(plan_at_price(chances, np.full(3, 0.3), None), [1, 0, 0])


def test_nothing_is_worth_a_high_price():
    for n_rounds in (None, 1, 3):
        planned = plan_at_price(np.full((2, 3), 0.5), np.ones(2), n_rounds)
        assert_array_equal(planned, [0, 0])
