"""Requests that get an error, each in the form of OpenAI's protocol."""

import threading

import faulty_server as faulty
import pytest
from answering import stream_policy
from endpoints import MODEL, app_of, ask, right_from
from servers import sampler_of, shorten_waits
from starlette.testclient import TestClient
from voting import voting_policy

from sklearn_adaalloc.rewards._programs import sandbox
from sklearn_adaalloc.serving import _verdicts, create_app


@pytest.fixture
def server():
    with faulty.serving() as server:
        yield server


@pytest.fixture
def client(server):
    with TestClient(app_of(server)) as client:
        yield client


def error_of(reply, status, code):
    """The error of a reply, checked for its form."""
    assert reply.status_code == status
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    return error


CHAT = [{"role": "user", "content": "2+3="}]


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"messages": CHAT}, "model", "model is missing"),
        ({"model": MODEL}, "messages", "messages is not accepted"),
        ({"model": MODEL, "messages": "2+3="}, "messages", "list of messages"),
        ({"model": MODEL, "messages": []}, "messages", "list of messages"),
        ({"model": MODEL, "messages": CHAT, "n": 0}, "n", "n=0"),
        ({"model": MODEL, "messages": CHAT, "n": True}, "n", "n=True"),
        ({"model": MODEL, "messages": CHAT, "n": 129}, "n", "from 1 to 128"),
        ({"model": MODEL, "messages": CHAT, "stream": 1}, "stream", "stream=1"),
        (
            {"model": MODEL, "messages": CHAT, "stream_options": 1},
            "stream_options",
            "no object",
        ),
        ({"model": MODEL, "messages": CHAT, "tools": [{}]}, "tools", "not supported"),
        (
            {"model": MODEL, "messages": CHAT, "temperature": -1},
            "temperature",
            "temperature=-1",
        ),
        ({"model": MODEL, "messages": CHAT, "seed": "a"}, "seed", "seed='a'"),
        ({"model": MODEL, "messages": CHAT, "seed": True}, "seed", "seed=True"),
        (
            {"model": MODEL, "messages": CHAT, "max_tokens": 0},
            "max_tokens",
            "max_tokens=0",
        ),
        ({"model": MODEL, "messages": CHAT, "best_of": 5}, "best_of", "not supported"),
        ({"model": MODEL, "messages": CHAT, "adaalloc": 3}, "adaalloc", "an object"),
        (
            {"model": MODEL, "messages": CHAT, "adaalloc": {"refrence": "7"}},
            "adaalloc",
            "explain, max_samples, reference, tests",
        ),
        (
            {"model": MODEL, "messages": CHAT, "adaalloc": {"reference": [7]}},
            "adaalloc.reference",
            "reference=",
        ),
        (
            {"model": MODEL, "messages": CHAT, "adaalloc": {"reference": " "}},
            "adaalloc.reference",
            "reference=' '",
        ),
        (
            {"model": MODEL, "messages": CHAT, "adaalloc": {"reference": "7"}},
            "adaalloc.reference",
            "of no use here: answers are judged by grade",
        ),
        (
            {"model": MODEL, "messages": CHAT, "adaalloc": {"max_samples": 0}},
            "adaalloc.max_samples",
            "max_samples=0",
        ),
        (
            {"model": MODEL, "messages": CHAT, "adaalloc": {"max_samples": 10**30}},
            "adaalloc.max_samples",
            "from 1 to 2147483647",
        ),
        (
            {"model": MODEL, "messages": CHAT, "adaalloc": {"explain": "yes"}},
            "adaalloc.explain",
            "explain='yes'",
        ),
    ],
)
def test_bodies_that_are_not_accepted(body, param, message, client, server):
    error = error_of(
        client.post("/v1/chat/completions", json=body), 400, "invalid_value"
    )
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert message in error["message"]
    assert server.bodies == []


@pytest.mark.parametrize("prompt", [None, [], [1, 2], [[1, 2]], 7])
def test_prompts_that_are_not_accepted(prompt, client):
    body = {"model": MODEL, "prompt": prompt}
    error = error_of(client.post("/v1/completions", json=body), 400, "invalid_value")
    assert error["param"] == "prompt"


def test_more_choices_than_one_request_may_have(client):
    body = {"model": MODEL, "prompt": ["2+3="] * 43, "n": 3}
    error = error_of(client.post("/v1/completions", json=body), 400, "invalid_value")
    assert "at most 128 choices in all" in error["message"]


