"""The command `adaalloc`: a file of graded answers in, a report or a policy out.

Each command is a file in `commands`, and imports what it needs when it runs: whoever
asks for help does not wait for scikit-learn.
"""

from sklearn_adaalloc.command_line._main import main

__all__ = ["main"]
