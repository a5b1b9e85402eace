"""A policy from the options of the command `fit`."""

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import make_pipeline

from sklearn_adaalloc._utils.rewards import has_decoders, is_binary
from sklearn_adaalloc.allocators import (
    AdaptiveAllocator,
    BinnedAllocator,
    PricedAllocator,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.command_line._configuration import UsageError
from sklearn_adaalloc.command_line._features import (
    difficulty_model,
    featurizer,
    read_features,
    readable,
    resolve_features,
    rule_of,
)
from sklearn_adaalloc.command_line._options import columns_of
from sklearn_adaalloc.command_line._reading import read_graded
from sklearn_adaalloc.datasets._logs.rows import short_list

ALLOCATORS = {
    "adaptive": AdaptiveAllocator,
    "priced": PricedAllocator,
    "binned": BinnedAllocator,
    "sequential": SequentialAllocator,
    "stream": StreamAllocator,
}

_FEWEST = 2


def fit_policy(options):
    """Fit the policy that the options name.

    Parameters
    ----------
    options : Namespace
        Of the command `fit`.

    Returns
    -------
    policy : estimator
        An allocator, or a pipeline that ends in one and takes texts.
    told : dict
        What was fitted, in types that JSON has.

    Raises
    ------
    UsageError
        If options exclude each other.
    ValueError
        If the table does not fit the policy.
    """
    features = _named_features(options)
    graded = read_graded(options.table, columns_of(options))
    table = graded.table
    if len(table) < _FEWEST:
        raise ValueError(
            f"{short_list(options.table)}: graded queries: {len(table)}. Expected at "
            f"least {_FEWEST}, and some hundred to learn more than an average."
        )
    features = resolve_features(features, graded)
    policy, X = _unfitted(options, features, graded)
    policy.fit(X, table)
    return policy, {
        "policy": ALLOCATORS[options.policy].__name__,
        "budget": options.budget,
        "unit": "answers" if _unit(options, table) == "samples" else "units of cost",
        "features": features,
        "queries": len(table),
        "samples": table.shape[-1],
    }


def _named_features(options):
    if options.model is None:
        return options.features
    if options.features != "auto":
        raise UsageError(
            f"--model {options.model} and --features {options.features} exclude each "
            "other. Give one of them."
        )
    return f"hidden:{options.model}"


def _unit(options, table):
    if options.unit == "cost" and table.costs is None:
        raise ValueError(
            "--unit cost needs costs, and the table has none. Name their column with "
            "--cost."
        )
    return options.unit or ("samples" if table.costs is None else "cost")


def _unfitted(options, features, graded):
    """The policy, and what it is fitted on."""
    table, kind = graded.table, options.policy
    rule = rule_of(table, options.selection)
    if options.min_budget is not None:
        least = options.min_budget
        rule["min_budget"] = least if len(least) > 1 else least[0]
    parameters = {
        "budget": options.budget,
        "random_state": options.random_state,
        **rule,
        "selection": options.selection,
        "unit": _unit(options, table),
    }
    if options.rounds is not None:
        if kind not in ("sequential", "stream"):
            raise UsageError(
                f"--rounds {options.rounds} is not accepted with --policy {kind}, "
                "which decides before there are answers. Leave it out, or use "
                "sequential or stream."
            )
        parameters["n_rounds"] = options.rounds
    rates = options.selection == "reward" and is_binary(table.rewards)
    target = "rate_distribution" if rates else "marginal_rewards"
    model = difficulty_model(
        features,
        target="rate_profiles" if has_decoders(table) else target,
        random_state=options.random_state,
        empty_reward=parameters["empty_reward"],
        selection=options.selection,
    )
    allocator = ALLOCATORS[kind](model, **parameters)
    if features.endswith(".npy"):
        return allocator, read_features(features, len(table))
    if not graded.has_texts:
        return allocator, np.zeros((len(table), 1))
    queries = readable(features, graded.queries)
    if features == "none":  # the average reads nothing of the texts
        steps = HashingVectorizer(n_features=2)
    else:
        steps = featurizer(features, queries, chat=options.chat)
    return make_pipeline(steps, allocator), queries
