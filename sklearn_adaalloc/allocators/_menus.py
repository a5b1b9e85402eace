"""Decisions over several decoders: between the shells of allocators and planning."""

from functools import partial
from reprlib import repr as short_repr
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc._utils.parameters import MOST
from sklearn_adaalloc.allocators._coins import separate_coins
from sklearn_adaalloc.allocators._explanation import Decision
from sklearn_adaalloc.planning._paths import prices_around
from sklearn_adaalloc.planning._prices import money_left
from sklearn_adaalloc.planning._solvers import count_steps

_ROUNDING = 1e-12  # relative: what adding up costs may round off
_TIE = 1e-3  # prices are found up to 1e-4, and sentences show three digits


class Menu(NamedTuple):
    """What is known of the queries of a batch, before any sample."""

    known: tuple  # RateProspects or NormalProspects
    costs: np.ndarray  # (n_queries, n_decoders), finite
    limits: np.ndarray  # (n_queries, n_decoders), int
    mandatory: np.ndarray  # (n_queries, n_decoders), int

    def belief(self, *, alone=False):
        """Belief of a session on the batch, or on each query alone."""
        return self.known.belief(*self[1:], alone=alone)

    def planner(self):
        """Function from prices to counts of one round, and a price too high for any."""
        return self.known.planner(*self[1:])


def open_menu(known, costs, min_budget, max_budget, *, available=None):
    """Put together what is known of a batch.

    Parameters
    ----------
    known : RateProspects or NormalProspects
        What is predicted.
    costs : ndarray of shape (n_queries, n_decoders) or None
        Predicted cost of a sample; inf where a decoder is missing. None means 1.
    min_budget, max_budget : tuple of n_decoders int
        Least and largest number of samples.
    available : ndarray of shape (n_queries, n_decoders), default=None
        Number of samples that there are, if it is known.

    Returns
    -------
    menu : Menu
        Where a decoder is missing, its limit is 0, and so it is not mandatory.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._menus import open_menu
    >>> from sklearn_adaalloc.allocators._prospects import RateProspects
    >>> profiles, costs = np.array([[0.5, 0.9]]), np.array([[1.0, np.inf]])
    >>> known = RateProspects(np.ones((1, 1)), profiles)
    >>> menu = open_menu(known, costs, (1, 1), (8, 4))
    >>> menu.limits, menu.mandatory
    (array([[8, 0]]), array([[1, 0]]))
    """
    costs = np.ones(known.scores.shape) if costs is None else costs
    limits = np.where(np.isfinite(costs), max_budget, 0)
    if available is not None:
        limits = np.minimum(limits, available)
    costs = np.where(np.isfinite(costs), costs, 1.0)
    return Menu(known, costs, limits, np.minimum(min_budget, limits))


def allocate_menu(menu, budget, unit):
    """Split a budget over a batch, for one round.

    Parameters
    ----------
    menu : Menu
        What is known of the batch.
    budget : float
        Mean budget per query, of all decoders together.
    unit : {"samples", "cost"}
        What the budget counts.

    Returns
    -------
    budgets : ndarray of shape (n_queries, n_decoders), dtype int64

    Raises
    ------
    ValueError
        If the budget does not pay for mandatory samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._menus import allocate_menu, open_menu
    >>> from sklearn_adaalloc.allocators._prospects import RateProspects
    >>> profiles, costs = np.array([[0.5, 0.9]]), np.array([[1.0, 4.0]] * 2)
    >>> known = RateProspects(np.ones((2, 1)), profiles)
    >>> menu = open_menu(known, costs, (0, 0), (8, 4))
    >>> allocate_menu(menu, budget=2.5, unit="cost")
    array([[3, 0],
           [2, 0]])
    """
    money_of = partial(money_for, budget, len(menu.costs), unit)
    return menu.known.allocate(menu.costs, menu.limits, menu.mandatory, money_of)


def menu_money(menu, budget, unit):
    """Money for a batch, checked to pay for mandatory samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._menus import menu_money, open_menu
    >>> from sklearn_adaalloc.allocators._prospects import RateProspects
    >>> known = RateProspects(np.ones((3, 1)), np.array([[0.5, 0.9]]))
    >>> menu = open_menu(known, None, (0, 0), (8, 4))
    >>> menu_money(menu, 1.5, "samples"), menu_money(menu, 1.5, "cost")
    (4, 4.5)
    """
    expense = float((menu.mandatory * menu.costs).sum())
    return money_for(budget, len(menu.costs), unit, expense)


