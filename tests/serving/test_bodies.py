"""Bodies that arrive slowly or not at all, and answers that UTF-8 cannot encode."""

import socket
import time

import faulty_server as faulty
import pytest
from endpoints import MODEL, app_of, ask, running
from starlette.testclient import TestClient

HALF = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"


@pytest.fixture
def server():
    with faulty.serving() as server:
        yield server


def connected_to(address):
    host, port = address.removeprefix("http://").removesuffix("/v1").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_a_body_that_does_not_arrive_in_time(server):
    app = app_of(server, deadline=0.2)
    with running(app) as address, connected_to(address) as connection:
        connection.sendall(HALF)
        reply = b""
        while b"}" not in reply and (part := connection.recv(10_000)):
            reply += part
    assert reply.startswith(b"HTTP/1.1 408")
    assert b"The body was not complete within 0.2 seconds." in reply
    assert app.state.queue.n_in_flight == 0


def test_a_client_that_hangs_up_while_it_sends(server, caplog):
    app = app_of(server)
    with running(app) as address:
        with connected_to(address) as connection:
            connection.sendall(HALF)
        requests = app.state.answerer.metrics.requests
        end = time.monotonic() + 10
        while not requests.counts and time.monotonic() < end:
            time.sleep(0.01)
    [labels] = requests.counts
    assert 'status="499"' in labels
    assert caplog.text == ""


@pytest.mark.parametrize("stream", [False, True])
def test_half_a_character_is_handed_on(stream, server):
    # Half of a pair of code units: JSON can say it, UTF-8 cannot.
    half = faulty.spoil(message={"content": "\ud83d"})
    server.faults = lambda number, body: half
    with TestClient(app_of(server)) as client:
        reply = ask(client, stream=stream)
    assert reply.status_code == 200
    assert "\\ud83d" in reply.text


def test_half_a_character_in_an_error(server):
    with TestClient(app_of(server)) as client:
        content = b'{"model": "\\ud83d", "messages": []}'
        reply = client.post("/v1/chat/completions", content=content)
    assert reply.status_code == 404
    assert f"Expected '{MODEL}'" in reply.json()["error"]["message"]
