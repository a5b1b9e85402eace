"""Which format a file has, by what is in it, and its rows."""

import csv
import gzip
import io
import json
import zlib
from itertools import chain
from reprlib import repr as short_repr

from sklearn_adaalloc.datasets._logs.rows import read_lines, read_parquet

_MAGIC = {b"PAR1": "parquet", b"SQLite format 3\0": "sqlite", b"PK\x03\x04": "zip"}
_SEPARATORS = ",;\t|"
_LONGEST_FIELD = 2**31 - 1


def file_format(path):
    """Find the format of a file.

    Parameters
    ----------
    path : str
        File. It may be compressed by gzip.

    Returns
    -------
    format : {"parquet", "sqlite", "zip", "lines", "json", "csv"}
        "lines" has one JSON object per line, "json" is one JSON text.

    Raises
    ------
    ValueError
        If it is empty or something else.
    OSError
        If there is no such file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets._logs.formats import file_format
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "answers.txt")
    ...     _ = path.write_text('{"query": "2+3="}')
    ...     file_format(str(path))
    'lines'
    """
    with open(path, "rb") as file:
        start = file.read(16)
    for magic, name in _MAGIC.items():
        if start.startswith(magic):
            return name
    line = _first_line(path)
    if line.startswith(("{", "[")):
        try:
            return "lines" if isinstance(json.loads(line), dict) else "json"
        except ValueError:  # it goes on in the next line, or is cut off
            return "lines" if line.startswith('{"') else "json"
    one_column = path.endswith((".csv", ".csv.gz"))
    if one_column or any(separator in line for separator in _SEPARATORS):
        return "csv"
    raise ValueError(
        f"{path} begins with {short_repr(line)}. Expected JSON lines, a JSON list, CSV "
        "with a line of column names, Parquet, a store of collect_rewards, or a log "
        "of an evaluation."
    )


def read_any_rows(path):
    r"""Read the rows of a file of any of the formats that have rows.

    Parameters
    ----------
    path : str
        JSON lines, a JSON list of objects, CSV or Parquet.

    Yields
    ------
    where : str
        Which row of which file, for messages.
    row : dict
        What it holds. Those of CSV hold texts, and None for empty fields.

    Raises
    ------
    ValueError
        If it has another format, or is damaged.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets._logs.formats import read_any_rows
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "answers.csv")
    ...     _ = path.write_text("query;correct\n2+3=;1\n")
    ...     [row for where, row in read_any_rows(str(path))]
    [{'query': '2+3=', 'correct': '1'}]
    """
    readers = {
        "lines": read_lines,
        "json": _read_list,
        "csv": _read_csv,
        "parquet": read_parquet,
    }
    name = file_format(path)
    if name not in readers:
        raise ValueError(
            f"{path} is of the format {name}, which has no rows of its own. Expected "
            "JSON lines, a JSON list, CSV or Parquet."
        )
    return readers[name](path)


def _open(path):
    """Open a text, compressed or not."""
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    opened = gzip.open if compressed else open
    return opened(path, "rt", encoding="utf-8-sig", newline="")


def _first_line(path):
    """The first line that is not empty, its first 100,000 characters at most."""
    try:
        with _open(path) as file:
            head = file.read(100_000)
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be read: {error}. Expected text in UTF-8, also compressed "
            "by gzip, Parquet, or a store of collect_rewards."
        ) from error
    if not head.strip():
        raise ValueError(f"{path} is empty. Expected one row per answer.")
    return head.strip().splitlines()[0]


def _read_list(path):
    try:
        with _open(path) as file:
            rows = json.load(file)
    except ValueError as error:
        raise ValueError(
            f"{path} is no JSON: {error}. Expected one JSON object per line, or a list "
            "of them. It may be cut off."
        ) from error
    if not isinstance(rows, list):
        raise ValueError(
            f"{path} is one JSON object with {short_repr(list(rows))}. Expected one "
            "object per line, a list of them, or a log of inspect_ai."
        )
    for number, row in enumerate(rows, start=1):
        where = f"item {number} of {path}"
        if not isinstance(row, dict):
            raise ValueError(f"{where} is {short_repr(row)}. Expected a JSON object.")
        yield where, row


def _read_csv(path):
    csv.field_size_limit(_LONGEST_FIELD)
    number = 0
    try:
        with _open(path) as file:
            header = file.readline()
            separator = max(_SEPARATORS, key=header.count)
            lines = csv.reader(
                chain(io.StringIO(header), file), delimiter=separator, strict=True
            )
            names = [name.strip() for name in next(lines)]
            for number, fields in enumerate(lines, start=1):
                where = f"row {number} of {path}"
                if not fields:
                    continue
                if len(fields) != len(names):
                    raise ValueError(
                        f"{where} has {len(fields)} fields, and the line of names has "
                        f"{len(names)}. Expected as many: quote fields that hold "
                        f"{separator!r} or a line break."
                    )
                pairs = zip(names, fields, strict=True)
                yield where, {name: field or None for name, field in pairs}
    except (csv.Error, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be read as CSV after row {number}: {error}."
        ) from error
