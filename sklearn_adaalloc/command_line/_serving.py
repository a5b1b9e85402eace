"""From the options of the command `serve` to an application that runs."""

import asyncio
import os
import re
from functools import partial

import numpy as np

from sklearn_adaalloc._utils.queries import text_of
from sklearn_adaalloc.command_line._collecting import load_function
from sklearn_adaalloc.command_line._configuration import UsageError
from sklearn_adaalloc.command_line._messages import say
from sklearn_adaalloc.language_models._model import has_chat_template
from sklearn_adaalloc.persistence import load_policy
from sklearn_adaalloc.sampling import OpenAISampler, TransformersSampler
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
    if options.demo:
        add_demonstration(options)
    elif options.policy is None:
        raise UsageError(
            "POLICY is missing. Expected the folder of a policy that `adaalloc fit` "
            "has saved. Only --demo does without."
        )
    if not _key() and options.host not in _LOOPBACK:
        say(f"everyone who reaches {options.host} is let in: {KEY} is not set")
    run_app(
        partial(make_app, options),
        check=partial(_probe, options),
        host=options.host,
        port=options.port,
        n_workers=options.workers,
        patience=options.deadline,
        announce=lambda address: say(f"{options.model} answers at {address}"),
    )


def make_app(options):
    """Make the application that the options describe; see :func:`serve`."""
    app = create_app(
        _policy(options),
        samplers_of(options),
        _reward(options.reward),
        model=options.model,
        state=options.state,
        default_answer=options.default_answer,
        prices=prices_of(options),
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


def _probe(options):
    """Raise if a server does not answer, or not with this key and model."""
    if options.no_probe:
        return
    samplers = samplers_of(options)
    named = samplers if isinstance(samplers, dict) else {"": samplers}
    for sampler in named.values():
        if isinstance(sampler, OpenAISampler):  # others are of this process
            asyncio.run(probe(sampler))


def samplers_of(options):
    """The sampler of the only server, or those of the decoders by name.

    Parameters
    ----------
    options : Namespace
        Of the command `serve`.

    Returns
    -------
    samplers : OpenAISampler, TransformersSampler or dict of str to these

    Raises
    ------
    UsageError
        If options are missing or exclude each other.
    """
    for name in ("model", "reward"):
        if getattr(options, name) is None:
            raise UsageError(
                f"--{name} is missing. Only --demo does without, which shows the "
                "endpoint with the model that comes with the package."
            )
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


def prices_of(options):
    """What samples cost, as `create_app` takes it; None if no price is given.

    Parameters
    ----------
    options : Namespace
        Of the command `serve`.

    Returns
    -------
    prices : dict, tuple of two float, float or None

    Raises
    ------
    UsageError
        If a price is no number or pair of numbers, or a decoder has two.

    Examples
    --------
    >>> from argparse import Namespace
    >>> from sklearn_adaalloc.command_line._serving import prices_of
    >>> given = ["small=0.1,0.4", "large=3"]
    >>> prices_of(Namespace(decoder=["..."], price=given))
    {'small': (0.1, 0.4), 'large': 3.0}
    """
    if options.price is None:
        return None
    pairs = []
    for text in options.price:
        name, _, numbers = text.rpartition("=")
        try:
            price = tuple(map(float, numbers.split(",")))
        except ValueError:
            price = ()
        known = [each for each, _ in pairs]
        if len(price) not in (1, 2) or bool(name) != bool(options.decoder):
            raise UsageError(
                f"--price {text} is not accepted. Expected PROMPT,ANSWER, the price of "
                "a token of a prompt and that of a token of an answer, or ANSWER, the "
                "price of an answer; with --decoder, NAME= before it."
            )
        if name in known:
            raise UsageError(f"--price {text} is the second for it. Expected one each.")
        pairs.append((name, price if len(price) == 2 else price[0]))
    return dict(pairs) if options.decoder else pairs[0][1]


def add_demonstration(options):
    """Fill what is not given with the embedded model, its tasks and their verdicts.

    Parameters
    ----------
    options : Namespace
        Of the command `serve`; it is changed.
    """
    options.model = options.model or "embedded"
    options.reward = options.reward or (
        "sklearn_adaalloc.command_line._serving:grade_tasks"
    )
    if options.decoder is None:
        options.upstream = options.upstream or "embedded"


def demonstration_policy():
    """A policy for the tasks of the embedded model, learnt in some seconds.

    Returns
    -------
    policy : Pipeline
        Takes texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    from sklearn_adaalloc import RewardRegressor, StreamAllocator
    from sklearn_adaalloc.datasets import load_arithmetic

    data = load_arithmetic("math")
    policy = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True),
        StreamAllocator(RewardRegressor(Ridge()), budget=4, random_state=0),
    )
    return policy.fit(data.queries_train, data.rewards_train)


def grade_tasks(queries, answers):
    """Grade tasks of the embedded model; nobody can say of others what is right.

    Parameters
    ----------
    queries : list of n_queries str or lists of dict
        Texts or chats.
    answers : list of n_queries lists of str
        Any number of answers to each.

    Returns
    -------
    rewards : list of n_queries ndarrays
        0 or 1; NaN for what is no task.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._serving import grade_tasks
    >>> grade_tasks(["2+3=", "Who are you?"], [["5", "6"], ["Me."]])
    [array([1., 0.]), array([nan])]
    """
    return [
        _grade_task(text_of(query), row)
        for query, row in zip(queries, answers, strict=True)
    ]


def _grade_task(text, row):
    from sklearn_adaalloc.datasets import grade_arithmetic

    try:
        return np.asarray(grade_arithmetic([text], [row])[0], dtype=np.float64)
    except ValueError:
        return np.full(len(row), np.nan)


def _policy(options):
    if options.policy is None:
        return demonstration_policy()
    return load_policy(options.policy)


def _sampler(place, model, **parameters):
    """A sampler of a server, or of a model in this process."""
    if "://" in place:
        sampler = OpenAISampler(place, model, **parameters)
        _ = sampler.settings  # raises for an address that is none
        return sampler
    own = {name: parameters[name] for name in ("temperature", "max_new_tokens")}
    return TransformersSampler(place, chat_template=has_chat_template(place), **own)


def _reward(name):
    if name in ("vote", "math", "code") or name.startswith("model:"):
        return name
    if ":" not in name:
        raise UsageError(
            f"--reward {name} is not accepted. Expected vote, math, code, model:NAME, "
            "or module:function."
        )
    return load_function(name)
