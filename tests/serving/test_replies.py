"""Right requests: what is sent upstream, and what comes back."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import faulty_server as faulty
import pytest
from answering import stream_policy
from endpoints import MODEL, app_of, ask, right_from
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from voting import voting_policy


@pytest.fixture
def server():
    with faulty.serving() as server:
        yield server


@pytest.fixture
def client(server):
    with TestClient(app_of(server)) as client:
        yield client


def test_a_query_is_sampled_until_it_is_solved(client, server):
    reply = ask(client)
    assert reply.status_code == 200
    body = reply.json()
    assert body["object"] == "chat.completion"
    assert body["model"] == MODEL
    [choice] = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": "2+3= None 0"}
    assert choice["finish_reason"] == "stop"
    told = body["adaalloc"]
    assert told.pop("price") == pytest.approx(0.01)
    assert told == {
        "samples": 3,
        "decoder": MODEL,
        "cost": 12.0,
        "rounds": 3,
        "reward": 1.0,
        "verdict": "grade",
        # Half of all samples are right, and up front all 4 are worth their price.
        "predicted_success": 1 - 0.5**4,
    }
    # The server counts 7 tokens of a prompt and 4 of an answer, for each request.
    assert body["usage"] == {
        "prompt_tokens": 21,
        "completion_tokens": 12,
        "total_tokens": 33,
    }
    assert [body["model"] for body in server.bodies] == ["m"] * 3


def test_text_completions_go_to_the_route_of_texts(client, server):
    body = {"model": MODEL, "prompt": ["1+1=", "2+2="], "n": 2, "max_tokens": 9}
    reply = client.post("/v1/completions", json=body).json()
    assert reply["object"] == "text_completion"
    texts = [choice["text"] for choice in reply["choices"]]
    assert texts == ["1+1= None 0"] * 2 + ["2+2= None 0"] * 2
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2, 3]
    assert {body["path"] for body in server.bodies} == {"/v1/completions"}
    assert {body["max_tokens"] for body in server.bodies} == {9}
    told = reply["adaalloc"]
    assert told["samples"] == sum(each["samples"] for each in told["choices"])
    assert told["samples"] == len(server.bodies)


def test_what_a_request_says_wins_over_the_sampler(client, server):
    ask(
        client,
        temperature=0.2,
        top_p=0.5,
        max_completion_tokens=2,
        stop=["END"],
        seed=5,
        top_k=7,
        user=None,
    )
    body = server.bodies[0]
    assert body["temperature"] == 0.2
    assert body["top_p"] == 0.5
    assert body["max_tokens"] == 2
    assert body["stop"] == ["END"]
    assert body["top_k"] == 7
    assert "user" not in body
    # Each sample has a seed of its own, and the same request the same seeds.
    seeds = [body["seed"] for body in server.bodies]
    assert len(set(seeds)) == 3
    ask(client, seed=5)
    assert server.bodies[3]["seed"] == seeds[0]


def test_an_answer_that_the_limit_cut_off_says_so(client):
    choice = ask(client, max_tokens=2).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] == "2+3= None"


def test_a_chat_goes_upstream_as_it_is_and_to_the_policy_as_a_text(server):
    seen = []

    def grade(queries, answers):
        seen.extend(queries)
        return [[1.0] * len(answers[0])]

    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "2+3="}]},
    ]
    with TestClient(app_of(server, reward=grade)) as client:
        reply = client.post(
            "/v1/chat/completions", json={"model": MODEL, "messages": chat}
        )
    assert reply.status_code == 200
    assert server.bodies[0]["messages"] == chat
    assert seen == [chat]


def events(reply):
    lines = [line for line in reply.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_a_stream_of_events_once_all_is_decided(client):
    reply = ask(client, stream=True, stream_options={"include_usage": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    content, end, usage = events(reply)
    assert content["object"] == "chat.completion.chunk"
    assert content["choices"][0]["delta"]["content"] == "2+3= None 0"
    assert end["choices"][0]["finish_reason"] == "stop"
    assert end["adaalloc"]["samples"] == 3
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 33
    assert len({event["id"] for event in (content, end, usage)}) == 1


def test_without_include_usage_no_event_has_it(client):
    assert all("usage" not in event for event in events(ask(client, stream=True)))


def test_it_may_be_mounted_in_another_application():
    with (
        faulty.serving() as server,
        TestClient(Starlette(routes=[Mount("/lm", app := app_of(server))])) as client,
    ):
        body = {"model": MODEL, "messages": [{"role": "user", "content": "2+3="}]}
        reply = client.post("/lm/v1/chat/completions", json=body)
    assert reply.status_code == 200
    assert app.state.answerer.stream.n_queries == 1


def test_models_and_health(client):
    [model] = client.get("/v1/models").json()["data"]
    assert model["id"] == MODEL
    assert client.get(f"/v1/models/{MODEL}").json() == model
    numbers = {"in_flight": 0, "waiting": 0}
    assert client.get("/healthz").json() == {"status": "ok", **numbers}


def test_tokens_that_the_server_does_not_count_are_left_out(server):
    server.count = faulty.count_nothing
    with TestClient(app_of(server)) as client:
        assert "usage" not in ask(client).json()


def test_a_query_that_the_policy_gives_up_gets_the_default_answer(server):
    app = app_of(server, policy=stream_policy(price=0.9), default_answer="No idea.")
    with TestClient(app) as client:
        body = ask(client).json()
    assert body["choices"][0]["message"]["content"] == "No idea."
    assert body["adaalloc"]["samples"] == 0
    assert body["adaalloc"]["decoder"] is None
    assert server.bodies == []


def test_a_request_may_limit_its_samples(client, server):
    told = ask(client, adaalloc={"max_samples": 2}).json()["adaalloc"]
    assert (told["samples"], told["reward"]) == (2, 0.0)
    assert len(server.bodies) == 2


def test_a_request_may_ask_why(client):
    pytest.importorskip("pandas", reason="needs pandas")
    told = ask(client, adaalloc={"explain": True}).json()["adaalloc"]
    [row] = told["explanation"]
    assert row["budget"] == 4
    assert row["expected_reward"] == pytest.approx(told["predicted_success"])
    assert row["why"]


def test_metrics_count_what_was_done(client):
    ask(client)
    ask(client, "again")
    client.post("/v1/chat/completions", content=b"{")
    lines = client.get("/metrics").text.splitlines()
    route = 'route="/v1/chat/completions"'
    assert f'adaalloc_requests_total{{{route},status="200"}} 2' in lines
    assert f'adaalloc_requests_total{{{route},status="400"}} 1' in lines
    assert f'adaalloc_samples_total{{decoder="{MODEL}"}} 6' in lines
    tokens = f'adaalloc_tokens_total{{decoder="{MODEL}",kind="answer"}}'
    assert f"{tokens} 24" in lines
    assert "adaalloc_stream_queries 2" in lines
    assert "adaalloc_mean_cost 3" in lines
    assert 'adaalloc_request_seconds_bucket{le="+Inf"} 3' in lines


def test_math_is_judged_by_the_reference_of_the_request(server):
    pytest.importorskip("math_verify", reason="needs the extra verify")
    # Answers end with the number of the choice, which is 0.
    with TestClient(app_of(server, reward="math")) as client:
        right = ask(client, adaalloc={"reference": "0"}).json()
        wrong = ask(client, adaalloc={"reference": 3}).json()
    assert right["adaalloc"]["reward"] == 1.0
    assert right["adaalloc"]["samples"] == 1
    assert wrong["adaalloc"]["reward"] == 0.0
    assert wrong["adaalloc"]["samples"] == 4


def test_without_a_reference_one_sample_is_taken_and_that_is_said(server):
    pytest.importorskip("math_verify", reason="needs the extra verify")
    app = app_of(server, reward="math")
    with TestClient(app) as client:
        body = ask(client).json()
    assert body["choices"][0]["message"]["content"] == "2+3= None 0"
    assert body["adaalloc"]["verdict"] == "none"
    assert body["adaalloc"]["samples"] == 1
    assert body["adaalloc"]["predicted_success"] == 0.5
    assert body["usage"]["total_tokens"] == 11
    stream = app.state.answerer.stream
    assert (stream.n_queries, stream.mean_cost) == (1, 1.0)  # it was paid for


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_tests_of_the_request_are_run_in_the_sandbox(server):
    # The server repeats the message, with a seed and a number that are a comment then.
    program = "def double(x): return 2 * x  #"
    with TestClient(app_of(server, reward="code")) as client:
        tests = {"tests": ["assert double(2) == 4"]}
        right = ask(client, program, adaalloc=tests).json()
        wrong = ask(client, "x = 1 #", adaalloc={**tests, "max_samples": 1}).json()
    assert (right["adaalloc"]["verdict"], right["adaalloc"]["reward"]) == ("code", 1.0)
    assert (wrong["adaalloc"]["samples"], wrong["adaalloc"]["reward"]) == (1, 0.0)


def test_votes_need_no_verdict(server):
    policy = voting_policy(min_budget=3, budget=3)
    app = app_of(server, policy=policy, reward="vote")
    with TestClient(app) as client:
        body = ask(client).json()
    # Three come in one reply and end with 0, 1 and 2; two more end with 0.
    assert body["choices"][0]["message"]["content"] == "2+3= None 0"
    assert body["adaalloc"]["verdict"] == "vote"
    assert body["adaalloc"]["reward"] is None
    assert body["adaalloc"]["samples"] == 5
    assert app.state.answerer.stream.n_queries == 1


def test_the_same_reward_serves_requests_at_a_time(server):
    # References are looked up by request, not by query.
    pytest.importorskip("math_verify", reason="needs the extra verify")

    def reward_of(reference):
        return ask(client, adaalloc={"reference": reference}).json()["adaalloc"]

    with (
        TestClient(app_of(server, reward="math")) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        told = list(threads.map(reward_of, ["0", "1"] * 8))
    assert [each["reward"] for each in told] == [1.0, 0.0] * 8


def test_the_file_of_the_stream_outlives_the_application(server, tmp_path):
    for n_queries in (1, 2):
        app = app_of(server, reward=right_from(0), state=tmp_path / "stream.sqlite")
        with TestClient(app) as client:
            ask(client)
            assert app.state.answerer.stream.n_queries == n_queries
