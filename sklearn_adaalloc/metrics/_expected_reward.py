"""Expected reward of given budgets, as exact sums over a reward table."""

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_adaalloc._utils.budgets import (
    check_budget,
    check_budgets,
    check_decoder_budgets,
)
from sklearn_adaalloc._utils.numbers import LARGEST, check_numbers
from sklearn_adaalloc._utils.parameters import check_choice, check_in_interval
from sklearn_adaalloc._utils.rewards import (
    check_empty_reward,
    has_decoders,
    warn_beyond_samples,
)
from sklearn_adaalloc.curves._decoders import largest_budget
from sklearn_adaalloc.curves._menus import expected_menu_rewards
from sklearn_adaalloc.curves._reward_curves import expected_rewards
from sklearn_adaalloc.curves._table import as_table

UNITS = ("samples", "cost")


class CostReport(NamedTuple):
    """Mean cost per query, its share of the budget, its standard deviation."""

    mean_cost: float
    share: float
    spread: float


def expected_reward_score(
    rewards, budgets, *, empty_reward=0.0, selection="reward", unit="samples"
):
    r"""Mean expected reward of the best of :math:`b_i` samples of each query.

    .. math::

        \frac{1}{n} \sum_{i=1}^n q(x_i, b_i)

    (Damani et al., Eq. 9 and 10). Each :math:`q` is an exact sum over the graded
    samples, not a simulation. If a query has at least :math:`b_i` samples, they are
    drawn without replacement, and the score is unbiased. Otherwise they are drawn with
    replacement: then it is biased downward. Assumes that the samples of a query are
    exchangeable. For 0/1 rewards at equal budgets this is pass@b. If each decoder has
    a budget of its own, it is the best of all their samples: for 0/1 rewards, one minus
    the product over decoders of the probability that all samples are wrong. Use it as
    ``make_scorer(expected_reward_score)``.

    Parameters
    ----------
    rewards : array-like of shape (n_queries[, n_decoders], n_samples)
        Reward table. NaN marks a missing sample. A table with three axes and one budget
        per query is a routing table, with two decoders.
    budgets : array-like of shape (n_queries,), (n_queries, n_decoders) or float
        Samples given to each query, or of each decoder to each query; in routing
        0 = weak, 1 = strong. A decoder without a sample in the table gives none. One
        number is a uniform budget. If it is fractional, its floor and its ceiling are
        mixed.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. Not used in routing.
    unit : {"samples", "cost"}, default="samples"
        What a uniform `budgets` counts. "cost" needs a
        :class:`~sklearn_adaalloc.RewardTable` with costs; a sample of a query then
        costs the mean of the query's samples.

    Returns
    -------
    score : float

    Raises
    ------
    ValueError
        If the table or a budget is invalid, or their numbers of queries differ.

    Warns
    -----
    UserWarning
        If a budget exceeds the number of samples of its query.

    See Also
    --------
    expected_reward_interval : The same score with a bootstrap confidence interval.
    net_reward_score : The same score minus the cost of the samples.

    References
    ----------
    Damani, Shenfeld, Peng, Bobu and Andreas, "Learning How Hard to Think:
    Input-Adaptive Allocation of LM Computation", ICLR 2025.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import expected_reward_score
    >>> rewards = [[0, 1, 0, 1], [1, 1, 1, 1]]
    >>> round(expected_reward_score(rewards, [2, 1]), 4)
    0.9167
    >>> round(expected_reward_score(rewards, 1.5), 4)
    0.8333

    Two samples of the first decoder and one of the second:

    >>> round(expected_reward_score([[[0, 1, 0, 0], [0, 0, 1, 1]]], [[2, 1]]), 4)
    0.75
    """
    expected = query_rewards(
        rewards, budgets, empty_reward=empty_reward, selection=selection, unit=unit
    )
    return float(expected.mean())


def mean_budget_score(rewards, budgets, *, unit="samples"):
    """Mean number of samples given to a query, or their mean cost: the realised spend.

    An allocator may spend less than its budget. In a search over budgets, report this
    score together with a score of rewards, as ``make_scorer(mean_budget_score)``.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or \
            (n_queries, n_decoders, n_samples)
        Reward table. It is only used to check the budgets.
    budgets : array-like of shape (n_queries,) or (n_queries, n_decoders)
        Samples given to each query, or of each decoder to each query; in routing
        0 = weak, 1 = strong.
    unit : {"samples", "cost"}, default="samples"
        What spend counts. "cost" needs a :class:`~sklearn_adaalloc.RewardTable` with
        costs; a sample of a query then costs the mean of the query's samples.

    Returns
    -------
    spend : float
        Samples or cost per query; in routing, the share of queries sent to the strong
        decoder.

    Raises
    ------
    ValueError
        If the table or a budget is invalid, or their numbers of queries differ.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import mean_budget_score
    >>> mean_budget_score([[0, 1], [1, 1]], [2, 1])
    1.5
    """
    table = as_table(rewards, n_decoders=None)
    return float(_query_spend(table, budgets, unit).mean())


