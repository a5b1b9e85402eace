"""Which column of a table is what, and its rows as samples."""

from reprlib import repr as short_repr
from typing import NamedTuple

from sklearn_adaalloc.datasets._logs.rows import as_answer, as_number
from sklearn_adaalloc.datasets._logs.samples import field
from sklearn_adaalloc.datasets._logs.table import Sample

# Names by which columns are known, in the order of preference, in lower case.
_TEXTS = (
    *("query", "question", "prompt", "problem", "input", "text", "instruction"),
    *("messages", "queries"),
)
_IDS = ("query_id", "question_id", "problem_id", "prompt_id", "task_id", "doc_id", "id")
NAMES = {
    "query": (*_TEXTS, *_IDS),
    "reward": (
        *("reward", "rewards", "correct", "is_correct", "right", "passed", "pass"),
        *("success", "solved", "graded", "grade", "verdict", "exact_match", "acc"),
        *("score", "scores"),
    ),
    "cost": (
        *("cost", "costs", "tokens", "completion_tokens", "output_tokens"),
        *("answer_tokens", "n_tokens", "generated_tokens", "total_tokens"),
        *("dollars", "usd"),
    ),
    "answer": (
        *("answer", "answers", "extracted_answer", "final_answer", "prediction"),
        *("extracted", "label"),
    ),
    "score": ("score", "scores", "rm_score", "reranker_score", "logprob"),
    "decoder": ("decoder", "model", "model_name", "model_id", "llm", "generator"),
}
_SHOWN = 30  # columns that a message names
_TRUTHS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


class Columns(NamedTuple):
    """Name of the column of each role; None if there is none."""

    query: str
    reward: str
    cost: str | None
    answer: str | None
    score: str | None
    decoder: str | None
    has_texts: bool

    def named(self):
        """Roles and the names of their columns, where there are any."""
        pairs = self._asdict()
        del pairs["has_texts"]
        return [(role, name) for role, name in pairs.items() if name is not None]


def find_columns(rows, given, source):
    """Find which columns hold what.

    Parameters
    ----------
    rows : list of dict
        The first rows.
    given : dict of str to (str or None)
        Names by role; None is looked for, "none" is left out.
    source : str
        Name of the file, for messages.

    Returns
    -------
    columns : Columns

    Raises
    ------
    ValueError
        If there is no column of queries or of rewards, or none of a given name.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._columns import find_columns
    >>> rows = [{"item": {"question": "2+3="}, "Correct": 1, "score": 0.5}]
    >>> find_columns(rows, {"score": "none"}, "a.jsonl").named()
    [('query', 'item.question'), ('reward', 'Correct')]
    """
    there = list(dict.fromkeys(name for row in rows for name in column_names(row)))
    found = {}
    for role in NAMES:
        name = given.get(role)
        if name is None:
            name = _known(role, there, taken=set(found.values()))
        elif name == "none":
            name = None
        elif name not in there and not any(_has(row, name) for row in rows):
            raise ValueError(
                f"--{role} {name}: {source} has no such column. It has {_some(there)}."
            )
        found[role] = name
    for role in ("query", "reward"):
        if found[role] is None:
            raise ValueError(
                f"{source} has no column that looks like the {role} of each answer. It "
                f"has {_some(there)}: name one with --{role}."
            )
    texts = [_value(row, found["query"]) for row in rows]
    last = found["query"].rpartition(".")[2].lower()
    has_texts = last not in _IDS and not all(
        text is None or _is_number(text) for text in texts
    )
    return Columns(**found, has_texts=has_texts)


def samples_of(rows, columns):
    """Make samples of rows.

    A row holds one sample, or all samples of a query: then rewards are a list, and so
    are costs, answers and scores, or they are the same for all of them.

    Parameters
    ----------
    rows : iterable of (str, dict)
        Place of each row, for messages, and what it holds.
    columns : Columns
        Which column is what.

    Yields
    ------
    sample : Sample

    Raises
    ------
    ValueError
        If a value is not as it should be; the message names the row.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._columns import find_columns, samples_of
    >>> rows = [("row 1", {"query": "2+3=", "rewards": [1, 0], "tokens": 7})]
    >>> columns = find_columns([row for _, row in rows], {}, "a.jsonl")
    >>> [(sample.reward, sample.cost) for sample in samples_of(rows, columns)]
    [(1.0, 7.0), (0.0, 7.0)]
    """
    fields = columns.named()
    for where, row in rows:
        own = {role: field(row, name, role, where) for role, name in fields}
        query = _query(own["query"], columns, where)
        rewards = own["reward"]
        if not isinstance(rewards, list):
            yield _sample(where, query, own, columns)
            continue
        for number in range(len(rewards)):
            one = {
                role: _item(value, number, len(rewards), role, where)
                for role, value in own.items()
                if role != "query"
            }
            yield _sample(where, query, one, columns)


def column_names(row, before="", depth=2):
    """Names of the fields of a row, with dots for fields in fields.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._columns import column_names
    >>> list(column_names({"input": {"text": "2+3="}, "reward": 1}))
    ['input.text', 'reward']
    """
    for name, value in row.items():
        if isinstance(value, dict) and depth:
            yield from column_names(value, f"{before}{name}.", depth - 1)
        else:
            yield before + str(name)


def _some(names):
    """Names for a message, the first of many."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _known(role, there, taken):
    """The column that is called as columns of that role usually are."""
    plain = {name.lower(): name for name in reversed(there)}
    last = {name.lower().rpartition(".")[2]: name for name in reversed(there)}
    for known in NAMES[role]:
        for names in (plain, last):
            if known in names and names[known] not in taken:
                return names[known]
    return None


def _has(row, name):
    try:
        field(row, name, "query", "")
    except ValueError:
        return False
    return True


def _value(row, name):
    return field(row, name, "query", "") if _has(row, name) else None


def _is_number(value):
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _query(value, columns, where):
    if columns.has_texts or isinstance(value, list):
        return value
    if value is None:
        raise ValueError(f"{where} has no {columns.query}. Expected its query.")
    return str(value)


def _item(value, number, n_samples, role, where):
    """What one of several samples of a row has."""
    if not isinstance(value, list):
        return value
    if len(value) != n_samples:
        raise ValueError(
            f"{where} has {n_samples} rewards, and {len(value)} values of {role}. "
            "Expected one for each, or one for all."
        )
    return value[number]


def _sample(where, query, own, columns):
    numbers = {
        role: _number(own[role], getattr(columns, role), role, where)
        for role in ("reward", "cost", "score")
        if role in own
    }
    cost = numbers.get("cost")
    if cost is not None and cost <= 0 and numbers["reward"] is not None:
        raise ValueError(
            f"{where} has {columns.cost}={cost:g}. Expected a positive number: what "
            "the answer cost. Leave costs out with --cost none, or such answers."
        )
    answer = own.get("answer")
    if isinstance(answer, float | bool):
        answer = str(answer)
    decoder = own.get("decoder")
    return Sample(
        where,
        query,
        decoder=None if decoder is None else str(decoder),
        answer=as_answer(answer, where),
        **numbers,
    )


def _number(value, name, role, where):
    """A number, also one that is written as text, or a truth value."""
    if isinstance(value, str):
        text = value.strip().lower()
        if text in _TRUTHS:
            return _TRUTHS[text]
        if not _is_number(text):
            raise ValueError(
                f"{where} has {name}={short_repr(value)}. Expected a number, or true "
                f"or false: name another column with --{role}."
            )
        value = float(text)
    return as_number(value, name, where)
