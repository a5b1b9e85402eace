"""What the latest queries of a stream were like: sums that forget.

They are enough to tell whether the queries, the answers or their costs have changed.
Each query weighs 1 when it is closed, and less with each query after it. The sums are
kept in bins of the predicted reward, so that a change of the queries can be told from a
change of the answers.

All functions are pure. What they keep can be written as JSON.
"""

from typing import NamedTuple


class ClosedQuery(NamedTuple):
    """What is remembered of a query.

    Attributes
    ----------
    spent : float
        What it spent.
    bin : int
        Bin of its predicted reward.
    told : float or None
        What was told of its first sample: a reward or a score. None if nothing was.
    cost_ratio : float or None
        What a sample of its first round cost, divided by what was predicted. None if
        there was none.
    """

    spent: float
    bin: int
    told: float | None = None
    cost_ratio: float | None = None


def nothing_recent(n_bins):
    """Sums of no query, for `remember`.

    Parameters
    ----------
    n_bins : int
        Number of bins of predicted rewards.

    Returns
    -------
    recent : dict of lists of float
        `weights`: sum of weights and of squared weights. `spent`: weighted sum. `bins`:
        weight of each bin. `told`, `sums`, `squares`: in each bin, the weight of
        queries of which something was told, and sums of that and of its square.
        `costs`: the same three sums of cost ratios.
    """
    return {
        "weights": [0.0, 0.0],
        "spent": [0.0],
        "bins": [0.0] * n_bins,
        "told": [0.0] * n_bins,
        "sums": [0.0] * n_bins,
        "squares": [0.0] * n_bins,
        "costs": [0.0, 0.0, 0.0],
    }


def remember(recent, queries, *, forgetting):
    """Add closed queries, one after another.

    Parameters
    ----------
    recent : dict
        As of `nothing_recent`.
    queries : sequence of ClosedQuery
    forgetting : float
        Share that is forgotten at each query.

    Returns
    -------
    recent : dict

    Examples
    --------
    >>> from sklearn_adaalloc.planning._recent import (
    ...     ClosedQuery, nothing_recent, remember
    ... )
    >>> queries = [ClosedQuery(spent=4.0, bin=0, told=1.0), ClosedQuery(2.0, bin=1)]
    >>> recent = remember(nothing_recent(2), queries, forgetting=0.5)
    >>> recent["weights"], recent["spent"], recent["bins"], recent["sums"]
    ([1.5, 1.25], [4.0], [0.5, 1.0], [0.5, 0.0])
    """
    kept = 1 - forgetting
    for query in queries:
        recent = {
            name: [kept * value for value in sums] for name, sums in recent.items()
        }
        weight, squared = recent["weights"]
        recent["weights"] = [weight + 1, kept * squared + 1]
        recent["spent"][0] += query.spent
        recent["bins"][query.bin] += 1
        if query.told is not None:
            for name, power in (("told", 0), ("sums", 1), ("squares", 2)):
                recent[name][query.bin] += query.told**power
        if query.cost_ratio is not None:
            for power in (0, 1, 2):
                recent["costs"][power] += query.cost_ratio**power
    return recent
