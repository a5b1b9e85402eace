"""What the endpoint adds to a server, and whether it keeps its budget under load.

    python -m benchmarks.speed.serving [--queries N] [--at-a-time N] [--seconds S]
                                       [--output DIR]

A server in a process of its own takes `--seconds` for an answer, which is right half of
the time. It is asked directly, and by an endpoint in a third process: once with a
policy that always takes one sample, once with a stream of budget 2. All in one run,
with the same load. Policies read no features. `cpu_ms` is the time of a processor that
the endpoint takes for a request. The memory is that of its process after a fifth of the
requests, and how much it is more after all.
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
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.report import RESULTS, print_table, write_csv

BUDGET = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--at-a-time", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--output", type=Path, default=RESULTS / "speed")
    options = parser.parse_args()
    with process(upstream, options.seconds) as (direct, _):
        rows = [measure("direct", direct, None, options)]
        for name in ("one sample", "stream"):
            with process(endpoint, direct, name) as (address, pid):
                rows.append(measure(name, address, pid, options))
    for row in rows:
        row["throughput_ratio"] = row["per_second"] / rows[0]["per_second"]
        row["added_ms"] = 1000 * (row["median_s"] - rows[0]["median_s"])
    print_table(rows)
    write_csv(rows, options.output / "serving.csv")


def upstream(listening, seconds):
    """A server whose answers are right half of the time."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def complete(request):
        await request.body()
        await asyncio.sleep(seconds)
        message = {"role": "assistant", "content": random.choice(["right", "wrong"])}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
        return JSONResponse({"choices": [choice], "usage": usage})

    route = Route("/v1/chat/completions", complete, methods=["POST"])
    run(Starlette(routes=[route]), listening)


def endpoint(listening, address, name):
    """The endpoint, with a policy of this name."""
    from sklearn.dummy import DummyRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    from sklearn_adaalloc import RewardRegressor, StreamAllocator
    from sklearn_adaalloc.sampling import OpenAISampler
    from sklearn_adaalloc.serving import create_app

    n_samples, budget = {"one sample": (1, 1), "stream": (8, BUDGET)}[name]
    rewards = np.random.default_rng(0).random((2000, n_samples)) < 0.5
    least = int(name == "one sample")
    policy = make_pipeline(
        FunctionTransformer(_no_features),
        StreamAllocator(
            RewardRegressor(DummyRegressor()),
            budget=budget,
            min_budget=least,
            random_state=0,
        ),
    ).fit(["q"] * 2000, rewards.astype(float))
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


def measure(name, address, pid, options):
    """Send all requests; a row of what came of them."""
    return asyncio.run(_measure(name, address, pid, options))


async def _measure(name, address, pid, options):
    seconds, statuses, memory = [], [], []
    queries = iter(range(options.queries))

    async def client():
        for query in queries:
            start = time.perf_counter()
            statuses.append(await ask(address, query))
            seconds.append(time.perf_counter() - start)
            if pid and len(seconds) in (options.queries // 5, options.queries):
                memory.append(resident_mib(pid))

    await ask(address, -1)  # the server is up, its connections are not yet
    before = processor_seconds(pid) if pid else 0.0
    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(options.at_a_time)))
    elapsed = time.perf_counter() - start
    row = {
        "policy": name,
        "queries": options.queries,
        "at_a_time": options.at_a_time,
        "upstream_s": options.seconds,
        "answered": statuses.count(200),
        "per_second": options.queries / elapsed,
        "median_s": median(seconds),
        "spent_per_query": 1.0,
        "cpu_ms": "",
        "memory_mib": "",
        "memory_growth_mib": "",
    }
    if pid:
        text = await exchange(address.removesuffix("/v1") + "/metrics", "GET", "")
        [spent] = re.findall(r"^adaalloc_mean_cost (\S+)$", text, re.M)
        row["spent_per_query"] = float(spent)
        used = processor_seconds(pid) - before
        row["cpu_ms"] = 1000 * used / options.queries
        row["memory_mib"], row["memory_growth_mib"] = memory[0], memory[-1] - memory[0]
    return row


async def ask(address, query):
    """Post a chat on a connection of its own, and return the status."""
    content = {"model": "m", "messages": [{"role": "user", "content": f"q{query}"}]}
    body = json.dumps(content)
    head = await exchange(f"{address}/chat/completions", "POST", body)
    return int(head.split(" ", 2)[1])


async def exchange(url, method, body):
    """Send a request on a connection of its own; the whole reply as a text."""
    _, _, host, path = url.split("/", 3)
    name, port = host.split(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    lines = [f"{method} /{path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        "",
        body,
    ]
    writer.write("\r\n".join(lines).encode())
    text = (await reader.read()).decode()
    writer.close()
    return text


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
