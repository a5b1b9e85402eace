"""Streams: each query decided alone, at a price that keeps the budget."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from stream_worlds import mixed_world

from sklearn_adaalloc import RewardRegressor, RewardTable, StreamAllocator
from sklearn_adaalloc.metrics import expected_reward_score


class Curves(RegressorMixin, BaseEstimator):
    """Takes the features for the marginal rewards."""

    def fit(self, X, y):
        self.n_queries_ = len(y)
        return self

    def predict_marginals(self, X, max_budget):
        return np.asarray(X, dtype=float)[:, :max_budget]


FROZEN = FrozenEstimator(Curves().fit([[0.0]], [[0.0]]))
# The chances of the next sample after 0, 1 and 2 failures are .5, .4 and .2.
CURVE = [0.5, 0.5 * 0.4, 0.5 * 0.6 * 0.2]
RIDGE = RewardRegressor(Ridge())


def known(curves=(CURVE,), rewards=((0, 0, 0),), **params):
    return StreamAllocator(FROZEN, **params).fit(curves, np.array(rewards))


def play(stream, X, rewards):
    """Samples of each query, one query after another."""
    budgets = []
    for x, row in zip(X, rewards, strict=True):
        with stream.start(x[None]) as session:
            while (asked := session.ask()) is not None:
                taken = int(session.budgets[0])
                session.tell([row[taken : taken + asked[0]]])
        budgets.append(int(session.budgets[0]))
    return np.array(budgets)


@pytest.mark.parametrize("params", [{}, {"n_rounds": 3}, {"min_budget": 1}])
def test_a_replay_at_a_fixed_price_is_the_same_however_many_are_open(params):
    X, rewards = mixed_world(120)
    policy = StreamAllocator(RIDGE, budget=4, adapt=False, random_state=0, **params)
    policy = policy.fit(X[:80], rewards[:80])
    alone, together = (policy._replay(X[80:], rewards[80:], n_open=n) for n in (1, 7))
    assert_array_equal(alone, together)


# --- sessions --------------------------------------------------------------------


@pytest.mark.parametrize(("price", "expected"), [(0.6, 0), (0.45, 1), (0.3, 2)])
def test_samples_are_taken_while_their_chance_is_above_the_price(price, expected):
    stream = known(target="price", price=price).open()
    assert_array_equal(play(stream, np.array([CURVE]), [[0, 0, 0]]), [expected])


def test_a_solved_query_gets_no_more():
    stream = known(target="price", price=0.1).open()
    assert_array_equal(play(stream, np.array([CURVE]), [[0, 1, 0]]), [2])


def test_rounds_ask_for_several_samples_at_once():
    flat = [0.5, 0.25, 0.125]
    for n_rounds, first in ((1, 3), (2, 1), (None, 1)):
        policy = known([flat], target="price", price=0.1, n_rounds=n_rounds)
        assert_array_equal(policy.open().start(flat).ask(), [first])


def test_every_query_gets_min_budget_in_its_first_round():
    policy = known(target="price", price=5.0, budget=2, min_budget=2)
    session = policy.open().start(CURVE)
    assert_array_equal(session.ask(), [2])
    session.tell([[0, 0]])
    assert session.ask() is None


def test_one_query_or_several_may_arrive_together():
    stream = known(target="price", price=0.45).open()
    assert_array_equal(stream.start(CURVE).ask(), [1])
    assert_array_equal(stream.start(np.array(CURVE)).ask(), [1])
    session = stream.start([CURVE, [0.1, 0.0, 0.0]])
    assert_array_equal(session.ask(), [1, 0])
    session.tell([[1], []])
    session.close()
    assert (stream.n_queries, stream.mean_cost) == (2, 0.5)


class Lengths(Curves):
    """Takes texts or conversations; a long one has the lower chance."""

    def predict_marginals(self, X, max_budget):
        lengths = np.array([len(query) for query in X], dtype=float)
        return np.repeat(1 / lengths[:, None], max_budget, axis=1)


def test_texts_and_conversations_may_arrive():
    frozen = FrozenEstimator(Lengths().fit(["ab"], [[0.0]]))
    policy = StreamAllocator(frozen, target="price", price=0.4)
    stream = policy.fit(["ab"], [[0]]).open()
    assert_array_equal(stream.start("ab").ask(), [1])
    assert_array_equal(stream.start(["ab", "ba"]).ask(), [1, 1])
    turn = {"role": "user", "content": "ab"}
    assert_array_equal(stream.start([[turn, turn], [turn] * 3]).ask(), [1, 0])


def test_a_query_that_is_abandoned_counts_what_it_asked_for():
    stream = known(target="price", price=0.1).open()

    def serve(answer):
        with stream.start(CURVE) as session:
            while session.ask() is not None:
                session.tell([[answer()]])

    with pytest.raises(StopIteration):
        serve(iter([0]).__next__)  # the second answer never comes
    assert (stream.n_queries, stream.mean_cost) == (1, 2.0)


def test_what_is_paid_beside_samples_counts_as_spent():
    stream = known(target="price", price=0.1).open()
    session = stream.start([CURVE, CURVE])
    session.ask()
    session.charge(1.5)
    session.charge(1.0)
    session.refund(0.5)
    assert session.predicted_costs is None
    session.close()
    assert stream.mean_cost == 2.0  # a sample of each, and their shares
    for change in ("charge", "refund"):
        for cost in (-1, np.inf, np.nan):
            with pytest.raises(ValueError, match="cost="):
                getattr(stream.start(CURVE), change)(cost)
        with pytest.raises(ValueError, match=f"{change} was called on a closed sess"):
            getattr(session, change)(1.0)


def test_a_stream_knows_the_policy_that_opened_it():
    policy = known(target="price", price=0.1)
    stream = policy.open()
    policy.set_params(price=0.2)
    assert (stream.policy.price, stream.price) == (0.1, 0.1)


def test_sessions_refuse_what_is_out_of_turn():
    session = known(target="price", price=0.1).open().start(CURVE)
    with pytest.raises(ValueError, match="tell was called before ask"):
        session.tell([[0]])
    session.ask()
    session.tell([[0]])
    with pytest.raises(ValueError, match="tell was called before ask"):
        session.tell([[0]])
    session.close()
    with pytest.raises(ValueError, match="close was called on a closed session"):
        session.close()
    for method, arguments in ((session.ask, ()), (session.tell, ([[0]],))):
        with pytest.raises(ValueError, match="was called on a closed session"):
            method(*arguments)


def test_sessions_refuse_foreign_rewards():
    session = known(target="price", price=0.1).open().start(CURVE)
    session.ask()
    with pytest.raises(ValueError, match=r"0\.5 in row 0\. Expected 0 or 1"):
        session.tell([[0.5]])
    with pytest.raises(ValueError, match="2 rewards in row 0, where 1 were asked"):
        session.tell([[0, 1]])
    session.tell([[1]])
    assert_array_equal(session.best_rewards, [1.0])


# --- the price -------------------------------------------------------------------


@pytest.mark.parametrize("n_rounds", [None, 3])
@pytest.mark.parametrize("budget", [0.7, 2, 4.5])
def test_fit_finds_the_price_that_spends_the_budget(budget, n_rounds):
    X, rewards = mixed_world(1000)
    policy = StreamAllocator(RIDGE, budget=budget, n_rounds=n_rounds, random_state=0)
    policy.fit(X, rewards)
    assert policy.realised_budget_ == pytest.approx(budget, rel=0.02)


@pytest.mark.parametrize("budget", [0.3, 1.3, 3.3])
def test_equal_queries_share_the_budget_out(budget):
    _, rewards = mixed_world(1000)
    X = np.zeros((1000, 1))
    average = RewardRegressor(DummyRegressor(), "rate_distribution")
    policy = StreamAllocator(average, budget=budget, random_state=0)
    policy.fit(X[:500], rewards[:500])
    assert policy.realised_budget_ == pytest.approx(budget, rel=0.02)
    for adapt in (True, False):
        budgets, _ = policy.set_params(adapt=adapt)._replay(X[500:], rewards[500:])
        assert budgets.mean() == pytest.approx(budget, rel=0.02 if adapt else 0.2)


def test_the_budget_can_be_changed_after_fit():
    X, rewards = mixed_world(1000)
    policy = StreamAllocator(RIDGE, budget=2, random_state=0).fit(X, rewards)
    low = policy.price_
    again = StreamAllocator(RIDGE, budget=1, random_state=0).fit(X, rewards)
    assert policy.set_params(budget=1).price_ == again.price_ > low
    with pytest.raises(ValueError, match="max_budget=40 is above the 20 steps"):
        policy.set_params(max_budget=40).open()


def test_a_stream_keeps_the_budget_where_a_fixed_price_does_not():
    X, rewards = mixed_world(1000)
    policy = StreamAllocator(RIDGE, budget=2, random_state=0).fit(X, rewards)
    harder, outcomes = mixed_world(3000, seed=1, hard=0.8)
    outcomes[:, :] *= np.random.default_rng(2).random(outcomes.shape) < 0.6
    followed, _ = policy._replay(harder, outcomes)
    fixed, _ = policy.set_params(adapt=False)._replay(harder, outcomes)
    assert followed.mean() == pytest.approx(2, rel=0.02)
    assert abs(fixed.mean() / 2 - 1) > 0.1


@pytest.mark.parametrize("order", [1, -1])
def test_the_budget_holds_when_queries_turn_harder_or_easier(order):
    X, rewards = mixed_world(1000)
    policy = StreamAllocator(RIDGE, budget=3, random_state=0).fit(X, rewards)
    halves = [mixed_world(2500, seed=seed, hard=0.3 + 0.4 * seed) for seed in (0, 1)]
    (X_0, first), (X_1, second) = halves[::order]
    budgets, _ = policy._replay(np.vstack([X_0, X_1]), np.vstack([first, second]))
    assert budgets.mean() == pytest.approx(3, rel=0.02)
    windows = np.convolve(budgets, np.full(500, 1 / 500), mode="valid")
    settled = np.r_[300:2001, 2800 : len(windows)]
    assert np.abs(windows[settled] / 3 - 1).max() < 0.1


def test_a_fixed_price_lets_spend_float():
    X, rewards = mixed_world(500)
    policy = StreamAllocator(RIDGE, budget=2, target="price", random_state=0)
    policy.fit(X, rewards)
    stream = policy.open()
    price = stream.price
    play(stream, X[:100], rewards[:100])
    assert stream.price == price == policy.price_
    spends = []
    for price in (0.02, 0.1, 0.4):
        stream = policy.set_params(price=price).open()
        spends.append(play(stream, X[:200], rewards[:200]).mean())
        assert stream.price == price
    assert spends == sorted(spends, reverse=True)


def test_parameters_that_are_set_later_change_no_open_stream():
    policy = known(target="price", price=0.45)
    stream = policy.open()
    policy.set_params(price=0.01, min_budget=1)
    assert_array_equal(play(stream, np.array([CURVE]), [[0, 0, 0]]), [1])


def test_a_budget_of_zero_asks_for_nothing():
    X, rewards = mixed_world(200)
    policy = StreamAllocator(RIDGE, budget=0, random_state=0).fit(X, rewards)
    assert policy.score(X, rewards) == 0.0


# --- what is told, and what it costs ---------------------------------------------


def table_of(kind, n_queries=400):
    X, rewards = mixed_world(n_queries)
    rng = np.random.default_rng(3)
    if kind == "real":
        return X, RewardTable(rng.normal(X, 1.0, rewards.shape))
    noise = rng.normal(0.0, 0.5, rewards.shape)
    answers = np.where(rewards == 1, "7", rng.integers(0, 5, rewards.shape).astype(str))
    costs = np.exp(rng.normal(3 - X / 2, 0.3, rewards.shape))
    return X, RewardTable(
        rewards, scores=rewards + noise, answers=answers.astype(object), costs=costs
    )


@pytest.mark.parametrize("n_rounds", [None, 3])
@pytest.mark.parametrize("kind", ["real", "score", "vote"])
def test_other_verdicts_keep_the_budget(kind, n_rounds):
    X, table = table_of(kind)
    selection = "reward" if kind == "real" else kind
    policy = StreamAllocator(
        RIDGE, budget=3, selection=selection, n_rounds=n_rounds, random_state=0
    )
    policy.fit(X[:200], table[:200])
    budgets, _ = policy._replay(X[200:], table[200:])
    assert budgets.mean() == pytest.approx(3, rel=0.15)
    assert budgets.std() > 0.5
    even = expected_reward_score(table[200:], 3, selection=selection)
    assert policy.score(X[200:], table[200:]) > even


def test_sessions_are_told_answers_or_scores():
    X, table = table_of("vote")
    policy = StreamAllocator(RIDGE, budget=3, selection="vote", random_state=0)
    session = policy.fit(X, table).open().start(X[0])
    session.ask()
    session.tell([["7"]])
    assert session.answers == ["7"]
    assert session.counts == [{"7": 1}]
    policy.set_params(selection="score")
    session = policy.fit(X, table).open().start(X[0])
    session.ask()
    session.tell([[0.25]])
    assert_array_equal(session.best_scores, [0.25])


@pytest.mark.parametrize("n_rounds", [None, 2])
def test_a_budget_in_cost(n_rounds):
    X, table = table_of("cost", 1500)
    policy = StreamAllocator(
        RIDGE, budget=100, unit="cost", n_rounds=n_rounds, random_state=0
    )
    policy.fit(X[:700], table[:700])
    assert policy.realised_budget_ == pytest.approx(100, rel=0.02)
    _, spent = policy._replay(X[700:], table[700:])
    assert spent.mean() == pytest.approx(100, rel=0.05)
    stream = policy.open()
    with stream.start(X[0]) as session:
        asked = session.ask()
        with pytest.raises(ValueError, match="costs is None"):
            session.tell([[0] * asked[0]])
        session.tell([[0] * asked[0]], [[30] * asked[0]])
    assert stream.mean_cost == 30 * asked[0]
    with pytest.raises(ValueError, match="does not pay for min_budget=9"):
        policy.set_params(min_budget=9).open()


def test_score_is_the_mean_reward_of_the_samples_in_row_order():
    X, rewards = mixed_world(400)
    policy = StreamAllocator(RIDGE, budget=2, random_state=0).fit(X, rewards)
    budgets = play(policy.open(), X, rewards)
    best = [row[:n].max(initial=0) for row, n in zip(rewards, budgets, strict=True)]
    assert policy.score(X, rewards) == pytest.approx(np.mean(best))


def test_missing_samples_are_not_asked_for():
    X, rewards = mixed_world(400)
    rewards[:, 15:] = np.nan
    rewards[::2, 1:] = np.nan
    policy = StreamAllocator(RIDGE, budget=1.5, random_state=0).fit(X, rewards)
    budgets, _ = policy._replay(X, rewards)
    assert budgets[::2].max() == 1


# --- as an estimator -------------------------------------------------------------


def test_predict_is_one_shot_at_the_price():
    policy = known([CURVE, [0.9, 0.09, 0.009]], np.zeros((2, 3)), budget=1)
    policy.set_params(target="price", price=0.1)
    assert_array_equal(policy.predict([CURVE, [0.9, 0.09, 0.009]]), [2, 1])
    policy.set_params(price=0.25)
    assert_array_equal(policy.predict([CURVE, [0.9, 0.09, 0.009]]), [1, 1])


def test_explain_says_what_each_sample_is_worth():
    frame = known(target="price", price=0.1).explain([CURVE])
    assert frame.loc[0, "budget"] == 2
    assert frame.loc[0, "price"] == 0.1
    assert frame.loc[0, "why"].startswith(
        "Gets 2 samples in the one-shot plan, without verdicts: sample 2 raises the "
        "expected reward by 0.2, which is worth the price of 0.1"
    )


def test_a_search_over_its_parameters():
    X, rewards = mixed_world(300)
    policy = StreamAllocator(RIDGE, random_state=0)
    search = GridSearchCV(policy, {"budget": [0.5, 3]}, cv=2).fit(X, rewards)
    assert search.best_params_ == {"budget": 3}
    assert clone(search.best_estimator_).get_params()["budget"] == 3


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"budget": -1}, "budget=-1 is not a mean budget"),
        ({"budget": 1, "min_budget": 2}, "budget=1 is below min_budget=2"),
        ({"n_rounds": 0}, "n_rounds=0 is not accepted"),
        ({"holdout": 1.0}, r"holdout=1\.0 is not accepted"),
        ({"target": "spend"}, "target='spend' is not accepted"),
        ({"price": 0}, "price=0 is not accepted"),
        ({"adapt": 1}, "adapt=1 is not accepted. Expected True or False"),
        ({"gain": 0}, "gain=0 is not accepted"),
        ({"cap": -1}, "cap=-1 is not accepted"),
        ({"cap": 0.5, "budget": 1}, r"cap=0\.5 is below budget=1"),
        (
            {"cap": 0.5, "min_budget": 1, "budget": 1},
            r"cap=0\.5 is below min_budget=1.*min_budget alone exceeds it",
        ),
        ({"cap_window": 0}, "cap_window=0 is not accepted"),
        ({"unit": "tokens"}, "unit='tokens' is not accepted"),
        ({"unit": "cost"}, "needs the costs of samples"),
        ({"selection": "vote"}, "answers"),
    ],
)
def test_bad_parameters(params, message):
    X, rewards = mixed_world(50)
    with pytest.raises(ValueError, match=message):
        StreamAllocator(RIDGE, **params).fit(X, rewards)
    if "unit" not in params and "selection" not in params:
        policy = StreamAllocator(RIDGE, random_state=0).fit(X, rewards)
        with pytest.raises(ValueError, match=message):
            policy.set_params(**params).open()


def test_it_must_be_fitted():
    for method in (StreamAllocator().open, lambda: StreamAllocator().price_):
        with pytest.raises(NotFittedError):
            method()
