"""From the options of the command to a report: read, choose, measure, say."""

import sys

import numpy as np
from tqdm import tqdm

from sklearn_adaalloc._utils.rewards import has_decoders
from sklearn_adaalloc._version import __version__
from sklearn_adaalloc.command_line._features import (
    featurizer,
    read_features,
    readable,
    resolve_features,
)
from sklearn_adaalloc.command_line._options import columns_of
from sklearn_adaalloc.command_line._reading import read_graded
from sklearn_adaalloc.command_line.report.evaluation import Settings, evaluate
from sklearn_adaalloc.command_line.report.menus import evaluate_menu
from sklearn_adaalloc.command_line.report.sentences import sentences

_FEW_QUERIES = 20


def make_report(options):
    """Measure what the options ask for.

    Parameters
    ----------
    options : Namespace
        Of the command `report`.

    Returns
    -------
    report : dict
        All figures and sentences, in types that JSON has.
    table : RewardTable
        What was measured on.
    drawn : dict
        Arrays for pictures.

    Raises
    ------
    ValueError
        If the files do not hold what is needed.
    """
    progress = tqdm(file=sys.stderr, disable=None, leave=False, bar_format="{desc}")
    with progress:
        progress.set_description_str("reading")
        graded = read_graded(options.table, columns_of(options))
        table = graded.table
        _check(table, options, len(graded.queries))
        settings = Settings(
            selection=options.selection,
            unit=options.unit or ("samples" if table.costs is None else "cost"),
            budgets=options.budget,
            n_folds=options.folds or (5 if len(table) <= 1000 else 3),
            features=resolve_features(options.features, graded),
            random_state=options.random_state,
            advance=progress.set_description_str,
        )
        features_of = _features_of(settings, graded, options.chat)
        several = has_decoders(table)
        measure = evaluate_menu if several else evaluate
        figures, drawn = measure(features_of, table, settings)
    report = {
        "title": f"What adaptive budgets would give: {_name(options.table)}",
        "version": __version__,
        "selection": settings.selection,
        "unit": settings.unit,
        "unit_name": "answers" if settings.unit == "samples" else _unit(options),
        "features": settings.features,
        "folds": settings.n_folds,
        "random_state": settings.random_state,
        "has_costs": table.costs is not None,
        "has_answers": table.codes is not None,
        "figures": figures,
        "notes": [*graded.notes, _how(settings)],
    }
    report["findings"], report["advice"] = sentences(report)
    return report, table, drawn


def _check(table, options, n_queries):
    if n_queries < _FEW_QUERIES:
        raise ValueError(
            f"{_name(options.table)}: graded queries: {n_queries}. Expected at least "
            f"{_FEW_QUERIES}: with fewer there is nothing to measure on."
        )
    needed = {"vote": table.codes, "score": table.scores}
    if needed.get(options.selection, 0) is None:
        role = {"vote": "labels to vote on", "score": "scores"}[options.selection]
        option = {"vote": "answer", "score": "score"}[options.selection]
        raise ValueError(
            f"--selection {options.selection} needs {role}, and the table has none. "
            f"Name their column with --{option}."
        )
    if has_decoders(table) and options.selection != "reward":
        raise ValueError(
            f"--selection {options.selection} is not accepted for a table of several "
            "decoders. Report on one decoder at a time, or leave it out."
        )
    if options.unit == "cost" and table.costs is None:
        raise ValueError(
            "--unit cost needs costs, and the table has none. Name their column with "
            "--cost."
        )


def _name(paths):
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def _unit(options):
    """What costs are called: their column, if it was named."""
    named = options.cost is not None and options.cost != "none"
    return options.cost if named else "units of cost"


def _features_of(settings, graded, chat):
    """A function that gives features of the rows to learn from and of the others."""
    name, n_queries = settings.features, len(graded.queries)
    if name == "none":
        X = np.zeros((n_queries, 1))
    elif name.endswith(".npy"):
        X = read_features(name, n_queries)
    elif name == "text":
        texts = readable(name, graded.queries)

        def fitted(train, test):
            seen = [texts[row] for row in train]
            model = featurizer("text", seen)
            return model.fit_transform(seen), model.transform([texts[i] for i in test])

        return fitted
    else:
        settings.advance("hidden states of the queries")
        queries = readable(name, graded.queries)
        X = featurizer(name, queries, chat=chat).fit_transform(queries)
    return lambda train, test: (X[train], X[test])


def _how(settings):
    return (
        f"Each query was decided by policies that were learnt from others "
        f"({settings.n_folds} parts, each held out in turn; features: "
        f"{settings.features}). Intervals are 95 % and by a bootstrap over queries. "
        f"Seed {settings.random_state}."
    )
