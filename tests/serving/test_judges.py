"""Reward models as judges, and policies that know who answered."""

import threading

import faulty_server as faulty
import numpy as np
import pytest
from answering import EqualCurves, stream_policy
from endpoints import MODEL, app_of, ask
from servers import sampler_of
from sklearn.frozen import FrozenEstimator
from starlette.testclient import TestClient

from sklearn_adaalloc import PricedAllocator, RewardTable, StreamAllocator
from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.rewards import RewardModel
from sklearn_adaalloc.sampling import TransformersSampler
from sklearn_adaalloc.serving._verdicts import Together, make_verdicts


@pytest.fixture
def server():
    with faulty.serving() as server:
        yield server


def scored_policy():
    """Learnt from scores; takes 3 samples of each query."""
    frozen = FrozenEstimator(EqualCurves().fit(["a"], [0.0]))
    scores = np.random.default_rng(0).normal(size=(40, 4))
    policy = StreamAllocator(frozen, min_budget=3, budget=3, random_state=0)
    return policy.fit([f"{i}" for i in range(40)], scores)


@pytest.mark.parametrize("name", ["model:embedded", "RewardModel"])
def test_a_reward_model_judges(name, server):
    model = RewardModel(embedded_model_path("reward"), device="cpu")
    reward = model if name == "RewardModel" else name
    with TestClient(app_of(server, policy=scored_policy(), reward=reward)) as client:
        body = ask(client).json()
        chat = [{"role": "system", "content": "Be brief."}]
        chat += [{"role": "user", "content": "2+3="}]
        answered = client.post(
            "/v1/chat/completions", json={"model": MODEL, "messages": chat}
        )
    told = body["adaalloc"]
    assert (told["verdict"], told["samples"]) == (name, 3)
    answers = [f"2+3= None {i}" for i in range(3)]
    [scores] = model(["2+3="], [answers])
    assert told["reward"] == pytest.approx(scores.max(), abs=1e-5)
    best = answers[int(np.argmax(scores))]
    assert body["choices"][0]["message"]["content"] == best
    assert told["predicted_success"] is None  # scores are no chances
    assert answered.status_code == 200  # this model has no template for chats


def test_what_threads_ask_while_the_model_is_busy_is_read_together():
    sizes, busy, go = [], threading.Event(), threading.Event()

    def reward(queries, answers):
        sizes.append(len(queries))
        busy.set()
        go.wait(20)
        return [np.array([float(query)]) for query in queries]

    together, graded = Together(reward), {}

    def ask_for(query):
        graded[query] = together([query], [["x"]])

    threads = [threading.Thread(target=ask_for, args=(f"{i}",)) for i in range(6)]
    threads[0].start()
    assert busy.wait(20)
    for thread in threads[1:]:
        thread.start()
    while len(together._waiting) < 5:
        pass
    go.set()
    for thread in threads:
        thread.join()
    assert sizes == [1, 5]
    assert all(rewards[0] == [float(query)] for query, rewards in graded.items())


def test_an_error_is_that_of_one_request_alone():
    def reward(queries, answers):
        if "bad" in queries:
            raise ValueError("too long")
        return [np.ones(len(row)) for row in answers]

    together = Together(reward)
    graded = {}

    def ask_for(query):
        try:
            graded[query] = together([query], [["x"]])[0].tolist()
        except ValueError as error:
            graded[query] = str(error)

    with together._grading:  # as if it were busy
        threads = [threading.Thread(target=ask_for, args=(q,)) for q in ("bad", "good")]
        for thread in threads:
            thread.start()
        while len(together._waiting) < 2:
            pass
    for thread in threads:
        thread.join()
    assert graded == {"bad": "too long", "good": [1.0]}


def test_scores_for_a_policy_that_learnt_right_and_wrong(server):
    with pytest.raises(ValueError, match="gives scores, and the policy learnt from"):
        app_of(server, policy=stream_policy(), reward="model:embedded")


def test_a_policy_that_decides_up_front_may_rank_by_scores(server):
    frozen = FrozenEstimator(EqualCurves().fit(["a"], [0.0]))
    policy = PricedAllocator(frozen, budget=2, max_budget=2, random_state=0)
    policy.fit(["a", "b"], np.eye(2))
    with TestClient(app_of(server, policy=policy, reward="model:embedded")) as client:
        told = ask(client).json()["adaalloc"]
    assert told["samples"] == 2
    assert told["predicted_success"] == 0.75


@pytest.mark.parametrize("reward", ["model:", "modell:x", 3])
def test_judges_that_there_are_not(reward):
    with pytest.raises(ValueError, match="'model:NAME', or a function"):
        make_verdicts(reward)


def test_a_reward_model_that_cannot_be_loaded():
    with pytest.raises(ValueError, match="no-such-folder"):
        make_verdicts("model:./no-such-folder")


def policy_of(model):
    """A policy whose table says that this model gave the answers."""
    frozen = FrozenEstimator(EqualCurves().fit(["a"], [0.0]))
    table = RewardTable(np.eye(2), decoders=[model])
    return StreamAllocator(frozen, budget=1, random_state=0).fit(["a", "b"], table)


def test_the_model_that_the_policy_learnt_from_may_answer(server):
    with TestClient(app_of(server, policy=policy_of("m"))) as client:
        assert ask(client).json()["adaalloc"]["decoder"] == MODEL


def test_another_model_is_refused(server):
    with pytest.raises(ValueError, match=r"answers of 'large', but 'm' is to answer"):
        app_of(server, policy=policy_of("large"))


def test_another_model_may_stand_for_it_if_it_is_named(server):
    sampler = {"large": sampler_of(server)}
    app = app_of(server, policy=policy_of("large"), sampler=sampler)
    with TestClient(app) as client:
        assert ask(client).json()["adaalloc"]["decoder"] == "large"


def test_a_name_that_the_policy_does_not_know(server):
    with pytest.raises(ValueError, match="'large', but 'other' is to answer"):
        app_of(server, policy=policy_of("large"), sampler={"other": sampler_of(server)})


def test_a_fingerprint_is_compared_with_a_model_of_this_process_alone(server):
    sampler = TransformersSampler(device="cpu")
    own, other = sampler.settings["model"], "0" * 64
    app_of(server, policy=policy_of(own), sampler=sampler)
    app_of(server, policy=policy_of(other))  # a server has a name, and no more
    with pytest.raises(ValueError, match="answers of '0000"):
        app_of(server, policy=policy_of(other), sampler=sampler)


def test_a_policy_that_does_not_know_is_believed(server):
    with TestClient(app_of(server, policy=stream_policy())) as client:
        assert ask(client).status_code == 200


def test_a_price_by_name_or_alone(server):
    for prices in ({MODEL: 2.5}, 2.5):
        with TestClient(app_of(server, prices=prices)) as client:
            told = ask(client).json()["adaalloc"]
        assert told["cost"] == 2.5 * told["samples"]
    with pytest.raises(ValueError, match="prices are those of"):
        app_of(server, prices={"other": 1})
