"""What holds for every planner: money, bounds, and curves that end at 0 and at 1."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    PricedAllocator,
    RewardRegressor,
    SequentialAllocator,
)
from sklearn_adaalloc.allocators import SequentialSession
from sklearn_adaalloc.curves import concave_repair, mixture_marginals, rate_marginals
from sklearn_adaalloc.planning import plan_round
from sklearn_adaalloc.planning._beliefs import RewardBelief, SuccessBelief


class Curves(RegressorMixin, BaseEstimator):
    """Takes the features for the marginal rewards."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict_marginals(self, X, max_budget):
        return np.asarray(X, dtype=float)[:, :max_budget]


class RepairedCurves(Curves):
    """Repairs them beyond the samples that are mandatory, as regressors do."""

    def predict_marginals(self, X, max_budget, *, min_budget=0):
        marginals = super().predict_marginals(X, max_budget)
        return concave_repair(marginals, min_budget=min_budget)


FROZEN = FrozenEstimator(Curves().fit([[0.0]], [[0.0]]))
RATES = np.array([0, 0, 1, 1, 1e-300, 1e-17, 1e-6, 0.01, 0.3, 0.9, 1 - 1e-12])
ONE_SHOT = [AdaptiveAllocator, BinnedAllocator, PricedAllocator]


@pytest.fixture(autouse=True)
def no_warning():
    """No planner divides by nothing, and none warns."""
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        yield


def draw_curves(rng, n_queries, max_budget):
    """Known rates, mixtures of extremes and distributions; with the queries' rates."""
    known = np.where(
        rng.random(n_queries) < 0.7,
        rng.choice(RATES, n_queries),
        rng.beta(0.3, 0.3, n_queries),
    )
    marginals = rate_marginals(known, max_budget)
    mixed = np.flatnonzero(rng.random(n_queries) < 0.3)
    grid = np.array([0.0, 0.05, 0.5, 1.0])
    weights = rng.dirichlet(np.full(4, 0.3), mixed.size)
    marginals[mixed] = mixture_marginals(weights, grid, max_budget)
    drawn = (rng.random((mixed.size, 1)) > np.cumsum(weights, axis=1)).sum(axis=1)
    rates = known.copy()
    rates[mixed] = grid[np.minimum(drawn, 3)]
    known[mixed] = np.nan
    return marginals, known, rates


def play(session, draw):
    """Play a session to its end; what it asked for in each round."""
    rounds = []
    while (asked := session.ask()) is not None:
        assert asked.dtype == np.int64
        assert asked.min() >= 0
        assert asked.any()
        told = np.full((len(asked), asked.max()), np.nan)
        wanted = np.arange(told.shape[1]) < asked[:, None]
        told[wanted] = draw(np.nonzero(wanted)[0])
        session.tell(told)
        rounds.append(asked)
    return rounds


SIZES = {
    "n_queries": st.integers(10, 600),
    "max_budget": st.sampled_from([1, 7, 64, 300]),  # 300: planned in kinds from 257 on
    "budget": st.floats(0.05, 8),
    "seed": st.integers(0, 2**16),
}


@settings(deadline=None, max_examples=40)
@given(**SIZES, allocator=st.sampled_from(ONE_SHOT), min_budget=st.integers(0, 1))
def test_up_front(n_queries, max_budget, budget, seed, allocator, min_budget):
    allocate_and_check(n_queries, max_budget, budget, seed, allocator, min_budget)


def allocate_and_check(n_queries, max_budget, budget, seed, allocator, min_budget):
    budget = min(max(budget, min_budget), max_budget)
    rng = np.random.default_rng(seed)
    marginals, known, rates = draw_curves(rng, n_queries, max_budget)
    rewards = (rng.random((n_queries, max_budget)) < rates[:, None]) * 1.0
    options = {"budget": budget, "min_budget": min_budget, "random_state": 0}
    policy = allocator(FROZEN, **options).fit(marginals, rewards)
    budgets = policy.predict(marginals)
    assert budgets.dtype == np.int64
    assert budgets.min() >= min_budget
    assert budgets.max() <= max_budget
    assert budgets.mean() <= budget
    if allocator is not BinnedAllocator:  # bins join the sure with others
        assert budgets[known == 1].max(initial=0) <= 1
        assert budgets[known == 0].max(initial=0) <= min_budget
    if allocator is AdaptiveAllocator:
        useful = np.count_nonzero(marginals[:, min_budget:] > 0)
        useful += min_budget * n_queries
        assert budgets.sum() <= useful
        assert budgets.sum() == useful or not pays_for_more(budget, budgets)


