"""What a request asks for, read from its body and checked."""

import json
import math
from typing import NamedTuple

from sklearn_adaalloc._utils.queries import check_queries
from sklearn_adaalloc.serving._errors import ApiError, bad_request

MOST_CHOICES = 128
# Fields of a body -> parameters of the sampler.
_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "stop": "stop",
    "seed": "random_state",
}
_OWN = {"model", "messages", "prompt", "n", "stream", "stream_options", "adaalloc"}
# What an answer that is chosen among others cannot have.
_REFUSED = (
    *("tools", "functions", "logprobs", "top_logprobs", "echo", "audio"),
    "best_of",  # samples of which nobody would know
)
_MOST_SAMPLES = 2**31 - 1  # of a choice, as decoders take it
_WISHES = {"reference", "tests", "max_samples", "explain"}


class Wishes(NamedTuple):
    """The field ``adaalloc`` of a body.

    Attributes
    ----------
    reference : str or None
        The right answer.
    tests : object or None
        Tests of a program, as :class:`~sklearn_adaalloc.rewards.CodeVerifier` takes
        them.
    max_samples : int or None
        Largest number of samples.
    explain : bool
        Whether the reply says why.
    """

    reference: str | None = None
    tests: object = None
    max_samples: int | None = None
    explain: bool = False


class Asked(NamedTuple):
    """A request.

    Attributes
    ----------
    queries : list of str or lists of dict
        What is to be answered: one query, or the prompts of ``/v1/completions``.
    kind : {"chat", "text"}
        Which of the two routes.
    n : int
        Number of choices for each query.
    stream : bool
        Whether the reply is a stream of events.
    include_usage : bool
        Whether that stream ends with the tokens.
    parameters : dict
        Parameters of the samplers that this request changes.
    wishes : Wishes
    """

    queries: list
    kind: str
    n: int
    stream: bool
    include_usage: bool
    parameters: dict
    wishes: Wishes


def read_request(content, kind, model):
    """Read the body of a request.

    Parameters
    ----------
    content : bytes
        The body.
    kind : {"chat", "text"}
        Which of the two routes.
    model : str
        Name of the model that there is.

    Returns
    -------
    asked : Asked

    Raises
    ------
    ApiError
        If the body is not as it should be, or names another model.

    Examples
    --------
    >>> from sklearn_adaalloc.serving._asking import read_request
    >>> body = b'{"model": "m", "prompt": "2+3=", "top_k": 5}'
    >>> asked = read_request(body, "text", "m")
    >>> asked.queries, asked.n, asked.parameters
    (['2+3='], 1, {'extra_body': {'top_k': 5}})
    """
    body = _read_json(content)
    if not isinstance(body.get("model"), str):
        raise bad_request(f"model is missing. Expected {model!r}.", "model")
    if body["model"] != model:
        raise ApiError(
            404,
            f"model={body['model']!r} does not exist. Expected {model!r}.",
            "model_not_found",
            "model",
        )
    given = {name: value for name, value in body.items() if value is not None}
    if given.get("best_of") == 1:  # as it is anyhow
        del given["best_of"]
    for name in _REFUSED:
        value = given.get(name, False)
        # With logprobs=0, a completion tells the probabilities of its own tokens.
        if value or (name == "logprobs" and value is not False):
            raise bad_request(
                f"{name} is not supported: the answer is chosen among several by its "
                "text. Leave it out.",
                name,
            )
    options = given.get("stream_options", {})
    if not isinstance(options, dict):
        raise bad_request("stream_options is no object.", "stream_options")
    n = _whole(given, "n", 1, most=MOST_CHOICES)
    return Asked(
        _read_chat(given) if kind == "chat" else _read_prompts(given, n),
        kind,
        n,
        _flag(given, "stream"),
        _flag(options, "include_usage"),
        _read_parameters(given),
        _read_wishes(given.get("adaalloc", {})),
    )


