"""Explain the budget of one query, in numbers and in a sentence."""

from sklearn_adaalloc.command_line._options import positive

SUMMARY = "why a query gets its budget"
EXAMPLE = "adaalloc explain policy 'What is 17 * 23?'"


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("policy", metavar="POLICY", help="folder of a saved policy")
    parser.add_argument("query", metavar="QUERY", help="text of the query")
    parser.add_argument(
        "--budget",
        type=positive,
        metavar="B",
        help="another mean budget than that of the policy",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options):
    """Load, decide, and print."""
    import json

    from sklearn_adaalloc.command_line._deciding import decide, plain_rows
    from sklearn_adaalloc.command_line._layout import aligned, paragraph, printable

    frame = decide(options.policy, [options.query], options.budget)
    rows = [row for _, row in plain_rows(frame, [options.query])]
    if options.json:
        print(json.dumps(rows if len(rows) > 1 else rows[0], indent=2))
        return
    reasons = [row.pop("why") for row in rows]
    cells = [
        [name.replace("_", " "), *(_cell(row[name]) for row in rows)]
        for name in rows[0]
    ]
    if len(rows) > 1:  # decoders in lines
        cells = list(zip(*cells, strict=True))
    print(printable(aligned(cells)))
    for reason in reasons:
        print(printable(paragraph(reason, bullet="- " if len(rows) > 1 else "")))


def _cell(value):
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:.4g}"
