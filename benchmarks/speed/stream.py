"""How fast a stream decides, and that nothing is lost or spent too much under load.

    python -m benchmarks.speed.stream [--quick] [--output DIR]

Prints and writes `stream.csv`, one figure a row, with what was asked and what bounds
it. On simulated queries, on one thread:

- one decision: `start` and the first `ask` of a query, prediction included, median and
  99th percentile; one decoder with curves that are known and with an MLP, and a menu of
  three decoders with costs;
- decisions a second with the price in an SQLite file. A query that is asked for
  samples, and one that is told to stop, are a decision each; their samples are drawn
  and told in the same loop. Queries arrive alone or several together;
- four processes with one file: closings, and whether the spend is exact;
- one of two processes is killed: what the stream then misses, against the queries that
  it had open;
- queries with 1,000 in flight whose verifier fails more and more: the largest number of
  samples in any window, against the cap.

`load` is the mean number of processes that ran or waited in the last minute: above the
number of processors, times are longer than the stream makes them. `--quick` has tenfold
fewer queries.
"""

import argparse
import multiprocessing
import os
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator
from threadpoolctl import threadpool_limits

from benchmarks.report import RESULTS, print_table, write_csv
from benchmarks.speed.allocate import processor
from sklearn_adaalloc import MLPRewardRegressor, RewardTable, StreamAllocator
from sklearn_adaalloc.datasets import make_reward_table

BUDGET, N_SAMPLES = 4, 32
N_PROCESSES = 4
IN_FLIGHT, TOGETHER = 1000, 50
CAP, CAP_WINDOW = 4.5, 1000


