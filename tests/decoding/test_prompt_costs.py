"""Prompts with a price: what is predicted, what is billed, and when it is charged."""

import numpy as np
import pytest
from cascades import QUERIES, both, fitted, wrong
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
    collect_rewards,
)
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.decoding import BestOfK, Cascade
from sklearn_adaalloc.sampling import TokenUsage

PROMPT = 10.0  # tokens of each prompt


class Reader:
    """The cheap decoder, whose pass over the prompts gives the policy its features."""

    def shares_prefill_with(self, step):
        return isinstance(step, FunctionTransformer)

    def sample(self, prompts, budgets, *, first_sample, return_usage):
        raise AssertionError("the prompts were read already")

    def prefill(self, prompts):
        return Prefilled(len(prompts))


class Prefilled:
    """Prompts that were read: their tokens are counted once, at the first report."""

    def __init__(self, n_prompts):
        self.features = np.zeros((n_prompts, 1))
        self.unreported = np.full(n_prompts, PROMPT)

    def decode(self, budgets, *, first_sample, return_usage):
        prompt, self.unreported = self.unreported, np.zeros(len(budgets))
        answers = [["?"] * budget for budget in budgets]
        return answers, TokenUsage(prompt, [np.ones(budget) for budget in budgets])


def reading(**options):
    return both(**options) | {"cheap": Reader()}


class TestReading:
    @pytest.mark.parametrize("allocator", [AdaptiveAllocator, SequentialAllocator])
    @pytest.mark.parametrize("budget", [4, 9])
    def test_it_is_charged_before_anything_is_decided(self, allocator, budget):
        policy = fitted(allocator, budget=budget, random_state=0)
        prices = {"cheap": (0.3, 1.0), "dear": 5.0}
        decoded = Cascade(policy, reading(), wrong, prices=prices).decode(QUERIES)
        assert_array_equal(decoded.costs, decoded.budgets * [1, 5] + [0.3 * PROMPT, 0])
        assert 0.8 < decoded.budget_share <= 1
        assert policy[-1].budget == budget

    def test_what_it_leaves_decides_for_each_query_alone(self):
        prices = {"cheap": (0.3, 1.0), "dear": 5.0}
        policy = fitted(PricedAllocator, budget=9, random_state=0)
        decoded = Cascade(policy, reading(), wrong, prices=prices).decode(QUERIES)
        policy[-1].set_params(budget=6.0)
        assert_array_equal(decoded.budgets, policy.predict(QUERIES))

    @pytest.mark.parametrize("allocator", [AdaptiveAllocator, SequentialAllocator])
    def test_it_may_take_the_whole_budget(self, allocator):
        policy = fitted(allocator, budget=4, random_state=0)
        prices = {"cheap": (1.0, 1.0), "dear": 5.0}
        decoded = Cascade(policy, reading(), wrong, prices=prices).decode(QUERIES)
        assert not decoded.budgets.any()
        assert_array_equal(decoded.costs[:, 0], PROMPT)
        assert decoded.budget_share == PROMPT / 4

    @pytest.mark.parametrize("allocator", [AdaptiveAllocator, SequentialAllocator])
    def test_it_costs_nothing_where_prompts_have_no_price(self, allocator):
        policy = fitted(allocator, budget=9, random_state=0)
        prices = {"cheap": 1.0, "dear": 5.0}
        free = Cascade(policy, reading(), wrong, prices=prices).decode(QUERIES)
        usual = Cascade(policy, both(), wrong, prices=prices).decode(QUERIES)
        assert_array_equal(free.budgets, usual.budgets)

    def test_budgets_in_samples_do_not_count_it(self):
        policy = fitted(AdaptiveAllocator, budget=1.5, unit="samples")
        prices = {"cheap": (1.0, 1.0), "dear": 5.0}
        decoded = Cascade(policy, reading(), wrong, prices=prices).decode(QUERIES)
        assert_array_equal(decoded.budgets, policy.predict(QUERIES))
        assert_array_equal(decoded.usages[0].prompt, PROMPT)

    @pytest.mark.parametrize(
        "allocator", [AdaptiveAllocator, BinnedAllocator, SequentialAllocator]
    )
    def test_of_one_decoder(self, allocator):
        rewards = np.random.default_rng(0).integers(0, 2, (40, 8)).astype(float)
        regressor = RewardRegressor(DummyRegressor(), target="rate_distribution")
        policy = make_pipeline(
            FunctionTransformer(lambda queries: np.zeros((len(queries), 1))),
            allocator(regressor, unit="cost", budget=6),
        )
        policy.fit([""] * 40, RewardTable(rewards, costs=1.0))
        decoded = BestOfK(policy, Reader(), wrong, price=(0.3, 1.0)).decode(QUERIES)
        assert_array_equal(decoded.costs, decoded.budgets + 0.3 * PROMPT)
        assert 0.8 < decoded.budget_share <= 1


