"""Steps for all public sets: filter rows, remove duplicates, draw splits."""

import hashlib

import numpy as np
from sklearn.utils import Bunch, check_random_state

from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc.datasets._hub import read_rows

_SPLITS = ("train", "validation", "test")


def fetch_public(
    source,
    convert,
    drawn_from,
    sizes,
    *,
    description,
    truth="answers",
    random_state=0,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
):
    """Read a public set, filter it and split it.

    Parameters
    ----------
    source : HubSet
        Place of its rows.
    convert : callable
        Function of a row that returns the pair of its query and its truth. None
        excludes the row.
    drawn_from : dict of str to tuple of str
        Part of the set -> splits that are drawn from it. A query in several parts
        belongs to the first one.
    sizes : dict of str to int or None
        Number of queries of each split. None takes all remaining queries, and is
        possible only for the last split of a part.
    description : str
        Description of the set.
    truth : str, default="answers"
        Name of the second element of each pair.
    random_state : int, RandomState instance or None, default=0
        Randomness of the draw.
    data_home : str or path, default=None
        Folder of all sets.
    download_if_missing : bool, default=True
        Whether files that are missing may be downloaded.
    return_X_y : bool, default=False
        Whether to return a tuple.

    Returns
    -------
    table : :class:`~sklearn.utils.Bunch` or tuple of six lists

    Raises
    ------
    ValueError
        If a size is not accepted or there are not enough queries.
    """
    _check_sizes(sizes, {names[-1] for names in drawn_from.values()})
    rng = check_random_state(random_state)
    seen, splits, report = set(), {}, []
    for part, names in drawn_from.items():
        pairs, n_rows, n_passed = [], 0, 0
        for row in read_rows(
            source, part, data_home=data_home, download_if_missing=download_if_missing
        ):
            n_rows += 1
            pair = convert(row)
            if pair is None:
                continue
            n_passed += 1
            key = _query_digest(pair[0])
            if key not in seen:
                seen.add(key)
                pairs.append(pair)
        found = (
            f"{part} part of {source.repository}: {n_rows} rows, of which {n_passed} "
            f"passed the filters, with {len(pairs)} distinct queries"
        )
        report.append(found)
        drawn = draw_splits(len(pairs), {n: sizes[n] for n in names}, rng, found=found)
        splits |= {name: [pairs[i] for i in rows] for name, rows in drawn.items()}
    columns = {
        f"{what}_{name}": [pair[position] for pair in splits[name]]
        for position, what in enumerate(["queries", truth])
        for name in _SPLITS
    }
    if return_X_y:
        return tuple(columns.values())
    return Bunch(**columns, DESCR=_describe(description, report))


def draw_splits(n_queries, sizes, rng, *, found=""):
    """Draw disjoint splits.

    Parameters
    ----------
    n_queries : int
        Number of queries to draw from.
    sizes : dict of str to int or None
        Size of each split. The last one may be None: all remaining queries, in their
        order.
    rng : RandomState instance
        Randomness.
    found : str, default=""
        Origin of the queries, for the message.

    Returns
    -------
    rows : dict of str to ndarray of int64
        Queries of each split, in random order.

    Raises
    ------
    ValueError
        If there are too few queries.

    Examples
    --------
    >>> from sklearn.utils import check_random_state
    >>> from sklearn_adaalloc.datasets._public import draw_splits
    >>> draw_splits(6, {"test": 2, "train": None}, check_random_state(0))
    {'test': array([5, 2]), 'train': array([0, 1, 3, 4])}
    """
    n_wanted = sum(size or 0 for size in sizes.values())
    if n_wanted > n_queries or n_queries == 0:
        asked = ", ".join(f"n_{name}={size}" for name, size in sizes.items())
        raise ValueError(
            f"{asked} need at least {max(n_wanted, 1)} queries, and there are "
            f"{n_queries} ({found}). Ask for fewer, or check "
            "that the files are complete."
        )
    order, rows = rng.permutation(n_queries), {}
    for name, size in sizes.items():
        rows[name] = np.sort(order) if size is None else order[:size]
        order = order[len(rows[name]) :]
    return rows


def truth_by_query(table, truth="answers"):
    """Map every query of a set to its truth, in the form that verifiers take.

    Parameters
    ----------
    table : :class:`~sklearn.utils.Bunch`
        Result of :func:`fetch_public`, with texts as queries.
    truth : str, default="answers"
        Name of the truth.

    Returns
    -------
    mapping : dict of str to object
    """
    return {
        query: value
        for name in _SPLITS
        for query, value in zip(
            table[f"queries_{name}"], table[f"{truth}_{name}"], strict=True
        )
    }


def _check_sizes(sizes, may_be_none):
    for name, size in sizes.items():
        if size is not None or name not in may_be_none:
            check_whole(size, f"n_{name}", least=0)


def _query_digest(query):
    """Short digest of a query, which ignores white space."""
    if not isinstance(query, str):
        query = " ".join(f"{m['role']} {m['content']}" for m in query)
    text = " ".join(query.split()).encode("utf-8", errors="surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest()


def _describe(description, report):
    return "\n\n".join([description.strip(), *(f"Read: {found}." for found in report)])
