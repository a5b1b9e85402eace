"""Allocators on tables of several decoders."""

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    MLPRewardRegressor,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
    load_policy,
    save_policy,
)
from sklearn_adaalloc.allocators._menu_session import replay_menu

RIDGE = RewardRegressor(Ridge(10.0), target="rate_profiles")
COSTS = np.array([1.0, 2.0, 8.0])
NAMES = ["small", "middle", "large"]
ALLOCATORS = [AdaptiveAllocator, PricedAllocator, SequentialAllocator]


def make_world(n_queries=400, n_samples=8, seed=0):
    """Queries whose first feature is their ease, with a better and dearer decoder."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_queries, 3))
    logits = 1.5 * X[:, :1] + np.array([-1.5, -0.5, 1.0])
    rates = 1 / (1 + np.exp(-logits - random.normal(size=(n_queries, 1))))
    rewards = (random.random((n_queries, 3, n_samples)) < rates[:, :, None]) * 1.0
    return X, rewards


@pytest.fixture(scope="module")
def world():
    X, rewards = make_world()
    return X, RewardTable(rewards, costs=COSTS, decoders=NAMES)


@pytest.mark.parametrize("Allocator", ALLOCATORS)
@pytest.mark.parametrize(("unit", "budget"), [("samples", 1.5), ("cost", 3.0)])
def test_budgets_have_an_axis_of_decoders(world, Allocator, unit, budget):
    X, table = world
    policy = Allocator(RIDGE, unit=unit, budget=budget).fit(X[:300], table[:300])
    budgets = policy.predict(X[300:])
    assert budgets.shape == (100, 3)
    assert budgets.dtype == np.int64
    assert 0 <= budgets.min() <= budgets.max() <= 8
    assert 0 < policy.score(X[300:], table[300:]) < 1
    assert policy.predict_marginals(X[:5]).shape == (5, 3, 8)


@pytest.mark.parametrize("Allocator", [AdaptiveAllocator, SequentialAllocator])
@pytest.mark.parametrize("budget", [0.4, 1.0, 3.3, 9.0])
def test_one_shot_never_costs_more_than_the_budget(world, Allocator, budget):
    X, table = world
    policy = Allocator(FrozenEstimator(RIDGE.fit(X, table)), unit="cost", budget=budget)
    budgets = policy.fit(X, table).predict(X[:37])
    spent = (budgets @ COSTS).mean()
    assert budget - 8 / 37 < spent <= budget


def test_priced_budgets_decide_each_query_alone(world):
    X, table = world
    policy = PricedAllocator(RIDGE, unit="cost", budget=3.0, random_state=0)
    policy.fit(X[:200], table[:200])
    budgets = policy.predict(X[200:])
    assert_array_equal(policy.predict(X[200:205]), budgets[:5])
    assert 2.9 < policy.realised_budget_ <= 3.0
    assert abs((budgets @ COSTS).mean() - 3.0) < 0.5


def test_priced_budgets_of_identical_queries_are_told_apart(world):
    X, table = world
    regressor = RewardRegressor(DummyRegressor(), target="rate_profiles")
    policy = PricedAllocator(regressor, unit="cost", budget=3.3, random_state=0)
    policy.fit(np.zeros_like(X), table)
    assert 3.0 < policy.realised_budget_ <= 3.3
    spent = policy.predict(np.zeros((200, 3))) @ COSTS
    assert abs(spent.mean() - 3.3) < 0.2


@pytest.mark.parametrize("n_rounds", [1, 2, 4, None])
@pytest.mark.parametrize("unit", ["samples", "cost"])
def test_sessions_stay_within_the_budget(world, unit, n_rounds):
    X, table = world
    policy = SequentialAllocator(RIDGE, unit=unit, budget=2.5, n_rounds=n_rounds)
    session = policy.fit(X[:200], table[:200]).start(X[200:])
    costs = table.costs[200:] if unit == "cost" else None
    replay_menu(session, table.rewards[200:], costs)
    each = COSTS if unit == "cost" else np.ones(3)
    assert_allclose(session.costs, session.budgets * each)
    assert session.costs.sum() <= 2.5 * 200
    assert session.rounds_taken <= (n_rounds or np.inf)
    assert_allclose(session.money_left, 2.5 * 200 - session.costs.sum())
    done = policy.score(X[200:], table[200:])
    assert done == session.best_rewards.mean()


def test_more_rounds_solve_more(world):
    X, table = world
    scores = [
        SequentialAllocator(RIDGE, unit="cost", budget=3.0, n_rounds=n_rounds)
        .fit(X[:200], table[:200])
        .score(X[200:], table[200:])
        for n_rounds in (1, 4, None)
    ]
    assert scores[0] < scores[1] < scores[2] + 0.02


def test_solved_queries_get_no_more(world):
    X, table = world
    session = SequentialAllocator(RIDGE, budget=4).fit(X, table).start(X[:50])
    asked = session.ask()
    told = np.full((50, 3, asked.max()), np.nan)
    told[np.arange(told.shape[2]) < asked[:, :, None]] = 0.0
    told[:25] = np.where(np.isnan(told[:25]), np.nan, 1.0)
    session.tell(told)
    solved = session.best_rewards == 1
    again = session.ask()
    assert not again[solved].any()
    assert again[~solved].any()


def test_nested_sequences_and_arrays_are_told_alike(world):
    X, table = world
    policy = SequentialAllocator(RIDGE, unit="cost", budget=4).fit(X, table)
    nested, padded = policy.start(X[:30]), policy.start(X[:30])
    asked = nested.ask()
    padded.ask()
    rewards = [[[0.0] * n for n in row] for row in asked]
    array = np.full((30, 3, asked.max()), np.nan)
    array[np.arange(asked.max()) < asked[:, :, None]] = 0.0
    nested.tell(
        rewards, [[[c] * n for c, n in zip(COSTS, row, strict=True)] for row in asked]
    )
    padded.tell(array, asked * COSTS)
    assert_array_equal(nested.ask(), padded.ask())
    assert_allclose(nested.costs, padded.costs)


def test_bounds_of_each_decoder(world):
    X, table = world
    options = {"min_budget": [1, 0, 0], "max_budget": [3, 2, 0], "unit": "cost"}
    for Allocator in ALLOCATORS:
        policy = Allocator(RIDGE, budget=4.0, **options).fit(X, table)
        budgets = policy.predict(X)
        assert (budgets >= [1, 0, 0]).all()
        assert (budgets <= [3, 2, 0]).all()
        assert policy.set_params(max_budget=2).predict(X).max() == 2
    first = SequentialAllocator(RIDGE, budget=4.0, **options).fit(X, table).start(X)
    assert (first.ask() >= [1, 0, 0]).all()


def test_missing_decoders_get_nothing(world):
    X, table = world
    policy = SequentialAllocator(RIDGE, budget=2.0, n_rounds=2).fit(X, table)
    available = np.ones((400, 3), dtype=bool)
    available[:100, 2] = available[100:200, :2] = False
    budgets = policy.start(X, available=available).ask()
    assert not budgets[~available].any()
    assert budgets[100:200, 2].any()
    rewards = np.where(available[:, :, None], table.rewards, np.nan)
    fitted = SequentialAllocator(RIDGE, budget=2.0).fit(X, rewards)
    assert 0.5 < fitted.score(X, rewards) < 1


def test_a_decoder_that_never_succeeded_gets_nothing(world):
    X, table = world
    rewards = table.rewards.copy()
    rewards[:, 0] = 0.0
    for Allocator in ALLOCATORS:
        policy = Allocator(RIDGE, budget=10.0).fit(X, rewards)
        assert not policy.predict(X)[:, 0].any()


@pytest.mark.parametrize("Allocator", ALLOCATORS)
def test_one_decoder_is_a_plain_table(Allocator):
    X, rewards = make_world(150)
    regressor = MLPRewardRegressor(n_members=2, max_epochs=5, random_state=0)
    options = {"budget": 2.0, "random_state": 0}
    plain = Allocator(regressor, **options).fit(X, rewards[:, 1])
    menu = Allocator(regressor, **options).fit(X, rewards[:, [1]])
    assert_array_equal(plain.predict(X), menu.predict(X))
    assert plain.score(X, rewards[:, 1]) == menu.score(X, rewards[:, 1])


def test_two_decoders_in_samples_are_routed_as_before():
    X, rewards = make_world(150)
    policy = AdaptiveAllocator(RewardRegressor(Ridge()), budget=0.5)
    assert policy.fit(X, rewards[:, 1:]).predict(X).shape == (150,)
    profiles = AdaptiveAllocator(RIDGE, budget=0.5).fit(X, rewards[:, 1:])
    assert profiles.predict(X).shape == (150, 2)


def test_clone_search_and_pipeline(world):
    X, table = world
    policy = make_pipeline(
        StandardScaler(), AdaptiveAllocator(RewardRegressor(Ridge()), unit="cost")
    )
    search = GridSearchCV(policy, {"adaptiveallocator__budget": [1.0, 4.0]}, cv=2)
    search.fit(X, table)
    assert search.best_params_ == {"adaptiveallocator__budget": 4.0}
    assert clone(search.best_estimator_).fit(X, table).predict(X).shape == (400, 3)


@pytest.mark.parametrize("Allocator", ALLOCATORS)
def test_policies_are_saved(world, Allocator, tmp_path):
    X, table = world
    regressor = MLPRewardRegressor(n_members=2, max_epochs=3, random_state=0)
    options = {"budget": 3.0, "unit": "cost", "random_state": 0}
    policy = Allocator(regressor, **options).fit(X, table)
    save_policy(policy, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    assert_array_equal(loaded.predict(X), policy.predict(X))
    assert loaded.score(X, table) == policy.score(X, table)
    joblib.dump(policy, tmp_path / "pickle")
    assert_array_equal(joblib.load(tmp_path / "pickle").predict(X), policy.predict(X))


def test_varying_costs_stay_within_the_budget(world):
    X, table = world
    random = np.random.default_rng(0)
    noise = np.exp(random.normal(0, 0.4, table.shape))
    varied = RewardTable(table.rewards, costs=noise * COSTS[:, None])
    for n_rounds in (2, 4, None):
        policy = SequentialAllocator(RIDGE, unit="cost", budget=3.0, n_rounds=n_rounds)
        session = policy.fit(X[:200], varied[:200])._replay(X[200:], varied[200:])
        # Nothing but real costs that are far above the predicted ones can exceed it.
        assert 2.6 < session.costs.sum(axis=1).mean() <= 3.0 * 1.005


# --- bad input -------------------------------------------------------------------


@pytest.mark.parametrize("n_rounds", [4, None])
def test_constant_costs_that_turn_out_higher_are_believed(world, n_rounds):
    X, table = world
    policy = SequentialAllocator(RIDGE, unit="cost", budget=8.0, n_rounds=n_rounds)
    session = policy.fit(X[:200], table[:200]).start(X[200:])
    rewards = table.rewards[200:]
    replay_menu(session, rewards, np.broadcast_to(4 * COSTS[:, None], rewards.shape))
    assert_allclose(session.costs, session.budgets * 4 * COSTS)
    assert session.costs.sum() <= 8.0 * 200 * 1.02


def test_costs_must_be_known(world):
    X, table = world
    policy = AdaptiveAllocator(RIDGE, unit="cost")
    with pytest.raises(ValueError, match=r"needs the costs of samples.*RewardTable"):
        policy.fit(X, table.rewards)
    with pytest.raises(ValueError, match=r"costs has nan in row 0.*positive number"):
        RewardTable(table.rewards, costs=[1.0, 2.0, np.nan])


def test_decoders_must_be_those_of_fit(world):
    X, table = world
    for Allocator in ALLOCATORS:
        policy = Allocator(RIDGE, budget=2.0).fit(X, table)
        with pytest.raises(ValueError, match=r"have 2 decoders.*fitted on 3"):
            policy.score(X, table.rewards[:, :2])
        renamed = RewardTable(table.rewards, decoders=NAMES[::-1])
        with pytest.raises(ValueError, match=r"has the decoders \['large'.*same order"):
            policy.score(X, renamed)


def test_a_decoder_without_samples(world):
    X, table = world
    rewards = table.rewards.copy()
    rewards[:, 1] = np.nan
    with pytest.raises(ValueError, match=r"no sample of decoder 1.*leave it out"):
        AdaptiveAllocator(RIDGE).fit(X, rewards)


def test_rewards_of_several_decoders_are_verdicts(world):
    X, table = world
    with pytest.raises(ValueError, match=r"rate_profiles.*needs rewards of 0 and 1"):
        AdaptiveAllocator(RIDGE).fit(X, table.rewards / 2)
    with pytest.raises(ValueError, match=r"selection='vote' is not accepted with sev"):
        AdaptiveAllocator(RIDGE, selection="vote").fit(X, table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_budget": [1, 2]}, r"max_budget=\[1, 2\] has 2 numbers.*of 3 decoders"),
        ({"min_budget": 2, "max_budget": [1, 2, 2]}, r"is above max_budget.*decoder 0"),
        ({"budget": 30.0}, r"budget=30.0 is not between 0 and 24 samples"),
        ({"budget": 2.0, "min_budget": 1}, r"budget=2.0 is not between 3 and 24"),
        ({"min_budget": [1, 0.5, 0]}, r"min_budget=0.5 "),
    ],
)
def test_bounds_that_do_not_fit(world, options, message):
    X, table = world
    with pytest.raises(ValueError, match=message):
        AdaptiveAllocator(RIDGE, **options).fit(X, table)


def test_a_budget_that_does_not_pay_for_what_is_mandatory(world):
    X, table = world
    policy = SequentialAllocator(RIDGE, unit="cost", budget=2.0, min_budget=1)
    policy.fit(X, table)
    with pytest.raises(ValueError, match=r"budget=2.0 does not pay for min_budget"):
        policy.start(X)


def test_regressors_without_profiles(world):
    X, table = world
    plain = RewardRegressor(Ridge()).fit(X, table.rewards[:, 0])
    with pytest.raises(ValueError, match=r"learnt no profiles.*rate_profiles"):
        AdaptiveAllocator(FrozenEstimator(plain)).fit(X, table)
    two = clone(RIDGE).fit(X, table.rewards[:, :2])
    with pytest.raises(ValueError, match=r"learnt 2 decoders, but the table has 3"):
        AdaptiveAllocator(FrozenEstimator(two)).fit(X, table)


def test_allocators_for_one_decoder_say_so(world):
    X, table = world
    with pytest.raises(ValueError, match=r"shape \(400, 3, 8\). Expected .*2, n_samp"):
        BinnedAllocator(RIDGE).fit(X, table)


def test_what_is_told_must_fit(world):
    X, table = world
    policy = SequentialAllocator(RIDGE, budget=2.0, n_rounds=1).fit(X, table)
    session = policy.start(X[:2])
    with pytest.raises(ValueError, match="tell was called before ask"):
        session.tell(np.zeros((2, 3, 1)))
    asked = session.ask()
    right = [[[0.0] * n for n in row] for row in asked]
    with pytest.raises(ValueError, match="does not fit 2 queries with 3 decoders"):
        session.tell(right[:1])
    with pytest.raises(ValueError, match=r"for decoder \d of query 0, where \d were"):
        session.tell([[[0.0] * 9] * 3, right[1]])
    with pytest.raises(ValueError, match=r"as many rewards of 0 or 1 as ask returned"):
        session.tell([[[0.5] * n for n in row] for row in asked])
    assert_array_equal(session.ask(), asked)
    session.tell(right)
    assert session.ask() is None


def test_available_decoders_must_fit(world):
    X, table = world
    policy = SequentialAllocator(RIDGE).fit(X, table)
    with pytest.raises(ValueError, match=r"available has shape \(3,\).*\(400, 3\)"):
        policy.start(X, available=[True, True, False])
    plain = SequentialAllocator(RewardRegressor(Ridge())).fit(X, table.rewards[:, 0])
    with pytest.raises(ValueError, match=r"(?s)available=.*table of one decoder"):
        plain.start(X, available=np.ones((400, 1), dtype=bool))


def test_a_decoder_that_is_withdrawn_is_not_asked_again(world):
    X, table = world
    policy = SequentialAllocator(RIDGE, budget=6.0, n_rounds=None).fit(X, table)
    session = policy.start(X)
    gone = np.zeros((400, 3), dtype=bool)
    gone[:200] = session.ask()[:200] > 0
    with pytest.raises(ValueError, match="withdraw was called between ask and tell"):
        session.withdraw(gone)
    while (asked := session.ask()) is not None:
        session.tell([[[0.0] * n for n in row] for row in asked])
        session.withdraw(gone)
    assert_array_equal(session.budgets[gone], 1)
    assert (session.budgets[:200].sum(axis=1) > 1).any()
    for wrong in (gone[:1], gone.astype(int)):
        with pytest.raises(ValueError, match=r"gone has shape .* shape \(400, 3\)"):
            session.withdraw(wrong)


def test_what_is_charged_is_not_spent_on_samples(world):
    X, table = world
    policy = SequentialAllocator(RIDGE, unit="cost", budget=6.0, n_rounds=2)
    session = policy.fit(X, table).start(X)
    asked = session.ask()
    with pytest.raises(ValueError, match="charge was called between ask and tell"):
        session.charge(1.0)
    session.tell([[[0.0] * n for n in row] for row in asked], asked * 1.0)
    left = session.money_left
    with pytest.raises(ValueError, match=r"cost=-1\.0 is not accepted"):
        session.charge(-1.0)
    session.charge(left - 10.0)
    assert session.money_left == 10.0
    last = session.ask()
    assert last is None or (last * session.predicted_costs).sum() <= 10.0


def test_what_is_given_back_is_spent_on_samples(world):
    X, table = world
    policy = SequentialAllocator(RIDGE, unit="cost", budget=2.0, n_rounds=2)
    session = policy.fit(X, table).start(X)
    asked = session.ask()
    with pytest.raises(ValueError, match="refund was called between ask and tell"):
        session.refund(1.0)
    session.tell([[[0.0] * n for n in row] for row in asked], asked * COSTS)
    left = session.money_left
    with pytest.raises(ValueError, match=r"cost=-1\.0 is not accepted"):
        session.refund(-1.0)
    session.refund(50.0)
    assert session.money_left == left + 50.0
    assert left < (session.ask() * COSTS).sum() <= left + 50.0


def one_each():
    """A session that asks for one sample of each of two decoders of two queries."""
    X, rewards = make_world(40)
    table = RewardTable(rewards[:, :2], costs=[1.0, 2.0])
    policy = SequentialAllocator(
        RIDGE, unit="cost", budget=3, min_budget=1, max_budget=1, n_rounds=1
    )
    session = policy.fit(X, table).start(X[:2])
    assert_array_equal(session.ask(), np.ones((2, 2)))
    return session


@pytest.mark.parametrize("told", [None, 5, [5, 6], [None, None]])
def test_what_is_no_sequence_for_each_decoder_is_not_accepted(told):
    session = one_each()
    with pytest.raises(ValueError, match=r"rewards does not fit 2 queries with 2 deco"):
        session.tell(told, [[1, 2], [1, 2]])
    if told is not None:
        with pytest.raises(ValueError, match=r"costs does not fit 2 queries with 2"):
            session.tell([[0, 1], [1, 0]], told)
    assert session.rounds_taken == 0


def test_none_where_a_number_is_needed():
    session = one_each()
    with pytest.raises(ValueError, match=r"\[nan\] for decoder 0 of query 1, where 1"):
        session.tell([[0, 1], [None, 0]], [[1, 2], [1, 2]])
    with pytest.raises(ValueError, match="costs has nan for decoder 0 of query 1, wh"):
        session.tell([[0, 1], [1, 0]], [[1, 2], [None, 2]])
    with pytest.raises(ValueError, match="costs could not be read as numbers"):
        session.tell([[0, 1], [1, 0]], [["a", "b"], ["c", "d"]])
    assert session.money_left == 6
    session.tell([[0, 1], [1, 0]], [[1, 2], [1, 2]])
    assert session.money_left == 0
