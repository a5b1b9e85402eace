"""SequentialAllocator and its session: money, misuse, saving, replay, real tables."""

import time

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.dummy import DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from sklearn_adaalloc.allocators import AdaptiveAllocator, SequentialAllocator
from sklearn_adaalloc.curves import rate_marginals
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.regressors import MLPRewardRegressor, RewardRegressor


class Known(BaseEstimator):
    """A regressor that is given the success rates as its only feature."""

    def fit(self, X, y):
        return self

    def predict_marginals(self, X, max_budget):
        return rate_marginals(np.asarray(X, dtype=float)[:, 0], max_budget)


def make_allocator(**options):
    """An allocator that knows the success rates, fitted on tables of 8 samples."""
    table = np.tile([[0.0, 1.0]], (2, 4))
    return SequentialAllocator(Known(), **options).fit([[0.5], [0.5]], table)


@pytest.fixture(scope="module")
def math_table():
    return make_reward_table(600, 16, profile="math", random_state=0)


@pytest.fixture(scope="module")
def chat_table():
    return make_reward_table(400, 16, profile="chat", random_state=0)


def fitted(table, regressor=None, **options):
    regressor = regressor or RewardRegressor(Ridge())
    allocator = SequentialAllocator(regressor, **options)
    return allocator.fit(table.data[:300], table.rewards[:300])


# --- the money -------------------------------------------------------------------


@pytest.mark.parametrize("n_rounds", [1, 2, 4, 9, None])
@pytest.mark.parametrize("budget", [0.0, 0.37, 1.0, 3.3, 16.0])
@pytest.mark.parametrize("profile", ["math_table", "chat_table"])
def test_spend_is_never_above_the_budget(profile, budget, n_rounds, request):
    table = request.getfixturevalue(profile)
    allocator = fitted(table, budget=budget, n_rounds=n_rounds)
    rewards = table.rewards[300:]
    session = allocator.start(table.data[300:])
    n_told = 0
    while (budgets := session.ask()) is not None:
        assert budgets.dtype == np.int64
        assert budgets.sum() > 0
        taken = session.budgets
        session.tell(
            [row[b : b + n] for row, b, n in zip(rewards, taken, budgets, strict=True)]
        )
        n_told += budgets.sum()
    assert n_told == session.budgets.sum() <= np.floor(budget * len(rewards))
    assert session.budgets.max(initial=0) <= 16
    assert session.rounds_taken <= (n_rounds or np.inf)


@pytest.mark.parametrize("n_rounds", [1, None])
def test_all_money_is_spent_where_all_is_useful(n_rounds):
    # 29 samples for 100 queries; 29 / 100 * 100 is a little less in floating point.
    session = make_allocator(budget=0.295, n_rounds=n_rounds)
    session = session.start(np.full((100, 1), 0.5))
    assert session.ask().sum() == 29


def test_solved_queries_are_left_alone_and_their_money_is_spent():
    session = make_allocator(budget=2, n_rounds=2).start([[0.5]] * 4)
    assert session.ask().tolist() == [1, 1, 1, 1]
    session.tell([[1], [1], [1], [0]])
    assert session.ask().tolist() == [0, 0, 0, 4]
    session.tell([[], [], [], [0, 0, 0, 1]])
    assert session.ask() is None
    assert session.best_rewards.tolist() == [1, 1, 1, 1]
    assert session.budgets.tolist() == [1, 1, 1, 5]


def test_the_old_name_of_rounds_taken_warns():
    session = make_allocator(budget=2, n_rounds=3).start([[0.5]] * 4)
    for n_told in range(3):
        with pytest.warns(FutureWarning, match=r"n_rounds is now called rounds_taken"):
            n_rounds = session.n_rounds
        assert n_rounds == session.rounds_taken == n_told
        if (asked := session.ask()) is not None:
            session.tell([np.zeros(n) for n in asked])


def test_one_at_a_time_follows_the_highest_chance():
    session = make_allocator(budget=1, n_rounds=None).start([[0.9], [0.5], [0.1]])
    # If all failed, three samples of the first are the best three.
    assert session.ask().tolist() == [1, 0, 0]
    session.tell([[1], [], []])
    assert session.ask().tolist() == [0, 1, 0]
    session.tell([[], [1], []])
    assert session.ask().tolist() == [0, 0, 1]


def test_first_round_gives_min_budget():
    session = make_allocator(budget=3, n_rounds=3, min_budget=2).start([[0.0], [0.6]])
    assert session.ask().tolist() == [2, 2]
    session.tell([[0, 0], [0, 0]])
    assert session.ask()[0] == 0


def test_hopeless_batch_ends_at_once():
    assert make_allocator(budget=3).start([[0.0], [0.0]]).ask() is None


# --- misuse ----------------------------------------------------------------------


def test_tell_before_ask():
    session = make_allocator(budget=2).start([[0.5]])
    with pytest.raises(ValueError, match="tell was called before ask"):
        session.tell([[1]])


