"""Paths of menus: orders in which decoders are asked, their prices and their stops.

What a path is, and why a plan is one: :mod:`sklearn_adaalloc.planning._menus`.

All functions are pure and expect checked arrays.
"""

from typing import NamedTuple

import numpy as np

_LEAST_GAIN = 1e-9  # relative to what is left to gain; less ends a path
LEAST_PRICE = 1e-9  # relative to the highest chance per cost
_PRICE_ERROR = 1e-4  # relative; the plans on both sides share the rest of the money
_ROUNDING = 1e-12


class Paths(NamedTuple):
    """Orders in which decoders are asked as long as all fail, and what that brings.

    For 0/1 rewards, what is left to gain is the probability that all so far fail.
    """

    decoders: np.ndarray  # (n_queries, n_paths, n_steps), int; n_decoders at the end
    failing: np.ndarray  # (n_queries, n_paths, n_steps + 1): what is left to gain
    spent: np.ndarray  # (n_queries, n_paths, n_steps + 1): cost if all so far fail


def decoder_subsets(n_decoders):
    """All decoders, all without one, and each alone, as masks.

    Examples
    --------
    >>> from sklearn_adaalloc.planning._paths import decoder_subsets
    >>> decoder_subsets(2)
    array([[ True,  True],
           [False,  True],
           [ True, False]])
    """
    one = np.eye(n_decoders, dtype=bool)
    subsets = np.concatenate([np.ones((1, n_decoders), dtype=bool), ~one, one])
    _, first = np.unique(subsets, axis=0, return_index=True)
    subsets = subsets[np.sort(first)]
    return subsets[subsets.any(axis=1)]


def ordered_paths(mass, gains_of, after, costs, limits, *, first_gain=0.0, starts=()):
    """Find the paths of each query: the decoder with the highest gain per cost next.

    Parameters
    ----------
    mass : ndarray of shape (n_queries, n_states)
        What is still to be gained, in states of a query that are not known.
    gains_of : callable
        From the mass to what the next sample of each decoder is expected to gain,
        (n_queries, n_decoders).
    after : callable
        From the mass and decoders (n_queries,) to what remains to be gained after a
        sample of them. n_decoders stands for no sample.
    costs : ndarray of shape (n_queries, n_decoders)
        Cost of a sample, positive.
    limits : ndarray of shape (n_queries, n_decoders), int
        Largest number of samples of each decoder.
    first_gain : float or ndarray of shape (n_queries,), default=0.0
        What the first sample of a query gains besides. It may be negative.
    starts : sequence of sequences of int, default=()
        For each, one more path that begins with these decoders and goes on with all.

    Returns
    -------
    paths : Paths
        A path ends where its decoders have nothing to gain or reach their limits.
    """
    n_queries, n_decoders = costs.shape
    subsets = [(subset, ()) for subset in decoder_subsets(n_decoders)]
    subsets += [(np.ones(n_decoders, dtype=bool), start) for start in starts]
    n_steps = int(limits.sum(axis=1).max(initial=0))
    shape = (len(subsets), n_queries, n_steps)
    decoders = np.full(shape, n_decoders)
    failing, spent = np.zeros((2, *shape[:2], n_steps + 1))
    step_costs = np.column_stack([costs, np.zeros(n_queries)])
    rows = np.arange(n_queries)
    first_gain = np.broadcast_to(first_gain, n_queries)
    whole = mass
    for path, (subset, start) in enumerate(subsets):
        left = np.where(subset, limits, 0)
        mass, extra = whole, first_gain
        failing[path, :, 0] = mass.sum(axis=1) + extra
        for step in range(n_steps):
            gains = gains_of(mass)
            ratios = np.where(left > 0, (gains + extra[:, None]) / costs, -np.inf)
            best = ratios.argmax(axis=1)
            if step < len(start):
                best = np.where(left[:, start[step]] > 0, start[step], best)
            going = left[rows, best] > 0
            going &= gains[rows, best] > _LEAST_GAIN * mass.sum(axis=1)
            left[rows, best] -= going
            best[~going] = n_decoders
            decoders[path, :, step] = best
            mass, extra = after(mass, best), np.where(going, 0.0, extra)
            failing[path, :, step + 1] = mass.sum(axis=1) + extra
            spent[path, :, step + 1] = spent[path, :, step] + step_costs[rows, best]
            if not going.any():
                failing[path, :, step + 1 :] = failing[path, :, step, None]
                spent[path, :, step + 1 :] = spent[path, :, step, None]
                break
    return Paths(*(array.swapaxes(0, 1) for array in (decoders, failing, spent)))


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
    >>> from sklearn_adaalloc.planning._paths import Paths, path_expenses
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
    return path_counts(paths.decoders, path, stop, n_decoders)


def path_counts(decoders, path, stop, n_decoders):
    """Number of samples of each decoder on a path up to a stop."""
    chosen = decoders[np.arange(len(path)), path]
    chosen = np.where(np.arange(chosen.shape[1]) < stop[:, None], chosen, n_decoders)
    return (chosen[:, :, None] == np.arange(n_decoders)).sum(axis=1)


def plans_around(plans_at, price, factor, *, least, sizes, money):
    """Plans just above and just below the price at which the money is spent.

    The search starts at a price, and steps by a factor until it has a bracket. A plan
    is a tuple of its price, its expected costs (n_kinds,) and more.
    """

    def is_affordable(plan):
        return sizes @ plan[1] <= money * (1 + _ROUNDING)

    frugal = lavish = plans_at(price)
    while not is_affordable(frugal):
        frugal, lavish = plans_at(frugal[0] * factor), frugal
    while is_affordable(lavish) and lavish[0] > least:
        frugal, lavish = lavish, plans_at(lavish[0] / factor)
    if is_affordable(lavish):
        return lavish, lavish
    while frugal[0] > lavish[0] * (1 + _PRICE_ERROR):
        plan = plans_at(np.sqrt(frugal[0] * lavish[0]))
        frugal, lavish = (plan, lavish) if is_affordable(plan) else (frugal, plan)
    return frugal, lavish


def prices_around(plan, highest, costs, money):
    """Prices just above and just below that at which plans cost as much as the money.

    Parameters
    ----------
    plan : callable
        From a price to counts (n_queries, n_decoders).
    highest : float
        A price at which no sample is worth its cost.
    costs : ndarray of shape (n_queries, n_decoders)
        What a sample costs.
    money : float
        Cost of all queries together.

    Returns
    -------
    high, low : float
        They are equal if the money pays for all that has something to gain.
    """

    def plans_at(price):
        return price, (plan(price) * costs).sum(axis=1)

    sizes = np.ones(len(costs))
    bounds = {"least": highest * LEAST_PRICE, "sizes": sizes, "money": money}
    frugal, lavish = plans_around(plans_at, highest, 16.0, **bounds)
    return frugal[0], lavish[0]


def share_out(frugal, lavish, kind, sizes, money):
    """Give the larger plan to as many queries as the money pays for."""
    (_, expense, few), (_, more, many) = frugal, lavish
    left = money - sizes @ expense
    movable = np.flatnonzero((more > expense)[kind])
    steps = (more - expense)[kind[movable]]
    n_moved = np.count_nonzero(np.cumsum(steps) <= left * (1 + _ROUNDING))
    counts = few[kind]
    moved = movable[:n_moved]
    counts[moved] = many[kind[moved]]
    return counts, left - steps[:n_moved].sum()
