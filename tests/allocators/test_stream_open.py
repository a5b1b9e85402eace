"""Many queries of a stream are open at once."""

import threading

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from stream_worlds import mixed_world, serve_many

from sklearn_adaalloc import RewardRegressor, StreamAllocator

RIDGE = RewardRegressor(Ridge())


def fitted(X, rewards, **params):
    return StreamAllocator(RIDGE, random_state=0, **params).fit(X, rewards)


def finish(session, rewards):
    """Serve an open session to its end."""
    while (asked := session.ask()) is not None:
        taken = int(session.budgets[0])
        session.tell([rewards[taken : taken + asked[0]]])
    session.close()


def test_threads_share_a_stream():
    X, rewards = mixed_world(400)
    stream, budgets = fitted(X, rewards, budget=2).open(), {}

    def serve(rows):
        for row in rows:
            session = stream.start(X[row])
            finish(session, rewards[row])
            budgets[row] = int(session.budgets[0])

    parts = [range(start, 400, 8) for start in range(8)]
    threads = [threading.Thread(target=serve, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stream.n_queries == 400
    assert stream.mean_cost == np.mean(list(budgets.values()))


def test_the_budget_holds_while_many_are_open():
    X, rewards = mixed_world(3000)
    policy = fitted(X[:500], rewards[:500], budget=2)
    stream = policy.open()
    budgets = serve_many(stream, X, rewards, n_open=200)
    assert budgets.mean() == pytest.approx(2, rel=0.1)
    assert abs(np.log(stream.price / policy.price_)) < 0.7  # it does not oscillate


def test_cheap_queries_that_are_closed_first_do_not_lower_the_price():
    X, rewards = mixed_world(2000, hard=0.8)
    policy = fitted(X[:1000], rewards[:1000], budget=6)
    stream, dear = policy.open(), []
    for x, row in zip(X[1000:1200], rewards[1000:1200], strict=True):
        session = stream.start(x)
        for _ in range(3):
            if (asked := session.ask()) is None:
                break
            taken = int(session.budgets[0])
            session.tell([row[taken : taken + asked[0]]])
        if session.ask() is None:
            session.close()
        else:
            dear.append((session, row))
    assert stream.mean_cost < 3 < len(dear)
    # By those that are closed, each query saved more than half of its budget.
    saved = stream.n_queries * (1 - stream.mean_cost / 6)
    assert saved > 50
    assert stream._state.read().debt > 0
    assert abs(np.log(stream.price / policy.price_)) < 0.5
    for session, row in dear:
        finish(session, row)
    assert stream.mean_cost == pytest.approx(6, rel=0.15)


@pytest.mark.parametrize("n_open", [8, 64])
def test_what_was_foreseen_is_settled_when_all_are_closed(n_open):
    X, rewards = mixed_world(600)
    stream = fitted(X[:300], rewards[:300], budget=3).open()
    budgets = serve_many(stream, X[300:], rewards[300:], n_open=n_open)
    assert stream._foreseen == pytest.approx(0.0, abs=1e-9)
    debt = budgets.sum() / 3 - len(budgets)
    assert stream._state.read().debt == pytest.approx(debt, abs=1e-9)


def test_a_stream_of_an_earlier_version_follows_what_is_closed():
    X, rewards = mixed_world(600)
    policy = fitted(X[:300], rewards[:300], budget=3)
    rule = policy._rule()
    del rule["spends"]
    budgets = serve_many(policy.open(), X[300:], rewards[300:], n_open=8)
    assert budgets.mean() == pytest.approx(3, rel=0.1)
