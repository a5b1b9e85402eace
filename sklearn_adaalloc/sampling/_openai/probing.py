"""Whether a server is there, takes the key, and has the model."""

import json
import re

from sklearn_adaalloc.sampling._openai.client import (
    Client,
    StatusError,
    UnreachableError,
)
from sklearn_adaalloc.sampling._openai.dispatch import Request
from sklearn_adaalloc.sampling._openai.fields import PATHS, request_fields
from sklearn_adaalloc.sampling._openai.replies import ErrorReply, read_reply
from sklearn_adaalloc.sampling._openai.server import Server, read_key

_SHOWN = 10  # names of models


async def probe(sampler):
    """Ask a server for its models, and for one token if that does not tell enough.

    Servers may have no such list, or models that are not on it.

    Parameters
    ----------
    sampler : OpenAISampler
        With its address, key and model.

    Raises
    ------
    ConnectionError
        If the server cannot be reached, or fails.
    ValueError
        If it refuses the key, or does not have the model.
    """
    key = read_key(sampler.api_key_env)
    server = Server(sampler.base_url, key, sampler.api_key_env, sampler.timeout)
    client = Client(sampler.base_url, key, sampler.timeout)
    names = []
    try:
        names = await _list_models(client)
        if sampler.model not in names:
            request = Request(0, 0, 1, limit=1)
            fields = request_fields(sampler, "1", "1", request)
            read_reply(await _post(client, PATHS[sampler.completion], fields), 1)
    except Exception as error:
        problem = server.diagnose(error)
        if _is_no_obstacle(error, problem, names):
            return
        message = f"{problem.message}."
        if names and problem.kind in ("fatal", "refused"):
            more = ", ..." if names[_SHOWN:] else ""
            message += f" Its models are {', '.join(names[:_SHOWN])}{more}."
        if problem.status == 404 and not re.search(r"/v\d+/?$", sampler.base_url):
            message += " Most addresses end with /v1."
        kind = ConnectionError if problem.kind in ("passing", "half") else ValueError
        raise kind(message) from error
    finally:
        await client.close()


async def _post(client, path, fields):
    """Post, once more if the connection was lost: the server may have closed it."""
    try:
        return await client.post(path, fields)
    except UnreachableError:
        return await client.post(path, fields)


async def _list_models(client):
    """Names of the models on the list of a server; none if it has no list."""
    try:
        listed = json.loads(await client.get("models"))["data"]
        return [str(each["id"]) for each in listed]
    except (StatusError, ValueError, TypeError, KeyError, RecursionError):
        return []  # the key may not open it; the answer to a prompt tells more


def _is_no_obstacle(error, problem, names):
    """Whether a server may well answer other prompts, or answer later."""
    if isinstance(error, ErrorReply):
        return not error.reason  # a single token is no answer
    # A prompt may be refused, but not by a server that lists other models.
    return problem.status == 429 or (problem.kind == "refused" and not names)
