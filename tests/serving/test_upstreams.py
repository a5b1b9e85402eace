"""The endpoint in front of real servers: llama.cpp's, and `transformers serve`."""

import json

import pytest
from answering import stream_policy
from endpoints import MODEL, app_of, ask
from real_servers import (
    QUERIES,
    llama_cpp_serving,
    transformers_serving,
    write_served_model,
)
from servers import shorten_waits
from starlette.testclient import TestClient

from sklearn_adaalloc.datasets import grade_arithmetic
from sklearn_adaalloc.sampling import OpenAISampler

pytest.importorskip("openai", reason="needs the extra openai")


@pytest.fixture(scope="module")
def llama_cpp(tmp_path_factory):
    with llama_cpp_serving(tmp_path_factory.mktemp("served")) as address:
        yield address, "m"


@pytest.fixture(scope="module")
def transformers_serve(tmp_path_factory):
    model = write_served_model(tmp_path_factory.mktemp("served"))
    with transformers_serving() as address:
        yield address, model


@pytest.fixture(
    params=["llama_cpp", pytest.param("transformers_serve", marks=pytest.mark.slow)]
)
def upstream(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def client(upstream):
    address, model = upstream
    sampler = OpenAISampler(address, model, max_new_tokens=12, max_retries=1)
    policy = stream_policy(max_budget=6)
    app = app_of(None, sampler=sampler, reward=grade_arithmetic, policy=policy)
    with TestClient(app) as client:
        yield client


def n_tokens(answer):
    return len(answer) + 1  # characters, and one that ends it


def test_answers_are_right_and_tokens_add_up(client):
    for query in QUERIES:
        body = ask(client, query).json()
        [choice] = body["choices"]
        answer, told = choice["message"]["content"], body["adaalloc"]
        [[is_right]] = grade_arithmetic([query], [[answer]])
        assert told["reward"] == is_right
        assert told["samples"] == 6 or is_right
        usage = body["usage"]
        assert usage["prompt_tokens"] == told["samples"] * n_tokens(query)
        assert usage["completion_tokens"] == told["cost"] >= n_tokens(answer)
    assert ask(client, QUERIES[0]).json()["adaalloc"]["reward"] == 1.0


def test_one_sample_costs_its_own_tokens(client):
    body = ask(client, adaalloc={"max_samples": 1}).json()
    answer = body["choices"][0]["message"]["content"]
    assert body["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": n_tokens(answer),
        "total_tokens": 5 + n_tokens(answer),
    }


def test_several_choices_and_a_text(client):
    body = {"model": MODEL, "prompt": QUERIES[:2], "n": 2}
    reply = client.post("/v1/completions", json=body).json()
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2, 3]
    samples = [each["samples"] for each in reply["adaalloc"]["choices"]]
    rewards = [each["reward"] for each in reply["adaalloc"]["choices"]]
    assert all(n == 6 or reward for n, reward in zip(samples, rewards, strict=True))
    lengths = [n_tokens(query) for query in QUERIES[:2] for _ in range(2)]
    expected = sum(n * length for n, length in zip(samples, lengths, strict=True))
    assert reply["usage"]["prompt_tokens"] == expected


def test_an_answer_that_the_limit_cuts_off(client):
    [choice] = ask(client, "123*456=", temperature=0.0, max_tokens=2).json()["choices"]
    assert choice["finish_reason"] == "length"
    assert len(choice["message"]["content"]) == 2


def test_stop_strings(client):
    reply = ask(client, "10+20=", temperature=0.0, stop="0", n=2).json()
    assert [c["message"]["content"] for c in reply["choices"]] == ["2", "2"]
    assert {c["finish_reason"] for c in reply["choices"]} == {"stop"}


def test_the_same_seed_gives_the_same_answer(client):
    first, again, other = (
        [ask(client, query, seed=seed).json() for query in QUERIES]
        for seed in (7, 7, 8)
    )

    def decided(replies):
        return [
            (r["choices"][0]["message"]["content"], r["usage"]["total_tokens"])
            for r in replies
        ]

    assert decided(first) == decided(again)
    assert decided(first) != decided(other)


def test_a_stream(client):
    options = {"include_usage": True}
    reply = ask(client, stream=True, stream_options=options, max_tokens=3)
    *events, end, nothing = reply.text.split("\n\n")
    assert (end, nothing) == ("data: [DONE]", "")
    content, last, usage = (json.loads(e.removeprefix("data: ")) for e in events)
    answer = content["choices"][0]["delta"]["content"]
    n_samples = last["adaalloc"]["samples"]
    assert len(answer) <= 3
    assert usage["usage"]["prompt_tokens"] == n_samples * n_tokens("2+3=")


def test_a_prompt_too_long_is_refused_in_its_own_words(llama_cpp):
    app = app_of(None, sampler=OpenAISampler(*llama_cpp, max_retries=0))
    with TestClient(app) as client:
        reply = ask(client, "1+" * 200)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["code"] == "refused_upstream"
    assert "exceeds the available context size" in error["message"]


@pytest.mark.slow
def test_a_model_that_the_server_does_not_have(transformers_serve, monkeypatch):
    shorten_waits(monkeypatch)
    address, _ = transformers_serve
    app = app_of(None, sampler=OpenAISampler(address, "no/such-model", max_retries=1))
    with TestClient(app) as client:
        reply = ask(client)
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "upstream_error"
