"""Queries that several decoders can answer, each decided alone at a price."""

import numpy as np
import pytest
from menu_plans import all_counts, cheapest_orders, failing_at, small_instance
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_adaalloc.planning import _menu_alone
from sklearn_adaalloc.planning._menu_alone import LoneMenuBelief
from sklearn_adaalloc.planning._menus import failure_paths, plan_at_price
from sklearn_adaalloc.planning._paths import path_expenses


def samples_if_all_fail(belief, prices):
    """Decoders that a query is given one by one, as long as all samples fail."""
    order = []
    while (counts := belief.plan_at(prices, None)).any():
        assert counts.sum() == 1
        order.append(int(counts.argmax()))
        belief.update(np.where(counts, 0.0, np.nan)[:, None])
    return order


def net_value(order, weights, profiles, costs):
    """Chance of success less the expected cost of an order."""
    mass, expense = weights[0].copy(), 0.0
    for decoder in order:
        expense += costs[decoder] * mass.sum()
        mass *= 1 - profiles[:, decoder]
    return 1 - mass.sum() - expense


def test_orders_are_close_to_the_exact_programme():
    rng = np.random.default_rng(1)
    missed = []
    for _ in range(300):
        weights, profiles, costs, limits, price = small_instance(rng)
        prices = price * costs[0]
        counts = all_counts(limits[0])
        failing = failing_at(counts, weights[0], profiles)
        exact = (1 - failing - cheapest_orders(counts, prices, failing)).max()
        order = samples_if_all_fail(
            LoneMenuBelief(weights, profiles, costs, limits), prices
        )
        missed.append(1 - net_value(order, weights, profiles, prices) / exact)
    assert min(missed) > -1e-9
    assert np.mean(missed) < 1e-3
    assert max(missed) < 0.05


def test_cut_paths_have_the_same_best_stops():
    rng = np.random.default_rng(2)
    shorter = 0
    for _ in range(300):
        weights, profiles, costs, limits, price = small_instance(rng)
        query = weights, profiles, price * costs, limits
        whole, cut = failure_paths(*query), failure_paths(*query, cut=True)
        shorter += cut.decoders.shape[2] < whole.decoders.shape[2]
        for n_rounds in (None, 1, 3):
            best = [
                (1 - paths.failing - path_expenses(paths, n_rounds)[-1]).max(axis=2)
                for paths in (whole, cut)
            ]
            assert_allclose(*best, atol=1e-12)
    assert shorter > 100


def test_looking_few_samples_ahead_changes_little(monkeypatch):
    rng = np.random.default_rng(3)
    profiles = np.clip(rng.beta(0.4, 0.6, size=(16, 3)), 1e-9, 1 - 1e-9)
    costs, limits = np.array([[1.5, 1.5, 7.6]]), np.full((1, 3), 40)
    values = []
    for weights in rng.dirichlet(np.full(16, 0.3), size=(40, 1)):
        query, prices = (weights, profiles, costs, limits), 0.01 * costs[0]
        for ahead in (16, 200):
            monkeypatch.setattr(_menu_alone, "_AHEAD", ahead)
            order = samples_if_all_fail(LoneMenuBelief(*query), prices)
            values.append(net_value(order, weights, profiles, prices))
    few, many = np.reshape(values, (-1, 2)).T
    assert_allclose(few.mean(), many.mean(), rtol=1e-3)


@pytest.fixture
def query():
    """The second decoder is better and dear; the first one fails for good or not."""
    profiles = np.array([[0.5, 0.9], [1e-9, 0.8]])
    return np.array([[0.5, 0.5]]), profiles, np.array([[1.0, 4.0]]), np.array([[5, 3]])


def test_the_stop_follows_the_price(query):
    belief, costs = LoneMenuBelief(*query), query[2].ravel()
    for price, expected in [(0.3, [0, 0]), (0.2, [1, 0]), (0.3, [0, 0])]:
        assert_array_equal(belief.plan_at(price * costs, None), expected)
    assert belief.plan_at(0.01 * costs, None).any()  # far below: the order is longer


def test_an_order_is_chosen_again_if_costs_turn_out_different(query):
    belief = LoneMenuBelief(*query)
    assert_array_equal(belief.plan_at(np.array([0.1, 0.4]), None), [1, 0])
    assert_array_equal(belief.plan_at(np.array([0.4, 0.1]), None), [0, 1])


def test_one_round_is_the_plan_at_the_price(query):
    for price in (0.01, 0.03, 0.1, 0.2, 0.5):
        counts = LoneMenuBelief(*query).plan_at(price * query[2].ravel(), 1)
        assert_array_equal([counts], plan_at_price(*query, price))


def test_more_rounds_start_with_fewer_samples(query):
    prices = 0.02 * query[2].ravel()
    spends = [
        LoneMenuBelief(*query).plan_at(prices, n_rounds) @ query[2].ravel()
        for n_rounds in (1, 2, 4)
    ]
    assert spends == sorted(spends, reverse=True)
    assert spends[0] > spends[-1]


@pytest.mark.parametrize("n_rounds", [None, 1, 3])
def test_mandatory_samples_come_first(query, n_rounds):
    belief = LoneMenuBelief(*query, mandatory=np.array([0, 1]))
    first = belief.plan_at(9.0 * query[2].ravel(), n_rounds)
    assert_array_equal(first, [0, 1])
    belief.update(np.array([[np.nan], [0.0]]))
    assert_array_equal(belief.plan_at(9.0 * query[2].ravel(), n_rounds), [0, 0])


def test_queries_are_decided_alone(query):
    weights, profiles, costs, limits = query
    rng = np.random.default_rng(4)
    weights = rng.dirichlet([1, 1], size=6)
    costs, limits = np.repeat(costs, 6, axis=0), np.repeat(limits, 6, axis=0)
    prices = costs * rng.uniform(0.02, 0.2, size=(6, 1))
    for n_rounds in (None, 1, 2):
        belief = LoneMenuBelief(weights, profiles, costs, limits)
        together = belief.plan_at(prices.ravel(), n_rounds).reshape(6, 2)
        for row in range(6):
            one = slice(row, row + 1)
            alone = LoneMenuBelief(weights[one], profiles, costs[one], limits[one])
            counts = alone.plan_at(prices[row], n_rounds)
            assert_array_equal(counts, together[row])


def test_decoders_that_are_gone_or_solved_queries_get_no_more(query):
    prices = 0.01 * query[2].ravel()
    belief = LoneMenuBelief(*query)
    belief.plan_at(prices, None)
    belief.withdraw(np.array([True, False]))
    assert_array_equal(belief.plan_at(prices, None), [0, 1])
    belief.update(np.array([[np.nan], [1.0]]))
    assert not belief.plan_at(prices, None).any()


def test_restarting_gives_the_same_plans_as_a_new_belief(query):
    prices = query[2].ravel()
    belief = LoneMenuBelief(*query)
    for price in (1e-13, 0.2, 0.02):
        belief.restart()
        new = LoneMenuBelief(*query)
        orders = [samples_if_all_fail(each, price * prices) for each in (belief, new)]
        assert orders[0] == orders[1]
