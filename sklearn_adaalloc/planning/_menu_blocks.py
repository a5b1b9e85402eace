r"""One-shot budgets over several decoders, where queries are in several blocks.

Queries with similar chances and costs share a plan: they are of one *kind*, and those
of a kind with the same decoders left are in one *state*. Few numbers of each state
decide on the plans and the price: its mean weights and costs, and its size. Blocks
count them, so no query leaves its block (:mod:`sklearn_adaalloc.planning._blocks`).
What is left at that price pays for the larger plan of the first queries, and then for
single samples.

All sums over queries are sums of whole units (:mod:`sklearn_adaalloc.planning._exact`),
and a part of the queries decides on the kinds of all. So the same queries get the same
budgets, however they are cut into blocks.

All functions are pure and expect checked arrays.
"""

from operator import add
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc.curves._profiles import Cuts, cut_points, parts_of
from sklearn_adaalloc.planning._blocks import (
    Question,
    first_rows,
    left_for_each,
    rows_of_blocks,
)
from sklearn_adaalloc.planning._exact import in_units, unit_of, units_below
from sklearn_adaalloc.planning._menu_beliefs import looks_of, most_kinds
from sklearn_adaalloc.planning._menus import plans_for_money

_MOST_SAMPLED = 2**16  # queries that decide on the kinds
_NO_CHANCE = 1e-9  # a chance of success that is rounding alone
_NOTHING = 1e-9  # a gain that is rounding alone
_ROUNDING = 1e-12  # relative: what adding up costs may round off
_MEAN_COSTS = 1e-9  # the same, where queries pay the mean costs of their state
_HEADS = 64  # queries of a state that blocks name at a time


class MenuRows(NamedTuple):
    """What is known of the queries of a block."""

    weights: np.ndarray  # (n_queries, n_profiles)
    costs: np.ndarray  # (n_queries, n_decoders)


class MenuTerms(NamedTuple):
    """What holds for all queries."""

    profiles: np.ndarray  # (n_profiles, n_decoders)
    limits: np.ndarray  # (n_decoders,), int
    mandatory: np.ndarray  # (n_decoders,), int


class MeanMenu(NamedTuple):
    """Means of the queries of each state."""

    weights: np.ndarray  # (n_states, n_profiles): after mandatory samples that failed
    profiles: np.ndarray  # (n_profiles, n_decoders)
    costs: np.ndarray  # (n_states, n_decoders)
    room: np.ndarray  # (n_states, n_decoders), int: samples that may still be taken
    sizes: np.ndarray  # (n_states,), int


class States(NamedTuple):
    """How queries find their state."""

    terms: MenuTerms
    cuts: Cuts | None  # None if each query is a kind
    payable: float  # a dearer sample is not taken
    codes: np.ndarray  # (n_states,), ascending


class MenuPlan(NamedTuple):
    """Budgets of all queries."""

    states: States
    few: np.ndarray  # (n_states, n_decoders)
    many: np.ndarray  # (n_states, n_decoders)
    steps: np.ndarray  # (n_states,), int: in units, from few to many
    unit: float  # of what queries spend


class MenuShare(NamedTuple):
    """The part of a block."""

    first_row: int
    movable: int  # units that are left for the steps of these queries
    extra: dict  # row -> further samples (n_decoders,)
    affordable: int  # units that are left for what these queries spend


def menu_shares(sizes, terms, money_of):
    """Split money over queries in blocks: a generator of questions.

    Parameters
    ----------
    sizes : list of n_blocks int
        Number of queries of each block.
    terms : MenuTerms
    money_of : callable
        From what the mandatory samples of all queries cost to the money for all of
        their samples.

    Returns
    -------
    plan : MenuPlan
    shares : list of n_blocks MenuShare
        For :func:`menu_budgets`.
    """
    n_queries = sum(sizes)
    own = first_rows(sizes)
    largest = yield Question(_largest_cost, combine=max)
    unit = unit_of(largest * int(terms.limits.sum()), n_queries)
    paid = yield Question(_mandatory_cost, (terms.mandatory, unit), combine=add)
    paid = paid * unit
    money = money_of(paid) - paid
    cuts = yield from _find_kinds(sizes, terms)
    states = States(terms, cuts, money, np.zeros(0, dtype=np.int64))
    codes = yield Question(_codes_of, (states,), own, combine=np.union1d)
    states = states._replace(codes=codes)
    menu = yield from _mean_menu(states, own, largest, n_queries)
    frugal, lavish = _plans(menu, money)
    left = money - menu.sizes @ frugal[1]
    steps = np.maximum(lavish[1] - frugal[1], 0)
    step_unit = unit_of(steps.max(initial=0.0), n_queries)
    steps = in_units(steps, step_unit)
    plan = MenuPlan(states, frugal[2], lavish[2], steps, unit)
    wanted = yield Question(_sum_steps, (plan,), own)
    limits = left_for_each(wanted, units_below(left * (1 + _ROUNDING), step_unit))
    shares = [
        MenuShare(*first, limit, {}, 0)
        for first, limit in zip(own, limits, strict=True)
    ]
    moved = yield Question(_count_moved, (plan,), _each(shares), combine=add)
    left -= int(moved @ steps) * step_unit
    extra = yield from _spend_rest(plan, shares, menu, moved, left)
    for row, samples in extra.items():
        block = np.searchsorted(np.cumsum(sizes), row, side="right")
        shares[block].extra[row] = samples
    spent = yield Question(_sum_spent, (plan,), _each(shares))
    limits = left_for_each(spent, units_below(money * (1 + _MEAN_COSTS), unit))
    shares = [
        share._replace(affordable=limit)
        for share, limit in zip(shares, limits, strict=True)
    ]
    return plan, shares


