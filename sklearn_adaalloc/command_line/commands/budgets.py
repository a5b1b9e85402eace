"""Say how many samples each query gets from a saved policy.

Prints a JSON object in a line for each query, in their order. Queries are decided as
one batch.
"""

from sklearn_adaalloc.command_line._options import positive

SUMMARY = "how many samples each query gets"
EXAMPLE = "adaalloc budgets policy queries.jsonl --out budgets.jsonl"


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("policy", metavar="POLICY", help="folder of a saved policy")
    parser.add_argument(
        "queries",
        metavar="QUERIES",
        help="file with a query in each row (JSON lines, CSV, Parquet) or line (.txt), "
        "features (.npy), or - for lines of the standard input",
    )
    parser.add_argument("--query", metavar="COLUMN", help="column of the queries")
    parser.add_argument(
        "--budget",
        type=positive,
        metavar="B",
        help="another mean budget than that of the policy",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write to a file instead of the standard output"
    )


def run(options):
    """Load, decide, and write."""
    import json

    from sklearn_adaalloc._utils.files import write_whole
    from sklearn_adaalloc.command_line._deciding import decide, plain_rows
    from sklearn_adaalloc.command_line._features import load_array
    from sklearn_adaalloc.command_line._files import check_place
    from sklearn_adaalloc.command_line._queries import read_queries

    if options.out is not None:
        check_place(options.out, "--out")
    if options.queries.endswith(".npy"):
        queries = load_array(options.queries)
        named = list(range(len(queries)))
    else:
        queries, _ = read_queries(options.queries, options.query)
        named = queries
    frame = decide(options.policy, queries, options.budget)
    lines = [
        json.dumps({"query": query, **row}, ensure_ascii=False)
        for query, row in plain_rows(frame, named)
    ]
    text = "\n".join(lines) + "\n"
    if options.out is None:
        print(text, end="")
    else:
        write_whole(options.out, text)
