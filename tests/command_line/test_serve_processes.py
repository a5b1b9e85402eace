"""The command `serve` as a process: its end, its memory over restarts, its workers."""

import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faulty_server as faulty
import pytest
from serve_processes import CHAT, ask, ask_together, serving, workers_of

import sklearn_adaalloc

openai = pytest.importorskip("openai", reason="needs the extra openai")


def test_it_counts_on_after_it_was_killed(stream_policy, tmp_path):
    state = str(tmp_path / "stream.sqlite")
    n_asked = []
    with faulty.serving() as server:
        for _ in range(2):
            with serving(stream_policy, server, "--state", state) as (process, client):
                for _ in range(3):
                    assert ask(client).adaalloc["samples"] > 0
                process.send_signal(signal.SIGKILL)
                process.wait()
            n_asked.append(len(server.bodies))
        stream = sklearn_adaalloc.load_policy(stream_policy)[-1].open(path=state)
        with stream:
            assert stream.n_queries == 6
            assert stream.mean_cost * 6 == pytest.approx(len(server.bodies))
    assert n_asked[1] > n_asked[0] > 0


def test_when_told_to_stop_it_finishes_what_is_in_flight(stream_policy):
    asked, go = threading.Event(), threading.Event()

    def wait(handler, choices):
        asked.set()
        go.wait(20)
        handler.answer(choices)

    replies = []
    with (
        faulty.serving(lambda number, body: None if number else wait) as server,
        serving(stream_policy, server) as (process, client),
    ):
        thread = threading.Thread(target=lambda: replies.append(ask(client)))
        thread.start()
        assert asked.wait(20)
        process.send_signal(signal.SIGTERM)
        go.set()
        thread.join()
        assert replies[0].choices[0].finish_reason == "stop"
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def request_of(body):
    text = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(text)}"
    )
    return head.encode() + b"\r\nConnection: close\r\n\r\n" + text


def connected(client):
    """A connection that has sent its request, whether it was accepted or not."""
    place = (client.base_url.host, client.base_url.port)
    connection = socket.create_connection(place, timeout=60)
    connection.sendall(request_of({"model": "m", "messages": CHAT}))
    return connection


def status_of(connection):
    with connection, connection.makefile("rb") as reply:
        return reply.read().split(b"\r\n")[0]


def test_whoever_is_connected_when_it_is_told_to_stop_gets_an_answer(stream_policy):
    with (
        faulty.serving() as server,
        serving(stream_policy, server) as (process, client),
    ):
        ask(client)
        process.send_signal(signal.SIGSTOP)  # it accepts nobody, the system does
        connections = [connected(client) for _ in range(20)]
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        assert {status_of(each) for each in connections} == {b"HTTP/1.1 200 OK"}
        assert process.wait(60) == 0
        with pytest.raises(ConnectionRefusedError):
            connected(client)


N_WORKERS = [1, pytest.param(2, marks=pytest.mark.slow)]


def workers(n, folder):
    return ("--workers", str(n), "--state", str(folder / "stream.sqlite"))


@pytest.mark.parametrize("n_workers", N_WORKERS)
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_end_is_exit_code_0(told, n_workers, stream_policy, tmp_path):
    words = workers(n_workers, tmp_path)
    with (
        faulty.serving() as server,
        serving(stream_policy, server, *words) as (process, client),
    ):
        ask(client)
        connections = [connected(client) for _ in range(20)]
        process.send_signal(told)
        assert {status_of(each) for each in connections} == {b"HTTP/1.1 200 OK"}
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("n_workers", N_WORKERS)
def test_a_second_interrupt_ends_it_at_once(n_workers, stream_policy, tmp_path):
    go, asked = threading.Event(), threading.Event()

    def wait(handler, choices):
        asked.set()
        go.wait(60)

    words = workers(n_workers, tmp_path)
    with (
        faulty.serving(lambda number, body: wait) as server,
        serving(stream_policy, server, *words) as (process, client),
        ThreadPoolExecutor(1) as thread,
    ):
        reply = thread.submit(ask, client)
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        with pytest.raises(TimeoutError):  # it waits for the answer
            reply.exception(2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert isinstance(reply.exception(30), openai.APIError)
        go.set()
        assert process.stderr.read() == "adaalloc: interrupted\n"


def test_keys_come_from_the_environment_and_are_not_printed(stream_policy):
    keys = {"ADAALLOC_API_KEY": "sesame", "OPENAI_API_KEY": "upstream-key"}
    with (
        faulty.serving() as server,
        serving(stream_policy, server, **keys) as (process, client),
    ):
        ask(client)
        with pytest.raises(openai.AuthenticationError):
            ask(client.with_options(api_key="wrong"))
        assert set(server.keys) == {"Bearer upstream-key"}
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        printed = process.stderr.read()
    assert "sesame" not in printed
    assert "upstream-key" not in printed


# Several processes


@pytest.mark.slow
def test_workers_count_together_and_are_replaced(stream_policy, tmp_path):
    words = ("--state", str(tmp_path / "stream.sqlite"), "--workers", "2")
    with (
        faulty.serving() as server,
        serving(stream_policy, server, *words) as (process, client),
    ):
        replies = ask_together(client, 12)
        before = workers_of(process)
        assert len(before) == 2
        killed = min(before)
        time.sleep(1.5)  # it has written its counts
        os.kill(killed, signal.SIGKILL)
        end = time.monotonic() + 60
        while len(workers_of(process) - {killed}) < 2:
            assert time.monotonic() < end
            time.sleep(0.1)
        replies += ask_together(client, 12)
        time.sleep(1.5)
        metrics = client.get("/../metrics", cast_to=str)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()
    n_samples = sum(reply.adaalloc["samples"] for reply in replies)
    assert len(server.bodies) == n_samples
    assert f'adaalloc_samples_total{{decoder="m"}} {n_samples}\n' in metrics
    assert "adaalloc_request_seconds_count 24\n" in metrics
    with sklearn_adaalloc.load_policy(stream_policy)[-1].open(path=words[1]) as stream:
        assert stream.n_queries == 24
        assert stream.mean_cost * 24 == pytest.approx(n_samples)


@pytest.mark.slow
def test_all_workers_finish_what_is_in_flight(stream_policy, tmp_path):
    go, asked = threading.Event(), threading.Semaphore(0)

    def wait(handler, choices):
        asked.release()
        go.wait(60)
        handler.answer(choices)

    words = ("--state", str(tmp_path / "stream.sqlite"), "--workers", "2")
    with (
        faulty.serving(lambda number, body: wait) as server,
        serving(stream_policy, server, *words) as (process, client),
        ThreadPoolExecutor(1) as thread,
    ):
        replies = thread.submit(ask_together, client, 8)
        for _ in range(8):
            assert asked.acquire(timeout=60)
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        go.set()
        assert len(replies.result()) == 8
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_workers_do_not_outlive_the_process_that_started_them(stream_policy, tmp_path):
    words = ("--state", str(tmp_path / "stream.sqlite"), "--workers", "2")
    with (
        faulty.serving() as server,
        serving(stream_policy, server, *words) as (process, client),
    ):
        ask(client)
        workers = workers_of(process)
        process.kill()
        process.wait()
        end = time.monotonic() + 60
        while any(Path(f"/proc/{each}").exists() for each in workers):
            assert time.monotonic() < end
            time.sleep(0.1)