def cost_report(rewards, budgets, *, budget=None):
    """Report what samples cost: their mean cost, its share of the budget, its spread.

    Parameters
    ----------
    rewards : RewardTable
        Rewards with costs. A sample of a query costs the mean of the query's samples
        (of the same decoder).
    budgets : array-like of shape (n_queries,) or (n_queries, n_decoders)
        Samples given to each query, or of each decoder to each query.
    budget : float, default=None
        Mean cost per query that was allowed.

    Returns
    -------
    mean_cost : float
        Mean cost per query.
    share : float
        Mean cost divided by `budget`; NaN without one.
    spread : float
        Standard deviation of the costs of the queries.

    Raises
    ------
    ValueError
        If the table has no costs, or the budgets or `budget` are invalid.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.metrics import cost_report
    >>> table = RewardTable([[0, 1], [1, 1]], costs=[[90, 110], [20, 20]])
    >>> cost_report(table, [1, 2], budget=80)
    CostReport(mean_cost=70.0, share=0.875, spread=30.0)

    Two decoders:

    >>> table = RewardTable([[[0, 1], [1, 1]]], costs=[1.0, 5.0])
    >>> cost_report(table, [[2, 1]]).mean_cost
    7.0
    """
    spent = _query_spend(as_table(rewards, n_decoders=None), budgets, "cost")
    if budget is not None:
        budget = check_in_interval(budget, "budget", 0, LARGEST, closed="right")
    mean = float(spent.mean())
    return CostReport(mean, mean / budget if budget else np.nan, float(spent.std()))


def net_reward_score(
    rewards, budgets, *, price, empty_reward=0.0, selection="reward", unit="samples"
):
    """Score budgets by expected reward minus the cost of the samples.

    A search over budgets that maximises only the reward always selects the largest
    budget. Maximise this score instead.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; NaN marks a missing sample.
    budgets : array-like of shape (n_queries,) or float
        Samples given to each query, see :func:`expected_reward_score`.
    price : float
        Reward that a sample, or with ``unit="cost"`` a unit of cost, must add to be
        worth it. In routing, this is the cost
        of a call to the strong decoder minus that of a call to the weak decoder, in
        units of reward.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. "score" needs a
        :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
        Not used in routing.
    unit : {"samples", "cost"}, default="samples"
        What spend counts. "cost" needs a :class:`~sklearn_adaalloc.RewardTable` with
        costs; a sample of a query then costs the mean of the query's samples.

    Returns
    -------
    score : float
        Mean reward minus `price` times mean spend.

    Raises
    ------
    ValueError
        If `price` is negative, or as in :func:`expected_reward_score`.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import net_reward_score
    >>> net_reward_score([[0, 1], [1, 1]], [2, 1], price=0.25)
    0.625
    """
    price = check_in_interval(price, "price", 0, LARGEST, closed="left")
    expected = query_rewards(
        rewards, budgets, empty_reward=empty_reward, selection=selection, unit=unit
    )
    spend = np.mean(budgets)
    if np.ndim(budgets) == 2 or (np.ndim(budgets) and unit != "samples"):
        spend = _query_spend(as_table(rewards, n_decoders=None), budgets, unit).mean()
    return float(expected.mean() - price * spend)


def observed_costs(table, unit):
    """Mean cost of each query's samples (n_queries,); None if samples count.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.metrics._expected_reward import observed_costs
    >>> observed_costs(RewardTable([[0, 1]], costs=[[90, 110]]), "cost")
    array([100.])
    """
    if check_choice(unit, "unit", UNITS) == "samples":
        return None
    if has_decoders(table):
        raise ValueError(
            "unit='cost' is not accepted for routing. Expected unit='samples': spend "
            "is then the share of queries for the strong decoder; or one budget for "
            "each decoder, shape (n_queries, n_decoders)."
        )
    return cell_costs(_require_costs(table))