@pytest.mark.parametrize("given", [0, 5, True])
def test_probabilities_of_tokens(given, client):
    body = {"model": MODEL, "prompt": "2+3=", "logprobs": given}
    error = error_of(client.post("/v1/completions", json=body), 400, "invalid_value")
    assert error["param"] == "logprobs"


def test_what_asks_for_nothing_is_accepted(client):
    nothing = {"logprobs": False, "top_logprobs": 0, "tools": [], "best_of": 1}
    assert ask(client, **nothing, n=None, seed=-1).status_code == 200


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1e999}'],
)
def test_bodies_that_are_not_json(content, client):
    reply = client.post("/v1/chat/completions", content=content)
    error_of(reply, 400, "invalid_json")


def test_another_model(client):
    reply = ask(client, model="gpt-9")
    error = error_of(reply, 404, "model_not_found")
    assert error["message"] == f"model='gpt-9' does not exist. Expected '{MODEL}'."
    error_of(client.get("/v1/models/gpt-9"), 404, "model_not_found")


def test_another_route(client):
    error_of(client.get("/v1/embeddings"), 404, "not_found")
    error_of(client.post("/v1/chat/completions/"), 404, "not_found")
    reply = client.get("/v1/chat/completions")
    error_of(reply, 405, "method_not_allowed")
    assert reply.headers["Allow"] == "POST"


def test_a_body_that_is_compressed(client):
    headers = {"Content-Encoding": "gzip"}
    error = error_of(ask(client, headers=headers), 415, "unsupported_encoding")
    assert "encoded as 'gzip'" in error["message"]


@pytest.mark.parametrize("with_length", [True, False])
def test_a_body_that_is_too_long(with_length, server):
    content = b" " * 2000
    sent = content if with_length else iter([content[:900]] * 3)
    with TestClient(app_of(server, max_body=1000)) as client:
        reply = client.post("/v1/chat/completions", content=sent)
        error_of(reply, 413, "body_too_large")


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic sesame"}]
)
def test_a_wrong_key(headers, server):
    with TestClient(app_of(server, api_key="sesame")) as client:
        reply = ask(client, headers=headers)
        error = error_of(reply, 401, "invalid_api_key")
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        assert "sesame" not in str(error)
        for path in ("/v1/models", "/metrics"):
            error_of(client.get(path, headers=headers), 401, "invalid_api_key")
        assert client.get("/healthz").status_code == 200
    assert server.bodies == []


def test_the_right_key_is_not_passed_on(server, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", "upstream-key")
    headers = {"Authorization": "Bearer sesame"}
    with TestClient(app_of(server, api_key="sesame")) as client:
        assert ask(client, headers=headers).status_code == 200
    assert set(server.keys) == {"Bearer upstream-key"}
    assert "sesame" not in caplog.text
    assert "upstream-key" not in caplog.text


def test_a_server_that_is_down(server, monkeypatch):
    shorten_waits(monkeypatch)
    sampler = sampler_of(server, max_retries=1)
    sampler.base_url = "http://127.0.0.1:9/v1"
    app = app_of(server, sampler=sampler)
    with TestClient(app) as client:
        reply = ask(client)
        error = error_of(reply, 502, "upstream_error")
        assert reply.headers["Retry-After"] == "1"
        assert "cannot be reached" in error["message"]
        assert error["type"] == "server_error"
        # What it had asked for counts: it may have been answered.
        assert app.state.answerer.stream.n_queries == 1


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (faulty.status(500), 502, "upstream_error"),
        (faulty.status(429, Retry_After="0"), 429, "upstream_busy"),
        (faulty.status(503), 503, "upstream_busy"),
        (faulty.garble, 502, "upstream_error"),
        (faulty.drop, 502, "upstream_error"),
        (faulty.status(400, "too long"), 400, "refused_upstream"),
    ],
)
def test_a_server_that_fails(fault, status, code, monkeypatch):
    shorten_waits(monkeypatch)
    with faulty.serving(lambda number, body: fault) as server:
        app = app_of(server, sampler=sampler_of(server, max_retries=1))
        with TestClient(app) as client:
            error_of(ask(client), status, code)


@pytest.mark.parametrize("status", [429, 503])
def test_what_a_busy_server_asks_is_handed_on(status):
    fault = faulty.status(status, "too many", Retry_After="200")
    with (
        faulty.serving(lambda number, body: fault) as server,
        TestClient(app_of(server, deadline=60)) as client,
    ):
        reply = ask(client)  # at once: the wait is longer than the deadline
    error = error_of(reply, status, "upstream_busy")
    assert reply.headers["Retry-After"] == "200"
    assert "too many (1 attempt)" in error["message"]
    assert len(server.bodies) == 1


