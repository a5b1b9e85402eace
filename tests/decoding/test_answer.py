"""Decoders answer single queries in an event loop."""

import asyncio
import pickle

import numpy as np
import pytest
from answering import Awaited, Blocking, no_complaints, run, solved_by, stream_policy
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    PricedAllocator,
    RewardRegressor,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.decoding import BestOfK

QUERIES = [f"q{i}" for i in range(12)]


def in_turn(decoder, queries=QUERIES):
    """Answers to queries that arrive one after another."""

    async def main():
        return [await decoder.answer(query) for query in queries]

    return asyncio.run(main(), debug=True)


# --- one query --------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [Awaited, Blocking])
def test_a_query_is_sampled_until_it_is_solved(sampler, caplog):
    decoder = BestOfK(stream_policy(), sampler(), solved_by(2))
    with no_complaints(caplog):
        [answered] = run(decoder, ["q"])
    assert (answered.answer, answered.reward, answered.budget) == ("q:2", 1.0, 3)
    assert (answered.rounds_taken, answered.cost, answered.error) == (3, 9.0, None)
    assert_array_equal(answered.usage.answers, [[3, 3, 3]])
    assert decoder.sampler.asked == [("q", 0), ("q", 1), ("q", 2)]


async def plain(prompts, budgets):
    await asyncio.sleep(0)
    return [[f"{prompt}:0"] * n for prompt, n in zip(prompts, budgets, strict=True)]


class Coroutines:
    async def sample(self, prompts, budgets):
        return await plain(prompts, budgets)


class Both:
    """What a coroutine function answers is preferred."""

    def sample(self, prompts, budgets):
        raise AssertionError("it blocks")

    async def asample(self, prompts, budgets):
        return await plain(prompts, budgets)


@pytest.mark.parametrize("sampler", [plain, Coroutines(), Both()])
def test_coroutine_functions_are_samplers(sampler):
    [answered] = run(BestOfK(stream_policy(), sampler, solved_by(0)), ["q"])
    assert (answered.answer, answered.budget) == ("q:0", 1)


def test_a_chat_is_a_query():
    chat = [{"role": "user", "content": "a"}]

    def sample(prompts, budgets):
        assert prompts == [chat]
        return [["x:0"]]

    [answered] = run(BestOfK(stream_policy(), sample, solved_by(0)), [chat])
    assert answered.answer == "x:0"


@pytest.mark.parametrize("query", [3, None, ["a", "b"]])
def test_what_is_no_query(query):
    decoder = BestOfK(stream_policy(), Awaited(), solved_by(0))
    with pytest.raises(ValueError, match="neither a text nor a chat"):
        asyncio.run(decoder.answer(query))


# --- the same as by hand ----------------------------------------------------------


def by_hand(policy, number):
    """Samples of each query of a stream that is told rewards by hand."""
    budgets = []
    with policy.open() as stream:
        for query in QUERIES:
            with stream.start(query) as session:
                while session.ask() is not None:
                    session.tell([[float(session.budgets[0] == number)]])
            budgets.append(int(session.budgets[0]))
        return budgets, stream.price, stream.mean_cost


@pytest.mark.parametrize("sampler", [Awaited(), Blocking()])
def test_one_after_another_they_are_as_by_hand(sampler):
    policy = stream_policy(12, target="budget", budget=3, gain=0.2)
    decoder = BestOfK(policy, sampler, solved_by(5))
    answered = in_turn(decoder)
    budgets, price, mean_cost = by_hand(policy, 5)
    assert [each.budget for each in answered] == budgets
    assert len(set(budgets)) > 1  # the price moved
    assert (decoder.stream.price, decoder.stream.mean_cost) == (price, mean_cost)
    best = {0: decoder.default_answer, 6: "{}:5"}
    assert [each.answer for each in answered] == [
        best.get(budget, "{}:0").format(query)
        for query, budget in zip(QUERIES, budgets, strict=True)
    ]


def test_several_loops_one_after_another_share_the_stream():
    decoder = BestOfK(stream_policy(), Awaited(), solved_by(1))
    for _ in range(3):
        in_turn(decoder, QUERIES[:2])
    assert decoder.stream.n_queries == 6


# --- a batch over a stream --------------------------------------------------------


def test_decode_opens_all_queries_at_once():
    sampler = Blocking()
    decoder = BestOfK(stream_policy(), sampler, solved_by(1))
    decoded = decoder.decode(QUERIES)
    assert decoded.answers == [f"{query}:1" for query in QUERIES]
    assert_array_equal(decoded.budgets, 2)
    assert (decoded.rounds_taken, decoder.stream.n_queries) == (2, len(QUERIES))
    assert sampler.asked[: len(QUERIES)] == [(query, 0) for query in QUERIES]


