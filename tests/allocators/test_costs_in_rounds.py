"""SequentialAllocator whose budget counts costs: money, planning, misuse, saving."""

from copy import deepcopy

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
    load_policy,
    save_policy,
)
from sklearn_adaalloc.allocators._session import replay
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.planning._money import CostMoney, CostSpread, fit_cost_spread

RIDGE = RewardRegressor(Ridge(), target="rate_distribution")


def make_costs(table, random_state=0):
    """Hard queries are dear, and samples vary by a third."""
    random = np.random.default_rng(random_state)
    difficulty = 1 - table.rewards.mean(axis=1, keepdims=True)
    difficulty -= difficulty.min()
    noise = random.normal(0, 0.3, table.rewards.shape)
    return np.exp(4 + 2 * difficulty / difficulty.max() + noise)


@pytest.fixture(scope="module", params=["math", "chat"])
def world(request):
    table = make_reward_table(900, 24, profile=request.param, random_state=1)
    table.costs = make_costs(table)
    binary = request.param == "math"
    regressor = RIDGE if binary else RewardRegressor(Ridge())
    table.empty = 0.0 if binary else float(table.rewards.min())
    table.policy = SequentialAllocator(
        regressor, unit="cost", budget=300, empty_reward=table.empty
    ).fit(table.data[:400], RewardTable(table.rewards[:400], costs=table.costs[:400]))
    return table


def with_parameters(world, **parameters):
    """The fitted policy with other parameters."""
    return deepcopy(world.policy).set_params(**parameters)


def replayed(world, policy, rows=slice(400, None)):
    session = policy.start(world.data[rows])
    replay(session, world.rewards[rows], world.costs[rows])
    return session


# --- the money -------------------------------------------------------------------


@pytest.mark.parametrize("n_rounds", [2, 4, None])
@pytest.mark.parametrize("share", [0.7, 1.0, 3.0])
def test_the_real_cost_stays_just_below_the_budget(world, share, n_rounds):
    budget = share * world.costs.mean()
    policy = with_parameters(world, budget=budget, n_rounds=n_rounds)
    session = replayed(world, policy)
    assert 0.95 * budget < session.costs.mean() <= budget
    assert_allclose(session.money_left, 500 * budget - session.costs.sum())
    assert session.rounds_taken <= (n_rounds or np.inf)


def test_session_counts_what_it_is_told(world):
    session = world.policy.start(world.data[400:420])
    asked = session.ask()
    predicted = session.predicted_costs
    assert predicted.shape == (20,)
    rewards = [[0.0] * n for n in asked]
    session.tell(rewards, [[7.0] * n for n in asked])
    assert_array_equal(session.costs, 7 * asked)
    assert session.money_left == 6000 - 7 * asked.sum()
    told = asked > 0
    assert (session.predicted_costs[told] < predicted[told]).all()


def test_totals_are_worth_as_much_as_the_cost_of_each_sample(world):
    each, totals = (world.policy.start(world.data[400:450]) for _ in range(2))
    asked = each.ask()
    columns = np.arange(asked.max()) < asked[:, None]
    rewards = np.where(columns, world.rewards[400:450, : asked.max()], np.nan)
    costs = np.where(columns, world.costs[400:450, : asked.max()], np.nan)
    each.tell(rewards, costs)
    totals.ask()
    totals.tell(rewards, np.nansum(costs, axis=1))
    assert_array_equal(each.ask(), totals.ask())
    assert_allclose(each.costs, totals.costs)


def test_score_replays_the_costs_of_the_table(world):
    table = RewardTable(world.rewards, costs=world.costs)[400:]
    session = replayed(world, world.policy)
    assert world.policy.score(world.data[400:], table) == session.best_rewards.mean()
    dear = RewardTable(world.rewards, costs=3 * world.costs)[400:]
    assert world.policy.score(world.data[400:], dear) < session.best_rewards.mean()


def test_saved_sessions_go_on(world, tmp_path):
    session = world.policy.start(world.data[400:450])
    asked = session.ask()
    costs = 50.0 * asked
    session.tell([[world.rewards[0, 0]] * n for n in asked], costs)
    joblib.dump(session, tmp_path / "session")
    loaded = joblib.load(tmp_path / "session")
    assert_array_equal(loaded.ask(), session.ask())
    assert loaded.money_left == session.money_left


