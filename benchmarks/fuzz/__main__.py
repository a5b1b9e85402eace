"""Fuzz every public entry: `python -m benchmarks.fuzz [--inputs N] [--only NAME]`.

Each input must end in a result that keeps what was promised, or in an error that this
package or scikit-learn has worded. Half of the inputs are Hypothesis', half atheris'.
"""

import argparse
import os

from benchmarks.fuzz.engines import engines, instrument, run
from benchmarks.fuzz.targets import TARGETS
from benchmarks.report import RESULTS, print_table, write_csv


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of a target's name")
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    instrument()
    from benchmarks.fuzz import entries  # noqa: F401  (enters the targets)

    rows = []
    for name, target in TARGETS.items():
        if options.only not in name:
            continue
        share = target.share(-(-options.inputs // len(engines())))
        for engine in engines():
            row, log = run(target, engine, share, options.seed)
            rows.append(row)
            print(f"{name} {engine}: {row['inputs']} inputs", flush=True)
            if row["failures"]:
                print(log[-6000:], flush=True)
    print_table([*rows, _total(rows)])
    if not options.only:
        write_csv([*rows, _total(rows)], RESULTS / "fuzz" / "inputs.csv")
    return int(any(row["failures"] for row in rows))


def _total(rows):
    counted = ("inputs", "results", "refused", "failures", "seconds")
    sums = {name: sum(row[name] for row in rows) for name in counted}
    return {"entry": "all", "engine": "both", **sums, "coverage": 0}


if __name__ == "__main__":
    raise SystemExit(main())
