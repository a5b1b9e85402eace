"""Files with one row per line, and what stands in their fields."""

import gzip
import json
import os
import zlib
from reprlib import repr as short_repr

from sklearn_adaalloc._utils.numbers import LARGEST
from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.parameters import check_path, is_number
from sklearn_adaalloc._utils.queries import check_queries

ROW_ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
"""Endings of files that :func:`read_rows` reads."""


def as_paths(path_or_paths):
    """Check paths of logs.

    Parameters
    ----------
    path_or_paths : str, path, or sequence of them
        Value received.

    Returns
    -------
    paths : list of str

    Raises
    ------
    ValueError
        If there is none, one is no path, or one is given twice.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._logs.rows import as_paths
    >>> as_paths("samples.jsonl")
    ['samples.jsonl']
    """
    name = "path_or_paths"
    if isinstance(path_or_paths, str | bytes | os.PathLike):
        return [check_path(path_or_paths, name)]
    try:
        paths = [check_path(path, name) for path in path_or_paths]
    except TypeError:  # it is no sequence
        paths = []
    if not paths or len(set(paths)) < len(paths):
        raise ValueError(
            f"{name}={short_repr(path_or_paths)} is not accepted. Expected the path of "
            "a log, or a list of different paths, such as sorted(Path('logs').glob('*')"
            ")."
        )
    return paths


def short_list(paths):
    """Name files in a message: the first, and how many more there are.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._logs.rows import short_list
    >>> short_list(["a.eval", "b.eval", "c.eval"])
    'a.eval and 2 more'
    """
    return f"{paths[0]} and {len(paths) - 1} more" if len(paths) > 1 else paths[0]


def read_rows(path):
    """Read the rows of a file, one after the other.

    Parameters
    ----------
    path : str
        JSON lines, or Parquet if it ends in ``.parquet``. Ends in ``.gz`` if it is
        compressed.

    Yields
    ------
    where : str
        Which row of which file, for messages.
    row : dict
        What it holds.

    Raises
    ------
    ValueError
        If the file has no rows or another format, or a line is no JSON object.
    OSError
        If there is no such file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets._logs.rows import read_rows
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "samples.jsonl")
    ...     _ = path.write_text('{"query": "2+3="}')
    ...     [row for where, row in read_rows(str(path))]
    [{'query': '2+3='}]
    """
    if not path.endswith(ROW_ENDINGS):
        raise ValueError(
            f"path={path!r} is not accepted. Expected a file that ends in one of "
            f"{', '.join(ROW_ENDINGS)}: one JSON object per line, or Parquet."
        )
    read = read_parquet if path.endswith(".parquet") else read_lines
    is_empty = True
    for where, row in read(path):
        is_empty = False
        yield where, row
    if is_empty:
        raise ValueError(
            f"{path} is empty. Expected one row per sample: was the log written to the "
            "end, or is it another file?"
        )


def read_lines(path):
    """Yield the place and the object of each line, as :func:`read_rows` does.

    The name of a compressed file need not end in ``.gz``.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets._logs.rows import read_lines
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "answers.log")
    ...     _ = path.write_text('{"query": "2+3="}')
    ...     [row for where, row in read_lines(str(path))]
    [{'query': '2+3='}]
    """
    with open(path, "rb") as file:
        compressed = path.endswith(".gz") or file.read(2) == b"\x1f\x8b"
    opened = gzip.open if compressed else open
    number = 0
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    where = f"line {number} of {path}"
                    yield where, _read_object(line, where)
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be read after line {number}: {error}. Expected JSON lines "
            "in UTF-8, compressed if the name ends in .gz. It may be damaged: copy it "
            "again."
        ) from error


def _read_object(line, where):
    try:
        row = json.loads(line)
    except ValueError as error:
        row = error
    if not isinstance(row, dict):
        raise ValueError(
            f"{where} is {short_repr(line.strip())}. Expected one JSON object per "
            "line: is the line cut off, or the file of another format?"
        )
    return row


def read_parquet(path):
    """Yield the place and the values of each row, as :func:`read_rows` does.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._logs.rows import read_parquet
    >>> rows = read_parquet("answers.parquet")  # it is opened when rows are taken
    """
    parquet = import_optional("pyarrow.parquet", "datasets")
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number} of {path}", row
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these
        raise ValueError(
            f"{path} cannot be read as Parquet after row {number} ({error}). It may be "
            "damaged, or of another format: write or copy it again."
        ) from error


def check_option(value, name, choices):
    """Check that a value is None or one of some names.

    Parameters
    ----------
    value : str or None
        Value received.
    name : str
        Name of the parameter, for the message.
    choices : sequence of str
        What is accepted besides None.

    Returns
    -------
    value : str or None

    Raises
    ------
    ValueError
        If it is something else.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._logs.rows import check_option
    >>> check_option("tokens", "cost", ["tokens"])
    'tokens'
    """
    if value is None or (isinstance(value, str) and value in choices):
        return value
    raise ValueError(
        f"{name}={short_repr(value)} is not accepted. Expected one of "
        f"{list(choices)}, or None."
    )


def as_number(value, what, where, *, otherwise="null where it is not known"):
    """Read a number, a truth value, or NaN for what is missing.

    Parameters
    ----------
    value : object
        None and NaN are missing.
    what, where : str
        Name of the value, and of its place, for the message.
    otherwise : str, default="null where it is not known"
        What else is accepted, for the message.

    Returns
    -------
    number : float

    Raises
    ------
    ValueError
        If it is something else, or too large.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._logs.rows import as_number
    >>> as_number(True, "reward", "line 1"), as_number(None, "reward", "line 2")
    (1.0, nan)
    """
    if value is None or value != value:
        return float("nan")
    if isinstance(value, bool) or (is_number(value) and abs(value) <= LARGEST):
        return float(value)
    raise ValueError(
        f"{where} has {what}={short_repr(value)}. Expected a number of size at most "
        f"{LARGEST:g}, a truth value, or {otherwise}."
    )


def as_query(value, where):
    """Check a query: a text, or a list of chat messages.

    Parameters
    ----------
    value : object
        Value received.
    where : str
        Name of its place, for the message.

    Returns
    -------
    query : str or list of dict

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._logs.rows import as_query
    >>> as_query("2+3=", "line 1")
    '2+3='
    """
    try:
        return check_queries([value])[0]
    except ValueError:
        raise ValueError(
            f"{where} has the query {short_repr(value)}. Expected a text, or a list of "
            'messages {"role": ..., "content": ...}.'
        ) from None


def as_answer(value, where):
    """Check a label to vote on.

    Parameters
    ----------
    value : object
        Value received; None and "" stand for no answer.
    where : str
        Name of its place, for the message.

    Returns
    -------
    answer : str, int or None

    Raises
    ------
    ValueError
        If it is something else.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._logs.rows import as_answer
    >>> as_answer("5", "line 1")
    '5'
    """
    if value is None or isinstance(value, str | int):
        return value
    raise ValueError(
        f"{where} has answer={short_repr(value)}. Expected a text or a whole number, "
        "or null for no answer; write other labels as text."
    )
