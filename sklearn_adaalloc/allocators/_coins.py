"""Coins decide which of several tied queries get the rest of a budget.

A rule that decides for each query alone treats equal predictions equally. If the budget
does not pay for all tied queries, it would be left unspent. Therefore each query has a
coin: a number in [0, 1) that depends only on its content and a seed. The coin decides
whether the query gets one of the remaining samples. So the same query gets the same
budget in every batch and in every process.
"""

from functools import lru_cache
from hashlib import blake2b

import numpy as np
from scipy.sparse import issparse

_GOLDEN = (np.sqrt(5) - 1) / 2  # its multiples modulo 1 are even over [0, 1)
_DITHER = 0.1  # width, in log price, over which the prices of equal queries differ
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def query_coins(X, seed):
    """Coin of each query: uniform over [0, 1), a function of content and seed only.

    Parameters
    ----------
    X : array-like, sparse array or data frame of n_queries rows, or list of texts
        Queries. Equal numbers give equal coins, whatever their type or container.
    seed : int
        Different seeds give different coins.

    Returns
    -------
    coins : ndarray of shape (n_queries,)

    Examples
    --------
    >>> from sklearn_adaalloc.allocators._coins import query_coins
    >>> one, other, again = query_coins([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]], seed=0)
    >>> bool(one == again), bool(one == other)
    (True, False)
    """
    if issparse(X):
        codes = _codes_of_entries(X)
    else:
        values = np.asarray(X) if hasattr(X, "__array__") else _as_objects(X)
        numeric = values.dtype.kind in "biuf" and values.ndim == 2
        codes = _codes_of_numbers(values) if numeric else _codes_of_texts(values)
    return _scramble(codes + _code_of_seed(seed)) / 2.0**64


def separate_coins(coins):
    """Make equal coins different, by the position of their queries.

    Parameters
    ----------
    coins : ndarray of shape (n_queries,)

    Returns
    -------
    coins : ndarray of shape (n_queries,)
        The first query with a given coin keeps it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._coins import separate_coins
    >>> separate_coins(np.array([0.0, 0.0, 0.5, 0.0])).round(2)
    array([0.  , 0.62, 0.5 , 0.24])
    """
    order = np.argsort(coins, kind="stable")
    _, first, counts = np.unique(coins, return_index=True, return_counts=True)
    place = np.arange(len(coins)) - np.repeat(np.cumsum(counts) - counts, counts)
    spread = coins.copy()
    spread[order] = (coins[order] + place * _GOLDEN) % 1.0
    spread[first] = coins[first]
    return spread


def coins_in_order(coins, first):
    """Coins of queries that arrive one after another: equal ones differ by position.

    Parameters
    ----------
    coins : ndarray of shape (n_queries,)
        Coins of the next queries.
    first : int
        Number of queries before these.

    Returns
    -------
    coins : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._coins import coins_in_order
    >>> coins_in_order(np.zeros(2), first=1).round(2)
    array([0.62, 0.24])
    """
    return (coins + (first + np.arange(len(coins))) * _GOLDEN) % 1.0


def price_factors(coins):
    """By how much the prices of queries on a stream differ from the common one.

    Equal queries then do not all pass a price at once, and what they spend together
    changes smoothly with it.

    Parameters
    ----------
    coins : ndarray of shape (n_queries,)

    Returns
    -------
    factors : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._coins import price_factors
    >>> price_factors(np.array([0.0, 0.5])).round(2)
    array([0.95, 1.  ])
    """
    return np.exp(_DITHER * (coins - 0.5))


