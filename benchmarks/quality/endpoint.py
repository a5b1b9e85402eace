"""Behind the endpoint: what the replay promised over equal budgets, and what came.

    python -m benchmarks.quality.endpoint [--train N] [--queries N] [--output DIR]

The weak and the strong embedded LM answer in the process of the endpoint; OpenAI's
client asks it over HTTP, eight queries at a time. Policies are streams. `one model` is
the weak LM on the math task, its budget a mean number of samples. `two models` is both
on the routing task, its budget a mean cost: an answer of the strong model costs five of
the weak. `delivered` grades the texts that clients got. `spend` is the mean of the
costs that replies name, and `spend_error` its standard error if queries were alike,
without a price that follows. `promised` is the replay of the same policy on the graded
table of the same queries, in several orders of its samples, and `promised_spend` what
that spends. `equal` is what equal budgets give on that table at the spend of the
endpoint: of one model, or of the better of two. `gain` is delivered over equal,
`promised_gain` the same for the replay, and `z` how many standard errors over queries,
paired, lie between the two. Writes `endpoint.csv`.
"""

import argparse
import asyncio
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import HiddenStateFeaturizer, RewardTable, StreamAllocator
from sklearn_adaalloc.curves._reward_curves import expected_rewards
from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
from sklearn_adaalloc.sampling import TransformersSampler
from sklearn_adaalloc.serving import create_app

PRICES = {"weak": 1, "strong": 5}
BUDGETS = {"one model": (2, 4), "two models": (4, 8, 12)}
N_SAMPLES = 16  # of each model in the tables
N_ORDERS = 5
AT_A_TIME = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=2000, help="queries to learn from")
    parser.add_argument("--queries", type=int, default=600, help="queries to ask")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    rows = []
    for name, budgets in BUDGETS.items():
        world = make_world(name, options.train, options.queries)
        rows += [policy_row(world, budget) for budget in budgets]
    print_table(rows)
    write_csv(rows, options.output / "endpoint.csv")


def make_world(name, n_train, n_queries):
    """Queries, tables, samplers, and a policy that learnt from the training half."""
    several = name == "two models"
    data = load_arithmetic("routing" if several else "math")
    samplers = {"weak": TransformersSampler(max_new_tokens=24)}
    parameters = {"budget": min(BUDGETS[name]), "random_state": 0}
    if several:
        samplers["strong"] = TransformersSampler(data.strong_model, max_new_tokens=24)
        parameters |= {"unit": "cost"}
    train = table_of(data.rewards_train[:n_train], several)
    policy = make_pipeline(HiddenStateFeaturizer(), StreamAllocator(**parameters))
    return Bunch(
        name=name,
        queries=data.queries_test[:n_queries],
        table=table_of(data.rewards_test[:n_queries], several),
        samplers=samplers,
        policy=policy.fit(data.queries_train[:n_train], train),
    )


def table_of(rewards, several):
    rewards = rewards[..., :N_SAMPLES]
    if not several:
        return RewardTable(rewards, decoders=["weak"])
    return RewardTable(rewards, costs=list(PRICES.values()), decoders=list(PRICES))


def policy_row(world, budget):
    """A policy at one budget: over HTTP, replayed, and equal budgets at its spend."""
    world.policy[-1].set_params(budget=budget)
    app = create_app(
        world.policy,
        world.samplers,
        grade_arithmetic,
        model="best",
        default_answer="",
        prices={name: PRICES[name] for name in world.samplers},
    )
    with running(app) as address:
        answers, costs = asyncio.run(ask_all(address, world.queries))
    graded = grade_arithmetic(world.queries, [[answer] for answer in answers])
    delivered = np.array([float(row[0]) for row in graded])
    promised, promised_spend = replayed(world)
    spend = float(np.mean(costs))
    gain = delivered - equal_budgets(world.table, spend)
    promised_gain = promised - equal_budgets(world.table, promised_spend)
    surprise = gain - promised_gain
    error = float(surprise.std(ddof=1) / np.sqrt(len(surprise)))
    return {
        "models": world.name,
        "queries": len(answers),
        "budget": budget,
        "spend": spend,
        "spend_error": float(np.std(costs, ddof=1) / np.sqrt(len(costs))),
        "promised_spend": promised_spend,
        "delivered": float(delivered.mean()),
        "promised": float(promised.mean()),
        "equal": float((delivered - gain).mean()),
        "gain": float(gain.mean()),
        "promised_gain": float(promised_gain.mean()),
        "error": error,
        "z": float(surprise.mean() / error),
    }


@contextmanager
def running(app):
    """Run an application on a free port of this machine; its address."""
    import uvicorn

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join()


async def ask_all(address, queries):
    """Answers that a client gets, and their costs, in the order of the queries."""
    import openai

    answers, costs = [None] * len(queries), [None] * len(queries)
    waiting = iter(enumerate(queries))

    async def ask_in_turn():
        for row, query in waiting:
            reply = await client.chat.completions.create(
                model="best", messages=[{"role": "user", "content": query}]
            )
            answers[row] = reply.choices[0].message.content
            # A query that is given up has no sample, and costs nothing.
            costs[row] = reply.adaalloc["cost"] or 0.0

    async with openai.AsyncOpenAI(base_url=address, api_key="-") as client:
        await asyncio.gather(*(ask_in_turn() for _ in range(AT_A_TIME)))
    return answers, costs


def replayed(world):
    """Reward of each query and mean spend, the mean over orders of the samples."""
    X = world.policy[:-1].transform(world.queries)
    allocator, table = world.policy[-1], world.table
    rewards, spends = [], []
    for order in range(N_ORDERS):
        random = np.random.default_rng(order)
        drawn = np.argsort(random.random(table.shape), axis=-1)
        shuffled = np.take_along_axis(table.rewards, drawn, axis=-1)
        costs = None if table.costs is None else list(PRICES.values())
        again = RewardTable(shuffled, costs=costs, decoders=table.decoders)
        budgets, spent = allocator._replay(X, again, n_open=AT_A_TIME)
        taken = np.arange(shuffled.shape[-1]) < budgets[..., None]
        rewards.append((shuffled * taken).reshape(len(budgets), -1).max(axis=1))
        spends.append(spent.mean())
    return np.mean(rewards, axis=0), float(np.mean(spends))


def equal_budgets(table, spend):
    """Expected reward of each query if all get as much, of the better model."""
    if table.rewards.ndim == 2:
        return curve_at(table.rewards, spend)
    each = [
        curve_at(table.rewards[:, decoder], spend / price)
        for decoder, price in enumerate(PRICES.values())
    ]
    return max(each, key=np.mean)


def curve_at(rewards, budget):
    """Expected best of a number of samples that may be fractional."""
    below = int(budget)
    low, high = (
        expected_rewards(rewards, np.full(len(rewards), whole))
        for whole in (below, below + 1)
    )
    return low + (budget - below) * (high - low)


if __name__ == "__main__":
    main()