def test_tell_twice():
    session = make_allocator(budget=4).start([[0.5]])
    n_new = int(session.ask()[0])
    session.tell([[0] * n_new])
    with pytest.raises(ValueError, match="tell was called before ask"):
        session.tell([[0] * n_new])


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        ([[1, 0], [0]], "has 2 rewards in row 0, where 1 were asked for"),
        ([[1], []], "has 0 rewards in row 1, where 1 were asked for"),
        ([[1], [np.nan]], "has 0 rewards in row 1, where 1 were asked for"),
        ([[1]], r"shape \(1, 1\)\. Expected the rewards of 2 queries"),
        ([[[1]], [[0]]], r"shape \(2, 1, 1\)"),
        ([[1], [0.5]], r"has 0\.5 in row 1\. Expected 0 or 1, as in fit"),
        ([[1], [np.inf]], "infinity in row 1"),
        ([["right"], ["wrong"]], "could not be read as numbers"),
    ],
)
def test_rewards_that_do_not_fit_are_refused(rewards, message):
    session = make_allocator(budget=1, n_rounds=1).start([[0.5], [0.5]])
    assert session.ask().tolist() == [1, 1]
    with pytest.raises(ValueError, match=message):
        session.tell(rewards)
    # The session is as it was.
    assert session.budgets.tolist() == [0, 0]
    assert session.ask().tolist() == [1, 1]
    session.tell([[1], [0]])
    assert session.budgets.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 1, "min_budget": 2}, "budget=1 is below min_budget=2"),
        ({"budget": -1}, "budget=-1 is not a mean budget"),
        ({"budget": 9, "max_budget": 8}, "budget=9 is above max_budget=8"),
        ({"n_rounds": 0}, "n_rounds=0 is not accepted"),
        ({"n_rounds": 2.5}, r"n_rounds=2\.5 is not accepted"),
    ],
)
def test_parameters_are_checked_in_fit_and_start(options, message):
    with pytest.raises(ValueError, match=message):
        make_allocator(**options)
    allocator = make_allocator().set_params(**options)
    with pytest.raises(ValueError, match=message):
        allocator.start([[0.5]])


def test_tables_of_several_decoders_need_profiles():
    rewards = np.zeros((3, 2, 1))
    with pytest.raises(ValueError, match="learnt no profiles, but the table has 2 dec"):
        SequentialAllocator(Known()).fit([[0.5]] * 3, rewards)
    with pytest.raises(ValueError, match=r"have an axis of decoders, but.*of one"):
        make_allocator().score([[0.5]] * 3, rewards)


# --- the session as an object ----------------------------------------------------


def test_asking_again_gives_the_same_answer():
    session = make_allocator(budget=2).start([[0.5], [0.2]])
    first = session.ask()
    first += 1  # the caller's own copy
    np.testing.assert_array_equal(session.ask(), first - 1)


@pytest.mark.parametrize("profile", ["math_table", "chat_table"])
def test_a_saved_session_goes_on_as_if_nothing_happened(profile, tmp_path, request):
    table = request.getfixturevalue(profile)
    rewards = table.rewards[300:]
    one = fitted(table, budget=3, n_rounds=3).start(table.data[300:])
    other = fitted(table, budget=3, n_rounds=3).start(table.data[300:])
    while (budgets := one.ask()) is not None:
        np.testing.assert_array_equal(other.ask(), budgets)
        joblib.dump(other, tmp_path / "session")
        other = joblib.load(tmp_path / "session")
        columns = one.budgets[:, None] + np.arange(budgets.max())
        told = np.take_along_axis(rewards, np.minimum(columns, 15), axis=1)
        told = np.where(columns < (one.budgets + budgets)[:, None], told, np.nan)
        one.tell(told)
        other.tell([row[np.isfinite(row)] for row in told])
    assert other.ask() is None
    np.testing.assert_array_equal(one.best_rewards, other.best_rewards)


def test_nan_may_stand_anywhere_in_a_row():
    session = make_allocator(budget=2, n_rounds=1).start([[0.5], [0.5]])
    assert session.ask().tolist() == [2, 2]
    session.tell(np.array([[np.nan, 0.0, 1.0], [0.0, np.nan, 0.0]]))
    assert session.best_rewards.tolist() == [1.0, 0.0]


def test_one_reward_each_may_be_a_plain_list():
    session = make_allocator(budget=1, n_rounds=1).start([[0.5], [0.5]])
    session.ask()
    session.tell([1, 0])
    assert session.best_rewards.tolist() == [1.0, 0.0]


# --- score and predict -----------------------------------------------------------


