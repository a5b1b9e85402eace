"""What tests of the endpoint share: applications in front of a server of the tests."""

import threading
import time
from contextlib import contextmanager

import faulty_server as faulty
import numpy as np
import uvicorn
from answering import stream_policy
from cascades import NAMES, zeros
from servers import sampler_of
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc import RewardRegressor, RewardTable, StreamAllocator
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


def menu_policy():
    """A policy of two decoders: cheap samples are rarely right, dear ones often."""
    rewards = np.random.default_rng(0).random((60, 2, 6)) < [[[0.3], [0.9]]]
    table = RewardTable(rewards.astype(float), costs=[1, 5], decoders=NAMES)
    regressor = RewardRegressor(DummyRegressor(), target="rate_profiles")
    stream = StreamAllocator(regressor, unit="cost", budget=6, random_state=0)
    policy = make_pipeline(FunctionTransformer(zeros), stream)
    return policy.fit([str(i) for i in range(60)], table)


def menu_app_of(policy, servers, reward, **parameters):
    """An application in front of a server for each of its decoders."""
    samplers = {
        name: sampler_of(server, max_retries=0).set_params(model=name)
        for name, server in zip(NAMES, servers, strict=True)
    }
    prices = dict(zip(NAMES, (1, 5), strict=True))
    return app_of(
        None,
        policy=policy,
        sampler=samplers,
        reward=reward,
        prices=prices,
        **parameters,
    )


def models_of(server):
    """The models that a server was asked for."""
    return [body["model"] for body in server.bodies]


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


@contextmanager
def half_right(key):
    """An endpoint half of whose answers are right: the second of each query, and later.

    Yields the server behind it, and its address.
    """
    with faulty.serving() as server:
        app = app_of(server, reward=right_from(1), api_key=key)
        with running(app) as address:
            yield server, address
