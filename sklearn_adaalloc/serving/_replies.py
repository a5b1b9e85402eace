"""Bodies of replies in the form of OpenAI's protocol."""

import json
import math

_OBJECTS = {"chat": "chat.completion", "text": "text_completion"}


def make_body(asked, choices, *, identity, created, model):
    """Make the body of a reply.

    Parameters
    ----------
    asked : Asked
        The request.
    choices : list of Choice
        Answers to it.
    identity : str
        Name of the reply.
    created : int
        When it was made, in seconds.
    model : str
        Name of the model.

    Returns
    -------
    body : dict
    """
    body = {
        "id": identity,
        "object": _OBJECTS[asked.kind],
        "created": created,
        "model": model,
        "choices": [
            {
                "index": index,
                "finish_reason": choice.finish_reason,
                "logprobs": None,
                **_content(choice, asked.kind, "message"),
            }
            for index, choice in enumerate(choices)
        ],
        "adaalloc": _told(choices),
    }
    usage = _usage(choices)
    return body if usage is None else {**body, "usage": usage}


def make_events(asked, choices, *, identity, created, model):
    """Make the events of a reply that is streamed.

    Parameters
    ----------
    asked, choices, identity, created, model
        As for :func:`make_body`.

    Yields
    ------
    event : str
        One line of data, and an empty one.
    """
    kind = asked.kind
    name = "chat.completion.chunk" if kind == "chat" else "text_completion"
    common = {"id": identity, "object": name, "created": created, "model": model}
    if asked.include_usage:
        common["usage"] = None
    for index, choice in enumerate(choices):
        content = _content(choice, kind, "delta")
        at = {"index": index, "logprobs": None}
        yield _event({**common, "choices": [{**at, "finish_reason": None, **content}]})
        nothing = {"delta": {}} if kind == "chat" else {"text": ""}
        end = {**at, "finish_reason": choice.finish_reason, **nothing}
        last = index == len(choices) - 1
        told = {"adaalloc": _told(choices)} if last else {}
        yield _event({**common, "choices": [end], **told})
    if asked.include_usage:
        yield _event({**common, "choices": [], "usage": _usage(choices)})
    yield "data: [DONE]\n\n"


def _content(choice, kind, name):
    if kind == "text":
        return {"text": choice.text}
    return {name: {"role": "assistant", "content": choice.text}}


def _told(choices):
    """What was decided, of several choices also all together."""
    if len(choices) == 1:
        return choices[0].told
    return {
        "samples": sum(choice.told["samples"] for choice in choices),
        "choices": [choice.told for choice in choices],
    }


def _usage(choices):
    """All that was paid for; None if a server did not say."""
    prompt = sum(choice.prompt_tokens for choice in choices)
    answers = sum(choice.answer_tokens for choice in choices)
    if math.isnan(prompt + answers):
        return None
    return {
        "prompt_tokens": int(prompt),
        "completion_tokens": int(answers),
        "total_tokens": int(prompt + answers),
    }


def _event(content):
    return f"data: {json.dumps(content)}\n\n"
