r"""A price that follows what is spent, so that a budget holds under drift.

A stream has a time constant of T queries. It remembers its debt D: what its queries
spent too much so far, counted in budgets. When a query is closed that spent s of a
budget B, the debt grows by :math:`(s - B) / B`, and the log price moves by

.. math:: \frac{1}{e T} \left( \frac{s - B}{B} + \frac{D}{4 T} \right)

where e is the elasticity of spend: by how much spend falls, relatively, if the price
rises. The first term forgets what was before over T queries. Alone it would keep a debt
for each move of the price: T times the move. The second term pays the debt back. With
T / 4 it is critically damped: as fast as possible without swinging. So spend over all
queries comes close to the budget, whatever the queries are like, and spend over T
queries does too.

A query that is closed late was decided at an old price. What is slow to act must be
moved slowly: with a delay of d queries, T is 1 / g + 2 d, where g is the gain.

Of queries that are open together, the cheap ones are closed first. If only closed ones
counted, the price would fall at the start of a stream, and dear queries would come as
surprises. So an open query that has spent s counts for what it will have spent in the
end: E[S | S >= s], where S is what calibration queries spend. This expectation is a
martingale, so what it adds to the debt is zero on average at any time.

Where the price is at a bound, a budget cannot be spent (or saved). Therefore a debt is
remembered only up to 2 T budgets.

All functions are pure.
"""

import math
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc.planning._learning import NOTHING_LEARNT

UNIT_ELASTICITY = ((0.0,), (1.0,))  # spend is inverse to the price

_FORGETTING = 0.001  # share of its excess that the delay loses at a query
_DAMPING = 4.0  # time constants over which a debt is paid back: critical damping
_MOST_DEBT = 2.0  # time constants: budgets that are made up for later
_GENTLE, _STRONG = 0.5, 2.0  # elasticities beyond are not relied on
_STEP = 4.0  # ratio of the prices between which an elasticity is measured
_LEAST_SPEND = 0.02  # in budgets: below, spend is as good as nothing
_TINY = 1e-12
_ROUNDING = 1e-9  # relative: what adding up costs may round off


class StreamState(NamedTuple):
    """What a stream remembers; all of it can be written as JSON.

    Attributes
    ----------
    price : float
        Value that a unit of budget must be expected to have.
    n_started, n_queries : int
        Number of queries that were started and that were closed.
    spent : float
        What the closed queries spent.
    delay : float
        How many other queries are closed while one is open, about at most.
    windows : dict
        Samples promised in each window, by its name: what windows it is one of, a
        hyphen, and its number.
    debt : float
        What closed queries spent too much so far, in budgets. Negative if too little.
    learnt : sequence of five float
        What verdicts showed about predictions, see
        :func:`~sklearn_adaalloc.planning._learning.learn_correction`.
    recent : dict
        What the latest queries were like, see
        :func:`~sklearn_adaalloc.planning._recent.remember`.
    """

    price: float
    n_started: int = 0
    n_queries: int = 0
    spent: float = 0.0
    delay: float = 0.0
    windows: dict = {}
    debt: float = 0.0
    learnt: tuple = NOTHING_LEARNT
    recent: dict = {}


def follow_spend(
    state,
    spent,
    *,
    budget,
    gain,
    bounds,
    delay=0.0,
    elasticity=UNIT_ELASTICITY,
    foreseen=0.0,
):
    """Count closed queries, and let the price follow what they spent.

    Parameters
    ----------
    state : StreamState
    spent : sequence of float
        What each of the closed queries spent.
    budget : float
        Mean budget per query. It must be positive if the price is to follow.
    gain : float
        g. 0 keeps the price.
    bounds : tuple of two float
        Lowest and highest price.
    delay : float, default=0.0
        Number of other queries that were closed while these were open.
    elasticity : tuple of two sequences of float
        Log prices and the elasticity there, see :func:`spend_elasticity`.
    foreseen : float, default=0.0
        By how much that has risen which open queries are expected to spend too much, in
        budgets, see :func:`expected_spend`.

    Returns
    -------
    state : StreamState

    Examples
    --------
    >>> from sklearn_adaalloc.planning._control import StreamState, follow_spend
    >>> state = StreamState(price=0.1)
    >>> state = follow_spend(state, [6], budget=4, gain=0.02, bounds=(0.01, 1.0))
    >>> round(state.price, 4), state.n_queries, state.spent, state.debt
    (0.101, 1, 6.0, 0.5)
    """
    known = max(delay, state.delay + _FORGETTING * (delay - state.delay))
    price, debt = state.price, state.debt
    if gain:
        time = 1 / gain + 2 * known
        excess = math.fsum(spent) / budget - len(spent) + foreseen
        debt = min(max(debt + excess, -_MOST_DEBT * time), _MOST_DEBT * time)
        now = math.log(price)
        move = excess + len(spent) * debt / (_DAMPING * time)
        low, high = (math.log(bound) for bound in bounds)
        now += move / (time * float(np.interp(now, *elasticity)))
        price = math.exp(min(max(now, low), high))
    return state._replace(
        price=price,
        n_queries=state.n_queries + len(spent),
        spent=state.spent + math.fsum(spent),
        delay=known,
        debt=debt,
    )


class UsualSpends(NamedTuple):
    """What queries spent in the end, see :func:`usual_spends`."""

    spends: np.ndarray  # (n_queries,), ascending
    means: np.ndarray  # (n_queries,): of each and of those that spent more


