"""Streams on several decoders with real-valued rewards."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.planning._normal_belief import NormalMenuBelief
from sklearn_adaalloc.planning._normal_menus import RewardNormals

rng = np.random.default_rng(0)
X = rng.normal(size=(400, 2))
MEANS = X[:, :1] + [-0.5, 0.5] + 0.6 * rng.normal(size=(400, 2))
REWARDS = MEANS[:, :, None] + 0.5 * rng.normal(size=(400, 2, 4))
TABLE = RewardTable(REWARDS, costs=[1.0, 4.0], decoders=["small", "large"])
REGRESSOR = RewardRegressor(Ridge(), target="normal_rewards")
TERMS = {"unit": "cost", "budget": 5.0, "empty_reward": -3.0, "random_state": 0}


@pytest.mark.parametrize("n_rounds", [None, 3])
def test_queries_decided_alone_are_nearly_as_good_as_a_batch(n_rounds):
    policies = [
        each(REGRESSOR, n_rounds=n_rounds, **TERMS).fit(X[:250], TABLE[:250])
        for each in (StreamAllocator, SequentialAllocator)
    ]
    stream, batch = (policy.score(X[250:], TABLE[250:]) for policy in policies)
    assert stream > batch - 0.06
    _, spent = policies[0]._replay(X[250:], TABLE[250:])
    assert spent.mean() == pytest.approx(5.0, rel=0.05)
    assert policies[0].realised_budget_ == pytest.approx(5.0, rel=0.05)


def test_a_session_stops_when_a_good_reward_is_told():
    policy = StreamAllocator(REGRESSOR, **TERMS).fit(X, TABLE)
    with policy.open() as stream:
        lengths = []
        for reward in (-3.0, 4.0):
            with stream.start(X[0]) as session:
                while (asked := session.ask()) is not None:
                    assert asked.shape == (1, 2)
                    session.tell([[[reward] * n for n in asked[0]]], [[1.0, 4.0]])
                lengths.append(session.budgets.sum())
    assert lengths[0] > lengths[1] == 1


def belief(limits=((3, 2),), **options):
    normals = RewardNormals(
        np.array([[1.0, 0.8], [0.8, 1.0]]), np.full(2, 0.5), np.inf, -3.0
    )
    means = np.zeros((len(limits), 2))
    return NormalMenuBelief(means, normals, np.array(limits), **options)


def test_plans_at_a_price():
    assert_array_equal(belief().plan_at(np.array([0.1, 0.4]), None), [1, 0])
    assert_array_equal(belief().plan_at(np.array([0.4, 0.1]), None), [0, 1])
    assert_array_equal(belief().plan_at(np.array([9.0, 9.0]), None), [0, 0])
    assert_array_equal(belief().plan_at(np.zeros(2), 1), [3, 2])
    first = belief(mandatory=[0, 1]).plan_at(np.array([9.0, 9.0]), None)
    assert_array_equal(first, [0, 1])


def test_a_restart_forgets_the_samples():
    known = belief()
    before = known.plan_at(np.array([0.1, 0.4]), None)
    known.update(np.array([[5.0], [np.nan]]))
    assert not known.plan_at(np.array([0.1, 0.4]), None).any()
    known.restart()
    assert_array_equal(known.plan_at(np.array([0.1, 0.4]), None), before)
    assert_allclose(known.best, -np.inf)