class KnownCurves(RegressorMixin, BaseEstimator):
    """Takes the first feature for the success rate of a query."""

    def fit(self, X, y):
        """Learn nothing."""
        self.n_features_in_ = X.shape[1]
        return self

    def predict_marginals(self, X, max_budget):
        """Marginal rewards of independent samples."""
        rates = np.asarray(X)[:, :1]
        return rates * (1 - rates) ** np.arange(max_budget)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ten times fewer queries")
    parser.add_argument("--output", type=Path, default=RESULTS / "speed")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    print(f"{processor()}, numpy {np.__version__}, one thread a process")
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        rows = [*decision_rows()]
        rows += shared_rows(Path(folder), 20_000 // scale)
        rows += process_rows(Path(folder), 100_000 // scale)
        rows += killed_rows(Path(folder))
        rows += cap_rows(100_000 // scale)
    print_table(rows)
    write_csv(rows, options.output / "stream.csv")


def row(what, asked, measured, unit, bound=""):
    return {
        "what": what,
        "asked": asked,
        "measured": float(measured),
        "unit": unit,
        "bound": bound,
        "load": os.getloadavg()[0],
    }


# --- one decision ----------------------------------------------------------------


def decision_rows():
    """Time of a first decision by three policies."""
    for name, policy, X in policies():
        stream, times = policy.open(), []
        for x in X[:1000]:
            begin = time.perf_counter(), time.thread_time()
            session = stream.start(x)
            session.ask()
            end = time.perf_counter(), time.thread_time()
            times.append(np.subtract(end, begin))
            session.close()
        what, times = f"one decision, {name}", 1000 * np.array(times[100:])
        (median, own), (slow, _) = np.quantile(times, [0.5, 0.99], axis=0)
        yield row(f"{what}: median", "< 1", median, "ms")
        yield row(f"{what}: median of processor time", "< 1", own, "ms")
        yield row(f"{what}: 99th percentile", "", slow, "ms")


def policies():
    """Yield a name, a fitted policy, and queries."""
    rates, rewards = simulated(1000)
    yield "curves known", known_policy(rates, rewards), rates
    X, rewards = make_reward_table(1000, N_SAMPLES, random_state=0, return_X_y=True)
    mlp = MLPRewardRegressor(max_epochs=50, random_state=0)
    yield "MLP", StreamAllocator(mlp, budget=BUDGET, random_state=0).fit(X, rewards), X
    mlp = MLPRewardRegressor("rate_profiles", max_epochs=50, random_state=0)
    policy = StreamAllocator(mlp, budget=BUDGET, unit="cost", random_state=0)
    rng = np.random.default_rng(1)
    better = np.maximum(rewards, rng.random(rewards.shape) < 0.2)
    best = np.maximum(better, rng.random(rewards.shape) < 0.3)
    table = RewardTable(
        np.stack([rewards, better, best], axis=1), costs=[1.0, 2.0, 5.0]
    )
    yield "menu of three decoders, MLP", policy.fit(X, table), X


def simulated(n_queries, seed=0):
    """Success rates (n_queries, 1) and samples of queries."""
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.6, 1.2, (n_queries, 1))
    return rates, (rng.random((n_queries, N_SAMPLES)) < rates) * 1.0


def known_policy(rates, rewards, **params):
    frozen = FrozenEstimator(KnownCurves().fit(rates, rewards))
    return StreamAllocator(frozen, budget=BUDGET, **params).fit(rates, rewards)


# --- one file, one process -------------------------------------------------------


def shared_rows(folder, n_queries):
    """Decisions a second with the price in a file."""
    policy = known_policy(*simulated(1000))
    rates, rewards = simulated(n_queries, seed=1)
    for together in (1, 10, TOGETHER):
        path = folder / f"alone_{together}.sqlite"
        size = n_queries * together // TOGETHER
        with policy.open(path=path) as stream:
            begin = time.perf_counter()
            n_decisions, _ = serve(stream, rates[:size], rewards[:size], together)
            seconds = time.perf_counter() - begin
        yield row(
            f"decisions a second, shared price, {together} queries together",
            ">= 10,000" if together == TOGETHER else "",
            n_decisions / seconds,
            "1/s",
            "two transactions for each start(X), whatever the number of queries",
        )
    state = folder / "state.json"
    with policy.open(path=path) as stream:
        stream.save(state)
        transactions = 200
        begin = time.perf_counter()
        for _ in range(transactions):
            stream._state.update(lambda state: (state, None))
        each = (time.perf_counter() - begin) / transactions
    yield row("one transaction", "", 1e6 * each, "us", "a write of 2 pages of 4 KB")
    yield row("state of a stream", "", state.stat().st_size, "bytes")


def serve(stream, rates, rewards, together):
    """Number of decisions, and samples taken."""
    n_decisions = n_taken = 0
    for begin in range(0, len(rates), together):
        part = slice(begin, begin + together)
        with stream.start(rates[part]) as session:
            open_queries = len(rewards[part])
            while (asked := session.ask()) is not None:
                n_decisions += open_queries
                open_queries = np.count_nonzero(asked)
                session.tell(next_samples(session, asked, rewards[part]))
            n_decisions += open_queries
        n_taken += int(session.budgets.sum())
    return n_decisions, n_taken


def next_samples(session, asked, rewards):
    """The samples of each query that follow those that it had."""
    columns = np.arange(asked.max())
    place = np.minimum(session.budgets[:, None] + columns, rewards.shape[1] - 1)
    samples = np.take_along_axis(rewards, place, axis=1)
    return np.where(columns < asked[:, None], samples, np.nan)


# --- one file, several processes -------------------------------------------------


def process_rows(folder, n_queries):
    """Closings of four processes, and whether each was counted."""
    policy, path = known_policy(*simulated(1000)), folder / "four.sqlite"
    context = multiprocessing.get_context("spawn")
    taken = context.SimpleQueue()
    share = n_queries // N_PROCESSES
    workers = [
        context.Process(target=serve_share, args=(policy, path, share, number, taken))
        for number in range(N_PROCESSES)
    ]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    total = sum(taken.get() for _ in workers)
    seconds = time.perf_counter() - begin
    for worker in workers:
        worker.join()
    with policy.open(path=path) as stream:
        state = stream._state.read()
    what = f"{N_PROCESSES} processes, {n_queries} closings"
    yield row(f"{what}: closings lost", "0", n_queries - state.n_queries, "")
    yield row(f"{what}: samples counted wrong", "0", state.spent - total, "")
    yield row(f"{what}: mean spend / budget", "", total / n_queries / BUDGET, "")
    yield row(f"{what}: time, with starting processes", "", seconds, "s")


def serve_share(policy, path, n_queries, number, taken):
    with threadpool_limits(1), policy.open(path=path) as stream:
        taken.put(serve(stream, *simulated(n_queries, seed=2 + number), TOGETHER)[1])


def killed_rows(folder, n_open=50):
    """A process is killed with queries open: none of its closed ones is lost."""
    policy, path = known_policy(*simulated(1000)), folder / "killed.sqlite"
    context = multiprocessing.get_context("spawn")
    closed = context.SimpleQueue()
    worker = context.Process(target=serve_for_ever, args=(policy, path, n_open, closed))
    worker.start()
    rates, rewards = simulated(500, seed=9)
    spent = closed.get()  # it has started
    with policy.open(path=path) as stream:
        spent += serve(stream, rates, rewards, 1)[1]
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        n_closed = 1
        while not closed.empty():
            spent += closed.get()
            n_closed += 1
        state = stream._state.read()
    what = f"a process killed with {n_open} queries open"
    missed = n_closed + 500 - state.n_queries
    yield row(f"{what}: closed queries lost", "0", max(missed, 0), "")
    yield row(f"{what}: samples lost", "0", max(spent - state.spent, 0.0), "")
    started = state.n_started - state.n_queries
    yield row(f"{what}: queries never closed", f"<= {n_open + 1}", started, "")


def serve_for_ever(policy, path, n_open, closed):
    stream = policy.open(path=path)
    rates, rewards = simulated(1000, seed=8)
    waiting = [stream.start(x) for x in rates[:n_open]]
    while waiting:
        for x, samples in zip(rates, rewards, strict=True):
            closed.put(serve(stream, x[None], samples[None], 1)[1])


# --- the cap ---------------------------------------------------------------------


def cap_rows(n_queries):
    """Samples of the fullest window, of many queries in flight."""
    policy = known_policy(*simulated(1000), cap=CAP, cap_window=CAP_WINDOW)
    rates, rewards = simulated(n_queries, seed=3)
    rng = np.random.default_rng(4)
    rewards *= rng.random(rewards.shape) < np.linspace(1, 0, n_queries)[:, None]
    stream, budgets = policy.open(), np.zeros(n_queries, dtype=int)
    arriving, active = iter(range(0, n_queries, TOGETHER)), []
    begin = time.perf_counter()
    while True:
        while len(active) < IN_FLIGHT // TOGETHER:
            if (first := next(arriving, None)) is None:
                break
            part = slice(first, first + TOGETHER)
            active.append((part, stream.start(rates[part])))
        if not active:
            break
        place = rng.integers(len(active))
        part, session = active[place]
        if (asked := session.ask()) is None:
            budgets[part] = session.budgets
            session.close()
            active[place] = active[-1]
            active.pop()
        else:
            session.tell(next_samples(session, asked, rewards[part]))
    seconds = time.perf_counter() - begin
    fullest = budgets.reshape(-1, CAP_WINDOW).sum(axis=1).max()
    what = f"{n_queries} queries, {IN_FLIGHT} in flight"
    yield row(
        f"{what}: samples of the fullest window",
        f"<= {CAP * CAP_WINDOW:.0f}",
        fullest,
        "samples",
    )
    yield row(f"{what}: time", "", seconds, "s")


if __name__ == "__main__":
    main()
