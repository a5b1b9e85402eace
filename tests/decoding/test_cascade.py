"""Several decoders answer a batch: budgets, costs and answers of each."""

import numpy as np
import pytest
from cascades import NAMES, QUERIES, Answering, both, fitted, silent, wrong
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import (
    AdaptiveAllocator,
    HiddenStateFeaturizer,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
)
from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
from sklearn_adaalloc.decoding import BestOfK, Cascade, Router
from sklearn_adaalloc.sampling import TransformersSampler


def odd(queries, answers):
    """Even queries are never solved, odd ones by the dear decoder's second answer."""
    return [
        [float(int(q) % 2 and a == f"dear:{q}:1") for a in row]
        for q, row in zip(queries, answers, strict=True)
    ]


class TestUpFront:
    def test_each_decoder_gets_its_budget_and_the_best_answer_counts(self, given):
        policy = given([[0, 0], [1, 0], [1, 1], [2, 3]])
        decoded = Cascade(policy, both(), odd).decode(["0", "1", "2", "3"])
        assert decoded.answers == [
            "I don't know.",
            "cheap:1:0",
            "cheap:2:0",
            "dear:3:1",
        ]
        assert_array_equal(decoded.rewards, [np.nan, 0, 0, 1])
        assert_array_equal(decoded.decoders, [-1, 0, 0, 1])
        assert_array_equal(decoded.budgets, [[0, 0], [1, 0], [1, 1], [2, 3]])
        assert_array_equal(decoded.costs, [[0, 0], [1, 0], [1, 5], [2, 15]])
        assert [usage.prompt.sum() for usage in decoded.usages] == [30, 20]
        assert decoded.total_cost == 24
        assert decoded.cost_spread == np.std([0, 1, 6, 17])
        assert decoded.rounds_taken == 1
        assert decoded.names == NAMES
        assert np.isnan(decoded.budget_share)

    def test_answers_of_all_decoders_are_graded_in_one_call(self, given):
        calls = []

        def reward(queries, answers):
            calls.append((queries, answers))
            return wrong(queries, answers)

        Cascade(given([[1, 1], [0, 0], [0, 1]]), both(), reward).decode(["a", "b", "c"])
        assert calls == [(["a", "c"], [["cheap:a:0", "dear:a:0"], ["dear:c:0"]])]

    @pytest.mark.parametrize("allocator", [AdaptiveAllocator, PricedAllocator])
    def test_policies_that_decide_up_front(self, allocator):
        policy = fitted(allocator, budget=6, random_state=0)
        decoded = Cascade(policy, both(), wrong).decode(QUERIES)
        assert_array_equal(decoded.budgets, policy.predict(QUERIES))
        assert_array_equal(decoded.costs, decoded.budgets * [1, 5])
        assert decoded.budget_share == decoded.costs.sum() / (6 * 12)
        assert decoded.budgets.any()

    @pytest.mark.parametrize("shape", [(12,), (12, 3), (3, 2)])
    def test_budgets_of_another_shape(self, given, shape):
        cascade = Cascade(given(np.ones(shape, int)), both(), wrong)
        with pytest.raises(ValueError, match=r"gives budgets of shape .* \(12, 2\)\."):
            cascade.decode(QUERIES)

    def test_budgets_that_are_not_whole(self, given):
        cascade = Cascade(given(np.full((12, 2), 0.5)), both(), wrong)
        with pytest.raises(ValueError, match=r"budgets has 0\.5 in row 0"):
            cascade.decode(QUERIES)


