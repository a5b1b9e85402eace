"""Reward against cost of what needs no policy: one decoder, fixed cascades, an oracle.

All figures are exact expectations over the orders of the samples in a graded table.
Samples of a query that a decoder does not have are not asked for.
"""

from itertools import permutations
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc._utils.parameters import check_flag, check_whole
from sklearn_adaalloc._utils.rewards import has_decoders, is_binary
from sklearn_adaalloc.curves._best_of import best_of_curves
from sklearn_adaalloc.curves._table import as_table
from sklearn_adaalloc.metrics._policy_curves import BudgetCurve


class FixedCascade(NamedTuple):
    """Decoders that are asked in turn, and how often each is tried."""

    decoders: tuple
    tries: tuple


def decoder_cost_curves(rewards, *, sequential=True):
    """Reward against mean cost of each decoder alone, with the same budget for all.

    Parameters
    ----------
    rewards : array-like or RewardTable of shape (n_queries, n_decoders, n_samples)
        Reward table. Without costs, each sample costs 1.
    sequential : bool, default=True
        Whether a query stops at its first success, which needs 0/1 rewards. Otherwise
        all samples of a budget are paid.

    Returns
    -------
    curves : dict of str to BudgetCurve
        `spend` and `reward`, each (n_samples + 1,), of each decoder by its name.
        Between two points, both budgets are mixed.

    Raises
    ------
    ValueError
        If the table has no axis of decoders, or `sequential` does not fit.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.metrics import decoder_cost_curves
    >>> table = RewardTable(
    ...     [[[0, 1], [1, 1]]], costs=[1.0, 5.0], decoders=["small", "large"]
    ... )
    >>> decoder_cost_curves(table)["small"]
    BudgetCurve(spend=array([0. , 1. , 1.5]), reward=array([0. , 0.5, 1. ]))
    """
    table, costs = _check_menu(rewards, check_flag(sequential, "sequential"))
    if sequential:
        failing, spent = failures_and_costs(table.rewards, costs)
        points = spent.mean(axis=0), 1 - failing.mean(axis=0)
    else:
        points = _equal_budgets(table.rewards, costs)
    names = decoder_names(table)
    return {
        name: BudgetCurve(spend, reward)
        for name, spend, reward in zip(names, *points, strict=True)
    }


def best_fixed_cascades(rewards, *, n_decoders=3, max_tries=None):
    """Find the best fixed cascades for each mean cost: the orders and numbers of tries.

    A fixed cascade asks one decoder up to a number of times, then the next one, and
    stops at the first success. All orders of up to `n_decoders` decoders, with all
    numbers of tries, are compared.

    Parameters
    ----------
    rewards : array-like or RewardTable of shape (n_queries, n_decoders, n_samples)
        Reward table of 0 and 1 to choose on. Without costs, each sample costs 1.
    n_decoders : int, default=3
        Largest number of decoders in a cascade, at most 3.
    max_tries : int, default=None
        Largest number of tries of one decoder. None means n_samples.

    Returns
    -------
    cascades : list of FixedCascade
        Pairs `decoders` (numbers of decoders, in order) and `tries`, by cost from the
        empty one on: those than which no mixture of two others is better at the same
        cost.

    Raises
    ------
    ValueError
        If the table has no axis of decoders, a reward is neither 0 nor 1, or a number
        is out of its range.

    See Also
    --------
    cascade_cost_curve : What they earn and cost on other queries.

    References
    ----------
    Chen, Zaharia and Zou, "FrugalGPT: How to Use Large Language Models While Reducing
    Cost and Improving Performance", arXiv 2305.05176, Section 3.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.metrics import best_fixed_cascades
    >>> rewards = [[[0, 1], [1, 1]], [[0, 0], [1, 1]]]
    >>> for cascade in best_fixed_cascades(RewardTable(rewards, costs=[1.0, 5.0])):
    ...     print(cascade)
    FixedCascade(decoders=(), tries=())
    FixedCascade(decoders=(0,), tries=(2,))
    FixedCascade(decoders=(0, 1), tries=(2, 1))
    """
    table, costs = _check_menu(rewards, True)
    most = check_whole(n_decoders, "n_decoders", least=1)
    if most > 3:
        raise ValueError(
            f"n_decoders={n_decoders!r} is not accepted. Expected 1, 2 or 3: with more "
            "there are too many cascades."
        )
    failing, spent = failures_and_costs(table.rewards, costs)
    if max_tries is not None:
        max_tries = check_whole(max_tries, "max_tries", least=1) + 1
    failing, spent = failing[..., 1:max_tries], spent[..., 1:max_tries]
    found = [(0.0, 0.0, FixedCascade((), ()))]
    for length in range(1, min(most, table.shape[1]) + 1):
        for order in permutations(range(table.shape[1]), length):
            found += _best_of_order(failing, spent, order)
    spend, reward = np.array([each[:2] for each in found]).T
    return [found[i][2] for i in concave_hull(spend, reward)]


