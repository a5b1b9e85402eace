"""The price of a stream follows its spend; promises stay below a cap."""

import numpy as np
import pytest

from sklearn_adaalloc.planning._control import (
    StreamState,
    expected_spend,
    follow_spend,
    promise_samples,
    spend_elasticity,
    usual_spends,
)

CAP = {"most": 4, "kind": "10 queries", "n_kept": 2}
FREE = {"budget": 4.0, "gain": 0.02, "bounds": (1e-9, 1e9)}


def test_the_log_price_moves_by_the_excess_and_by_the_debt():
    state = follow_spend(StreamState(0.1), [6.0], **FREE)
    # The excess is half a budget and so is the debt; the time constant is 50 queries.
    assert np.log(state.price / 0.1) == pytest.approx((0.5 + 0.5 / 200) / 50)
    assert (state.n_queries, state.spent, state.debt) == (1, 6.0, 0.5)
    later = follow_spend(state, [4.0], **FREE)
    assert np.log(later.price / state.price) == pytest.approx(0.5 / 200 / 50)


def test_the_debt_is_what_was_overspent():
    spent = np.random.default_rng(0).exponential(4.5, 300)
    state = StreamState(0.1)
    for each in spent:
        state = follow_spend(state, [each], **FREE)
    assert abs(state.debt) < 100  # it is not limited
    assert state.spent - 300 * 4.0 == pytest.approx(4.0 * state.debt)


def test_queries_closed_together_count_as_one_after_another():
    together = follow_spend(StreamState(0.1), [6.0, 1.0], **FREE)
    first = follow_spend(StreamState(0.1), [6.0], **FREE)
    apart = follow_spend(first, [1.0], **FREE)
    assert together.price == pytest.approx(apart.price, rel=1e-3)
    assert together[1:] == apart[1:]


def test_a_query_counts_the_same_whether_its_spend_was_foreseen_or_not():
    foreseen = follow_spend(StreamState(0.1), [1.0], foreseen=0.5, **FREE)
    assert np.log(foreseen.price / 0.1) == pytest.approx(-0.25 * (1 + 1 / 200) / 50)
    assert (foreseen.n_queries, foreseen.spent, foreseen.debt) == (1, 1.0, -0.25)
    # The query that spent 6 is closed: what was foreseen of it is taken back.
    closed = follow_spend(foreseen, [6.0], foreseen=-0.5, **FREE)
    assert (closed.spent, closed.debt) == (7.0, -0.25)


def test_expected_spend_is_right_on_average_at_any_time():
    totals = np.random.default_rng(0).geometric(0.3, 5000).astype(float)
    usual = usual_spends(totals)
    for n_rounds in range(1, 8):  # each takes a sample in each round until it ends
        spent = np.minimum(totals, n_rounds)
        expected = np.where(totals > n_rounds, expected_spend(spent, usual), totals)
        # It expects of an open query that this sample may be its last.
        least = np.where(totals >= n_rounds, expected_spend(spent, usual), totals)
        assert least.mean() == pytest.approx(totals.mean())
        assert expected.mean() <= totals.mean()


def test_dearer_than_all_usual_queries_is_expected_to_end_now():
    spent = np.array([5.0, 7.0])
    assert expected_spend(spent, usual_spends([2.0, 6.0])).tolist() == [6.0, 7.0]
    assert expected_spend(spent, usual_spends([])).tolist() == [5.0, 7.0]


@pytest.mark.parametrize(("spent", "bound"), [(0.0, 0.05), (400.0, 0.2)])
def test_the_price_leaves_a_bound_as_soon_as_spend_turns(spent, bound):
    terms = FREE | {"bounds": (0.05, 0.2)}
    state = StreamState(0.1)
    for _ in range(10_000):  # the budget cannot be spent, or saved
        state = follow_spend(state, [spent], **terms)
    assert state.price == pytest.approx(bound)
    assert abs(state.debt) == 100  # two time constants
    turned = follow_spend(state, [8.0 if spent == 0 else 0.0], **terms)
    assert 0.05 < turned.price < 0.2


