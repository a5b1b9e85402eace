"""Cascades answer single queries in an event loop."""

import asyncio

import numpy as np
import pytest
from answering import Awaited, Blocking, no_complaints, run
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc import (
    AdaptiveAllocator,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
)
from sklearn_adaalloc.decoding import Cascade

QUERIES = [f"q{i}" for i in range(8)]
NAMES = ["cheap", "dear"]


def zeros(queries):
    return np.zeros((len(queries), 1))


def fitted(allocator, **parameters):
    """A policy that learnt: one decoder solves a third, the other three quarters."""
    rng = np.random.default_rng(0)
    rewards = (rng.random((40, 2, 8)) < [[[0.3], [0.75]]]).astype(float)
    regressor = RewardRegressor(DummyRegressor(), target="rate_profiles")
    allocator = allocator(regressor, unit="cost", **parameters)
    table = RewardTable(rewards, costs=[1.0, 5.0], decoders=NAMES)
    return make_pipeline(FunctionTransformer(zeros), allocator).fit([""] * 40, table)


class Alone:
    """Opens sessions of a policy that decides jointly, on a batch of one."""

    def __init__(self, policy):
        self.policy = policy
        self.unit, self.budget, self.binary_ = "cost", policy[-1].budget, True
        self._decoder_names, self._n_decoders = NAMES, 2

    def start(self, queries):
        return self.policy[-1].start(self.policy[:-1].transform(queries))


def rounds(**parameters):
    return Alone(fitted(SequentialAllocator, **parameters))


class Sampler(Awaited):
    """Names itself in its answers; it notes who else is being asked."""

    def __init__(self, name, board, error=None):
        super().__init__(seconds=0.01)
        self.name, self.board, self.error = name, board, error

    async def asample_each(self, *arguments, **options):
        self.board.append(f"+{self.name}")
        try:
            async for each in super().asample_each(*arguments, **options):
                if self.error is not None:
                    raise self.error
                answer = f"{self.name}:{each.answer}"
                yield each._replace(answer=answer)
        finally:
            self.board.append(f"-{self.name}")


def cascade(policy, reward, *, prices=(1, 5), **errors):
    board = []
    samplers = {name: Sampler(name, board, errors.get(name)) for name in NAMES}
    prices = dict(zip(NAMES, prices, strict=True))
    return Cascade(policy, samplers, reward, prices=prices), board


def wrong(queries, answers):
    return [np.zeros(len(row)) for row in answers]


def dear_is_right(queries, answers):
    return [[float(each.startswith("dear")) for each in row] for row in answers]


def test_budgets_before_decoding_are_those_of_the_policy(caplog):
    policy = fitted(PricedAllocator, budget=8, random_state=0)
    decoder, board = cascade(policy, dear_is_right)
    with no_complaints(caplog):
        answered = run(decoder, QUERIES)
    wanted = [policy.predict([query])[0] for query in QUERIES]
    assert_array_equal([each.budgets for each in answered], wanted)
    for each, budgets in zip(answered, wanted, strict=True):
        assert_array_equal(each.costs, budgets * [1, 5])
        assert each.total_cost == (budgets * [1, 5]).sum()
        assert (each.rounds_taken, each.names, each.errors) == (1, NAMES, {})
        assert each.answer.startswith("dear" if budgets[1] else "cheap")
        assert each.decoder == int(budgets[1] > 0)
    assert board.count("+dear") == board.count("-dear")


def test_rounds_are_those_of_a_batch_of_one():
    policy = rounds(budget=20, n_rounds=None)
    decoder, _ = cascade(policy, dear_is_right)
    answered = run(decoder, QUERIES[:2])
    blocking = Cascade(
        policy,
        {name: Named(name) for name in NAMES},
        dear_is_right,
        prices={"cheap": 1, "dear": 5},
    )
    for each, query in zip(answered, QUERIES, strict=False):
        decoded = blocking.decode([query])
        assert each.answer == decoded.answers[0]
        assert_array_equal(each.budgets, decoded.budgets[0])
        assert_array_equal(each.costs, decoded.costs[0])
        assert each.rounds_taken == decoded.rounds_taken
        assert each.budgets.min() > 0


class Named(Blocking):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def sample(self, *arguments, **options):
        answers, usage = super().sample(*arguments, **options)
        return [[f"{self.name}:{each}" for each in row] for row in answers], usage


def test_decoders_of_a_round_are_asked_at_once():
    decoder, board = cascade(rounds(budget=60, n_rounds=1), wrong)
    [answered] = run(decoder, ["q"])
    assert answered.budgets.min() > 0
    assert {*board[:2]} == {"+cheap", "+dear"}


def test_no_decoder_goes_on_if_another_one_fails(caplog):
    error = ValueError("wrong key")
    decoder, board = cascade(rounds(budget=60, n_rounds=1), wrong, cheap=error)
    decoder.samplers["dear"].seconds = 30
    with no_complaints(caplog):
        [caught] = run(decoder, ["q"])
    assert caught is error
    assert sorted(board) == ["+cheap", "+dear", "-cheap", "-dear"]
    assert caught.partial.answer == decoder.default_answer
    assert caught.partial.decoder == -1


@pytest.mark.parametrize("allocator", [AdaptiveAllocator, SequentialAllocator])
def test_policies_that_decide_jointly_are_refused(allocator):
    decoder, _ = cascade(fitted(allocator, budget=8), wrong)
    with pytest.raises(ValueError, match=r"decides jointly.*PricedAllocator"):
        asyncio.run(decoder.answer("q"))


def test_samplers_must_be_the_decoders():
    policy = fitted(PricedAllocator, budget=8, random_state=0)
    decoder = Cascade(policy, {"cheap": Awaited()}, wrong)
    with pytest.raises(ValueError, match="samplers are"):
        asyncio.run(decoder.answer("q"))
