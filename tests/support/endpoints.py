"""What tests of the endpoint share: applications in front of a server of the tests."""

import threading
import time
from contextlib import contextmanager

import numpy as np
import uvicorn
from answering import stream_policy
from servers import sampler_of

from sklearn_adaalloc.serving import create_app

MODEL = "best"


def right_from(number):
    """Reward function: samples are right from this call on, of each query."""
    asked = {}

    def grade(queries, answers):
        [query], [row] = queries, answers
        first = asked.get(str(query), 0)
        asked[str(query)] = first + len(row)
        return [np.array([float(first + j >= number) for j in range(len(row))])]

    return grade


def app_of(server, *, policy=None, reward=None, sampler=None, **parameters):
    """An application in front of a server that gives each query three samples."""
    return create_app(
        policy or stream_policy(),
        sampler or sampler_of(server),
        reward or right_from(2),
        **{"model": MODEL, **parameters},
    )


def ask(client, content="2+3=", headers=None, **fields):
    """Post a chat of one message, and return the reply."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": content}],
        **fields,
    }
    return client.post("/v1/chat/completions", json=body, headers=headers)


@contextmanager
def running(app):
    """Run an application on loopback while the block runs; its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join()
