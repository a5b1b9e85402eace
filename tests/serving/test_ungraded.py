"""Judges that can grade no answer to a request: after three samples it is unjudged."""

import faulty_server as faulty
import numpy as np
import pytest
from answering import EqualCurves, stream_policy
from endpoints import app_of, ask, menu_app_of, menu_policy
from servers import sampler_of
from sklearn.frozen import FrozenEstimator
from starlette.testclient import TestClient

from sklearn_adaalloc import PricedAllocator


def ungraded_until(number):
    """Reward function: NaN for the first samples of a request, and then wrong."""
    n_seen = 0

    def grade(queries, answers):
        nonlocal n_seen
        [row] = answers
        order = np.arange(n_seen, n_seen + len(row))
        n_seen += len(row)
        return [np.where(order < number, np.nan, 0.0)]

    return grade


def told_of(reward, policy, sampler=None, **wishes):
    """Reply to one request, and the endpoint's stream."""
    with faulty.serving() as server:
        app = app_of(server, policy=policy, reward=reward)
        with TestClient(app) as client:
            body = ask(client, adaalloc=wishes).json()
    return body, app.state.answerer.stream


@pytest.mark.parametrize(
    ("n_ungraded", "n_samples", "verdict"),
    [(99, 3, "none"), (3, 3, "none"), (2, 8, "grade"), (0, 8, "grade")],
)
def test_three_that_cannot_be_graded_are_the_last(n_ungraded, n_samples, verdict):
    policy = stream_policy(max_budget=8)
    body, stream = told_of(ungraded_until(n_ungraded), policy)
    told = body["adaalloc"]
    assert (told["samples"], told["verdict"]) == (n_samples, verdict)
    assert told["reward"] == (None if verdict == "none" else 0.0)
    assert (stream.n_queries, stream.mean_cost) == (1, float(n_samples))
    if verdict == "none":  # no better one is known than the first
        assert body["choices"][0]["message"]["content"] == "2+3= None 0"


def test_one_or_two_are_followed_by_others_only_if_wanted():
    body, _ = told_of(ungraded_until(99), stream_policy(max_budget=8), max_samples=2)
    assert (body["adaalloc"]["samples"], body["adaalloc"]["verdict"]) == (2, "none")


def test_in_rounds_no_further_round_follows():
    policy = stream_policy(max_budget=8, n_rounds=3)
    graded, _ = told_of(ungraded_until(0), policy)
    body, _ = told_of(ungraded_until(99), policy)
    assert (graded["adaalloc"]["rounds"], graded["adaalloc"]["samples"]) == (3, 8)
    assert body["adaalloc"]["rounds"] < 3
    assert 3 <= body["adaalloc"]["samples"] < 8


def test_what_is_decided_up_front_is_drawn():
    frozen = FrozenEstimator(EqualCurves().fit(["a"], [0.0]))
    policy = PricedAllocator(frozen, budget=5, random_state=0)
    policy.fit(["a", "b"], np.eye(2, 8))
    body, stream = told_of(ungraded_until(99), policy)
    assert stream is None
    assert (body["adaalloc"]["samples"], body["adaalloc"]["verdict"]) == (5, "none")


def test_of_several_decoders():
    with faulty.serving() as cheap, faulty.serving() as dear:
        app = menu_app_of(menu_policy(), (cheap, dear), ungraded_until(99))
        with TestClient(app) as client:
            told = ask(client).json()["adaalloc"]
        assert len(cheap.bodies) + len(dear.bodies) == 3 == told["samples"]
    assert (told["verdict"], told["reward"]) == ("none", None)


@pytest.mark.parametrize("n_samples", [3, 2])
def test_answers_vote_where_the_reference_cannot_be_read(n_samples):
    pytest.importorskip("math_verify", reason="needs the extra verify")
    labels = ["3", "7", "7"]

    def fault(number, body):
        return faulty.spoil(message={"content": f"So it is {labels[number]}."})

    with faulty.serving(fault) as server:
        app = app_of(
            None,
            policy=stream_policy(max_budget=8),
            sampler=sampler_of(server, use_n=False),
            reward="math",
        )
        wishes = {"reference": "?", "max_samples": n_samples}
        with TestClient(app) as client:
            with pytest.warns(UserWarning, match="the reference cannot be read"):
                reply = ask(client, adaalloc=wishes)
            body = reply.json()
    told = body["adaalloc"]
    answer = "So it is 7." if n_samples == 3 else "So it is 3."
    assert body["choices"][0]["message"]["content"] == answer
    assert (told["samples"], told["verdict"]) == (n_samples, "vote")
    assert told["reward"] is None
