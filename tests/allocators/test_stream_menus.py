"""Streams on tables of several decoders."""

from copy import deepcopy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    RewardRegressor,
    RewardTable,
    StreamAllocator,
    load_policy,
    save_policy,
)

RIDGE = RewardRegressor(Ridge(10.0), target="rate_profiles")
COSTS = np.array([1.0, 2.0, 8.0])
NAMES = ["small", "middle", "large"]


def make_world(n_queries, seed=0, n_samples=8):
    """Queries whose first feature is their ease, with a better and dearer decoder."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_queries, 3))
    logits = 1.5 * X[:, :1] + np.array([-1.5, -0.5, 1.0])
    rates = 1 / (1 + np.exp(-logits - random.normal(size=(n_queries, 1))))
    return X, (random.random((n_queries, 3, n_samples)) < rates[:, :, None]) * 1.0


X, REWARDS = make_world(900)
TABLE = RewardTable(REWARDS, costs=COSTS, decoders=NAMES)
NEW_X, NEW_REWARDS = make_world(600, seed=1)
NEW = RewardTable(NEW_REWARDS, costs=COSTS, decoders=NAMES)


@pytest.fixture(scope="module")
def fitted():
    policy = StreamAllocator(RIDGE, budget=3.0, unit="cost", random_state=0)
    return policy.fit(X, TABLE)


@pytest.fixture
def policy(fitted):
    return deepcopy(fitted)


def fail(session, asked):
    """Tell a session that all that it asked for is wrong, at the usual costs."""
    rewards = [[[0.0] * n for n in row] for row in asked]
    costs = [[[c] * n for c, n in zip(COSTS, row, strict=True)] for row in asked]
    session.tell(rewards, costs)


def asked_until_end(session):
    """Samples of each round where all samples fail."""
    rounds = []
    while (asked := session.ask()) is not None:
        rounds.append(asked)
        fail(session, asked)
    return rounds


# --- the price and the budget ----------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "budget", "n_rounds"),
    [
        ("samples", 1.5, None),
        ("samples", 1.5, 1),
        ("cost", 4.0, None),
        ("cost", 4.0, 3),
    ],
)
def test_the_budget_is_spent(unit, budget, n_rounds):
    policy = StreamAllocator(
        RIDGE, budget=budget, unit=unit, n_rounds=n_rounds, random_state=0
    )
    policy.fit(X, TABLE)
    # A round of one query costs up to 8, and 180 queries are held out.
    assert policy.realised_budget_ == pytest.approx(budget, rel=0.03)
    budgets, spent = policy._replay(NEW_X, NEW)
    each = COSTS if unit == "cost" else np.ones(3)
    assert_allclose(spent, budgets @ each)
    assert spent.mean() == pytest.approx(budget, rel=0.05)
    assert budgets.shape == (600, 3)


def test_a_followed_price_holds_the_budget_where_a_fixed_one_does_not(policy):
    harder = NEW_REWARDS * (np.random.default_rng(2).random(NEW_REWARDS.shape) < 0.5)
    table = RewardTable(harder, costs=COSTS)
    _, followed = policy._replay(NEW_X, table)
    _, fixed = policy.set_params(adapt=False)._replay(NEW_X, table)
    assert followed.mean() == pytest.approx(3.0, rel=0.05)
    assert fixed.mean() > 3.3


def test_a_price_can_be_kept_instead(policy):
    spends = []
    for price in (0.02, 0.1, 0.4):
        policy.set_params(target="price", price=price)
        assert policy.open().price == policy.price_ == price
        spends.append(policy._replay(NEW_X[:200], NEW[:200])[1].mean())
    assert spends == sorted(spends, reverse=True)


def test_budgets_in_noisy_costs():
    rng = np.random.default_rng(3)
    noise = rng.lognormal(0, 0.5, REWARDS.shape) * np.exp(-X[:, :1, None] / 3)
    table = RewardTable(REWARDS, costs=COSTS[:, None] * noise)
    policy = StreamAllocator(RIDGE, budget=4.0, unit="cost", random_state=0)
    policy.fit(X[:600], table[:600])
    assert policy.realised_budget_ == pytest.approx(4.0, rel=0.03)
    _, spent = policy._replay(X[600:], table[600:])
    assert spent.mean() == pytest.approx(4.0, rel=0.1)
    assert len(policy.cost_spread_) == len(policy.cost_regressor_) == 3


def test_score_is_the_mean_reward_of_the_samples_in_order(policy):
    budgets, _ = policy._replay(NEW_X, NEW)
    best = [
        max([0.0, *(max(r[:b], default=0.0) for r, b in zip(*row, strict=True))])
        for row in zip(NEW_REWARDS, budgets, strict=True)
    ]
    score = policy.score(NEW_X, NEW)
    assert score == pytest.approx(np.mean(best))
    # Uniform: three samples of the cheapest decoder for the same money.
    assert score > NEW_REWARDS[:, 0, :3].max(axis=1).mean() + 0.05


def test_one_decoder_with_an_axis_is_one_without():
    plain, axis = (
        StreamAllocator(RewardRegressor(Ridge(10.0)), budget=2.0, random_state=0)
        for _ in range(2)
    )
    plain.fit(X, REWARDS[:, 1])
    axis.fit(X, REWARDS[:, [1]])
    assert plain.price_ == axis.price_
    assert_array_equal(
        plain._replay(NEW_X, NEW_REWARDS[:, 1])[0],
        axis._replay(NEW_X, NEW_REWARDS[:, [1]])[0],
    )


# --- sessions --------------------------------------------------------------------


def test_sessions_have_an_axis_of_decoders(policy):
    stream = policy.open()
    with stream.start(NEW_X[0]) as session:
        asked = session.ask()
        assert (asked.shape, asked.dtype, asked.sum()) == ((1, 3), np.int64, 1)
        fail(session, asked)
        assert_array_equal(session.budgets, asked)
        assert_array_equal(session.costs, asked * COSTS)
        assert session.predicted_costs.shape == (1, 3)
        assert_array_equal(session.best_rewards, [0.0])
        assert session.rounds_taken == 1
    assert (stream.n_queries, stream.mean_cost) == (1, asked[0] @ COSTS)


def test_a_success_ends_a_query_and_failures_bring_better_decoders(policy):
    policy.set_params(target="price", price=0.02)
    session = policy.open().start(NEW_X[:5])
    first = session.ask()
    told = np.where(first, 0.0, np.nan)
    told[0] = np.where(first[0], 1.0, np.nan)
    session.tell(told[:, :, None], first * COSTS)
    assert not session.ask()[0].any()
    order = np.argmax(asked_until_end(policy.open().start(np.zeros(3))), axis=2).ravel()
    assert 2 in order
    assert order[0] < 2


def test_queries_that_arrive_together_count_alike(policy):
    together, apart = policy.open(), policy.open()
    with together.start(NEW_X[:4]) as session:
        rounds = asked_until_end(session)
    for x in NEW_X[:4]:
        with apart.start(x) as session:
            asked_until_end(session)
    assert len(rounds) > 1
    assert together.n_queries == apart.n_queries == 4
    assert together.mean_cost == pytest.approx(apart.mean_cost, rel=0.2)


def test_rounds_are_the_bound_on_latency(policy):
    policy.set_params(n_rounds=2, target="price", price=0.01)
    rounds = asked_until_end(policy.open().start(NEW_X[:20]))
    assert len(rounds) == 2
    assert rounds[0].sum() > 20


def test_bounds_of_each_decoder(policy):
    policy.set_params(min_budget=[1, 0, 0], max_budget=[3, 2, 0], budget=4.0)
    budgets, _ = policy._replay(NEW_X, NEW)
    assert (budgets >= [1, 0, 0]).all()
    assert (budgets <= [3, 2, 0]).all()
    assert_array_equal(policy.open().start(NEW_X[:9]).ask()[:, 0], 1)
    with pytest.raises(ValueError, match=r"budget=4\.0 does not pay for min_budget"):
        policy.set_params(min_budget=[0, 0, 1], max_budget=8).open()


def test_decoders_that_cannot_answer_are_not_asked(policy):
    policy.set_params(target="price", price=0.01)
    stream = policy.open()
    session = stream.start(NEW_X[0], available=[False, True, True])
    rounds = np.concatenate(asked_until_end(session))
    assert not rounds[:, 0].any()
    assert rounds[:, 1:].any(axis=0).all()
    mask = np.array([[True, False, False], [False, False, False]])
    with stream.start(NEW_X[:2], available=mask) as session:
        assert (asked_until_end(session)[0] <= mask).all()
        assert not session.budgets[1].any()


def test_decoders_that_go_away_are_asked_no_more(policy):
    policy.set_params(target="price", price=0.01)
    session = policy.open().start(NEW_X[0])
    gone = session.ask() > 0
    with pytest.raises(ValueError, match="withdraw was called between ask and tell"):
        session.withdraw(gone)
    fail(session, session.ask())
    session.withdraw(gone)
    assert not np.concatenate(asked_until_end(session))[:, gone[0]].any()
    with pytest.raises(ValueError, match=r"gone has shape \(3,\)"):
        session.withdraw(np.zeros(3, dtype=bool))


def test_missing_samples_and_decoders(policy):
    rewards = REWARDS.copy()
    rewards[::2, 2] = np.nan
    rewards[:, 0, 2:] = np.nan
    table = RewardTable(rewards, costs=COSTS)
    policy = clone(policy).fit(X, table)
    assert policy.realised_budget_ == pytest.approx(3.0, rel=0.03)
    budgets, _ = policy._replay(X, table)
    assert not budgets[::2, 2].any()
    assert budgets[:, 0].max() <= 2


def test_a_query_that_is_abandoned_counts_what_it_asked_for(policy):
    stream = policy.open()
    with stream.start(NEW_X[:3]) as session:
        asked = session.ask()
    assert stream.mean_cost == pytest.approx((asked @ COSTS).mean())
    in_samples = StreamAllocator(RIDGE, budget=1.0, random_state=0).fit(X, REWARDS)
    stream = in_samples.open()
    with stream.start(NEW_X[:3]) as session:
        asked = session.ask()
    assert stream.mean_cost == asked.sum(axis=1).mean()


def test_sessions_refuse_what_is_out_of_turn(policy):
    session = policy.open().start(NEW_X[0])
    nothing = np.full((1, 3, 1), np.nan)
    with pytest.raises(ValueError, match="tell was called before ask"):
        session.tell(nothing)
    fail(session, session.ask())
    with pytest.raises(ValueError, match="tell was called before ask"):
        session.tell(nothing)
    session.close()
    with pytest.raises(ValueError, match="close was called on a closed session"):
        session.close()
    with pytest.raises(ValueError, match="withdraw was called on a closed session"):
        session.withdraw(np.zeros((1, 3), dtype=bool))
    with pytest.raises(ValueError, match="ask was called on a closed session"):
        session.ask()


def test_sessions_refuse_foreign_rewards(policy):
    session = policy.open().start(NEW_X[0])
    asked = session.ask()
    rewards = np.where(asked, 0.5, np.nan)[:, :, None]
    with pytest.raises(ValueError, match="where 1 were asked for"):
        session.tell(rewards, asked * COSTS)
    with pytest.raises(ValueError, match="does not fit 1 queries with 3 decoders"):
        session.tell([0.0])
    with pytest.raises(ValueError, match="costs is None"):
        session.tell(np.where(asked, 0.0, np.nan)[:, :, None])
    fail(session, asked)


# --- as an estimator -------------------------------------------------------------


def test_predict_and_explain_at_the_price(policy):
    policy.set_params(target="price", price=0.05)
    few = policy.predict(NEW_X)
    many = policy.set_params(price=0.02).predict(NEW_X)
    assert few.shape == (600, 3)
    assert few.sum() < many.sum()
    one_by_one = [policy.predict(x[None])[0] for x in NEW_X[:20]]
    assert_array_equal(many[:20], one_by_one)
    frame = policy.explain(NEW_X[:2])
    assert frame["decoder"].tolist() == NAMES * 2
    assert_array_equal(frame["budget"], many[:2].ravel())
    assert (frame["price"] == 0.02).all()
    assert frame["why"].str.contains("in the one-shot plan, without verdicts").all()
    assert policy.predict_marginals(NEW_X[:2]).shape == (2, 3, 8)


def test_other_tables_and_parameters_are_refused(policy):
    with pytest.raises(ValueError, match=r"have 2 decoders, but this .* fitted on 3"):
        policy.score(NEW_X, NEW_REWARDS[:, :2])
    with pytest.raises(ValueError, match=r"available has shape \(1, 2\)"):
        policy.open().start(NEW_X[0], available=[True, False])
    with pytest.raises(ValueError, match="selection='vote' is not accepted"):
        clone(policy).set_params(selection="vote").fit(X, TABLE)
    plain = StreamAllocator(RewardRegressor(Ridge())).fit(X, REWARDS[:, 0])
    with pytest.raises(ValueError, match=r"available=\[True\] is not accepted"):
        plain.open().start(NEW_X[0], available=[True])
    with pytest.raises(
        ValueError, match="StreamAllocator was fitted on a table with 2"
    ):
        plain.score(NEW_X, NEW_REWARDS[:, :2])


# --- state -----------------------------------------------------------------------


def serve(stream, rows):
    spent = []
    for row in rows:
        with stream.start(NEW_X[row]) as session:
            while (asked := session.ask()) is not None:
                taken = session.budgets[0]
                told = [
                    NEW_REWARDS[row, d, t : t + n]
                    for d, (t, n) in enumerate(zip(taken, asked[0], strict=True))
                ]
                session.tell([told], asked * COSTS)
        spent.append(session.costs.sum())
    return spent


def test_a_restart_changes_nothing(policy, tmp_path):
    expected = serve(policy.open(), range(60))
    stream = policy.open()
    before = serve(stream, range(30))
    stream.save(tmp_path / "stream.json")
    save_policy(policy, tmp_path / "policy")
    again = load_policy(tmp_path / "policy")
    stream = again.open(state=tmp_path / "stream.json")
    assert before + serve(stream, range(30, 60)) == expected
    assert stream.mean_cost == pytest.approx(np.mean(expected))


def test_a_shared_stream_is_like_one_in_memory(policy, tmp_path):
    in_memory = policy.open()
    expected = serve(in_memory, range(40))
    with policy.open(path=tmp_path / "stream.sqlite") as stream:
        before = serve(stream, range(20))
    with policy.open(path=tmp_path / "stream.sqlite") as stream:
        assert before + serve(stream, range(20, 40)) == expected
        assert stream.price == in_memory.price


def test_the_state_of_another_policy_is_refused(policy, tmp_path):
    one = StreamAllocator(RewardRegressor(Ridge()), random_state=0)
    one.fit(X, REWARDS[:, 0])
    one.open().save(tmp_path / "one.json")
    policy.open().save(tmp_path / "menu.json")
    one.open(path=tmp_path / "one.sqlite").close()
    for theirs, own in (("one", policy), ("menu", one)):
        with pytest.raises(ValueError, match="is the state of another policy"):
            own.open(state=tmp_path / f"{theirs}.json")
    with pytest.raises(ValueError, match="is the state of another policy"):
        policy.open(path=tmp_path / "one.sqlite")
