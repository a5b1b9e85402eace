"""Time and memory of budgets on a cluster, against one process that has all rows.

    python -m benchmarks.scale.budgets [--rows 1e5 1e6 1e7] [--workers 1 2 4]

Features are ready vectors of 16 numbers, the regressor is linear, and a query gets up
to 16 samples. `predict_budgets` reads a Ray data set and writes budgets to Parquet. One
NumPy process has the same features in memory, predicts and allocates. Each run is a
process of its own, with a cluster of its own. Prints the rows, and writes them to
`budgets.csv`: seconds, the ratio to one process, and the largest memory of the driver.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import RESULTS, print_table, write_csv

N_FEATURES, MAX_BUDGET, BUDGET = 16, 16, 4.0
BLOCK = 10**5  # rows made at a time


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=float, nargs="+", default=[1e5, 1e6, 1e7])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--output", type=Path, default=RESULTS / "scale")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(**options.one)))
        return
    rows = []
    for n_rows in map(int, options.rows):
        alone = run_alone({"n_rows": n_rows, "n_workers": 0})
        for n_workers in options.workers:
            found = run_alone({"n_rows": n_rows, "n_workers": n_workers})
            assert found["n_samples"] == alone["n_samples"]
            rows.append(
                {
                    "rows": n_rows,
                    "workers": n_workers,
                    "seconds": found["seconds"],
                    "one process": alone["seconds"],
                    "ratio": found["seconds"] / alone["seconds"],
                    "seconds per 1e6 rows": found["seconds"] / n_rows * 1e6,
                    "features": found["predicting"],
                    "allocating": found["seconds"] - found["predicting"],
                    "driver MB": found["megabytes"],
                }
            )
    print_table(rows)
    write_csv(rows, options.output / "budgets.csv")


def run_alone(settings):
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale.budgets", "--one"]
    done = subprocess.run(
        [*command, json.dumps(settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(n_rows, n_workers):
    """Seconds, samples, and the largest memory of this process in megabytes."""
    policy = make_policy()
    if n_workers == 0:
        X = np.concatenate([features(each)["query"] for each in starts(n_rows)])
        X = X[:n_rows]
        start = time.perf_counter()
        budgets = policy.predict(X)
        seconds, n_samples, predicting = time.perf_counter() - start, budgets.sum(), 0
    else:
        seconds, predicting, n_samples = on_cluster(policy, n_rows, n_workers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": seconds,
        "predicting": predicting,
        "n_samples": int(n_samples),
        "megabytes": peak,
    }


def on_cluster(policy, n_rows, n_workers):
    """Seconds of all and of predictions alone, and the number of samples."""
    import ray

    from sklearn_adaalloc.distributed import _budgets, predict_budgets

    ray.init(num_cpus=n_workers + 1, include_dashboard=False, logging_level="ERROR")
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        dataset = ray.data.range(n_rows, override_num_blocks=max(n_rows // BLOCK, 1))
        dataset = dataset.map_batches(_as_features, batch_size=BLOCK).materialize()
        warm = dataset.limit(1000)
        predict_budgets(policy, warm, concurrency=n_workers).materialize()
        times = []
        in_order = _budgets._in_order

        def timed(predicted):
            found = in_order(predicted)
            times.append(time.perf_counter())
            return found

        _budgets._in_order = timed
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            result = predict_budgets(
                policy,
                dataset,
                budget=BUDGET,
                keep=["id"],
                batch_size=BLOCK // 4,
                concurrency=n_workers,
            )
            result.write_parquet(folder)
            seconds = time.perf_counter() - start
        return seconds, times[0] - start, result.sum("budget")
    finally:
        ray.shutdown()


def make_policy():
    """A linear policy, fitted on few queries."""
    from sklearn.linear_model import Ridge

    from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor

    X = features(0)["query"][:1000]
    ease = 1 / (1 + np.exp(-X @ np.linspace(1, -1, N_FEATURES) + 1))
    draws = np.random.default_rng(0).random((len(X), MAX_BUDGET))
    policy = AdaptiveAllocator(RewardRegressor(Ridge()), budget=BUDGET)
    return policy.fit(X, (draws < ease[:, None]).astype(float))


def starts(n_rows):
    """First rows of the blocks in which features are made."""
    return range(0, n_rows, BLOCK)


def features(start):
    """A block of rows: their numbers, and their features."""
    rng = np.random.default_rng(start)
    numbers = np.arange(start, start + BLOCK)
    return {"id": numbers, "query": rng.normal(size=(BLOCK, N_FEATURES))}


def _as_features(batch):
    block = features(int(batch["id"][0]))
    return {name: values[: len(batch["id"])] for name, values in block.items()}


if __name__ == "__main__":
    main()
