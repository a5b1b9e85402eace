"""Sample answers, grade them, and keep both in a store: a table for `adaalloc fit`.

Run it again after any interruption: nothing that the store has is asked or graded
twice. With more queries or more samples, only what is new is asked.
"""

from sklearn_adaalloc.command_line._options import (
    add_chat_argument,
    positive,
    whole,
)

SUMMARY = "sample and grade answers into a store"
EXAMPLE = "adaalloc collect collect.toml --n-samples 16"


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument(
        "configuration",
        nargs="?",
        metavar="CONFIG",
        help="TOML file; its section [collect] holds these options, as with --config",
    )
    parser.add_argument(
        "--queries",
        required=True,
        metavar="FILE",
        help="JSON lines, CSV or Parquet with a row for each query, or .txt",
    )
    parser.add_argument("--query", metavar="COLUMN", help="column of the queries")
    parser.add_argument(
        "--sampler",
        default="embedded",
        metavar="MODEL|URL",
        help="language model, by name or folder, or the address of a server with the "
        "OpenAI protocol; default: embedded, the small model that comes with the "
        "package",
    )
    parser.add_argument(
        "--model", metavar="NAME", help="model of the server, if --sampler is a URL"
    )
    add_chat_argument(parser, "whether the model gets each text")
    parser.add_argument(
        "--reward",
        required=True,
        metavar="KIND",
        help="math (needs --reference), code (needs tests in the rows), or a function "
        "module:name of queries and answers",
    )
    parser.add_argument(
        "--reference", metavar="COLUMN", help="column of the right answers, for math"
    )
    parser.add_argument(
        "--tests",
        metavar="COLUMN",
        help="column of the tests, for code; default: the fields of the row that tests "
        "have, such as test and entry_point",
    )
    parser.add_argument(
        "--n-samples", type=whole(1), default=16, metavar="N", help="default: 16"
    )
    parser.add_argument(
        "--store", required=True, metavar="FILE", help="SQLite file; made if it is new"
    )
    parser.add_argument("--temperature", type=positive, default=0.7, metavar="T")
    parser.add_argument("--max-new-tokens", type=whole(1), default=256, metavar="N")
    parser.add_argument(
        "--max-concurrency",
        type=whole(1),
        default=16,
        metavar="N",
        help="requests to a server at a time; default: 16",
    )
    parser.add_argument(
        "--api-key-env",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="environment variable with the key of the server",
    )
    parser.add_argument(
        "--random-state", type=whole(0), default=0, metavar="SEED", help="default: 0"
    )
    parser.add_argument("--json", action="store_true", help="print counts as JSON")


def run(options):
    """Read, sample and grade."""
    import json

    from sklearn_adaalloc.command_line._collecting import collect

    told = collect(options)
    if options.json:
        print(json.dumps({**told, "store": options.store}, indent=2))
    else:
        print(
            f"{options.store} has {told['graded']:,} graded answers to "
            f"{told['queries']:,} queries, {told['right']:.1%} of full reward. "
            f"Next: adaalloc report {options.store}"
        )
