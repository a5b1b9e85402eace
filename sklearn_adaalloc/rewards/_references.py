"""Helpers of all reward functions: references of queries, and grades of answers."""

import hashlib
import json
from collections.abc import Mapping
from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._utils.identity import function_identity
from sklearn_adaalloc._utils.queries import query_keys


def look_up(queries, table, name):
    """Find the entry of each query in a table, or by a function.

    Parameters
    ----------
    queries : list of n_queries str or lists of dict
        Checked queries.
    table : mapping or callable
        Mapping from query to value, where the key of a chat is its
        :func:`~sklearn_adaalloc._utils.queries.query_keys`; or a function of one query.
    name : str
        Name of the parameter, for the message.

    Returns
    -------
    values : list of n_queries objects

    Raises
    ------
    ValueError
        If `table` is neither, or has no entry for a query.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._references import look_up
    >>> look_up(["27+48="], {"27+48=": "75"}, "references")
    ['75']
    """
    if callable(table):
        return [table(query) for query in queries]
    if not isinstance(table, Mapping):
        raise ValueError(
            f"{name}={short_repr(table)} is not accepted. Expected a mapping from "
            "query to its entry, or a function of one query."
        )
    keys = [
        query if isinstance(query, str) else key
        for query, key in zip(queries, query_keys(queries), strict=True)
    ]
    for query, key in zip(queries, keys, strict=True):
        if key not in table:
            raise ValueError(
                f"{name} has no entry for query {short_repr(query)}. Add one for every "
                "query that is graded; the key of a chat is "
                "json.dumps(chat, sort_keys=True)."
            )
    return [table[key] for key in keys]


def table_digest(table, name):
    """Digest of the content of a table or of the identity of a function.

    Parameters
    ----------
    table : mapping or callable
        As for :func:`look_up`. A mapping is identified by its content, a function by
        :func:`~sklearn_adaalloc._utils.identity.function_identity`.
    name : str
        Name of the parameter, for the message.

    Returns
    -------
    digest : str
        Hexadecimal digits.

    Raises
    ------
    ValueError
        If a function cannot be identified.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._references import table_digest
    >>> one, other = {"27+48=": "75"}, {"27+48=": "76"}
    >>> table_digest(one, "references") == table_digest(other, "references")
    False
    """
    if isinstance(table, Mapping):
        content = sorted((str(key), _as_text(value)) for key, value in table.items())
    else:
        try:
            content = function_identity(table)
        except ValueError as error:
            raise ValueError(
                f"{name}={short_repr(table)} cannot be identified ({error}), so "
                "grades by it cannot be stored. Give a mapping from query to entry."
            ) from None
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _as_text(value):
    return json.dumps(value, sort_keys=True, default=_as_plain)


def _as_plain(value):
    """A mapping as a dict; other values that are not JSON as their repr."""
    return dict(value) if isinstance(value, Mapping) else repr(value)


def assign_grades(grades, cases):
    """Look up the grade of each answer's case; one float64 array per query.

    `cases` has one list per query, with the case of each answer. `grades` maps each
    case to a number.
    """
    return [np.array([grades[case] for case in row], dtype=np.float64) for row in cases]