def test_decode_closes_the_session_if_it_fails():
    def fail(queries, answers):
        raise KeyError("judge")

    decoder = BestOfK(stream_policy(), Blocking(), fail)
    with pytest.raises(KeyError, match="judge"):
        decoder.decode(QUERIES)
    assert (decoder.stream.n_queries, decoder.stream.mean_cost) == (len(QUERIES), 1.0)


# --- whose stream -----------------------------------------------------------------


def texts(queries):
    return list(queries)


@pytest.mark.parametrize("steps", [[], [FunctionTransformer(texts)]])
def test_a_stream_of_the_user_stays_the_users(steps):
    with stream_policy().open() as stream:
        policy = make_pipeline(*steps, stream) if steps else stream
        decoder = BestOfK(policy, Awaited(), solved_by(0))
        run(decoder, QUERIES)
        assert decoder.stream is stream
        run(BestOfK(policy, Awaited(), solved_by(0)), QUERIES)
        assert stream.n_queries == 2 * len(QUERIES)


def test_a_stream_of_the_decoder_ends_with_it():
    decoder = BestOfK(stream_policy(), Awaited(), solved_by(0))
    in_turn(decoder)
    assert decoder.stream.n_queries == len(QUERIES)
    asyncio.run(decoder.aclose())
    assert decoder.stream.n_queries == 0
    run(decoder, QUERIES)
    assert decoder.stream.n_queries == 0


def test_a_decoder_that_is_closed_too_early_says_so():
    async def main():
        decoder = BestOfK(stream_policy(), Awaited(), solved_by(9))
        stream, task = decoder.stream, asyncio.create_task(decoder.answer("q"))
        while not decoder.sampler.asked:
            await asyncio.sleep(0.001)
        await decoder.aclose()
        with pytest.raises(RuntimeError, match=r"was closed while .*before aclose"):
            await task
        assert stream.n_queries == 1

    asyncio.run(main())


def test_other_parameters_count_at_the_next_query():
    decoder = BestOfK(stream_policy(), Awaited(), solved_by(0))
    in_turn(decoder, ["a"])
    first = decoder.stream
    decoder.set_params(sampler=Blocking(), policy=stream_policy(2))
    in_turn(decoder, ["b"])
    assert decoder.stream is not first
    assert decoder.sampler.asked == [("b", 0)]


def test_pickles_leave_the_stream_behind():
    decoder = BestOfK(stream_policy(), Blocking(2, print), print)
    _ = decoder.stream
    again = pickle.loads(pickle.dumps(decoder))
    assert again.stream is not decoder.stream


# --- policies ---------------------------------------------------------------------

X = np.arange(20.0)[:, None]
TABLE = np.tile([[0.0, 1, 1], [0, 0, 0]], (10, 1))


def lengths(queries):
    return np.array([[float(len(query))] for query in queries])


@pytest.mark.parametrize(
    "allocator", [PricedAllocator, BinnedAllocator], ids=["priced", "binned"]
)
def test_policies_that_decide_each_query_alone_before_decoding(allocator):
    allocator = allocator(RewardRegressor(Ridge()), budget=2, random_state=0)
    policy = make_pipeline(FunctionTransformer(lengths), allocator.fit(X, TABLE))
    sampler = Awaited()
    answered = run(BestOfK(policy, sampler, solved_by(0)), QUERIES)
    budgets = [each.budget for each in answered]
    assert_array_equal(budgets, [policy.predict([query])[0] for query in QUERIES])
    assert all(each.rounds_taken == 1 for each in answered)


@pytest.mark.parametrize("allocator", [AdaptiveAllocator, SequentialAllocator])
def test_policies_that_decide_jointly_are_refused(allocator):
    policy = allocator(RewardRegressor(Ridge()), budget=2).fit(X, TABLE)
    decoder = BestOfK(policy, Awaited(), solved_by(0))
    with pytest.raises(ValueError, match=r"decides jointly.*StreamAllocator.*decode"):
        asyncio.run(decoder.answer("a"))


def test_a_policy_that_is_not_fitted():
    decoder = BestOfK(StreamAllocator(), Awaited(), solved_by(0))
    [error] = run(decoder, ["a"])
    assert "not fitted" in str(error)


@pytest.mark.parametrize(
    "parameters", [{"max_in_flight": 0}, {"max_in_flight": None}, {"n_graders": 0}]
)
def test_bounds_are_checked(parameters):
    decoder = BestOfK(stream_policy(), Awaited(), solved_by(0), **parameters)
    [(name, value)] = parameters.items()
    with pytest.raises(ValueError, match=f"{name}={value} is not accepted"):
        asyncio.run(decoder.answer("a"))


