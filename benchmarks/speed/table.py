"""A large RewardTable with costs and scores, against the plain array of its rewards.

    python -m benchmarks.speed.table [--queries N] [--samples N]

Prints the seconds to check it and to take half of its rows, as ratios to the same for
the plain array, and the bytes that it holds. The bound of both is memory traffic: each
array is read once to be checked, and read and written once to take rows.
"""

import argparse
import tracemalloc
from time import perf_counter

import numpy as np

from benchmarks.report import print_table
from sklearn_adaalloc import RewardTable
from sklearn_adaalloc.curves._table import as_table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=64)
    options = parser.parse_args()
    shape = options.queries, options.samples
    draw = np.random.default_rng(0)
    rewards = (draw.random(shape) < 0.5).astype(np.float64)
    costs, scores = draw.random(shape) + 0.5, draw.random(shape)
    rows = draw.permutation(shape[0])[: shape[0] // 2]
    as_table(rewards[:1000])
    plain = seconds(lambda: as_table(rewards)), seconds(lambda: rewards[rows])
    tracemalloc.start()
    table = RewardTable(rewards, costs=costs, scores=scores)
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    full = (
        seconds(lambda: RewardTable(rewards, costs=costs, scores=scores)),
        seconds(lambda: table[rows]),
    )
    print_table(
        [
            {"what": "check", "plain": plain[0], "table": full[0]},
            {"what": "half of the rows", "plain": plain[1], "table": full[1]},
        ]
    )
    print(f"ratios {full[0] / plain[0]:.2f} and {full[1] / plain[1]:.2f}")
    print(
        f"beyond the arrays given: {held / rewards.nbytes:.2f} times the rewards held, "
        f"{most / rewards.nbytes:.2f} at most"
    )


def seconds(function, n_times=7):
    """Least time of some calls."""
    times = []
    for _ in range(n_times):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