def test_a_failure_that_passes_is_not_seen(monkeypatch):
    shorten_waits(monkeypatch)
    faults = {0: faulty.status(429, Retry_After="0"), 2: faulty.break_off}
    with (
        faulty.serving(lambda number, body: faults.get(number)) as server,
        TestClient(app_of(server)) as client,
    ):
        body = ask(client).json()
    assert body["adaalloc"]["samples"] == 3
    assert len(server.bodies) == 5


def test_the_key_of_the_server_is_in_no_error(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "upstream-key")
    with (
        faulty.serving(lambda number, body: faulty.echo_key) as server,
        TestClient(app_of(server)) as client,
    ):
        reply = ask(client)
    error_of(reply, 502, "upstream_error")  # the client cannot mend it
    assert "upstream-key" not in reply.text


def test_a_deadline(server):
    server.faults = lambda number, body: faulty.sleep
    app = app_of(server, deadline=0.2)
    with TestClient(app) as client:
        error = error_of(ask(client), 504, "deadline_exceeded")
        assert "within 0.2 seconds" in error["message"]
        # The query is closed, and what it had asked for is spent.
        assert app.state.answerer.stream.n_queries == 1
        assert app.state.answerer.stream.mean_cost == 1
        assert client.get("/healthz").json()["in_flight"] == 0


def test_more_requests_than_are_answered_at_a_time(server):
    asked, go = threading.Event(), threading.Event()

    def wait(handler, choices):
        asked.set()
        go.wait(10)
        handler.answer(choices)

    server.faults = lambda number, body: None if number else wait
    replies = []
    with TestClient(app_of(server, max_in_flight=1, max_queue=0)) as client:
        thread = threading.Thread(target=lambda: replies.append(ask(client)))
        thread.start()
        assert asked.wait(10)
        reply = ask(client)
        go.set()
        thread.join()
        error_of(reply, 503, "overloaded")
        assert reply.headers["Retry-After"] == "1"
        assert replies[0].status_code == 200
        assert ask(client).status_code == 200


def test_a_cap_that_refuses(server):
    policy = stream_policy(cap=2, cap_window=2, cap_action="refuse")
    with TestClient(app_of(server, policy=policy, reward=right_from(9))) as client:
        assert ask(client).json()["adaalloc"]["samples"] == 4
        reply = ask(client)
        error = error_of(reply, 429, "cap_reached")
        assert int(reply.headers["Retry-After"]) >= 1
        assert error["type"] == "rate_limit_error"


def test_a_reward_that_raises_is_not_shown_but_logged(server, caplog):
    def grade(queries, answers):
        raise KeyError("a secret")

    with TestClient(app_of(server, reward=grade)) as client:
        reply = ask(client)
    error = error_of(reply, 500, "internal_error")
    assert "secret" not in error["message"]
    assert "a secret" in caplog.text


def test_tests_without_a_sandbox(server, monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    sandbox.bubblewrap_command.cache_clear()  # found once, it is not looked for again
    with TestClient(app_of(server, reward="code")) as client:
        reply = ask(client, adaalloc={"tests": ["assert f() == 1"]})
    error = error_of(reply, 400, "no_sandbox")
    assert error["param"] == "adaalloc.tests"
    assert server.bodies == []


def test_tests_that_are_none(server, monkeypatch):
    monkeypatch.setattr(_verdicts, "bubblewrap_command", lambda: [])
    with TestClient(app_of(server, reward="code")) as client:
        reply = ask(client, adaalloc={"tests": {"assert": "f() == 1"}})
    error = error_of(reply, 400, "invalid_value")
    assert error["param"] == "adaalloc.tests"


def test_rewards_that_are_not_accepted(server):
    with pytest.raises(ValueError, match="reward='magic' is not accepted"):
        create_app(stream_policy(), sampler_of(server), "magic", model=MODEL)


def test_judges_that_do_not_fit_the_policy(server):
    with pytest.raises(ValueError, match="reward='vote' does not fit a policy"):
        app_of(server, reward="vote")
    with pytest.raises(ValueError, match=r"selection='vote'\. Expected 'vote'"):
        app_of(server, policy=voting_policy(), reward="math")


def test_a_state_that_nobody_keeps(server, tmp_path):
    from sklearn_adaalloc import DummyAllocator

    policy = DummyAllocator(budget=1).fit(["a", "b"], [[1, 0], [0, 1]])
    with pytest.raises(ValueError, match="DummyAllocator keeps no state"):
        app_of(server, policy=policy, state=tmp_path / "stream.sqlite")
