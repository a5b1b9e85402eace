"""Rules of selection of one's own, from the curves to the score."""

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rules import Erring, Worst, enumerate_curve
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    MLPRewardRegressor,
    PricedAllocator,
    RewardRegressor,
)
from sklearn_adaalloc.curves import (
    expected_rewards,
    extended_marginals,
    marginal_rewards,
    reward_curves,
)
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import expected_reward_score
from sklearn_adaalloc.planning import allocate

X, REWARDS = make_reward_table(120, 5, random_state=0, return_X_y=True)
REAL = make_reward_table(120, 5, profile="chat", random_state=0).rewards
RIDGE = RewardRegressor(Ridge())
RULES = [Erring(0.3), Worst()]
BY_REGRESSOR = [AdaptiveAllocator, BinnedAllocator, PricedAllocator]


def name(rule):
    return type(rule).__name__


@pytest.fixture(params=RULES, ids=name)
def rule(request):
    return request.param


@pytest.fixture(params=[REWARDS, REAL], ids=["verdicts", "values"])
def rewards(request):
    return request.param


def enumerated(rule, rewards, **options):
    return np.array([enumerate_curve(rule, row, **options) for row in rewards])


# Curves and scores


def test_curves_are_those_of_all_subsets(rule, rewards):
    curves = enumerated(rule, rewards, empty_reward=0.1)
    options = {"empty_reward": 0.1, "selection": rule}
    steps = np.diff(curves)
    assert_allclose(reward_curves(rewards, 5, **options), curves)
    assert_allclose(marginal_rewards(rewards, 5, **options), steps, atol=1e-12)
    assert_allclose(extended_marginals(rewards, 5, **options), steps, atol=1e-12)


def test_scores_are_those_of_all_subsets(rule, rewards):
    budgets = np.arange(120) % 6
    curves = enumerated(rule, rewards, empty_reward=-0.2)
    expected = curves[np.arange(120), budgets]
    options = {"empty_reward": -0.2, "selection": rule}
    assert_allclose(expected_rewards(rewards, budgets, **options), expected)
    score = expected_reward_score(rewards, budgets, **options)
    assert score == pytest.approx(expected.mean())


def test_rows_of_their_own_lengths(rule):
    ragged = np.where(np.arange(5) < 2 + np.arange(120)[:, None] % 4, REAL, np.nan)
    budgets = np.isfinite(ragged).sum(axis=1)
    expected = [enumerate_curve(rule, row)[-1] for row in ragged]
    score = expected_reward_score(ragged, budgets, selection=rule)
    assert score == pytest.approx(np.mean(expected))


# Estimators


@pytest.mark.parametrize("allocator", BY_REGRESSOR)
def test_an_allocator_learns_and_scores_by_its_rule(allocator, rule, rewards):
    policy = allocator(RIDGE, budget=2, selection=rule, random_state=0)
    policy.fit(X, rewards)
    budgets = policy.predict(X)
    assert policy.regressor_.selection == rule
    assert policy.regressor_.target_ == "marginal_rewards"
    curves = enumerated(rule, rewards)
    expected = curves[np.arange(120), budgets].mean()
    assert policy.score(X, rewards) == pytest.approx(expected)
    # Where the default is not to learn success rates, a plain Ridge learns the same.
    own = RewardRegressor(Ridge(), "marginal_rewards", selection=rule).fit(X, rewards)
    alone = allocator(FrozenEstimator(own), budget=2, selection=rule, random_state=0)
    if allocator is AdaptiveAllocator:
        assert_array_equal(alone.fit(X, rewards).predict(X), budgets)
        assert_array_equal(allocate(own.predict_marginals(X), 2)[0], budgets)


@pytest.mark.parametrize("allocator", BY_REGRESSOR)
def test_where_further_samples_harm_hardly_a_query_gets_two(allocator):
    policy = allocator(RIDGE, budget=4, selection=Worst(), random_state=0)
    budgets = policy.fit(X, REWARDS).predict(X)
    assert (budgets > 1).sum() <= 1  # where the prediction is above zero all along
    assert (budgets == 1).mean() > 0.8


def test_baselines_score_by_it(rule):
    policy = DummyAllocator(budget=3, selection=rule).fit(X, REWARDS)
    assert policy.score(X, REWARDS) == pytest.approx(
        enumerated(rule, REWARDS)[:, 3].mean()
    )


def test_a_net_learns_marginal_rewards_by_it(rule):
    options = {"hidden_units": 2, "max_epochs": 1, "random_state": 0}
    model = MLPRewardRegressor(selection=rule, **options).fit(X, REWARDS)
    assert model.target_ == "marginal_rewards"
    by_default = MLPRewardRegressor(**options).fit(X, REWARDS)
    assert by_default.target_ == "rate_distribution"


