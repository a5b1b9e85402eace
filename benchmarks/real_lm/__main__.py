"""Everything after the collection, from the kept outcomes alone.

``python -m benchmarks.real_lm [PART ...] [--jobs 2]``. Writes the tables and figures of
all parts to ``results/real_lm``.
"""

import argparse
import time
from pathlib import Path

from joblib import Parallel, delayed

from benchmarks.quality.outcome_sets import add_data_option
from benchmarks.real_lm import (
    figures,
    first_answer,
    menu,
    prediction,
    savings,
    votes,
)
from benchmarks.report import RESULTS

PARTS = {  # those that take longest first
    "prediction": prediction,
    "first_answer": first_answer,
    "savings": savings,
    "menu": menu,
    "votes": votes,
    "figures": figures,
}


def run(name, data, output, limit):
    """Run one part, and say how long it took."""
    start = time.monotonic(), time.process_time()
    PARTS[name].run(data, output, limit)
    wall, processor = time.monotonic() - start[0], time.process_time() - start[1]
    print(
        f"{name}: {wall:.0f} s, of which {processor:.0f} s of a processor", flush=True
    )


def main(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real_lm", description=__doc__.split("\n")[0]
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--output", type=Path, default=RESULTS / "real_lm")
    parser.add_argument("--jobs", type=int, default=1, help="parts at a time")
    parser.add_argument("--limit", type=int, help="problems of each set, to try it out")
    add_data_option(parser)
    options = parser.parse_args(arguments)
    start = time.monotonic()
    Parallel(n_jobs=options.jobs)(
        delayed(run)(name, options.data, options.output, options.limit)
        for name in options.parts or PARTS
    )
    print(f"{(time.monotonic() - start) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
