r"""Budgets over several decoders, for 0/1 rewards: who answers next, and when to stop.

Weights over rate profiles (:mod:`sklearn_adaalloc.curves._profiles`) say what is known
of a query. A success ends a query, so the only future that needs a plan is that all
samples fail. A plan for one query is therefore a *path*: an order in which decoders are
asked as long as all fail, and a stop on it. With :math:`b_d` samples of decoder d, all
fail with probability :math:`S(b)`, whatever their order. The order decides on the
expected cost: a step of decoder d from b costs :math:`c_d S(b)`.

- The order: ask the decoder with the highest next chance per cost. To exchange two
  neighbouring steps of this order is never better.
- A decoder on the way can be worth less than its price, although it is the best next
  step, if a failure of it makes others more likely. So there are several paths: with
  all decoders, without each one of them, and with each one alone. At a price, each
  query takes the best stop of the best path.
- In R rounds, one dynamic programme along each path finds the rounds that reach a stop
  at the smallest expected cost. In one round, the costs of samples are not saved by a
  success. Then the counts of a plan are improved decoder by decoder.

Against exact dynamic programmes over all plans for small random instances, see
`tests/planning/test_menus.py`.

All functions are pure and expect checked arrays.
"""

import numpy as np

from sklearn_adaalloc.planning._paths import (
    LEAST_PRICE,
    Paths,
    best_stops,
    decoder_subsets,
    first_counts,
    path_counts,
    path_expenses,
    plans_around,
    share_out,
)

_LEAST_GAIN = 1e-9  # a chance below ends a path
_NOTHING = 1e-9  # a chance of success that is rounding alone
_LEAST_RATIO = 0.5  # of chance and cost: where all are below, nothing later is worth it
_BLOCK = 256  # queries whose paths are followed at a time
_MOST_SWEEPS = 10  # over the decoders, to improve a plan for one round


def failure_paths(weights, profiles, costs, limits, *, cut=False, most=None):
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
    most : int, default=None
        Largest number of steps. None is no limit.

    Returns
    -------
    paths : Paths
        A path ends where its decoders have no chance or reach their limits.

    Examples
    --------
    The second decoder is better, and dear:

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._menus import failure_paths
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
    n_steps = n_steps if most is None else min(n_steps, most)
    shape = (len(subsets), n_queries, n_steps)
    decoders = np.full(shape, n_decoders)
    failing, spent = np.zeros((2, *shape[:2], n_steps + 1))
    longest = min(n_steps, 1)  # there is a first step, if only for no decoder
    for start in range(0, n_queries, _BLOCK):
        block = slice(start, start + _BLOCK)
        # Rows are the queries of the block, once for each subset.
        left = np.where(subsets[:, None], limits[block], 0).reshape(-1, n_decoders)
        paid = np.where(left > 0, np.tile(costs[block], (len(subsets), 1)), np.inf)
        mass = np.tile(weights[block].astype(np.float64), (len(subsets), 1))
        ways = _follow(left, paid, mass, profiles, n_steps, cut=cut)
        longest = max(longest, len(ways.decoders))
        for whole, part in zip((decoders, failing, spent), ways, strict=True):
            size = len(part)
            rows = part.T.reshape(len(subsets), len(costs[block]), size)
            whole[:, block, :size] = rows
            if whole is not decoders:  # nothing changes after the end
                whole[:, block, size:] = rows[..., -1:]
    arrays = (decoders[..., :longest], failing[..., : longest + 1])
    arrays += (spent[..., : longest + 1],)
    return Paths(*(array.swapaxes(0, 1) for array in arrays))


def _follow(left, paid, mass, profiles, n_steps, *, cut):
    """Paths of rows, step by step; `left`, `paid` and `mass` are used up.

    Returns Paths with the steps first: (n_steps, n_rows), twice (n_steps + 1, n_rows).
    """
    n_rows, n_decoders = left.shape
    misses = np.ones((n_decoders + 1, len(profiles)))  # the last is for no decoder
    misses[:-1] = 1 - profiles.T
    # One product gives the chances of all decoders, and what fails.
    columns = np.column_stack([profiles, np.ones(len(profiles))])
    sums = mass @ columns
    first = np.arange(n_rows) * n_decoders  # of each row, in flat arrays
    shortest = np.where(left > 0, left, n_steps + 1).min(initial=n_steps + 1)
    failing, spent, decoders = [sums[:, -1]], [np.zeros(n_rows)], []
    for taken in range(1, n_steps + 1):
        ratios = sums[:, :-1] / paid  # 0 for decoders at their limits
        best = ratios.argmax(axis=1)
        place = first + best
        ratio, step = ratios.take(place), paid.take(place)
        going = ratio > failing[-1] * (_LEAST_RATIO if cut else _LEAST_GAIN / step)
        n_going = np.count_nonzero(going)
        if n_going == 0:
            break
        if n_going < n_rows:
            best[~going] = n_decoders
            step[~going] = 0.0
        left.reshape(-1)[place] -= going
        if taken >= shortest:
            paid[left == 0] = np.inf
        mass *= misses.take(best, axis=0)
        sums = mass @ columns
        decoders.append(best)
        failing.append(sums[:, -1])
        spent.append(spent[-1] + step)
    decoders = np.array(decoders, dtype=np.int64).reshape(-1, n_rows)
    return Paths(decoders, np.array(failing), np.array(spent))