@settings(deadline=None, max_examples=40)
@given(**SIZES, n_rounds=st.sampled_from([1, 2, 4, None]), corrected=st.booleans())
def test_in_rounds_of_verdicts(
    n_queries, max_budget, budget, seed, n_rounds, corrected
):
    play_and_check(n_queries, max_budget, budget, seed, n_rounds, corrected)


def play_and_check(n_queries, max_budget, budget, seed, n_rounds, corrected):
    budget = min(budget, max_budget)
    rng = np.random.default_rng(seed)
    marginals, known, rates = draw_curves(rng, n_queries, max_budget)
    limits = np.full(n_queries, max_budget)
    belief = SuccessBelief(
        marginals, limits, share_plans=n_rounds is not None, corrected=corrected
    )
    session = SequentialSession(belief, budget=budget, n_rounds=n_rounds)
    rounds = play(session, lambda rows: rng.random(len(rows)) < rates[rows])
    check_session(session, rounds, known, budget, max_budget, n_rounds)
    # Verdicts may correct the certainty of predictions, but nothing does before them.
    before_verdicts = rounds[:1] if corrected else [session.budgets]
    for asked in before_verdicts:
        assert asked[known == 1].max(initial=0) <= 1


@settings(deadline=None, max_examples=25)
@given(
    n_queries=st.integers(3000, 20_000),
    budget=st.floats(0.1, 8),
    seed=st.integers(0, 2**16),
    n_rounds=st.sampled_from([1, 2, 4]),
)
def test_in_rounds_of_verdicts_at_scale(n_queries, budget, seed, n_rounds):
    # Beyond some thousand queries, near-equal curves share a plan.
    play_and_check(n_queries, 64, budget, seed, n_rounds, corrected=True)


@settings(deadline=None, max_examples=25)
@given(
    n_queries=st.integers(3000, 20_000),
    budget=st.floats(0.1, 8),
    seed=st.integers(0, 2**16),
    allocator=st.sampled_from(ONE_SHOT),
)
def test_up_front_at_scale(n_queries, budget, seed, allocator):
    allocate_and_check(n_queries, 64, budget, seed, allocator, min_budget=0)


def check_session(session, rounds, known, budget, max_budget, n_rounds):
    spent = session.budgets
    assert spent.max() <= max_budget
    assert spent.mean() <= budget
    assert n_rounds is None or len(rounds) <= n_rounds
    assert spent[known == 0].max(initial=0) == 0
    clear = (known > 0.005) & (known < 0.95)
    wanting = clear & (session.best_rewards < 1) & (spent < max_budget)
    assert not pays_for_more(budget, spent) or not wanting.any()


def pays_for_more(budget, spent):
    """Whether a mean budget pays for a sample more than were spent."""
    return (spent.sum() + 1) / len(spent) <= budget


@pytest.mark.parametrize("n_rounds", [1, 2, 4])
def test_twenty_thousand_queries_half_of_them_sure(n_rounds):
    rng = np.random.default_rng(0)
    known = np.where(np.arange(20_000) % 2, 1.0, rng.beta(0.4, 1.0, 20_000))
    belief = SuccessBelief(rate_marginals(known, 64), np.full(20_000, 64))
    session = SequentialSession(belief, budget=4, n_rounds=n_rounds)
    rounds = play(session, lambda rows: rng.random(len(rows)) < known[rows])
    assert rounds[0][known == 1].max() <= 1
    check_session(session, rounds, known, 4, 64, n_rounds)


@pytest.mark.parametrize("sure", [0.9, 1 - 1e-7, 1 - 1e-12, 1.0])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_nearly_sure_queries_of_a_large_batch(sure, share):
    rng = np.random.default_rng(1)
    easy = rng.random(8000) < share
    rates = np.where(easy, sure, rng.choice([0.0, 1e-12, 0.02, 0.4], 8000))
    belief = SuccessBelief(rate_marginals(rates, 64), np.full(8000, 64))
    asked = belief.plan(16_000, 4)
    assert asked[easy].max() <= 2
    assert asked[rates == 0].max(initial=0) == 0
    assert asked.sum() <= 16_000


