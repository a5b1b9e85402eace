import asyncio
import importlib.util
import json
import logging
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.sampling import (
    OpenAISampler,
    TransformersSampler,
    _dispatch,
    _replies,
)

pytest.importorskip("openai", reason="needs the extra openai")

_specification = importlib.util.spec_from_file_location(
    "faulty_server", Path(__file__).with_name("faulty_server.py")
)
faulty = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(faulty)

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(_replies, "_FIRST_WAIT", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def sampler_of(server, **parameters):
    return OpenAISampler(server.base_url, "m", **{"timeout": 5.0, **parameters})


def first(*faults):
    """Fail on the first requests, in this way, and no more."""
    return lambda number, body: faults[number] if number < len(faults) else None


# What is sent


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
    assert len(server.bodies) == n_requests
    assert usage.prompt.sum() == 7 * n_requests
    assert sum(map(sum, usage.answers)) == 12 * n_requests


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


HALF = {
    "no finish_reason": faulty.spoil(finish_reason=...),
    "finish_reason is null": faulty.spoil(finish_reason=None),
    "no message": faulty.spoil(message=...),
    "message is a text": faulty.spoil(message="7"),
    "no content": faulty.spoil(message={"role": "assistant"}),
    "content is null": faulty.spoil(message={"content": None}),
    "half of the JSON": faulty.garble,
    "a list": faulty.body([]),
    "choices is null": faulty.body({"choices": None}),
    "choices are texts": faulty.body({"choices": ["7"]}),
    "an error with status 200": faulty.body({"error": "busy"}),
}


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


# Usage


def test_usage():
    with faulty.serving() as server:
        _, usage = sampler_of(server).sample(["a", "b"], [3, 0], return_usage=True)
    assert usage.prompt.tolist() == [7, 0]
    assert [row.tolist() for row in usage.answers] == [[4, 4, 4], []]
    assert {usage.prompt.dtype, *(row.dtype for row in usage.answers)} == {
        np.dtype("int64")
    }


def test_usage_of_a_server_that_reports_none():
    with faulty.serving(first(faulty.without_usage)) as server:
        _, usage = sampler_of(server).sample(["a"], 3, return_usage=True)
    assert (usage.prompt.sum(), usage.answers[0].sum()) == (0, 0)


@pytest.mark.parametrize(
    ("total", "answers", "expected"),
    [
        (10, ["75", "", "65"], [4, 2, 4]),  # proportions 3 : 1 : 3
        (7, ["ab"], [7]),
        (0, ["a", "b"], [0, 0]),
        (1, ["a", "b", "c"], [0, 1, 0]),
        (5, [], []),
    ],
)
def test_shares_of_tokens(total, answers, expected):
    assert _replies.share_tokens(total, answers) == expected


# Retries

PASSING = {
    "drop": faulty.drop,
    "break off": faulty.break_off,
    "408": faulty.status(408),
    "409": faulty.status(409),
    "429": faulty.status(429),
    "500": faulty.status(500),
    "502": faulty.status(502),
    "503": faulty.status(503),
    "sleep": faulty.sleep,
    "drip": faulty.drip,
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_is_tried_again(fault):
    with faulty.serving(first(fault, fault)) as server:
        sampler = sampler_of(server, timeout=0.4, max_concurrency=1)
        answers = sampler.sample(["a"], 2)
    assert answers == [["a None 0", "a None 1"]]
    assert len(server.bodies) == 3


def test_a_storm_of_faults():
    faults = [*PASSING.values(), *HALF.values(), faulty.keep(1), faulty.keep(2)]
    generator = np.random.default_rng(0)
    chosen = generator.integers(0, 2 * len(faults), 500)

    def pick(number, body):
        return faults[chosen[number]] if chosen[number] < len(faults) else None

    with faulty.serving(pick) as server:
        sampler = sampler_of(server, timeout=0.4, max_retries=20)
        prompts = [f"p{i}" for i in range(20)]
        answers = sampler.sample(prompts, np.arange(20) % 6)
    assert [len(row) for row in answers] == [i % 6 for i in range(20)]
    assert all(
        answer.startswith(f"{prompt} ")
        for prompt, row in zip(prompts, answers, strict=True)
        for answer in row
    )


def test_waits_double_until_an_answer_comes(monkeypatch):
    monkeypatch.setattr(_replies, "_FIRST_WAIT", 0.1)
    with faulty.serving(first(*[faulty.status(500)] * 3)) as server:
        sampler_of(server).sample(["a"], 1)
    waits = [later - earlier for earlier, later in pairwise(server.times)]
    assert (np.array(waits) >= [0.1, 0.2, 0.4]).all()


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_heeded(code):
    with faulty.serving(first(faulty.status(code, Retry_After="1"))) as server:
        sampler_of(server).sample(["a"], 1)
    assert server.times[1] - server.times[0] >= 1


@pytest.mark.parametrize(
    ("attempt", "headers", "expected"),
    [
        (0, None, 0.01),
        (3, {}, 0.08),
        (30, {}, 30),
        (0, {"retry-after": "2.5"}, 2.5),
        (0, {"retry-after": "0"}, 0.01),
        (0, {"retry-after": "soon"}, 0.01),
        (0, {"retry-after": "nan"}, 0.01),
        (0, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.01),
    ],
)
def test_seconds_to_wait(attempt, headers, expected):
    assert _replies.seconds_to_wait(attempt, headers) == expected


def test_retry_after_as_a_date(monkeypatch):
    now = 1445412480.0 - 20
    monkeypatch.setattr(_replies.time, "time", lambda: now)
    headers = {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert _replies.seconds_to_wait(0, headers) == 20


# Errors


def test_a_server_that_is_not_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        sampler = OpenAISampler(address, "m", max_retries=2)
        expected = f"base_url='{address}' cannot be reached: .*3 attempts"
        with pytest.raises(ConnectionError, match=expected):
            sampler.sample(["a", "b"], [20, 20])


def test_a_server_that_only_fails():
    with faulty.serving(
        lambda number, body: faulty.status(503, "warming up")
    ) as server:
        sampler = sampler_of(server, max_retries=2, max_concurrency=1)
        with pytest.raises(ConnectionError, match=r"503.*warming up.*3 attempts"):
            sampler.sample(["a"], 1)
    assert len(server.bodies) == 3


def test_a_server_that_is_too_slow():
    with faulty.serving(lambda number, body: faulty.sleep) as server:
        sampler = sampler_of(server, timeout=0.1, max_retries=1)
        with pytest.raises(ConnectionError, match=r"took over 0\.1 s \(2 attempts\)"):
            sampler.sample(["a"], 1)


def test_a_reply_that_never_pauses_for_long_has_to_end_in_time_too():
    with faulty.serving(lambda number, body: faulty.drip) as server:
        sampler = sampler_of(server, timeout=0.4, max_retries=0)
        with pytest.raises(ConnectionError, match=r"took over 0\.4 s \(1 attempt\)"):
            sampler.sample(["a"], 1)


def test_a_server_without_complete_answers():
    with faulty.serving(lambda number, body: faulty.body({})) as server:
        sampler = sampler_of(server, max_retries=1)
        with pytest.raises(
            ConnectionError, match=r"No reply had a complete answer \(2"
        ):
            sampler.sample(["a"], 1)


def test_a_wait_that_is_too_long_is_not_waited_for():
    fault = faulty.status(429, Retry_After="9999")
    with (
        faulty.serving(lambda number, body: fault) as server,
        pytest.raises(ConnectionError, match=r"429.*1 attempt\)"),
    ):
        sampler_of(server).sample(["a"], 1)
    assert len(server.bodies) == 1


@pytest.mark.parametrize("code", [401, 403, 404])
def test_what_concerns_all_requests_is_not_tried_again(code):
    with (
        faulty.serving(lambda *request: faulty.status(code, "go away")) as server,
        pytest.raises(ValueError, match=rf"(?s){code}.*go away"),
    ):
        sampler_of(server, max_concurrency=1).sample(["a", "b"], 2)
    assert len(server.bodies) == 1


def test_a_missing_key_is_hinted_at():
    with (
        faulty.serving(lambda *request: faulty.status(401)) as server,
        pytest.raises(ValueError, match="There is no key: MY_KEY is not set"),
    ):
        sampler_of(server, api_key_env="MY_KEY").sample(["a"], 1)


def refuse_b(number, body):
    is_b = body["messages"][0]["content"] == "b"
    return faulty.status(400, "too long") if is_b else None


def test_a_refused_prompt():
    with (
        faulty.serving(refuse_b) as server,
        pytest.raises(ValueError, match=r"(?s)400.*too long.*\(prompt 'b'\)"),
    ):
        sampler_of(server).sample(["a", "b"], 2)


def test_a_refused_prompt_costs_only_itself():
    with faulty.serving(refuse_b) as server:
        sampler = sampler_of(server, max_concurrency=1)
        arrivals = list(sampler.sample_each(["a", "b", "c"], [1, 2, 1]))
    assert [(each.row, each.sample) for each in arrivals if each.error] == [
        (1, 0),
        (1, 1),
    ]
    assert [each.row for each in arrivals if not each.error] == [0, 2]
    assert all("too long" in str(each.error) for each in arrivals if each.error)


def test_a_prompt_that_breaks_the_server_costs_only_itself():
    def faults(number, body):
        is_b = body["messages"][0]["content"] == "b"
        time.sleep(0.02)
        return faulty.status(500) if is_b else None

    with faulty.serving(faults) as server:
        sampler = sampler_of(server, max_concurrency=2, max_retries=2)
        prompts = ["b", *"acdefghijklmnopq"]
        arrivals = list(sampler.sample_each(prompts, 1))
    assert [each.row for each in arrivals if each.error] == [0]
    assert len(arrivals) == len(prompts)


# Answers as they arrive


def test_answers_come_out_as_they_arrive():
    def faults(number, body):
        return None if number == 0 else faulty.sleep

    with faulty.serving(faults) as server:
        sampler = sampler_of(server, max_concurrency=1)
        arrivals = sampler.sample_each(["a", "b"], 1)
        assert next(arrivals).row == 0
        first = time.monotonic()
        assert next(arrivals).row == 1
        assert time.monotonic() - first > 0.3  # of the second that the next one takes
        arrivals.close()


def test_closing_cancels_what_is_under_way():
    with faulty.serving() as server:
        sampler = sampler_of(server, max_concurrency=1, use_n=False)
        arrivals = sampler.sample_each(["a"], 10_000)
        next(arrivals)
        arrivals.close()
        n_sent = len(server.bodies)
        time.sleep(0.2)
        assert len(server.bodies) == n_sent < 10_000


def test_an_error_ends_the_iteration_after_what_came_before():
    with faulty.serving(
        lambda number, body: faulty.drop if number > 2 else None
    ) as server:
        sampler = sampler_of(server, max_concurrency=1, max_retries=1, use_n=False)
        arrivals = sampler.sample_each(["a"], 10)
        assert [next(arrivals).sample for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ConnectionError, match="cannot be reached"):
            next(arrivals)


def test_a_cancellation_that_is_lost_does_not_keep_it_going():
    # As wait_for loses it up to Python 3.11, if the result comes at that moment.
    async def send(request):
        if request.row == 0:
            await asyncio.sleep(0.05)
            raise KeyError
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return ""

    dispatcher = _dispatch.Dispatcher(
        send, lambda error: _dispatch.Problem("fatal", "gone"), print, max_retries=0
    )
    requests = [_dispatch.Request(row, 0, 1) for row in range(4)]
    with pytest.raises(ValueError, match="gone"):
        asyncio.run(asyncio.wait_for(dispatcher.run(requests, 4), 10))


def test_an_exception_in_the_thread_comes_out():
    async def run(give):
        give(1)
        raise KeyError("lost")

    things = _dispatch.iterate(run)
    assert next(things) == 1
    with pytest.raises(KeyError, match="lost"):
        next(things)


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
    assert "HTTP" in caplog.text  # and something was logged
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
    with pytest.raises(ValueError, match="prompt 1 is a chat, and completion='text'"):
        sampler.sample(["a", [{"role": "user", "content": "b"}]], 1)


# A real server


@pytest.fixture(scope="module")
def transformers_serve():
    """Address of `transformers serve` on loopback."""
    pytest.importorskip("fastapi", reason="needs transformers[serving]")
    pytest.importorskip("uvicorn", reason="needs transformers[serving]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "from transformers.cli.transformers import main; main()"
    options = ["serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    server = subprocess.Popen(
        [sys.executable, "-c", program, *options],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address, process, seconds=120):
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            assert process.poll() is None, "the server has ended by itself"
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def served_model(tmp_path_factory):
    """Folder of the embedded LM, told to sample: else the server takes the best."""
    folder = tmp_path_factory.mktemp("served") / "model"
    shutil.copytree(embedded_model_path(), folder)
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(
        json.dumps({**config, "do_sample": True})
    )
    return str(folder)


@pytest.fixture
def real_sampler(transformers_serve, served_model):
    return OpenAISampler(
        transformers_serve, served_model, max_new_tokens=12, max_concurrency=2
    )


QUERIES = ["max 3 41 7=", "10+20=", "gcd 84 30=", "123*456="]


@pytest.mark.slow
def test_a_real_server_that_ignores_n(real_sampler):
    answers, usage = real_sampler.sample(QUERIES, [5, 1, 0, 8], return_usage=True)
    assert [len(row) for row in answers] == [5, 1, 0, 8]
    assert len(set(answers[3])) > 1
    # One request per sample; the prompts' characters, with one token to begin with.
    assert usage.prompt.tolist() == [5 * 12, 7, 0, 8 * 9]
    # Each answer's characters, and one token to end with.
    assert [row.tolist() for row in usage.answers] == [
        [len(answer) + 1 for answer in row] for row in answers
    ]


@pytest.mark.slow
@pytest.mark.parametrize("completion", ["chat", "text"])
def test_a_real_server_answers_as_the_model_does_in_process(real_sampler, completion):
    real_sampler.set_params(completion=completion, temperature=0.0)
    in_process = TransformersSampler(
        real_sampler.model, temperature=0, max_new_tokens=12, dtype="float16"
    ).set_params(device="cpu")
    assert real_sampler.sample(QUERIES, 1) == in_process.sample(QUERIES, 1)


@pytest.mark.slow
def test_a_real_server_heeds_seeds_one_request_at_a_time(real_sampler):
    real_sampler.set_params(use_n=False, max_concurrency=1)
    together = real_sampler.sample(QUERIES, 6)
    apart = real_sampler.sample(QUERIES, 4, first_sample=[2] * 4)
    assert apart == [row[2:] for row in together]


@pytest.mark.slow
def test_a_model_that_a_real_server_does_not_have(real_sampler):
    real_sampler.set_params(model="no/such-model", max_retries=1)
    with pytest.raises(ConnectionError, match=r"The server .* \(2 attempts\)"):
        real_sampler.sample(["2+3="], 1)
