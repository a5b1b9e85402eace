"""Time and memory of budgets on a cluster, against one process that has all rows.

    python -m benchmarks.scale.budgets [--rows 1e5 1e6 1e7] [--workers 1 2 4]

Features are ready vectors of 16 numbers, the regressor is linear, and a query gets up
to 16 samples. It predicts either a chance of success ("rate"), or 16 marginal rewards
whose order has to be repaired ("curve"), which takes longer. `predict_budgets` reads a
Ray data set and writes budgets to Parquet. One NumPy process has the same features in
memory, predicts and allocates. Each run is a process of its own, with a cluster of its
own. Prints the rows, and writes them to `budgets.csv`; `growth.csv` has what the page
shows of them:

=====================  =============================================================
seconds                from the call to the last file, the start of actors included
predictions            of these, until all is predicted
decisions              from then on, until all is decided
writing                the rest
one process            seconds of the NumPy process
ratio                  of the cluster to it
seconds per 1e6 rows   the same for all sizes if time is straight
driver MB              largest memory of the process that calls `predict_budgets`
all MB                 what the machine's free memory fell by at most
one process MB         the same in the run of the NumPy process
task ms                time of a task that does nothing, from the driver and back
=====================  =============================================================
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.report import RESULTS, print_table, write_csv

TARGETS = {"rate": "success_rate", "curve": "marginal_rewards"}
N_FEATURES, MAX_BUDGET, BUDGET = 16, 16, 4.0
LARGEST_BLOCK = 10**5  # rows
N_EMPTY_TASKS = 300
MB = 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=float, nargs="+", default=[1e5, 1e6, 1e7])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--predicted", nargs="+", choices=TARGETS, default=TARGETS)
    parser.add_argument("--output", type=Path, default=RESULTS / "scale")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(**options.one)))
        return
    sizes = list(map(int, options.rows))
    run(sizes, options.workers, options.predicted, options.output)


def run(sizes, workers, kinds, output):
    """Measure all, and write what there is after each row."""
    rows = []
    for n_rows, kind in itertools.product(sizes, kinds):
        settings = {"kind": kind, "n_rows": n_rows}
        alone = run_alone(settings | {"n_workers": 0})
        for n_workers in workers:
            found = run_alone(settings | {"n_workers": n_workers})
            assert found["n_samples"] == alone["n_samples"]
            rows.append(
                {
                    "predicted": kind,
                    "rows": n_rows,
                    "workers": n_workers,
                    **found["seconds"],
                    "one process": alone["seconds"]["seconds"],
                    "ratio": found["seconds"]["seconds"] / alone["seconds"]["seconds"],
                    "seconds per 1e6 rows": found["seconds"]["seconds"] / n_rows * 1e6,
                    "driver MB": round(found["megabytes"]),
                    "all MB": round(found["all megabytes"]),
                    "one process MB": round(alone["all megabytes"]),
                    "task ms": found["task"] * 1000,
                }
            )
            print_table(rows[-1:])
            write_csv(rows, output / "budgets.csv")
    print_table(rows)
    write_csv([for_page(row) for row in rows], output / "growth.csv")


def for_page(row):
    """Some columns of a row, rounded."""
    shown = {"predicted": row["predicted"], "million rows": f"{row['rows'] / 1e6:g}"}
    shown["workers"] = row["workers"]
    for name in ("seconds", "one process", "ratio"):
        shown[name] = f"{row[name]:.3g}"
    return shown | {"driver MB": row["driver MB"]}


def run_alone(settings):
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale.budgets", "--one"]
    before = least = free_megabytes()
    with subprocess.Popen(
        [*command, json.dumps(settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        while process.poll() is None:
            time.sleep(0.1)
            least = min(least, free_megabytes())
        printed = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{settings} ended with {process.returncode}")
    return json.loads(printed.splitlines()[-1]) | {"all megabytes": before - least}


def free_megabytes():
    """Memory of the machine that could be had."""
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    (line,) = (line for line in lines if line.startswith("MemAvailable"))
    return int(line.split()[1]) / 1024


def measure(n_rows, n_workers, kind="rate"):
    """Seconds, samples, and the largest memory of this process in megabytes.

    With workers, on the cluster that this process is connected to, or on its own.
    """
    policy = make_policy(kind)
    if n_workers == 0:
        X = np.empty((n_rows, N_FEATURES))
        size = size_of_block(n_rows)
        for start in range(0, n_rows, size):
            X[start : start + size] = features(start, size)["query"]
        start = time.perf_counter()
        budgets = policy.predict(X)
        seconds = {"seconds": time.perf_counter() - start}
        n_samples, task = budgets.sum(), 0
    else:
        seconds, n_samples, task = on_cluster(policy, n_rows, n_workers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": seconds,
        "n_samples": int(n_samples),
        "task": task,
        "megabytes": peak,
    }


def on_cluster(policy, n_rows, n_workers):
    """Seconds of all and of each part, the number of samples, and seconds of a task."""
    import ray

    from sklearn_adaalloc.distributed import _budgets, predict_budgets

    if not ray.is_initialized():
        ray.init(
            num_cpus=n_workers + 1,
            # What it holds at once: features, predictions, budgets.
            object_store_memory=512 * MB + n_rows * 8 * (N_FEATURES + MAX_BUDGET + 6),
            include_dashboard=False,
            logging_level="ERROR",
            log_to_driver=False,
        )
    ray.data.DataContext.get_current().enable_progress_bars = False
    size = size_of_block(n_rows)
    dataset = ray.data.range(n_rows, override_num_blocks=n_rows // size)
    dataset = dataset.map_batches(_as_features, batch_size=size).materialize()
    marks = []
    in_order = _budgets._in_order

    def timed(predicted):
        found = in_order(predicted)
        marks.append(time.perf_counter())
        return found

    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(_budgets, "_in_order", timed),
    ):
        start = time.perf_counter()
        result = predict_budgets(
            policy,
            dataset,
            budget=BUDGET,
            keep=["id"],
            batch_size=size,
            concurrency=n_workers,
        )
        marks.append(time.perf_counter())
        result.write_parquet(folder)
        marks.append(time.perf_counter())
        n_samples = sum_of_files(folder)
    parts = np.diff([start, *marks])
    names = "predictions", "decisions", "writing"
    seconds = {"seconds": marks[-1] - start, **dict(zip(names, parts, strict=True))}
    return seconds, n_samples, seconds_of_task(ray)


def sum_of_files(folder):
    """The number of samples in budgets that were written, read file by file."""
    from pyarrow import parquet

    return sum(
        parquet.read_table(path, columns=["budget"])["budget"].to_numpy().sum()
        for path in Path(folder).glob("*.parquet")
    )


def seconds_of_task(ray):
    """Time of a task that does nothing, if many are sent at once."""
    task = ray.remote(_nothing)
    ray.get([task.remote() for _ in range(N_EMPTY_TASKS)])  # workers have started
    start = time.perf_counter()
    ray.get([task.remote() for _ in range(N_EMPTY_TASKS)])
    return (time.perf_counter() - start) / N_EMPTY_TASKS


def make_policy(kind):
    """A linear policy, fitted on few queries."""
    from sklearn.linear_model import Ridge

    from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor

    X = features(0, 1000)["query"]
    ease = 1 / (1 + np.exp(-X @ np.linspace(1, -1, N_FEATURES) + 1))
    draws = np.random.default_rng(0).random((len(X), MAX_BUDGET))
    policy = AdaptiveAllocator(
        RewardRegressor(Ridge(), target=TARGETS[kind]), budget=BUDGET
    )
    return policy.fit(X, (draws < ease[:, None]).astype(float))


def size_of_block(n_rows):
    """Rows of each of some equal blocks."""
    return min(n_rows // 4, LARGEST_BLOCK)


def features(start, size):
    """A block of rows: their numbers, and their features."""
    rng = np.random.default_rng(start)
    numbers = np.arange(start, start + size)
    return {"id": numbers, "query": rng.normal(size=(size, N_FEATURES))}


def _as_features(batch):
    return features(int(batch["id"][0]), len(batch["id"]))


def _nothing():
    pass


if __name__ == "__main__":
    main()