def test_score_replays_rows_in_order():
    allocator = make_allocator(budget=2, n_rounds=2)
    # One each; then the unsolved third gets what the others left.
    rewards = [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert allocator.score([[0.5], [0.5], [0.6], [0.0]], rewards) == 0.75


def test_score_draws_no_more_than_a_row_holds():
    allocator = make_allocator(budget=4, n_rounds=2)
    rewards = [[0], [0, 0, 0, 0, 0, 1, np.nan, np.nan]]
    assert allocator.score([[0.9], [0.5]], rewards) == 0.5


def test_empty_reward_counts_where_nothing_was_sampled():
    allocator = make_allocator(budget=0).set_params(empty_reward=0.25)
    assert allocator.score([[0.5], [0.5]], [[1], [1]]) == 0.25


def test_one_round_scores_what_predict_would(math_table):
    allocator = fitted(math_table, budget=3, n_rounds=1)
    X, rewards = math_table.data[300:], math_table.rewards[300:]
    budgets = allocator.predict(X)
    drawn = np.where(np.arange(16) < budgets[:, None], rewards, 0.0)
    assert allocator.score(X, rewards) == pytest.approx(
        drawn.max(axis=1).mean(), abs=0.02
    )


def test_predict_is_the_one_shot_allocation(math_table):
    regressor = FrozenEstimator(
        RewardRegressor(Ridge()).fit(math_table.data, math_table.rewards)
    )
    sequential = fitted(math_table, regressor, budget=3, min_budget=1)
    adaptive = AdaptiveAllocator(regressor, budget=3, min_budget=1)
    adaptive.fit(math_table.data[:300], math_table.rewards[:300])
    X = math_table.data[300:]
    np.testing.assert_array_equal(sequential.predict(X), adaptive.predict(X))


def test_clone_and_repeated_fits_agree(math_table):
    regressor = MLPRewardRegressor(max_epochs=3, random_state=0)
    allocator = SequentialAllocator(regressor, budget=2, max_budget=8)
    X, rewards = math_table.data, math_table.rewards
    scores = [
        clone(allocator).fit(X[:60], rewards[:60]).score(X[300:], rewards[300:])
        for _ in range(2)
    ]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("profile", ["math_table", "chat_table"])
def test_rounds_beat_deciding_up_front(profile, request):
    table = request.getfixturevalue(profile)
    empty = float(min(0.0, table.rewards.min()))
    regressor = RewardRegressor(Ridge(), empty_reward=empty)
    X, rewards = table.data[300:], table.rewards[300:]
    options = {"budget": 4, "min_budget": 1, "empty_reward": empty}
    one, four, every = (
        fitted(table, regressor, n_rounds=n_rounds, **options).score(X, rewards)
        for n_rounds in (1, 4, None)
    )
    assert one + 0.02 < four
    assert four < every + 0.02


# --- real outcomes and speed -----------------------------------------------------


@pytest.mark.slow
def test_verdicts_and_features_both_help_on_real_outcomes(real_data):
    arrays = np.load(real_data / "math5000/qwen2_1p5b_instruct_t0p6.npz")
    X = arrays["probe_prediction"].astype(float)[:, None]
    rewards = arrays["rewards"].astype(float)
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[:2500], order[2500:]
    plain = RewardRegressor(DummyRegressor(), target="rate_distribution")
    with_features = SequentialAllocator(random_state=0).fit(X[train], rewards[train])
    without = SequentialAllocator(plain).fit(X[train], rewards[train])
    for budget in (2, 4, 8):
        uniform = rewards[test, :budget].max(axis=1).mean()
        scores = [
            allocator.set_params(budget=budget, n_rounds=n_rounds).score(
                X[test], rewards[test]
            )
            for allocator, n_rounds in (
                (without, 4),
                (with_features, 4),
                (with_features, None),
            )
        ]
        assert uniform + 0.01 < scores[0]
        assert scores[0] < scores[1]
        assert scores[1] - 0.005 < scores[2]


@pytest.mark.slow
@pytest.mark.parametrize(("n_queries", "n_rounds"), [(100_000, 4), (10_000, None)])
def test_rounds_are_planned_in_seconds(n_queries, n_rounds):
    rng = np.random.default_rng(0)
    rates = rng.beta(0.4, 0.8, (n_queries, 1))
    rewards = (rng.random((n_queries, 64)) < rates).astype(float)
    allocator = SequentialAllocator(Known(), budget=8, n_rounds=n_rounds)
    session = allocator.fit(rates, rewards).start(rates)
    seconds = 0.0
    while True:
        start = time.process_time()
        budgets = session.ask()
        seconds += time.process_time() - start
        if budgets is None:
            break
        columns = session.budgets[:, None] + np.arange(budgets.max())
        told = np.take_along_axis(rewards, np.minimum(columns, 63), axis=1)
        told[columns >= (session.budgets + budgets)[:, None]] = np.nan
        start = time.process_time()
        session.tell(told)
        seconds += time.process_time() - start
    assert session.budgets.sum() == 8 * n_queries
    assert seconds < 2.0