def money_for(budget, n_queries, unit, mandatory):
    """Money for queries, checked to pay for mandatory samples.

    Parameters
    ----------
    budget : float
        Mean budget per query.
    n_queries : int
        Their number.
    unit : {"samples", "cost"}
        What the budget counts.
    mandatory : float
        What the mandatory samples of all cost together.

    Returns
    -------
    money : int or float
    """
    left = money_left(budget, np.array([mandatory / n_queries]), 1)
    if unit == "samples":
        return count_steps(budget, n_queries, 0)
    return n_queries * left + mandatory


def menu_rule(menu, budget, coins, *, observed=None):
    """Find the rule that spends a budget on calibration queries, each decided alone.

    Parameters
    ----------
    menu : Menu
        What is known of the calibration queries.
    budget : float
        Mean budget per query, of all decoders together.
    coins : ndarray of shape (n_queries,)
        Coins of the queries.
    observed : ndarray of shape (n_queries, n_decoders), default=None
        What a sample costs indeed. None means as predicted.

    Returns
    -------
    rule : dict
        Prices just above (`price`) and just below (`floor`) that of the budget, and the
        `share` of queries with different plans that follow the second one. Both prices
        are infinite if the budget pays for no sample but mandatory ones.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._menus import menu_rule, open_menu
    >>> from sklearn_adaalloc.allocators._prospects import RateProspects
    >>> profiles, costs = np.array([[0.5, 0.9]]), np.array([[1.0, 4.0]] * 2)
    >>> known = RateProspects(np.ones((2, 1)), profiles)
    >>> menu = open_menu(known, costs, (0, 0), (8, 4))
    >>> rule = menu_rule(menu, budget=2, coins=np.array([0.3, 0.6]))
    >>> round(float(rule["price"]), 3)
    0.125
    >>> menu_rule(menu, budget=0, coins=np.array([0.3, 0.6]))["price"]
    inf
    """
    observed = menu.costs if observed is None else observed
    expense = (menu.mandatory * observed).sum(axis=1)
    left = money_left(budget, expense, 1)
    payable = observed[menu.limits > menu.mandatory].min(initial=np.inf)
    if left < payable * (1 - _ROUNDING):
        return {"price": np.inf, "floor": np.inf, "share": 0.0, "by_place": False}
    money = left + float(expense.sum())
    plan, highest = menu.planner()
    high, low = prices_around(plan, highest, observed, money)
    few, many = plan(high), plan(low)
    left = money - (few * observed).sum()
    extra = ((many - few) * observed).sum(axis=1)
    movable = np.flatnonzero(extra > 0)
    rule = {"price": high, "floor": low, "share": 0.0, "by_place": False}
    if movable.size == 0:
        return rule
    coins = coins[movable]
    alike = np.unique(coins, return_counts=True)[1].max()
    rule["by_place"] = bool(alike > max(len(movable) / 4, 1))
    coins = separate_coins(coins) if rule["by_place"] else coins
    order = np.argsort(coins)
    paid = np.cumsum(extra[movable][order])
    edges = np.concatenate([[0.0], coins[order], [1.0]])
    n_moved = np.count_nonzero(paid <= left * (1 + _ROUNDING))
    rule["share"] = float(edges[n_moved : n_moved + 2].mean())
    return rule


def follow_menu(menu, rule, coins):
    """Budgets of queries (n_queries, n_decoders) by a rule of :func:`menu_rule`."""
    plan, _ = menu.planner()
    few, many = plan(rule["price"]), plan(rule["floor"])
    movable = np.flatnonzero(((many - few) * menu.costs).sum(axis=1) > 0)
    own = separate_coins(coins[movable]) if rule["by_place"] else coins[movable]
    moved = movable[own < rule["share"]]
    few[moved] = many[moved]
    return few


