"""Rounds of votes: a session that is told answers."""

from functools import cache

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc import (
    DummyAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
    load_policy,
    save_policy,
)
from sklearn_adaalloc.allocators import VoteSession
from sklearn_adaalloc.curves import MostVotes, Selection
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.decoding import BestOfK

X, REWARDS = make_reward_table(240, 20, random_state=0, return_X_y=True)
RANDOM = np.random.default_rng(0)
WRONG = RANDOM.choice(["1", "2", "3"], p=[0.5, 0.3, 0.2], size=REWARDS.shape)
SILENT = RANDOM.random(REWARDS.shape) < 0.05
ANSWERS = np.where(SILENT, "", np.where(REWARDS == 1, "7", WRONG))
TABLE = RewardTable(np.where(SILENT, 0, REWARDS), answers=ANSWERS)
TRAIN, TEST = TABLE[:120], TABLE[120:]


@cache
def known():
    """A regressor that is fitted once."""
    return FrozenEstimator(
        RewardRegressor(Ridge(), selection="vote").fit(X[:120], TRAIN)
    )


def fitted(model=None, **options):
    regressor = RewardRegressor(model, selection="vote") if model else known()
    allocator = SequentialAllocator(regressor, selection="vote", **options)
    return allocator.fit(X[:120], TRAIN)


def play(session, answers=ANSWERS[120:]):
    """Give the session what it asks for, in row order, to its end."""
    while (budgets := session.ask()) is not None:
        rows = zip(answers, session.budgets, budgets, strict=True)
        session.tell([row[b : b + n] for row, b, n in rows])
    return session


# --- the money -------------------------------------------------------------------


@pytest.mark.parametrize("n_rounds", [1, 2, 4, 9, None])
@pytest.mark.parametrize(
    ("budget", "least"), [(0, 0), (0.37, 0), (1, 1), (3.3, 0), (3.3, 2), (20, 0)]
)
def test_spend_is_never_above_the_budget(budget, least, n_rounds):
    policy = fitted(budget=budget, n_rounds=n_rounds, min_budget=least)
    session = play(policy.start(X[120:]))
    assert isinstance(session, VoteSession)
    assert session.budgets.sum() <= np.floor(budget * 120)
    assert session.budgets.min() >= least
    assert session.budgets.max() <= 20
    assert session.rounds_taken <= (n_rounds or np.inf)


@pytest.mark.parametrize("n_rounds", [1, 4, None])
def test_a_budget_below_need_is_spent_to_the_last_sample(n_rounds):
    session = play(fitted(budget=2.505, n_rounds=n_rounds).start(X[120:]))
    assert session.budgets.sum() == 300


def test_max_budget_bounds_each_query():
    session = play(fitted(budget=4, max_budget=5, n_rounds=None).start(X[120:]))
    assert session.budgets.max() == 5


def test_a_large_min_budget():
    wide = RewardTable(np.tile(TRAIN.rewards, 2), answers=np.tile(ANSWERS[:120], 2))
    policy = SequentialAllocator(
        RewardRegressor(Ridge(), selection="vote"),
        budget=38.5,
        min_budget=38,
        selection="vote",
    ).fit(X[:120], wide)
    session = policy.start(X[:120])
    play(session, np.tile(ANSWERS[:120], 2))
    assert session.budgets.min() == 38
    assert session.budgets.sum() <= 38.5 * 120


@pytest.mark.parametrize("n_rounds", [4, None])
def test_queries_that_agree_stop_and_leave_their_votes_to_others(n_rounds):
    agree = np.full((60, 20), "a")
    split = np.tile(["a", "b"], (60, 10))
    policy = fitted(DummyRegressor(), budget=6, n_rounds=n_rounds)
    session = play(policy.start(X[120:]), np.concatenate([agree, split]))
    assert session.budgets[:60].max() < session.budgets[60:].min()
    assert session.budgets[:60].mean() < 4