class TestRounds:
    def test_the_budget_is_kept_and_no_sample_is_drawn_twice(self):
        samplers = both()
        policy = fitted(budget=14, n_rounds=None)
        decoded = Cascade(policy, samplers, odd).decode(QUERIES)
        for decoder, sampler in enumerate(samplers.values()):
            taken = np.zeros(12, int)
            for budgets, first in sampler.asked:
                assert first == taken.tolist()
                taken += budgets
            assert_array_equal(taken, decoded.budgets[:, decoder])
            assert len(sampler.asked) == decoded.rounds_taken
        assert decoded.costs.sum() <= 14 * 12
        assert decoded.budget_share == decoded.costs.sum() / (14 * 12)
        solved = decoded.rewards == 1
        assert solved.any()
        assert_array_equal(decoded.budgets[solved, 1], 2)  # nothing after a success
        assert_array_equal(decoded.decoders[solved], 1)

    def test_what_is_told_is_what_the_replay_tells(self):
        policy = fitted(budget=8)
        rewards = np.zeros((12, 2, 40))
        rewards[1::2, 1, 1] = 1
        table = RewardTable(rewards, costs=[1.0, 5.0], decoders=NAMES)
        decoded = Cascade(policy, both(), odd).decode(QUERIES)
        assert np.nanmean(decoded.rewards) == policy.score(QUERIES, table)

    def test_prices_by_name_are_put_in_the_order_of_the_table(self):
        samplers = dict(reversed(both().items()))
        prices = {"dear": (0.5, 1.0), "cheap": (0.0, 2.0)}
        policy = fitted(budget=14)
        decoded = Cascade(policy, samplers, wrong, prices=prices).decode(QUERIES)
        assert decoded.names == NAMES
        n_prompts = np.array([usage.prompt for usage in decoded.usages]).T
        expected = decoded.budgets * [2, 5] + n_prompts * [0, 0.5]
        assert_array_equal(decoded.costs, expected)

    def test_the_session_hears_what_each_decoder_really_cost(self):
        policy = fitted(budget=14, noise=0.5)
        dear = both() | {"dear": Answering("dear", n_tokens=20.0)}
        once = Cascade(policy, both(), wrong).decode(QUERIES)
        more = Cascade(policy, dear, wrong).decode(QUERIES)
        assert more.budgets[:, 1].sum() < once.budgets[:, 1].sum()

    def test_prompts_without_an_answer_are_paid_for_too(self):
        class Reading(Answering):
            """It also reads prompts that it does not answer, once."""

            def sample(self, prompts, budgets, **options):
                answers, usage = super().sample(prompts, budgets, **options)
                prompt = np.full(len(prompts), 10.0 * (len(self.asked) == 1))
                return answers, usage._replace(prompt=prompt)

        policy = fitted(budget=8, n_rounds=4)
        prices = {"cheap": (0.1, 1.0), "dear": (0.0, 1.0)}
        samplers = both() | {"dear": Reading("dear", n_tokens=5.0)}
        usual = Cascade(policy, samplers, wrong, prices=prices).decode(QUERIES)
        prices = {"cheap": (0.1, 1.0), "dear": (0.3, 1.0)}
        samplers["dear"] = Reading("dear", n_tokens=5.0)
        decoded = Cascade(policy, samplers, wrong, prices=prices).decode(QUERIES)
        assert decoded.costs[:, 1].min() == 3  # of the prompt alone
        assert decoded.budgets.sum() < usual.budgets.sum()

    def test_budgets_in_samples(self):
        policy = fitted(budget=1.5, unit="samples")
        decoded = Cascade(policy, [silent, silent], wrong).decode(QUERIES)
        assert decoded.budgets.sum() <= 18
        assert decoded.budget_share == decoded.budgets.sum() / 18
        assert decoded.names == NAMES


