import socket
import time
from itertools import pairwise

import faulty_server as faulty
import numpy as np
import pytest
from servers import HALF, first, sampler_of, shorten_waits

from sklearn_adaalloc.sampling import OpenAISampler

pytest.importorskip("aiohttp", reason="needs the extra openai")

pytestmark = pytest.mark.usefixtures("short_waits")


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
    shorten_waits(monkeypatch, 0.1)
    with faulty.serving(first(*[faulty.status(500)] * 3)) as server:
        sampler_of(server).sample(["a"], 1)
    waits = [later - earlier for earlier, later in pairwise(server.times)]
    assert (np.array(waits) >= [0.1, 0.2, 0.4]).all()


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_heeded(code):
    with faulty.serving(first(faulty.status(code, Retry_After="1"))) as server:
        sampler_of(server).sample(["a"], 1)
    assert server.times[1] - server.times[0] >= 1


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
