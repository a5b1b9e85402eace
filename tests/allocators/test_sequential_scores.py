"""Rounds of scores: a session that is told what a reranker sees."""

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    DummyAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
    load_policy,
    save_policy,
)
from sklearn_adaalloc.allocators import ScoreSession
from sklearn_adaalloc.curves._scores import expected_given_score, fit_score_rewards
from sklearn_adaalloc.datasets import make_reward_table

X, REWARDS = make_reward_table(300, 16, random_state=0, return_X_y=True)
RANDOM = np.random.default_rng(0)
SCORES = REWARDS + RANDOM.normal(0, 0.3, REWARDS.shape)
TABLE = RewardTable(REWARDS, scores=SCORES)
TRAIN, TEST = TABLE[:150], TABLE[150:]


def fitted(model=None, table=TRAIN, **options):
    regressor = RewardRegressor(model or Ridge(), selection="score")
    policy = SequentialAllocator(regressor, selection="score", **options)
    return policy.fit(X[:150], table)


def play(session, scores=SCORES[150:]):
    while (budgets := session.ask()) is not None:
        rows = zip(scores, session.budgets, budgets, strict=True)
        session.tell([row[b : b + n] for row, b, n in rows])
    return session


# What a score promises


def test_the_promise_is_the_nearest_curve_that_never_falls():
    rewards = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, np.nan]])
    scores = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, np.nan]])
    knots, promised = fit_score_rewards(rewards, scores)
    assert_array_equal(knots, [1, 2, 3])
    assert_array_equal(promised, [0, 0.5, 0.5])


def test_scores_that_tell_nothing_promise_the_mean():
    promised = fit_score_rewards(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert_allclose(expected_given_score(np.array([-3.0, 0.2, 9.0]), promised), 0.5)
    one = fit_score_rewards(np.array([[1.0, 0.0]]), np.array([[2.0, 2.0]]))
    assert_allclose(expected_given_score(np.array([1.0, 2.0]), one), 0.5)


def test_few_knots_give_the_same_curve():
    promised = fit_score_rewards(TRAIN.rewards, TRAIN.scores)
    assert len(promised[0]) < TRAIN.scores.size / 4
    expected = expected_given_score(TRAIN.scores, promised)
    assert expected.mean() == pytest.approx(TRAIN.rewards.mean())
    order = np.argsort(TRAIN.scores, axis=None)
    assert (np.diff(expected.ravel()[order]) >= 0).all()


# Sessions


@pytest.mark.parametrize("n_rounds", [1, 4, None])
@pytest.mark.parametrize("budget", [0, 0.7, 3.3, 16])
def test_spend_is_never_above_the_budget(budget, n_rounds):
    session = play(fitted(budget=budget, n_rounds=n_rounds).start(X[150:]))
    assert isinstance(session, ScoreSession)
    assert session.budgets.sum() <= np.floor(budget * 150)


def test_a_score_that_promises_most_ends_a_query():
    session = fitted(DummyRegressor(), budget=4).start(X[150:154])
    session.ask()
    top = TRAIN.scores.max()
    rows = [[top] + [0.0] * 15, [0.0] * 16, [0.1] * 16, [0.2] * 16]
    play(session, rows)
    assert session.budgets[0] == session.budgets.min()
    assert_array_equal(session.best_scores, [top, 0.0, 0.1, 0.2])
    with pytest.raises(AttributeError, match=r"told no rewards\. See best_scores"):
        session.best_rewards  # noqa: B018


def test_score_is_the_reward_of_the_highest_scores():
    policy = fitted(budget=4)
    session = play(policy.start(X[150:]))
    rows = zip(TEST.rewards, TEST.scores, session.budgets, strict=True)
    got = [rewards[scores[:n].argmax()] if n else 0.0 for rewards, scores, n in rows]
    assert policy.score(X[150:], TEST) == pytest.approx(np.mean(got))


def test_rounds_beat_equal_budgets():
    uniform = DummyAllocator(budget=4, selection="score").fit(X[:150], TRAIN)
    assert fitted(budget=4).score(X[150:], TEST) > uniform.score(X[150:], TEST)


def test_scores_that_fool_are_not_chased():
    fools = np.random.default_rng(1).random(REWARDS.shape) < 0.1
    rewards, scores = np.where(fools, 0, REWARDS), np.where(fools, 9, SCORES)
    table = RewardTable(rewards, scores=scores)
    policy = fitted(DummyRegressor(), table[:150], budget=16, n_rounds=None)
    session = play(policy.start(X[150:]), scores[150:])
    fooled = session.best_scores == 9
    seen = np.argmax(scores[150:] == 9, axis=1) + 1
    assert_array_equal(session.budgets[fooled], seen[fooled])


def test_saved_half_way_and_as_a_policy(tmp_path):
    policy = fitted(budget=4)
    session = policy.start(X[150:])
    asked = session.ask()
    session.tell([row[:n] for row, n in zip(SCORES[150:], asked, strict=True)])
    joblib.dump(session, tmp_path / "session")
    restored = play(joblib.load(tmp_path / "session"))
    assert_array_equal(restored.best_scores, play(session).best_scores)
    save_policy(policy, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    assert loaded.score(X[150:], TEST) == policy.score(X[150:], TEST)


# What is refused


@pytest.mark.parametrize(
    ("scores", "match"),
    [
        ([[1, 0], [0]], "scores has 2 scores in row 0, where 1 were asked for"),
        ([[1]], r"scores has shape \(1, 1\)\. Expected the scores of 2 queries"),
        ([[1], [np.inf]], "scores contains infinity in row 1"),
        ([["high"], ["low"]], "could not be read as numbers"),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores, match):
    session = fitted(DummyRegressor(), budget=1, n_rounds=1).start(X[:2])
    session.ask()
    with pytest.raises(ValueError, match=match):
        session.tell(scores)
    assert session.budgets.tolist() == [0, 0]


def test_rewards_without_scores():
    match = r"rewards has no scores, and selection by HighestScore needs them"
    with pytest.raises(ValueError, match=match):
        fitted(table=REWARDS[:150])
    with pytest.raises(ValueError, match=match):
        fitted().score(X, REWARDS)


def test_scores_need_a_fit_of_their_own():
    policy = SequentialAllocator(RewardRegressor(Ridge())).fit(X, REWARDS)
    policy.set_params(selection="score")
    with pytest.raises(ValueError, match="was set after fit, which learnt nothing"):
        policy.start(X)


def test_an_error_about_scores_names_scores():
    session = fitted(budget=1, max_budget=1).start(X[150:152])
    session.ask()
    with pytest.raises(ValueError, match="scores could not be read as numbers"):
        session.tell([["a"], ["b"]])
    assert session.rounds_taken == 0