def test_a_budget_that_is_not_needed_is_left():
    session = fitted(DummyRegressor(), budget=20, n_rounds=None).start(X[120:])
    play(session, np.full((120, 20), "a"))
    assert (session.budgets == 10).all()
    assert session.ask() is None


# --- what it gives ---------------------------------------------------------------


def test_the_leader_is_the_most_frequent_answer():
    session = play(fitted(budget=5).start(X[120:]))
    for row, n, leader, counts in zip(
        ANSWERS[120:], session.budgets, session.answers, session.counts, strict=True
    ):
        given = [answer for answer in row[:n].tolist() if answer]
        assert counts == {answer: given.count(answer) for answer in given}
        assert leader == max(given, key=given.count, default=None)
    with pytest.raises(AttributeError, match=r"told no rewards\. See answers and"):
        session.best_rewards  # noqa: B018


def test_score_is_the_reward_of_the_leaders_of_a_session():
    policy = fitted(budget=4.2, n_rounds=None)
    session = play(policy.start(X[120:]))
    got = []
    for row, rewards, n in zip(
        ANSWERS[120:], TEST.rewards, session.budgets, strict=True
    ):
        given = [answer for answer in row[:n] if answer]
        most = max(map(given.count, given), default=0)
        leaders = {answer for answer in given if given.count(answer) == most}
        of_each = [rewards[:n][row[:n] == answer].mean() for answer in leaders]
        got.append(np.mean(of_each) if of_each else rewards[:n].mean() if n else 0)
    assert policy.score(X[120:], TEST) == pytest.approx(np.mean(got))


def test_queries_without_a_sample_have_the_empty_reward():
    regressor = RewardRegressor(Ridge(), selection="vote", empty_reward=0.25)
    policy = SequentialAllocator(
        regressor, budget=0, selection="vote", empty_reward=0.25
    ).fit(X[:120], TRAIN)
    assert policy.score(X[120:], TEST) == 0.25


def test_rounds_beat_equal_votes():
    uniform = DummyAllocator(budget=4, selection="vote").fit(X[:120], TRAIN)
    equal = uniform.score(X[120:], TEST)
    assert fitted(budget=4).score(X[120:], TEST) > equal
    assert fitted(budget=4, n_rounds=None).score(X[120:], TEST) > equal


def test_equal_predictions_change_nothing():
    budgets = []
    for rate in (0.3, 0.8):
        model = DummyRegressor(strategy="constant", constant=np.full(20, rate / 20))
        session = fitted(model, budget=3).start(X[120:])
        budgets.append(play(session).budgets)
    assert_array_equal(*budgets)


def test_two_sessions_are_the_same():
    policy = fitted(budget=3.5)
    first, second = (play(policy.start(X[120:])) for _ in range(2))
    assert_array_equal(first.budgets, second.budgets)
    assert first.counts == second.counts


def test_key_counts_equal_answers_together():
    decimals = np.array([["7", "7.0", "7.00"][k % 3] for k in range(20)])
    answers = np.where(ANSWERS == "7", decimals, ANSWERS)
    table = RewardTable(TABLE.rewards, answers=answers)
    same = MostVotes(key=lambda answers: [float(answer) for answer in answers])
    merged = SequentialAllocator(
        RewardRegressor(Ridge(), selection=same), budget=4, selection=same
    ).fit(X[:120], table[:120])
    session = play(merged.start(X[120:]), answers[120:])
    plain = play(fitted(budget=4).start(X[120:]))
    assert_array_equal(session.budgets, plain.budgets)
    assert merged.score(X[120:], table[120:]) == fitted(budget=4).score(X[120:], TEST)


