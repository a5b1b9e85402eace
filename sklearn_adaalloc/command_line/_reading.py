"""Graded answers from whatever file holds them."""

from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc._utils.rewards import has_decoders
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.command_line._columns import find_columns, samples_of
from sklearn_adaalloc.curves._table import RewardTable
from sklearn_adaalloc.datasets import (
    read_eval_records,
    read_inspect_logs,
    read_lm_eval_samples,
)
from sklearn_adaalloc.datasets._logs.formats import file_format, read_any_rows
from sklearn_adaalloc.datasets._logs.rows import short_list
from sklearn_adaalloc.datasets._logs.table import table_of

# Fields by which the rows of tools are known.
_LM_EVAL = {"doc_id", "arguments", "filtered_resps"}
_EVAL_RECORD = {"schema_version", "evaluation_name", "evaluation"}
_INSPECT = {"eval", "status"}


class GradedAnswers(NamedTuple):
    """What was read.

    Parameters
    ----------
    queries : list of n_queries str or lists of dict
        Texts or chats; what the table calls its queries if it has no texts.
    has_texts : bool
        Whether `queries` are texts or chats.
    table : RewardTable
        Rewards and what else is known.
    notes : list of str
        Sentences that say what was read as what, and what was left out.
    """

    queries: list
    has_texts: bool
    table: RewardTable
    notes: list


def read_graded(paths, columns):
    r"""Read graded answers, their format found by what is in the files.

    Parameters
    ----------
    paths : list of str
        Files of one kind: rows, a store, or logs of an evaluation tool.
    columns : dict of str to (str or None)
        Names that the user gave, by role: "query", "reward", "cost", "answer", "score",
        "decoder". None is found by its name, "none" is left out. For logs of tools,
        "reward" is the name of the metric, scorer or result; for a store, a part of the
        settings of the reward function.

    Returns
    -------
    graded : GradedAnswers

    Raises
    ------
    ValueError
        If a file cannot be read, or has no graded answers.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.command_line._reading import read_graded
    >>> rows = "question,correct\n2+3=,1\n2+3=,0\n"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "answers.csv")
    ...     _ = path.write_text(rows)
    ...     graded = read_graded([str(path)], {})
    >>> graded.queries, graded.table
    (['2+3='], RewardTable(1 queries, 2 samples))
    """
    kind = _kind(paths[0])
    for path in paths[1:]:
        if _kind(path) != kind:
            raise ValueError(
                f"{path} is of another kind than {paths[0]}. Expected files of one "
                "kind: read them one after the other."
            )
    if kind == "rows":
        graded = _from_rows(paths, columns)
    elif kind == "store":
        graded = _from_store(paths, columns)
    else:
        graded = _from_logs(kind, paths, columns)
    return _without_useless_answers(graded, forced=_given(columns, "answer"))


def _kind(path):
    """The kind of a file: "rows", "store", or the tool that wrote it."""
    name = file_format(path)
    if name == "sqlite":
        return "store"
    if name == "zip":
        return "inspect_ai"
    if name == "json":
        try:
            next(iter(read_any_rows(path)), None)
        except ValueError as error:
            if "'eval'" in str(error):
                return "inspect_ai"
            raise
        return "rows"
    fields = set()
    if name != "csv":
        _, row = next(iter(read_any_rows(path)), (None, {}))
        fields = set(row)
    tools = {
        "lm_eval": _LM_EVAL,
        "Every Eval Ever": _EVAL_RECORD,
        "inspect_ai": _INSPECT,
    }
    return next((tool for tool, own in tools.items() if own <= fields), "rows")


def _given(columns, role):
    """What the user named for a role; None if nothing, or to leave it out."""
    name = columns.get(role)
    return None if name == "none" else name


def _from_rows(paths, columns):
    rows = chain.from_iterable(map(read_any_rows, paths))
    first = list(islice(rows, 200))
    source = short_list(paths)
    if not first:
        raise ValueError(f"{source} has no rows. Expected one row per answer.")
    found = find_columns([row for _, row in first], columns, source)
    samples = list(samples_of(chain(first, rows), found))
    queries, table = table_of(samples, source=source)
    read = ", ".join(f"{role} from {name!r}" for role, name in found.named())
    n_read = len({repr(sample.query) for sample in samples})
    notes = [f"Read {read}.", *_left_out(n_read, table)]
    return GradedAnswers(queries, found.has_texts, table, notes)