def test_saved_policies_plan_the_same(world, tmp_path):
    save_policy(world.policy, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy").start(world.data[400:450])
    session = world.policy.start(world.data[400:450])
    assert_array_equal(loaded.ask(), session.ask())
    assert_array_equal(loaded.predicted_costs, session.predicted_costs)


def test_sessions_of_earlier_versions_count_samples(world):
    policy = SequentialAllocator(RIDGE, budget=2).fit([[0.0], [1.0]], [[0, 1], [1, 1]])
    session = policy.start([[0.5], [0.2]])
    state = vars(session) | {"_money": 4}
    restored = object.__new__(type(session))
    restored.__setstate__(state)
    assert restored.money_left == 4
    assert_array_equal(restored.costs, [0, 0])
    assert_array_equal(restored.ask(), session.ask())


# --- the plans -------------------------------------------------------------------


class Known(DummyRegressor):
    """Predicts its last feature, as cost of a sample."""

    def predict(self, X):
        return np.asarray(X, dtype=float)[:, -1]


@pytest.mark.parametrize("n_rounds", [1, 3, None])
def test_of_equal_queries_the_cheap_one_goes_first(n_rounds):
    X = np.array([[0.0, 1.0], [0.0, 10.0]])
    table = RewardTable([[1, 0, 0, 0], [1, 0, 0, 0]], costs=[1, 10])
    policy = SequentialAllocator(
        RewardRegressor(DummyRegressor(), target="rate_distribution"),
        unit="cost",
        cost_regressor=Known(),
        budget=4,
        n_rounds=n_rounds,
    ).fit(X, table)
    cheap, dear = policy.start(X).ask()
    assert cheap > dear == 0


@pytest.mark.parametrize("n_rounds", [1, 3, None])
def test_money_for_no_sample_asks_for_none(world, n_rounds):
    policy = with_parameters(world, budget=1, n_rounds=n_rounds)
    assert policy.start(world.data[400:405]).ask() is None


def test_mandatory_samples_come_first(world):
    policy = with_parameters(world, min_budget=1, budget=500)
    assert (policy.start(world.data[400:420]).ask() >= 1).all()
    with pytest.raises(ValueError, match=r"budget=20.0 does not pay for min_budget=1"):
        policy.set_params(budget=20).start(world.data[400:420])


# --- what is known of costs ------------------------------------------------------


def test_spread_is_found_again():
    random = np.random.default_rng(0)
    predicted = random.uniform(10, 1000, 4000)
    means = predicted * random.gamma(1 / 0.25, 0.25, 4000)
    costs = means[:, None] * random.gamma(1 / 0.09, 0.09, (4000, 8))
    between, within = fit_cost_spread(costs, predicted).relative(predicted).mean(axis=1)
    assert between == pytest.approx(0.25, rel=0.1)
    assert within == pytest.approx(0.09 * 1.25, rel=0.1)  # the mean of squared means


def test_one_cost_per_query_has_no_spread_within():
    predicted = np.array([10.0, 20.0, 30.0])
    spread = fit_cost_spread(predicted[:, None] * [[1.1], [0.9], [1.0]], predicted)
    assert spread.within == 0
    assert spread.between > 0


def test_paid_costs_correct_the_batch_and_the_query():
    money = CostMoney(1000, np.full(100, 10.0), CostSpread(0.1, 2, 0.1, 2, 1000))
    n_samples = np.r_[np.full(50, 4), np.zeros(50, dtype=int)]
    paid = n_samples * np.where(np.arange(100) < 25, 10.0, 30.0)
    money.pay(paid, n_samples)
    low, high, unseen = money.predicted[[0, 25, 99]]
    assert 10 < low < 15 < unseen < 25 < high < 30


# --- misuse ----------------------------------------------------------------------


def test_fit_needs_costs(world):
    with pytest.raises(ValueError, match=r"unit='cost' needs the costs of samples"):
        clone(world.policy).fit(world.data, world.rewards)


def test_score_needs_costs(world):
    with pytest.raises(ValueError, match=r"unit='cost' needs the costs of samples"):
        world.policy.score(world.data[400:], world.rewards[400:])


def test_unit_changed_after_fit(world):
    policy = SequentialAllocator(RIDGE, budget=2).fit([[0.0], [1.0]], [[0, 1], [1, 1]])
    with pytest.raises(ValueError, match=r"unit='cost' was set after fit"):
        policy.set_params(unit="cost").start([[0.5]])


@pytest.mark.parametrize("regressor", [Ridge(), Known()])
def test_predicted_costs_are_checked(world, regressor):
    policy = clone(world.policy).set_params(cost_regressor=regressor)
    table = RewardTable(world.rewards, costs=world.costs)
    with pytest.raises(ValueError, match=r"cost_regressor=.* predicts costs of shape"):
        policy.fit(np.column_stack([world.data, -np.ones(900)]), table)


def test_unit_is_checked(world):
    with pytest.raises(ValueError, match=r"unit='dollars' is not accepted"):
        clone(world.policy).set_params(unit="dollars").fit(world.data, world.rewards)


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (None, r"costs is None, but the budget counts costs"),
        ([[5.0, 5.0]], r"costs has shape \(1, 2\)\. Expected one per sample"),
        (lambda paid: 0 * paid, r"costs has 0 in row 0, where there is a reward"),
        (lambda paid: -paid, r"costs has -\d+ in row 0"),
        (lambda paid: np.nan * paid, r"costs has nan in row 0"),
        (lambda paid: np.inf * paid, r"costs has inf in row 0"),
    ],
)
def test_told_costs_are_checked_and_change_nothing(world, costs, message):
    session = with_parameters(world, budget=900).start(world.data[400:403])
    asked = session.ask()
    assert asked[0] > 0
    costs = costs(5.0 * asked) if callable(costs) else costs
    with pytest.raises(ValueError, match=message):
        session.tell([[1.0] * n for n in asked], costs)
    assert session.money_left == 2700
    assert_array_equal(session.budgets, 0)
    assert_array_equal(session.ask(), asked)


