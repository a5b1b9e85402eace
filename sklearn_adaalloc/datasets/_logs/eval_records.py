"""Instance-level records in the schema of "Every Eval Ever"."""

import math
from collections import defaultdict
from reprlib import repr as short_repr

from sklearn_adaalloc.datasets._logs.rows import (
    as_number,
    as_paths,
    as_query,
    check_option,
    read_rows,
    short_list,
)
from sklearn_adaalloc.datasets._logs.table import Sample, table_of

# Fields that the schema requires and that are used.
_FIELDS = {
    **{"schema_version": str, "model_id": str, "evaluation_name": str},
    **{"sample_id": str, "input": dict, "evaluation": dict},
}


def read_eval_records(path_or_paths, *, result=None, cost="tokens"):
    """Read queries and a reward table from records of the Every Eval Ever schema.

    These are its instance-level files, ``..._samples.jsonl``, with one record per
    sample and result. Records of one query and model are its samples; several models
    give an axis of decoders.

    Parameters
    ----------
    path_or_paths : str, path, or sequence of them
        Files with instance-level records, JSON lines (also ``.gz``) or Parquet.
    result : str, default=None
        Result whose records are read, by its ``evaluation_result_id``: a sample has a
        record for each. None for the only one.
    cost : {"tokens", None}, default="tokens"
        "tokens": what a sample cost is the number of tokens that the model wrote, where
        records have it. None: costs are left out.

    Returns
    -------
    queries : list of n_queries str
        Inputs as the evaluation defines them, ``input.raw``.
    table : RewardTable
        With labels to vote on where records say which answer was extracted. A record
        with an error is a missing sample.

    Raises
    ------
    ValueError
        If a line is no such record, there are several results and none is named, a
        record has one score for several outputs, scores are means over epochs, no
        sample is graded, two tasks have the same query, or costs are known of some
        samples only.

    Warns
    -----
    UserWarning
        If samples with an error are left out, or queries without a graded sample of
        each model.

    Notes
    -----
    Converted logs of inspect_ai have the mean score over epochs in the record of each
    epoch. They are refused: :func:`read_inspect_logs` reads the log itself.

    See Also
    --------
    read_samples : Any file with one row per sample.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets import read_eval_records
    >>> record = {
    ...     "schema_version": "0.3.0",
    ...     "model_id": "someone/model",
    ...     "evaluation_name": "sums",
    ...     "sample_id": "1",
    ...     "input": {"raw": "2+3=", "reference": ["5"]},
    ...     "evaluation": {"score": 1.0, "is_correct": True},
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "sums_samples.jsonl")
    ...     _ = path.write_text(json.dumps(record))
    ...     read_eval_records(path)
    (['2+3='], RewardTable(1 queries, 1 samples))
    """
    check_option(cost, "cost", ["tokens"])
    paths = as_paths(path_or_paths)
    records = [each for path in paths for each in _read(path, result)]
    _check_epochs(records)
    samples = [_sample(where, record, cost) for where, record in records]
    return table_of(samples, source=short_list(paths))


def _read(path, wanted):
    """The records of one result."""
    records = list(read_rows(path))
    for where, record in records:
        whole = all(
            isinstance(record.get(name), kind) for name, kind in _FIELDS.items()
        )
        if not whole:
            raise ValueError(
                f"{where} is {short_repr(record)}. Expected a record with "
                f"{', '.join(_FIELDS)}, as the instance-level schema of "
                "Every Eval Ever has: is it an aggregate file, or another format? "
                "read_samples reads any fields."
            )
    results = [record.get("evaluation_result_id") for _, record in records]
    known = list(dict.fromkeys(results))
    if wanted is None and len(known) == 1:
        wanted = known[0]
    elif wanted is None or wanted not in known:
        raise ValueError(
            f"result={wanted!r} is not accepted for {path}. Expected the "
            f"evaluation_result_id of one of its results: one of {known}."
        )
    return [each for each, its in zip(records, results, strict=True) if its == wanted]


def _check_epochs(records):
    """Check that the scores of epochs are not all their mean."""
    epochs = defaultdict(list)
    for _, record in records:
        if "epoch" in (record.get("metadata") or {}):
            name = (record["model_id"], record["evaluation_name"], record["sample_id"])
            epochs[name].append(record["evaluation"].get("score"))
    repeated = [scores for scores in epochs.values() if len(scores) > 1]
    between = [scores[0] for scores in repeated if scores[0] not in (None, 0, 1)]
    if between and all(len(set(scores)) == 1 for scores in repeated):
        raise ValueError(
            f"{records[0][0]} and the others have the same score in all epochs of a "
            f"sample, as {short_repr(between[0])}. Expected a score of each epoch, not "
            "their mean: read the log that they were converted from with "
            "read_inspect_logs. If scores are equal indeed, read_samples takes them."
        )


def _sample(where, record, cost):
    outputs = (record.get("output") or {}).get("raw") or []
    if len(outputs) > 1:
        raise ValueError(
            f"{where} has {len(outputs)} outputs and one score. Expected one record "
            "per output: which of them was graded is not known."
        )
    usage = record.get("token_usage") or {}
    n_tokens = as_number(usage.get("output_tokens"), "output_tokens", where)
    extracted = [
        each["extracted_value"]
        for each in record.get("answer_attribution") or []
        if each.get("is_terminal")
    ]
    failed = record.get("error") is not None
    return Sample(
        where,
        as_query(record["input"].get("raw"), where),
        math.nan
        if failed
        else as_number(record["evaluation"].get("score"), "score", where),
        task=record["evaluation_name"],
        number=record["sample_id"],
        decoder=record["model_id"],
        cost=math.nan if cost is None else n_tokens or math.nan,
        answer=extracted[-1] if extracted else None,
    )
