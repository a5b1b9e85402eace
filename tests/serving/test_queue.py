"""Requests that wait for their turn, and those that are told to come again."""

import asyncio
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import faulty_server as faulty
import pytest
from endpoints import MODEL, app_of, right_from, running
from starlette.testclient import TestClient

from sklearn_adaalloc.serving._errors import ApiError
from sklearn_adaalloc.serving._metrics import Counter
from sklearn_adaalloc.serving._queue import Queue

openai = pytest.importorskip("openai", reason="needs the extra openai")


class Clock:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self):
        return self.now


def in_loop(function):
    """Run a test in an event loop, with a queue of two places and three who wait."""

    def test():
        async def main():
            clock = Clock()
            refused = Counter("refused", "Refused.")
            await function(Queue(2, 3, refused, clock), clock, refused)

        asyncio.run(main())

    return test


@in_loop
async def test_first_come_first_served(queue, clock, refused):
    turns = [queue.enter() for _ in range(5)]
    assert [turn.done() for turn in turns] == [True, True, False, False, False]
    assert (queue.n_in_flight, queue.n_waiting) == (2, 3)
    queue.leave(turns[1])
    assert [turn.done() for turn in turns] == [True, True, True, False, False]
    queue.leave(turns[0])
    queue.leave(turns[2])
    assert all(turn.done() for turn in turns)
    queue.leave(turns[3])
    queue.leave(turns[4])
    assert (queue.n_in_flight, queue.n_waiting) == (0, 0)


@in_loop
async def test_who_leaves_the_queue_is_not_waited_for(queue, clock, refused):
    turns = [queue.enter() for _ in range(5)]
    queue.leave(turns[2])
    turns[3].cancel()  # its task was cancelled, and has not left yet
    queue.leave(turns[0])
    queue.leave(turns[3])
    assert turns[4].done()
    assert (queue.n_in_flight, queue.n_waiting) == (2, 0)


@in_loop
async def test_a_full_queue(queue, clock, refused):
    for _ in range(5):
        queue.enter()
    with pytest.raises(ApiError, match="2 requests are being answered and 3 wait"):
        queue.enter()
    assert refused.counts == {'{reason="full"}': 1}
    assert (queue.n_in_flight, queue.n_waiting) == (2, 3)


@in_loop
async def test_when_to_come_again_follows_from_how_long_requests_take(
    queue, clock, refused
):
    assert queue.seconds_to_wait() == 1  # nothing is known
    first, second = queue.enter(), queue.enter()
    clock.now = 4.0
    queue.leave(first)
    clock.now = 8.0
    queue.leave(second)
    assert queue.seconds_to_wait() == 3  # 6 seconds, two places
    for _ in range(5):
        queue.enter()
    assert queue.seconds_to_wait() == 12  # three go before


@in_loop
async def test_nobody_is_sent_away_for_more_than_a_minute(queue, clock, refused):
    turn = queue.enter()
    clock.now = 1000.0
    queue.leave(turn)
    assert queue.seconds_to_wait() == 60


# In front of the endpoint


@contextmanager
def busy(**parameters):
    """An endpoint with one place, which is taken until `go` is called."""
    asked, go = threading.Event(), threading.Event()

    def wait(handler, choices):
        asked.set()
        go.wait(20)
        handler.answer(choices)

    parameters = {"max_in_flight": 1, "reward": right_from(0), **parameters}
    with (
        faulty.serving(lambda number, body: None if number else wait) as server,
        TestClient(app := app_of(server, **parameters)) as client,
    ):
        posts = Posts(client)
        try:
            posts.start("first")
            assert asked.wait(20)
            yield SimpleNamespace(server=server, app=app, posts=posts, go=go.set)
        finally:
            go.set()
            posts.join()


class Posts:
    """Requests in threads of their own."""

    def __init__(self, client):
        self.client = client
        self.replies = {}
        self.threads = []

    def post(self, name):
        body = {"model": MODEL, "messages": [{"role": "user", "content": name}]}
        self.replies[name] = self.client.post("/v1/chat/completions", json=body)
        return self.replies[name]

    def start(self, name):
        self.threads.append(threading.Thread(target=self.post, args=(name,)))
        self.threads[-1].start()

    def join(self):
        for thread in self.threads:
            thread.join()


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_requests_wait_and_are_answered_in_order():
    with busy(max_queue=2) as door:
        queue, posts = door.app.state.queue, door.posts
        for number, name in enumerate(["second", "third"], start=1):
            posts.start(name)
            until(lambda number=number: queue.n_waiting == number)
        reply = posts.post("fourth")
        metrics = posts.client.get("/metrics").text
        assert posts.client.get("/healthz").json()["waiting"] == 2
        door.go()
        posts.join()
    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "overloaded"
    assert int(reply.headers["Retry-After"]) >= 1
    assert "adaalloc_waiting 2\n" in metrics
    assert "adaalloc_in_flight 1\n" in metrics
    assert 'adaalloc_refused_total{reason="full"} 1\n' in metrics
    answered = [posts.replies[name] for name in ("first", "second", "third")]
    assert [each.status_code for each in answered] == [200] * 3
    sent = [body["messages"][0]["content"] for body in door.server.bodies]
    assert sent == ["first", "second", "third"]


def test_whose_turn_does_not_come_in_time_has_cost_nothing():
    with (
        faulty.serving() as server,
        TestClient(app := app_of(server, max_in_flight=1, deadline=0.2)) as client,
    ):
        app.state.queue._since["somebody who stays"] = 0.0
        posts = Posts(client)
        reply = posts.post("late")
        metrics = client.get("/metrics").text
    assert reply.status_code == 503
    error = reply.json()["error"]
    assert error["message"].startswith("It was not the request's turn within 0.2 s")
    assert int(reply.headers["Retry-After"]) >= 1
    assert 'adaalloc_refused_total{reason="deadline"} 1\n' in metrics
    assert app.state.queue.n_waiting == 0
    assert server.bodies == []


def test_a_body_that_is_not_accepted_does_not_wait():
    with busy() as door:
        reply = door.posts.client.post("/v1/chat/completions", json={"model": MODEL})
        assert reply.status_code == 400
        queue = door.app.state.queue
        assert (queue.n_in_flight, queue.n_waiting) == (1, 0)


def test_who_hangs_up_leaves_the_queue():
    asked, go = threading.Event(), threading.Event()

    def wait(handler, choices):
        asked.set()
        go.wait(20)
        handler.answer(choices)

    def post(name, **options):
        chat = [{"role": "user", "content": name}]
        client.chat.completions.create(model=MODEL, messages=chat, **options)

    with (
        faulty.serving(lambda number, body: wait) as server,
        running(app := app_of(server, max_in_flight=1)) as address,
        openai.OpenAI(base_url=address, api_key="-", max_retries=0) as client,
    ):
        thread = threading.Thread(target=post, args=("first",))
        thread.start()
        assert asked.wait(20)
        with pytest.raises(openai.APITimeoutError):
            post("second", timeout=0.3)
        until(lambda: app.state.queue.n_waiting == 0)
        go.set()
        thread.join()
    assert {body["messages"][0]["content"] for body in server.bodies} == {"first"}
