"""From measured costs of a row to a billion rows and a hundred GPUs.

    python -m benchmarks.scale.arithmetic [--texts-per-second 2000]

Reads `budgets.csv` of `benchmarks.scale.budgets`. For each size of a cluster it adds up
what each part has to do, names the part that takes longest, and writes
`arithmetic.csv`. What a GPU, a network and a disk do per second are parameters: nothing
here measures them.
"""

import argparse
import csv
from pathlib import Path

from benchmarks.report import RESULTS, print_table, write_csv
from benchmarks.scale.budgets import MAX_BUDGET

QUESTIONS = 4  # to all blocks: rows, sample, bracket, entries
TASK = 2e-3  # seconds of the driver for a task
SCORES = 8 * MAX_BUDGET  # bytes of a row in the object store
TEXT = 2000  # bytes of a query
BLOCK = 128e6  # bytes, Ray's default
CORES = 8  # of a node with one GPU
CLUSTERS = [(10**6, 1), (10**7, 4), (10**8, 16), (10**9, 100)]  # rows, GPUs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts-per-second", type=float, default=2000.0, help="a GPU")
    parser.add_argument(
        "--network", type=float, default=1.2e9, help="bytes/s of a node"
    )
    parser.add_argument("--disk", type=float, default=5e8, help="bytes/s of a node")
    parser.add_argument(
        "--memory", type=float, default=32e9, help="object store, bytes"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "scale")
    options = parser.parse_args()
    with open(options.output / "budgets.csv", newline="", encoding="utf-8") as file:
        measured = max(csv.DictReader(file), key=lambda row: float(row["rows"]))
    cores = min(int(measured["workers"]), 2)
    predict, allocate = (
        float(measured[name]) / float(measured["rows"]) * cores  # core seconds per row
        for name in ("features", "allocating")
    )
    rows = [
        estimate(n_rows, n_gpus, predict, allocate, options)
        for n_rows, n_gpus in CLUSTERS
    ]
    print_table(rows)
    write_csv(rows, options.output / "arithmetic.csv")


def estimate(n_rows, n_gpus, predict, allocate, options):
    """Seconds of each part, if the others took none, and the longest."""
    stored = n_rows * SCORES
    spilled = max(stored - n_gpus * options.memory, 0.0)
    n_blocks = max(stored / BLOCK, n_gpus)
    parts = {
        "GPUs: hidden states": n_rows / n_gpus / options.texts_per_second,
        "CPUs: predictions": n_rows * predict / (n_gpus * CORES),
        "CPUs: questions to blocks": n_rows * allocate / (n_gpus * CORES),
        "network: texts in": n_rows * TEXT / (n_gpus * options.network),
        "disk: spilled scores": (1 + QUESTIONS) * spilled / (n_gpus * options.disk),
        "driver: tasks": n_blocks * (QUESTIONS + 2) * TASK,
    }
    bottleneck = max(parts, key=parts.get)
    return {
        "rows": n_rows,
        "GPUs": n_gpus,
        **parts,
        "object store GB": stored / 1e9,
        "bottleneck": bottleneck,
    }


if __name__ == "__main__":
    main()
