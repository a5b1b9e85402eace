"""Say what adaptive budgets would save, from a file of graded answers.

Reads the answers to queries and their grades, and measures on held-out queries what
equal budgets give and what budgets decided up front, in rounds and in a stream would
give at the same cost. No model is asked.
"""

from sklearn_adaalloc.command_line._options import (
    add_table_arguments,
    positive,
    whole,
)

SUMMARY = "what adaptive budgets would save, from graded answers"
EXAMPLE = "adaalloc report answers.jsonl --budget 4 8 --html report.html"


def add_arguments(parser):
    """Add the arguments of this command."""
    add_table_arguments(parser)
    parser.add_argument(
        "--budget",
        nargs="+",
        type=positive,
        metavar="B",
        help="mean budgets per query to report on, in answers, or in cost if the table "
        "has costs; default: several",
    )
    parser.add_argument(
        "--unit",
        choices=("samples", "cost"),
        help="what budgets count; default: cost where the table has costs",
    )
    parser.add_argument(
        "--folds",
        type=whole(2),
        metavar="N",
        help="number of parts that are held out in turn; default: 5 for up to 1,000 "
        "queries, 3 for more",
    )
    parser.add_argument(
        "--random-state",
        type=whole(0),
        default=0,
        metavar="SEED",
        help="seed of all that is random; default: 0",
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with pictures")
    parser.add_argument(
        "--json", action="store_true", help="print figures as JSON instead of text"
    )


def run(options):
    """Read, measure, and print."""
    import json

    from sklearn_adaalloc._utils.files import write_whole
    from sklearn_adaalloc.command_line._files import check_place
    from sklearn_adaalloc.command_line.report.making import make_report
    from sklearn_adaalloc.command_line.report.page import as_page
    from sklearn_adaalloc.command_line.report.pictures import draw, require_matplotlib
    from sklearn_adaalloc.command_line.report.text import as_text

    if options.html is not None:
        check_place(options.html, "--html")
        require_matplotlib()
    report, table, drawn = make_report(options)
    if options.html is not None:
        write_whole(options.html, as_page(report, draw(report, table, drawn)))
    if options.json:
        print(json.dumps(report, indent=2, allow_nan=False))
    else:
        print(as_text(report))
