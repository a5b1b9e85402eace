"""Allocators on tables of several decoders with real-valued rewards."""

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.dummy import DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    MLPRewardRegressor,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
    load_policy,
    save_policy,
)
from sklearn_adaalloc.allocators._menu_session import replay_menu

RIDGE = RewardRegressor(Ridge())
COSTS = np.array([1.0, 2.0, 8.0])
NAMES = ["small", "middle", "large"]
OFFSETS = np.array([-0.5, 0.0, 0.8])
DEVIATIONS = np.array([0.7, 0.6, 0.4])
EMPTY = {"empty_reward": -2.0}
ALLOCATORS = [AdaptiveAllocator, PricedAllocator, SequentialAllocator]


def make_world(n_queries=400, n_samples=4, correlation=0.8, seed=0):
    """Queries that differ in one feature, and in a part that no feature shows."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_queries, 3))
    covariance = correlation + (1 - correlation) * np.eye(3)
    hidden = rng.multivariate_normal(np.zeros(3), covariance, size=n_queries)
    means = 0.7 * X[:, :1] + OFFSETS + hidden
    noise = rng.normal(size=(n_queries, 3, n_samples))
    return X, means[:, :, None] + DEVIATIONS[:, None] * noise


@pytest.fixture(scope="module")
def world():
    X, rewards = make_world()
    return X, RewardTable(rewards, costs=COSTS, decoders=NAMES)


SMALL = MLPRewardRegressor(n_members=2, max_epochs=60, random_state=0)


@pytest.mark.parametrize("regressor", [RIDGE, SMALL])
def test_the_model_is_learnt(regressor):
    X, rewards = make_world(1000)
    rewards[::3, 1, 1:] = rewards[1::3, 2] = np.nan
    regressor.fit(X, rewards)
    assert regressor.target_ == "normal_rewards"
    assert_allclose(regressor.covariance_, 0.8 + 0.2 * np.eye(3), atol=0.15)
    assert_allclose(regressor.deviations_, DEVIATIONS, atol=0.04)
    assert regressor.highest_reward_ == np.nanmax(rewards)
    predicted = regressor.predict(X)
    assert np.abs(predicted - 0.7 * X[:, :1] - OFFSETS).mean() < 0.12
    assert regressor.score(X, rewards) > 0.2
    alone = regressor.predict_marginals(X[:5], 3, min_budget=3)
    assert alone.shape == (5, 3, 3)
    assert_allclose(alone[..., 0], predicted[:5])
    growth = regressor.deviations_ / np.sqrt(np.pi)  # the mean of the larger of two
    assert_allclose(alone[:, :, 1], growth * np.ones((5, 1)), rtol=1e-3)


def test_residuals_are_those_of_queries_held_out():
    # A regressor that learns each query by heart leaves no residual in training.
    from sklearn.neighbors import KNeighborsRegressor

    X, rewards = make_world()
    nearest = RewardRegressor(KNeighborsRegressor(1)).fit(X, rewards)
    assert (np.diag(nearest.covariance_) > 1.5).all()  # twice that of the means


@pytest.mark.parametrize("Allocator", ALLOCATORS)
@pytest.mark.parametrize(("unit", "budget"), [("samples", 1.5), ("cost", 5.0)])
def test_budgets_have_an_axis_of_decoders(world, Allocator, unit, budget):
    X, table = world
    policy = Allocator(RIDGE, unit=unit, budget=budget, **EMPTY)
    policy.fit(X[:300], table[:300])
    assert policy.regressor_.target_ == "normal_rewards"
    budgets = policy.predict(X[300:])
    assert budgets.shape == (100, 3)
    assert budgets.dtype == np.int64
    assert 0 <= budgets.min() <= budgets.max() <= 4
    costs = COSTS if unit == "cost" else np.ones(3)
    assert 0.8 * budget < (budgets @ costs).mean() < 1.2 * budget
    assert policy.score(X[300:], table[300:]) > -0.2


@pytest.mark.parametrize("Allocator", [AdaptiveAllocator, SequentialAllocator])
@pytest.mark.parametrize("budget", [0.4, 1.0, 3.3, 9.0, 40.0])
def test_one_shot_never_costs_more_than_the_budget(world, Allocator, budget):
    X, table = world
    policy = Allocator(RIDGE, unit="cost", budget=budget, **EMPTY).fit(X, table)
    spent = (policy.predict(X[:37]) @ COSTS).mean()
    assert min(budget, 4 * COSTS.sum() - 1) - 8 / 37 < spent <= budget


def test_one_shot_is_better_than_the_same_for_all(world):
    # Only some decoders are good at some queries, and the features say which.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    rewards = X[:, :, None] + 0.3 * rng.normal(size=(600, 3, 4))
    policy = AdaptiveAllocator(RIDGE, budget=1.0, **EMPTY).fit(X[:300], rewards[:300])
    score = policy.score(X[300:], rewards[300:])
    single = rewards[300:].mean(axis=(0, 2)).max()
    assert score > single + 0.6  # of 0.85, the mean of the best of three normals


@pytest.mark.parametrize("n_rounds", [1, 2, 4, None])
@pytest.mark.parametrize("unit", ["samples", "cost"])
def test_sessions_stay_within_the_budget(world, unit, n_rounds):
    X, table = world
    policy = SequentialAllocator(
        RIDGE, unit=unit, budget=2.5, n_rounds=n_rounds, **EMPTY
    )
    session = policy.fit(X[:200], table[:200]).start(X[200:])
    costs = table.costs[200:] if unit == "cost" else None
    replay_menu(session, table.rewards[200:], costs)
    each = COSTS if unit == "cost" else np.ones(3)
    assert_allclose(session.costs, session.budgets * each)
    assert 2.45 * 200 <= session.costs.sum() <= 2.5 * 200
    assert session.rounds_taken <= (n_rounds or np.inf)
    done = policy.score(X[200:], table[200:])
    assert done == session.best_rewards.mean()


def test_more_rounds_bring_more():
    X, rewards = make_world(1000, correlation=0.2, seed=5)
    table = RewardTable(rewards, costs=COSTS)
    scores = [
        SequentialAllocator(RIDGE, unit="cost", budget=6.0, n_rounds=n_rounds, **EMPTY)
        .fit(X[:400], table[:400])
        .score(X[400:], table[400:])
        for n_rounds in (1, 2, 4)
    ]
    assert scores[0] + 0.1 < scores[1] < scores[2]


def test_correlated_means_matter():
    X, rewards = make_world(1200, correlation=0.95, seed=1)
    table = RewardTable(rewards, costs=COSTS)
    policy = SequentialAllocator(RIDGE, unit="cost", budget=6.0, n_rounds=None, **EMPTY)
    policy.fit(X[:600], table[:600])
    known = policy.score(X[600:], table[600:])
    covariance = policy.regressor_.covariance_
    policy.regressor_.covariance_ = np.diag(np.diag(covariance))
    assert known > policy.score(X[600:], table[600:]) + 0.02


def test_a_poor_answer_lowers_the_others(world):
    X, table = world
    policy = SequentialAllocator(
        RIDGE, budget=2.0, min_budget=[1, 0, 0], n_rounds=2, **EMPTY
    )
    session = policy.fit(X, table).start(X[:1].repeat(40, axis=0))
    assert_array_equal(session.ask()[:, 0], 1)
    told = np.linspace(-4, 2, 40)
    first = session.ask()
    session.tell(
        [[[t] * a, [t] * b, [t] * c] for t, (a, b, c) in zip(told, first, strict=True)]
    )
    means, _ = _posterior(session)
    assert (np.diff(means, axis=0) > 0).all()


def _posterior(session):
    from sklearn_adaalloc.curves._normal_means import posterior_means

    belief = session._belief
    normals, shape = belief._normals, belief._limits.shape
    samples = belief._samples
    return posterior_means(
        belief._means,
        normals.covariance,
        normals.deviations**2,
        samples.count.reshape(shape),
        samples.mean.reshape(shape),
    )


def test_bounds_of_each_decoder(world):
    X, table = world
    options = {"min_budget": [1, 0, 0], "max_budget": [2, 4, 1], "budget": 3.0}
    for Allocator in ALLOCATORS:
        policy = Allocator(RIDGE, **options, **EMPTY).fit(X, table)
        budgets = policy.predict(X)
        assert (budgets >= [1, 0, 0]).all()
        assert (budgets <= [2, 4, 1]).all()
    session = policy._replay(X, table)
    assert (session.budgets >= [1, 0, 0]).all()
    assert (session.budgets <= [2, 4, 1]).all()
    assert session.budgets.sum() == 1200


def test_missing_decoders_get_nothing(world):
    X, table = world
    policy = SequentialAllocator(RIDGE, budget=3.0, **EMPTY).fit(X, table)
    available = np.random.default_rng(0).random((400, 3)) < 0.7
    session = policy.start(X, available=available)
    assert_array_equal(session.ask()[~available], 0)


def test_a_decoder_that_is_withdrawn_is_not_asked_again(world):
    X, table = world
    policy = SequentialAllocator(RIDGE, budget=6.0, n_rounds=3, **EMPTY).fit(X, table)
    session = policy.start(X[:50])
    gone = session.ask() > 0
    session.tell([[[0.0] * n for n in row] for row in session.ask()])
    taken = session.budgets
    session.withdraw(gone)
    while (asked := session.ask()) is not None:
        assert_array_equal(asked[gone], 0)
        session.tell([[[0.0] * n for n in row] for row in asked])
    assert_array_equal(session.budgets[gone], taken[gone])


def test_varying_costs_stay_within_the_budget(world):
    X, table = world
    noise = np.exp(np.random.default_rng(0).normal(0, 0.4, table.shape))
    varied = RewardTable(table.rewards, costs=noise * COSTS[:, None])
    for n_rounds in (2, None):
        policy = SequentialAllocator(
            RIDGE, unit="cost", budget=5.0, n_rounds=n_rounds, **EMPTY
        )
        session = policy.fit(X[:200], varied[:200])._replay(X[200:], varied[200:])
        assert 4.3 < session.costs.sum(axis=1).mean() <= 5.0 * 1.005


def test_two_decoders_with_a_target():
    X, rewards = make_world(150)
    routed = AdaptiveAllocator(RIDGE, budget=0.5).fit(X, rewards[:, 1:])
    assert routed.predict(X).shape == (150,)
    normal = RewardRegressor(Ridge(), target="normal_rewards")
    policy = AdaptiveAllocator(normal, budget=0.5).fit(X, rewards[:, 1:])
    assert policy.predict(X).shape == (150, 2)


def test_constant_rewards():
    rewards = np.full((20, 3, 2), 0.25)
    rewards[:, 2] = 0.5
    regressor = RewardRegressor(DummyRegressor())
    policy = SequentialAllocator(regressor, budget=2.0).fit(np.zeros((20, 1)), rewards)
    assert_array_equal(policy.predict(np.zeros((4, 1))), [[0, 0, 1]] * 4)
    assert policy.score(np.zeros((20, 1)), rewards) == 0.5


@pytest.mark.parametrize("Allocator", ALLOCATORS)
def test_policies_are_saved(world, Allocator, tmp_path):
    X, table = world
    regressor = MLPRewardRegressor(n_members=2, max_epochs=3, random_state=0)
    options = {"budget": 5.0, "unit": "cost", "random_state": 0, **EMPTY}
    policy = Allocator(regressor, **options).fit(X, table)
    save_policy(policy, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    assert_array_equal(loaded.predict(X), policy.predict(X))
    assert loaded.score(X, table) == policy.score(X, table)
    joblib.dump(policy, tmp_path / "pickle")
    assert_array_equal(joblib.load(tmp_path / "pickle").predict(X), policy.predict(X))


def test_a_session_is_saved_at_any_point(world, tmp_path):
    X, table = world
    policy = SequentialAllocator(RIDGE, budget=3.0, n_rounds=2, **EMPTY).fit(X, table)
    session = policy.start(X[:20])
    session.tell([[[0.5] * n for n in row] for row in session.ask()])
    joblib.dump(session, tmp_path / "session")
    assert_array_equal(joblib.load(tmp_path / "session").ask(), session.ask())


def test_the_default_regressor_is_chosen_by_the_table():
    X, rewards = make_world(60, 2)
    policy = AdaptiveAllocator(budget=2.0, random_state=0).fit(X, rewards)
    assert policy.regressor_.target_ == "normal_rewards"


def test_drift_is_that_of_mean_rewards(world):
    X, table = world
    policy = PricedAllocator(RIDGE, budget=2.0, random_state=0, **EMPTY).fit(X, table)
    assert not policy.drift_report(X).drifted
    assert policy.drift_report(X + 2).drifted


# --- explanations ----------------------------------------------------------------


@pytest.mark.parametrize("Allocator", ALLOCATORS)
def test_budgets_are_explained(world, Allocator):
    X, table = world
    policy = Allocator(RIDGE, unit="cost", budget=6.0, **EMPTY).fit(X, table)
    frame = policy.explain(X[:50])
    assert_array_equal(frame.budget, policy.predict(X[:50]).ravel())
    assert (frame.low < frame.expected_reward).all()
    assert (frame.expected_reward < frame.high).all()
    # The next sample of no decoder is worth its cost.
    values = frame.next_value / np.tile(COSTS, 50)
    assert (values.dropna() <= frame.price[0] * 1.02).mean() > 0.97
    assert frame.why.str.contains("the expected reward by").any()


def test_expected_rewards_and_ranges_are_those_of_samples():
    X, rewards = make_world(2000, seed=3)
    policy = AdaptiveAllocator(RIDGE, budget=2.0, **EMPTY).fit(X[:1000], rewards[:1000])
    frame = policy.explain(X[1000:])[::3]
    budgets = policy.predict(X[1000:])
    taken = np.arange(4) < budgets[:, :, None]
    best = np.where(taken, rewards[1000:], -np.inf).max(axis=(1, 2))
    given = budgets.any(axis=1)
    assert abs(frame.expected_reward[given] - best[given]).mean() < 1.0
    assert_allclose(frame.expected_reward[given].mean(), best[given].mean(), atol=0.1)
    inside = (frame.low[given] <= best[given]) & (best[given] <= frame.high[given])
    assert_allclose(inside.mean(), 0.8, atol=0.04)


# --- bad input -------------------------------------------------------------------


def test_rewards_told_are_finite(world):
    X, table = world
    session = SequentialAllocator(RIDGE, budget=2.0, **EMPTY).fit(X, table).start(X[:4])
    asked = session.ask()
    with pytest.raises(ValueError, match=r"query 0, where .* finite rewards as ask re"):
        session.tell([[[np.inf] * n for n in row] for row in asked])
    with pytest.raises(ValueError, match=r"as many finite rewards as ask returned"):
        session.tell([[[0.5] * (n + 1) for n in row] for row in asked])
    assert_array_equal(session.ask(), asked)


def test_a_regressor_of_other_decoders(world):
    X, table = world
    two = RewardRegressor(Ridge(), target="normal_rewards").fit(X, table.rewards[:, :2])
    with pytest.raises(ValueError, match=r"learnt 2 decoders, but the table has 3"):
        AdaptiveAllocator(FrozenEstimator(two)).fit(X, table)


def test_profiles_need_verdicts(world):
    X, table = world
    profiles = RewardRegressor(Ridge(), target="rate_profiles")
    with pytest.raises(ValueError, match=r"rate_profiles.*Use 'normal_rewards' for s"):
        AdaptiveAllocator(profiles).fit(X, table)
