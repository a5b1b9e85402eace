"""What people use as it is: the openai client and curl, against a running server."""

import asyncio
import json
import shutil
import subprocess
import time

import faulty_server as faulty
import pytest
from endpoints import MODEL, app_of, running

openai = pytest.importorskip("openai", reason="needs the extra openai")
KEY = "sesame"
CHAT = [{"role": "user", "content": "2+3="}]
ANSWER = "2+3= None 0"


@pytest.fixture(scope="module")
def address():
    with faulty.serving() as server, running(app_of(server, api_key=KEY)) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    with openai.OpenAI(base_url=address, api_key=KEY) as client:
        yield client


def test_chat(client):
    reply = client.chat.completions.create(model=MODEL, messages=CHAT)
    assert reply.choices[0].message.content == ANSWER
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.completion_tokens > 0
    assert reply.adaalloc["verdict"] == "grade"


def test_n(client):
    reply = client.chat.completions.create(model=MODEL, messages=CHAT, n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert all(choice.message.content == ANSWER for choice in reply.choices)
    assert len(reply.adaalloc["choices"]) == 3


def test_stream(client):
    with client.chat.completions.create(
        model=MODEL, messages=CHAT, stream=True, stream_options={"include_usage": True}
    ) as chunks:
        chunks = list(chunks)
    text = "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices
    )
    assert text == ANSWER
    assert chunks[-1].usage.total_tokens > 0


def test_completions_and_models(client):
    reply = client.completions.create(model=MODEL, prompt="2+3=", max_tokens=20)
    assert reply.choices[0].text == ANSWER
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL


def test_many_at_a_time(address):
    async def main():
        async with openai.AsyncOpenAI(base_url=address, api_key=KEY) as client:
            return await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model=MODEL, messages=[{"role": "user", "content": f"q{i}"}]
                    )
                    for i in range(50)
                )
            )

    replies = asyncio.run(main())
    texts = [reply.choices[0].message.content for reply in replies]
    assert texts == [f"q{i} None 0" for i in range(50)]
    assert {reply.adaalloc["samples"] for reply in replies} == {3}


def test_errors_are_those_of_the_client(address, client):
    with pytest.raises(openai.NotFoundError, match="'gpt-9' does not exist"):
        client.chat.completions.create(model="gpt-9", messages=CHAT)
    with pytest.raises(openai.BadRequestError, match="n=0"):
        client.chat.completions.create(model=MODEL, messages=CHAT, n=0)
    with (
        openai.OpenAI(base_url=address, api_key="wrong") as stranger,
        pytest.raises(openai.AuthenticationError, match="missing or wrong"),
    ):
        stranger.models.list()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(address):
    body = json.dumps({"model": MODEL, "messages": CHAT})
    command = ["curl", "-sS", f"{address}/chat/completions", "-d", body]
    for header in (f"Authorization: Bearer {KEY}", "Content-Type: application/json"):
        command += ["-H", header]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(out)["choices"][0]["message"]["content"] == ANSWER


def test_a_client_that_hangs_up_ends_what_is_done_for_it():
    with (
        faulty.serving(lambda number, body: faulty.sleep) as server,
        running(app := app_of(server)) as address,
        openai.OpenAI(base_url=address, api_key="-", max_retries=0) as client,
    ):
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(model=MODEL, messages=CHAT, timeout=0.2)
        end = time.monotonic() + 10
        while app.state.queue.n_in_flight and time.monotonic() < end:
            time.sleep(0.02)
        assert app.state.queue.n_in_flight == 0
        assert app.state.answerer.stream.n_queries == 1
        assert len(server.bodies) == 1
