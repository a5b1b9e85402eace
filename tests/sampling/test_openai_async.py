"""OpenAISampler in an event loop: shared connections, bounds, cancelled requests."""

import asyncio
import pickle
import threading
from contextlib import aclosing

import faulty_server as faulty
import numpy as np
import pytest
from answering import no_complaints
from servers import first, sampler_of

from sklearn_adaalloc.sampling._openai import sampler as sampler_module
from sklearn_adaalloc.sampling._openai.client import Client

pytest.importorskip("aiohttp", reason="needs the extra openai")

pytestmark = pytest.mark.usefixtures("short_waits")


async def gathered(sampler, *arguments, **options):
    return [each async for each in sampler.asample_each(*arguments, **options)]


@pytest.fixture
def n_clients(monkeypatch):
    """Clients that were made, and how many of them are closed."""
    made = {"made": 0, "closed": 0}

    class Counting(Client):
        def __init__(self, *parameters):
            super().__init__(*parameters)
            made["made"] += 1

        async def close(self):
            made["closed"] += 1
            await super().close()

    monkeypatch.setattr(sampler_module, "Client", Counting)
    return made


@pytest.mark.parametrize("use_n", [True, False])
def test_answers_are_those_of_the_call_that_blocks(use_n, caplog):
    with faulty.serving() as server, no_complaints(caplog):
        sampler = sampler_of(server, use_n=use_n)
        asked = (["a", "b", "c"], [3, 0, 2])
        answers, usage = asyncio.run(
            sampler.asample(*asked, first_sample=[1, 0, 4], return_usage=True),
            debug=True,
        )
        blocking = sampler.sample(*asked, first_sample=[1, 0, 4], return_usage=True)
    assert answers == blocking[0]
    np.testing.assert_array_equal(usage.prompt, blocking[1].prompt)
    assert [list(row) for row in usage.answers] == [
        list(row) for row in blocking[1].answers
    ]


def test_samples_arrive_one_by_one():
    with faulty.serving() as server:
        sampler = sampler_of(server, use_n=False)
        arrived = asyncio.run(gathered(sampler, ["a", "b"], [2, 1]), debug=True)
    assert sorted(each[:2] for each in arrived) == [(0, 0), (0, 1), (1, 0)]


@pytest.mark.parametrize("code", [429, 500, 503])
def test_retries_are_the_same(code):
    with faulty.serving(first(*[faulty.status(code)] * 2)) as server:
        sampler = sampler_of(server, max_retries=2)
        assert asyncio.run(sampler.asample(["a"], 1))[0][0].startswith("a ")
        assert len(server.bodies) == 3


def test_a_refused_prompt_is_an_error_of_its_own():
    def refuse(number, body):
        is_long = body["messages"][-1]["content"] == "long"
        return faulty.status(400, "too long") if is_long else None

    with faulty.serving(refuse) as server:
        sampler = sampler_of(server, use_n=False)
        arrived = asyncio.run(gathered(sampler, ["a", "long"], [1, 1]))
        with pytest.raises(ValueError, match=r"too long.*prompt 'long'"):
            asyncio.run(sampler.asample(["long", "a"], [1, 1]))
    errors = {each.row: each.error for each in arrived}
    assert errors[0] is None
    assert "too long" in str(errors[1])


def test_bad_arguments_are_refused_before_anything_is_sent():
    with faulty.serving() as server:
        sampler = sampler_of(server)
        with pytest.raises(ValueError, match="budgets"):
            asyncio.run(sampler.asample(["a"], [-1]))
        with pytest.raises(ValueError, match="X is empty"):
            sampler.asample_each([], [])
        with pytest.raises(ValueError, match="timeout=0"):
            sampler_of(server, timeout=0).connected()
    assert server.bodies == []


# Connections


def test_calls_at_a_time_share_a_client_and_its_bound(n_clients):
    async def main():
        calls = [sampler.asample([f"q{i}"], 1) for i in range(28)]
        return await asyncio.gather(*calls)

    four = threading.Barrier(4, timeout=10)

    def wait(number, body):
        four.wait()

    with faulty.serving(wait) as server:
        sampler = sampler_of(server, max_concurrency=4)
        answers = asyncio.run(main(), debug=True)
    assert [row[0].split()[0] for [row] in answers] == [f"q{i}" for i in range(28)]
    assert server.most_running == 4
    assert n_clients == {"made": 1, "closed": 1}


