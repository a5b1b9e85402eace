import asyncio
import logging
import os
import pickle
import time

import faulty_server as faulty
import numpy as np
import pytest
from servers import HALF, first, sampler_of
from sklearn.base import clone

from sklearn_adaalloc.sampling import OpenAISampler

pytest.importorskip("aiohttp", reason="needs the extra openai")

pytestmark = pytest.mark.usefixtures("short_waits")

KEY = "sk-very-secret-0123456789"


# What is sent


def test_stop_strings_that_a_server_leaves_in():
    with faulty.serving() as server:
        answers = sampler_of(server, stop=["END", " None"]).sample(["a", "b END"], 2)
    assert server.bodies[0]["stop"] == ["END", " None"]
    assert answers == [["a", "a"], ["b ", "b "]]


def test_one_request_for_all_samples_of_a_prompt():
    with faulty.serving() as server:
        answers = sampler_of(server).sample(["a", "b", "c"], [3, 0, 1])
    assert answers[0] == ["a None 0", "a None 1", "a None 2"]
    assert answers[1] == []
    assert len(answers[2]) == 1
    assert sorted(body.get("n", 1) for body in server.bodies) == [1, 3]


def test_parameters_are_passed_on():
    with faulty.serving() as server:
        sampler_of(
            server,
            temperature=0.25,
            top_p=0.5,
            max_new_tokens=9,
            stop="\n",
            system="Be short.",
            extra_body={"top_k": 4},
            random_state=None,
        ).sample([[{"role": "user", "content": "a"}]], 2)
    assert server.bodies == [
        {
            "path": "/v1/chat/completions",
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": "a"},
            ],
            "temperature": 0.25,
            "top_p": 0.5,
            "max_tokens": 9,
            "stop": ["\n"],
            "n": 2,
            "top_k": 4,
        }
    ]


def test_what_is_none_is_left_to_the_server():
    with faulty.serving() as server:
        sampler_of(
            server,
            temperature=None,
            top_p=None,
            max_new_tokens=None,
            random_state=None,
            completion="text",
        ).sample(["a"], 1)
    assert server.bodies == [{"path": "/v1/completions", "model": "m", "prompt": "a"}]


def test_nothing_is_sent_for_budgets_of_zero():
    with faulty.serving() as server:
        answers, usage = sampler_of(server).sample(["a", "b"], 0, return_usage=True)
    assert (answers, server.bodies) == ([[], []], [])
    np.testing.assert_array_equal(usage.prompt, [0, 0])


def test_requests_at_a_time_are_bounded():
    with faulty.serving(lambda number, body: faulty.sleep) as server:
        start = time.monotonic()
        sampler_of(server, use_n=False, max_concurrency=3).sample(["a"], 6)
        seconds = time.monotonic() - start
    assert server.most_running == 3
    assert seconds >= 2


def test_it_works_within_a_running_event_loop():
    async def cell():
        return sampler.sample(["a"], 2)

    with faulty.serving() as server:
        sampler = sampler_of(server)
        assert asyncio.run(cell()) == [["a None 0", "a None 1"]]


# Seeds


def test_a_sample_has_its_seed_whatever_the_batch():
    with faulty.serving() as server:
        sampler = sampler_of(server, use_n=False)
        together = sampler.sample(["a", "b"], [4, 2])
        apart = sampler.sample(["b"], 1), sampler.sample(["a"], 2, first_sample=[2])
    assert apart == ([together[1][:1]], [together[0][2:]])
    assert len(set(together[0])) == 4
    assert all(0 <= body["seed"] < 2**31 for body in server.bodies)


def test_another_random_state_has_other_seeds():
    with faulty.serving() as server:
        a, b = (
            sampler_of(server, use_n=False, random_state=seed).sample(["a"], 3)
            for seed in (0, 1)
        )
    assert set(a[0]).isdisjoint(b[0])


# What comes back is counted