def refused_parameter(error):
    """Make an error of a request from that of a sampler, in the request's words.

    Parameters
    ----------
    error : ValueError
        What a sampler said of its parameters; it begins with the name of one.

    Returns
    -------
    error : ApiError

    Examples
    --------
    >>> from sklearn_adaalloc.serving._asking import refused_parameter
    >>> error = refused_parameter(ValueError("random_state='x' is not accepted."))
    >>> error.param, str(error)
    ('seed', "seed='x' is not accepted.")
    """
    parameter, _, rest = str(error).partition("=")
    field = field_of(parameter)
    if field not in _PARAMETERS:
        return bad_request(str(error), None)
    return bad_request(f"{field}={rest}", field)


def field_of(parameter):
    """The field of a request that changes a parameter of the sampler.

    Examples
    --------
    >>> from sklearn_adaalloc.serving._asking import field_of
    >>> field_of("max_new_tokens"), field_of("top_k")
    ('max_tokens', 'top_k')
    """
    fields = [field for field, name in _PARAMETERS.items() if name == parameter]
    return fields[0] if fields else parameter


def _read_json(content):
    try:
        body = json.loads(content, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        message = f"The body is not JSON: {error}."
        raise ApiError(400, message, "invalid_json") from None
    if not isinstance(body, dict):
        message = "The body is not a JSON object."
        raise ApiError(400, message, "invalid_json")
    return body


def _finite(text):
    """A number; not NaN or infinity, which JSON does not have."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def _read_chat(given):
    """The messages; one of a user alone is a text, as policies know it."""
    messages = given.get("messages")
    try:
        [chat] = check_queries([messages])
    except ValueError:
        chat = None
    if not isinstance(chat, list):
        raise bad_request(
            "messages is not accepted. Expected a list of messages with role and "
            "content.",
            "messages",
        )
    [*before, last] = chat
    alone = not before and last.keys() == {"role", "content"}
    if alone and last["role"] == "user" and isinstance(last["content"], str):
        return [last["content"]]
    return [chat]


def _read_prompts(given, n):
    prompts = given.get("prompt")
    prompts = [prompts] if isinstance(prompts, str) else prompts
    texts = isinstance(prompts, list) and all(isinstance(p, str) for p in prompts)
    if not texts or not 1 <= len(prompts) * n <= MOST_CHOICES:
        raise bad_request(
            "prompt is not accepted. Expected a text, or a list of texts: with n, at "
            f"most {MOST_CHOICES} choices in all.",
            "prompt",
        )
    return prompts


def _read_parameters(given):
    parameters = {
        parameter: given[name]
        for name, parameter in _PARAMETERS.items()
        if name in given
    }
    known = {*_OWN, *_PARAMETERS, *_REFUSED}
    extra = {name: value for name, value in given.items() if name not in known}
    return {**parameters, "extra_body": extra} if extra else parameters


def _read_wishes(wishes):
    expected = f"Expected an object with any of {', '.join(sorted(_WISHES))}."
    if not isinstance(wishes, dict) or not wishes.keys() <= _WISHES:
        raise bad_request(f"adaalloc is not accepted. {expected}", "adaalloc")
    given = {name: value for name, value in wishes.items() if value is not None}
    reference = given.get("reference")
    if isinstance(reference, int | float) and not isinstance(reference, bool):
        reference = str(reference)
    is_text = isinstance(reference, str) and reference.strip()
    if not (reference is None or is_text):
        raise bad_request(
            f"reference={reference!r} is not accepted. Expected the right answer as a "
            "text.",
            "adaalloc.reference",
        )
    return Wishes(
        reference,
        given.get("tests"),
        _whole(given, "max_samples", None, most=_MOST_SAMPLES, where="adaalloc."),
        _flag(given, "explain", where="adaalloc."),
    )


def _whole(given, name, default, *, most, where=""):
    value = given.get(name, default)
    if value is default:
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise bad_request(
            f"{name}={value!r} is not accepted. Expected a whole number from 1 to "
            f"{most}.",
            where + name,
        )
    return value


def _flag(given, name, *, where=""):
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise bad_request(
            f"{name}={value!r} is not accepted. Expected true or false.", where + name
        )
    return value
