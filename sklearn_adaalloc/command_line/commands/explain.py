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
    for row in rows:
        why = row.pop("why")
        cells = [
            [name.replace("_", " "), "–" if value is None else f"{value:.4g}"]
            if not isinstance(value, str)
            else [name, value]
            for name, value in row.items()
        ]
        print(printable(aligned(cells)))
        print(printable(paragraph(why)))