def usual_spends(spends):
    """Prepare what queries spent in the end for :func:`expected_spend`.

    Parameters
    ----------
    spends : array-like of shape (n_queries,)

    Returns
    -------
    usual : UsualSpends

    Examples
    --------
    >>> from sklearn_adaalloc.planning._control import usual_spends
    >>> usual_spends([6.0, 1.0, 2.0]).means
    array([3., 4., 6.])
    """
    spends = np.sort(np.asarray(spends, dtype=np.float64))
    sums = np.cumsum(spends[::-1])[::-1]
    return UsualSpends(spends, sums / np.arange(len(spends), 0, -1))


def expected_spend(spent, usual):
    """What open queries will have spent in the end, by what they have spent so far.

    It is the mean of usual queries that spent at least as much: a query that is still
    open is one of the dearer ones.

    Parameters
    ----------
    spent : ndarray of shape (n_queries,)
        What each has spent, with the samples that it waits for.
    usual : UsualSpends

    Returns
    -------
    totals : ndarray of shape (n_queries,)
        `spent` itself where no usual query spent as much.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._control import expected_spend, usual_spends
    >>> expected_spend(np.array([1.0, 3.0, 9.0]), usual_spends([0.0, 1.0, 2.0, 6.0]))
    array([3., 6., 9.])
    """
    n_below = np.searchsorted(usual.spends, spent * (1 - _ROUNDING))
    totals = np.array(spent, dtype=np.float64)
    known = n_below < len(usual.spends)
    totals[known] = usual.means[n_below[known]]
    return totals


def spend_elasticity(spend_at, lowest, highest, budget):
    """Measure by how much spend falls, relatively, if the price rises.

    Parameters
    ----------
    spend_at : callable
        Returns the mean spend of a replay at a price.
    lowest, highest : float
        Prices between which it is measured.
    budget : float
        Mean budget per query.

    Returns
    -------
    log_prices, elasticities : tuple of two lists of float
        The elasticity in the middle of each pair of successive prices. It is limited
        to between 1/2 and 2, since the queries of a stream may differ from those of
        the replay.

    Examples
    --------
    >>> from sklearn_adaalloc.planning._control import spend_elasticity
    >>> _, elasticities = spend_elasticity(lambda price: 1 / price, 0.1, 1.6, budget=1)
    >>> [round(each, 3) for each in elasticities]
    [1.0, 1.0]
    """
    n_steps = max(math.ceil(math.log(highest / lowest) / math.log(_STEP)), 1)
    prices = np.geomspace(lowest, highest, n_steps + 1)
    least = max(_LEAST_SPEND * budget, _TINY)
    spends = [max(spend_at(float(price)), least) for price in prices]
    logs = np.log(prices)
    slopes = -np.diff(np.log(spends)) / np.diff(logs)
    middles = (logs[1:] + logs[:-1]) / 2
    return middles.tolist(), np.clip(slopes, _GENTLE, _STRONG).tolist()


def promise_samples(
    state, window, wanted, most, *, kind, n_kept, whole=False, by_clock=False
):
    """Promise samples to a query, as far as those of its window are not used up.

    Parameters
    ----------
    state : StreamState
    window : int
        Number of the window.
    wanted : int
        Samples wanted.
    most : int
        Largest number of samples of a window.
    kind : str
        What the windows are. Those of another kind are forgotten.
    n_kept : int
        Number of windows to remember, this one included. Older ones get nothing more.
    whole : bool, default=False
        Whether to promise all that is wanted or nothing.
    by_clock : bool, default=False
        Whether a clock numbers the windows. It may have been wrong for a while, and
        then numbers go back. Therefore those that were used last are remembered, and
        an older one gets samples if it is not among them.

    Returns
    -------
    state : StreamState
    granted : int

    Examples
    --------
    >>> from sklearn_adaalloc.planning._control import StreamState, promise_samples
    >>> terms = {"most": 4, "kind": "9 queries", "n_kept": 9}
    >>> state, first = promise_samples(StreamState(0.1), 0, 3, **terms)
    >>> state, second = promise_samples(state, 0, 3, **terms)
    >>> first, second, state.windows
    (3, 1, {'9 queries-0': 4})
    """
    promised = promised_samples(state, kind)
    newest = max([window, *promised])
    if not by_clock and window <= newest - n_kept:
        return state, 0
    before = promised.pop(window, 0)
    granted = max(min(wanted, most - before), 0)
    granted = 0 if whole and granted < wanted else granted
    promised[window] = before + granted
    kept = list(promised)[-n_kept:]
    if not by_clock:
        kept = [number for number in promised if number > newest - n_kept]
    windows = {f"{kind}-{number}": promised[number] for number in kept}
    return state._replace(windows=windows), granted


def promised_samples(state, kind):
    """Samples promised in each window of a kind, by its number.

    Examples
    --------
    >>> from sklearn_adaalloc.planning._control import StreamState, promised_samples
    >>> state = StreamState(0.1, windows={"9 queries-2": 4})
    >>> promised_samples(state, "9 queries"), promised_samples(state, "60.0 seconds")
    ({2: 4}, {})
    """
    names = [name.rpartition("-") for name in state.windows]
    return {
        int(number): state.windows[f"{theirs}-{number}"]
        for theirs, _, number in names
        if theirs == kind
    }