def test_a_delay_makes_the_price_slower():
    state = follow_spend(StreamState(0.1), [8.0], delay=50, **FREE)
    assert np.log(state.price / 0.1) == pytest.approx((1 + 1 / 600) / 150)
    later = follow_spend(state, [8.0], delay=0, **FREE)
    assert 49 < later.delay < 50  # it is forgotten slowly


def test_the_price_moves_less_where_spend_is_elastic():
    table = np.log([0.1, 1.0]).tolist(), [0.5, 2.0]
    moves = []
    for price in (0.01, 0.1, 1.0):
        state = follow_spend(StreamState(price), [8.0], **FREE, elasticity=table)
        moves.append(np.log(state.price / price))
    assert moves == pytest.approx([moves[0], moves[0], moves[0] / 4])


def test_elasticities_are_measured_between_prices_and_limited():
    # Spend falls with the power 0.75 of prices below 1, and with the power 4 above,
    # until it is as good as nothing.
    logs, elasticities = spend_elasticity(
        lambda price: price**-0.75 if price < 1 else price**-4.0, 1 / 16, 16.0, 1.0
    )
    assert np.exp(logs) == pytest.approx([1 / 8, 1 / 2, 2, 8])
    assert elasticities == pytest.approx([0.75, 0.75, 2.0, 0.5])


def follow(spends, *, noise_of=None, state=None, **terms):
    """Play queries that spend what functions of the price say; return all spends."""
    state = state or StreamState(0.25)
    spent = []
    for spend_at in spends:
        spent.append(spend_at(state.price))
        state = follow_spend(state, [spent[-1]], **FREE | terms)
    return np.array(spent), state


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_what_a_change_cost_is_paid_back(power):
    # At the same price, queries suddenly spend three times as much.
    rng = np.random.default_rng(0)
    before = [lambda price: rng.exponential((0.25 / price) ** power * 4)] * 1000
    after = [lambda price: rng.exponential((0.25 / price) ** power * 12)] * 1500
    spent, state = follow(before + after)
    assert abs(spent.mean() / 4 - 1) < 0.01
    assert abs(spent[1300:].mean() / 4 - 1) < 0.05
    assert state.spent == pytest.approx(spent.sum())


@pytest.mark.parametrize("delay", [0, 30, 1000])
def test_spend_settles_where_it_is_inverse_to_the_price(delay):
    # Queries decided at the price of `delay` closings ago, which spend 1 / price.
    state, prices = StreamState(2.0), [2.0] * (delay + 1)
    for _ in range(30_000):
        spent = [1 / prices[-1 - delay]]
        state = follow_spend(state, spent, delay=delay, **FREE)
        prices.append(state.price)
    assert np.allclose(prices[-2000:], 0.25, rtol=0.02)


def test_promises_end_at_the_cap_of_their_window():
    state, granted = StreamState(0.1), []
    for window, wanted in [(0, 3), (0, 3), (1, 3), (0, 1), (1, 1)]:
        state, now = promise_samples(state, window, wanted, **CAP)
        granted.append(now)
    assert granted == [3, 1, 3, 0, 1]
    assert state.windows == {"10 queries-0": 4, "10 queries-1": 4}


def test_windows_that_are_long_past_promise_nothing():
    state, _ = promise_samples(StreamState(0.1), 5, 1, **CAP)
    state, granted = promise_samples(state, 3, 1, **CAP)
    assert granted == 0
    state, _ = promise_samples(state, 7, 1, **CAP)
    assert state.windows == {"10 queries-7": 1}


def test_all_that_is_wanted_or_nothing_is_promised():
    state, _ = promise_samples(StreamState(0.1), 0, 3, **CAP)
    after, granted = promise_samples(state, 0, 2, whole=True, **CAP)
    assert (granted, after.windows) == (0, state.windows)
    _, granted = promise_samples(state, 0, 1, whole=True, **CAP)
    assert granted == 1


def test_windows_of_another_kind_are_forgotten():
    state, _ = promise_samples(StreamState(0.1), 900, 3, **CAP)
    state, granted = promise_samples(state, 2, 3, **CAP | {"kind": "60 seconds"})
    assert (granted, state.windows) == (3, {"60 seconds-2": 3})
