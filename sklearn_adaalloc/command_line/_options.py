"""Options that several commands share."""

import argparse
import math


def add_table_arguments(parser):
    """Add the files of graded answers, and what their columns are called.

    Examples
    --------
    >>> import argparse
    >>> from sklearn_adaalloc.command_line._options import add_table_arguments
    >>> parser = argparse.ArgumentParser()
    >>> add_table_arguments(parser)
    >>> parser.parse_args(["a.csv", "--cost", "tokens"]).cost
    'tokens'
    """
    parser.add_argument(
        "table",
        nargs="+",
        metavar="TABLE",
        help="file of graded answers: JSON lines, CSV or Parquet with a row for each "
        "answer or for each query, a store of `adaalloc collect`, or logs of "
        "lm-evaluation-harness, inspect_ai or Every Eval Ever",
    )
    columns = parser.add_argument_group(
        "columns",
        "Names of columns, with dots for fields in fields; known by their usual names "
        "if not given. `none` leaves one out.",
    )
    for role, told in (
        ("query", "texts or numbers of queries"),
        ("reward", "grades; of a log, the metric, scorer or result"),
        ("cost", "what each answer cost, such as tokens"),
        ("answer", "labels to vote on"),
        ("score", "what a reranker sees"),
        ("decoder", "which model answered"),
    ):
        columns.add_argument(f"--{role}", metavar="COLUMN", help=told)
    columns.add_argument(
        "--filter", metavar="NAME", help="filter of a log of lm-evaluation-harness"
    )
    parser.add_argument(
        "--selection",
        choices=("reward", "score", "vote"),
        default="reward",
        help="how an answer is chosen when the system is used: by its grade (default), "
        "by its score, or by votes",
    )
    parser.add_argument(
        "--features",
        default="auto",
        metavar="KIND",
        help="what is known of a query before it is answered: text (TF-IDF), minilm, "
        "hidden:MODEL, a file.npy with a row for each query, or none; default: text "
        "where there are texts of 100 queries or more",
    )
    add_chat_argument(parser, "with hidden:MODEL, whether each text is read")


def add_chat_argument(parser, whether):
    """Add the option that puts texts into the chat template of a model, or does not.

    Parameters
    ----------
    parser : ArgumentParser
        Of the command.
    whether : str
        Start of the help: what is done to texts there.

    Examples
    --------
    >>> import argparse
    >>> from sklearn_adaalloc.command_line._options import add_chat_argument
    >>> parser = argparse.ArgumentParser()
    >>> add_chat_argument(parser, "whether each text is sent")
    >>> parser.parse_args([]).chat, parser.parse_args(["--no-chat"]).chat
    (None, False)
    """
    parser.add_argument(
        "--chat",
        action=argparse.BooleanOptionalAction,
        help=f"{whether} as the message of a user, in the model's chat template, or as "
        "it is; default: as a message if the model has a template",
    )


def columns_of(options):
    """Names of columns by role, as :func:`read_graded` takes them.

    Examples
    --------
    >>> from argparse import Namespace
    >>> from sklearn_adaalloc.command_line._options import columns_of
    >>> columns_of(Namespace(query="q", filter=None))["query"]
    'q'
    """
    roles = ("query", "reward", "cost", "answer", "score", "decoder", "filter")
    return {role: getattr(options, role, None) for role in roles}


def positive(text):
    """A positive number of the command line.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._options import positive
    >>> positive("2.5")
    2.5
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return value


def whole(least, most=math.inf):
    """The type of whole numbers of at least so much, and at most so much.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._options import whole
    >>> whole(2)("3")
    3
    """

    def convert(text):
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            limit = "" if most == math.inf else f" and at most {most}"
            raise argparse.ArgumentTypeError(
                f"{text!r} is no whole number of at least {least}{limit}"
            )
        return value

    return convert