def cascade_cost_curve(rewards, cascades):
    """Reward against mean cost of fixed cascades.

    Parameters
    ----------
    rewards : array-like or RewardTable of shape (n_queries, n_decoders, n_samples)
        Reward table of 0 and 1. Without costs, each sample costs 1.
    cascades : list of FixedCascade or of pairs of tuples
        As from :func:`best_fixed_cascades` on other queries, in their order.

    Returns
    -------
    spend, reward : ndarrays of shape (n_cascades,)
        Of each cascade. Between two points, both cascades are mixed.

    Raises
    ------
    ValueError
        If the table has no axis of decoders, a reward is neither 0 nor 1, or it has
        fewer decoders or samples than a cascade asks for.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.metrics import cascade_cost_curve
    >>> rewards = [[[0, 1], [1, 1]], [[0, 0], [1, 1]]]
    >>> table = RewardTable(rewards, costs=[1.0, 5.0])
    >>> cascade_cost_curve(table, [((0,), (1,)), ((0, 1), (1, 1))])
    BudgetCurve(spend=array([1.  , 4.75]), reward=array([0.25, 1.  ]))
    """
    spend, reward = query_cascades(rewards, cascades)
    return BudgetCurve(spend.mean(axis=1), reward.mean(axis=1))


def query_cascades(rewards, cascades):
    """Expected costs and rewards of queries, each (n_cascades, n_queries).

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._fixed_cascades import query_cascades
    >>> query_cascades([[[0, 1], [1, 1]], [[0, 0], [1, 1]]], [((0, 1), (1, 1))])
    (array([[1.5, 2. ]]), array([[1., 1.]]))
    """
    table, costs = _check_menu(rewards, True)
    failing, spent = failures_and_costs(table.rewards, costs)
    spends, rewards = [], []
    for decoders, tries in cascades:
        wrong = [d for d in decoders if not 0 <= d < table.shape[1]]
        if wrong or any(t > table.shape[2] for t in tries):
            raise ValueError(
                f"cascades has decoders {tuple(decoders)} with tries {tuple(tries)}, "
                f"but rewards has shape {table.shape}. Expected decoders and numbers "
                "of samples that the table has."
            )
        left, spend = np.ones(len(table)), np.zeros(len(table))
        for decoder, n_tries in zip(decoders, tries, strict=True):
            spend = spend + left * spent[:, decoder, n_tries]
            left = left * failing[:, decoder, n_tries]
        spends.append(spend)
        rewards.append(1 - left)
    return np.array(spends), np.array(rewards)


def oracle_cost_curve(rewards, *, sequential=True):
    r"""Reward against mean cost of who knows the success rates: an upper bound.

    With verdicts, the oracle asks one decoder until it succeeds: with R right samples
    among m that cost c each, this takes :math:`c (m + 1) / (R + 1)` on average. It asks
    the decoder with the least of these, and queries in their order. No policy that sees
    verdicts earns more at the same mean cost on this table.

    Without verdicts, each query gets at most one answer, and the oracle chooses the
    decoder, as the oracle of RouterBench does.

    Parameters
    ----------
    rewards : array-like or RewardTable of shape (n_queries, n_decoders, n_samples)
        Reward table. Without costs, each sample costs 1.
    sequential : bool, default=True
        Whether verdicts are seen, which needs 0/1 rewards.

    Returns
    -------
    spend, reward : ndarrays of shape (n_points,)
        Linear between the points.

    Raises
    ------
    ValueError
        If the table has no axis of decoders, or `sequential` does not fit.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.metrics import oracle_cost_curve
    >>> rewards = [[[0, 1], [1, 1]], [[0, 0], [1, 1]]]
    >>> oracle_cost_curve(RewardTable(rewards, costs=[1.0, 5.0]))
    BudgetCurve(spend=array([0.  , 0.75, 3.25]), reward=array([0. , 0.5, 1. ]))
    """
    table, costs = _check_menu(rewards, check_flag(sequential, "sequential"))
    offers = first_successes if sequential else _first_answers
    return choose_of_each(*offers(table.rewards, costs))


