"""The paper's experiments, each from one command.

    python -m benchmarks.paper SETTING ... --scale embedded|full [--output DIR]

SETTING is code, math, chat, tranches, routing-size, routing-vas, `all` of these, or
`real` for the graded answers of real models in --data. Writes CSV tables to
OUTPUT/SCALE/SETTING, and from them alone (also with --redraw) the figures and one page,
OUTPUT/SCALE/index.html. `embedded` takes minutes on a CPU. `full` collects its tables
with the real models; it goes on where it was stopped.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.paper import figures, page, sources
from benchmarks.paper.estimate import estimate
from benchmarks.paper.pipeline import predict, restrict_to_tranches
from benchmarks.paper.settings import SETTINGS
from benchmarks.paper.tables import TABLES
from benchmarks.quality.outcome_sets import add_data_option
from benchmarks.report import RESULTS, print_table, write_csv

PRINTED = (1, 4, 8, 16, 32, 64)


def main(arguments=None):
    """Run settings, or redraw them."""
    options = parse(arguments)
    scale = "real" if options.settings == ["real"] else options.scale
    folder = options.output / scale
    if not options.redraw:
        start = time.monotonic()
        for setting, data, predictions in experiments(options, folder):
            run(setting, data, predictions, folder / setting.name)
        print(f"{(time.monotonic() - start) / 60:.1f} minutes")
    figures.draw(folder)
    page.write(folder, scale)


def parse(arguments):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper", description=__doc__.splitlines()[0]
    )
    parser.add_argument("settings", nargs="+", choices=[*SETTINGS, "all", "real"])
    parser.add_argument("--scale", choices=["embedded", "full"], default="embedded")
    parser.add_argument("--output", type=Path, default=RESULTS / "paper")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="queries of each part, to try it out")
    parser.add_argument(
        "--predictor", choices=["mlp", "lora"], help="in place of the paper's"
    )
    parser.add_argument("--value-model", help="for routing-vas at full scale")
    parser.add_argument("--redraw", action="store_true", help="from the CSV files only")
    add_data_option(parser)
    options = parser.parse_args(arguments)
    if "real" in options.settings and len(options.settings) > 1:
        parser.error("real has tables and figures of its own: run it alone.")
    return options


def experiments(options, folder):
    """Yield each setting with its data and predictions, those of chat made once."""
    if options.settings == ["real"]:
        for setting, data in sources.real(options.data, options.limit):
            yield setting, data, predict(setting, data, options.seed)
        return
    names = SETTINGS if "all" in options.settings else options.settings
    settings = [SETTINGS[name] for name in names]
    if options.predictor:
        settings = [replace(each, predictor=options.predictor) for each in settings]
    if options.scale == "full":
        print_estimates(settings)
    known = {}
    for setting in settings:
        if setting.task not in known:
            where = folder / "collected" / setting.task
            if options.scale == "full":
                data = sources.full(setting, where, options.limit, options.value_model)
            else:
                data = sources.embedded(setting, where, options.limit)
            known[setting.task] = data, predict(setting, data, options.seed)
        data, predictions = known[setting.task]
        if setting.tranches:
            data = restrict_to_tranches(data)
        yield setting, data, predictions


def print_estimates(settings):
    """Say what full scale costs, before it starts."""
    rows = []
    for setting in settings:
        n_queries, n_samples, hours = estimate(setting, sources.VAS_TOP_K)
        row = {"setting": setting.name, "queries": n_queries, "samples": n_samples}
        rows.append(row | hours | {"total": sum(hours.values())})
    print("GPU hours, to an order of magnitude (one GPU of the H100's class);")
    print("chat and tranches share a table:")
    print_table(rows)


def run(setting, data, predictions, folder):
    """Write the tables of one setting, and print the main ones."""
    start = time.monotonic()
    print(f"\n{setting.title} ({setting.figure})")
    for name, make in TABLES.items():
        rows = list(make(setting, data, predictions))
        if rows:
            write_csv(rows, folder / f"{name}.csv")
        if name == "table1":
            print_table(rows)
        if name == "curves":
            print_table(
                [
                    row
                    for row in rows
                    if row["budget"] in PRINTED or setting.kind == "routing"
                ]
            )
    print(f"{setting.name}: {time.monotonic() - start:.0f} s for its tables")


if __name__ == "__main__":
    main()