def menu_budgets(rows, plan, share):
    """Budgets of the queries of a block.

    Parameters
    ----------
    rows : MenuRows
    plan : MenuPlan
    share : MenuShare

    Returns
    -------
    budgets : ndarray of shape (n_queries, n_decoders), dtype int64
    """
    counts = _wanted(rows, plan, share)
    spent = np.cumsum(_spent(rows, counts, plan.unit))
    # A plan that a state shares pays its mean costs, and these may differ.
    counts = np.where((spent <= share.affordable)[:, None], counts, 0)
    return plan.states.terms.mandatory + counts


def _find_kinds(sizes, terms):
    """Cuts between the kinds of all queries, from a part of them."""
    n_queries = sum(sizes)
    n_kinds = most_kinds(len(terms.limits), int(terms.limits.sum()))
    if n_queries <= n_kinds:
        return None
    rows = np.arange(n_queries)
    if n_queries > _MOST_SAMPLED:
        rows = np.random.default_rng(0).integers(n_queries, size=_MOST_SAMPLED)
    own = [(part,) for part in rows_of_blocks(np.sort(rows), sizes)]
    looks = yield Question(_look_at, (terms.profiles,), own)
    return cut_points(np.concatenate(looks), n_kinds)[1]


def _mean_menu(states, own, largest, n_queries):
    """Means of the queries of each state."""
    terms, codes = states.terms, states.codes
    cost_unit, weight_unit = unit_of(largest, n_queries), unit_of(1.0, n_queries)
    units = weight_unit, cost_unit
    sizes, weights, costs = yield Question(
        _sum_states, (states, *units), own, combine=_add_each
    )
    weights = weights / weights.sum(axis=1, keepdims=True)
    # A plan starts as if all mandatory samples had failed.
    weights = weights * np.exp(np.log1p(-terms.profiles) @ terms.mandatory)
    n_decoders = len(terms.limits)
    is_open = codes[:, None] >> np.arange(n_decoders)[::-1] & 1
    room = is_open * (terms.limits - terms.mandatory)
    costs = costs * cost_unit / sizes[:, None]
    return MeanMenu(weights, terms.profiles, costs, room, sizes)


def _plans(menu, money):
    """Plans of the states just above and just below the price of the money."""
    if len(menu.sizes) == 0:
        nothing = 0.0, np.zeros(0), np.zeros(menu.room.shape, dtype=np.int64)
        return nothing, nothing
    return plans_for_money(*menu[:4], money, menu.sizes)


def _spend_rest(plan, shares, menu, moved, left):
    """Buy single samples with the highest chance per cost that the rest pays for.

    Queries of a state with the same plan are alike, so the first of them goes first.
    Class 2 s has the queries of state s with the smaller plan, and class 2 s + 1 those
    with the larger one. Returns row -> further samples.
    """
    states, profiles = np.arange(len(moved)).repeat(2), menu.profiles
    counts = _plans_of_classes(plan)
    waiting = np.stack([menu.sizes - moved, moved], axis=1).ravel()
    mass = menu.weights[states] * np.exp(counts @ np.log1p(-profiles).T)
    room, costs = menu.room[states] - counts, menu.costs[states]
    heads, last = [[] for _ in states], [-1] * len(states)  # rows known of each class
    extra = {}
    while True:
        payable = (room > 0) & (costs <= left) & (waiting > 0)[:, None]
        ratios = np.where(payable, mass @ profiles / costs, 0.0)
        best = ratios.max(initial=0.0)
        if best == 0:
            return extra
        tied = np.flatnonzero((ratios == best).any(axis=1))
        for each in tied:
            if not heads[each]:
                question = Question(_rows_of, (plan, each, last[each]), _each(shares))
                found = np.concatenate((yield question))
                heads[each] = np.sort(found)[:_HEADS].tolist()
                last[each] = heads[each][-1]
        chosen = tied[np.argmin([heads[each][0] for each in tied])]
        decoder = int(ratios[chosen].argmax())
        if best * costs[chosen, decoder] <= _NOTHING:
            return extra
        row = heads[chosen][0]
        if chosen < len(states):  # from now on, this query is a class of its own
            del heads[chosen][0]
            waiting[chosen] -= 1
            mass, room, costs, waiting = (
                np.concatenate([each, each[chosen, None]])
                for each in (mass, room, costs, waiting)
            )
            heads.append([row])
            chosen = len(heads) - 1
            waiting[chosen] = 1
        extra.setdefault(row, np.zeros_like(room[chosen]))[decoder] += 1
        room[chosen, decoder] -= 1
        left -= costs[chosen, decoder]
        mass[chosen] *= 1 - profiles[:, decoder]


