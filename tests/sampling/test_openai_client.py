"""The client of HTTP: what it sends, through which proxy, and what goes wrong."""

import asyncio
import json

import faulty_server as faulty
import pytest

from sklearn_adaalloc.sampling._openai.client import (
    Client,
    StatusError,
    UnreachableError,
)

pytest.importorskip("aiohttp", reason="needs the extra openai")

PATH = "chat/completions"
FIELDS = {"messages": [{"role": "user", "content": "2+3="}]}


def posted(base_url, fields=FIELDS, *, key="", timeout=5.0):
    """Post once; the text of the reply."""

    async def main():
        client = Client(base_url, key, timeout)
        try:
            return await client.post(PATH, fields)
        finally:
            await client.close()

    return asyncio.run(main(), debug=True)


@pytest.mark.parametrize(("key", "sent"), [("", "Bearer none"), ("k", "Bearer k")])
def test_a_reply_and_the_key(key, sent):
    with faulty.serving() as server:
        text = posted(server.base_url + "/", key=key)
    assert json.loads(text)["choices"][0]["message"]["content"] == "2+3= None 0"
    assert server.keys == [sent]
    assert server.bodies == [{**FIELDS, "path": "/v1/chat/completions"}]


def test_half_a_pair_of_surrogates_is_sent_as_it_is():
    fields = {"messages": [{"role": "user", "content": "\ud800"}]}
    with faulty.serving() as server:
        posted(server.base_url, fields)
    assert server.bodies[0]["messages"] == fields["messages"]


def test_what_json_does_not_have_is_not_sent():
    with faulty.serving() as server, pytest.raises(ValueError, match="JSON"):
        posted(server.base_url, {"messages": [], "top_k": float("nan")})
    assert server.bodies == []


def test_a_reply_with_an_error():
    fault = faulty.status(429, "slowly", Retry_After="7")
    with (
        faulty.serving(lambda number, body: fault) as server,
        pytest.raises(StatusError, match="status 429: slowly") as caught,
    ):
        posted(server.base_url)
    assert caught.value.headers["retry-after"] == "7"


@pytest.mark.parametrize("fault", [faulty.drop, faulty.break_off])
def test_a_connection_that_is_lost(fault):
    with (
        faulty.serving(lambda number, body: fault) as server,
        pytest.raises(UnreachableError, match=r"\w+Error: "),
    ):
        posted(server.base_url)


@pytest.mark.parametrize("fault", [faulty.sleep, faulty.drip])
def test_a_reply_that_takes_too_long(fault):
    with (
        faulty.serving(lambda number, body: fault) as server,
        pytest.raises(asyncio.TimeoutError),
    ):
        posted(server.base_url, timeout=0.3)


def test_requests_go_through_the_proxy_of_the_environment(monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with faulty.serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
        posted("http://lm.example/v1")
        assert [body["path"] for body in proxy.bodies] == [
            f"http://lm.example/v1/{PATH}"
        ]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        posted(proxy.base_url)
    assert proxy.bodies[1]["path"] == f"/v1/{PATH}"
