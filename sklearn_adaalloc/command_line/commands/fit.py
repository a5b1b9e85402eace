"""Learn a policy from a file of graded answers, and save it.

The policy is a folder without pickle, which `adaalloc budgets`, `adaalloc explain` and
load_policy read.
"""

from sklearn_adaalloc.command_line._options import (
    add_table_arguments,
    positive,
    whole,
)

SUMMARY = "learn a policy from graded answers, and save it"
EXAMPLE = "adaalloc fit answers.jsonl --budget 4 --policy sequential --out policy"
_POLICIES = ("adaptive", "priced", "binned", "sequential", "stream")


def add_arguments(parser):
    """Add the arguments of this command."""
    add_table_arguments(parser)
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="language model whose hidden states are the features: its name, folder, "
        "or embedded; the same as --features hidden:MODEL",
    )
    parser.add_argument(
        "--budget",
        type=positive,
        required=True,
        metavar="B",
        help="mean budget per query, in answers, or in cost with --unit cost",
    )
    parser.add_argument(
        "--min-budget",
        nargs="+",
        type=whole(0),
        metavar="N",
        help="answers that every query gets; of several decoders, from each of them, "
        "or a number for each; default: 0 where rewards are verdicts, 1 otherwise",
    )
    parser.add_argument(
        "--policy",
        choices=_POLICIES,
        default="adaptive",
        help="adaptive: a batch, up front (default); priced, binned: each query alone, "
        "up front; sequential: a batch in rounds; stream: each query alone, verdicts "
        "seen",
    )
    parser.add_argument(
        "--rounds", type=whole(1), metavar="N", help="of sequential and stream"
    )
    parser.add_argument(
        "--unit",
        choices=("samples", "cost"),
        help="what the budget counts; default: cost where the table has costs",
    )
    parser.add_argument(
        "--random-state", type=whole(0), default=0, metavar="SEED", help="default: 0"
    )
    parser.add_argument(
        "--out", required=True, metavar="POLICY", help="folder to write"
    )
    parser.add_argument(
        "--json", action="store_true", help="print what was learnt as JSON"
    )


def run(options):
    """Read, fit and save."""
    import json

    from sklearn_adaalloc.command_line._files import check_policy_place
    from sklearn_adaalloc.command_line._fitting import fit_policy
    from sklearn_adaalloc.persistence import save_policy

    check_policy_place(options.out)
    policy, told = fit_policy(options)
    save_policy(policy, options.out)
    if options.json:
        print(json.dumps({**told, "out": options.out}, indent=2))
    else:
        print(
            f"{told['policy']} for a mean budget of {told['budget']:g} {told['unit']} "
            f"per query, learnt from {told['queries']:,} queries (features: "
            f"{told['features']}), is in {options.out}."
        )