PRICES = {"cheap": (0.1, 1.0), "dear": (0.5, 1.0)}


def solved_at_times(queries, answers):
    """Every third sample of the cheap decoder is right, and two of the dear one."""
    return [
        [float(int(a.split(":")[2]) % 3 < 1 + a.startswith("dear")) for a in row]
        for row in answers
    ]


@pytest.fixture
def collected(tmp_path):
    """A policy that learnt from a store, with the prices of prompts and answers."""
    queries, samplers = [f"{row}" for row in range(40)], both()
    store = tmp_path / "rewards.sqlite"
    collect_rewards(
        queries, samplers, solved_at_times, n_samples=6, store=store, progress=False
    )
    with RewardStore(store) as file:
        _, table = file.to_table(decoders=samplers, prices=PRICES)
    return table


def of_table(table, **options):
    regressor = RewardRegressor(DummyRegressor(), target="rate_profiles")
    policy = make_pipeline(
        FunctionTransformer(lambda queries: np.zeros((len(queries), 1))),
        SequentialAllocator(regressor, unit="cost", random_state=0, **options),
    )
    return policy.fit([""] * len(table), table)


class TestRequests:
    def test_tables_charge_each_sample_the_prompt_of_its_request(self, collected):
        assert_allclose(collected.costs[:, 0], 0.1 * PROMPT + 1)
        assert_allclose(collected.costs[:, 1], 0.5 * PROMPT + 5)

    def test_predictions_are_right_for_one_sample_at_a_time(self, collected):
        policy = of_table(collected, budget=20, n_rounds=None)
        decoded = Cascade(policy, both(), wrong, prices=PRICES).decode(QUERIES)
        assert_allclose(decoded.costs, decoded.budgets * collected.costs[0, :, 0])
        assert decoded.budgets.max() > 1
        assert 0.9 < decoded.budget_share <= 1

    def test_several_samples_of_a_request_pay_the_prompt_once(self, collected):
        samplers = both()
        policy = of_table(collected, budget=30, n_rounds=3)
        decoded = Cascade(policy, samplers, wrong, prices=PRICES).decode(QUERIES)
        n_requests = np.column_stack(
            [
                np.sum([np.array(budgets) > 0 for budgets, _ in sampler.asked], axis=0)
                for sampler in samplers.values()
            ]
        )
        assert (n_requests < decoded.budgets).any()
        expected = decoded.budgets * [1, 5] + n_requests * PROMPT * [0.1, 0.5]
        assert_allclose(decoded.costs, expected)
        alone = decoded.budgets * collected.costs[0, :, 0]
        assert decoded.costs.sum() < alone.sum()
        assert decoded.costs.sum() <= 30 * 12

    def test_what_shared_prompts_save_is_spent_in_later_rounds(self, collected):
        policy = of_table(collected, budget=30, n_rounds=3)
        saving = Cascade(policy, both(), wrong, prices=PRICES).decode(QUERIES)
        session = policy[-1].start(np.zeros((12, 1)))
        while (asked := session.ask()) is not None:  # as if nothing were saved
            session.tell(
                [[[0.0] * n for n in row] for row in asked],
                asked * collected.costs[0, :, 0],
            )
        assert saving.budgets.sum() > session.budgets.sum()
