"""A hard cap of streams: never exceeded, in windows of queries and of time."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge
from stream_worlds import mixed_world, serve_many

from sklearn_adaalloc import RewardRegressor, StreamAllocator
from sklearn_adaalloc.allocators import CapReachedError

RIDGE = RewardRegressor(Ridge())
X, REWARDS = mixed_world(400)
CHEAP = {"budget": 2, "target": "price", "price": 0.01, "random_state": 0}


def fitted(**params):
    """A policy that takes as many samples as the cap allows, if not told otherwise."""
    return StreamAllocator(RIDGE, **(CHEAP | params)).fit(X, REWARDS)


def fail_all(session):
    """Samples that a session asks for if all fail."""
    with session:
        while (asked := session.ask()) is not None:
            session.tell([[0] * n for n in asked])
    return session.budgets


def start_or_refuse(stream, x):
    """Samples of a query; None if it is refused."""
    try:
        session = stream.start(x)
    except CapReachedError:
        return None
    return int(fail_all(session)[0])


# --- windows of queries ----------------------------------------------------------


@pytest.mark.parametrize("min_budget", [0, 1])
def test_a_cap_is_never_exceeded(min_budget):
    X, rewards = mixed_world(1500)
    policy = StreamAllocator(
        RIDGE,
        budget=2,
        min_budget=min_budget,
        cap=2.2,
        cap_window=100,
        random_state=0,
    )
    policy.fit(X, rewards)
    hard = np.zeros_like(rewards)  # the verifier fails all answers
    budgets = serve_many(policy.open(), X, hard, n_open=300)
    windows = budgets.reshape(15, 100).mean(axis=1)
    assert windows.max() <= 2.2
    assert windows.max() > 2.1
    assert budgets.min() == min_budget


@pytest.mark.slow
def test_a_cap_is_never_exceeded_with_a_thousand_open():
    rng = np.random.default_rng(5)
    X, rewards = mixed_world(5000, seed=5)
    rewards[2000:] *= rng.random(rewards[2000:].shape) < 0.3  # it turns harder
    policy = fitted(target="budget", cap=2.5, cap_window=500)
    budgets = serve_many(policy.open(), X, rewards, n_open=1000)
    assert budgets.reshape(10, 500).sum(axis=1).max() <= 1250


def test_threads_never_exceed_a_cap():
    stream = fitted(cap=2, cap_window=50, n_rounds=2).open()
    budgets = []

    def serve():
        for x in X[:25]:
            budgets.append(int(fail_all(stream.start(x))[0]))

    threads = [threading.Thread(target=serve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(budgets) == 200
    assert sum(budgets) == 400


def test_a_cap_on_several_decoders_counts_the_samples_of_all():
    rewards = np.stack([REWARDS, REWARDS], axis=1)
    policy = StreamAllocator(
        RewardRegressor(Ridge(), target="rate_profiles"),
        **CHEAP | {"n_rounds": 2, "min_budget": [1, 0]},
        cap=2.5,
        cap_window=20,
    )
    stream = policy.fit(X, rewards).open()
    budgets = []
    for x in X[:60]:
        with stream.start(x) as session:
            while (asked := session.ask()) is not None:
                session.tell([[[0] * n for n in asked[0]]])
        budgets.append(session.budgets[0])
    budgets = np.array(budgets)
    assert_array_equal(budgets.reshape(3, -1).sum(axis=1), 50)
    assert (budgets >= [1, 0]).all()
    with pytest.raises(ValueError, match=r"cap=1\.5 is below min_budget=\[1, 1\]"):
        policy.set_params(min_budget=[1, 1], cap=1.5).open()


def test_a_share_of_samples_is_rounded_like_a_decimal_number():
    stream = fitted(cap=2.3, cap_window=100, budget=1).open()  # 229.99999999999997
    assert sum(int(fail_all(stream.start(x))[0]) for x in X[:100]) == 230


def test_windows_of_another_length_start_anew(tmp_path):
    stream = fitted(cap=2, cap_window=5).open()
    for x in X[:200]:
        fail_all(stream.start(x))
    stream.save(tmp_path / "stream.json")
    later = fitted(cap=2, cap_window=100).open(state=tmp_path / "stream.json")
    assert fail_all(later.start(X[0]))[0] > 0


# --- windows of time -------------------------------------------------------------


class Clock:
    """A clock that stands still until it is set."""

    now = 1000.0

    def __call__(self):
        return self.now


def timed(**params):
    options = {"cap": 0.5, "cap_window": 60.0, "cap_per": "second"} | params
    stream = fitted(**options).open()
    stream._clock = Clock()
    return stream


def test_samples_of_a_window_of_time_are_capped():
    stream = timed()  # 30 samples a minute
    spends = []
    for minute in range(4):
        stream._clock.now = 60.0 * minute + 7
        spends.append(sum(int(fail_all(stream.start(x))[0]) for x in X[:20]))
    assert spends == [30] * 4


def test_a_query_that_is_open_over_windows_goes_on_in_the_next():
    stream = timed(cap=0.05)  # 3 samples a minute
    session = stream.start(X[0])
    taken = []
    for minute in (0, 0, 0, 1, 1, 1, 2):
        stream._clock.now = 60.0 * minute
        if (asked := session.ask()) is not None:
            session.tell([[0] * asked[0]])
        taken.append(asked is not None)
    assert taken == [True] * 7
    assert session.ask() is not None
    stream = timed(cap=0.05)
    session = stream.start(X[0])
    for _ in range(3):
        session.tell([[0] * session.ask()[0]])
    assert session.ask() is None
    stream._clock.now += 60
    assert_array_equal(session.ask(), [1])


def test_a_clock_that_goes_back_gives_no_window_twice():
    stream = timed(cap=0.1)
    for now in (600.0, 540.0, 600.0):
        stream._clock.now = now
        fail_all(stream.start(X[0]))
    assert set(stream._state.read().windows.values()) == {6}


def test_a_clock_that_was_wrong_for_a_while_stops_nothing():
    stream = timed(cap=0.1)  # 6 samples a minute
    spends = []
    for now in (600.0, 660.0, 1e9, 1e9 + 60, 660.0, 720.0, -5.0, 0.0):
        stream._clock.now = now
        spends.append(sum(int(fail_all(stream.start(x))[0]) for x in X[:20]))
    assert spends == [6, 6, 6, 6, 0, 6, 6, 0]


def test_the_clock_is_that_of_the_machine():
    stream = fitted(cap=1000.0, cap_window=1e6, cap_per="second").open()
    fail_all(stream.start(X[0]))
    (name,) = stream._state.read().windows
    assert 1700 < int(name.rpartition("-")[2]) < 10_000  # million seconds since 1970


def test_time_does_not_say_how_many_queries_come():
    with pytest.raises(ValueError, match="min_budget=1 is not accepted with cap_per="):
        fitted(cap=9, cap_per="second", min_budget=1)
    stream = timed(min_budget=1, cap_action="refuse", price=9.0)
    budgets = [start_or_refuse(stream, x) for x in X[:40]]
    assert budgets == [1] * 30 + [None] * 10


# --- refusals --------------------------------------------------------------------


def test_queries_are_refused_once_a_window_is_used_up():
    stream = fitted(cap=2, cap_window=10, cap_action="refuse").open()
    budgets = [start_or_refuse(stream, x) for x in X[:30]]
    for first in (0, 10, 20):
        window = budgets[first : first + 10]
        served = [each for each in window if each is not None]
        assert sum(served) == 20
        assert window == served + [None] * (10 - len(served))
        assert None in window
    assert stream.n_queries == sum(each is not None for each in budgets)


def test_mandatory_samples_are_promised_when_a_query_starts():
    policy = fitted(cap=2, cap_window=4, min_budget=2, cap_action="refuse", price=9.0)
    stream = policy.open()
    sessions = [stream.start(x) for x in X[:4]]
    assert [int(fail_all(session)[0]) for session in sessions] == [2] * 4
    stream = fitted(cap=2, cap_window=4, min_budget=1, cap_action="refuse").open()
    waiting = stream.start(X[0])  # one sample is promised, and seven are left
    assert [start_or_refuse(stream, x) for x in X[1:4]] == [7, None, None]
    assert_array_equal(fail_all(waiting), [1])


def test_queries_that_arrive_together_are_refused_together():
    stream = fitted(cap=1, cap_window=6, cap_action="refuse").open()
    assert fail_all(stream.start(X[:2])).sum() == 6
    with pytest.raises(CapReachedError, match="window 0 of 6 queries are used up"):
        stream.start(X[:5])  # the last of these would be in the next window
    assert start_or_refuse(stream, X[0]) == 6
    with pytest.raises(CapReachedError, match=r"the 30 samples of window 16 of 60\.0"):
        timed(min_budget=1, cap_action="refuse", price=9.0).start(X[:31])


def test_processes_share_windows(tmp_path):
    policy = fitted(cap=2, cap_window=20, cap_action="refuse")
    path = tmp_path / "stream.sqlite"
    with policy.open(path=path) as one, policy.open(path=path) as other:
        budgets = [
            start_or_refuse(stream, x)
            for stream, x in zip([one, other] * 10, X[:20], strict=True)
        ]
    assert sum(each or 0 for each in budgets) == 40


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"cap_window": 2.5}, r"cap_window=2\.5"),
        ({"cap_window": 0, "cap_per": "second"}, "cap_window=0 is not accepted"),
        (
            {"cap_per": "second", "cap_window": 0.3, "cap_action": "refuse"},
            r"cap=3 allows 0 samples in a window of 0\.3 seconds",
        ),
        ({"cap_per": "minute"}, "cap_per='minute' is not accepted"),
        ({"cap_action": "raise"}, "cap_action='raise' is not accepted"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        fitted(cap=3, **params)
