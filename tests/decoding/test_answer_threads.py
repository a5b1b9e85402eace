"""Single queries in an event loop: what is cancelled, what is bounded, what waits."""

import asyncio
import contextvars
import math
import threading
import time

import pytest
from answering import Awaited, Blocking, no_complaints, run, solved_by, stream_policy
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc.decoding import BestOfK, _opened

QUERIES = [f"q{i}" for i in range(12)]
WHAT = ("begins", "ends")


# --- cancelled queries ------------------------------------------------------------


async def cancel_after(seconds, coroutine):
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_query_that_is_cancelled_closes_its_session(caplog):
    sampler = Awaited(seconds=30)
    decoder = BestOfK(stream_policy(), sampler, solved_by(0))
    with no_complaints(caplog):
        asyncio.run(cancel_after(0.2, decoder.answer("a")), debug=True)
    assert sampler.n_open == 0
    # It had asked for one sample.
    assert (decoder.stream.n_queries, decoder.stream.mean_cost) == (1, 1.0)


def test_a_query_that_is_cancelled_while_its_session_opens(caplog):
    opening, go = threading.Event(), threading.Event()

    def wait(queries):
        opening.set()
        go.wait(5)
        return list(queries)

    policy = make_pipeline(FunctionTransformer(wait), stream_policy())
    decoder = BestOfK(policy, Awaited(), solved_by(0))

    async def main():
        task = asyncio.create_task(decoder.answer("a"))
        waiting = asyncio.create_task(decoder.answer("b"))
        await asyncio.to_thread(opening.wait, 5)
        task.cancel()
        waiting.cancel()
        await asyncio.wait([task, waiting])
        go.set()
        while decoder.stream.n_queries < 1:
            await asyncio.sleep(0.01)

    with no_complaints(caplog):
        asyncio.run(asyncio.wait_for(main(), 10), debug=True)
    # The other never opened one. Neither asked for a sample.
    assert (decoder.stream.n_queries, decoder.stream.mean_cost) == (1, 0.0)


def test_a_query_that_is_cancelled_while_it_is_graded(caplog):
    grading = threading.Event()

    def reward(queries, answers):
        grading.set()
        time.sleep(0.3)
        raise KeyError("nobody listens")

    decoder = BestOfK(stream_policy(), Awaited(), reward)

    async def main():
        task = asyncio.create_task(decoder.answer("a"))
        await asyncio.to_thread(grading.wait, 5)
        await cancel_after(0, task)
        await asyncio.sleep(0.5)

    with no_complaints(caplog):
        asyncio.run(main(), debug=True)
    assert (decoder.stream.n_queries, decoder.stream.mean_cost) == (1, 1.0)


# --- what runs where --------------------------------------------------------------


def test_no_more_queries_in_flight_than_allowed():
    sampler = Awaited(seconds=0.02)
    decoder = BestOfK(stream_policy(), sampler, solved_by(0), max_in_flight=3)
    answered = run(decoder, QUERIES)
    assert [each.answer for each in answered] == [f"{query}:0" for query in QUERIES]
    assert sampler.most_open == 3


class AtATime:
    """Counts the threads that are in it; so many have to be, before any can leave."""

    def __init__(self, n_threads):
        self.barrier = threading.Barrier(n_threads, timeout=10)
        self.lock = threading.Lock()
        self.n_running = self.most = 0

    def __call__(self, *ignored):
        with self.lock:
            self.n_running += 1
            self.most = max(self.most, self.n_running)
        self.barrier.wait()
        with self.lock:
            self.n_running -= 1


@pytest.mark.parametrize("n_graders", [1, 3])
def test_threads_that_grade_are_bounded(n_graders):
    def reward(queries, answers):
        at_a_time()
        return solved_by(0)(queries, answers)

    at_a_time = AtATime(n_graders)
    decoder = BestOfK(stream_policy(), Awaited(), reward, n_graders=n_graders)
    answered = run(decoder, QUERIES)
    assert [each.reward for each in answered] == [1.0] * len(QUERIES)
    assert at_a_time.most == n_graders