class TestLosses:
    def test_a_decoder_that_refuses_a_query_leaves_it_to_the_others(self):
        samplers = both() | {"cheap": Answering("cheap", failing=QUERIES)}
        policy = fitted(budget=14, n_rounds=None)
        with pytest.warns(UserWarning, match="failed for good"):
            decoded = Cascade(policy, samplers, odd).decode(QUERIES)
        assert_array_equal(decoded.budgets[:, 0], 0)
        assert np.count_nonzero(decoded.rewards == 1) > 1
        asked = np.sum([budgets for budgets, _ in samplers["cheap"].asked], axis=0)
        assert asked.max() == 1  # asked once, never again
        # Nothing more is planned for it, but for the sample that failed.
        assert decoded.budget_share > (14 - 1 - 5) / 14
        assert {decoder for _, decoder in decoded.errors} == {0}

    def test_all_samples_failed(self):
        cascade = Cascade(fitted(budget=6), both(failing=QUERIES), wrong)
        with pytest.raises(ValueError, match=r"sampler (cheap|dear) returned no"):
            cascade.decode(QUERIES)

    def test_what_was_paid_for_is_kept_if_a_sampler_raises(self, given):
        def broken(prompts, budgets):
            raise RuntimeError("down")

        samplers = {"cheap": Answering("cheap"), "dear": broken}
        cascade = Cascade(given([[1, 1]] * 12), samplers, wrong)
        with pytest.raises(RuntimeError, match="down") as caught:
            cascade.decode(QUERIES)
        assert caught.value.partial.answers == [f"cheap:{q}:0" for q in QUERIES]
        assert_array_equal(caught.value.partial.decoders, 0)
        assert_array_equal(caught.value.partial.budgets, [[1, 0]] * 12)

    def test_an_answer_that_cannot_be_graded_is_the_last_choice(self, given):
        def reward(queries, answers):
            return [
                [0.0 if a.startswith("dear") else np.nan for a in r] for r in answers
            ]

        cascade = Cascade(given([[1, 1], [1, 0]]), both(), reward)
        with pytest.warns(UserWarning, match="2 answers could not be graded"):
            decoded = cascade.decode(["0", "1"])
        assert decoded.answers == ["dear:0:0", "cheap:1:0"]
        assert_array_equal(decoded.decoders, [1, 0])


@pytest.fixture(scope="module")
def data():
    return load_arithmetic("routing")


@pytest.fixture(scope="module")
def of_two_models(data):
    """A policy for the embedded models, of which the strong one is dear."""
    table = RewardTable(data.rewards_train[:600], costs=[1, 5], decoders=NAMES)
    policy = make_pipeline(
        HiddenStateFeaturizer(device="cpu"),
        SequentialAllocator(unit="cost", random_state=0),
    )
    return policy.fit(data.queries_train[:600], table)


class TestTwoModels:
    @pytest.mark.parametrize("budget", [1.5, 3, 6])
    def test_what_is_delivered_is_what_was_promised(
        self, data, of_two_models, budget, monkeypatch
    ):
        queries, rewards = data.queries_test[:200], data.rewards_test[:200]
        policy = of_two_models
        policy[-1].set_params(budget=budget)
        table = RewardTable(rewards, costs=[1, 5], decoders=NAMES)
        promised = policy.score(queries, table)
        # The cheap model's own pass over the prompts hands out the features.
        monkeypatch.setattr(
            HiddenStateFeaturizer, "transform", lambda self, X: pytest.fail("ran twice")
        )
        samplers = {
            name: TransformersSampler(model, max_new_tokens=24, device="cpu")
            for name, model in zip(NAMES, ("embedded", data.strong_model), strict=True)
        }
        cascade = Cascade(
            policy, samplers, grade_arithmetic, prices={"cheap": 1, "dear": 5}
        )
        decoded = cascade.decode(queries)
        assert decoded.costs.sum() <= budget * 200
        assert decoded.budget_share > 0.95
        solved = np.nan_to_num(decoded.rewards)
        assert abs(solved.mean() - promised) <= 2 * solved.std() / np.sqrt(200)
        # So many samples of either model alone solve less.
        weak = 1 - (1 - rewards[:, 0].mean(axis=1)) ** budget
        strong = min(budget / 5, 1) * rewards[:, 1].mean()
        assert solved.mean() > max(weak.mean(), strong) + 0.05


