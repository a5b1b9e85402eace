"""How fast budgets are split and scored, as ratios within one run on one thread.

    python -m benchmarks.speed.allocate [--quick] [--output DIR]

Prints what was asked, what was measured and what bounds it from below, and writes
`allocate.csv`, `allocate_scaling.csv` and `allocate_scaling.png`. Every ratio is the
best of several runs over the best of several runs, taken in turns. `--quick` shrinks
the problems tenfold to see that all works: fixed costs then weigh more.
"""

import argparse
import csv
import heapq
import itertools
import math
import os
import platform
import time
import tracemalloc
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from sklearn_adaalloc.planning._solvers import allocate, allocation_path

MAX_BUDGET = 64
BUDGET = 8.0
OUTPUT = Path(__file__).parents[1] / "results" / "speed"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ten times smaller")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help="default: %(default)s"
    )
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    options.output.mkdir(parents=True, exist_ok=True)
    print(f"{processor()}, numpy {np.__version__}, one thread")
    with threadpool_limits(1):
        rows = []
        measures = (marginals_rows, greedy_rows, curve_rows, score_rows)
        for row in itertools.chain.from_iterable(
            measure(scale) for measure in measures
        ):
            rows.append(row)
            print_row(row)
        scaling = list(scaling_rows(scale))
    rows += slope_rows(scaling)
    for row in rows[-2:]:
        print_row(row)
    write_csv(options.output / "allocate.csv", rows)
    write_csv(options.output / "allocate_scaling.csv", scaling)
    plot_scaling(options.output / "allocate_scaling.png", scaling)


def marginals_rows(scale):
    """Measure a million queries by 64 steps against one sum over the same array."""
    n_queries = 10**6 // scale
    marginals = make_marginals(n_queries)
    size = f"{n_queries:.0e} x {MAX_BUDGET} float32"
    megabytes = marginals.nbytes / 1e6
    ours, total, partition = race(
        lambda: allocate(marginals, BUDGET),
        marginals.sum,
        lambda: np.partition(marginals, -int(BUDGET * n_queries), axis=None),
    )
    yield {
        "what": f"allocate {size} / numpy.sum",
        "asked": "<= 10",
        "measured": ours / total,
        "seconds": ours,
        "bound": f"1: every entry has to be seen, {megabytes:.0f} MB. Read twice "
        "(check and select, count), 9 vector operations per entry",
    }
    yield {
        "what": f"numpy.partition {size} / numpy.sum",
        "asked": "",
        "measured": partition / total,
        "seconds": partition,
        "bound": "for comparison: it finds the price alone, and copies the array",
    }
    yield {
        "what": f"allocate {size}: peak extra memory / array",
        "asked": "<= 1",
        "measured": peak_memory(lambda: allocate(marginals, BUDGET)) / marginals.nbytes,
        "seconds": math.nan,
        "bound": f"{8 * n_queries / marginals.nbytes:.2f}: the budgets, int64",
    }


def greedy_rows(scale):
    """Measure against the textbook greedy: a heap of each query's next marginal."""
    n_queries = 10**5 // scale
    marginals = make_marginals(n_queries)
    budgets = []
    (greedy,) = race(lambda: budgets.append(heap_greedy(marginals)), repeats=1)
    (ours,) = race(lambda: allocate(marginals, BUDGET), repeats=20)
    if not np.array_equal(budgets[0], allocate(marginals, BUDGET)[0]):
        raise AssertionError("allocate and the heap greedy differ")
    n_pops = int(BUDGET * n_queries)
    yield {
        "what": f"heap greedy {n_queries:.0e} x {MAX_BUDGET} / allocate, equal budgets",
        "asked": ">= 100",
        "measured": greedy / ours,
        "seconds": ours,
        "bound": f"{n_pops:.0e} pops of about {math.log2(n_queries):.0f} comparisons "
        f"against {2 * marginals.nbytes / 1e6:.0f} MB read in order",
    }