def menu_price(menu, budget, unit):
    """Price at which :func:`allocate_menu` spends a budget.

    Parameters
    ----------
    menu, budget, unit
        As of :func:`allocate_menu`.

    Returns
    -------
    price : float
        What a cost of 1 must bring, such as a chance of success. 0.0 if the budget pays
        for all that has something to gain.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._menus import menu_price, open_menu
    >>> from sklearn_adaalloc.allocators._prospects import RateProspects
    >>> profiles, costs = np.array([[0.5, 0.9]]), np.array([[1.0, 4.0]] * 2)
    >>> known = RateProspects(np.ones((2, 1)), profiles)
    >>> menu = open_menu(known, costs, (0, 0), (8, 4))
    >>> round(menu_price(menu, budget=2.5, unit="cost"), 3)
    0.125
    """
    money = menu_money(menu, budget, unit)
    high, low = prices_around(*menu.planner(), menu.costs, money)
    return 0.0 if high == low else float(high)


def menu_values(menu, budgets):
    """Marginal rewards of each decoder, beside the plan of the others.

    Parameters
    ----------
    menu : Menu
        What is known of the queries.
    budgets : ndarray of shape (n_queries, n_decoders)
        Samples of each decoder.

    Returns
    -------
    values : ndarray of shape (n_queries, n_decoders, n_steps)
        What each sample adds if the other decoders have their budgets. NaN beyond the
        limits.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._menus import menu_values, open_menu
    >>> from sklearn_adaalloc.allocators._prospects import RateProspects
    >>> known = RateProspects(np.ones((1, 1)), np.array([[0.5, 0.9]]))
    >>> menu = open_menu(known, None, (0, 0), (2, 1))
    >>> menu_values(menu, np.array([[0, 1]])).round(3)
    array([[[0.05 , 0.025],
            [0.9  ,   nan]]])
    """
    return menu.known.values(budgets, menu.limits)


def menu_decision(menu, budgets, price, *, names, in_cost, empty_reward=0.0, plan=""):
    """Budgets over several decoders as a decision on each decoder of each query.

    Parameters
    ----------
    menu : Menu
        What is known of the queries.
    budgets : ndarray of shape (n_queries, n_decoders)
        Samples of each decoder.
    price : float
        What a cost of 1 must bring.
    names : sequence of n_decoders str or int
        Names or numbers of the decoders.
    in_cost : bool
        Whether samples differ in cost.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    plan : str, default=""
        What is special of the plan.

    Returns
    -------
    decision : Decision
        With one row per query and decoder.
    """
    n_decoders = len(names)
    of_query = [
        np.where(budgets.any(axis=1), each, empty_reward).repeat(n_decoders)
        for each in menu.known.outcome(budgets)
    ]
    values = menu_values(menu, budgets).reshape(budgets.size, -1)
    costs = np.broadcast_to(menu.costs.reshape(-1, 1), values.shape)
    return Decision(
        budgets.ravel(),
        *of_query,
        values=values,
        offered=values / costs,
        costs=costs if in_cost else None,
        price=price,
        tie=_TIE,
        min_budget=menu.mandatory.ravel(),
        decoders=names,
        reward=menu.known.reward,
        plan=plan,
        rest="but the rest of the budget, or a plan for similar queries, pays for it",
    )


def samples_available(available, n_queries, n_decoders):
    """Check which decoders can answer, and count the samples that they can give.

    Parameters
    ----------
    available : array-like of shape (n_queries, n_decoders), bool, or None
        None means all decoders. For one query, also of shape (n_decoders,).
    n_queries, n_decoders : int
        Their numbers.

    Returns
    -------
    n_samples : ndarray of shape (n_queries, n_decoders) or None
        None means as many as are asked for.

    Raises
    ------
    ValueError
        If it has another shape or type.

    Examples
    --------
    >>> from sklearn_adaalloc.allocators._menus import samples_available
    >>> samples_available([[True, False]], 1, 2) > 0
    array([[ True, False]])
    """
    if available is None:
        return None
    shape = n_queries, n_decoders
    mask = np.asarray(available)
    mask = mask[None] if mask.ndim == n_queries == 1 else mask
    if mask.shape != shape or mask.dtype != bool:
        raise ValueError(
            f"available has shape {mask.shape} and type {mask.dtype}. Expected one "
            f"True or False for each decoder of each query, shape {shape}."
        )
    return np.where(mask, MOST, 0)


def refuse_available(available):
    """Raise if `available` is given although there is only one decoder."""
    if available is not None:
        raise ValueError(
            f"available={short_repr(available)} is not accepted: this policy was "
            "fitted on a table of one decoder. Expected None."
        )
