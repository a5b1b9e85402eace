"""One-shot budgets over several decoders, with queries in several blocks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_adaalloc.planning import _menu_blocks
from sklearn_adaalloc.planning._blocks import answer
from sklearn_adaalloc.planning._menu_beliefs import MenuBelief
from sklearn_adaalloc.planning._menu_blocks import (
    MenuRows,
    MenuTerms,
    menu_budgets,
    menu_shares,
)


def instance(seed, n_queries, n_decoders=2, *, unit_costs=False):
    rng = np.random.default_rng(seed)
    profiles = rng.uniform(0.02, 0.9, size=(6, n_decoders))
    weights = rng.dirichlet(np.full(6, 0.3), size=n_queries)
    costs = np.exp(rng.normal(0, 0.6, size=(n_queries, n_decoders)))
    costs = np.ones_like(costs) if unit_costs else costs * np.arange(1, n_decoders + 1)
    limits = rng.integers(3, 12, size=n_decoders)
    mandatory = rng.integers(0, 2, size=n_decoders) * (seed % 2)
    return MenuRows(weights, costs), MenuTerms(profiles, limits, mandatory)


def budgets_in_blocks(rows, terms, money, edges=()):
    parts = list(zip(*(np.split(each, edges) for each in rows), strict=True))
    blocks = [MenuRows(*part) for part in parts]
    search = menu_shares([len(b.costs) for b in blocks], terms, lambda paid: money)
    plan, shares = answer(search, blocks)
    budgets = [menu_budgets(b, plan, s) for b, s in zip(blocks, shares, strict=True)]
    return np.concatenate(budgets)


@pytest.mark.parametrize("unit_costs", [True, False])
@pytest.mark.parametrize("n_queries", [60, 9000])
def test_blocks_do_not_change_budgets(n_queries, unit_costs):
    for seed in range(4):
        rows, terms = instance(seed, n_queries, unit_costs=unit_costs)
        money = n_queries * (3.3 if unit_costs else 6.1)
        whole = budgets_in_blocks(rows, terms, money)
        edges = np.sort(np.random.default_rng(seed).integers(0, n_queries, 6))
        assert_array_equal(budgets_in_blocks(rows, terms, money, edges), whole)
        spent = (whole * rows.costs).sum()
        assert 0.99 * money < spent <= money * (1 + 1e-9)
        assert (whole >= terms.mandatory).all()
        assert (whole <= terms.limits).all()


def test_a_part_of_the_queries_decides_on_the_kinds(monkeypatch):
    rows, terms = instance(3, 9000)
    money = 9000 * 5.0
    monkeypatch.setattr(_menu_blocks, "most_kinds", lambda *_: 300)
    by_all = budgets_in_blocks(rows, terms, money)
    monkeypatch.setattr(_menu_blocks, "_MOST_SAMPLED", 3000)
    by_part = budgets_in_blocks(rows, terms, money)
    assert_array_equal(budgets_in_blocks(rows, terms, money, [1, 4000]), by_part)

    def chance(budgets):
        failing = np.exp(budgets @ np.log1p(-terms.profiles).T)
        return 1 - (rows.weights * failing).sum(axis=1).mean()

    assert_allclose(chance(by_part), chance(by_all), rtol=0.005)


@pytest.mark.parametrize("n_queries", [1, 40])
def test_budgets_are_those_of_a_session_of_one_round(n_queries):
    for seed in range(6):
        rows, terms = instance(seed, n_queries, n_decoders=3)
        money = n_queries * 9.0
        shape = rows.costs.shape
        belief = MenuBelief(
            rows.weights,
            terms.profiles,
            rows.costs,
            np.broadcast_to(terms.limits, shape),
            mandatory=np.broadcast_to(terms.mandatory, shape),
        )
        expected = belief.plan(money, 1, costs=rows.costs.ravel()).reshape(shape)
        assert_array_equal(budgets_in_blocks(rows, terms, money), expected)


def test_hopeless_queries_and_money_for_all():
    rows, terms = instance(0, 50)
    hopeless = terms._replace(profiles=np.full_like(terms.profiles, 1e-12))
    assert not budgets_in_blocks(rows, hopeless, 100.0).any()
    everything = budgets_in_blocks(rows, terms, 1e6)
    assert_array_equal(everything, np.broadcast_to(terms.limits, everything.shape))


def test_equal_queries_share_the_rest_in_their_order():
    rows, terms = instance(0, 1, unit_costs=True)
    rows = MenuRows(*(np.repeat(each, 200, axis=0) for each in rows))
    for money in (137, 251, 333):
        whole = budgets_in_blocks(rows, terms, money)
        assert whole.sum() == money
        assert_array_equal(budgets_in_blocks(rows, terms, money, [3, 90, 91]), whole)
