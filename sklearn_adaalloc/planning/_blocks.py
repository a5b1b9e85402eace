r"""The price of a budget where rows of marginals are in several blocks.

A block is an array of rows, in memory or on another machine. An algorithm on blocks is
a generator. It yields questions, each of them a function of a block, and is sent the
answers of all blocks. It sees no row itself, but for a small sample and the entries
near the price. So the same algorithm serves one array (:func:`answer`) and a cluster,
with equal results.

The price is the K-th largest marginal. It is first bracketed with a random sample of
rows. Then the exact price is found within the bracket. The random sample affects only
the speed, never the result.

All functions are pure and expect checked arrays.
"""

from functools import reduce
from itertools import accumulate
from operator import add
from typing import NamedTuple

import numpy as np

_PIECE = 2**17  # entries read at a time: they and their masks fit into the cache
_MOST_SAMPLED = 2**15  # rows
CANDIDATES = 1024  # prices that are tried at a time


class Question(NamedTuple):
    """What an algorithm asks all blocks.

    Parameters
    ----------
    function : callable
        Function of a block and of more arguments.
    shared : tuple, default=()
        Arguments that are the same for all blocks.
    own : list of n_blocks tuples, default=None
        Further arguments, one tuple for each block.
    combine : callable, default=None
        Makes one answer of two. The algorithm is then sent one answer of all blocks, in
        place of a list.
    """

    function: callable
    shared: tuple = ()
    own: list | None = None
    combine: callable = None

    def own_arguments(self, n_blocks):
        """Further arguments of each block."""
        return [()] * n_blocks if self.own is None else self.own

    def collect(self, answers):
        """What the algorithm is sent, from an iterable of the answers of all blocks."""
        return list(answers) if self.combine is None else reduce(self.combine, answers)


class Ties(NamedTuple):
    """Steps of a block that are bought at a price, and those tied with it."""

    n_above: int
    by_step: np.ndarray  # (n_steps + 1,), int: number of tied steps, by their column


class Purchase(NamedTuple):
    """Which steps a budget buys: those above a price, and some tied ones."""

    price: float
    level: int  # tied steps in columns before this one are bought


def answer(search, blocks):
    """Run an algorithm on blocks in memory.

    Parameters
    ----------
    search : generator
        Yields each :class:`Question`.
    blocks : list of n_blocks arrays

    Returns
    -------
    result : object
        What the generator returns.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._blocks import answer, price_of_steps
    >>> blocks = [np.array([[0.5, 0.25]]), np.array([[0.9, 0.09]])]
    >>> answer(price_of_steps([1, 1], 2, n_steps=3), blocks)
    0.25
    """
    answers = None
    while True:
        try:
            question = search.send(answers)
        except StopIteration as end:
            return end.value
        own = question.own_arguments(len(blocks))
        answers = question.collect(
            question.function(block, *question.shared, *each)
            for block, each in zip(blocks, own, strict=True)
        )


def price_of_steps(sizes, width, n_steps, *, most=None):
    """Find the price at which so many steps are bought: a generator of questions.

    Parameters
    ----------
    sizes : list of n_blocks int
        Number of rows of each block.
    width : int
        Number of steps of a row.
    n_steps : int
        Number of steps to buy.
    most : int, default=None
        Largest number of entries that blocks may answer with, all together. None is no
        limit.

    Returns
    -------
    price : float
        As of :func:`~sklearn_adaalloc.planning._solvers.allocate`.
    """
    n_priced = max(n_steps, 1)
    if n_priced > sum(sizes) * width:  # the budget pays for more than there is
        yield Question(check_rows, own=first_rows(sizes))
        return 0.0
    price = yield from _kth_largest(sizes, width, n_priced, most)
    return max(float(price), 0.0)


def purchases(sizes, width, n_steps, *, most=None):
    """Find what is bought of each block: a generator of questions.

    Parameters
    ----------
    sizes, width, n_steps, most
        As of :func:`price_of_steps`.

    Returns
    -------
    purchase : Purchase
    quotas : list of n_blocks int
        Number of rows whose tied step in the last column is bought. With
        :func:`buy_steps`, all blocks together get the budgets that
        :func:`~sklearn_adaalloc.planning._solvers.allocate` gives one array.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._blocks import answer, buy_steps, purchases
    >>> blocks = [np.array([[0.5, 0.25]]), np.array([[0.9, 0.25]])]
    >>> purchase, quotas = answer(purchases([1, 1], 2, n_steps=3), blocks)
    >>> purchase, quotas
    (Purchase(price=0.25, level=1), [1, 0])
    >>> [buy_steps(block, purchase, quota) for block, quota in zip(blocks, quotas)]
    [array([2]), array([1])]
    """
    price = yield from price_of_steps(sizes, width, n_steps, most=most)
    if price == 0:
        return Purchase(0.0, 0), [0] * len(sizes)
    ties = yield Question(_find_ties, (price,))
    level, quotas = share_ties(ties, n_steps)
    return Purchase(price, level), quotas


def buy_steps(block, purchase, quota):
    """Number of steps of each row of a block that are bought.

    Parameters
    ----------
    block : ndarray of shape (n_rows, n_steps)
    purchase, quota
        What :func:`purchases` returned.

    Returns
    -------
    budgets : ndarray of shape (n_rows,), dtype int64
    """
    above, at_least = steps_above(block, purchase.price)
    if purchase.price == 0:
        return above
    return buy_ties(above, at_least, purchase.level, quota)


def steps_above(block, price):
    """Count the entries of each row above the price, and above or equal to it."""
    above, at_least = np.zeros((2, len(block)), dtype=np.int64)
    for rows, piece in pieces_of(block):
        above[rows] = at_least[rows] = _sum_rows(piece > price)
        equal = piece == price
        if equal.any():
            at_least[rows] += _sum_rows(equal)
    return above, at_least


def count_ties(above, at_least, n_steps):
    """Count the steps of a block above the price, and those tied with it.

    For row i, the steps ``above[i] + 1, ..., at_least[i]`` are tied.
    """
    tied = above < at_least
    starts, ends = (
        np.bincount(each[tied], minlength=n_steps + 1) for each in (above, at_least)
    )
    return Ties(int(above.sum()), np.cumsum(starts - ends))


def share_ties(ties, n_steps):
    """Share out tied steps, in the order of step, then of row.

    Parameters
    ----------
    ties : list of n_blocks Ties
        What :func:`count_ties` returned.
    n_steps : int
        Number of steps to buy of all blocks.

    Returns
    -------
    level : int
        Steps before this column are bought.
    quotas : list of n_blocks int
        Number of tied steps of this column that are bought of each block.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._blocks import Ties, share_ties
    >>> share_ties([Ties(0, np.array([2, 1])), Ties(1, np.array([1, 1]))], n_steps=5)
    (1, [1, 0])
    """
    by_step = np.array([each.by_step for each in ties])  # (n_blocks, n_steps + 1)
    left = n_steps - sum(each.n_above for each in ties)
    n_until = np.cumsum(by_step.sum(axis=0))  # number of ties up to each column
    level = int(np.searchsorted(n_until, left))
    if level == len(n_until):  # all ties are bought
        return level, [0] * len(ties)
    left -= int(n_until[level - 1]) if level else 0
    here = by_step[:, level]
    before = np.cumsum(here) - here
    return level, np.clip(left - before, 0, here).tolist()


def buy_ties(above, at_least, level, quota):
    """Add tied steps before a column, and in that column those of the first rows."""
    budgets = np.clip(level, above, at_least)
    one_more = np.flatnonzero((above <= level) & (level < at_least))
    budgets[one_more[:quota]] += 1
    return budgets


def check_rows(block, first_row=0):
    """Raise unless all rows are finite and non-increasing."""
    for rows, piece in pieces_of(block):
        _check_piece(piece, first_row + rows.start)


def first_rows(sizes):
    """Arguments that tell each block the number of its first row."""
    starts = np.cumsum(sizes) - np.asarray(sizes)
    return [(int(start),) for start in starts]


def rows_of_blocks(rows, sizes):
    """Split sorted row numbers into those of each block, counted from its first row."""
    edges = np.cumsum(sizes)
    parts = np.split(rows, np.searchsorted(rows, edges[:-1]))
    return [
        part - (edge - size)
        for part, edge, size in zip(parts, edges, sizes, strict=True)
    ]


def sampled_rows(n_rows):
    """Some rows of many, sorted, with which a bracket of the price is found.

    With n^(2/3) of n rows, the sample and the bracket have about the same size.
    """
    n_sampled = min(int(np.ceil(n_rows ** (2 / 3))), _MOST_SAMPLED)
    return np.sort(np.random.default_rng(0).integers(n_rows, size=n_sampled))


def left_for_each(wanted, limit):
    """What is left of a limit for each block, when those before it had theirs."""
    return [limit - int(before) for before in accumulate([0, *wanted[:-1]])]


def take_rows(block, rows):
    """Some rows of a block."""
    return block[rows]


def _find_ties(block, price):
    return count_ties(*steps_above(block, price), block.shape[1])


def _kth_largest(sizes, width, k, most):
    """Find the exact k-th largest entry, within a bracket from a sample of rows."""
    n_queries = sum(sizes)
    sampled = sampled_rows(n_queries)
    n_sampled = len(sampled)
    own = [(rows,) for rows in rows_of_blocks(sampled, sizes)]
    sample = np.concatenate((yield Question(take_rows, own=own)))
    sample = np.sort(sample, axis=None)[::-1]
    # Two standard errors of the rank in the worst case: rows are bought whole or not.
    rank, margin = k * n_sampled // n_queries, width * np.sqrt(n_sampled)

    def quantile(rank):
        if 0 <= rank < sample.size:
            return sample[int(rank)]
        return sample.dtype.type(np.inf if rank < 0 else -np.inf)

    most_each = None if most is None else most // len(sizes)
    while True:
        low, high = quantile(rank + margin), quantile(rank - margin)
        while True:
            question = Question(_select, (low, high, most_each), first_rows(sizes))
            n_above, n_within, within = zip(*(yield question), strict=True)
            n_above, n_within = sum(n_above), sum(n_within)
            found = n_above < k <= n_above + n_within
            if not found or all(part is not None for part in within):
                break
            low, high = yield from _narrower(low, high, k)
        if found:
            break
        margin *= 8  # the k-th largest entry is outside the bracket
    if low == high:
        return low
    within = np.concatenate(within)
    place = n_above + n_within - k
    within.partition(place)
    return within[place]


def _select(block, low, high, most, first_row):
    """Count the entries above `high`, and count and list those from `low` to `high`.

    If they are more than `most`, or all equal, they are not listed.
    """
    n_above, n_within, within = 0, 0, [block[:0].ravel()]
    for rows, piece in pieces_of(block):
        _check_piece(piece, first_row + rows.start)  # while it is in the cache
        above = piece > high
        chosen = above ^ (piece >= low)
        n_above += np.count_nonzero(above)
        n_within += np.count_nonzero(chosen)
        if low < high and (most is None or n_within <= most):
            within.append(piece[chosen])
    if most is not None and low < high and n_within > most:
        return n_above, n_within, None
    return n_above, n_within, np.concatenate(within)


def _narrower(low, high, k):
    """Narrow a bracket of the k-th largest entry to a part of it."""
    edges = floats_between(low, high, CANDIDATES)
    counts = yield Question(_count_from, (edges,), combine=add)
    place = np.flatnonzero(counts >= k)[-1]
    if place == len(edges) - 1:
        return high, high
    return edges[place], np.nextafter(edges[place + 1], low)


def _count_from(block, edges):
    """Number of entries of a block from each edge on; edges are ascending."""
    counts = np.zeros(len(edges) + 1, dtype=np.int64)
    for _, piece in pieces_of(block):
        near = piece[piece >= edges[0]]
        counts += np.bincount(
            np.searchsorted(edges, near, side="right"), minlength=len(counts)
        )
    return np.cumsum(counts[:0:-1])[::-1]


def floats_between(low, high, n):
    """At most about n distinct floats from `low` to `high`, evenly spaced in rank."""
    kind = {4: np.int32, 8: np.int64}[low.dtype.itemsize]
    least = np.iinfo(kind).min

    def rank(value):  # floats are ordered as these integers
        bits = int(value.view(kind))
        return bits if bits >= 0 else least - bits

    first, last = rank(low), rank(high)
    step = max((last - first) // n, 1)
    ranks = [*range(first, last, step), last]
    bits = np.array([each if each >= 0 else least - each for each in ranks], kind)
    return np.unique(bits.view(low.dtype))


def pieces_of(block):
    """Yield (rows, piece): contiguous pieces of rows that fit into the cache."""
    if block.size == 0:
        return
    n_rows = max(1, _PIECE // block.shape[1])
    for start in range(0, len(block), n_rows):
        rows = slice(start, start + n_rows)
        yield rows, np.ascontiguousarray(block[rows])


def _check_piece(piece, start):
    flat, width = piece.ravel(), piece.shape[1]
    falls = flat[:-1] >= flat[1:]
    falls[width - 1 :: width] = True  # from one row to the next
    # A non-increasing row has no NaN, and its ends are its extremes.
    if falls.all() and all(np.isfinite(piece[:, end]).all() for end in (0, -1)):
        return
    falls = (piece[:, :-1] >= piece[:, 1:]).all(axis=1)
    bad = np.argmin(falls & np.isfinite(piece).all(axis=1))
    raise ValueError(
        f"marginals has {piece[bad]} in row {start + bad}. Expected finite, "
        "non-increasing rows. Repair them with concave_repair."
    )


def _sum_rows(mask):
    # A narrow counter is several times faster; int8 holds up to 127.
    counter = np.int8 if mask.shape[1] <= 127 else np.int64
    return mask.view(np.int8).sum(axis=1, dtype=counter)