def plan_menu(weights, profiles, costs, limits, money, n_rounds, *, kind=None):
    """Samples of each decoder to take in the first of several rounds.

    All queries have the same price. It is chosen such that the expected cost over all
    rounds equals the money, up to the plan of one query. In the last round, what is
    left pays for single samples with the highest chance per cost.

    Parameters
    ----------
    weights : ndarray of shape (n_kinds, n_profiles)
        Weights of the profiles of each kind of unsolved query.
    profiles : ndarray of shape (n_profiles, n_decoders)
        Success rates.
    costs : ndarray of shape (n_kinds, n_decoders)
        Cost of a sample.
    limits : ndarray of shape (n_kinds, n_decoders), int
        Largest number of samples of each decoder.
    money : float
        Cost that all rounds may have.
    n_rounds : int
        Number of rounds left, including this one.
    kind : ndarray of shape (n_queries,), int, default=None
        Kind of each query. Every kind must occur. None means one kind per query.

    Returns
    -------
    counts : ndarray of shape (n_queries, n_decoders), dtype int64
        Samples to take now. Their cost is at most `money`.

    Examples
    --------
    With a second round, the cheap decoder goes first:

    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._menus import plan_menu
    >>> profiles = np.array([[0.5, 0.9], [0.0, 0.8]])
    >>> query = np.array([[0.5, 0.5]]), profiles, np.array([[1.0, 4.0]])
    >>> limits = np.array([[2, 1]])
    >>> plan_menu(*query, limits, money=5, n_rounds=1)
    array([[1, 1]])
    >>> plan_menu(*query, limits, money=5, n_rounds=2)
    array([[1, 0]])
    """
    kind = np.arange(len(weights)) if kind is None else kind
    sizes = np.bincount(kind, minlength=len(weights))
    if n_rounds == 1:
        menu = weights, profiles, costs, limits
        frugal, lavish = plans_for_money(*menu, money, sizes)
        counts, left = share_out(frugal, lavish, kind, sizes, money)
        return _spend_rest(counts, left, kind, *menu)
    paths = failure_paths(weights, profiles, costs, limits)
    expenses = path_expenses(paths, n_rounds)
    rows = np.arange(len(weights))

    def stops_at(price):
        stops = best_stops(paths.failing, expenses[-1], price)
        return price, expenses[-1][(rows, *stops)], stops

    highest = 2 * (weights @ profiles / costs).max()
    bounds = {"least": highest * LEAST_PRICE, "sizes": sizes, "money": money}
    frugal, lavish = plans_around(stops_at, highest, 16.0, **bounds)
    plans = [
        (price, expense, first_counts(paths, expenses, *stops, len(profiles.T)))
        for price, expense, stops in (frugal, lavish)
    ]
    return share_out(*plans, kind, sizes, money)[0]


def plans_for_money(weights, profiles, costs, limits, money, sizes):
    """Plans for one round, just above and just below the price of the money.

    Parameters
    ----------
    weights, profiles, costs, limits, money
        As of :func:`plan_menu`.
    sizes : ndarray of shape (n_kinds,), int
        Number of queries of each kind.

    Returns
    -------
    frugal, lavish : tuples
        Price, cost of each kind (n_kinds,), and counts (n_kinds, n_decoders).
    """
    paths = failure_paths(weights, profiles, costs, limits)
    rows = np.arange(len(weights))

    def stops_at(price):
        stops = best_stops(paths.failing, paths.spent, price)
        return price, paths.spent[(rows, *stops)]

    def improved_at(price):
        counts = improved_counts(paths, weights, profiles, costs, limits, price)
        return price, (counts * costs).sum(axis=1), counts

    highest = 2 * (weights @ profiles / costs).max()
    bounds = {"least": highest * LEAST_PRICE, "sizes": sizes, "money": money}
    frugal, _ = plans_around(stops_at, highest, 16.0, **bounds)
    return plans_around(improved_at, frugal[0], 1.1, **bounds)


