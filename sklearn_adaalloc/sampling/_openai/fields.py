"""Bodies of requests to a server."""

import hashlib

from sklearn_adaalloc.sampling._requests import stop_strings

PATHS = {"chat": "chat/completions", "text": "completions"}
# Fields of a request that limit the tokens of an answer.
_LIMITS = ("max_tokens", "max_completion_tokens")


def request_fields(sampler, prompt, key, request):
    """Make the body of a request.

    Parameters
    ----------
    sampler : OpenAISampler
        Its parameters are put in.
    prompt : str or list of dict
        Prompt of the request.
    key : str
        Stands for the prompt in the seed.
    request : Request
        Samples that are wanted.

    Returns
    -------
    fields : dict
        What the body holds; fields that are None are left out.
    """
    fields = {
        "model": sampler.model,
        "temperature": sampler.temperature,
        "top_p": sampler.top_p,
        "max_tokens": sampler.max_new_tokens,
        "stop": stop_strings(sampler.stop) or None,
    }
    extra = dict(sampler.extra_body or {})
    if sampler.completion == "text":
        fields["prompt"] = prompt
    else:
        chat = [{"role": "user", "content": prompt}]
        chat = chat if isinstance(prompt, str) else list(prompt)
        system = [{"role": "system", "content": sampler.system}]
        fields["messages"] = chat if sampler.system is None else system + chat
    if request.limit is not None:
        given = [name for name in _LIMITS if name in extra]
        extra |= dict.fromkeys(given, request.limit)
        if sampler.max_new_tokens is not None or not given:
            fields["max_tokens"] = request.limit
    if request.n > 1:
        fields["n"] = request.n
    elif sampler.random_state is not None:
        fields["seed"] = _seed(sampler.random_state, key, request.first)
    return {name: value for name, value in fields.items() if value is not None} | extra


def _seed(random_state, key, sample):
    """Seed of one sample, below 2**31."""
    digest = hashlib.sha256(f"{random_state} {sample} {key}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
