"""Filling a store as the command `collect` says."""

import os
import sys
from importlib import import_module
from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._utils.queries import query_keys
from sklearn_adaalloc.collect import collect_rewards
from sklearn_adaalloc.command_line._configuration import UsageError
from sklearn_adaalloc.command_line._features import in_template
from sklearn_adaalloc.command_line._files import check_place
from sklearn_adaalloc.command_line._queries import read_queries
from sklearn_adaalloc.datasets._logs.samples import field

# Fields of a row that make an entry of the tests of a program.
_TESTS = ("test", "entry_point", "prompt", "test_list", "test_setup_code")
_TESTS += ("inputs", "outputs", "fn_name")


def collect(options):
    """Sample and grade what the options say.

    Parameters
    ----------
    options : Namespace
        Of the command `collect`.

    Returns
    -------
    told : dict
        Counts: "queries", "graded", and "right", the share of full reward.

    Raises
    ------
    UsageError
        If options do not fit together.
    ValueError
        If a file, a function or an answer is not as it should be.
    """
    check_place(options.store, "--store")
    queries, rows = read_queries(options.queries, options.query)
    reward = _reward(options, queries, rows)
    rewards = collect_rewards(
        queries,
        _sampler(options),
        reward,
        options.n_samples,
        store=options.store,
        progress=sys.stderr.isatty(),
    )
    graded = rewards[np.isfinite(rewards)]
    return {
        "queries": len(queries),
        "graded": len(graded),
        "right": float((graded == 1).mean()) if len(graded) else 0.0,
    }


def _sampler(options):
    from sklearn_adaalloc.sampling import OpenAISampler, TransformersSampler

    shared = {
        "temperature": options.temperature,
        "max_new_tokens": options.max_new_tokens,
        "random_state": options.random_state,
    }
    if not options.sampler.startswith(("http://", "https://")):
        if options.model is not None:
            raise UsageError(
                f"--model {options.model} names the model of a server. Give the "
                f"server's address as --sampler, not {options.sampler!r}, or leave "
                "--model out."
            )
        chat_template = in_template(options.sampler, options.chat)
        return TransformersSampler(
            options.sampler, chat_template=chat_template, **shared
        )
    if options.model is None:
        raise UsageError(
            f"--sampler {options.sampler} is a server. Name its model with --model."
        )
    return OpenAISampler(
        options.sampler,
        options.model,
        completion="text" if options.chat is False else "chat",
        max_concurrency=options.max_concurrency,
        api_key_env=options.api_key_env,
        **shared,
    )


def _reward(options, queries, rows):
    from sklearn_adaalloc.rewards import CodeVerifier, MathVerifier

    keys = query_keys(queries)
    names = [
        query if isinstance(query, str) else key
        for query, key in zip(queries, keys, strict=True)
    ]
    if options.reward == "math":
        if options.reference is None:
            raise UsageError(
                "--reward math needs the right answers. Name their column with "
                "--reference."
            )
        references = _column(rows, options.reference, "reference", options.queries)
        return MathVerifier(dict(zip(names, map(str, references), strict=True)))
    if options.reward == "code":
        if options.tests is not None:
            tests = _column(rows, options.tests, "tests", options.queries)
        else:
            tests = [{k: row[k] for k in _TESTS if k in row} for row in rows]
            for number, found in enumerate(tests, start=1):
                if not found:
                    raise ValueError(
                        f"--reward code needs tests, and row {number} of "
                        f"{options.queries} has none. Expected fields such as test and "
                        "entry_point, or their column, named with --tests."
                    )
        return CodeVerifier(dict(zip(names, tests, strict=True)))
    return load_function(options.reward)


def _column(rows, name, role, path):
    return [
        field(row, name, role, f"row {number} of {path}")
        for number, row in enumerate(rows, start=1)
    ]


def load_function(name):
    """Import a reward function.

    Parameters
    ----------
    name : str
        Module and function, such as ``my_rewards:grade``. The module may lie in the
        current folder.

    Returns
    -------
    function : callable

    Raises
    ------
    UsageError
        If the name has another form.
    ValueError
        If there is no such function.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._collecting import load_function
    >>> load_function("sklearn_adaalloc.datasets:grade_arithmetic").__name__
    'grade_arithmetic'
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UsageError(
            f"--reward {name} is not accepted. Expected math, code, or module:function."
        )
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = import_module(module)
    except ImportError as error:
        raise ValueError(
            f"--reward {name}: {module} cannot be imported: {error}. Expected a module "
            "of the current folder or an installed one."
        ) from error
    function = getattr(found, attribute, None)
    if not callable(function):
        raise ValueError(
            f"--reward {name}: {module} has {short_repr(function)} as {attribute}. "
            "Expected a function of queries and answers."
        )
    return function