def menu_planner(weights, profiles, costs, limits, mandatory=0):
    """Best samples of each query for one round at any price, each query alone.

    Parameters
    ----------
    weights : ndarray of shape (n_queries, n_profiles)
        Weights of the profiles.
    profiles : ndarray of shape (n_profiles, n_decoders)
        Success rates.
    costs : ndarray of shape (n_queries, n_decoders)
        Cost of a sample.
    limits : ndarray of shape (n_queries, n_decoders), int
        Largest number of samples of each decoder.
    mandatory : ndarray of shape (n_queries, n_decoders), int, default=0
        Samples that are taken in any case, at most `limits`.

    Returns
    -------
    plan : callable
        From a price, the chance of success that a cost of 1 must bring, to counts
        (n_queries, n_decoders).
    highest : float
        A price at which no sample is worth its cost.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._menus import menu_planner
    >>> profiles = np.array([[0.5, 0.9], [0.0, 0.8]])
    >>> query = np.array([[0.5, 0.5]]), profiles, np.array([[1.0, 4.0]])
    >>> plan, highest = menu_planner(*query, np.array([[2, 1]]))
    >>> plan(highest), plan(0.2), plan(0.02)
    (array([[0, 0]]), array([[1, 0]]), array([[1, 1]]))
    """
    highest = 2 * (weights @ profiles / costs).max()
    # A plan starts as if all mandatory samples had failed.
    mandatory = np.zeros_like(limits) + mandatory
    weights = weights * np.exp(mandatory @ np.log1p(-profiles).T)
    query = weights, profiles, costs, limits - mandatory
    paths = failure_paths(*query)

    def plan(price):
        if np.isinf(price):
            return mandatory
        return mandatory + improved_counts(paths, *query, price)

    return plan, highest


def improved_counts(paths, weights, profiles, costs, limits, price):
    """Best plan for one round at a price: best stops, improved decoder by decoder."""
    n_decoders = costs.shape[1]
    query = weights, profiles, costs, limits, price
    net = -paths.failing - price * paths.spent
    plans = [
        _sweep(path_counts(paths.decoders, [path], stops, n_decoders), *query)
        for path, stops in enumerate(net.argmax(axis=2).T)
    ]
    best = _best_plan(plans, *query)
    plans = [best]
    for decoder, alone in enumerate(np.eye(n_decoders, dtype=np.int64)):
        # One more of a decoder may be worth it if the others then give way.
        more = np.minimum(best + alone, limits)
        plans.append(_sweep(more, *query, last=decoder))
    return _best_plan(plans, *query)


def _best_plan(plans, weights, profiles, costs, limits, price):
    """Of several counts (n_queries, n_decoders), those with the highest net value."""
    misses = np.log1p(-profiles)
    net = [
        -(weights * np.exp(counts @ misses.T)).sum(axis=1)
        - price * (counts * costs).sum(axis=1)
        for counts in plans
    ]
    return np.stack(plans)[np.argmax(net, axis=0), np.arange(len(weights))]


def _sweep(final, weights, profiles, costs, limits, price, *, last=-1):
    """Set the count of one decoder after the other to the best, given the others."""
    misses = np.log1p(-profiles)
    steps = np.arange(limits.max(initial=0))
    rows = np.arange(len(final))
    order = np.roll(np.arange(len(profiles.T)), -1 - last)
    for _ in range(_MOST_SWEEPS):
        counts = final[rows]
        for decoder in order:
            counts[:, decoder] = 0
            mass = weights[rows] * np.exp(counts @ misses.T) * profiles[:, decoder]
            # Marginals fall with each sample of the same decoder.
            marginals = mass @ np.exp(misses[:, decoder, None] * steps)
            least = np.maximum(price * costs[rows, decoder, None], _NOTHING)
            worth = marginals > least
            counts[:, decoder] = np.minimum(worth.sum(axis=1), limits[rows, decoder])
        changed = (counts != final[rows]).any(axis=1)
        final[rows] = counts
        rows = rows[changed]
        if rows.size == 0:
            break
    return final