@pytest.mark.parametrize("form", ["list", "array", "frame", "flat", "codes"])
def test_forms_of_answers(form):
    policy = fitted(DummyRegressor(), budget=1, n_rounds=1)
    session = policy.start(X[:3])
    assert session.ask().tolist() == [1, 1, 1]
    told = {
        "list": [["a"], [None], ("b",)],
        "array": np.array([["a", None], ["", None], ["b", None]], dtype=object),
        "frame": pd.DataFrame({"answer": ["a", None, "b"]}),
        "flat": ["a", "", "b"],
        "codes": np.array([[4, -1], [-1, -1], [5, -1]]),
    }
    session.tell(told[form])
    first, last = (4, 5) if form == "codes" else ("a", "b")
    assert session.answers == [first, None, last]
    assert [type(answer) for answer in session.answers[::2]] == [type(first)] * 2
    assert session.budgets.tolist() == [1, 1, 1]


@pytest.mark.parametrize("n_rounds", [1, 4, None])
def test_a_budget_of_costs_is_kept(n_rounds):
    costs = np.tile([100.0, 300.0], (240, 10))
    table = RewardTable(TABLE.rewards, answers=ANSWERS, costs=costs)
    policy = SequentialAllocator(
        known(), budget=800, n_rounds=n_rounds, selection="vote", unit="cost"
    ).fit(X[:120], table[:120])
    session = policy.start(X[120:])
    while (budgets := session.ask()) is not None:
        rows = zip(ANSWERS[120:], costs[120:], session.budgets, budgets, strict=True)
        parts = [(row[b : b + n], paid[b : b + n]) for row, paid, b, n in rows]
        session.tell(*zip(*parts, strict=True))
    assert 0.7 * 800 < session.costs.mean() <= 800
    assert policy.score(X[120:], table[120:]) > 0.4


def test_a_key_of_none_is_no_answer():
    same = MostVotes(key=lambda answers: [None if a == "x" else a for a in answers])
    session = fitted(budget=1, n_rounds=1).set_params(selection=same).start(X[:2])
    assert session.ask().tolist() == [1, 1]
    session.tell([["x"], ["y"]])
    assert session.answers == [None, "y"]


# --- what is refused -------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "match"),
    [
        ([["a", "b"], ["c"]], "has 2 answers in row 0, where 1 were asked for"),
        ([["a"], []], "has 0 answers in row 1, where 1 were asked for"),
        ([["a"]], "is not accepted. Expected the answers of 2 queries"),
        ("ab", "answers='ab' is not accepted"),
        ({"a": 1, "b": 2}, "answers=.* is not accepted"),
        (None, "answers=None is not accepted"),
        ([["a"], [0.5]], "has 0.5 in row 1. Expected a str or an int"),
        ([["a"], 0.5], "has 0.5 in row 1. Expected a str or an int"),
        ([["a"], [["b"]]], r"has \['b'\] in row 1. Expected a str or an int"),
    ],
)
def test_answers_that_do_not_fit_are_refused(answers, match):
    session = fitted(DummyRegressor(), budget=1, n_rounds=1).start(X[:2])
    session.ask()
    with pytest.raises(ValueError, match=match):
        session.tell(answers)
    assert session.budgets.tolist() == [0, 0]
    session.tell([["a"], ["b"]])
    assert session.answers == ["a", "b"]


def test_tell_before_ask():
    session = fitted(budget=1).start(X[:2])
    with pytest.raises(ValueError, match="tell was called before ask"):
        session.tell([["a"], ["b"]])


def test_a_key_that_drops_answers():
    same = MostVotes(key=lambda answers: answers[:1])
    policy = fitted(budget=4).set_params(selection=same)
    session = policy.start(X[120:])
    with pytest.raises(ValueError, match="key returned 1 keys for the 2 answers of"):
        play(session, np.tile(["a", "b"], (120, 10)))


@pytest.mark.parametrize("rewards", [REWARDS, RewardTable(REWARDS)])
def test_rewards_without_answers(rewards):
    regressor = RewardRegressor(Ridge(), selection="vote")
    policy = SequentialAllocator(regressor, selection="vote")
    match = r"rewards has no answers, and selection by MostVotes needs them"
    with pytest.raises(ValueError, match=match):
        policy.fit(X, rewards)
    with pytest.raises(ValueError, match=match):
        fitted().score(X, rewards)


