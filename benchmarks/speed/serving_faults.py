"""Whether the endpoint keeps its promises in front of a server that fails.

    python -m benchmarks.speed.serving_faults [--queries N] [--at-a-time N]
        [--seconds S] [--faults SHARE] [--kill-after N] [--output DIR]

The faulty server of the tests runs in a process of its own, and the command ``adaalloc
serve`` in another, with a stream of budget 2 whose state is in a file. The server takes
`--seconds` for an answer. A share `--faults` of its replies is an error that passes
(429 with Retry-After, 503), one that does not (400), a lost connection, half an answer,
or late. After `--kill-after` answers the endpoint is killed with SIGKILL and started
again. Clients whose connection is lost then ask again.

`improper` counts replies that have neither OpenAI's form of an answer nor that of an
error, and connections that were lost at another time. `uncounted` is how many queries
that were answered before the endpoint was killed are missing in the state after it. The
memory is that of the second process after a fifth of all requests, and how much it is
more after all.
"""

import argparse
import asyncio
import json
import random
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.report import RESULTS, print_table, write_csv
from benchmarks.speed.serving import exchange, process, processor_seconds, resident_mib

ROOT = Path(__file__).resolve().parents[2]
BUDGET = 2
MOST_SAMPLES = 8
RATES = np.arange(1, 10) / 10  # success rates of samples, by query
LATE = 2.0  # seconds
ERRORS = (
    "refused_upstream",
    "upstream_busy",
    "upstream_error",
    "overloaded",
    "deadline_exceeded",
)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--at-a-time", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--faults", type=float, default=0.1)
    parser.add_argument("--kill-after", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=RESULTS / "speed")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        row = measure(Path(folder), options)
    print_table([row])
    write_csv([row], options.output / "serving_faults.csv")
    return row


def upstream(listening, seconds, share):
    """The faulty server; its answers are right as often as the rate of the query."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import faulty_server as faulty

    def late(handler, choices):
        time.sleep(LATE)
        handler.answer(choices)

    kinds = [
        faulty.status(429, Retry_After="1"),
        faulty.status(503),
        faulty.status(400, "refused"),
        faulty.drop,
        faulty.break_off,
        faulty.garble,
        faulty.spoil(finish_reason=None),
        late,
    ]

    def pick(number, body):
        drawn = random.Random(number)
        if drawn.random() < share:
            return drawn.choice(kinds)
        rate = rate_of(body["messages"][0]["content"])
        return right if drawn.random() < rate else wrong

    def say(text):
        def reply(handler, choices):
            time.sleep(seconds)
            handler.answer([{**choices[0], "message": {"content": text}}])

        return reply

    right, wrong = say("right"), say("wrong")
    server = faulty.FaultyServer(pick, faulty.count_all, True, ["m"])
    server.socket.close()
    server.socket = listening
    server.serve_forever()


def rate_of(query):
    """Success rate of samples of a query."""
    return RATES[int(query[1:]) % len(RATES)]


def is_right(queries, answers):
    """Reward function."""
    return [[float(text == "right") for text in row] for row in answers]


def measure(folder, options):
    """Send all requests, with the endpoint killed in between; what came of them."""
    save(folder / "policy")
    with process(upstream, options.seconds, options.faults) as (direct, _):
        endpoint = Endpoint(folder, direct, options.at_a_time)
        endpoint.start()
        try:
            return asyncio.run(_measure(endpoint, options))
        finally:
            endpoint.kill()


def save(path):
    """Fit a stream to queries whose texts tell nothing, and save it."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    from sklearn_adaalloc import RewardRegressor, StreamAllocator, save_policy

    queries = [f"q{i}" for i in range(2000)]
    rates = np.array([rate_of(query) for query in queries])
    drawn = np.random.default_rng(0).random((len(queries), MOST_SAMPLES))
    policy = make_pipeline(
        TfidfVectorizer(analyzer="char"),
        StreamAllocator(
            RewardRegressor(Ridge(alpha=100.0)), budget=BUDGET, random_state=0
        ),
    )
    rewards = (drawn < rates[:, None]).astype(float)
    save_policy(policy.fit(queries, rewards), path)


