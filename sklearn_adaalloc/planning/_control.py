r"""A price that follows what is spent, so that a budget holds under drift.

At each closed query, the log price moves by :math:`g (s - B) / B`: s is what the query
spent, B the budget and g the gain. The sum of these moves is the sum of what was spent
too much, divided by B. While the price stays within its bounds, n queries therefore
spend :math:`n B` up to :math:`B / g` times what the log price moved in all, whatever
the queries are like. If spend is about proportional to the inverse of the price, the
price forgets what was before with a time constant of 1 / g queries.

A query that is closed late was decided at an old price. A gain that is large against
the delay makes the price oscillate. With a delay of d queries the gain is therefore
:math:`g / (1 + g d)`, and the time constant is 1 / g + d.

All functions are pure.
"""

import math
from typing import NamedTuple

_FORGETTING = 0.001  # share of its excess that the delay loses at a query


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
    """

    price: float
    n_started: int = 0
    n_queries: int = 0
    spent: float = 0.0
    delay: float = 0.0
    windows: dict = {}


def follow_spend(state, spent, *, budget, gain, bounds, delay=0.0):
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
        Lowest and highest price. At a bound, what cannot be spent (or saved) is not
        remembered: the price leaves the bound as soon as spend turns.
    delay : float, default=0.0
        Number of other queries that were closed while these were open.

    Returns
    -------
    state : StreamState

    Examples
    --------
    >>> from sklearn_adaalloc.planning._control import StreamState, follow_spend
    >>> state = StreamState(price=0.1)
    >>> state = follow_spend(state, [6], budget=4, gain=0.02, bounds=(0.01, 1.0))
    >>> round(state.price, 4), state.n_queries, state.spent
    (0.101, 1, 6.0)
    """
    known = max(delay, state.delay + _FORGETTING * (delay - state.delay))
    price = state.price
    if gain:
        excess = math.fsum(spent) / budget - len(spent)
        move = gain / (1 + gain * known) * excess
        low, high = (math.log(bound) for bound in bounds)
        price = math.exp(min(max(math.log(price) + move, low), high))
    return state._replace(
        price=price,
        n_queries=state.n_queries + len(spent),
        spent=state.spent + math.fsum(spent),
        delay=known,
    )


def promise_samples(state, window, wanted, most, *, kind, n_kept, whole=False):
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
    if window <= newest - n_kept:
        return state, 0
    before = promised.get(window, 0)
    granted = max(min(wanted, most - before), 0)
    granted = 0 if whole and granted < wanted else granted
    promised[window] = before + granted
    windows = {
        f"{kind}-{number}": samples
        for number, samples in promised.items()
        if number > newest - n_kept
    }
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