class TestBadInput:
    @pytest.mark.parametrize("samplers", [{}, [], None, silent, "cheap"])
    def test_samplers_that_are_none(self, samplers):
        with pytest.raises(ValueError, match=r"samplers=.* is not accepted"):
            Cascade(fitted(budget=6), samplers, wrong).decode(QUERIES)

    def test_names_that_do_not_match(self):
        samplers = {"cheap": silent, "strong": silent}
        with pytest.raises(
            ValueError,
            match=r"samplers are \['cheap', 'strong'\], but policy was fitted on a "
            r"table of 2 decoders, \['cheap', 'dear'\]",
        ):
            Cascade(fitted(budget=6), samplers, wrong).decode(QUERIES)

    def test_another_number_of_samplers(self):
        with pytest.raises(ValueError, match=r"samplers are 3, but .* of 2 decoders"):
            Cascade(fitted(budget=6, names=None), [silent] * 3, wrong).decode(QUERIES)

    def test_without_names_the_order_decides(self):
        policy = fitted(AdaptiveAllocator, budget=6, names=None)
        decoded = Cascade(policy, list(both().values()), wrong).decode(QUERIES)
        assert decoded.names == [0, 1]
        assert_array_equal(decoded.budgets, policy.predict(QUERIES))

    @pytest.mark.parametrize("allocator", [AdaptiveAllocator, SequentialAllocator])
    def test_a_decoder_without_costs(self, allocator):
        samplers = both() | {"dear": silent}
        policy = fitted(allocator, budget=6)
        with pytest.raises(ValueError, match=r"sampler dear reports no tokens, but"):
            Cascade(policy, samplers, wrong).decode(QUERIES)
        prices = {"cheap": (0, 1.0), "dear": 5.0}
        decoded = Cascade(policy, samplers, wrong, prices=prices).decode(QUERIES)
        assert_array_equal(decoded.costs, decoded.budgets * [1, 5])

    @pytest.mark.parametrize(
        ("prices", "message"),
        [
            ({"cheap": 1.0}, r"prices are those of \['cheap'\], but the decoders are"),
            ([1.0], r"prices=\[1\.0\] is not accepted.*each of 2 decoders"),
            (1.0, r"prices=1\.0 is not accepted"),
            ({"cheap": 1.0, "dear": -1.0}, r"prices\['dear'\]=-1\.0 is not accepted"),
            ([1.0, "much"], r"prices\[1\] could not be read as numbers"),
        ],
    )
    def test_prices(self, prices, message):
        with pytest.raises(ValueError, match=message):
            Cascade(fitted(budget=6), both(), wrong, prices=prices).decode(QUERIES)

    def test_policies_of_one_decoder_or_for_routing(self):
        rewards = np.tile([[0.0, 1.0], [1.0, 0.0]], (10, 1))
        regressor = RewardRegressor(DummyRegressor())
        one = AdaptiveAllocator(regressor).fit(np.zeros((20, 1)), rewards)
        with pytest.raises(
            ValueError, match=r"samples of one decoder.*Give it to Best"
        ):
            Cascade(one, both(), wrong).decode(QUERIES)
        routing = AdaptiveAllocator(regressor, max_budget=1).fit(
            np.zeros((20, 1)), np.stack([rewards, rewards], axis=1)
        )
        with pytest.raises(
            ValueError, match=r"a choice between two.*BestOfK or Router"
        ):
            Cascade(routing, both(), wrong).decode(QUERIES)

    def test_a_policy_of_several_decoders_elsewhere(self):
        policy = fitted(budget=6)
        with pytest.raises(ValueError, match=r"each of several decoders.*or Cascade"):
            BestOfK(policy, silent, wrong).decode(QUERIES)
        with pytest.raises(ValueError, match=r"each of several decoders.*or Cascade"):
            Router(policy, silent, silent).decode(QUERIES)