class Endpoint:
    """The command `serve` as a process that can be killed and started again."""

    def __init__(self, folder, upstream, at_a_time):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}/v1"
        self.process = None
        self.is_down = False
        self._command = [
            *(sys.executable, "-m", "sklearn_adaalloc", "serve", folder / "policy"),
            *("--upstream", upstream, "--model", "m", "--port", port),
            *("--reward", "benchmarks.speed.serving_faults:is_right"),
            *("--state", folder / "stream.sqlite"),
            *("--max-concurrency", 2 * at_a_time, "--timeout", 10),
        ]

    def start(self):
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(
            list(map(str, self._command)), cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        line = self.process.stderr.readline()
        if "answers at" not in line:
            raise RuntimeError(line)

    def kill(self):
        """End it without a warning."""
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


class Seen:
    """What clients saw."""

    def __init__(self):
        self.seconds, self.statuses, self.codes = [], [], Counter()
        self.samples = self.improper = self.lost = 0

    @property
    def n_counted(self):
        """Replies to queries that the stream has closed."""
        return len(self.statuses) - self.codes["overloaded"]

    def take(self, seconds, reply):
        """Count a reply: what `ask` returned."""
        status, headers, body = reply
        self.seconds.append(seconds)
        self.statuses.append(status)
        if status == 200 and is_answer(body):
            self.samples += body["adaalloc"]["samples"]
        elif status != 200 and is_error(status, headers, body):
            self.codes[body["error"]["code"]] += 1
        else:
            self.improper += 1


async def _measure(endpoint, options):
    seen, queries, memory = Seen(), iter(range(options.queries)), []
    to_be_killed = asyncio.Event()

    async def client():
        for query in queries:
            start = time.perf_counter()
            reply = await ask_until_it_replies(endpoint, query, seen)
            seen.take(time.perf_counter() - start, reply)
            if len(seen.seconds) == options.kill_after:
                to_be_killed.set()
            if len(seen.seconds) in (options.queries // 5, options.queries):
                memory.append(resident_mib(endpoint.process.pid))

    async def kill():
        await to_be_killed.wait()
        endpoint.is_down, n_answered = True, seen.n_counted
        await asyncio.to_thread(endpoint.kill)
        await asyncio.to_thread(endpoint.start)
        used = processor_seconds(endpoint.process.pid)
        n_counted, _ = await state_of(endpoint.address)
        await asyncio.sleep(1)  # who was refused has noticed it
        endpoint.is_down = False
        return max(n_answered - n_counted, 0), used, seen.n_counted

    start = time.perf_counter()
    killing = asyncio.create_task(kill())
    await asyncio.gather(*(client() for _ in range(options.at_a_time)))
    elapsed = time.perf_counter() - start
    uncounted, used, n_before = await killing
    used = processor_seconds(endpoint.process.pid) - used
    n_queries, spent = await state_of(endpoint.address)
    return {
        "queries": options.queries,
        "at_a_time": options.at_a_time,
        "upstream_s": options.seconds,
        "faults": options.faults,
        "answered": seen.statuses.count(200),
        **{code: seen.codes.pop(code, 0) for code in ERRORS},
        "other_errors": seen.codes.total(),
        "improper": seen.improper,
        "lost_when_killed": seen.lost,
        "uncounted": uncounted,
        "counted": n_queries,
        "budget": BUDGET,
        "spent_per_query": spent,
        "spent_ratio": spent / BUDGET,
        "samples_told": seen.samples,
        "per_second": options.queries / elapsed,
        "median_s": median(seen.seconds),
        "p99_s": float(np.quantile(seen.seconds, 0.99)),
        "cpu_ms": 1000 * used / (options.queries - n_before),
        "memory_mib": memory[0],
        "memory_growth_mib": memory[-1] - memory[0],
    }


async def ask_until_it_replies(endpoint, query, seen):
    """Ask, and ask again if the connection is lost; as clients do."""
    chat = [{"role": "user", "content": f"q{query}"}]
    body = json.dumps({"model": "m", "messages": chat})
    was_lost = False
    while True:
        try:
            text = await exchange(f"{endpoint.address}/chat/completions", "POST", body)
            head, _, content = text.partition("\r\n\r\n")
            status = int(head.split(" ", 2)[1])
            return status, head.lower(), json.loads(content)
        except (OSError, IndexError, ValueError):
            if not endpoint.is_down:
                seen.improper += 1
            elif not was_lost:
                seen.lost += 1
            was_lost = True
            await asyncio.sleep(0.5)


def is_answer(body):
    """Whether a body is an answer in OpenAI's form."""
    [choice] = body["choices"]
    return (
        body["object"] == "chat.completion"
        and choice["message"]["role"] == "assistant"
        and isinstance(choice["message"]["content"], str)
        and choice["finish_reason"] in ("stop", "length")
        and body["usage"]["total_tokens"] >= 0
    )


def is_error(status, head, body):
    """Whether a body is an error in OpenAI's form, and says when to come again."""
    is_to_come_again = status in (429, 502, 503)
    return (
        400 <= status < 600
        and set(body["error"]) == {"message", "type", "param", "code"}
        and (not is_to_come_again or re.search(r"^retry-after: \d+", head, re.M))
    )


async def state_of(address):
    """Queries that the stream has counted, and their mean spend."""
    text = await exchange(address.removesuffix("/v1") + "/metrics", "GET", "")
    return [
        float(re.search(rf"^adaalloc_{name} (\S+)$", text, re.M)[1])
        for name in ("stream_queries", "mean_cost")
    ]


if __name__ == "__main__":
    main()