def test_a_bound_on_calls_that_is_none():
    decoder = BestOfK(stream_policy(), Blocking(max_concurrency=0), solved_by(0))
    with pytest.raises(ValueError, match=r"max_concurrency of sampler .*=0"):
        asyncio.run(decoder.answer("a"))


# --- errors -----------------------------------------------------------------------


def test_an_error_of_a_reward_is_that_of_its_query(caplog):
    def reward(queries, answers):
        if queries[0] in ("q3", "q7"):
            raise KeyError(f"no reference for {queries[0]}")
        return solved_by(0)(queries, answers)

    decoder = BestOfK(stream_policy(), Awaited(), reward)
    stream = decoder.stream
    with no_complaints(caplog):
        answered = run(decoder, QUERIES)
    failed = {row for row, each in enumerate(answered) if isinstance(each, KeyError)}
    assert failed == {3, 7}
    assert answered[3].args == ("no reference for q3",)
    assert answered[3].partial.answer == "q3:0"
    assert np.isnan(answered[3].partial.reward)
    assert (stream.n_queries, stream.mean_cost) == (len(QUERIES), 1.0)


@pytest.mark.parametrize("error", [StopIteration, SystemExit])
def test_a_reward_cannot_end_the_loop(error):
    def reward(queries, answers):
        raise error("quits")

    [caught] = run(BestOfK(stream_policy(), Awaited(), reward), ["a"])
    assert isinstance(caught, RuntimeError)
    assert "quits" in str(caught)


@pytest.mark.parametrize("sampler", [Awaited, Blocking])
def test_an_error_of_a_sampler_is_that_of_its_query(sampler):
    class Losing(sampler):
        def _lose(self, prompts):
            if prompts == ["q2"] and len(self.asked) > 1:
                raise ConnectionError("it has gone")

        async def asample_each(self, prompts, budgets, *, first_sample):
            self._lose(prompts)
            async for each in super().asample_each(
                prompts, budgets, first_sample=first_sample
            ):
                yield each

        def sample(self, prompts, budgets, **options):
            self._lose(prompts)
            return super().sample(prompts, budgets, **options)

    if sampler is Blocking:
        del Losing.asample_each
    decoder = BestOfK(stream_policy(), Losing(), solved_by(0))
    answered = run(decoder, QUERIES)
    assert isinstance(answered[2], ConnectionError)
    assert [each.answer for row, each in enumerate(answered) if row != 2] == [
        f"{query}:0" for query in QUERIES if query != "q2"
    ]


def test_ungraded_answers_do_not_warn(caplog):
    decoder = BestOfK(stream_policy(2), Awaited(), lambda q, a: [[np.nan] * len(a[0])])
    with no_complaints(caplog):
        [answered] = run(decoder, ["a"])
    assert (answered.answer, answered.budget) == ("a:0", 2)
    assert np.isnan(answered.reward)


@pytest.mark.parametrize("max_samples", [1, 3])
@pytest.mark.parametrize(
    "parameters", [{}, {"n_rounds": 2}, {"min_budget": 4, "budget": 4}]
)
def test_a_caller_may_limit_the_samples_of_a_query(max_samples, parameters):
    policy = stream_policy(**parameters)
    sampler = Awaited()

    async def main():
        async with BestOfK(policy, sampler, solved_by(9)) as decoder:
            answered = await decoder.answer("q", max_samples=max_samples)
            return answered, decoder.stream.mean_cost

    answered, spent = asyncio.run(main())
    assert answered.budget == len(sampler.asked) == spent == max_samples


def test_a_limit_cuts_what_is_decided_before_decoding(given):
    sampler = Awaited()

    async def main(max_samples):
        decoder = BestOfK(given([3]), sampler, solved_by(9))
        return await decoder.answer("q", max_samples=max_samples)

    assert asyncio.run(main(2)).budget == 2
    assert asyncio.run(main(5)).budget == 3


@pytest.mark.parametrize("max_samples", [0, 1.5, True])
def test_limits_that_are_not_accepted(max_samples, given):
    decoder = BestOfK(given([3]), Awaited(), solved_by(9))
    with pytest.raises(ValueError, match=f"max_samples={max_samples!r}"):
        asyncio.run(decoder.answer("q", max_samples=max_samples))


def test_a_limit_and_a_cap_both_hold():
    stream = stream_policy(cap=2, cap_window=2).open()
    with stream.start("a", max_samples=3) as first:
        while (asked := first.ask()) is not None:
            first.tell([[0.0] * asked[0]])
    with stream.start("b", max_samples=3) as second:
        while (asked := second.ask()) is not None:
            second.tell([[0.0] * asked[0]])
    assert (first.budgets[0], second.budgets[0]) == (3, 1)
