"""What a reply says, how long to wait, what is said of a server: the pure parts."""

import asyncio

import numpy as np
import pytest

from sklearn_adaalloc.sampling._openai import dispatch as _dispatch
from sklearn_adaalloc.sampling._openai import replies as _replies
from sklearn_adaalloc.sampling._openai.server import Server

pytestmark = pytest.mark.usefixtures("short_waits")

# Waits


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


# Tokens


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (5, 9, np.nan)),
        ({"completion_tokens": True}, (np.nan, 9, np.nan)),
        ({"completion_tokens": "5"}, (np.nan, 9, np.nan)),
        ({"completion_tokens": -1}, (np.nan, 9, np.nan)),
        ({"completion_tokens": 0}, (np.nan, 9, np.nan)),
        ({"completion_tokens": float("inf")}, (np.nan, 9, np.nan)),
        ({"completion_tokens": 10**400}, (np.nan, 9, np.nan)),
        ({"prompt_tokens": None}, (5, np.nan, np.nan)),
        ({"prompt_tokens_details": {"cached_tokens": 8}}, (5, 9, 8)),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, (5, 9, 0)),
        ({"prompt_tokens_details": {"cached_tokens": 10}}, (5, 9, np.nan)),
        ({"prompt_tokens_details": None, "cached_tokens": 4}, (5, 9, 4)),
        ({"prompt_cache_hit_tokens": 6}, (5, 9, 6)),
        # Thinking within the count, and beside it.
        ({"completion_tokens_details": {"reasoning_tokens": 3}}, (5, 9, np.nan)),
        (
            {"completion_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 17},
            (8, 9, np.nan),
        ),
    ],
)
def test_what_a_usage_says(changes, expected):
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, **changes}
    np.testing.assert_array_equal(_replies._read_usage({"usage": usage}), expected)


def test_the_cache_of_llama_cpp():
    usage = {"prompt_tokens": 9, "completion_tokens": 5}
    body = {"usage": usage, "timings": {"cache_n": 8, "prompt_n": 1}}
    assert _replies._read_usage(body) == (5, 9, 8)


@pytest.mark.parametrize(
    ("total", "answers", "expected"),
    [
        (10, ["75", "", "65"], [4, 2, 4]),  # proportions 3 : 1 : 3
        (7, ["ab"], [7]),
        (0, ["a", "b"], [0, 0]),
        (1, ["a", "b", "c"], [0, 1, 0]),
        (5, [], []),
        (np.nan, ["a", "b"], [np.nan, np.nan]),
    ],
)
def test_shares_of_tokens(total, answers, expected):
    np.testing.assert_array_equal(_replies.share_tokens(total, answers), expected)


# Requests under way


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


# Never its key

SERVER = Server("http://localhost:8000/v1", "secret-key", "MY_KEY", 1.5)


def test_the_key_is_not_shown():
    assert repr(SERVER) == "Server(base_url='http://localhost:8000/v1')"
    assert "secret-key" not in f"{SERVER} {SERVER!r}"


@pytest.mark.parametrize(
    "error", [TypeError("bad secret-key"), ValueError("bad secret-key")]
)
def test_an_unknown_error_ends_all_without_telling_the_key(error):
    problem = SERVER.diagnose(error)
    assert problem.kind == "fatal"
    assert problem.message == f"{type(error).__name__}: bad ***"


def test_a_late_reply_may_be_asked_for_again():
    problem = SERVER.diagnose(TimeoutError())
    assert problem.kind == "passing"
    assert problem.message.endswith("took over 1.5 s")
