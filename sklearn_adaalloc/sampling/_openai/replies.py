"""Read replies of servers: answers, token counts, errors, and when to try again."""

import json
import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import numpy as np

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds
_TOO_MANY = 2**53  # tokens
_LONGEST_EXCERPT = 200  # characters of a reply that is not JSON
# Reasons why a choice finished, in lower case, as several servers name them.
_FILTERED = ("content_filter", "safety", "recitation", "prohibited_content")
_CUT_OFF = ("length", "max_tokens", "model_length")
_BROKEN_OFF = ("error", "abort", "cancelled", "insufficient_system_resource")
_TEXTS = ("text", "output_text")
# Keys of error messages, and of their kinds.
_SAID = ("error", "errors", "detail", "message", "msg")
_CODES = ("code", "status", "status_code", "type")


class ErrorReply(Exception):
    """A reply without any answer.

    `reason` is the error message of the reply, or empty. `codes` are the names and
    numbers of the error, str or int.
    """

    def __init__(self, reason, codes=()):
        super().__init__(reason)
        self.reason = reason
        self.codes = list(codes)


class Choice(NamedTuple):
    """One answer of a reply.

    Attributes
    ----------
    text : str or None
        None if it was withheld.
    cut_off : bool
        Whether the token limit ended it.
    withheld : str or None
        Why there is no text, and never will be.
    """

    text: str | None
    cut_off: bool = False
    withheld: str | None = None


class Reply(NamedTuple):
    """The usable part of a server's reply; missing counts are NaN.

    Attributes
    ----------
    choices : list of Choice
        Complete answers, possibly fewer than requested.
    n_choices : int
        Choices in the reply, including unusable ones.
    answer_tokens : float
        Tokens of answers as the server counts them, possibly of one choice only.
    prompt_tokens : float
        Tokens of the prompt.
    cached_tokens : float
        Prompt tokens that came from the server's cache.
    """

    choices: list
    n_choices: int
    answer_tokens: float
    prompt_tokens: float
    cached_tokens: float


