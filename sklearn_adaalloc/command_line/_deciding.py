"""What a saved policy says of queries."""

import numpy as np

from sklearn_adaalloc._utils.numbers import as_json
from sklearn_adaalloc._utils.queries import text_of
from sklearn_adaalloc.persistence import load_policy


def decide(path, queries, budget=None):
    """Explain the budgets that a policy gives.

    Parameters
    ----------
    path : str
        Folder of the policy.
    queries : list of str, lists of dict, or ndarray of shape (n_queries, n_features)
        Queries as the policy takes them.
    budget : float, default=None
        Another mean budget than that of the policy.

    Returns
    -------
    frame : DataFrame
        As of the allocators' `explain`.

    Raises
    ------
    ValueError
        If there is no such policy, or it takes other queries.
    """
    policy = load_policy(path)
    *before, allocator = policy.steps if hasattr(policy, "steps") else [("", policy)]
    allocator = allocator[1]
    if not hasattr(allocator, "explain"):
        raise ValueError(
            f"{path} holds {type(allocator).__name__}. Expected an allocator, as "
            "`adaalloc fit` saves it."
        )
    if isinstance(queries, np.ndarray) == bool(before):
        expected = "texts" if before else "an .npy file with a row for each query"
        raise ValueError(
            f"the policy in {path} was learnt on "
            f"{'texts' if before else 'numbers'}. Expected {expected}."
        )
    if budget is not None:
        allocator.set_params(budget=budget)
    if before and not hasattr(before[0][1], "chat_template"):
        queries = [text_of(query) for query in queries]
    X = policy[:-1].transform(queries) if before else queries
    return allocator.explain(X)


def plain_rows(frame, queries):
    """Rows of a frame in types that JSON has, each with its query.

    Parameters
    ----------
    frame : DataFrame
        From :func:`decide`; of several decoders it has several rows for a query.
    queries : list
        What to call the queries.

    Yields
    ------
    query : object
        One of `queries`.
    row : dict
        NaN is None.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_adaalloc.command_line._deciding import plain_rows
    >>> frame = pd.DataFrame({"budget": [2], "price": [float("nan")]})
    >>> list(plain_rows(frame, ["2+3="]))
    [('2+3=', {'budget': 2, 'price': None})]
    """
    for place, row in enumerate(frame.to_dict("records")):
        number = row.pop("query", place)
        yield queries[number], {name: as_json(value) for name, value in row.items()}