def test_a_rule_of_ones_own_is_not_known_in_rounds():
    class First(Selection):
        def curves(self, rewards, max_budget, *, replacement="auto"):
            return np.tile(rewards[:, :1], max_budget)

    policy = SequentialAllocator(RewardRegressor(Ridge()), selection=First())
    match = r"selection=.*First.* is not known in rounds.*use AdaptiveAllocator"
    with pytest.raises(ValueError, match=match):
        policy.fit(X, REWARDS)


def test_best_of_k_returns_an_answer_with_the_most_votes():
    regressor = RewardRegressor(Ridge(), selection="vote")
    policy = make_pipeline(
        FunctionTransformer(lambda texts: np.array([[len(text)] for text in texts])),
        SequentialAllocator(regressor, selection="vote"),
    ).fit(["1+1="] * 120, TRAIN)

    def sample(prompts, budgets, first_sample):
        texts = ["It is 3.", "2", "It is 2."]
        return [
            [texts[(first + j) % 3] for j in range(budget)]
            for budget, first in zip(budgets, first_sample, strict=True)
        ]

    def label(queries, answers):
        return [[text.rstrip(".")[-1] for text in row] for row in answers]

    policy.set_params(sequentialallocator__budget=3)
    decoded = BestOfK(policy, sample, label).decode(["1+1="] * 3)
    for answer, budget in zip(decoded.answers, decoded.budgets, strict=True):
        assert answer == ("2" if budget >= 3 else "It is 3.")
    assert decoded.budgets.max() >= 3
    assert np.isnan(decoded.rewards).all()


# --- saved and searched ----------------------------------------------------------


def test_a_session_is_saved_half_way(tmp_path):
    session = fitted(budget=4).start(X[120:])
    session.tell([row[:n] for row, n in zip(ANSWERS[120:], session.ask(), strict=True)])
    joblib.dump(session, tmp_path / "session")
    restored = play(joblib.load(tmp_path / "session"))
    assert restored.counts == play(session).counts


def test_a_policy_is_saved(tmp_path):
    policy = fitted(budget=4)
    save_policy(policy, tmp_path / "policy")
    restored = load_policy(tmp_path / "policy")
    assert restored.score(X[120:], TEST) == policy.score(X[120:], TEST)


def test_a_search_over_rounds_and_rules():
    regressor = RewardRegressor(Ridge())
    rules = [
        {"regressor__selection": [s], "selection": [s]} for s in ("vote", "reward")
    ]
    grid = [rule | {"n_rounds": [1, None]} for rule in rules]
    search = GridSearchCV(SequentialAllocator(regressor, budget=3), grid, cv=2)
    search.fit(X, TABLE)
    one, many, best_one, best_many = search.cv_results_["mean_test_score"]
    assert one < many < best_many
    assert best_one < best_many
    assert search.best_params_["selection"] == "reward"


def test_costs_may_be_padded_as_the_answers_are():
    table = RewardTable(TRAIN.rewards, answers=TRAIN.answers, costs=2.0)
    regressor = RewardRegressor(Ridge(), selection="vote")
    policy = SequentialAllocator(
        regressor, selection="vote", unit="cost", budget=2, min_budget=1, max_budget=1
    )
    session = policy.fit(X[:120], table).start(X[120:122])
    assert_array_equal(session.ask(), [1, 1])
    session.tell([["7", None], [None, None]], [[2, np.nan], [3, np.nan]])
    assert_array_equal(session.costs, [2, 3])
    assert session.counts == [{"7": 1}, {}]


@pytest.mark.parametrize(
    "answers",
    [
        pd.DataFrame({"answer": pd.array([7, None], dtype="Int64")}),
        pl.DataFrame({"answer": [7, None]}),
        np.ma.array([[7], [7]], mask=[[0], [1]]),
    ],
)
def test_a_gap_in_a_frame_is_no_answer(answers):
    session = fitted(budget=1, max_budget=1, min_budget=1).start(X[120:122])
    session.ask()
    session.tell(answers)
    assert session.counts == [{7: 1}, {}]
