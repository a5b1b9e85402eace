"""What the endpoint adds to a server, at several loads.

    python -m benchmarks.speed.serving [--at-a-time N] [--rates R ...] [--duration S]
                                       [--output DIR]

A server in a process of its own is asked directly, and by an endpoint in a third
process. This process asks: so many clients that each send their next request when the
last was answered, over connections that are kept. For each rate, the server takes so
long for an answer that the clients, asking directly, send that many requests per
second. (That is on average: from half of it to one and a half times it, by the query,
so the same in each row.) The endpoint then has the same clients and the same server.
All in one run. Clients come one after another, evenly over the time of an answer: if
all came at once, the medians would tell how long a queue of them takes.

With "one sample", the policy always takes one; with "stream", it has a budget of 2, and
answers are right half of the time, so the server gets twice the requests. Both read no
features. The others take one sample, read features, and decide nothing by them.

`endpoint_ms`, `server_ms` and `clients_ms` are processor time per request of the three
processes. With few cores they wait for each other: look at their sum times the rate.
The memory is that of the endpoint after a fifth of the requests, and how much it is
more after all.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import re
import socket
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.report import RESULTS, print_table, write_csv

BUDGET = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at-a-time", type=int, default=200)
    parser.add_argument("--rates", type=float, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--duration", type=float, default=20.0)
    parser.add_argument("--output", type=Path, default=RESULTS / "speed")
    options = parser.parse_args()
    rows = []
    for rate in options.rates:
        names = ["one sample", "stream"]
        names += ["TF-IDF", "hidden states"] if rate == min(options.rates) else []
        rows += measure_rate(rate, names, options)
        print_table(rows)
    write_csv(rows, options.output / "serving.csv")


def measure_rate(rate, names, options):
    """Ask directly, then by endpoints with these policies; a row of each."""
    load = Load(options.at_a_time, options.at_a_time / rate, rate * options.duration)
    with process(upstream, load.seconds) as (direct, server):
        rows = [measure("direct", direct, server, None, load)]
        for name in names:
            with process(endpoint, direct, name) as (address, pid):
                rows.append(measure(name, address, server, pid, load))
    for row in rows:
        row["throughput_ratio"] = row["per_second"] / rows[0]["per_second"]
        row["added_ms"] = 1000 * (row["median_s"] - rows[0]["median_s"])
    return rows


class Load(NamedTuple):
    """So many clients, the seconds of an answer, and how many requests in all."""

    at_a_time: int
    seconds: float
    n_requests: float


def upstream(listening, seconds):
    """A server whose answers are right half of the time."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def complete(request):
        query = (await request.json())["messages"][0]["content"]
        await asyncio.sleep(seconds * (0.5 + random.Random(query).random()))
        message = {"role": "assistant", "content": random.choice(["right", "wrong"])}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
        return JSONResponse({"choices": [choice], "usage": usage})

    route = Route("/v1/chat/completions", complete, methods=["POST"])
    run(Starlette(routes=[route]), listening)


def endpoint(listening, address, name):
    """The endpoint, with a policy of this name."""
    from sklearn.dummy import DummyRegressor
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    from sklearn_adaalloc import HiddenStateFeaturizer, RewardRegressor, StreamAllocator
    from sklearn_adaalloc.sampling import OpenAISampler
    from sklearn_adaalloc.serving import create_app

    n_samples, budget = (8, BUDGET) if name == "stream" else (1, 1)
    rewards = np.random.default_rng(0).random((500, n_samples)) < 0.5
    features = {
        "TF-IDF": TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3)),
        "hidden states": HiddenStateFeaturizer(device="cpu"),
    }
    policy = make_pipeline(
        features.get(name, FunctionTransformer(_no_features)),
        StreamAllocator(
            RewardRegressor(DummyRegressor()),
            budget=budget,
            min_budget=0 if name == "stream" else 1,
            random_state=0,
        ),
    ).fit([f"q{i}" for i in range(500)], rewards.astype(float))
    sampler = OpenAISampler(address, "m", max_concurrency=1000)
    run(create_app(policy, sampler, is_right, model="m"), listening)


