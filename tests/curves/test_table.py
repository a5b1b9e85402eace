"""RewardTable: what is known of each sample, as a `y` for scikit-learn."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_validate,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
)
from sklearn_adaalloc.curves import MostVotes, reward_curves
from sklearn_adaalloc.curves._table import as_table
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import expected_reward_score

REWARDS = [[1, 0, 1], [0, 1]]
FULL = {
    "costs": [[10, 20, 30], [40, 50]],
    "answers": [["7", "8", "7"], ["", "7"]],
    "scores": [[0.9, 0.1, 0.5], [0.2, 0.3]],
    "decoders": ["small"],
}


@pytest.fixture
def table():
    return RewardTable(REWARDS, **FULL)


@pytest.fixture(scope="module")
def world():
    """Features, and a table of which every field is filled, with gaps."""
    X, rewards = make_reward_table(240, 6, random_state=0, return_X_y=True)
    rng = np.random.default_rng(0)
    rewards[:, 3:][rng.random((240, 3)) < 0.2] = np.nan
    given = np.isfinite(rewards)
    table = RewardTable(
        rewards,
        costs=np.exp(3 + X[:, [0]] + rng.normal(0, 0.3, rewards.shape)),
        answers=np.where(
            given, np.where(rewards == 1, 0, rng.integers(1, 4, rewards.shape)), -1
        ),
        scores=np.where(given, rewards + rng.normal(0, 0.5, rewards.shape), np.nan),
    )
    return X, table


# Fields


def test_fields_stand_where_the_rewards_stand(table):
    nan = np.nan
    assert_array_equal(table.rewards, [[1, 0, 1], [0, 1, nan]])
    assert_array_equal(table.costs, [[10, 20, 30], [40, 50, nan]])
    assert_array_equal(table.scores, [[0.9, 0.1, 0.5], [0.2, 0.3, nan]])
    assert_array_equal(table.codes, [[0, 1, 0], [-1, 0, -1]])
    assert table.answers.tolist() == [["7", "8", "7"], [None, "7", None]]
    assert table.decoders == ["small"]
    assert (len(table), table.shape, table.ndim) == (2, (2, 3), 2)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        (2, [[2, 2, 2], [2, 2, 2]]),
        ([2, 3], [[2, 2, 2], [3, 3, 3]]),
        ([[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 6]]),
    ],
)
def test_costs_of_one_decoder(costs, expected):
    assert_array_equal(RewardTable(np.zeros((2, 3)), costs=costs).costs, expected)


def test_costs_of_several_decoders():
    rewards = np.zeros((2, 3, 4))
    one = RewardTable(rewards, costs=5).costs
    per_decoder = RewardTable(rewards, costs=[1, 2, 3]).costs
    per_query = RewardTable(rewards, costs=[7, 8]).costs
    both = RewardTable(rewards, costs=[[1, 2, 3], [4, 5, 6]]).costs
    assert one.shape == per_decoder.shape == per_query.shape == both.shape == (2, 3, 4)
    assert_array_equal(per_decoder[1, :, 0], [1, 2, 3])
    assert_array_equal(per_query[:, 0, 0], [7, 8])
    assert_array_equal(both[:, :, 3], [[1, 2, 3], [4, 5, 6]])


def test_whole_numbers_are_answers_and_minus_one_is_none():
    table = RewardTable([[1, 0, 0]], answers=np.array([[5, -1, 9]]))
    assert table.answers.tolist() == [[5, None, 9]]


@pytest.mark.parametrize("nothing", [None, "", -1, float("nan")])
def test_what_stands_for_no_answer(nothing):
    assert RewardTable([[1, 0]], answers=[["a", nothing]]).codes.tolist() == [[0, -1]]


def test_keys_join_answers_that_are_the_same():
    table = RewardTable([[1, 1, 0, 0]], answers=[["0.5", "1/2", "2", ""]])
    joined = table.with_keys(
        lambda answers: [{"1/2": "0.5"}.get(a, a) for a in answers]
    )
    assert joined.codes.tolist() == [[0, 0, 1, -1]]
    assert joined.answers.tolist() == [["0.5", "0.5", "2", None]]
    assert table.codes.tolist() == [[0, 1, 2, -1]]


@pytest.mark.parametrize("nothing", [None, "", -1])
def test_answers_whose_key_is_no_answer_have_no_vote(nothing):
    table = RewardTable([[1, 0, 0]], answers=[["...", "a", "b"]])
    joined = table.with_keys(lambda answers: [nothing, "key", "key"])
    assert joined.codes.tolist() == [[-1, 0, 0]]
    assert joined.answers.tolist() == [[None, "a", "a"]]


def test_repr_says_what_is_known(table):
    assert repr(table) == "RewardTable(2 queries, 3 samples; costs, answers, scores)"
    assert repr(RewardTable(np.zeros((1, 4, 2)))) == (
        "RewardTable(1 queries, 4 decoders, 2 samples)"
    )


# A y for scikit-learn


@pytest.mark.parametrize(
    "rows", [[1], np.array([1]), slice(1, 2), np.array([False, True]), 1, ([1], ...)]
)
def test_rows_keep_their_fields(table, rows):
    part = table[rows]
    assert_array_equal(part.rewards, table.rewards[[1]])
    assert_array_equal(part.costs, table.costs[[1]])
    assert_array_equal(part.codes, table.codes[[1]])
    assert part.answers.tolist() == table.answers[[1]].tolist()
    assert part.decoders == ["small"]


def test_columns_are_refused(table):
    with pytest.raises(IndexError, match=r"gives rows, not .*table\.rewards\[:, :4\]"):
        table[:, 0]


def test_as_array(table):
    assert np.asarray(table) is table.rewards
    assert np.array(table) is not table.rewards
    assert np.asarray(table, dtype=np.float32).dtype == np.float32


def test_pickle(table):
    again = pickle.loads(pickle.dumps(table))
    assert_array_equal(again.costs, table.costs)
    assert again.answers.tolist() == table.answers.tolist()


def test_split(world):
    X, table = world
    rows = np.arange(len(X))
    train, test, ours, theirs = train_test_split(rows, table, random_state=0)
    assert isinstance(ours, RewardTable)
    assert_array_equal(ours.costs, table.costs[train])
    assert_array_equal(theirs.scores, table.scores[test])


@pytest.mark.parametrize("kind", [AdaptiveAllocator, PricedAllocator, BinnedAllocator])
def test_fields_that_are_not_used_change_nothing(world, kind):
    X, table = world
    policy = make_pipeline(
        StandardScaler(),
        kind(RewardRegressor(Ridge()), budget=2, max_budget=3, random_state=0),
    )
    cv = KFold(3, shuffle=True, random_state=0)
    plain, full = (
        cross_validate(clone(policy), X, y, cv=cv)["test_score"]
        for y in (table.rewards, table)
    )
    assert_array_equal(plain, full)


def test_search_over_budgets_units_and_selections(world):
    X, table = world
    grid = {
        "budget": [1, 3],
        "unit": ["samples", "cost"],
        "selection": ["reward", "score", "vote"],
    }
    ridge = RewardRegressor(Ridge(), "marginal_rewards")
    policy = PricedAllocator(ridge, max_budget=3, random_state=0)
    search = GridSearchCV(policy, grid, cv=2)
    search.fit(X, table)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    # The best answer is worth most, whatever else is chosen.
    best, score, vote = scores.reshape(2, 3, 2).transpose(1, 0, 2)
    assert (best >= score).all()
    assert (best >= vote).all()


def test_frozen_regressor(world):
    X, table = world
    ridge = RewardRegressor(Ridge()).fit(X, table)
    frozen = FrozenEstimator(ridge)
    policy = AdaptiveAllocator(frozen, budget=2, max_budget=3).fit(X, table)
    budgets = policy.predict(X)
    assert policy.score(X, table) == expected_reward_score(table, budgets)


# Frames


@pytest.mark.parametrize("frame_of", [pd.DataFrame, pl.DataFrame])
def test_from_a_frame(frame_of):
    frame = frame_of(
        {
            "problem": ["b", "a", "b", "a", "b"],
            "model": ["x", "x", "y", "x", "x"],
            "right": [1.0, 0.0, 1.0, 1.0, 0.0],
            "tokens": [10, 20, 30, 40, 50],
            "final": ["7", "8", "7", None, "9"],
        }
    )
    options = {"query": "problem", "reward": "right", "cost": "tokens"}
    table = RewardTable.from_frame(frame, answer="final", **options)
    assert_array_equal(table.rewards, [[1, 1, 0], [0, 1, np.nan]])
    assert_array_equal(table.costs, [[10, 30, 50], [20, 40, np.nan]])
    assert table.answers.tolist() == [["7", "7", "9"], ["8", None, None]]
    both = frame_of(
        {
            "query": ["b", "a", "b", "a"],
            "model": ["x", "x", "y", "y"],
            "reward": [1.0, 0.0, 1.0, 1.0],
        }
    )
    menu = RewardTable.from_frame(both, decoder="model")
    assert menu.decoders == ["x", "y"]
    assert_array_equal(menu.rewards, [[[1], [1]], [[0], [1]]])


@pytest.mark.parametrize("frame_of", [pd.DataFrame, pl.DataFrame])
def test_queries_in_a_frame_may_be_chats(frame_of):
    first = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a"},
    ]
    second = [{"role": "user", "content": "a"}]
    again = [{"content": "a", "role": "user"}]  # the order of keys says nothing
    frame = frame_of(
        {"query": [first, second, first, again], "reward": [1.0, 0.0, 0.0, 1.0]}
    )
    table = RewardTable.from_frame(frame)
    assert_array_equal(table.rewards, [[1, 0], [0, 1]])


def test_chats_read_as_arrays_are_chats():
    chats = np.empty(2, dtype=object)
    chats[:] = [np.array([{"role": "user", "content": text}]) for text in "ab"]
    frame = pd.DataFrame({"query": chats[[0, 1, 0]], "reward": [1, 0, 0]})
    assert_array_equal(RewardTable.from_frame(frame).rewards, [[1, 0], [0, np.nan]])


def test_a_chat_is_not_its_text():
    chat = [{"role": "user", "content": "a"}]
    text = '[{"content": "a", "role": "user"}]'
    frame = pd.DataFrame({"query": [chat, text], "reward": [1, 0]})
    assert_array_equal(RewardTable.from_frame(frame).rewards, [[1], [0]])


def test_to_a_frame_and_back(table):
    frame = table.to_frame()
    assert frame.columns.tolist() == [
        *("query", "sample", "reward", "cost", "answer", "score")
    ]
    again = RewardTable.from_frame(frame, cost="cost", answer="answer", score="score")
    assert_array_equal(again.rewards, table.rewards)
    assert_array_equal(again.costs, table.costs)
    assert again.answers.tolist() == table.answers.tolist()


# Bad input


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"costs": [1, 2, 3]}, r"costs has shape \(3,\). Expected one number, or one"),
        ({"costs": 0}, r"costs has 0 in row 0, where there is a reward.*positive"),
        ({"costs": -1}, r"costs has -1 in row 0"),
        ({"costs": [[1, 1, 1], [1, np.nan]]}, r"costs has nan in row 1"),
        ({"costs": "many"}, r"costs could not be read as numbers"),
        ({"scores": [[1, 2, 3], [1, 2, 3]]}, r"row 1 has a score without a reward"),
        (
            {"scores": [[1, 2, 3], [1, np.nan]]},
            r"scores has nan in row 1.*finite score",
        ),
        (
            {"scores": [[1, 2], [1, 2]]},
            r"scores has shape \(2, 2\). Expected one score",
        ),
        ({"answers": [["a"] * 3, ["a"] * 3]}, r"row 1 has an answer without a reward"),
        ({"answers": [["a"]]}, r"answers are of ragged rows. Expected one per sample"),
        ({"answers": np.zeros((2, 2), int)}, r"answers are of shape \(2, 2\)"),
        ({"answers": np.full((2, 3), -2)}, r"answers has numbers from -2 to -2"),
        ({"answers": [["a", "b", 1.5], ["a", "b"]]}, r"answers has 1.5 in row 0"),
        (
            {"decoders": ["a", "b"]},
            r"decoders=\['a', 'b'\] is not accepted. Expected 1",
        ),
        ({"decoders": "a"}, r"decoders='a' is not accepted"),
    ],
)
def test_fields_that_do_not_fit(fields, match):
    with pytest.raises(ValueError, match=match):
        RewardTable(REWARDS, **fields)


def test_a_frame_without_the_column():
    with pytest.raises(ValueError, match=r"cost='usd' is no column of the frame"):
        RewardTable.from_frame(
            pd.DataFrame({"query": ["a"], "reward": [1]}), cost="usd"
        )


@pytest.mark.parametrize("query", [{"a"}, [{"role": object()}]])
def test_a_frame_with_queries_that_are_none(query):
    with pytest.raises(ValueError, match=r"query holds .*Expected texts, numbers, or"):
        RewardTable.from_frame(pd.DataFrame({"query": [query], "reward": [1]}))


def test_keys_of_the_wrong_number(table):
    with pytest.raises(ValueError, match=r"key returned 1 keys for the 2 answers of"):
        table.with_keys(lambda answers: answers[:1])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"unit": "cost"},
            r"unit='cost' needs the costs of samples, and rewards has no",
        ),
        ({"unit": "tokens"}, r"unit='tokens' is not accepted"),
        ({"selection": "vote"}, r"rewards has no answers, and selection by MostVotes"),
        ({"selection": "score"}, r"rewards has no scores, and selection by HighestSc"),
        ({"selection": "best"}, r"selection='best' is not accepted"),
    ],
)
def test_a_plain_table_lacks_what_is_asked_for(options, match):
    with pytest.raises(ValueError, match=match):
        AdaptiveAllocator(RewardRegressor(Ridge()), **options).fit(
            [[0.0], [1.0]], [[0, 1], [1, 1]]
        )


def test_a_unit_that_is_set_after_fit(world):
    X, table = world
    policy = AdaptiveAllocator(RewardRegressor(Ridge())).fit(X, table)
    with pytest.raises(ValueError, match=r"unit='cost' was set after fit"):
        policy.set_params(unit="cost").predict(X)


def test_more_decoders_than_two_are_held_and_not_fitted_by_bins():
    table = RewardTable(np.ones((4, 3, 2)), decoders=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"shape \(4, 3, 2\). Expected .*2, n_samples"):
        BinnedAllocator(RewardRegressor(Ridge())).fit(np.eye(4), table)


def test_cost_is_no_unit_of_routing():
    table = RewardTable(np.ones((4, 2, 1)), costs=[1, 5])
    policy = BinnedAllocator(RewardRegressor(Ridge()), unit="cost", budget=1)
    with pytest.raises(ValueError, match=r"unit='cost' is not accepted for routing"):
        policy.fit(np.arange(4.0)[:, None], table)


def test_one_decoder_is_a_table_without_that_axis():
    fields = {"costs": [[[1, 2]], [[3, 4]]], "answers": [[["a", "b"]], [["c", "c"]]]}
    table = RewardTable([[[0, 1]], [[1, 1]]], decoders=["only"], **fields)
    plain = as_table(table)
    assert plain.shape == (2, 2)
    assert plain.costs.tolist() == [[1, 2], [3, 4]]
    assert plain.codes.tolist() == [[0, 1], [0, 0]]
    assert plain.decoders == ["only"]
    assert as_table([[[0, 1]], [[1, 1]]]).shape == (2, 2)


def test_a_decoder_can_be_missing_for_some_queries():
    rewards = [[[0, 1], [np.nan] * 2, [1, 1]], [[np.nan] * 2, [0, 0], [np.nan] * 2]]
    assert as_table(rewards, n_decoders=None).shape == (2, 3, 2)
    with pytest.raises(ValueError, match="no sample in row 1"):
        as_table([rewards[0], [[np.nan] * 2] * 3], n_decoders=None)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (3, r"key=3 is not accepted\. Expected a function"),
        (
            lambda answers: None,
            r"key returned None for the answers of row 0\. Expected",
        ),
        (
            lambda answers: [[a] for a in answers],
            r"key returned \['7'\] for an answer of",
        ),
    ],
)
def test_a_key_that_cannot_be_used(table, key, message):
    with pytest.raises(ValueError, match=message):
        reward_curves(table, 2, selection=MostVotes(key=key))


@pytest.mark.parametrize("Allocator", [AdaptiveAllocator, PricedAllocator])
def test_scores_on_a_table_of_one_decoder(Allocator):
    X, rewards = make_reward_table(60, 4, random_state=0, return_X_y=True)
    one = RewardTable(rewards[:, None], costs=2, decoders=["small"])
    policy = Allocator(RewardRegressor(Ridge()), budget=2, random_state=0).fit(X, one)
    assert policy.score(X, one) == policy.score(X, rewards)


@pytest.mark.parametrize(
    "answers",
    [
        pd.DataFrame({"a": pd.array([7, None], dtype="Int64"), "b": [8, 9]}),
        pl.DataFrame({"a": [7, None], "b": [8, 9]}),
        np.ma.array([[7, 8], [7, 9]], mask=[[0, 0], [1, 0]]),
    ],
)
def test_a_gap_in_a_frame_is_no_answer(answers):
    table = RewardTable([[1, 0], [0, 1]], answers=answers)
    assert table.answers.tolist() == [[7, 8], [None, 9]]


@pytest.mark.parametrize("kind", ["string", "str", object])
def test_a_gap_in_a_column_is_no_answer(kind):
    frame = pd.DataFrame({"query": [0, 0], "reward": [1, 0]})
    frame["answer"] = pd.Series(["x", None], dtype=kind)
    table = RewardTable.from_frame(
        frame, query="query", reward="reward", answer="answer"
    )
    assert table.answers.tolist() == [["x", None]]
