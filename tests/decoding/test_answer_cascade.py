"""Cascades answer single queries in an event loop."""

import asyncio

import numpy as np
import pytest
from answering import Awaited, Blocking, no_complaints, run
from cascades import NAMES, fitted, wrong
from numpy.testing import assert_array_equal

from sklearn_adaalloc import (
    AdaptiveAllocator,
    PricedAllocator,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.decoding import Cascade

QUERIES = [f"q{i}" for i in range(16)]


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


# --- on a stream ------------------------------------------------------------------


def by_hand(policy, right):
    """Samples of each decoder of each query, told by hand, one query after another."""
    features, budgets = policy[:-1], []
    with policy[-1].open() as stream:
        for query in QUERIES:
            with stream.start(features.transform([query])) as session:
                while (asked := session.ask()) is not None:
                    first = session.budgets[0]
                    told = [
                        [float(right(d, first[d] + j)) for j in range(asked[0, d])]
                        for d in range(2)
                    ]
                    session.tell([told], asked * [1.0, 5.0])
            budgets.append(session.budgets[0])
        return budgets, stream.price, stream.mean_cost


@pytest.mark.parametrize("n_rounds", [None, 3])
def test_on_a_stream_they_are_as_by_hand(n_rounds):
    def third(queries, answers):
        """The dear decoder's third sample is right."""
        return [
            [float(each.startswith("dear") and each.endswith(":2")) for each in row]
            for row in answers
        ]

    policy = fitted(
        StreamAllocator, budget=4, n_rounds=n_rounds, gain=0.3, random_state=0
    )
    decoder, _ = cascade(policy, third)

    async def main():
        return [await decoder.answer(query) for query in QUERIES]

    answered = asyncio.run(main(), debug=True)
    budgets, price, mean_cost = by_hand(policy, lambda d, sample: (d, sample) == (1, 2))
    assert_array_equal([each.budgets for each in answered], budgets)
    assert price != policy[-1].price_  # it moved
    assert (decoder.stream.price, decoder.stream.mean_cost) == (price, mean_cost)
    assert mean_cost == np.mean([each.total_cost for each in answered])
    for each, query in zip(answered, QUERIES, strict=True):
        solved = each.budgets[1] > 2
        assert each.reward == solved
        assert not solved or each.answer == f"dear:{query}:2"


def test_a_batch_on_a_stream():
    policy = fitted(StreamAllocator, budget=12, random_state=0)
    samplers = {name: Named(name) for name in NAMES}
    decoder = Cascade(policy, samplers, dear_is_right, prices={"cheap": 1, "dear": 5})
    decoded = decoder.decode(QUERIES)
    assert decoder.stream.n_queries == len(QUERIES)
    assert decoder.stream.mean_cost == decoded.costs.sum(axis=1).mean()
    assert decoded.costs.sum() > 0


# --- decoders that are gone -------------------------------------------------------


@pytest.mark.parametrize("gone", NAMES)
def test_a_decoder_that_is_gone_leaves_the_query_to_the_others(gone, caplog):
    policy = fitted(StreamAllocator, budget=30, random_state=0)
    decoder, board = cascade(policy, wrong, **{gone: ConnectionError("down")})
    with no_complaints(caplog):
        stream = decoder.stream
        answered = run(decoder, QUERIES)
    number = NAMES.index(gone)
    asked = sum(number in each.errors for each in answered)
    assert asked > 0
    assert board.count(f"+{gone}") == asked  # once for a query
    for each in answered:
        assert each.budgets[number] == 0
        assert each.budgets[1 - number] > 0
        assert each.decoder == 1 - number
    # What was not answered is not counted as spent.
    assert stream.mean_cost == np.mean([each.total_cost for each in answered])


def test_if_all_are_gone_that_is_an_error():
    error = ConnectionError("down")
    policy = fitted(StreamAllocator, budget=30, random_state=0)
    decoder, _ = cascade(policy, wrong, cheap=error, dear=error)
    answered = run(decoder, QUERIES)
    assert answered == [error] * len(QUERIES)
    assert error.partial.answer == decoder.default_answer
