"""Queries from a file, without grades."""

import sys
from reprlib import repr as short_repr

from sklearn_adaalloc.command_line._columns import NAMES, column_names
from sklearn_adaalloc.datasets._logs.formats import read_any_rows
from sklearn_adaalloc.datasets._logs.rows import as_query
from sklearn_adaalloc.datasets._logs.samples import field


def read_queries(path, column=None):
    r"""Read queries, and the rows that they stand in.

    Parameters
    ----------
    path : str
        ``.txt`` with a query in each line; JSON lines, a JSON list, CSV or Parquet with
        a row for each; or "-" for lines of the standard input.
    column : str, default=None
        Column of the queries; None finds it by its name.

    Returns
    -------
    queries : list of str or lists of dict
        Texts or chats.
    rows : list of dict
        What else is known of each.

    Raises
    ------
    ValueError
        If there are none.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.command_line._queries import read_queries
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "queries.txt")
    ...     _ = path.write_text("2+3=\n9-4=\n")
    ...     read_queries(str(path))[0]
    ['2+3=', '9-4=']
    """
    if path == "-" or path.endswith(".txt"):
        queries = _read_lines(path)
        return queries, [{} for _ in queries]
    placed = list(read_any_rows(path))
    if not placed:
        raise ValueError(f"{path} has no rows. Expected a query in each row.")
    places, rows = zip(*placed, strict=True)
    if column is None:
        column = _find(rows[0], path)
    queries = [
        as_query(field(row, column, "query", where), where)
        for where, row in zip(places, rows, strict=True)
    ]
    return queries, list(rows)


def _read_lines(path):
    if path == "-":
        text = sys.stdin.read()
    else:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no text in UTF-8: {error}.") from error
    queries = [line.strip() for line in text.splitlines() if line.strip()]
    if not queries:
        raise ValueError(
            f"{'the standard input' if path == '-' else path} is empty. Expected a "
            "query in each line."
        )
    return queries


def _find(row, path):
    names = {name.lower(): name for name in reversed(list(column_names(row)))}
    for known in NAMES["query"]:
        if known in names:
            return names[known]
    raise ValueError(
        f"{path} has no column that looks like queries. It has "
        f"{short_repr(list(row))}: name one with --query."
    )
