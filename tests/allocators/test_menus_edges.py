"""Tables of several decoders at the edge: odd costs, decoders and predictions."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
)

ALLOCATORS = [AdaptiveAllocator, PricedAllocator, SequentialAllocator]
RIDGE = RewardRegressor(Ridge(10.0), target="rate_profiles")
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(160, 3))
RATES = 1 / (1 + np.exp(-1.5 * X[:, :1] - [-1.0, 0.5]))
REWARDS = (RANDOM.random((160, 2, 6)) < RATES[:, :, None]) * 1.0
COSTS = np.exp(RANDOM.normal(0, 0.3, size=(160, 2, 6))) * [[2.0], [6.0]]
NAMES = ["cheap", "dear"]


class TestOneDecoder:
    """An axis of one decoder changes nothing."""

    @pytest.mark.parametrize("Allocator", ALLOCATORS)
    @pytest.mark.parametrize("unit", ["samples", "cost"])
    def test_budgets_scores_and_explanations_are_the_same(self, Allocator, unit):
        options = {"unit": unit, "budget": 2.5, "random_state": 0}
        regressor = RewardRegressor(Ridge(10.0))
        plain = RewardTable(REWARDS[:, 0], costs=COSTS[:, 0])
        menu = RewardTable(REWARDS[:, :1], costs=COSTS[:, :1], decoders=["cheap"])
        one = Allocator(regressor, **options).fit(X[:120], plain[:120])
        axis = Allocator(regressor, **options).fit(X[:120], menu[:120])
        assert_array_equal(one.predict(X[120:]), axis.predict(X[120:]))
        assert_allclose(one.predict_marginals(X[120:]), axis.predict_marginals(X[120:]))
        assert one.score(X[120:], plain[120:]) == axis.score(X[120:], menu[120:])
        assert one.explain(X[120:]).equals(axis.explain(X[120:]))

    @pytest.mark.parametrize("unit", ["samples", "cost"])
    def test_sessions_are_the_same(self, unit):
        regressor = RewardRegressor(Ridge(10.0))
        policy = SequentialAllocator(regressor, unit=unit, budget=2.5, random_state=0)
        menu = RewardTable(REWARDS[:, :1], costs=COSTS[:, :1])
        asked = policy.fit(X, menu).start(X).ask()
        plain = RewardTable(REWARDS[:, 0], costs=COSTS[:, 0])
        assert_array_equal(asked, policy.fit(X, plain).start(X).ask())


class TestADecoderThatNeverSucceeded:
    @pytest.fixture(params=ALLOCATORS)
    def fit(self, request):
        rewards = REWARDS.copy()
        rewards[:, 0] = 0.0
        table = RewardTable(rewards, costs=[1.0, 3.0], decoders=["dud", "good"])

        def fit(budget=4.0, **options):
            options = {"unit": "cost", "budget": budget, "random_state": 0} | options
            return request.param(RIDGE, **options).fit(X, table)

        return fit

    @pytest.mark.parametrize("budget", [0.5, 4.0, 1e6])
    def test_it_is_never_asked(self, fit, budget):
        policy = fit(budget)
        budgets = policy.predict(X)
        assert not budgets[:, 0].any()
        assert budgets[:, 1].any()
        if hasattr(policy, "start"):
            session = policy.start(X)
            while (asked := session.ask()) is not None:
                session.tell([[[0.0] * n for n in row] for row in asked], asked * 2.0)
            assert not session.budgets[:, 0].any()

    def test_the_explanation_says_so(self, fit):
        frame = fit().explain(X)
        duds = frame[frame.decoder == "dud"]
        assert duds.why.str.contains("sample 1 is not expected to add anything").all()
        assert_allclose(duds.next_value, 0, atol=1e-9)
        assert (duds.cost == 0).all()

    def test_it_is_asked_where_it_is_forced(self, fit):
        policy = fit(min_budget=[1, 0])
        assert_array_equal(policy.predict(X)[:, 0], 1)
        why = policy.explain(X).why[0]
        assert "which is min_budget: sample 2 is not expected to add anything" in why
        if hasattr(policy, "start"):
            assert_array_equal(policy.start(X).ask()[:, 0], 1)

    @pytest.mark.parametrize("Allocator", ALLOCATORS)
    @pytest.mark.parametrize("unit", ["samples", "cost"])
    def test_if_none_ever_succeeded_nothing_is_bought(self, Allocator, unit):
        table = RewardTable(np.zeros_like(REWARDS), costs=[1.0, 3.0])
        policy = Allocator(RIDGE, unit=unit, budget=4.0, random_state=0).fit(X, table)
        assert not policy.predict(X).any()
        frame = policy.explain(X)
        assert frame.why.str.endswith("is not expected to add anything.").all()
        assert (frame.expected_reward == 0).all()
        if hasattr(policy, "start"):
            assert policy.start(X).ask() is None

    @pytest.mark.parametrize("Allocator", ALLOCATORS)
    def test_if_all_always_succeeded_one_sample_is_enough(self, Allocator):
        table = RewardTable(np.ones_like(REWARDS), costs=[1.0, 3.0])
        policy = Allocator(RIDGE, unit="cost", budget=4.0, random_state=0)
        budgets = policy.fit(X, table).predict(X)
        assert_array_equal(budgets, np.broadcast_to([1, 0], budgets.shape))


class TestCosts:
    @pytest.mark.parametrize("Allocator", ALLOCATORS)
    def test_one_cost_above_all_others_together_is_named(self, Allocator):
        costs = COSTS.copy()
        costs[7, 1, 2] = 1e12
        table = RewardTable(REWARDS, costs=costs, decoders=NAMES)
        policy = Allocator(RIDGE, unit="cost", budget=4.0, random_state=0)
        message = r"costs has 1e\+12 in row 7 for decoder dear, more than the other 959"
        with pytest.warns(UserWarning, match=message):
            policy.fit(X, table)
        assert policy.predict(X)[:, 0].any()  # the other decoder is not affected
        rewards = REWARDS.copy()
        rewards[7, 1, 2] = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            policy.fit(X, RewardTable(rewards, costs=costs))

    @pytest.mark.parametrize("Allocator", ALLOCATORS)
    def test_of_one_decoder(self, Allocator):
        costs = COSTS[:, 0].copy()
        costs[3, 0] = 1e12
        table = RewardTable(REWARDS[:, 0], costs=costs)
        policy = Allocator(RewardRegressor(Ridge()), unit="cost", budget=4.0)
        message = r"costs has 1e\+12 in row 3, more than .*little or nothing may be bou"
        with pytest.warns(UserWarning, match=message):
            policy.fit(X, table)

    def test_a_few_samples_tell_nothing(self):
        table = RewardTable([[1, 0], [0, 1]], costs=[[1, 1], [1, 90]])
        AdaptiveAllocator(RewardRegressor(Ridge()), unit="cost").fit([[0], [1]], table)

    @pytest.mark.parametrize("Allocator", ALLOCATORS)
    def test_costs_are_needed(self, Allocator):
        policy = Allocator(RIDGE, unit="cost")
        with pytest.raises(ValueError, match=r"unit='cost' needs the costs of samples"):
            policy.fit(X, RewardTable(REWARDS, decoders=NAMES))

    def test_a_decoder_without_costs(self):
        with pytest.raises(ValueError, match=r"costs has shape \(1,\).*decoder \(2,\)"):
            RewardTable(REWARDS, costs=[1.0])

    @pytest.mark.parametrize(
        ("cost", "shown"),
        [(0.0, "0"), (-2.0, "-2"), (np.nan, "nan"), (None, "nan"), (np.inf, "inf")],
    )
    def test_costs_that_are_none(self, cost, shown):
        message = rf"costs has {shown} in row 0 for decoder 1, where.*positive number"
        with pytest.raises(ValueError, match=message):
            RewardTable(REWARDS, costs=[1.0, cost])
        with pytest.raises(ValueError, match=rf"costs has {shown} in row 5, where"):
            RewardTable(REWARDS[:, 0], costs=[1.0] * 5 + [cost] + [1.0] * 154)

    @pytest.mark.parametrize(
        "names", [["a", "a"], ["a"], ["a", "b", "c"], "ab", ["a", None]]
    )
    def test_names_of_decoders(self, names):
        with pytest.raises(ValueError, match=r"decoders=.* Expected 2 different names"):
            RewardTable(REWARDS, decoders=names)


class Steep(Ridge):
    """Predicts much more than there can be."""

    def predict(self, X):
        return 5 * super().predict(X) - 1


class TestShownRewards:
    def test_of_linear_regressors_they_are_chances(self):
        regressor = RewardRegressor(Steep(), target="marginal_rewards")
        policy = AdaptiveAllocator(regressor, budget=2.0).fit(X, REWARDS[:, 1])
        frame, budgets = policy.explain(X), policy.predict(X)
        marginals = policy.predict_marginals(X)
        sums = np.array([m[:b].sum() for m, b in zip(marginals, budgets, strict=True)])
        assert sums.max() > 1.5
        assert_allclose(frame.expected_reward, np.clip(sums, 0, 1))

    def test_of_real_valued_rewards_they_are_in_the_range_of_fit(self):
        rewards = 3 + RANDOM.random((160, 6)) * X[:, :1].clip(0, 1)
        regressor = RewardRegressor(Steep())
        policy = AdaptiveAllocator(regressor, budget=2.0, empty_reward=-2.0)
        frame = policy.fit(X, rewards).explain(X)
        sampled = frame.budget > 0
        shown = frame.loc[sampled, ["expected_reward", "low", "high"]]
        assert (shown >= rewards.min()).all(axis=None)
        assert (shown <= rewards.max()).all(axis=None)
        assert (frame.expected_reward[~sampled] == -2.0).all()

    @pytest.mark.parametrize("Allocator", ALLOCATORS)
    def test_of_several_decoders(self, Allocator):
        policy = Allocator(RIDGE, budget=2.0, empty_reward=0.0, random_state=0)
        frame = policy.fit(X, REWARDS).explain(X)
        shown = frame[["expected_reward", "low", "high"]]
        assert (shown >= 0).all(axis=None)
        assert (shown <= 1).all(axis=None)

    def test_policies_of_earlier_versions_show_what_is_predicted(self):
        regressor = RewardRegressor(Steep(), target="marginal_rewards")
        policy = AdaptiveAllocator(regressor, budget=2.0).fit(X, REWARDS[:, 1])
        del policy._reward_bounds
        assert policy.explain(X).expected_reward.max() > 1.5