def first_successes(rewards, costs):
    """Mean cost until the first success, and whether there is one.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_decoders, n_samples)
        Reward table of 0 and 1; NaN marks a missing sample.
    costs : ndarray of the shape of `rewards`
        What samples cost.

    Returns
    -------
    prices, values : ndarrays of shape (n_queries, n_decoders)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._fixed_cascades import first_successes
    >>> first_successes(np.array([[[0.0, 1.0]]]), np.array([[[4.0, 2.0]]]))
    (array([[4.]]), array([[1.]]))
    """
    right = rewards == 1
    n_right = right.sum(axis=2)
    wrong_costs = np.where(rewards == 0, costs, 0.0).sum(axis=2)
    right_costs = np.where(right, costs, 0.0).sum(axis=2)
    prices = wrong_costs / (n_right + 1) + right_costs / np.maximum(n_right, 1)
    return prices, (n_right > 0).astype(np.float64)


def _first_answers(rewards, costs):
    """Mean cost and mean reward of one answer, each (n_queries, n_decoders)."""
    given = np.isfinite(rewards)
    n_samples = np.maximum(given.sum(axis=2), 1)
    prices = np.where(given, costs, 0.0).sum(axis=2) / n_samples
    return prices, np.where(given, rewards, 0.0).sum(axis=2) / n_samples


def choose_of_each(prices, values):
    """Curve of who pays for the best of several offers to each query.

    Parameters
    ----------
    prices, values : ndarrays of shape (n_queries, n_offers)

    Returns
    -------
    curve : BudgetCurve

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._fixed_cascades import choose_of_each
    >>> choose_of_each(np.array([[1.0, 3.0]]), np.array([[0.5, 1.0]])).reward
    array([0. , 0.5, 1. ])
    """
    n_queries = len(prices)
    rows = np.arange(n_queries)
    paid, earned = np.zeros((2, n_queries))
    steps = []
    for _ in range(prices.shape[1]):
        gains, extra = values - earned[:, None], prices - paid[:, None]
        better = (gains > 0) & (extra > 0)
        ratios = np.divide(gains, extra, out=np.zeros_like(gains), where=better)
        best = ratios.argmax(axis=1)
        taken = np.flatnonzero(ratios[rows, best] > 0)
        if taken.size == 0:
            break
        chosen = taken, best[taken]
        steps.append(np.array([ratios[chosen], extra[chosen], gains[chosen]]))
        paid[taken], earned[taken] = prices[chosen], values[chosen]
    ratio, extra, gains = np.hstack([np.zeros((3, 1)), *steps])[:, 1:]
    order = np.argsort(-ratio, kind="stable")
    points = [np.cumsum(np.r_[0.0, part[order]]) for part in (extra, gains)]
    return BudgetCurve(*(part / n_queries for part in points))


def failures_and_costs(rewards, costs):
    """Probability that the first samples of a decoder fail, and what they cost.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_decoders, n_samples)
        Reward table of 0 and 1; NaN marks a missing sample.
    costs : ndarray of the shape of `rewards`
        What samples cost.

    Returns
    -------
    failing : ndarray of shape (n_queries, n_decoders, n_samples + 1)
        Probability that the first 0, 1, ... samples are all wrong, in a random order.
        It stays where samples are missing.
    spent : ndarray of shape (n_queries, n_decoders, n_samples + 1)
        Expected cost of as many samples, if they stop at the first success.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._fixed_cascades import failures_and_costs
    >>> failures_and_costs(np.array([[[0.0, 1.0]]]), np.array([[[4.0, 2.0]]]))
    (array([[[1. , 0.5, 0. ]]]), array([[[0., 3., 4.]]]))
    """
    right, wrong = rewards == 1, rewards == 0
    n_right, n_wrong = (part.sum(axis=2)[:, :, None] for part in (right, wrong))
    cost_right, cost_wrong = (
        np.where(part, costs, 0.0).sum(axis=2)[:, :, None]
        / np.maximum(part.sum(axis=2)[:, :, None], 1)
        for part in (right, wrong)
    )
    before = np.arange(rewards.shape[2])  # samples before this one, all wrong
    n_left = n_right + n_wrong - before
    wrong_left = np.maximum(n_wrong - before, 0)
    exists = n_left > 0
    n_left = np.maximum(n_left, 1)
    failing = np.ones((*rewards.shape[:2], rewards.shape[2] + 1))
    np.cumprod(np.where(exists, wrong_left / n_left, 1.0), axis=2, out=failing[..., 1:])
    mean_costs = (n_right * cost_right + wrong_left * cost_wrong) / n_left
    steps = np.where(exists, failing[..., :-1] * mean_costs, 0.0)
    spent = np.zeros_like(failing)
    np.cumsum(steps, axis=2, out=spent[..., 1:])
    return failing, spent


