"""What tests of the OpenAI sampler share: a sampler of a server, and its faults."""

import faulty_server as faulty

from sklearn_adaalloc.sampling import OpenAISampler
from sklearn_adaalloc.sampling._openai import replies

HALF = {
    "no finish_reason": faulty.spoil(finish_reason=...),
    "finish_reason is null": faulty.spoil(finish_reason=None),
    "no message": faulty.spoil(message=...),
    "message is a text": faulty.spoil(message="7"),
    "no content": faulty.spoil(message={"role": "assistant"}),
    "content is null": faulty.spoil(message={"content": None}),
    "half of the JSON": faulty.garble,
    "a list": faulty.body([]),
    "choices is null": faulty.body({"choices": None}),
    "choices are texts": faulty.body({"choices": ["7"]}),
    "an error with status 200": faulty.body({"error": "busy"}),
}


def sampler_of(server, *, model="m", **parameters):
    return OpenAISampler(server.base_url, model, **{"timeout": 5.0, **parameters})


def first(*faults):
    """Fail on the first requests, in this way, and no more."""
    return lambda number, body: faults[number] if number < len(faults) else None


def shorten_waits(monkeypatch, first=0.01):
    """Let a sampler wait for less than a second before it tries again."""
    monkeypatch.setattr(replies, "_FIRST_WAIT", first)