def test_predictions_of_a_regressor_that_is_sure_of_half():
    rng = np.random.default_rng(2)
    X = rng.random((5000, 1))
    rewards = (rng.random((5000, 64)) < np.where(X < 0.5, X, 1.0)) * 1.0
    ridge = RewardRegressor(Ridge(), target="success_rate")
    policy = SequentialAllocator(ridge, budget=4).fit(X, rewards)
    asked = policy.start(X).ask()
    assert asked[X[:, 0] > 0.9].max() <= 2
    assert asked.sum() <= 20_000


@settings(deadline=None, max_examples=30)
@given(
    n_queries=st.integers(10, 400),
    max_budget=st.sampled_from([1, 7, 64]),
    budget=st.floats(0.05, 6),
    scale=st.sampled_from([1e-20, 1.0, 1e20]),
    seed=st.integers(0, 2**16),
    n_rounds=st.sampled_from([1, 2, 4, None]),
)
def test_in_rounds_of_real_values(n_queries, max_budget, budget, scale, seed, n_rounds):
    # Some queries have one value only, some values are 0 or 1, and some below zero.
    budget = min(budget, max_budget)
    rng = np.random.default_rng(seed)
    means = rng.choice([-1.0, 0.0, 1.0, 3.0], n_queries)
    spreads = rng.choice([0.0, 0.0, 1.0, 5.0], n_queries)
    marginals = spreads[:, None] / np.arange(1, max_budget + 1.0) ** 2
    marginals[:, 0] = means
    limits = np.full(n_queries, max_budget)
    belief = RewardBelief(scale * marginals, limits)
    session = SequentialSession(belief, budget=budget, n_rounds=n_rounds)
    play(session, lambda rows: scale * rng.normal(means[rows], spreads[rows]))
    assert session.budgets.max() <= max_budget
    assert session.budgets.sum() <= budget * n_queries
    repaired = np.cumsum(marginals, axis=1).max(axis=1) <= 0
    assert session.budgets[repaired].max(initial=0) == 0


# What vanishes


@pytest.mark.parametrize("chance", [1e-300, 1e-30, 1e-17, 1e-9])
def test_a_small_chance_is_bought_where_money_is_left(chance):
    assert plan_round(np.full((2, 3), chance), 4, 1).tolist() == [2, 2]


# The first step of a curve


LINES = {
    "a first step below zero": [-0.02, 0.03, 0.03, 0.03],
    "nothing before the last": [0.0, 0.0, 0.0, 0.2],
    "rising throughout": [0.01, 0.02, 0.03, 0.04],
    "a dent": [0.1, -0.05, 0.1, 0.05],
    "sure but for the first step": [-0.1, 1.1, 0.0, 0.0],
}


@pytest.mark.parametrize("curve", LINES.values(), ids=LINES)
@pytest.mark.parametrize("n_rounds", [1, 3, None])
def test_rounds_give_a_chance_to_whom_predict_does(curve, n_rounds):
    marginals = np.array([curve, [0.6, 0.2, 0.1, 0.05]])
    for regressor in (Curves(), RepairedCurves()):
        policy = SequentialAllocator(regressor, budget=4, n_rounds=n_rounds)
        policy.fit(marginals, [[0.0, 1.0, 0.0, 1.0]] * 2)
        session = policy.start(marginals)
        play(session, lambda rows: np.zeros(len(rows)))
        assert session.budgets.tolist() == [4, 4]
    assert policy.predict(marginals).min() > 0


@pytest.mark.parametrize("n_rounds", [2, None])
def test_rounds_of_real_values_do_as_well(n_rounds):
    marginals = np.array([[-0.5, 0.4, 0.4, 0.4], [1.0, 0.5, 0.2, 0.1]])
    rewards = [[0.0, 1.5, 0.2, -1.0]] * 2
    policy = SequentialAllocator(FROZEN, budget=4, n_rounds=n_rounds)
    session = policy.fit(marginals, rewards).start(marginals)
    rng = np.random.default_rng(0)
    play(session, lambda rows: rng.normal(-0.5, 1.0, len(rows)))
    assert session.budgets.min() > 0