def read_reply(text, n):
    """Read the body of a reply of the chat or text completions endpoint.

    A choice counts if it has a reason for finishing, and either a text or a reason for
    having none. A model that thinks first may use all tokens before any text comes.
    This counts as an empty answer. Answers beyond the `n` requested ones are dropped.
    Raises ErrorReply if no choice counts.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._openai.replies import read_reply
    >>> reply = read_reply(
    ...     '{"choices": [{"finish_reason": "stop", "message": {"content": "75"}},'
    ...     ' {"message": {"content": "7"}}],'
    ...     ' "usage": {"prompt_tokens": 6, "completion_tokens": 3}}',
    ...     n=2,
    ... )
    >>> reply.choices, reply.n_choices
    ([Choice(text='75', cut_off=False, withheld=None)], 2)
    >>> reply.prompt_tokens, reply.cached_tokens
    (6.0, nan)
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise ErrorReply(f"no JSON, but {_excerpt(text)!r}") from None
    listed = _get(body, "choices", list) or []
    choices = [choice for choice in map(_read_choice, listed) if choice is not None]
    if not choices:
        of_choices = [each.get("error") for each in listed if isinstance(each, dict)]
        raise ErrorReply(*_joined_complaints([body, *of_choices]))
    return Reply(choices[:n], len(listed), *_read_usage(body))


def read_refusal(text):
    """Read the body of a reply with the status of an error.

    Parameters
    ----------
    text : str
        The body, JSON or not.

    Returns
    -------
    reason : str
        What it says.
    codes : list
        Codes and types of errors, str or int.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._openai.replies import read_refusal
    >>> read_refusal('{"error": {"message": "too long", "code": "context"}}')
    ('too long', ['context'])
    >>> read_refusal("<h1>Bad Gateway</h1>")
    ('Bad Gateway', [])
    """
    try:
        reason, codes = _joined_complaints(json.loads(text))
    except (ValueError, RecursionError):
        reason, codes = "", []
    return reason or _excerpt(text), codes


def _excerpt(text):
    """The beginning of a text, without the marks of HTML."""
    words = " ".join(re.sub(r"(?s)<[^>]*>", " ", text).split())
    return words[:_LONGEST_EXCERPT]


def _joined_complaints(body):
    """All error messages of a body as one, and all codes."""
    found = list(_complaints(body))
    said = dict.fromkeys(sentence for sentence, _ in found if sentence)
    return ": ".join(said), [code for _, code in found if code is not None]


def _read_choice(choice):
    """A Choice, or None if the answer must be requested again."""
    finish = (_get(choice, "finish_reason", str) or "").lower()
    if not finish or finish in _BROKEN_OFF:
        return None
    if finish.startswith(_FILTERED):
        return Choice(None, withheld="its content filter withheld the answer")
    message = _get(choice, "message", dict) or {}
    text = _joined(message.get("content"))
    if text is None:
        text = _get(choice, "text", str)
    text = text or _get(message, "refusal", str) or text
    if not text and (message.get("tool_calls") or message.get("function_call")):
        return Choice(None, withheld="the model called a tool in place of an answer")
    cut_off = finish in _CUT_OFF
    thought = message.get("reasoning_content") or message.get("reasoning")
    if text is None and (cut_off or thought):
        text = ""
    return None if text is None else Choice(text, cut_off)


def _joined(content):
    """Text of a message. Some servers send it in parts."""
    if isinstance(content, list):  # thoughts have another type
        parts = [_get(part, "text", str) for part in content if _is_text(part)]
        return "".join(part for part in parts if part is not None)
    return content if isinstance(content, str) else None


def _is_text(part):
    return isinstance(part, dict) and part.get("type", "text") in _TEXTS


def _complaints(body):
    """Yield error messages of a body as (message, None), and codes as (None, code)."""
    if isinstance(body, str):
        yield body, None
    elif isinstance(body, list):
        for each in body:
            yield from _complaints(each)
    elif isinstance(body, dict):
        for key in _SAID:
            yield from _complaints(body.get(key))
        yield from ((None, body[key]) for key in _CODES if key in body)


def _read_usage(body):
    """Tokens of the answers, of the prompt, and of the prompt from the cache."""
    usage = _get(body, "usage", dict)
    prompt = _count(usage, "prompt_tokens")
    answers = _count(usage, "completion_tokens")
    details = _get(usage, "completion_tokens_details", dict)
    thinking = _count(details, "reasoning_tokens")
    # Some servers do not count tokens of thinking as answer tokens, but charge them.
    if _count(usage, "total_tokens") == prompt + answers + thinking:
        answers += thinking
    places = (
        (_get(usage, "prompt_tokens_details", dict), "cached_tokens"),
        (usage, "prompt_cache_hit_tokens"),
        (usage, "cached_tokens"),
        (_get(body, "timings", dict), "cache_n"),
    )
    counts = [_count(place, key, least=0) for place, key in places]
    cached = next((count for count in counts if count <= prompt), np.nan)
    return answers, prompt, cached


def _count(mapping, key, least=1):
    """A number of tokens, or NaN. A count of 0 means that there is no count."""
    value = mapping.get(key) if isinstance(mapping, dict) else None
    valid = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if valid and least <= value < _TOO_MANY else np.nan


def _get(mapping, key, kind):
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if isinstance(value, kind) else None


def covers_all(single, several, limit):
    """Whether the usage of a reply with several choices counts all of them.

    Some servers count only one choice. The numbers show this only if all answers have
    equally many tokens. This is assumed if the limit of tokens cut them all off, or if
    their texts have equal lengths. `single` and `several` are replies to the same
    prompt, with one choice and with more. False also means that it is unknown.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._openai.replies import Choice, Reply, covers_all
    >>> cut_off = Choice("The", cut_off=True)
    >>> single = Reply([cut_off], 1, 1.0, 9.0, 0.0)
    >>> covers_all(single, Reply([cut_off] * 2, 2, 2.0, 9.0, 8.0), limit=1)
    True
    >>> covers_all(single, Reply([cut_off] * 2, 2, 1.0, 9.0, 8.0), limit=1)
    False
    """
    choices = single.choices + several.choices
    if len(several.choices) < 2 or any(choice.withheld for choice in choices):
        return False
    all_cut_off = all(choice.cut_off for choice in choices)
    one_length = len({len(choice.text) for choice in choices}) == 1
    return (
        ((all_cut_off and single.answer_tokens <= limit) or one_length)
        and several.answer_tokens == several.n_choices * single.answer_tokens
        and several.prompt_tokens == single.prompt_tokens
    )


def share_tokens(total, answers):
    """Divide the tokens of a reply among its answers, in proportion to their lengths.

    Servers report one sum. Each answer counts one character more than it has, for its
    end token. The shares add up to `total`, which is NaN if unknown.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._openai.replies import share_tokens
    >>> share_tokens(10, ["75", "", "65"])
    [4.0, 2.0, 4.0]
    """
    if len(answers) < 2:
        return [float(total)] * len(answers)
    ends = np.cumsum([len(answer) + 1 for answer in answers])
    return np.diff(np.rint(ends * total / ends[-1]), prepend=0.0).tolist()


def seconds_to_wait(attempt, headers=None):
    """Seconds until the next attempt: doubled each time, or as the server asks.

    `attempt` is the number of failed attempts before. A Retry-After in `headers` is a
    number of seconds or a date.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._openai.replies import seconds_to_wait
    >>> seconds_to_wait(2), seconds_to_wait(0, {"retry-after": "7"})
    (2.0, 7.0)
    """
    own = min(_FIRST_WAIT * 2.0**attempt, _LONGEST_WAIT)
    return max(own, seconds_asked(headers) or 0.0)


def seconds_asked(headers):
    """Seconds that a server asks to wait, None if it does not.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._openai.replies import seconds_asked
    >>> seconds_asked({"retry-after": "7"}), seconds_asked({})
    (7.0, None)
    """
    asked = (headers or {}).get("retry-after")
    if asked is None:
        return None
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except ValueError:
            return None
    return seconds if math.isfinite(seconds) else None
