"""What servers reply: usable answers, their tokens, and when to try again."""

import json
import math
import time
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import numpy as np

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds


class Reply(NamedTuple):
    """The usable part of a server's reply.

    Attributes
    ----------
    answers : list of str
        Complete answers, possibly fewer than were asked for.
    answer_tokens : list of int
        Tokens of each.
    prompt_tokens : int
        Tokens of the prompt.
    """

    answers: list
    answer_tokens: list
    prompt_tokens: int


def read_reply(text, n):
    """Read a reply of the chat or the text completions endpoint.

    A choice counts if it says why it finished and has a text. One whose tokens ran out
    before any text came, as happens to models that think first, is an empty answer.

    Parameters
    ----------
    text : str
        Body of the reply.
    n : int
        Number of answers asked for; what is beyond is dropped.

    Returns
    -------
    Reply

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._replies import read_reply
    >>> read_reply(
    ...     '{"choices": [{"finish_reason": "stop", "message": {"content": "75"}},'
    ...     ' {"message": {"content": "7"}}],'
    ...     ' "usage": {"prompt_tokens": 6, "completion_tokens": 3}}',
    ...     n=2,
    ... )
    Reply(answers=['75'], answer_tokens=[3], prompt_tokens=6)
    """
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    choices = _get(body, "choices", list) or []
    answers = [a for a in map(_read_choice, choices) if a is not None]
    usage = _get(body, "usage", dict)
    total = _get(usage, "completion_tokens", int) or 0
    tokens = share_tokens(total, answers)
    prompt_tokens = _get(usage, "prompt_tokens", int) or 0
    return Reply(answers[:n], tokens[:n], prompt_tokens)


def _read_choice(choice):
    finish = _get(choice, "finish_reason", str)
    if finish is None:
        return None
    text = _get(_get(choice, "message", dict), "content", str)
    if text is None:
        text = _get(choice, "text", str)
    return "" if text is None and finish == "length" else text


def _get(mapping, key, kind):
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if isinstance(value, kind) else None


def share_tokens(total, answers):
    """Divide a reply's tokens over its answers, in proportion to their lengths.

    Servers report one sum. Each answer counts one character more than it has, for the
    token that ends it.

    Parameters
    ----------
    total : int
        Tokens of all answers.
    answers : list of n str

    Returns
    -------
    tokens : list of n int
        They add up to `total`.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._replies import share_tokens
    >>> share_tokens(10, ["75", "", "65"])
    [4, 2, 4]
    """
    if not answers:
        return []
    ends = np.cumsum([len(answer) + 1 for answer in answers])
    return np.diff(np.rint(ends * total / ends[-1]), prepend=0).astype(int).tolist()


def seconds_to_wait(attempt, headers=None):
    """Seconds until the next attempt: doubled each time, or what the server asks for.

    Parameters
    ----------
    attempt : int
        Failed attempts before this one.
    headers : mapping, default=None
        Of the reply; its Retry-After is a number of seconds or a date.

    Returns
    -------
    seconds : float

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._replies import seconds_to_wait
    >>> seconds_to_wait(2), seconds_to_wait(0, {"retry-after": "7"})
    (2.0, 7.0)
    """
    own = min(_FIRST_WAIT * 2.0**attempt, _LONGEST_WAIT)
    asked = (headers or {}).get("retry-after")
    if asked is None:
        return own
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except ValueError:
            return own
    return max(own, seconds) if math.isfinite(seconds) else own
