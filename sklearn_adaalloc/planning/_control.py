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
        Samples promised in each window of queries, by its number as a str.
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


def promise_samples(state, window, wanted, most, *, n_kept):
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
    n_kept : int
        Number of windows to remember, this one included. Older ones get nothing more.

    Returns
    -------
    state : StreamState
    granted : int

    Examples
    --------
    >>> from sklearn_adaalloc.planning._control import StreamState, promise_samples
    >>> state, first = promise_samples(StreamState(0.1), 0, 3, most=4, n_kept=9)
    >>> state, second = promise_samples(state, 0, 3, most=4, n_kept=9)
    >>> first, second
    (3, 1)
    """
    numbers = [int(number) for number in state.windows]
    newest = max([window, *numbers])
    if window <= newest - n_kept:
        return state, 0
    before = state.windows.get(str(window), 0)
    granted = max(min(wanted, most - before), 0)
    windows = {
        str(number): state.windows[str(number)]
        for number in numbers
        if number > newest - n_kept
    }
    windows[str(window)] = before + granted
    return state._replace(windows=windows), granted
