"""Samplers of this process behind the endpoint."""

import pytest
from answering import Awaited, Blocking, solved_by, stream_policy
from endpoints import app_of, ask
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from starlette.testclient import TestClient

from sklearn_adaalloc import (
    HiddenStateFeaturizer,
    RewardRegressor,
    StreamAllocator,
)
from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
from sklearn_adaalloc.sampling import TransformersSampler

MATH = load_arithmetic("math")


def embedded_app(steps, **parameters):
    policy = make_pipeline(
        steps, StreamAllocator(RewardRegressor(Ridge()), budget=3, random_state=0)
    ).fit(MATH.queries_train[:200], MATH.rewards_train[:200])
    sampler = TransformersSampler(max_new_tokens=24, device="cpu", **parameters)
    return app_of(None, policy=policy, sampler=sampler, reward=grade_arithmetic)


@pytest.fixture(scope="module")
def client():
    with TestClient(embedded_app(TfidfVectorizer(analyzer="char"))) as client:
        yield client


def test_the_embedded_model_answers(client):
    body = ask(client, "max 3 41 7=").json()
    assert body["choices"][0]["message"]["content"] == "41"
    assert body["adaalloc"]["reward"] == 1.0
    n_samples = body["adaalloc"]["samples"]
    assert body["usage"]["prompt_tokens"] == 12 * n_samples
    assert body["usage"]["completion_tokens"] == 3 * n_samples
    lines = client.get("/metrics").text.splitlines()
    assert f'adaalloc_samples_total{{decoder="best"}} {n_samples}' in lines


def test_a_policy_that_reads_the_same_model():
    with TestClient(embedded_app(HiddenStateFeaturizer(device="cpu"))) as client:
        assert ask(client, "rev abc=").json()["choices"][0]["message"] == {
            "role": "assistant",
            "content": "cba",
        }


def test_a_seed_repeats_an_answer_and_none_draws_anew(client):
    hard = "7315*86*2="

    def answers(**fields):
        reply = ask(client, hard, adaalloc={"max_samples": 1}, **fields).json()
        return [choice["message"]["content"] for choice in reply["choices"]]

    assert answers(seed=5, n=3) == answers(seed=5, n=3)
    assert len(set(answers(n=6))) > 1
    assert len(set(answers(n=6, temperature=0))) == 1


def test_what_a_request_says_wins_over_the_sampler(client):
    choice = ask(client, "rev abcdefgh=", max_tokens=2).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert len(choice["message"]["content"]) == 2
    body = {"model": "best", "prompt": "rev abc=", "user": "me"}
    reply = client.post("/v1/completions", json=body).json()
    assert reply["choices"][0]["text"] == "cba"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"top_k": 5}, "top_k: the sampler of this server cannot change that"),
        ({"temperature": -1}, "temperature"),
    ],
)
def test_what_the_sampler_cannot_do_is_refused(client, fields, message):
    reply = ask(client, **fields)
    assert reply.status_code == 400
    assert message in reply.json()["error"]["message"]


def test_what_the_sampler_refuses_is_refused():
    def refuse(prompt):
        raise ValueError("This prompt is too long.")

    app = app_of(None, policy=stream_policy(), sampler=Blocking(work=refuse))
    with TestClient(app) as client:
        reply = ask(client)
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "refused_upstream"
    assert reply.json()["error"]["message"] == "This prompt is too long."


def test_any_sampler_and_any_function():
    def sample(prompts, budgets, first_sample):
        return [
            [f"{prompt}:{first + j}" for j in range(n)]
            for prompt, n, first in zip(prompts, budgets, first_sample, strict=True)
        ]

    for sampler in (Blocking(), sample):
        app = app_of(None, policy=stream_policy(), sampler=sampler, reward=solved_by(2))
        with TestClient(app) as client:
            body = ask(client).json()
            refused = ask(client, temperature=0.5)
        assert body["adaalloc"]["samples"] == 3
        assert body["choices"][0]["message"]["content"] == "2+3=:2"
        assert refused.status_code == 400


def test_samplers_that_are_none_or_that_must_be_awaited():
    with pytest.raises(ValueError, match="not a sampler"):
        app_of(None, policy=stream_policy(), sampler=3)
    with pytest.raises(ValueError, match="asynchronous"):
        app_of(None, policy=stream_policy(), sampler=Awaited())