def test_costs_are_not_told_where_samples_count():
    policy = SequentialAllocator(RIDGE, budget=2).fit([[0.0], [1.0]], [[0, 1], [1, 1]])
    session = policy.start([[0.5]])
    asked = session.ask()
    with pytest.raises(ValueError, match=r"told to a session that counts samples"):
        session.tell([[0] * n for n in asked], asked)


# --- what it is told -------------------------------------------------------------


def small_session(**parameters):
    X, rewards = make_reward_table(30, 4, random_state=0, return_X_y=True)
    table = RewardTable(rewards, costs=2.0)
    policy = SequentialAllocator(
        RIDGE, unit="cost", budget=2, min_budget=1, max_budget=1, n_rounds=1
    ).fit(X, table)
    session = policy.set_params(**parameters).start(X[:2])
    assert_array_equal(session.ask(), [1, 1])
    return session


def test_an_error_about_costs_names_costs():
    session = small_session()
    with pytest.raises(ValueError, match="costs could not be read as numbers"):
        session.tell([[0], [1]], [["a"], ["b"]])
    assert session.rounds_taken == 0
    assert session.money_left == 4


def test_costs_may_be_padded_wider_than_rewards():
    session = small_session()
    with pytest.raises(
        ValueError, match=r"costs has shape \(2, 2\)\. Expected one per"
    ):
        session.tell([[0], [1]], [[2, np.nan], [3, 4]])
    session.tell([[0], [1]], [[2, np.nan], [3, np.nan]])
    assert_array_equal(session.costs, [2, 3])


def test_a_cost_that_is_nearly_0_is_not_accepted():
    session = small_session()
    with pytest.raises(ValueError, match=r"costs has 1e-300 in row 1.* least 1e-30"):
        session.tell([[0], [1]], [1, 1e-300])
    with pytest.raises(ValueError, match=r"costs has 1e-300 in row 0.* least 1e-30"):
        RewardTable([[0, 1]], costs=1e-300)


@pytest.mark.parametrize("unit", [1e-20, 1e20])
def test_the_unit_of_costs_does_not_change_budgets(unit):
    X, rewards = make_reward_table(60, 8, random_state=0, return_X_y=True)
    costs = np.exp(np.random.default_rng(0).normal(size=rewards.shape))

    def budgets(unit):
        policy = SequentialAllocator(RIDGE, unit="cost", budget=4 * unit)
        return policy.fit(X, RewardTable(rewards, costs=costs * unit)).predict(X)

    assert_array_equal(budgets(unit), budgets(1.0))


def test_an_error_about_the_budget_names_its_unit():
    with pytest.raises(ValueError, match=r"budget=inf .* units of cost per query"):
        small_session(budget=np.inf)
