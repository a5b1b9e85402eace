"""Runs in a worker process: compare formulas by math-verify, one pair a line.

This file is a script and imports nothing of the package. Each line of standard input is
JSON, ``[gold, answer, seconds]``; each line of output is "true" or "false".
"""

import json
import logging
import signal
import sys

if __name__ == "__main__":
    del sys.path[0]  # the folder of this script

MEMORY = 2**32  # bytes


def main():
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)  # what cannot be parsed is no event
    limit_memory()
    replies = sys.stdout
    sys.stdout = sys.stderr
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        *formulas, seconds = json.loads(line)
        end_after(2 * seconds)  # should the parent be gone
        try:
            # math-verify's own time limits are off: they cannot interrupt C code.
            gold, answer = (parse(f"${f}$", parsing_timeout=None) for f in formulas)
            right = verify(gold, answer, timeout_seconds=None)
        except (Exception, RecursionError):
            right = False
        end_after(0)
        print(json.dumps(bool(right)), file=replies, flush=True)


def end_after(seconds):
    """Have the kernel end this process, whatever it is at; 0 takes that back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def limit_memory():
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    main()