@pytest.mark.parametrize("n_kept", [1, 2, 3])
def test_what_a_server_leaves_out_is_asked_for(n_kept):
    with faulty.serving(lambda number, body: faulty.keep(n_kept)) as server:
        answers, usage = sampler_of(server).sample(
            ["a", "b"], [7, 2], return_usage=True
        )
    assert [len(row) for row in answers] == [7, 2]
    n_requests = sum(-(-budget // n_kept) for budget in (7, 2))
    assert len(server.bodies) == n_requests + 2  # two find out how it counts
    assert usage.prompt.sum() == 7 * n_requests
    assert sum(map(sum, usage.answers)) == 4 * 9


def test_a_server_that_ignores_n_is_asked_for_single_samples_from_then_on():
    with faulty.serving(lambda number, body: faulty.keep(1)) as server:
        sampler = sampler_of(server)
        answers = sampler.sample(["a"], 20)
        assert [body.get("n", 1) for body in server.bodies] == [20] + 19 * [1]
        sampler.sample(["b"], 5)
    assert [body.get("n", 1) for body in server.bodies[20:]] == 5 * [1]
    assert len(set(answers[0])) == 20  # all but the first seeded, each with its own


@pytest.mark.parametrize("code", [400, 422])
def test_a_server_that_rejects_n(code):
    def faults(number, body):
        return faulty.status(code, "n must be 1") if "n" in body else None

    with faulty.serving(faults) as server:
        sampler = sampler_of(server, max_concurrency=1)
        answers = sampler.sample(["a", "b"], [3, 3])
        assert [len(set(row)) for row in answers] == [3, 3]
        assert sum("n" in body for body in server.bodies) == 1
        sampler.sample(["c"], 3)
        assert sum("n" in body for body in server.bodies) == 1


def test_more_choices_than_asked_for_are_dropped():
    choices = [{"finish_reason": "stop", "message": {"content": c}} for c in "xyz"]
    with faulty.serving(lambda *request: faulty.body({"choices": choices})) as server:
        assert sampler_of(server).sample(["a"], 2) == [["x", "y"]]
    assert len(server.bodies) == 1


@pytest.mark.parametrize("fault", HALF.values(), ids=HALF)
def test_half_answers_count_as_missing(fault):
    with faulty.serving(first(fault)) as server:
        answers = sampler_of(server).sample(["a"], 1)
    assert len(server.bodies) == 2
    assert answers[0][0].startswith("a ")


def test_of_a_reply_with_a_half_answer_the_rest_is_kept():
    with faulty.serving(first(faulty.spoil(finish_reason=None))) as server:
        answers = sampler_of(server).sample(["a"], 4)
    assert answers[0][:3] == ["a None 1", "a None 2", "a None 3"]
    assert [body.get("n", 1) for body in server.bodies] == [4, 1]


def test_an_answer_that_ran_out_of_tokens_before_any_text_is_empty():
    fault = faulty.spoil(message={"content": None}, finish_reason="length")
    with faulty.serving(first(fault)) as server:
        assert sampler_of(server).sample(["a"], 1) == [[""]]
    assert len(server.bodies) == 1


def test_half_a_surrogate_pair_comes_through():
    fault = faulty.spoil(message={"content": "\ud83d"})
    with faulty.serving(first(fault)) as server:
        assert sampler_of(server).sample(["a"], 1) == [["\ud83d"]]


# The key


def test_the_key_is_read_from_the_variable_named(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    monkeypatch.setenv("MY_KEY", f"{KEY}\n")
    with faulty.serving() as server:
        sampler_of(server, api_key_env="MY_KEY").sample(["a"], 1)
        sampler_of(server).sample(["a"], 1)
        sampler_of(server, api_key_env=None).sample(["a"], 1)
        sampler_of(server, api_key_env="NOT_SET").sample(["a"], 1)
    assert server.keys == [
        f"Bearer {KEY}",
        "Bearer another",
        "Bearer none",
        "Bearer none",
    ]


def everything_in(error):
    """Texts of an exception, its causes and contexts, and all their attributes."""
    while error is not None:
        yield f"{error!r} {error} {vars(error)}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "fault", [faulty.echo_key, faulty.drop, faulty.status(400, f"bad {KEY}")]
)
def test_the_key_is_nowhere(monkeypatch, caplog, capsys, fault):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with faulty.serving(lambda number, body: fault if number else None) as server:
        sampler = sampler_of(server, max_retries=1, max_concurrency=1, use_n=False)
        arrivals = sampler.sample_each(["a"], 2)
        assert next(arrivals).answer.startswith("a ")
        with pytest.raises((ValueError, ConnectionError), match="server") as caught:
            raise next(arrivals).error
        arrivals.close()
    assert server.keys[0] == f"Bearer {KEY}"  # it was in use
    output = capsys.readouterr()
    texts = [caplog.text, output.out, output.err, *everything_in(caught.value)]
    texts += [repr(sampler), str(sampler.settings), str(vars(sampler))]
    assert [text for text in texts if KEY in text] == []
    assert KEY.encode() not in pickle.dumps(sampler)


@pytest.mark.parametrize("key", ["sk-é", "sk-1\nsk-2", "sk-\0"])
def test_a_key_that_is_none(monkeypatch, key):
    monkeypatch.setattr(os, "environ", {**os.environ, "MY_KEY": key})
    sampler = OpenAISampler("http://127.0.0.1:1/v1", "m", api_key_env="MY_KEY")
    with pytest.raises(ValueError, match="MY_KEY has characters that no key") as caught:
        sampler.sample(["a"], 1)
    assert key not in str(caught.value)


# Parameters


def test_it_is_an_estimator_that_only_stores():
    sampler = OpenAISampler("http://127.0.0.1:1/v1", "m", stop=["\n"], top_p=0.5)
    assert clone(sampler).get_params() == sampler.get_params()
    assert repr(clone(sampler)) == repr(sampler)


def test_settings_name_what_answers_depend_on():
    sampler = OpenAISampler("http://127.0.0.1:1/v1", "m")
    same = {"base_url": "https://elsewhere/v1", "use_n": False, "timeout": 1.0}
    same |= {"max_concurrency": 1, "max_retries": 0, "progress": True}
    same |= {"api_key_env": "MY_KEY"}
    assert clone(sampler).set_params(**same).settings == sampler.settings
    other = {"model": "n", "temperature": 0.0, "top_p": 0.5, "max_new_tokens": 1}
    other |= {"stop": "x", "system": "s", "extra_body": {"top_k": 1}, "random_state": 1}
    changed = [clone(sampler).set_params(**{k: v}).settings for k, v in other.items()]
    assert sampler.settings not in changed
    assert len({*same, *other, "completion"}) == len(sampler.get_params())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"base_url": "localhost:8000"}, "base_url='localhost:8000' is not accepted"),
        ({"base_url": None}, "base_url=None is not accepted"),
        ({"completion": "both"}, "completion='both' is not accepted"),
        ({"temperature": -1}, "temperature=-1 is not accepted"),
        ({"top_p": 2}, "top_p=2 is not accepted"),
        ({"max_new_tokens": 0}, "max_new_tokens=0 is not accepted"),
        ({"max_concurrency": 0}, "max_concurrency=0 is not accepted"),
        ({"max_retries": -1}, "max_retries=-1 is not accepted"),
        ({"timeout": 0}, "timeout=0 is not accepted"),
        ({"random_state": 0.5}, "random_state=0.5 is not accepted"),
        ({"stop": [""]}, r"stop=\[''\] is not accepted"),
        ({"completion": "text", "system": "s"}, "system='s' needs completion='chat'"),
    ],
)
def test_parameters_that_are_not_accepted(parameters, message):
    sampler = OpenAISampler("http://127.0.0.1:1/v1", "m").set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        sampler.sample(["a"], 1)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"base_url": f"https://me:{KEY}@host/v1"}, "has a user name or a key in it"),
        ({"api_key_env": KEY}, "not the name of an environment variable"),
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(parameters, message):
    sampler = OpenAISampler("http://127.0.0.1:1/v1", "m").set_params(**parameters)
    with pytest.raises(ValueError, match=message) as caught:
        sampler.sample(["a"], 1)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("prompts", "budgets", "message"),
    [
        ([], 1, "X is empty"),
        ([7], 1, "query 0 is 7, neither a text nor a chat"),
        (["a"], -1, "budgets"),
        (["a"], [1.5], "whole numbers"),
        (["a"], [1, 2], "budgets has shape"),
    ],
)
def test_requests_that_are_not_accepted(prompts, budgets, message):
    sampler = OpenAISampler("http://127.0.0.1:1/v1", "m")
    with pytest.raises(ValueError, match=message):
        sampler.sample_each(prompts, budgets)


def test_a_chat_for_the_text_endpoint():
    sampler = OpenAISampler("http://127.0.0.1:1/v1", "m", completion="text")
    with pytest.raises(ValueError, match="prompt 1 is a chat, but completion='text'"):
        sampler.sample(["a", [{"role": "user", "content": "b"}]], 1)
