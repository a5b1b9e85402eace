"""What all reward functions share: what is known of queries, and grades given out."""

import hashlib
import json
from collections.abc import Mapping
from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._utils.identity import function_identity
from sklearn_adaalloc._utils.queries import query_keys


def look_up(queries, table, name):
    """Find what a table, or a function, has for each query.

    Parameters
    ----------
    queries : list of n_queries str or lists of dict
        Checked queries.
    table : mapping or callable
        Mapping from query to value, where the key of a chat is its
        :func:`~sklearn_adaalloc._utils.queries.query_keys`; or a function of one query.
    name : str
        Parameter that `table` was given as, for the message.

    Returns
    -------
    values : list of n_queries objects

    Raises
    ------
    ValueError
        If `table` is neither, or has nothing for a query.

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
    """Digest of what a table, or a function, has for queries.

    Parameters
    ----------
    table : mapping or callable
        As for :func:`look_up`. A mapping counts by its content, a function by what
        :func:`~sklearn_adaalloc._utils.identity.function_identity` says of it.
    name : str
        Parameter that `table` was given as, for the message.

    Returns
    -------
    digest : str
        Hexadecimal digits.

    Raises
    ------
    ValueError
        If a function cannot be told from others.

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
                f"{name}={short_repr(table)} cannot be told from others ({error}), so "
                "grades by it cannot be stored. Give a mapping from query to entry."
            ) from None
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _as_text(value):
    return json.dumps(value, sort_keys=True, default=_as_plain)


def _as_plain(value):
    """A mapping as a dict; anything else that JSON cannot hold by what it prints."""
    return dict(value) if isinstance(value, Mapping) else repr(value)


def assign_grades(grades, cases):
    """Give each answer the grade of its case.

    Parameters
    ----------
    grades : mapping from case to float
        Grade of each distinct case.
    cases : list of n_queries lists
        The case of each answer.

    Returns
    -------
    rewards : list of n_queries ndarrays of shape (n_answers,), float64
    """
    return [np.array([grades[case] for case in row], dtype=np.float64) for row in cases]
