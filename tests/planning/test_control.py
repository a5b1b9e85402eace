"""The price of a stream follows its spend; promises stay below a cap."""

import numpy as np
import pytest

from sklearn_adaalloc.planning._control import (
    StreamState,
    follow_spend,
    promise_samples,
)

CAP = {"most": 4, "kind": "10 queries", "n_kept": 2}
FREE = {"budget": 4.0, "gain": 0.02, "bounds": (1e-9, 1e9)}


def test_the_log_price_moves_by_the_gain_times_the_relative_excess():
    state = follow_spend(StreamState(0.1), [6.0], **FREE)
    assert np.log(state.price / 0.1) == pytest.approx(0.02 * (6 - 4) / 4)
    assert (state.n_queries, state.spent) == (1, 6.0)


def test_what_was_overspent_is_what_the_log_price_moved():
    # Each query moves the log price by its share of the overspend, so the sum does too.
    spent = np.random.default_rng(0).exponential(5.0, 1000)
    state = StreamState(0.1)
    for each in spent:
        state = follow_spend(state, [each], **FREE)
    overspent = state.spent - 1000 * 4.0
    assert overspent == pytest.approx(4.0 / 0.02 * np.log(state.price / 0.1))


def test_queries_closed_together_count_as_one_after_another():
    together = follow_spend(StreamState(0.1), [6.0, 1.0], **FREE)
    first = follow_spend(StreamState(0.1), [6.0], **FREE)
    apart = follow_spend(first, [1.0], **FREE)
    assert together.price == pytest.approx(apart.price)
    assert together[1:] == apart[1:]


def test_the_price_leaves_a_bound_as_soon_as_spend_turns():
    terms = FREE | {"bounds": (0.05, 0.2)}
    state = StreamState(0.1)
    for _ in range(10_000):  # nothing can be spent
        state = follow_spend(state, [0.0], **terms)
    assert state.price == pytest.approx(0.05)
    state = follow_spend(state, [8.0], **terms)
    assert np.log(state.price / 0.05) == pytest.approx(0.02)


def test_a_delay_lowers_the_gain():
    state = follow_spend(StreamState(0.1), [8.0], delay=50, **FREE)
    assert np.log(state.price / 0.1) == pytest.approx(0.02 / (1 + 0.02 * 50))
    later = follow_spend(state, [8.0], delay=0, **FREE)
    assert 49 < later.delay < 50  # it is forgotten slowly


@pytest.mark.parametrize("delay", [0, 30, 1000])
def test_spend_settles_where_it_is_inverse_to_the_price(delay):
    # Queries decided at the price of `delay` closings ago, which spend 1 / price.
    state, prices = StreamState(2.0), [2.0] * (delay + 1)
    for _ in range(12_000):
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
