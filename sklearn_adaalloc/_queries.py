"""Queries as users pass them in: texts or chats."""

import json
from reprlib import repr as short_repr


def check_queries(X):
    """Check queries: texts, or lists of chat messages.

    Parameters
    ----------
    X : sequence of n_queries str or lists of dict
        List, tuple, one-dimensional array or series. A message is a dict with the keys
        "role" and "content".

    Returns
    -------
    queries : list of str or lists of dict

    Raises
    ------
    ValueError
        If there are none, there is more than one axis, or a query is neither a text nor
        a list of messages.

    Examples
    --------
    >>> from sklearn_adaalloc._queries import check_queries
    >>> check_queries(("27+48=", "gcd 84 30="))
    ['27+48=', 'gcd 84 30=']
    """
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ValueError(
            f"X has shape {tuple(shape)}. Expected one text per query, shape "
            "(n_queries,): give a list of str or one column, not a table of features. "
            "Reshape your data, or use a regressor on features."
        )
    if isinstance(X, (str, bytes, dict)) or not hasattr(X, "__iter__"):
        raise ValueError(
            f"X={short_repr(X)} is not a sequence of queries. Expected a list of str; "
            "put a single query in a list."
        )
    queries = [str(query) if isinstance(query, str) else query for query in X]
    if not queries:
        raise ValueError("X is empty: 0 queries. Give at least one text.")
    for row, query in enumerate(queries):
        if not (isinstance(query, str) or _is_chat(query)):
            raise ValueError(
                f"query {row} is {short_repr(query)}, neither a text nor a chat. "
                'Expected a str, or a list of messages {"role": ..., "content": ...}.'
            )
    return queries


def _is_chat(query):
    return (
        isinstance(query, (list, tuple))
        and len(query) > 0
        and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in query)
    )


def query_keys(queries):
    """Name each query by its content; equal queries have equal keys."""
    return [json.dumps(query, sort_keys=True) for query in queries]