def _from_logs(kind, paths, columns):
    named = _given(columns, "reward")
    cost = None if columns.get("cost") == "none" else "tokens"
    if kind == "inspect_ai":
        answer = None if columns.get("answer") == "none" else "extracted"
        queries, table = read_inspect_logs(
            paths,
            scorer=named,
            cost=cost,
            answer=answer,
            score=_given(columns, "score"),
        )
    elif kind == "lm_eval":
        queries, table = read_lm_eval_samples(
            paths, metric=named, filter=columns.get("filter")
        )
    else:
        queries, table = read_eval_records(paths, result=named, cost=cost)
    return GradedAnswers(queries, True, table, [f"Read as a log of {kind}."])


def _from_store(paths, columns):
    if len(paths) > 1:
        raise ValueError(
            f"{paths[1]} is a second store. Expected one: collect_rewards fills one "
            "store with several decoders."
        )
    notes = ["Read as a store of collect_rewards."]
    with RewardStore(paths[0]) as store:
        found = {role: store.settings(role) for role in ("sampler", "reward")}
        graders = _named_by(found["reward"], _given(columns, "reward"), paths[0])
        samplers = found["sampler"]
        if not samplers or not graders:
            raise ValueError(
                f"{paths[0]} is a store without graded answers. Expected one that "
                "`adaalloc collect` or collect_rewards has filled."
            )
        own = {"reward_settings": graders[0]}
        if len(samplers) > 1:
            own["decoders"] = dict(zip(_names(samplers), samplers, strict=True))
        queries, table = store.to_table(**own)
    if len(samplers) == 1 and (model := samplers[0].get("model")):
        table.decoders = [str(model)]  # a policy that learns from it will know
    if has_decoders(table):  # queries that one of them did not answer teach nothing
        answered = np.isfinite(table.rewards).any(axis=2).all(axis=1)
        rows = np.flatnonzero(answered)
        n_read = len(queries)
        queries, table = [queries[row] for row in rows], table[rows]
        notes += _left_out(n_read, table)
    return GradedAnswers(queries, True, table, notes)


def _left_out(n_read, table):
    """A note on queries that are not in the table, if there are any."""
    n_missing = n_read - len(table)
    if n_missing <= 0:
        return []
    each = " of each decoder" if has_decoders(table) else ""
    return [
        f"Left out: {n_missing:,} of {n_read:,} queries, for want of a graded answer"
        f"{each}."
    ]


def _named_by(graders, part, path):
    if part is not None:
        graders = [own for own in graders if part in str(own)]
    if len(graders) == 1 or (not graders and part is None):
        return graders
    raise ValueError(
        f"{path} has the grades of {len(graders)} reward functions"
        f"{'' if part is None else f' with {part!r} in their settings'}. Expected one: "
        "name a part of its settings with --reward."
    )


def _names(samplers):
    """Names of decoders: their models, or numbers where those are not distinct."""
    names = [str(settings.get("model", "")) for settings in samplers]
    if len(set(names)) == len(names) and all(names):
        return names
    return [f"decoder {number}" for number in range(1, len(samplers) + 1)]


def _without_useless_answers(graded, *, forced):
    """Leave out labels on which no vote can be taken."""
    reason = _why_no_vote(graded.table)
    if reason is None:
        return graded
    if forced:
        raise ValueError(
            f"--answer {forced}: {reason}. Expected the label that each answer comes "
            "to, such as the final number; or leave it out with --answer none."
        )
    table = graded.table
    table = RewardTable(
        table.rewards,
        costs=table.costs,
        scores=table.scores,
        decoders=table.decoders,
    )
    note = f"Labels are left out: {reason}."
    return graded._replace(table=table, notes=[*graded.notes, note])


def _why_no_vote(table):
    if table.codes is None:
        return None
    codes = table.codes.reshape(len(table), -1)
    rewards = table.rewards.reshape(len(table), -1)
    mixed, alike = 0, 0
    for own, graded in zip(codes, rewards, strict=True):
        given = own >= 0
        labels, where = np.unique(own[given], return_inverse=True)
        sums = np.bincount(where, graded[given])
        counts = np.bincount(where)
        alike += len(labels) < given.sum()
        right = sums == counts
        mixed += bool((~right & (sums != 0)).any())
    if mixed > len(table) / 2:
        return (
            "equal ones are graded differently, so they are no labels of the answers "
            "that were graded"
        )
    if alike == 0:
        return "no two answers to a query have the same"
    return None
