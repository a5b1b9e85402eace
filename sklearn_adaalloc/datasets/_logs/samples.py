"""Any file with one row per sample, by the names of its fields."""

from reprlib import repr as short_repr

from sklearn_adaalloc._utils.parameters import check_path
from sklearn_adaalloc.datasets._logs.rows import (
    as_answer,
    as_number,
    as_query,
    read_rows,
)
from sklearn_adaalloc.datasets._logs.table import Sample, table_of

_NEEDED = ("query", "reward")


def read_samples(
    path, *, query, reward, decoder=None, cost=None, answer=None, score=None
):
    r"""Read queries and a reward table from a file with one row per sample.

    Needs pandas, and pyarrow for Parquet: the extra `datasets`.

    Parameters
    ----------
    path : str or path
        JSON lines (``.jsonl`` or ``.json``, also ``.gz``) or ``.parquet``. Rows may be
        in any order; samples of one query and decoder keep theirs.
    query, reward : str
        Names of fields, and of columns of Parquet. A dot leads into what a field holds,
        as in "input.text" or "messages.0.content". A query is a text or a list of chat
        messages; a reward is a number or a truth value, null where it is missing.
    decoder, cost, answer, score : str, default=None
        Names of fields that the file has besides: model, cost such as tokens, label to
        vote on, and what a reranker sees.

    Returns
    -------
    queries : list of n_queries str or lists of dict
        In the order in which they first occur.
    table : RewardTable
        With an axis of decoders if `decoder` is given.

    Raises
    ------
    ValueError
        If a line is no JSON object, lacks a field or has another value in it, the file
        is empty, no sample has a reward, or costs or scores are known of some samples
        only.

    Warns
    -----
    UserWarning
        If samples or queries are left out because they have no reward.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets import read_samples
    >>> samples = [
    ...     {"input": {"text": "2+3="}, "right": True, "tokens": 12},
    ...     {"input": {"text": "9-4="}, "right": False, "tokens": 40},
    ...     {"input": {"text": "2+3="}, "right": False, "tokens": 15},
    ... ]
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "samples.jsonl")
    ...     _ = path.write_text("\n".join(json.dumps(sample) for sample in samples))
    ...     queries, table = read_samples(
    ...         path, query="input.text", reward="right", cost="tokens"
    ...     )
    >>> queries
    ['2+3=', '9-4=']
    >>> table.rewards
    array([[ 1.,  0.],
           [ 0., nan]])
    """
    path = check_path(path, "path")
    names = {"query": query, "reward": reward, "decoder": decoder, "cost": cost}
    names |= {"answer": answer, "score": score}
    for role, name in names.items():
        if not isinstance(name, str) and (name is not None or role in _NEEDED):
            raise ValueError(
                f"{role}={name!r} is not accepted. Expected the name of a field."
            )
    samples = (_sample(row, where, names) for where, row in read_rows(path))
    return table_of(samples, source=path, decoders=decoder is not None)


def _sample(row, where, names):
    found = {
        role: field(row, name, role, where)
        for role, name in names.items()
        if name is not None
    }
    numbers = {
        role: as_number(found[role], names[role], where)
        for role in ("reward", "cost", "score")
        if role in found
    }
    if "decoder" in found and not isinstance(found["decoder"], str):
        raise ValueError(
            f"{where} has {names['decoder']}={short_repr(found['decoder'])}. Expected "
            "the name of a decoder, a text."
        )
    return Sample(
        where,
        as_query(found["query"], where),
        decoder=found.get("decoder"),
        answer=as_answer(found.get("answer"), where),
        **numbers,
    )


def field(row, name, role, where):
    """Find a field of a row, also within others.

    Parameters
    ----------
    row : dict
        What JSON can hold.
    name : str
        Name of the field. A dot leads into an object, or to a place of a list.
    role, where : str
        What is looked for, and the place of the row, for the message.

    Returns
    -------
    value : object

    Raises
    ------
    ValueError
        If there is no such field.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._logs.samples import field
    >>> row = {"choices": [{"text": "5"}]}
    >>> field(row, "choices.0.text", "answer", "line 1")
    '5'
    """
    value = row
    for part in [name] if name in row else name.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            raise ValueError(
                f"{role}={name!r} is no field of {where}, which has {list(row)}. Name "
                f"the field with the {role} of each sample, with dots for fields in "
                "fields; write null where a value is not known."
            )
    return value
