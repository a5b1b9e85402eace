"""From the options of the command `serve` to an application that runs."""

import asyncio
import os
import re
import sys
from functools import partial

from sklearn_adaalloc.command_line._collecting import load_function
from sklearn_adaalloc.command_line._configuration import UsageError
from sklearn_adaalloc.persistence import load_policy
from sklearn_adaalloc.sampling import OpenAISampler
from sklearn_adaalloc.sampling._openai.probing import probe
from sklearn_adaalloc.serving import create_app
from sklearn_adaalloc.serving._running import run_app

KEY = "ADAALLOC_API_KEY"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(options):
    """Run the endpoint that the options describe.

    Parameters
    ----------
    options : Namespace
        Of the command `serve`.

    Raises
    ------
    UsageError
        If options do not fit together.
    ValueError
        If the policy, a server's address or the reward is not as it should be, or if a
        server refuses the key or does not have the model.
    ConnectionError
        If a server does not answer.
    """
    samplers = samplers_of(options)
    if not options.no_probe:
        named = samplers if isinstance(samplers, dict) else {"": samplers}
        asyncio.run(_probe_all(named.values()))
    if not _key() and options.host not in _LOOPBACK:
        _say(f"everyone who reaches {options.host} is let in: {KEY} is not set")
    run_app(
        partial(make_app, options),
        host=options.host,
        port=options.port,
        n_workers=options.workers,
        patience=options.deadline,
        announce=lambda address: _say(f"{options.model} answers at {address}"),
    )


def make_app(options):
    """Make the application that the options describe; see :func:`serve`."""
    app = create_app(
        load_policy(options.policy),
        samplers_of(options),
        _reward(options.reward),
        model=options.model,
        state=options.state,
        default_answer=options.default_answer,
        api_key=_key(),
        deadline=options.deadline,
        max_body=options.max_body,
        max_in_flight=options.max_in_flight,
        max_queue=options.max_queue,
    )
    has_stream = app.state.answerer.stream is not None
    if options.workers > 1 and has_stream and options.state is None:
        raise UsageError(
            f"--workers {options.workers} needs --state FILE: without it, each process "
            "would keep a budget of its own."
        )
    return app


def _key():
    return os.environ.get(KEY, "").strip() or None


async def _probe_all(samplers):
    for sampler in samplers:
        await probe(sampler)


def samplers_of(options):
    """The sampler of the only server, or those of the decoders by name.

    Parameters
    ----------
    options : Namespace
        Of the command `serve`.

    Returns
    -------
    samplers : OpenAISampler or dict of str to OpenAISampler
    """
    if (options.upstream is None) == (options.decoder is None):
        raise UsageError(
            "Expected either --upstream URL, for a policy with one decoder, or "
            "--decoder with NAME=URL,MODEL for each decoder of the policy."
        )
    shared = {
        "temperature": options.temperature,
        "max_new_tokens": options.max_new_tokens,
        "max_concurrency": options.max_concurrency,
        "timeout": options.timeout,
        "max_retries": options.max_retries,
    }
    if options.upstream is not None:
        return _sampler(
            options.upstream, options.model, api_key_env=options.api_key_env, **shared
        )
    samplers = {}
    for text in options.decoder:
        name, is_there, place = text.partition("=")
        url, comma, model = place.partition(",")
        if not (name and is_there and url and comma and model) or name in samplers:
            raise UsageError(
                f"--decoder {text} is not accepted. Expected NAME=URL,MODEL, each name "
                "once."
            )
        variable = f"{options.api_key_env}_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
        samplers[name] = _sampler(url, model, api_key_env=variable, **shared)
    return samplers


def _sampler(url, model, **parameters):
    sampler = OpenAISampler(url, model, **parameters)
    _ = sampler.settings  # raises for an address that is none
    return sampler


def _reward(name):
    return name if name in ("vote", "math", "code") else load_function(name)


def _say(text):
    print(f"adaalloc: {text}", file=sys.stderr, flush=True)
