"""Requests that nobody can judge: they vote or take one sample, and it is paid for."""

import faulty_server as faulty
import numpy as np
import pytest
from answering import EqualCurves, stream_policy
from cascades import NAMES
from endpoints import app_of, ask, menu_app_of, menu_policy, models_of
from servers import sampler_of, shorten_waits
from sklearn.frozen import FrozenEstimator
from starlette.testclient import TestClient

from sklearn_adaalloc import PricedAllocator
from sklearn_adaalloc.allocators._unjudged import UnjudgedSession

pytest.importorskip("math_verify", reason="needs the extra verify")


@pytest.fixture(scope="module")
def menu():
    return menu_policy()


def budgeted(budget, **parameters):
    """A stream with that mean budget, whose price is of no interest."""
    return stream_policy(
        max_budget=8, target="budget", price=None, budget=budget, **parameters
    )


def server_of(labels):
    """A server whose samples end with these numbers, in the order of requests."""

    def fault(number, body):
        text = f"So it is {labels[number]}."
        return faulty.spoil(message={"content": text})

    return faulty.serving(fault)


def ask_alone(server, policy, **wishes):
    """Reply to a request without a reference, and the stream; one sample a request."""
    app = app_of(
        None,
        policy=policy,
        sampler=sampler_of(server, use_n=False),
        reward="math",
    )
    with TestClient(app) as client:
        body = ask(client, **({"adaalloc": wishes} if wishes else {})).json()
        metrics = client.get("/metrics").text
    return body, app.state.answerer.stream, metrics


def test_as_many_samples_vote_as_the_mean_budget_pays_for():
    # One sample at a time at the server, so that labels come in a fixed order.
    with server_of(["3", "7", "8", "7", "7"]) as server:
        body, stream, metrics = ask_alone(server, budgeted(5))
        assert len(server.bodies) == 5
    told = body["adaalloc"]
    assert body["choices"][0]["message"]["content"] == "So it is 7."
    assert (told["verdict"], told["samples"], told["rounds"]) == ("vote", 5, 2)
    assert told["reward"] is None
    assert told["predicted_success"] is None  # no policy learnt what votes come to
    assert (stream.n_queries, stream.mean_cost) == (1, 5.0)
    assert 'adaalloc_answers_total{verdict="vote"} 1' in metrics.splitlines()


def test_a_majority_that_agrees_decides_the_vote():
    with server_of(["7", "7", "7"]) as server:
        body, stream, _ = ask_alone(server, budgeted(5))
    told = body["adaalloc"]
    assert (told["samples"], told["rounds"], told["verdict"]) == (3, 1, "vote")
    assert stream.mean_cost == 3.0


def test_answers_without_a_label_decide_nothing():
    session = UnjudgedSession([0], 5, (1,))
    assert session.ask() == [3]
    session.tell([[None, None, None]])
    assert session.ask() == [2]


@pytest.mark.parametrize(
    ("budget", "wishes", "n_samples"),
    [(2, {}, 1), (5, {"max_samples": 1}, 1), (5, {"max_samples": 4}, 4)],
)
def test_two_votes_are_no_vote_and_a_request_may_limit_them(budget, wishes, n_samples):
    with server_of(["3", "7", "8", "7", "7"]) as server:
        body, stream, _ = ask_alone(server, budgeted(budget), **wishes)
    told = body["adaalloc"]
    assert told["samples"] == n_samples == stream.mean_cost
    assert told["verdict"] == ("vote" if n_samples > 1 else "none")


def test_code_without_tests_gets_one_sample():
    with faulty.serving() as server:
        app = app_of(server, policy=budgeted(5), reward="code")
        with TestClient(app) as client:
            told = ask(client).json()["adaalloc"]
    assert (told["samples"], told["verdict"]) == (1, "none")
    assert told["predicted_success"] == 0.5
    assert app.state.answerer.stream.mean_cost == 1.0


def test_what_they_leave_of_the_budget_is_spent_on_others():
    with faulty.serving() as server:
        app = app_of(server, policy=budgeted(2), reward="code")
        stream = app.state.answerer.stream
        price = stream.price
        with TestClient(app) as client:
            for i in range(20):
                ask(client, f"query {i}")
        assert len(server.bodies) == 20
    assert (stream.n_queries, stream.mean_cost) == (20, 1.0)
    assert stream.price < price


def test_the_cap_cuts_a_vote_short():
    policy = stream_policy(max_budget=8, cap=2, cap_window=1)  # its mean spend is 4.5
    with server_of(["3", "7", "8", "7", "7"]) as server:
        body, stream, _ = ask_alone(server, policy)
        assert len(server.bodies) == 2
    assert body["adaalloc"]["samples"] == 2 == stream.mean_cost


def test_a_policy_without_a_stream_votes_too():
    frozen = FrozenEstimator(EqualCurves().fit(["a"], [0.0]))
    rewards = np.zeros((2, 8))
    rewards[0, 0] = 1
    policy = PricedAllocator(frozen, budget=5, random_state=0).fit(["a", "b"], rewards)
    with server_of(["3", "7", "8", "7", "7"]) as server:
        body, stream, _ = ask_alone(server, policy)
    assert stream is None
    told = body["adaalloc"]
    assert (told["samples"], told["verdict"], told["price"]) == (5, "vote", None)


def test_of_several_decoders_the_best_that_is_affordable_answers(menu):
    # The budget of 6 pays for the dear one, whose samples are nearly always right.
    with faulty.serving() as cheap, faulty.serving() as dear:
        app = menu_app_of(menu, (cheap, dear), "math")
        with TestClient(app) as client:
            told = ask(client).json()["adaalloc"]
        assert models_of(cheap) == []
    assert (told["decoder"], told["samples"], told["verdict"]) == ("dear", 1, "none")
    assert told["cost"] == 5.0 == app.state.answerer.stream.mean_cost
    assert told["predicted_success"] == pytest.approx(0.9, abs=0.1)


def test_where_that_one_is_down_the_other_answers(menu, monkeypatch):
    shorten_waits(monkeypatch)
    with (
        faulty.serving() as cheap,
        faulty.serving(lambda number, body: faulty.status(500)) as dear,
        TestClient(menu_app_of(menu, (cheap, dear), "math")) as client,
    ):
        told = ask(client).json()["adaalloc"]
    assert told["decoder"] == NAMES[0]
    assert told["verdict"] == "none"


def test_a_fixed_price_has_the_spend_of_fit_as_its_mean():
    # One calibration query is solved at once, the other takes all 8 samples.
    policy = stream_policy(max_budget=8)
    assert policy.open()._usual_spend == pytest.approx(4.5)
    with server_of(["3", "7", "8", "7", "7"]) as server:
        body, _, _ = ask_alone(server, policy)
    assert body["adaalloc"]["samples"] == 4
