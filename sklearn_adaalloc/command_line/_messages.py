"""Messages on the standard error stream: in one line, and not longer than is read."""

import re
import sys

_LONG_WORD, _LONG = 200, 2000  # characters


def say(text):
    """Print a message.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._messages import say
    >>> say("interrupted")
    """
    print(f"adaalloc: {shortened(text)}", file=sys.stderr, flush=True)


def in_one_line(error):
    r"""What an error or warning says.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._messages import in_one_line
    >>> in_one_line(ValueError("one\n  two"))
    'one two'
    """
    if isinstance(error, OSError) and error.strerror:
        return (
            f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        )
    return " ".join(str(error).split()) or type(error).__name__


def shortened(text):
    """A message in which values that somebody gave are not repeated at length.

    Parameters
    ----------
    text : str
        Words of more than 200 characters lose their middle, and so does a text of more
        than 2,000: the end often says what to do.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._messages import shortened
    >>> len(shortened("--features " + 10_000 * "x" + " is not accepted."))
    181
    """
    text = re.sub(rf"\S{{{_LONG_WORD + 1},}}", lambda word: _cut(word[0], 150), text)
    return text if len(text) <= _LONG else _cut(text, _LONG)


def _cut(text, n):
    return f"{text[: 2 * n // 3]}...{text[-(n // 3) :]}"
