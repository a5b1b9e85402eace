"""Samples that lm-evaluation-harness logs, one line per query and filter."""

import json
import re
import warnings
from pathlib import Path
from reprlib import repr as short_repr
from typing import NamedTuple

from sklearn_adaalloc._utils.grading import check_graded
from sklearn_adaalloc.datasets._logs.rows import (
    as_number,
    as_paths,
    as_query,
    read_rows,
    short_list,
)
from sklearn_adaalloc.datasets._logs.table import Sample, table_of

_NAME = re.compile(r"samples_(.+)_\d{4}-\d\d-\d\dT[\d.:-]+\.jsonl(\.gz)?")
_NO_MATCH = "[invalid]"  # what its filters write where they find no answer


class LoggedQuery(NamedTuple):
    """What one line holds.

    Parameters
    ----------
    where, path : str
        Its place, and the path of its file.
    row : dict
        The line.
    query : str or list of dict
        What the model was asked.
    responses : list of str
        All of its responses.
    filtered : list of str
        What the filter made of them: as many, or one.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._logs.lm_eval import LoggedQuery
    >>> LoggedQuery("line 1", "samples.jsonl", {}, "2+3=", ["5", "6"], ["5"]).query
    '2+3='
    """

    where: str
    path: str
    row: dict
    query: object
    responses: list
    filtered: list


def read_lm_eval_samples(path_or_paths, *, metric=None, filter=None, reward=None):
    """Read queries and a reward table from the samples that lm_eval logs.

    These are the files ``samples_TASK_TIME.jsonl`` that lm-evaluation-harness writes
    with ``--log_samples`` for tasks that generate text. A query is the prompt as the
    model saw it, with its few-shot examples.

    The harness logs all responses of a task with ``repeats``, and one value of each
    metric. So rewards of the others are known only if they are graded anew: give
    `reward`.

    Parameters
    ----------
    path_or_paths : str, path, or sequence of them
        Files. Those of several models, each in a folder of its own as the harness
        writes them, give an axis of decoders, with the names of the folders; several
        files of one model and task give more samples of it.
    metric : str, default=None
        Metric whose values are the rewards, such as "exact_match". None for the only
        one. Not used with `reward`.
    filter : str, default=None
        Filter whose lines are read. None for the only one, and, with `reward`, for the
        first.
    reward : callable, default=None
        ``reward(queries, answers) -> list of arrays`` grades all responses anew, such
        as :class:`~sklearn_adaalloc.rewards.MathVerifier`. None takes what the harness
        logged.

    Returns
    -------
    queries : list of n_queries str or lists of dict
        Prompts; chats where the harness sent messages.
    table : RewardTable
        With labels to vote on, what the filter made of each response, where the log has
        them. The harness logs no costs.

    Raises
    ------
    ValueError
        If a file or line is none of these, the task generates no text, there are
        several metrics or filters and none is named, the log does not say which
        response a value belongs to, `reward` returns something else, or two tasks have
        the same query.

    Warns
    -----
    UserWarning
        If only the first of several responses was graded, and the others are left out.

    See Also
    --------
    read_inspect_logs : Logs of inspect_ai.
    read_samples : Any file with one row per sample.

    Examples
    --------
    >>> from pathlib import Path
    >>> from sklearn_adaalloc.datasets import read_lm_eval_samples
    >>> def read_all(folder):
    ...     paths = sorted(Path(folder).glob("*/samples_gsm8k_*.jsonl"))
    ...     return read_lm_eval_samples(paths, filter="strict-match")
    """
    if reward is not None and not callable(reward):
        raise ValueError(
            f"reward={reward!r} is not accepted. Expected a function of queries and "
            "answers that returns one array of rewards per query, or None."
        )
    paths = as_paths(path_or_paths)
    logged = [each for path in paths for each in _read(path, filter, reward)]
    if reward is None:
        rewards = _logged_rewards(logged, metric)
    else:
        queries = [each.query for each in logged]
        answers = [each.responses for each in logged]
        rewards = check_graded(reward(queries, answers), queries, answers)
    folders = {path: Path(path).absolute().parent.name for path in paths}
    samples = [
        Sample(
            each.where,
            each.query,
            float(value),
            task=_task(each.path),
            number=each.row["doc_id"],
            decoder=folders[each.path],
            answer=None if label == _NO_MATCH else label,
        )
        for each, values in zip(logged, rewards, strict=True)
        for value, label in zip(values, _labels(each, len(values)), strict=True)
    ]
    return table_of(samples, source=short_list(paths))


