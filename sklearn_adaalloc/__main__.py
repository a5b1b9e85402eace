"""The command `adaalloc`, as ``python -m sklearn_adaalloc``.

Without the name of a command it is the demonstration, as it was before there were
commands.
"""

import sys

from sklearn_adaalloc.command_line import main

_OF_THE_DEMONSTRATION = ("--output", "--seed")

if __name__ == "__main__":
    words = sys.argv[1:]
    if not words or words[0].partition("=")[0] in _OF_THE_DEMONSTRATION:
        words = ["demo", *words]
    sys.exit(main(words))