def test_the_last_call_closes_the_client_unless_it_is_kept(n_clients):
    async def main():
        await sampler.asample(["a"], 1)
        await sampler.asample(["b"], 1)
        async with sampler.connected():
            await sampler.asample(["c"], 1)
            assert n_clients == {"made": 3, "closed": 2}
            await sampler.asample(["d"], 1)
        assert n_clients == {"made": 3, "closed": 3}

    with faulty.serving() as server:
        sampler = sampler_of(server)
        asyncio.run(main(), debug=True)


def test_each_event_loop_has_its_own(n_clients):
    def work():
        answers.append(asyncio.run(sampler.asample(["a"], 1)))

    answers = []
    with faulty.serving() as server:
        sampler = sampler_of(server)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 3
    assert n_clients == {"made": 3, "closed": 3}


def test_how_the_server_counts_is_found_out_once():
    async def main():
        return await asyncio.gather(
            *(gathered(sampler, [f"q{i}"], [3]) for i in range(20))
        )

    with faulty.serving() as server:
        sampler = sampler_of(server)
        arrived = asyncio.run(main())
    assert [len(each) for each in arrived] == [3] * 20
    assert not any(np.isnan(each.answer_tokens) for row in arrived for each in row)
    assert len(server.bodies) == 20 + 2


def test_pickles_leave_connections_behind():
    with faulty.serving() as server:
        sampler = sampler_of(server)
        asyncio.run(sampler.asample(["a"], 1))
        again = pickle.loads(pickle.dumps(sampler))
        assert asyncio.run(again.asample(["a"], 1))[0][0].startswith("a ")


def test_a_client_that_cannot_be_made_leaves_nothing_behind(monkeypatch, n_clients):
    with faulty.serving() as server, monkeypatch.context() as patch:
        sampler = sampler_of(server)
        patch.setattr(sampler_module, "Client", lambda *parameters: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            asyncio.run(sampler.asample(["a"], 1))
        patch.undo()
        assert asyncio.run(sampler.asample(["a"], 1))[0][0].startswith("a ")
    assert n_clients["made"] == n_clients["closed"]


# Cancelled calls


def hang(hung_up):
    """Never answer, and note when the client hangs up."""

    def fault(handler, choices):
        handler.connection.settimeout(10)
        if handler.connection.recv(1) == b"":
            hung_up.set()

    return lambda number, body: fault


@pytest.mark.parametrize("kind", ["asample", "asample_each"])
def test_a_call_that_is_cancelled_closes_its_request(kind, caplog):
    hung_up = threading.Event()

    async def main():
        async with sampler.connected():  # the client itself stays open
            call = (
                sampler.asample(["a"], 1)
                if kind == "asample"
                else gathered(sampler, ["a"], [1])
            )
            task = asyncio.create_task(call)
            while not server.bodies:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await asyncio.to_thread(hung_up.wait, 5)

    with faulty.serving(hang(hung_up)) as server, no_complaints(caplog):
        sampler = sampler_of(server, timeout=20.0)
        assert asyncio.run(main(), debug=True)
    assert len(server.bodies) == 1


def test_a_generator_that_is_closed_closes_its_requests(caplog):
    hung_up = threading.Event()
    hanging = hang(hung_up)

    def faults(number, body):
        is_first = body["messages"][-1]["content"] == "a"
        return None if is_first else hanging(number, body)

    async def main():
        async with aclosing(sampler.asample_each(["a", "b"], [1, 1])) as arrivals:
            arrival = await anext(arrivals)
            while len(server.bodies) < 2:
                await asyncio.sleep(0.01)
        return arrival

    with faulty.serving(faults) as server, no_complaints(caplog):
        sampler = sampler_of(server, timeout=20.0)
        assert asyncio.run(main(), debug=True).row == 0
        assert hung_up.wait(5)


def test_requests_that_are_cancelled_give_their_places_back():
    async def main():
        async with sampler.connected():
            tasks = [
                asyncio.create_task(sampler.asample(["hang"], 1)) for _ in range(8)
            ]
            while not server.bodies:
                await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            return await sampler.asample(["a", "b", "c"], 1)

    hung_up = threading.Event()

    def faults(number, body):
        hangs = body["messages"][-1]["content"] == "hang"
        return hang(hung_up)(number, body) if hangs else None

    with faulty.serving(faults) as server:
        sampler = sampler_of(server, max_concurrency=2, timeout=20.0)
        answers = asyncio.run(main())
    assert [len(row) for row in answers] == [1, 1, 1]
