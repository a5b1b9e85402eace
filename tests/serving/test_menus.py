"""Several decoders behind one endpoint, each on a server of its own."""

import faulty_server as faulty
import pytest
from cascades import NAMES
from endpoints import app_of, ask, menu_app_of, menu_policy, models_of
from servers import sampler_of, shorten_waits
from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def policy():
    return menu_policy()


def first_is_wrong(queries, answers):
    first_is_wrong.calls += 1
    return [[float(first_is_wrong.calls > 1) for _ in answers[0]]]


def test_the_decoder_that_answered_is_named_and_all_are_paid(policy):
    first_is_wrong.calls = 0
    with (
        faulty.serving() as cheap,
        faulty.serving() as dear,
        TestClient(menu_app_of(policy, (cheap, dear), first_is_wrong)) as client,
    ):
        body = ask(client).json()
        lines = client.get("/metrics").text.splitlines()
    told, n_asked = body["adaalloc"], [len(cheap.bodies), len(dear.bodies)]
    assert told["decoders"] == dict(zip(NAMES, n_asked, strict=True))
    assert told["samples"] == sum(n_asked) == 2
    assert told["cost"] == n_asked[0] + 5 * n_asked[1]
    assert told["decoder"] in NAMES
    assert told["reward"] == 1.0
    assert body["usage"]["prompt_tokens"] == 7 * sum(n_asked)
    assert set(models_of(cheap)) <= {"cheap"}
    assert set(models_of(dear)) <= {"dear"}
    for name, n in zip(NAMES, n_asked, strict=True):
        if n:
            assert f'adaalloc_samples_total{{decoder="{name}"}} {n}' in lines


def test_where_one_server_is_down_the_other_answers(policy, monkeypatch):
    shorten_waits(monkeypatch)
    with (
        faulty.serving(lambda number, body: faulty.status(500)) as cheap,
        faulty.serving() as dear,
        TestClient(menu_app_of(policy, (cheap, dear), lambda q, a: [[1.0]])) as client,
    ):
        body = ask(client).json()
    assert body["adaalloc"]["decoder"] == "dear"
    assert body["adaalloc"]["reward"] == 1.0


@pytest.mark.parametrize("max_samples", [1, 2])
def test_samples_of_all_decoders_together_are_limited(policy, max_samples):
    with (
        faulty.serving() as cheap,
        faulty.serving() as dear,
        TestClient(menu_app_of(policy, (cheap, dear), lambda q, a: [[0.0]])) as client,
    ):
        told = ask(client, adaalloc={"max_samples": max_samples}).json()["adaalloc"]
    assert told["samples"] == max_samples == len(cheap.bodies) + len(dear.bodies)


def test_decoders_that_are_not_those_of_the_policy(policy):
    with (
        faulty.serving() as server,
        pytest.raises(ValueError, match="samplers are"),
    ):
        app_of(server, policy=policy, sampler={"other": sampler_of(server)})


def test_one_server_for_a_policy_of_several_decoders(policy):
    with faulty.serving() as server, pytest.raises(ValueError, match="of several"):
        app_of(server, policy=policy)


def test_several_servers_for_a_policy_of_one_decoder():
    with faulty.serving() as server, pytest.raises(ValueError, match="of one decoder"):
        app_of(server, sampler={"a": sampler_of(server), "b": sampler_of(server)})