def _query_spend(table, budgets, unit):
    """Spend on each query (n_queries,)."""
    if np.ndim(budgets) == 2:
        own = check_decoder_budgets(budgets, table.shape)
        if check_choice(unit, "unit", UNITS) == "samples":
            return own.sum(axis=1)
        return np.nansum(own * cell_costs(_require_costs(table)), axis=1)
    costs = observed_costs(table, unit)
    budgets = check_budgets(budgets, n_queries=len(table))
    return budgets if costs is None else budgets * costs


def cell_costs(table):
    """Mean cost of a sample (n_queries,) or, with decoders, (n_queries, n_decoders).

    NaN where a decoder has no sample of a query.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.metrics._expected_reward import cell_costs
    >>> cell_costs(RewardTable([[[0, 1], [1, None]]], costs=[[[2, 4], [9, None]]]))
    array([[3., 9.]])
    """
    n_samples = np.isfinite(table.costs).sum(axis=-1)
    totals = np.nansum(table.costs, axis=-1)
    return np.divide(
        totals, n_samples, out=np.full(totals.shape, np.nan), where=n_samples > 0
    )


def _require_costs(table):
    if table.costs is None:
        raise ValueError(
            "unit='cost' needs the costs of samples, and rewards has none. Expected "
            "RewardTable(rewards, costs=...)."
        )
    return table


def query_rewards(
    rewards, budgets, *, empty_reward, selection="reward", unit="samples"
):
    """Check the arguments of `expected_reward_score`; return rewards (n_queries,).

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._expected_reward import query_rewards
    >>> query_rewards([[0, 1], [1, 1]], [0, 2], empty_reward=-1.0)
    array([-1.,  1.])
    """
    if np.ndim(budgets) == 2:
        return _decoder_rewards(rewards, budgets, empty_reward, selection, unit)
    table = as_table(rewards)
    rewards = table.rewards
    empty_reward = check_empty_reward(empty_reward)
    max_budget = largest_budget(rewards)
    expected = "one number, or one whole number per query"
    costs = observed_costs(table, unit)
    if check_numbers(budgets, "budgets", expected).ndim == 0:
        budget, _, _ = check_budget(np.asarray(budgets).item(), unit=unit)
        budget = budget if costs is None else budget / costs.mean()
        parts = _uniform_parts(budget, len(rewards), max_budget)
    else:
        own = check_budgets(budgets, n_queries=len(rewards), max_budget=max_budget)
        parts = [(1.0, own)]
    warn_beyond_samples(rewards, parts[-1][1], name="budgets")
    return sum(
        share
        * expected_rewards(table, own, empty_reward=empty_reward, selection=selection)
        for share, own in parts
    )


def _decoder_rewards(rewards, budgets, empty_reward, selection, unit):
    """The same for a budget of each decoder."""
    check_choice(unit, "unit", UNITS)
    table = as_table(rewards, n_decoders=None)
    own = check_decoder_budgets(budgets, table.shape)
    if selection != "reward":
        raise ValueError(
            f"selection={selection!r} is not accepted with budgets of several "
            "decoders. Expected 'reward'."
        )
    empty_reward = check_empty_reward(empty_reward)
    given = np.isfinite(table.rewards).sum(axis=2)
    own = np.where(given > 0, own, 0)
    rows, scarcest = np.arange(len(own)), (own - given).argmax(axis=1)
    warn_beyond_samples(
        table.rewards[rows, scarcest], own[rows, scarcest], name="budgets", stacklevel=5
    )
    return expected_menu_rewards(table.rewards, own, empty_reward=empty_reward)


def _uniform_parts(budget, n_queries, max_budget):
    """Split a uniform budget into floor and ceiling: pairs (share, budgets)."""
    budget, _, _ = check_budget(budget, max_budget=max_budget)
    floor = int(budget)
    shares = [(1 - (budget - floor), floor), (budget - floor, floor + 1)]
    return [(share, np.full(n_queries, b)) for share, b in shares if share > 0]


def warn_undefined(name, reason, *, stacklevel=3):
    """Warn that a score is NaN because its denominator is 0.

    With the default `stacklevel` the warning points to the caller of the score.

    Examples
    --------
    >>> import warnings
    >>> from sklearn_adaalloc.metrics._expected_reward import warn_undefined
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_undefined("score", "all queries are alike")
    >>> str(caught[0].message)
    'score is undefined and set to NaN: all queries are alike.'
    """
    warnings.warn(
        f"{name} is undefined and set to NaN: {reason}.",
        UndefinedMetricWarning,
        stacklevel=stacklevel,
    )