def _equal_budgets(rewards, costs):
    """Spend and reward without verdicts, each (n_decoders, n_samples + 1)."""
    n_samples = rewards.shape[2]
    spends, means = [], []
    for own, paid in zip(rewards.swapaxes(0, 1), costs.swapaxes(0, 1), strict=True):
        known = np.isfinite(own)
        given = known.sum(axis=1)
        mean = np.where(known, paid, 0.0).sum(axis=1) / np.maximum(given, 1)
        tries = np.minimum(np.arange(n_samples + 1), given[:, None])
        spends.append((tries * mean[:, None]).mean(axis=0))
        curves = np.zeros((len(own), n_samples + 1))
        curves[given > 0, 1:] = best_of_curves(own[given > 0], n_samples)
        means.append(np.take_along_axis(curves, tries, axis=1).mean(axis=0))
    return np.array(spends), np.array(means)


def _best_of_order(failing, spent, order):
    """Spend, reward and tries of the best cascades that ask decoders in one order."""
    n_queries = len(failing)
    left = np.ones((n_queries, 1))
    expense = np.zeros(1)
    for decoder in order:
        # All numbers of tries so far, with all of this decoder, (n_before, n_tries).
        new, paid = failing[:, decoder], spent[:, decoder]
        expense = (expense[:, None] + left.T @ paid / n_queries).ravel()
        if decoder == order[-1]:
            reward = 1 - (left.T @ new).ravel() / n_queries
        else:
            left = (left[:, :, None] * new[:, None]).reshape(n_queries, -1)
    shape = (failing.shape[2],) * len(order)
    best = concave_hull(expense, reward)
    tries = np.transpose(np.unravel_index(best, shape)) + 1
    return [
        (expense[i], reward[i], FixedCascade(tuple(order), tuple(own.tolist())))
        for i, own in zip(best, tries, strict=True)
    ]


def concave_hull(spend, reward):
    """Points on the non-decreasing concave hull, by spend.

    Parameters
    ----------
    spend, reward : ndarrays of shape (n_points,)
        Points.

    Returns
    -------
    points : ndarray of int
        Indices of the corners, from the cheapest point to the best one.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._fixed_cascades import concave_hull
    >>> concave_hull(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 0.1, 0.8, 0.7]))
    array([0, 2])
    """
    order = np.lexsort((-reward, spend))
    highest = np.maximum.accumulate(reward[order])
    order = order[np.r_[True, highest[1:] > highest[:-1]]]
    hull = []
    for i in order.tolist():
        while len(hull) > 1 and _is_below(hull[-1], hull[-2], i, spend, reward):
            hull.pop()
        hull.append(i)
    return np.array(hull)


def _is_below(point, start, end, spend, reward):
    """Whether a point is not above the line from `start` to `end`."""
    run, rise = spend[end] - spend[start], reward[end] - reward[start]
    return (reward[point] - reward[start]) * run <= rise * (spend[point] - spend[start])


def _check_menu(rewards, sequential):
    """A table with an axis of decoders, and the costs of its samples."""
    table = as_menu(rewards)
    if sequential and not is_binary(table.rewards):
        raise ValueError(
            "rewards has values other than 0 and 1. Expected verdicts, so that a query "
            "can stop at its first success, or sequential=False."
        )
    return table, sample_costs(table)


def as_menu(rewards):
    """Check a table that must have an axis of decoders.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._fixed_cascades import as_menu
    >>> as_menu([[[0, 1], [1, 1]]])
    RewardTable(1 queries, 2 decoders, 2 samples)
    """
    table = as_table(rewards, n_decoders=None)
    if not has_decoders(table):
        raise ValueError(
            f"rewards has shape {table.shape}, one decoder. Expected a table of "
            "several decoders, shape (n_queries, n_decoders, n_samples)."
        )
    return table


def sample_costs(table):
    """Costs of the samples of a table; 1 each if it has none.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._fixed_cascades import as_menu, sample_costs
    >>> sample_costs(as_menu([[[0, None], [1, 1]]]))
    array([[[ 1., nan],
            [ 1.,  1.]]])
    """
    if table.costs is not None:
        return table.costs
    return np.where(np.isnan(table.rewards), np.nan, 1.0)


def decoder_names(table):
    """Names of the decoders of a table; numbers if it has none.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._fixed_cascades import as_menu, decoder_names
    >>> decoder_names(as_menu([[[0], [1]]]))
    ['decoder 0', 'decoder 1']
    """
    if table.decoders is not None:
        return list(table.decoders)
    return [f"decoder {number}" for number in range(table.shape[1])]