def _no_features(queries):
    return np.zeros((len(queries), 1))


def is_right(queries, answers):
    """Reward function."""
    return [[float(text == "right") for text in row] for row in answers]


def run(app, listening):
    """Serve until the process is ended."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def process(target, *arguments):
    """Run a server in a process of its own; its address and the process."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        port = listening.getsockname()[1]
        context = multiprocessing.get_context("fork")
        started = context.Process(target=target, args=(listening, *arguments))
        started.start()
        try:
            yield f"http://127.0.0.1:{port}/v1", started.pid
        finally:
            started.terminate()
            started.join()


def measure(name, address, server, pid, load):
    """Send all requests; a row of what came of them."""
    return asyncio.run(_measure(name, address, server, pid, load))


async def _measure(name, address, server, pid, load):
    n_requests = int(load.n_requests)
    seconds, statuses, memory = [], [], []
    queries = iter(range(n_requests))

    async def client(number):
        async with connected(address) as ask:
            await asyncio.sleep(number * load.seconds / load.at_a_time)
            for query in queries:
                start = time.perf_counter()
                statuses.append(await ask(query))
                seconds.append(time.perf_counter() - start)
                if pid and len(seconds) in (n_requests // 5, n_requests):
                    memory.append(resident_mib(pid))

    async with connected(address) as ask:
        await ask(-1)  # all that is loaded at the first request
    used = {"endpoint": pid, "server": server, "clients": os.getpid()}
    before = {who: processor_seconds(each) for who, each in used.items() if each}
    start = time.perf_counter()
    await asyncio.gather(*map(client, range(load.at_a_time)))
    elapsed = time.perf_counter() - start
    row = {
        "policy": name,
        "at_a_time": load.at_a_time,
        "upstream_s": load.seconds,
        "requests": n_requests,
        "answered": statuses.count(200),
        "per_second": n_requests / elapsed,
        "median_s": median(seconds),
        "spent_per_query": 1.0,
    }
    for who, each in used.items():
        after = processor_seconds(each) if each else np.nan
        row[f"{who}_ms"] = 1000 * (after - before.get(who, 0.0)) / n_requests
    if pid:
        text = await exchange(address.removesuffix("/v1") + "/metrics", "GET", "")
        [spent] = re.findall(r"^adaalloc_mean_cost (\S+)$", text, re.M)
        row["spent_per_query"] = float(spent)
    row["memory_mib"] = memory[0] if pid else np.nan
    row["memory_growth_mib"] = memory[-1] - memory[0] if pid else np.nan
    return row


@asynccontextmanager
async def connected(address):
    """A kept connection, as a function that posts a chat and returns the status."""
    _, _, host, path = f"{address}/chat/completions".split("/", 3)
    reader, writer = await asyncio.open_connection(*host.split(":"))

    async def ask(query):
        chat = [{"role": "user", "content": f"q{query}"}]
        body = json.dumps({"model": "m", "messages": chat})
        writer.write(_request(host, path, "POST", body, "keep-alive"))
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        await reader.readexactly(int(re.search(r"(?i)content-length: (\d+)", head)[1]))
        return int(head.split(" ", 2)[1])

    try:
        yield ask
    finally:
        writer.close()


async def exchange(url, method, body):
    """Send a request on a connection of its own; the whole reply as a text."""
    _, _, host, path = url.split("/", 3)
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(_request(host, path, method, body, "close"))
    text = (await reader.read()).decode()
    writer.close()
    return text


def _request(host, path, method, body, connection):
    lines = [
        f"{method} /{path} HTTP/1.1",
        f"Host: {host}",
        f"Connection: {connection}",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        "",
        body,
    ]
    return "\r\n".join(lines).encode()


def processor_seconds(pid):
    """Time of processors that a process took."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    """Memory of a process that is in use."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


if __name__ == "__main__":
    main()
