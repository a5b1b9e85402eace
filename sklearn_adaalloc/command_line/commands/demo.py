"""Show the package at work on the data that comes with it.

Fits policies for four tasks, prints what they give against equal budgets, writes
pictures and a policy, and answers twelve queries live. Takes some minutes.
"""

from pathlib import Path

from sklearn_adaalloc.command_line._options import whole

SUMMARY = "the package at work on the data that comes with it"
EXAMPLE = "adaalloc demo --output demo-output"


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="folder for pictures and a policy; default: demo-output",
    )
    parser.add_argument(
        "--seed", type=whole(0), default=0, metavar="N", help="default: 0"
    )


def run(options):
    """Run the demonstration."""
    from sklearn_adaalloc._utils.optional import import_optional
    from sklearn_adaalloc.command_line._demonstration import demonstrate

    import_optional("matplotlib", extra="plot")  # before minutes of work
    demonstrate(options.output, options.seed)
