"""From the words of a command line to a command, and from its errors to exit codes."""

import argparse
import contextlib
import os
import sqlite3
import sys
import warnings
from importlib import import_module

from sklearn_adaalloc._version import __version__
from sklearn_adaalloc.command_line._configuration import (
    UsageError,
    apply_configuration,
    find_configuration,
)
from sklearn_adaalloc.command_line._messages import in_one_line, say, shortened

# Each is a module of `commands`. A new command is a file there and its name here.
COMMANDS = ("report", "collect", "fit", "budgets", "explain", "serve", "demo")
DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
_EXIT_CODES = """\
exit codes: 0 done; 1 the data, a file or a server is not as it should be; 2 wrong use
of this command; 130 interrupted. Nothing is left half-written.

Options may stand in a TOML file with a section for each command: --config FILE. The
command line wins over the file."""


def main(arguments=None):
    """Run a command of `adaalloc`.

    Parameters
    ----------
    arguments : sequence of str, default=None
        Words of the command line. None takes those of the process.

    Returns
    -------
    code : int
        0 if all went well, 1 if the data, a file or a server is not as it should be, 2
        if the command was used in a wrong way, 130 if it was interrupted. Messages go
        to the standard error stream.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line import main
    >>> main(["budgets", "policy"])
    2
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if hasattr(sys.stdout, "reconfigure"):  # half a character is no reason to fail
        sys.stdout.reconfigure(errors="backslashreplace")
    parser, commands = build_parser()
    with _plain_warnings():
        code = _code_of(parser, commands, words)
    _print_or_drop()
    return code


def _code_of(parser, commands, words):
    try:
        code = _run(parser, commands, words)
        if sys.stdout is not None:  # None if it was closed before the start
            sys.stdout.flush()  # a full disk shows here, or a reader that has gone
        return code
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has gone
        return FAILED
    except UsageError as error:
        say(f"error: {error}")
        return MISUSED
    except (ValueError, OSError, ImportError, sqlite3.Error) as error:
        say(f"error: {in_one_line(error)}")
        return FAILED


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        super().error(shortened(message))


def build_parser():
    """Make the parser of all commands.

    Returns
    -------
    parser : ArgumentParser
    commands : dict of str to ArgumentParser
        Those of the commands, by name.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._main import build_parser
    >>> parser, commands = build_parser()
    >>> parser.parse_args(["demo"]).command
    'demo'
    """
    parser = _Parser(
        prog="adaalloc",
        description="Learn how much decoding compute each query deserves.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"sklearn-adaalloc {__version__}"
    )
    added = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    commands = {}
    for name in COMMANDS:
        command = import_module(f"sklearn_adaalloc.command_line.commands.{name}")
        own = added.add_parser(
            name,
            help=command.SUMMARY,
            description=command.__doc__,
            epilog=f"example:\n  {command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(own)
        own.add_argument(
            "--config",
            metavar="FILE",
            help=f"TOML file; its section [{name}] holds options by their names",
        )
        own.set_defaults(run=command.run)
        commands[name] = own
    return parser, commands


def _run(parser, commands, words):
    try:
        name, path = find_configuration(words, commands)
        if path is not None:
            apply_configuration(path, name, commands)
        options = parser.parse_args(words)
    except SystemExit as end:  # after --help and --version, or a message
        return end.code
    if options.command is None:
        parser.print_help()
        return DONE
    options.run(options)
    return DONE


def _print_or_drop():
    """Drop what cannot be printed: otherwise Python would try again at its end."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())


@contextlib.contextmanager
def _plain_warnings():
    """Show warnings that are meant for users as one line each."""

    def show(message, *where, **more):
        say(f"warning: {in_one_line(message)}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield
