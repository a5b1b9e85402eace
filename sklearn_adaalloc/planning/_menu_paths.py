"""Paths: orders in which several decoders are asked as long as all fail.

What they are for, and why these orders: :mod:`sklearn_adaalloc.planning._menus`.

All functions are pure and expect checked arrays.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from sklearn.utils import gen_batches

_LEAST_GAIN = 1e-9  # a chance below ends a path
_LEAST_RATIO = 0.5  # of chance and cost: where all are below, nothing later is worth it
_ROUNDING = 1e-12
_BLOCK = 256  # queries whose paths are followed at a time


class Paths(NamedTuple):
    """Orders in which decoders are asked as long as all fail, and what that brings."""

    decoders: np.ndarray  # (n_queries, n_paths, n_steps), int; n_decoders at the end
    failing: np.ndarray  # (n_queries, n_paths, n_steps + 1): all so far fail
    spent: np.ndarray  # (n_queries, n_paths, n_steps + 1): cost if all so far fail


@cache
def decoder_subsets(n_decoders):
    """All decoders, all without one, and each alone, as masks.

    Examples
    --------
    >>> from sklearn_adaalloc.planning._menu_paths import decoder_subsets
    >>> decoder_subsets(2)
    array([[ True,  True],
           [False,  True],
           [ True, False]])
    """
    one = np.eye(n_decoders, dtype=bool)
    subsets = np.concatenate([np.ones((1, n_decoders), dtype=bool), ~one, one])
    _, first = np.unique(subsets, axis=0, return_index=True)
    subsets = subsets[np.sort(first)]
    subsets = subsets[subsets.any(axis=1)]
    subsets.flags.writeable = False  # it is shared
    return subsets


def failure_paths(weights, profiles, costs, limits, *, cut=False):
    """Find the paths of each query: the decoder with the highest chance per cost next.

    Parameters
    ----------
    weights : ndarray of shape (n_queries, n_profiles)
        Weights of the profiles. They need not sum to 1: failures so far reduce them.
    profiles : ndarray of shape (n_profiles, n_decoders)
        Success rates.
    costs : ndarray of shape (n_queries, n_decoders)
        Cost of a sample, positive.
    limits : ndarray of shape (n_queries, n_decoders), int
        Largest number of samples of each decoder.
    cut : bool, default=False
        Whether costs are in the unit of success, so that a path can end where nothing
        beyond can be worth its cost: where the highest chance is at most half its cost.

    Returns
    -------
    paths : Paths
        A path ends where its decoders have no chance or reach their limits.

    Examples
    --------
    The second decoder is better, and dear:

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._menu_paths import failure_paths
    >>> paths = failure_paths(
    ...     np.array([[0.5, 0.5]]),
    ...     np.array([[0.5, 0.9], [0.0, 0.8]]),
    ...     np.array([[1.0, 4.0]]),
    ...     np.array([[2, 1]]),
    ... )
    >>> paths.decoders[0, 0]
    array([0, 1, 0])
    >>> paths.failing[0, 0].round(4)
    array([1.    , 0.75  , 0.125 , 0.1125])
    """
    # Why half: let all chances be at most r times their costs. If later steps leave a
    # share s of the failures, chances are at most r / s times their costs, because a
    # failure makes no profile more likely than 1 / s. A step that solves g then adds
    # at most g (1 - s / r) net of its cost. All steps together add at most the
    # integral of 1 - s / r from 0 to 1, which is 1 - 1 / 2r: nothing if r <= 1/2.
    n_queries, n_decoders = costs.shape
    subsets = decoder_subsets(n_decoders)
    n_steps = int(limits.sum(axis=1).max(initial=0))
    shape = (len(subsets), n_queries, n_steps)
    decoders = np.full(shape, n_decoders)
    failing, spent = np.zeros((2, *shape[:2], n_steps + 1))
    longest = 0
    for block in gen_batches(n_queries, _BLOCK):
        # Rows are the queries of the block, once for each subset.
        left = np.where(subsets[:, None], limits[block], 0).reshape(-1, n_decoders)
        paid = np.where(left > 0, np.tile(costs[block], (len(subsets), 1)), np.inf)
        mass = np.tile(weights[block].astype(np.float64), (len(subsets), 1))
        ways = _follow(left, paid, mass, profiles, cut=cut)
        longest = max(longest, len(ways.decoders))
        for whole, part in zip((decoders, failing, spent), ways, strict=True):
            size = len(part)
            rows = part.T.reshape(len(subsets), -1, size)
            whole[:, block, :size] = rows
            if whole is not decoders:  # nothing changes after the end
                whole[:, block, size:] = rows[..., -1:]
    arrays = (decoders[..., :longest], failing[..., : longest + 1])
    arrays += (spent[..., : longest + 1],)
    return Paths(*(array.swapaxes(0, 1) for array in arrays))


def _follow(left, paid, mass, profiles, *, cut):
    """Paths of rows, step by step; `left`, `paid` and `mass` are used up.

    Returns Paths with the steps first: (n_steps, n_rows), twice (n_steps + 1, n_rows).
    """
    n_rows, n_decoders = left.shape
    misses = np.ones((n_decoders + 1, len(profiles)))  # the last is for no decoder
    misses[:-1] = 1 - profiles.T
    rows = np.arange(n_rows)
    failing, spent, decoders = [mass.sum(axis=1)], [np.zeros(n_rows)], []
    for _ in range(int(left.sum(axis=1).max(initial=0))):
        ratios = (mass @ profiles) / paid  # 0 for decoders at their limits
        best = ratios.argmax(axis=1)
        ratio, step = ratios[rows, best], paid[rows, best]
        going = ratio > failing[-1] * (_LEAST_RATIO if cut else _LEAST_GAIN / step)
        if not going.any():
            break
        left[rows, best] -= going
        used_up = left[rows, best] == 0
        paid[rows[used_up], best[used_up]] = np.inf
        best[~going] = n_decoders
        step[~going] = 0.0
        mass *= misses[best]
        decoders.append(best)
        failing.append(mass.sum(axis=1))
        spent.append(spent[-1] + step)
    decoders = np.array(decoders, dtype=np.int64).reshape(-1, n_rows)
    return Paths(decoders, np.array(failing), np.array(spent))


def path_expenses(paths, n_rounds):
    r"""Smallest expected cost of a plan that stops at each step of a path.

    In one round, all samples up to the stop are paid. With :math:`\kappa(j)` for the
    cost of the first j steps, :math:`C_1(j) = \kappa(j)` and :math:`C_r(j) = \min_{i
    \le j} C_{r-1}(i) + (\kappa(j) - \kappa(i)) S(i)`.

    Parameters
    ----------
    paths : Paths
        Paths of each query.
    n_rounds : int or None
        Number of rounds. None means one sample at a time.

    Returns
    -------
    expenses : list of n_rounds ndarrays of shape (n_queries, n_paths, n_steps + 1)
        With None, one array.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._menu_paths import Paths, path_expenses
    >>> failing, spent = np.array([[[1.0, 0.5, 0.25]]]), np.array([[[0.0, 1.0, 2.0]]])
    >>> paths = Paths(np.array([[[0, 0]]]), failing, spent)
    >>> [expense.ravel() for expense in path_expenses(paths, 2)]
    [array([0., 1., 2.]), array([0. , 1. , 1.5])]
    >>> path_expenses(paths, None)[0].ravel()
    array([0. , 1. , 1.5])
    """
    _, failing, spent = paths
    if n_rounds is None:
        steps = np.diff(spent, axis=2) * failing[..., :-1]
        expense = np.zeros_like(spent)
        np.cumsum(steps, axis=2, out=expense[..., 1:])
        return [expense]
    expenses = [spent]
    for _ in range(1, n_rounds):
        # From stop i, the expected cost is a line in spent with slope failing.
        lines = expenses[-1] - failing * spent
        expense = np.empty_like(spent)
        for j in range(spent.shape[2]):
            upto = failing[..., : j + 1] * spent[..., j, None]
            expense[..., j] = (lines[..., : j + 1] + upto).min(axis=2)
        expenses.append(expense)
    return expenses


def best_stops(failing, expense, price):
    """Path and stop (n_queries,) with the highest net value at a price."""
    value = -failing - price * expense
    best = value.reshape(len(value), -1).argmax(axis=1)
    return np.unravel_index(best, value.shape[1:])


def first_counts(paths, expenses, path, stop, n_decoders):
    """Samples of the first round of the cheapest plans that end at given stops."""
    rows = np.arange(len(path))
    failing, spent = paths.failing[rows, path], paths.spent[rows, path]
    every = np.arange(spent.shape[1])
    for expense in expenses[-2::-1]:
        upto = (spent[rows, stop][:, None] - spent) * failing
        total = np.where(every <= stop[:, None], expense[rows, path] + upto, np.inf)
        # Of equal plans, the one that takes samples late: more verdicts are known then.
        total += _ROUNDING * spent
        stop = total.argmin(axis=1)
    return count_upto(paths.decoders, path, stop, n_decoders)


def count_upto(decoders, path, stop, n_decoders):
    """Number of samples of each decoder on a path up to a stop."""
    chosen = decoders[np.arange(len(path)), path]
    chosen = np.where(np.arange(chosen.shape[1]) < stop[:, None], chosen, n_decoders)
    return (chosen[:, :, None] == np.arange(n_decoders)).sum(axis=1)


def step_ratios(failing, expense):
    """Slopes of the least concave majorant of success over expected cost."""
    gains, steps = -np.diff(failing, axis=1), np.diff(expense, axis=1)
    ratios = np.divide(gains, steps, out=np.zeros_like(gains), where=steps > 0)
    rows = np.flatnonzero((ratios[:, 1:] > ratios[:, :-1]).any(axis=1))
    if rows.size == 0:
        return ratios
    failing, expense = failing[rows], expense[rows]
    for step in range(ratios.shape[1]):
        # The best block from here on; blocks follow each other with falling slopes.
        gains = failing[:, step, None] - failing[:, step + 1 :]
        steps = expense[:, step + 1 :] - expense[:, step, None]
        blocks = np.divide(gains, steps, out=np.zeros_like(gains), where=steps > 0)
        ratios[rows, step] = blocks.max(axis=1)
    return np.minimum.accumulate(ratios, axis=1)