def curve_rows(scale):
    """Measure the reward at every budget at once against its sort, and one by one."""
    from sklearn_adaalloc.metrics import budget_curve, expected_reward_score

    rewards = make_rewards(5000 // scale)
    marginals = make_marginals(len(rewards))[:, : rewards.shape[1]].astype(np.float64)
    spend, reward = budget_curve(rewards, marginals)

    def at_one_budget():
        return expected_reward_score(rewards, allocate(marginals, BUDGET)[0])

    at = int(BUDGET * len(rewards))
    if not math.isclose(reward[at], at_one_budget(), rel_tol=1e-9):
        raise AssertionError("the curve and the score at one budget differ")
    curve, sort, one = race(
        lambda: budget_curve(rewards, marginals),
        lambda: allocation_path(marginals),
        at_one_budget,
    )
    yield {
        "what": f"budget_curve, {len(spend):.1e} budgets / its one sort",
        "asked": "one sort",
        "measured": curve / sort,
        "seconds": curve,
        "bound": f"1: a stable sort of {marginals.size:.1e} marginals. Then gathers "
        "and a cumulative sum",
    }
    yield {
        "what": "allocate and score budget by budget / budget_curve",
        "asked": "",
        "measured": one * len(spend) / curve,
        "seconds": one * len(spend),
        "bound": "extrapolated from one budget",
    }


def score_rows(scale):
    """Measure exact expected rewards against a bootstrap with 1,000 draws."""
    from sklearn_adaalloc.metrics import bootstrap_scorer, expected_reward_score

    rewards = make_rewards(5000 // scale)
    budgets, _ = allocate(make_marginals(len(rewards)), BUDGET)
    budgets = np.clip(budgets, 1, rewards.shape[1])
    policy, scorer = FixedBudgets(budgets), bootstrap_scorer()
    means = []
    (bootstrap,) = race(lambda: means.append(draw_means(rewards, budgets)), repeats=1)
    unbiased, exact = race(
        lambda: expected_reward_score(rewards, budgets),
        lambda: scorer(policy, rewards, rewards),
        repeats=20,
    )
    error = abs(np.mean(means[0]) - scorer(policy, rewards, rewards))
    if error > 4 * np.std(means[0]) / math.sqrt(1000):
        raise AssertionError("the bootstrap and the exact mean differ")
    draws, sums = 1000 * budgets.sum(), rewards.size
    bound = (
        f"{draws:.0e} random draws against sorting {sums:.1e} rewards and as many "
        "multiplications"
    )
    for name, seconds in (
        ("bootstrap_scorer(), the same mean", exact),
        ("expected_reward_score, unbiased", unbiased),
    ):
        yield {
            "what": f"bootstrap of 1,000 draws / {name}",
            "asked": ">= 100",
            "measured": bootstrap / seconds,
            "seconds": seconds,
            "bound": bound,
        }


def scaling_rows(scale):
    """Time each solver, and what it is measured against, over n."""
    exponents = np.arange(4, 7.01 - math.log10(scale), 0.5)
    for n_queries in (10**exponents).astype(int):
        marginals = make_marginals(n_queries)
        runs = {
            "allocate": lambda m=marginals: allocate(m, BUDGET),
            "numpy.sum of the marginals": marginals.sum,
        }
        seconds = race(*runs.values(), repeats=max(3, 10**6 // n_queries))
        timed = dict(zip(runs, seconds, strict=True))
        if n_queries <= 10**5:
            (timed["heap greedy"],) = race(
                lambda m=marginals: heap_greedy(m), repeats=1
            )
        if n_queries <= 10**6:
            k = int(BUDGET * n_queries)
            (timed["numpy.partition of the marginals"],) = race(
                lambda m=marginals, k=k: np.partition(m, -k, axis=None), repeats=1
            )
        for name, second in timed.items():
            yield {
                "what": name,
                "n_queries": n_queries,
                "seconds": second,
                "ns_per_query": 1e9 * second / n_queries,
            }


def slope_rows(scaling):
    """Fit slopes of log time over log n: linear time has slope 1."""
    for name in ("allocate",):
        points = [(r["n_queries"], r["seconds"]) for r in scaling if r["what"] == name]
        n_queries, seconds = np.log10(points).T
        yield {
            "what": f"{name}: slope of log time over log n",
            "asked": "straight",
            "measured": np.polyfit(n_queries, seconds, 1)[0],
            "seconds": 10 ** seconds[-1],
            "bound": f"1: linear, over n from 1e4 to 1e{n_queries[-1]:.0f}",
        }


def make_rates(n_queries):
    """Draw success rates, many of them low, as in the MATH tables."""
    return np.random.default_rng(0).beta(0.5, 1.5, n_queries)


def make_marginals(n_queries):
    """Compute the marginals of those rates, non-increasing in float32 too."""
    rates = make_rates(n_queries).astype(np.float32)
    marginals = np.empty((n_queries, MAX_BUDGET), dtype=np.float32)
    for start in range(0, n_queries, 1000):
        block, rate = marginals[start : start + 1000], rates[start : start + 1000, None]
        block[:, :1], block[:, 1:] = rate, 1 - rate
        np.multiply.accumulate(block, axis=1, out=block)
    return marginals


def make_rewards(n_queries, n_samples=50):
    """Draw a table of 0/1 rewards at those rates."""
    draws = np.random.default_rng(1).random((n_queries, n_samples))
    return (draws < make_rates(n_queries)[:, None]).astype(np.float64)


def heap_greedy(marginals):
    """Buy the largest next marginal, again and again; ties as in `allocate`."""
    rows = marginals.tolist()
    budgets = [0] * len(rows)
    heap = [(-row[0], 0, query) for query, row in enumerate(rows) if row[0] > 0]
    heapq.heapify(heap)
    for _ in range(int(BUDGET * len(rows))):
        if not heap:
            break
        _, step, query = heap[0]
        budgets[query] = step + 1
        if step + 1 < MAX_BUDGET and rows[query][step + 1] > 0:
            heapq.heapreplace(heap, (-rows[query][step + 1], step + 1, query))
        else:
            heapq.heappop(heap)
    return np.array(budgets)


def draw_means(rewards, budgets, n_draws=1000):
    """Bootstrap: draw each query's samples, at least one, keep the best, average."""
    rng = np.random.default_rng(2)
    query = np.repeat(np.arange(len(rewards)), budgets)
    starts = np.cumsum(budgets) - budgets
    means = np.empty(n_draws)
    for i in range(n_draws):
        drawn = rewards[query, rng.integers(rewards.shape[1], size=len(query))]
        means[i] = np.maximum.reduceat(drawn, starts).mean()
    return means


class FixedBudgets(BaseEstimator):
    """A policy whose budgets are known, to hand to a scorer."""

    def __init__(self, budgets):
        self.budgets = budgets

    def predict(self, X):
        """Return the budgets, whatever the queries."""
        return self.budgets


def race(*functions, repeats=5):
    """Best seconds of each function, run in turns so that all meet the same noise."""
    seconds = np.full(len(functions), np.inf)
    for _ in range(repeats):
        for i, function in enumerate(functions):
            start = time.perf_counter()
            function()
            seconds[i] = min(seconds[i], time.perf_counter() - start)
    return seconds


def peak_memory(function):
    """Peak of the memory a call allocates beside its arguments, in bytes."""
    tracemalloc.start()
    function()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def processor():
    """Name of the processor, as far as the system tells."""
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":")[1].strip() for line in lines if "model name" in line]
        return names[0] if names else platform.machine()
    return platform.processor() or platform.machine()


def print_row(row):
    print(f"\n{row['what']}")
    print(f"    asked {row['asked'] or '-':<10} measured {row['measured']:.3g}")
    print(f"    bound {row['bound']}", flush=True)


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}
            )
    print(f"\nwrote {path.name}")


def plot_scaling(path, scaling):
    """Time against n, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 5), layout="constrained")
    names = list(dict.fromkeys(row["what"] for row in scaling))
    for name in names:
        rows = [row for row in scaling if row["what"] == name]
        ours = name.startswith("allocate")
        axes.loglog(
            [row["n_queries"] for row in rows],
            [row["seconds"] for row in rows],
            marker="o",
            linewidth=2.5 if ours else 1,
            linestyle="-" if ours else "--",
            label=name,
        )
    axes.set(
        xlabel="number of queries n",
        ylabel="seconds, one thread",
        title=f"Allocating {BUDGET:g} samples per query, at most {MAX_BUDGET} each",
    )
    axes.grid(which="major", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