def _add_each(sums, more):
    return tuple(map(add, sums, more))


def _each(shares):
    return [(share,) for share in shares]


# Questions to a block


def _look_at(rows, profiles, chosen):
    return looks_of(rows.weights[chosen], profiles, rows.costs[chosen])


def _largest_cost(rows):
    return float(rows.costs.max(initial=0.0))


def _mandatory_cost(rows, mandatory, unit):
    return int(in_units((mandatory * rows.costs).sum(axis=1), unit).sum())


def _codes(rows, states, first_row):
    """State of each query as a number; -1 where nothing can be gained."""
    profiles, limits, mandatory = states.terms
    if states.cuts is None:
        kind = first_row + np.arange(len(rows.costs))
    else:
        looks = looks_of(rows.weights, profiles, rows.costs)
        kind = parts_of(looks, states.cuts)
    # A decoder that never succeeded is not asked, unless it is mandatory.
    hopeful = rows.weights @ profiles > _NO_CHANCE
    is_open = hopeful & (rows.costs <= states.payable) & (limits > mandatory)
    n_decoders = len(limits)
    bits = is_open @ (1 << np.arange(n_decoders)[::-1])
    return np.where(bits > 0, (kind << n_decoders) + bits, -1)


def _codes_of(rows, states, first_row):
    codes = np.unique(_codes(rows, states, first_row))
    return codes[codes >= 0]


def _states_of(rows, states, first_row):
    """Queries that have a state, and the index of it."""
    codes = _codes(rows, states, first_row)
    members = np.flatnonzero(codes >= 0)
    return members, np.searchsorted(states.codes, codes[members])


def _sum_states(rows, states, weight_unit, cost_unit, first_row):
    """Number of queries of each state, and sums of their weights and costs."""
    members, state = _states_of(rows, states, first_row)
    n_states = len(states.codes)
    sums = []
    for values, unit in ((rows.weights, weight_unit), (rows.costs, cost_unit)):
        sums.append(np.zeros((n_states, values.shape[1]), dtype=np.int64))
        np.add.at(sums[-1], state, in_units(values[members], unit))
    return np.bincount(state, minlength=n_states), *sums


def _sum_steps(rows, plan, first_row):
    _, state = _states_of(rows, plan.states, first_row)
    return int(plan.steps[state].sum())


def _classes(rows, plan, share):
    """Queries that have a state, and their class: see `_spend_rest`."""
    members, state = _states_of(rows, plan.states, share.first_row)
    steps = plan.steps[state]
    moved = (steps > 0) & (np.cumsum(steps) <= share.movable)
    return members, 2 * state + moved


def _plans_of_classes(plan):
    n_states, n_decoders = plan.few.shape
    return np.stack([plan.few, plan.many], axis=1).reshape(2 * n_states, n_decoders)


def _count_moved(rows, plan, share):
    """Number of queries of each state that have the larger plan."""
    _, classes = _classes(rows, plan, share)
    return np.bincount(classes, minlength=2 * len(plan.steps))[1::2]


def _rows_of(rows, plan, which, after, share):
    """The first queries of a class after some row."""
    members, classes = _classes(rows, plan, share)
    found = share.first_row + members[classes == which]
    return found[found > after][:_HEADS]


def _wanted(rows, plan, share):
    """Samples of each query beyond mandatory ones."""
    members, classes = _classes(rows, plan, share)
    counts = np.zeros(rows.costs.shape, dtype=np.int64)
    counts[members] = _plans_of_classes(plan)[classes]
    for row, samples in share.extra.items():
        counts[row - share.first_row] += samples
    return counts


def _spent(rows, counts, unit):
    return in_units((counts * rows.costs).sum(axis=1), unit)


def _sum_spent(rows, plan, share):
    return int(_spent(rows, _wanted(rows, plan, share), plan.unit).sum())