def _task(path):
    """The task that a file is named after."""
    match = _NAME.fullmatch(Path(path).name)
    return match[1] if match else Path(path).name


def _read(path, wanted, reward):
    """The lines of one filter."""
    rows = list(read_rows(path))
    fields = {"doc_id", "arguments", "resps", "filtered_resps", "filter", "metrics"}
    for where, row in rows:
        if not fields <= row.keys():
            raise ValueError(
                f"{where} is {short_repr(row)}. Expected the fields {sorted(fields)}, "
                "as lm_eval writes with --log_samples: is it another file, or of an "
                "earlier version? read_samples reads any fields."
            )
    filters = list(dict.fromkeys(row["filter"] for _, row in rows))
    if wanted is None and (len(filters) == 1 or reward is not None):
        wanted = filters[0]
    if wanted not in filters:
        raise ValueError(
            f"filter={wanted!r} is not accepted for {path}. Expected the name of a "
            f"filter that it has: one of {filters}."
        )
    return [
        _logged_query(where, path, row)
        for where, row in rows
        if row["filter"] == wanted
    ]


def _logged_query(where, path, row):
    responses = row["resps"][0] if _is_nested(row["resps"]) else None
    if not responses or not all(isinstance(text, str) for text in responses):
        raise ValueError(
            f"{where} has the responses {short_repr(row['resps'])}. Expected one list "
            "of texts: of tasks with multiple choices or likelihoods there are no "
            "samples. Read the log of a task that generates text."
        )
    filtered = row["filtered_resps"]
    if _is_nested(filtered):
        filtered = filtered[0]
    try:
        prompt = row["arguments"]["gen_args_0"]["arg_0"]
        if isinstance(prompt, list):  # messages to a server, as one text
            prompt = [
                {"role": message["role"], "content": message["content"]}
                for message in json.loads(prompt[0])
            ]
    except (IndexError, KeyError, TypeError, ValueError):
        prompt = row["arguments"]
    return LoggedQuery(where, path, row, as_query(prompt, where), responses, filtered)


def _is_nested(values):
    return isinstance(values, list) and len(values) == 1 and isinstance(values[0], list)


def _logged_rewards(logged, metric):
    """Rewards that the harness knows: of the only response, or of the first."""
    rewards = []
    for each in logged:
        metrics = each.row["metrics"]
        name = metrics[0] if metric is None and len(metrics) == 1 else metric
        if name not in metrics or name not in each.row:
            raise ValueError(
                f"metric={metric!r} is not accepted for {each.where}. Expected the "
                f"name of a metric that it has: one of {metrics}."
            )
        value = as_number(each.row[name], name, each.where)
        if len(each.responses) > 1 and each.filtered != each.responses[:1]:
            raise ValueError(
                f"{each.where} has {len(each.responses)} responses and one {name}, of "
                f"{short_repr(each.filtered)}. It does not say which response was "
                "graded, or how several were counted. Grade all of them with reward=, "
                "a function (queries, answers) -> list of arrays."
            )
        rewards.append([value])
    n_responses = max(len(each.responses) for each in logged)
    if n_responses > 1:
        warnings.warn(
            f"{logged[0].path} has {n_responses} responses to a query, and the harness "
            "graded the first only: the table has one sample per query. Give reward=, "
            "a function (queries, answers) -> list of arrays, to grade all of them.",
            UserWarning,
            stacklevel=3,
        )
    return rewards


def _labels(logged, n_samples):
    """What the filter made of each response; None where it kept one of several."""
    if len(logged.filtered) == n_samples:
        return logged.filtered
    return [None] * n_samples
