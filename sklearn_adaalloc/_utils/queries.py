"""Checks on queries, which are texts or chats, and on answers to them."""

import json
from collections.abc import Mapping, Set
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
        If there are no queries, if there is more than one axis, or if a query is
        neither a text nor a list of messages.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.queries import check_queries
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
    listed = _list_of(X)
    if listed is None:
        raise ValueError(
            f"X={short_repr(X)} is not a sequence of queries. Expected a list of str; "
            "put a single query in a list."
        )
    queries = [str(query) if isinstance(query, str) else query for query in listed]
    if not queries:
        raise ValueError("X is empty: 0 queries. Give at least one text.")
    for row, query in enumerate(queries):
        if not (isinstance(query, str) or _is_chat(query)):
            raise ValueError(
                f"query {row} is {short_repr(query)}, neither a text nor a chat. "
                'Expected a str, or a list of messages {"role": ..., "content": ...} '
                "that JSON can hold."
            )
    return queries


def _is_chat(query):
    return (
        isinstance(query, (list, tuple))
        and len(query) > 0
        and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in query)
        and _is_json(query)
    )


def _is_json(query):
    try:
        return bool(query_keys([query]))
    except (TypeError, ValueError, RecursionError):
        return False


def check_answers(queries, answers):
    """Check queries and the answers to each.

    Parameters
    ----------
    queries : sequence of n_queries str or lists of dict
        Texts or chats.
    answers : sequence of n_queries sequences of str
        Any number of answers to each query.

    Returns
    -------
    queries : list of n_queries str or lists of dict
    answers : list of n_queries lists of str

    Raises
    ------
    ValueError
        If their lengths differ, or an answer is not a str.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.queries import check_answers
    >>> check_answers(["27+48="], [("75", "65")])
    (['27+48='], [['75', '65']])
    """
    queries = check_queries(queries)
    rows = _list_of(answers)
    if rows is None:
        raise ValueError(
            f"answers={short_repr(answers)} is not accepted. Expected one list of str "
            "per query."
        )
    if len(queries) != len(rows):
        raise ValueError(
            f"queries and answers have inconsistent lengths: {len(queries)} and "
            f"{len(rows)}. Give one list of answers per query."
        )
    return queries, [
        _check_row(query, row) for query, row in zip(queries, rows, strict=True)
    ]


def _check_row(query, row):
    """Check the answers to one query; a list of str."""
    listed = _list_of(row)
    if listed is None:
        raise ValueError(
            f"the answers to query {short_repr(query)} are {short_repr(row)}. "
            "Expected a list of str; put a single answer in a list."
        )
    for answer in listed:
        if not isinstance(answer, str):
            raise ValueError(
                f"an answer to query {short_repr(query)} is {short_repr(answer)}. "
                "Expected a str; leave out answers that are missing."
            )
    return [str(answer) for answer in listed]


def _list_of(values):
    """Convert a sequence to a list; None for a text and for unordered values."""
    if isinstance(values, (str, bytes, Mapping, Set)):
        return None
    try:
        return list(values)
    except TypeError:
        return None


def check_unicode(texts):
    """Check that a tokenizer can read texts: they must be valid Unicode.

    Parameters
    ----------
    texts : iterable of str

    Raises
    ------
    ValueError
        If a text contains half a surrogate pair. This happens when JSON is cut in two.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.queries import check_unicode
    >>> check_unicode(["27+48=", "ﬁ 👩"])
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the text {short_repr(text)} holds half a surrogate pair at character "
                f"{error.start}. Expected Unicode that can be written as UTF-8: "
                "correct it, for instance by text.encode(errors='replace').decode()."
            ) from error


def query_keys(queries):
    """Text key of each query; equal queries have equal keys."""
    return [json.dumps(query, sort_keys=True) for query in queries]


def text_of(query):
    """The text of a query, of a chat that of all its messages.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.queries import text_of
    >>> text_of([{"role": "user", "content": "2+3="}])
    '2+3='
    """
    if isinstance(query, str):
        return query
    return "\n".join(_text_of_content(message.get("content")) for message in query)


def _text_of_content(content):
    """The text of a message, which may be a list of parts."""
    if not isinstance(content, list):
        return str(content)
    parts = [part.get("text") for part in content if isinstance(part, dict)]
    return "\n".join(text for text in parts if isinstance(text, str))
