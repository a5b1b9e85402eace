"""A stream at its edges: odd forms of queries, extreme parameters, false accounts."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    BinnedAllocator,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    StreamAllocator,
)
from sklearn_adaalloc.datasets import make_reward_table

X, REWARDS = make_reward_table(80, 6, random_state=0, return_X_y=True)
RIDGE = RewardRegressor(Ridge())


def fitted(X=X, **params):
    options = {"budget": 2, "random_state": 0} | params
    return StreamAllocator(RIDGE, **options).fit(X, REWARDS)


# --- one query in many forms -----------------------------------------------------


def test_a_row_of_a_data_frame_is_a_query():
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    stream = fitted(frame).open()
    for _, row in frame[:3].iterrows():
        assert_array_equal(stream.start(row).ask(), [1])


def test_other_rows_are_queries():
    stream = fitted().open()
    for row in (csr_array(X)[0], csr_array(X)[[0]], list(X[0]), X[0] > 0):
        assert_array_equal(stream.start(row).ask(), [1])


# --- extreme parameters ----------------------------------------------------------


def test_more_rounds_than_samples_change_nothing():
    X_few, rewards = X[:10], REWARDS[:10]
    few, many = (fitted(n_rounds=n).score(X_few, rewards) for n in (32, 10**9))
    assert few == many


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"cap": 1e308}, r"cap=1e\+308 is not accepted"),
        ({"cap": 3, "cap_window": 1e-300, "cap_per": "second"}, "cap_window=1e-300"),
    ],
)
def test_caps_that_no_number_can_hold(params, message):
    with pytest.raises(ValueError, match=message):
        fitted(**params)


@pytest.mark.parametrize("kind", [StreamAllocator, PricedAllocator, BinnedAllocator])
def test_too_few_queries_to_hold_some_out(kind):
    policy = kind(RIDGE, holdout=0.99)
    message = r"holdout=0\.99 keeps all queries \(n_samples=80\) from the"
    with pytest.raises(ValueError, match=message):
        policy.fit(X, REWARDS)


@pytest.mark.parametrize("unit", [1e-12, 1e13])
@pytest.mark.parametrize("n_decoders", [1, 2])
def test_costs_may_be_counted_in_dollars_or_in_operations(unit, n_decoders):
    rewards = REWARDS if n_decoders == 1 else REWARDS.reshape(80, 2, 3)
    costs = 1.0 if n_decoders == 1 else [1.0, 5.0]
    score, scaled = (
        StreamAllocator(RIDGE, unit="cost", budget=2 * by, random_state=0)
        .fit(X, RewardTable(rewards, costs=by * np.array(costs)))
        .score(X, RewardTable(rewards, costs=by * np.array(costs)))
        for by in (1, unit)
    )
    assert score > 0
    assert scaled == pytest.approx(score, abs=0.03)


@pytest.mark.parametrize("largest", [1e-9, 1e20])
def test_rewards_of_any_size_keep_the_budget(largest):
    noise = np.random.default_rng(0).normal(size=(80, 6))
    rewards = largest * (X[:, :1] + noise)
    policy = StreamAllocator(RIDGE, budget=2, random_state=0).fit(X, rewards)
    assert 1.8 < policy.realised_budget_ <= 2


# --- false accounts --------------------------------------------------------------


def test_no_more_is_refunded_than_was_paid():
    stream = fitted().open()
    session = stream.start(X[0])
    session.charge(0.3)
    session.refund(0.3)
    with pytest.raises(
        ValueError, match=r"refund was called with cost=2\.0, but .* 0\."
    ):
        session.refund(2)
    session.ask()
    session.tell([[0]])
    session.refund(1)
    session.close()
    assert stream.mean_cost == pytest.approx(0)


def test_what_rounding_leaves_is_no_negative_spend(tmp_path):
    stream = fitted().open()
    with stream.start(X[0]) as session:
        for cost in (0.1, 0.2):
            session.charge(cost)
        session.refund(0.3 + 1e-12)
    stream.save(tmp_path / "stream.json")
    assert fitted().open(state=tmp_path / "stream.json").mean_cost == 0


# --- what is told ----------------------------------------------------------------


@pytest.mark.parametrize("size", [1e31, -1e200])
@pytest.mark.parametrize("n_decoders", [1, 2])
def test_rewards_that_would_overflow_are_refused(size, n_decoders):
    rewards = X[:, :1] + np.random.default_rng(0).normal(size=(80, 6))
    rewards = rewards if n_decoders == 1 else rewards.reshape(80, 2, 3)
    policy = StreamAllocator(RIDGE, budget=2, empty_reward=-9, random_state=0)
    stream = policy.fit(X, rewards).open()
    with stream.start(X[0]) as session:
        asked = session.ask()
        told = [size] if n_decoders == 1 else [[size] * int(n) for n in asked[0]]
        message = "contains.* in row 0" if n_decoders == 1 else "for decoder . of query"
        with pytest.raises(ValueError, match=message):
            session.tell([told])
    assert stream.mean_cost == asked.sum()