def _spend_rest(counts, left, kind, weights, profiles, costs, limits):
    """Buy single samples with the highest chance per cost that the rest pays for."""
    mass = weights[kind] * np.exp(counts @ np.log1p(-profiles).T)
    costs, room = costs[kind], limits[kind] - counts
    while True:
        ratios = np.where((room > 0) & (costs <= left), (mass @ profiles) / costs, 0.0)
        row, decoder = np.unravel_index(ratios.argmax(), ratios.shape)
        if ratios[row, decoder] * costs[row, decoder] <= _NOTHING:
            return counts
        counts[row, decoder] += 1
        room[row, decoder] -= 1
        left -= costs[row, decoder]
        mass[row] *= 1 - profiles[:, decoder]


def follow_paths(weights, profiles, costs, limits, money, *, kind=None):
    """Choose the order of decoders of each query, for one sample at a time.

    Parameters
    ----------
    weights, profiles, costs, limits, money, kind
        As of :func:`plan_menu`.

    Returns
    -------
    decoders : ndarray of shape (n_kinds, n_steps), int
        Order in which decoders are asked as long as all fail; n_decoders at the end.
    ratios : ndarray of shape (n_kinds, n_steps)
        Chance per cost for which each step is worth taking, non-increasing. Where a
        step makes later ones more likely, it counts together with them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._menus import follow_paths
    >>> profiles = np.array([[0.5, 0.9], [0.0, 0.8]])
    >>> query = np.array([[0.5, 0.5]]), profiles, np.array([[1.0, 4.0]])
    >>> decoders, ratios = follow_paths(*query, np.array([[2, 1]]), money=5)
    >>> decoders, ratios.round(3)
    (array([[0, 1, 0]]), array([[0.25 , 0.208, 0.1  ]]))
    """
    kind = np.arange(len(weights)) if kind is None else kind
    sizes = np.bincount(kind, minlength=len(weights))
    paths = failure_paths(weights, profiles, costs, limits)
    (expense,) = path_expenses(paths, None)
    rows = np.arange(len(weights))

    def plans_at(price):
        stops = best_stops(paths.failing, expense, price)
        return price, expense[(rows, *stops)]

    highest = 2 * (weights @ profiles / costs).max()
    bounds = {"least": highest * LEAST_PRICE, "sizes": sizes, "money": money}
    (price, _), _ = plans_around(plans_at, highest, 16.0, **bounds)
    # The best path even where it is not worth its cost at this price, but none without
    # a step, such as that of a decoder which has no sample left.
    start, later = paths.failing[..., :1], paths.failing[..., 1:]
    net = np.where(later < start, -later - price * expense[..., 1:], -np.inf)
    path = net.max(axis=2).argmax(axis=1)
    failing, expense = paths.failing[rows, path], expense[rows, path]
    return paths.decoders[rows, path], step_ratios(failing, expense)


def certain_steps(ratios, costs, state, step, money):
    """Queries whose next step is taken in any case.

    All queries follow their orders, and the highest ratio goes first. All steps that
    the money buys if all samples fail are bought. The next step of a query is certain
    if it is one of them.

    Parameters
    ----------
    ratios : ndarray of shape (n_states, n_steps)
        Chance per cost of each step of each order, non-increasing.
    costs : ndarray of shape (n_states, n_steps)
        Cost of each step.
    state : ndarray of shape (n_queries,), int
        Order that each query follows.
    step : ndarray of shape (n_queries,), int
        Next step of each query.
    money : float
        Cost that all steps may have.

    Returns
    -------
    certain : ndarray of shape (n_queries,), bool

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._menus import certain_steps
    >>> ratios, costs = np.array([[0.9, 0.5], [0.4, 0.3]]), np.ones((2, 2))
    >>> certain_steps(ratios, costs, np.array([0, 1]), np.array([0, 0]), money=2)
    array([ True, False])
    """
    n_states, n_steps = ratios.shape
    following = state * n_steps + step
    waiting = np.bincount(following, minlength=ratios.size).reshape(ratios.shape)
    bill = (np.cumsum(waiting, axis=1) * costs).T.ravel()
    # A stable sort of the transpose orders equal ratios by step, then by state.
    ranking = np.argsort(-ratios.T.ravel(), kind="stable")
    ranking = ranking[(ratios.T.ravel() > 0)[ranking]]
    paid = np.cumsum(bill[ranking])
    n_bought = np.count_nonzero(paid <= money)
    bought = np.zeros(ratios.size, dtype=bool)
    bought[ranking[:n_bought]] = True
    following = step * n_states + state
    certain = bought[following]
    if n_bought < len(ranking):  # some queries may take the next step
        rest = money - (paid[n_bought - 1] if n_bought else 0.0)
        tied = np.flatnonzero(following == ranking[n_bought])
        certain[tied[: int(rest // costs.T.ravel()[ranking[n_bought]])]] = True
    return certain


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