@pytest.mark.parametrize("n_threads", [1, 4])
def test_a_sampler_that_blocks_gets_as_many_calls_as_it_says(n_threads):
    at_a_time = AtATime(n_threads)
    sampler = Blocking(n_threads, at_a_time)
    answered = run(BestOfK(stream_policy(), sampler, solved_by(0)), QUERIES)
    assert [each.reward for each in answered] == [1.0] * len(QUERIES)
    assert at_a_time.most == n_threads


def test_the_policy_and_local_models_take_turns(monkeypatch):
    monkeypatch.setattr(_opened, "_IN_A_ROW", 0)  # however quick it is
    threads = set()

    class Local(Blocking):
        def shares_prefill_with(self, step):
            return False

    def note(queries):
        threads.add(threading.current_thread().name)
        return list(queries)

    policy = make_pipeline(FunctionTransformer(note), stream_policy())
    run(BestOfK(policy, Local(8, lambda prompt: note([prompt])), solved_by(0)), QUERIES)
    assert len(threads) == 1


def test_decisions_are_made_in_the_event_loop_while_they_are_quick(monkeypatch):
    threads = []

    def note(queries):
        threads.append(threading.current_thread())
        return list(queries)

    policy = make_pipeline(FunctionTransformer(note), stream_policy())
    decoder = BestOfK(policy, Awaited(), solved_by(0))

    async def decide(times, quick):
        monkeypatch.setattr(_opened, "_QUICK", quick)
        for _ in range(times):
            await decoder.answer("a")

    async def main():
        await decide(_opened._IN_A_ROW + 2, quick=math.inf)
        await decide(2, quick=0.0)

    asyncio.run(main())
    in_loop = [each is threading.current_thread() for each in threads]
    # The first slow one is not foreseen, and the next is in the thread again.
    assert in_loop == [False] * _opened._IN_A_ROW + [True] * 3 + [False]


def test_the_event_loop_does_not_wait_for_a_decision_in_the_thread(monkeypatch):
    deciding, go, log = threading.Event(), threading.Event(), []

    def wait(queries):
        log.append(("begins", *queries))
        if queries == ["slow"]:
            deciding.set()
            go.wait(5)
        log.append(("ends", *queries))
        return list(queries)

    policy = make_pipeline(FunctionTransformer(wait), stream_policy())
    decoder = BestOfK(policy, Awaited(), solved_by(0))

    async def main():
        slow = asyncio.create_task(decoder.answer("slow"))
        await asyncio.to_thread(deciding.wait, 5)
        monkeypatch.setattr(_opened, "_IN_A_ROW", 0)
        quick = asyncio.create_task(decoder.answer("quick"))
        await asyncio.sleep(0.05)
        go.set()
        await asyncio.gather(slow, quick)

    asyncio.run(asyncio.wait_for(main(), 10))
    assert log == [(what, who) for who in ("slow", "quick") for what in WHAT]


def test_the_loop_goes_on_while_rewards_are_graded():
    def slow(queries, answers):
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            sum(range(1000))
        return solved_by(0)(queries, answers)

    gaps = []

    async def beat():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - before)

    async def main():
        decoder = BestOfK(stream_policy(), Blocking(work=slow_sampler), slow)
        heart = asyncio.create_task(beat())
        await asyncio.gather(*map(decoder.answer, QUERIES[:2]))
        heart.cancel()

    def slow_sampler(prompt):
        slow(["q"], [["q:0"]])

    asyncio.run(main())
    assert len(gaps) > 20
    assert max(gaps) < 0.8


def test_variables_of_the_context_follow_the_query():
    request = contextvars.ContextVar("request")
    seen = []

    def reward(queries, answers):
        seen.append((queries[0], request.get()))
        return solved_by(0)(queries, answers)

    decoder = BestOfK(stream_policy(), Awaited(), reward)

    async def serve(query):
        request.set(query.upper())
        await decoder.answer(query)

    async def main():
        await asyncio.gather(*map(serve, QUERIES))

    asyncio.run(main())
    assert sorted(seen) == sorted((query, query.upper()) for query in QUERIES)
