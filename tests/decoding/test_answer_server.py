"""Many queries at a time against a server that fails: none is lost or asked twice."""

import asyncio
import gc
import threading
import time
import tracemalloc
from collections import Counter, deque

import faulty_server as faulty
import pytest
from answering import Awaited, no_complaints, solved_by, stream_policy
from servers import sampler_of, shorten_waits

from sklearn_adaalloc.decoding import BestOfK
from sklearn_adaalloc.decoding._best_of_k import BestAnswer

pytest.importorskip("aiohttp", reason="needs the extra openai")

MAX_RETRIES = 2
# What happens to the first attempts at each sample of a query, by its number modulo 20.
PASSING = {
    1: [faulty.status(429, Retry_After="0")],
    3: [faulty.status(500), faulty.status(503)],
    5: [faulty.drop],
    7: [faulty.garble, faulty.break_off],
    9: [faulty.body({"error": "busy"})],
}
LASTING = {
    11: faulty.status(400),  # refused: not tried again
    13: faulty.status(502),
    15: faulty.garble,
}
ERRORS = {11: ValueError, 13: ConnectionError, 15: ConnectionError, 17: KeyError}


class Faults:
    """Faults by query and attempt."""

    def __init__(self):
        self.attempts = Counter()
        self.lock = threading.Lock()

    def __call__(self, number, body):
        query, seed = body["messages"][-1]["content"], body["seed"]
        with self.lock:
            attempt = self.attempts[query, seed]
            self.attempts[query, seed] += 1
        kind = number_of(query) % 20
        if kind in LASTING:
            return LASTING[kind]
        faults = PASSING.get(kind, [])
        return faults[attempt] if attempt < len(faults) else None


def number_of(query):
    return int(query[1:])


class Reward:
    """Even queries are solved by their second sample, odd ones by their first."""

    def __init__(self):
        self.graded = Counter()

    def __call__(self, queries, answers):
        [query], number = queries, number_of(queries[0])
        if number % 20 == 17:
            raise KeyError(query)
        self.graded[query] += len(answers[0])
        return [[float(number % 2 or self.graded[query] > 1) for _ in answers[0]]]


@pytest.fixture
def short_waits(monkeypatch):
    shorten_waits(monkeypatch)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


async def ask_all(decoder, queries):
    return await asyncio.gather(*map(decoder.answer, queries), return_exceptions=True)


def outcome(answered):
    if isinstance(answered, BestAnswer):
        return answered.answer.split()[0], answered.reward, answered.budget
    return type(answered)


def expected(query):
    number = number_of(query)
    kind = number % 20
    return ERRORS.get(kind) or (query, 1.0, 2 - number % 2)


@pytest.mark.parametrize("n_queries", [100, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("short_waits")
def test_many_queries_at_a_time(n_queries, caplog):
    queries = [f"q{i}" for i in range(n_queries)]
    faults = Faults()

    async def main():
        async with decoder:
            answered = await ask_all(decoder, queries)
            return answered, decoder.stream.n_queries

    with faulty.serving(faults) as server, no_complaints(caplog):
        sampler = sampler_of(
            server, max_retries=MAX_RETRIES, max_concurrency=32, timeout=60.0
        )
        decoder = BestOfK(stream_policy(), sampler, Reward())
        answered, n_closed = asyncio.run(main())
    assert n_closed == n_queries
    assert server.most_running <= 32
    # Each has an answer or an error of its own.
    assert [outcome(each) for each in answered] == [expected(each) for each in queries]
    # No sample was asked for more often than its faults and the retries explain.
    attempts = {query: [] for query in queries}
    for (query, _), n in faults.attempts.items():
        attempts[query].append(n)
    for query in queries:
        kind = number_of(query) % 20
        once = 1 + len(PASSING.get(kind, []))
        each = {11: 1, 13: 1 + MAX_RETRIES, 15: 1 + MAX_RETRIES}.get(kind, once)
        assert attempts[query] == [each] * (2 - number_of(query) % 2), query


@pytest.mark.usefixtures("short_waits")
def test_a_query_that_is_cancelled_closes_its_request_and_its_session(caplog):
    hung_up = threading.Event()

    def hang(handler, choices):
        handler.connection.settimeout(20)
        if handler.connection.recv(1) == b"":
            hung_up.set()

    async def main():
        async with decoder:
            task = asyncio.create_task(decoder.answer("q2"))
            while len(server.bodies) < 2:
                await asyncio.sleep(0.01)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.01)
            assert await asyncio.to_thread(hung_up.wait, 10)
            return decoder.stream.n_queries, decoder.stream.mean_cost

    second = lambda number, body: hang if number else None  # noqa: E731
    with faulty.serving(second) as server, no_complaints(caplog):
        sampler = sampler_of(server, timeout=30.0)
        decoder = BestOfK(stream_policy(), sampler, Reward())
        # One sample was told, and one was asked for.
        assert asyncio.run(main(), debug=True) == (1, 2.0)
    assert len(server.bodies) == 2


@pytest.mark.usefixtures("short_waits")
def test_the_event_loop_goes_on_while_a_server_is_asked():
    gaps = []

    async def beat():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            gaps.append(time.monotonic() - before)

    async def main():
        heart = asyncio.create_task(beat())
        await ask_all(decoder, [f"q{i}" for i in range(20)])
        heart.cancel()

    def sleep(number, body):
        time.sleep(1.0)

    with faulty.serving(sleep) as server:
        decoder = BestOfK(stream_policy(), sampler_of(server), Reward())
        asyncio.run(main())
    assert len(server.bodies) == 30
    assert max(gaps) < 0.8


async def held_after(decoder, queries):
    """Bytes that are held after queries, if tracemalloc is on."""
    await ask_all(decoder, queries)
    await asyncio.sleep(0.1)  # until the loop has let go of the results
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def growth(decoder, queries):
    """What is left behind by queries, once as many have been answered before."""
    async with decoder:
        await held_after(decoder, queries)
        tracemalloc.start()
        try:
            return await held_after(decoder, queries)
        finally:
            tracemalloc.stop()


@pytest.mark.slow
def test_a_second_thousand_leaves_nothing_behind():
    queries = [f"q{i}" for i in range(1000)]
    sampler = Awaited()
    sampler.asked = deque(maxlen=0)
    decoder = BestOfK(stream_policy(), sampler, solved_by(1))
    # A query that is kept takes 4 kB. Python itself keeps some empty tuples.
    assert asyncio.run(growth(decoder, queries)) < 500_000


@pytest.mark.slow
@pytest.mark.usefixtures("short_waits")
def test_connections_and_errors_leave_nothing_behind():
    queries = [f"q{i}" for i in range(300)]
    with faulty.serving(Faults()) as server:
        server.bodies = server.keys = server.times = deque(maxlen=0)
        sampler = sampler_of(
            server, max_retries=MAX_RETRIES, max_concurrency=32, timeout=60.0
        )
        decoder = BestOfK(stream_policy(), sampler, Reward())
        # The second time, each query meets only lasting faults.
        assert asyncio.run(growth(decoder, queries)) < 300_000
