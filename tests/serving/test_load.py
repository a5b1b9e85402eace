"""Many requests at a time, against a server that fails now and then."""

import asyncio

import faulty_server as faulty
import pytest
from endpoints import MODEL, app_of, right_from, running
from servers import shorten_waits

openai = pytest.importorskip("openai", reason="needs the extra openai")

N_QUERIES, AT_A_TIME = 400, 50
FAULTS = [
    faulty.status(429, Retry_After="0"),
    faulty.status(503),
    faulty.drop,
    faulty.garble,
    faulty.status(400, "too long"),
]


def now_and_then(number, body):
    """Each eleventh request to the server fails, in one way after the other."""
    turn, rest = divmod(number, 11)
    return FAULTS[turn % len(FAULTS)] if rest == 10 else None


@pytest.mark.slow
def test_each_request_is_answered_or_gets_a_proper_error(monkeypatch):
    shorten_waits(monkeypatch)
    with (
        faulty.serving(now_and_then) as server,
        running(app := app_of(server, reward=right_from(1))) as address,
    ):
        outcomes = asyncio.run(ask_all(address))
        answerer = app.state.answerer
        assert app.state.queue.n_in_flight == 0
        assert answerer.stream.n_queries == N_QUERIES
        spent = answerer.stream.mean_cost * N_QUERIES
    answered = [each for each in outcomes if not isinstance(each, Exception)]
    refused = [each for each in outcomes if isinstance(each, Exception)]
    assert len(outcomes) == N_QUERIES
    assert len(answered) > 0.9 * N_QUERIES
    codes = {each.code for each in refused}
    assert codes <= {"refused_upstream", "upstream_error", "upstream_busy"}
    assert {each.adaalloc["samples"] for each in answered} == {2}
    # What the server refused for good counts as spent; retries do not.
    n_refused = len(server.bodies) // (11 * len(FAULTS)) + 1
    assert 2 * len(answered) <= spent <= 2 * len(answered) + n_refused


async def ask_all(address):
    """Ask all queries, so many at a time; errors are returned."""
    numbers, outcomes = iter(range(N_QUERIES)), []

    async def ask(client):
        for number in numbers:
            chat = [{"role": "user", "content": f"q{number}"}]
            try:
                outcomes.append(
                    await client.chat.completions.create(model=MODEL, messages=chat)
                )
            except openai.APIStatusError as error:
                outcomes.append(error)

    async with openai.AsyncOpenAI(
        base_url=address, api_key="-", max_retries=0
    ) as client:
        await asyncio.gather(*(ask(client) for _ in range(AT_A_TIME)))
    return outcomes
