"""From samples, whichever log they are from, to queries and a reward table."""

import math
import warnings
from collections import defaultdict
from operator import itemgetter
from reprlib import repr as short_repr
from typing import NamedTuple

from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.queries import query_keys
from sklearn_adaalloc.curves._table import RewardTable


class Sample(NamedTuple):
    """What a log says of one sample.

    Parameters
    ----------
    where : str
        Its place in the log, for messages.
    query : str or list of dict
        Text or chat.
    reward : float
        NaN if it was not graded.
    task : str, default=""
        Task that the query is of.
    number : object, default=None
        What the log calls the query within its task; None where the query itself says
        which it is.
    decoder : str, default=None
        Name of the model.
    cost : float, default=NaN
        NaN if it is not known.
    answer : str or int, default=None
        Label to vote on; None if there is none.
    score : float, default=NaN
        What a reranker sees; NaN if it is not known.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._logs.table import Sample
    >>> Sample("line 1", "2+3=", 1.0).decoder is None
    True
    """

    where: str
    query: object
    reward: float
    task: str = ""
    number: object = None
    decoder: str | None = None
    cost: float = math.nan
    answer: object = None
    score: float = math.nan


def table_of(samples, *, source, decoders=False):
    """Make queries and a table of samples.

    Parameters
    ----------
    samples : iterable of Sample
        In the order in which the table is to have them.
    source : str
        What they were read from, for messages.
    decoders : bool, default=False
        Whether one decoder, too, gets an axis.

    Returns
    -------
    queries : list of str or lists of dict
        Those with a graded sample of each decoder, in the order of the log.
    table : RewardTable

    Raises
    ------
    ValueError
        If there is nothing graded, a query is of two tasks, a task has two queries
        under one number, or costs or scores are known of some samples only.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._logs.table import Sample, table_of
    >>> samples = [Sample("line 1", "2+3=", 1.0), Sample("line 2", "2+3=", 0.0)]
    >>> table_of(samples, source="these lines")
    (['2+3='], RewardTable(1 queries, 2 samples))
    """
    samples = list(samples)
    keys, queries = _number_queries(samples)
    graded = [
        (key, sample)
        for key, sample in zip(keys, samples, strict=True)
        if not math.isnan(sample.reward)
    ]
    if not graded:
        raise ValueError(
            f"{source} has no graded sample among {len(samples)}. Expected rewards of "
            "samples: score the log first, or name another score."
        )
    names = {sample.decoder for sample in samples}
    answered = defaultdict(set)
    for key, sample in graded:
        answered[key].add(sample.decoder)
    kept = [(key, sample) for key, sample in graded if answered[key] == names]
    kept.sort(key=itemgetter(0))  # queries in the order of the log, graded or not
    if not kept:
        raise ValueError(
            f"{source} has no query with a graded sample of each of {sorted(names)}. "
            "Expected logs of the same queries: read those of one model alone."
        )
    columns = {
        "query": [key for key, _ in kept],
        "reward": [sample.reward for _, sample in kept],
        "decoder": [sample.decoder for _, sample in kept],
        "cost": _known_numbers(kept, "cost"),
        "answer": [sample.answer for _, sample in kept],
        "score": _known_numbers(kept, "score"),
    }
    known = {
        name: values
        for name, values in columns.items()
        if any(value is not None for value in values)
    }
    if len(names) == 1 and not decoders:
        known.pop("decoder", None)
    pandas = import_optional("pandas", extra="datasets")
    roles = {name: name for name in known}
    table = RewardTable.from_frame(pandas.DataFrame(known, dtype=object), **roles)
    _say_what_is_left_out(
        source, len(samples) - len(graded), len(queries) - len(dict(kept)), names
    )
    return [queries[key] for key in dict(kept)], table


def _number_queries(samples):
    """Number the query of each sample, in the order in which they first occur.

    Returns
    -------
    numbers : list of n_samples int
    queries : list of n_queries str or lists of dict
    """
    keys, numbers, queries, firsts, tasks = {}, [], [], [], {}
    texts = query_keys([sample.query for sample in samples])
    for sample, text in zip(samples, texts, strict=True):
        name = text if sample.number is None else sample.number
        key = keys.setdefault((sample.task, name), len(keys))
        if key == len(queries):
            queries.append(sample.query)
            firsts.append((sample, text))
        first, its_text = firsts[key]
        if its_text != text:
            raise ValueError(
                f"{sample.where} has the query {short_repr(sample.query)}, and "
                f"{first.where} has {short_repr(first.query)} under the same number. "
                "Expected logs of one version of the task, asked with the same prompt: "
                "read those of others by themselves."
            )
        first = tasks.setdefault(text, sample)
        if first.task != sample.task:
            raise ValueError(
                f"{sample.where} has the query {short_repr(sample.query)} of task "
                f"{sample.task!r}, which {first.where} has for task {first.task!r}. "
                "Expected each query in one task only, since tasks grade differently: "
                "read them by themselves."
            )
        numbers.append(key)
    return numbers, queries


def _known_numbers(kept, name):
    """Costs or scores: of all samples, or None for each where none is known."""
    values = [getattr(sample, name) for _, sample in kept]
    unknown = [math.isnan(value) for value in values]
    if all(unknown):
        return [None] * len(values)
    if any(unknown):
        sample = kept[unknown.index(True)][1]
        raise ValueError(
            f"{sample.where} has no {name}, as {sum(unknown)} of {len(values)} graded "
            f"samples. Expected a {name} of each or of none: read the log with "
            f"{name}=None, or add what is missing."
        )
    return values


def _say_what_is_left_out(source, n_ungraded, n_queries, names):
    of_each = " of each decoder" if len(names) > 1 else ""
    counts = {
        "samples without a reward": n_ungraded,
        f"queries without a graded sample{of_each}": n_queries,
    }
    left_out = [f"{count} {what}" for what, count in counts.items() if count]
    if left_out:
        warnings.warn(
            f"{source}: {' and '.join(left_out)} are left out.",
            UserWarning,
            stacklevel=4,
        )