def share_out(n_tied, coins, n_left):
    """Find the share of tied steps that spends the rest of a budget.

    Parameters
    ----------
    n_tied : ndarray of shape (n_queries,), int
        Number of tied steps of each calibration query.
    coins : ndarray of shape (n_queries,)
        Coins of these queries.
    n_left : int
        Number of steps that the budget still pays for, smaller than the number tied.

    Returns
    -------
    share : float
        With this share, :func:`tied_budgets` gives out `n_left` steps, or fewer if
        coins are equal.
    by_place : bool
        True if more than a quarter of the tied queries are identical. Then their
        positions tell them apart.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._coins import share_out, tied_budgets
    >>> n_tied, coins = np.array([1, 1, 1, 0]), np.array([0.1, 0.8, 0.5, 0.9])
    >>> share, by_place = share_out(n_tied, coins, 1)
    >>> tied_budgets(n_tied, coins, share, by_place)
    array([0, 1, 0, 0])
    """
    if n_left <= 0:
        return 0.0, False
    tied = np.flatnonzero(n_tied)
    n_tied, coins = n_tied[tied], coins[tied]
    most_alike = int(np.unique(coins, return_counts=True)[1].max())
    by_place = most_alike > max(len(tied) / 4, 1)
    if by_place:
        coins = separate_coins(coins)
    # A query gets its k-th tied step if share * n_tied + coin is at least k.
    steps = np.arange(1, n_tied.max() + 1)
    shares = (steps - coins[:, None]) / n_tied[:, None]
    shares = np.sort(shares[steps <= n_tied[:, None]])
    following = shares[n_left]
    before = shares[shares < following].max(initial=0.0)
    return float((before + following) / 2), by_place


def tied_budgets(n_tied, coins, share, by_place):
    """Number of tied steps that each query gets.

    Parameters
    ----------
    n_tied : ndarray of shape (n_queries,), int
        Number of tied steps of each query.
    coins : ndarray of shape (n_queries,)
        Coins of these queries.
    share, by_place
        What :func:`share_out` returned.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), int

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._coins import tied_budgets
    >>> tied_budgets(np.array([3, 3]), np.array([0.2, 0.7]), 0.5, False)
    array([1, 2])
    """
    budgets = np.zeros(len(n_tied), dtype=np.int64)
    tied = np.flatnonzero(n_tied)
    own = separate_coins(coins[tied]) if by_place else coins[tied]
    budgets[tied] = np.floor(share * n_tied[tied] + own)
    return budgets


def _as_objects(X):
    """Return rows as an array: numeric if all are numbers, else of objects."""
    try:
        values = np.asarray(X)
    except ValueError:  # conversations of different lengths
        values = np.empty(len(X), dtype=object)
        values[:] = list(X)
    return values


def _codes_of_numbers(values):
    """Hash each row; zeros add nothing, so dense and sparse rows agree."""
    bits = (values.astype(np.float64) + 0.0).view(np.uint64)  # no -0.0
    return (_scramble(bits) * _factors(values.shape[1])).sum(axis=1, dtype=np.uint64)


def _codes_of_entries(X):
    """Hash each row of a sparse array, as `_codes_of_numbers` does."""
    X = X.tocsr().astype(np.float64)
    X.sum_duplicates()
    entries = (
        _scramble((X.data + 0.0).view(np.uint64)) * _factors(X.shape[1])[X.indices]
    )
    codes = np.zeros(X.shape[0], dtype=np.uint64)
    np.add.at(codes, np.repeat(np.arange(X.shape[0]), np.diff(X.indptr)), entries)
    return codes


def _codes_of_texts(values):
    rows = (row.tolist() if isinstance(row, np.ndarray) else row for row in values)
    digests = [blake2b(repr(row).encode(), digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


@lru_cache(maxsize=8)  # a stream asks for each query
def _factors(n_features):
    """Return one odd factor per column, so that equal entries add different terms."""
    columns = np.arange(1, n_features + 1, dtype=np.uint64)
    return _unchanging(_scramble(columns) | np.uint64(1))


@lru_cache(maxsize=8)
def _code_of_seed(seed):
    return _unchanging(_scramble(np.array([seed], dtype=np.uint64)))


def _unchanging(array):
    array.flags.writeable = False
    return array


def _scramble(bits):
    """Mix the bits of integers; 0 stays 0 (the last step of SplitMix64)."""
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX[0]
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX[1]
    return bits ^ (bits >> np.uint64(31))
