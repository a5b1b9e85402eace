"""From measured costs of a row to a billion rows and a hundred GPUs.

    python -m benchmarks.scale.arithmetic [--texts-per-second 2000] [--network 1e9] ...

Reads `budgets.csv` of `benchmarks.scale.budgets`: what a row and a task cost there.
What a GPU, a network and a disk do per second is assumed, by the options. For each size
of a cluster and each step of the work, it says for how long the step needs each
resource if it waited for no other, and names the one that takes longest. Prints the
inputs and the table, and writes it to `arithmetic.csv`.
"""

import argparse
import csv
from pathlib import Path

from benchmarks.report import RESULTS, print_table, write_csv
from benchmarks.scale.budgets import MAX_BUDGET

CLUSTERS = [(10**6, 1), (10**7, 4), (10**8, 16), (10**9, 100)]  # rows, GPUs
INPUTS = {  # name -> assumed value, what it is
    "texts-per-second": (2000.0, "hidden states that a GPU computes per second"),
    "network": (1.2e9, "bytes per second of a node"),
    "disk": (5e8, "bytes per second of a node"),
    "memory": (32e9, "bytes of the object store of a node, which has one GPU"),
    "cores": (8.0, "cores of a node, as fast as those that were measured"),
    "text": (2000.0, "bytes of a query"),
    "max-budget": (64.0, "samples of a query at most, 8 bytes each in the store"),
    "block": (128e6, "bytes of a block, Ray's default"),
    "questions": (4.0, "questions of a joint decision, its budgets included"),
    "measured-cores": (2.0, "cores of the machine that was measured"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, (value, meaning) in INPUTS.items():
        parser.add_argument(f"--{name}", type=float, default=value, help=meaning)
    parser.add_argument("--output", type=Path, default=RESULTS / "scale")
    options = vars(parser.parse_args())
    run(options.pop("output"), **options)


def run(output, **assumed):
    """Print the page, and write its table."""
    inputs = {name.replace("-", "_"): value for name, (value, _) in INPUTS.items()}
    inputs |= assumed
    with open(output / "budgets.csv", newline="", encoding="utf-8") as file:
        measured = costs_of_row(list(csv.DictReader(file)), inputs)
    meanings = {name.replace("-", "_"): text for name, (_, text) in INPUTS.items()}
    print_table(
        [
            {"input": name, "value": f"{value:.3g}", "meaning": meanings[name]}
            for name, value in inputs.items()
        ]
        + [
            {"input": name, "value": f"{value:.3g}", "meaning": "measured"}
            for name, value in measured.items()
        ]
    )
    rows = [row for size in CLUSTERS for row in steps_of(*size, measured, inputs)]
    print_table(rows)
    write_csv(rows, output / "arithmetic.csv")


def costs_of_row(rows, inputs):
    """Core seconds of a row in each step, and seconds of a task.

    From the largest size, where a start counts least, the predictions that take
    longest, and as many workers as there are cores.
    """
    largest = max(float(row["rows"]) for row in rows)
    rows = [row for row in rows if float(row["rows"]) == largest]
    slowest = max(rows, key=lambda row: float(row["seconds"]))["predicted"]
    rows = [row for row in rows if row["predicted"] == slowest]
    cores = inputs["measured_cores"]
    row = min(rows, key=lambda row: abs(float(row["workers"]) - cores))
    names = ("predictions", "decisions", "writing")
    costs = {f"{name} of a row": float(row[name]) * cores / largest for name in names}
    return costs | {"task": float(row["task ms"]) / 1000}


def steps_of(n_rows, n_gpus, measured, inputs):
    """Seconds of each resource in each step, as dicts."""
    n_cores = n_gpus * inputs["cores"]
    stored = n_rows * 8 * inputs["max_budget"]  # predictions in the object store
    spilled = max(stored - n_gpus * inputs["memory"], 0.0)
    n_blocks = max(stored / inputs["block"], n_gpus)
    longer = inputs["max_budget"] / MAX_BUDGET  # than the rows that were measured

    def cpu(name, times=1.0):
        return measured[f"{name} of a row"] * n_rows * times / n_cores

    def through(n_bytes, name):
        return n_bytes / (n_gpus * inputs[name])

    texts = n_rows * inputs["text"]
    result = n_rows * 3 * 8  # identifier, budget, expected reward
    questions = inputs["questions"]
    steps = {
        "hidden states": {
            "GPU": n_rows / n_gpus / inputs["texts_per_second"],
            "network": through(texts, "network"),
            "disk": through(texts, "disk"),
            "driver": n_blocks * measured["task"],
        },
        "predictions": {
            "CPU": cpu("predictions", longer),
            "disk": through(spilled, "disk"),
        },
        "decisions": {
            "CPU": cpu("decisions", longer),
            "disk": through(spilled * questions, "disk"),
            "driver": n_blocks * questions * measured["task"],
        },
        "files": {
            "CPU": cpu("writing"),
            "network": through(result, "network"),
            "driver": n_blocks * measured["task"],
        },
    }
    steps["all"] = {
        name: sum(step.get(name, 0.0) for step in steps.values())
        for name in ("GPU", "CPU", "network", "disk", "driver")
    }
    for step, seconds in steps.items():
        yield {
            "million rows": f"{n_rows / 1e6:g}",
            "GPUs": n_gpus,
            "step": step,
            **{name: rounded(seconds.get(name, 0.0)) for name in steps["all"]},
            "bottleneck": max(seconds, key=seconds.get),
        }


def rounded(seconds):
    """Two digits at least."""
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.2g}"


if __name__ == "__main__":
    main()