def test_a_rule_may_say_that_it_follows_rates():
    class Watchful(Erring):
        follows_rates = True

    options = {"hidden_units": 2, "max_epochs": 1, "random_state": 0}
    model = MLPRewardRegressor(selection=Watchful(0), **options).fit(X, REWARDS)
    assert model.target_ == "rate_distribution"


def test_the_score_of_a_regressor_is_by_its_rule(rule):
    model = RewardRegressor(Ridge(), selection=rule).fit(X, REAL)
    observed = np.diff(enumerated(rule, REAL))
    residual = ((model.predict(X) - observed) ** 2).sum()
    total = ((observed - observed.mean(axis=0)) ** 2).sum()
    assert model.score(X, REAL) == pytest.approx(1 - residual / total)


# Clones, searches, files


def test_clones_and_equal_rules(rule):
    policy = AdaptiveAllocator(RIDGE, selection=rule)
    copy = clone(policy)
    assert copy.selection == rule
    assert hash(copy.selection) == hash(rule)
    assert Erring(0.1) != Erring(0.2)
    assert Erring() != Worst()


def test_a_search_over_rules():
    grid = {"selection": ["reward", Erring(0.25), Erring(0.75)]}
    search = GridSearchCV(AdaptiveAllocator(RIDGE, budget=2), grid, cv=2)
    search.fit(X, REWARDS)
    scores = search.cv_results_["mean_test_score"]
    assert (np.diff(scores) < 0).all()
    assert search.best_params_ == {"selection": "reward"}


def test_joblib_keeps_it(rule, tmp_path):
    policy = AdaptiveAllocator(RIDGE, budget=2, selection=rule).fit(X, REWARDS)
    joblib.dump(policy, tmp_path / "policy")
    restored = joblib.load(tmp_path / "policy")
    assert restored.selection == rule
    assert restored.score(X, REWARDS) == policy.score(X, REWARDS)


# What is refused


@pytest.mark.parametrize("selection", ["best", None, 3, Erring, ["reward"]])
@pytest.mark.parametrize(
    "use",
    [
        lambda selection: AdaptiveAllocator(RIDGE, selection=selection).fit(X, REWARDS),
        lambda selection: BinnedAllocator(RIDGE, selection=selection).fit(X, REWARDS),
        lambda selection: PricedAllocator(RIDGE, selection=selection).fit(X, REWARDS),
        lambda selection: DummyAllocator(selection=selection).fit(X, REWARDS),
        lambda selection: RewardRegressor(Ridge(), selection=selection).fit(X, REWARDS),
        lambda selection: MLPRewardRegressor(selection=selection).fit(X, REWARDS),
        lambda selection: expected_reward_score(REWARDS, 1, selection=selection),
    ],
    ids=["adaptive", "binned", "priced", "dummy", "wrapped", "mlp", "score"],
)
def test_what_is_no_rule(use, selection):
    names = r"\['reward', 'score', 'vote'\]"
    message = rf"selection=.* is not accepted.*{names}, or a rule: an instance of"
    with pytest.raises(ValueError, match=message):
        use(selection)


@pytest.mark.parametrize(
    ("regressor", "match"),
    [
        (
            RewardRegressor(Ridge(), selection=Erring(0.5)),
            r"selection=.*Erring.* contradicts that of the regressor, .*Erring",
        ),
        (
            FrozenEstimator(RewardRegressor(Ridge()).fit(X, REWARDS)),
            r"selection=.* contradicts that of the frozen regressor, 'reward'",
        ),
    ],
    ids=["unfitted", "frozen"],
)
def test_a_regressor_of_another_rule(regressor, match):
    with pytest.raises(ValueError, match=match):
        AdaptiveAllocator(regressor, selection=Erring(0.25)).fit(X, REWARDS)


@pytest.mark.parametrize("frozen", [False, True])
def test_an_equal_rule_is_no_contradiction(frozen):
    regressor = RewardRegressor(Ridge(), selection=Erring(0.25))
    if frozen:
        regressor = FrozenEstimator(regressor.fit(X, REWARDS))
    policy = AdaptiveAllocator(regressor, selection=Erring(0.25)).fit(X, REWARDS)
    assert policy.score(X, REWARDS) > 0


@pytest.mark.parametrize("target", ["success_rate", "rate_distribution"])
def test_rates_do_not_say_what_is_chosen(rule, target):
    model = RewardRegressor(Ridge(), target, selection=rule)
    start = f"target='{target}' does not fit selection="
    match = rf"{start}.*{name(rule)}.*Expected target='marginal_rewards'"
    with pytest.raises(ValueError, match=match):
        model.fit(X, REWARDS)
