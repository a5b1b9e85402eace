"""Whether a server is there, takes the key and has the model, before it is used."""

import asyncio
import socket

import faulty_server as faulty
import pytest
from servers import sampler_of

from sklearn_adaalloc.sampling import OpenAISampler
from sklearn_adaalloc.sampling._openai.probing import probe

pytest.importorskip("aiohttp", reason="needs the extra openai")

pytestmark = pytest.mark.usefixtures("short_waits")


def probed(fault=None, *, models=None, **parameters):
    """Probe a server; the bodies that it got."""
    with faulty.serving(lambda number, body: fault, models=models) as server:
        asyncio.run(probe(sampler_of(server, **parameters)), debug=True)
    return server.bodies


def test_a_model_on_the_list_is_enough():
    assert probed(faulty.status(500), models=["other", "m"]) == []


@pytest.mark.parametrize("completion", ["chat", "text"])
@pytest.mark.parametrize("models", [None, [], ["other"]])
def test_without_the_list_a_token_decides(models, completion):
    [body] = probed(models=models, completion=completion)
    assert body["max_tokens"] == 1
    assert ("messages" in body) == (completion == "chat")


@pytest.mark.parametrize(
    "fault",
    [
        faulty.status(429),
        faulty.status(400, "no chat template"),
        faulty.spoil(message={"content": None}),
    ],
)
def test_what_says_nothing_of_other_prompts_is_no_obstacle(fault):
    probed(fault)


@pytest.mark.parametrize(
    ("fault", "models", "kind", "message"),
    [
        (faulty.status(404, "no m"), None, ValueError, "status 404: no m.$"),
        (faulty.status(404, "no m"), ["a", "b"], ValueError, "models are a, b.$"),
        (faulty.status(400, "no m"), ["a"], ValueError, "models are a.$"),
        (faulty.status(403, "not you"), ["a"], ValueError, "403: not you.$"),
        (faulty.status(503, "warming up"), None, ConnectionError, "503: warming up.$"),
        (faulty.drop, None, ConnectionError, "cannot be reached"),
        (faulty.body({"error": "not loaded"}), None, ConnectionError, "not loaded"),
    ],
)
def test_what_is_wrong_is_said(fault, models, kind, message):
    with pytest.raises(kind, match=message):
        probed(fault, models=models)


def test_a_wrong_key_is_not_shown(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    with pytest.raises(ValueError, match="status 401") as caught:
        probed(faulty.echo_key, api_key_env="MY_KEY")
    assert "sk-very-secret" not in str(caught.value)


def test_a_long_list_is_shown_in_part():
    with pytest.raises(ValueError, match=r"Its models are m0, .*, m9, \.\.\.\.$"):
        probed(faulty.status(404), models=[f"m{i}" for i in range(11)], model="x")


def test_a_connection_that_is_lost_once():
    with faulty.serving(lambda number, body: faulty.drop if number == 0 else None) as s:
        asyncio.run(probe(sampler_of(s)))
    assert len(s.bodies) == 2


def test_an_address_without_its_end():
    with faulty.serving(lambda number, body: faulty.status(404, "no")) as server:
        sampler = OpenAISampler(server.base_url.removesuffix("/v1"), "m")
        with pytest.raises(ValueError, match=r"no\. Most addresses end with /v1\.$"):
            asyncio.run(probe(sampler))


def test_a_server_that_is_not_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(ConnectionError, match=f"'{address}' cannot be reached"):
            asyncio.run(probe(OpenAISampler(address, "m")))
