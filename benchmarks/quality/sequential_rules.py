"""How to spend a budget over rounds: three rules, played on the same samples.

The package keeps the best, `plan_round`. The other two are what one would write first:
an equal part of the money in each round, and the dynamic programme of every query under
a price, solved anew for each price tried, with what the price leaves over unspent.
"""

import numpy as np

from sklearn_adaalloc.planning._rounds import plan_round, stop_expenses
from sklearn_adaalloc.planning._success import (
    after_failures,
    failure_curves,
    next_chances,
)


def rule_rows(outcomes, worlds, n_rounds=4):
    """Success rates of three rules on the same orders, without correction."""
    rules = {
        "equal split": equal_split,
        "price, rounded down": price_rounded_down,
        "price, exact": plan_round,
    }
    rows = []
    for prior in ("features", "no features"):
        for budget in (2, 4, 8):
            row = {"set": outcomes.name, "prior": prior, "budget": budget}
            for name, rule in rules.items():
                row[name] = np.mean(
                    [
                        play_rule(rule, world.priors[prior], table, budget, n_rounds)
                        for world in worlds
                        for table in world.tables[:4]
                    ]
                )
            rows.append(row)
    return rows


def rounds_bound(curves, bins, budget, n_rounds):
    """Bound the expected success of any policy over rounds that knows only the bins.

    By Lagrangian duality: at any price, queries on their best plans, charged for what
    they spend beyond the budget, earn at least as much as any policy whose expected
    spend is the budget. The mean curves of the bins are those of the queries that are
    evaluated, so the bound is generous to every fitted prior.

    Parameters
    ----------
    curves : ndarray of shape (n_queries, max_budget + 1)
        Observed success rates at each budget.
    bins : ndarray of shape (n_queries,), int
        Bin of each query.
    budget : float
        Mean number of samples per query.
    n_rounds : int
        Number of rounds.

    Returns
    -------
    bound : float
    """
    share = np.bincount(bins) / len(bins)
    means = np.array([curves[bins == b].mean(axis=0) for b in range(len(share))])
    expense = stop_expenses(1 - means.T, n_rounds)[-1].T  # (bins, stops)
    return min(
        share @ (means - price * expense).max(axis=1) + price * budget
        for price in np.geomspace(1e-5, 1, 2000)
    )


def play_rule(rule, marginals, rewards, budget, n_rounds):
    """Success rate of a rule over rounds."""
    chances, width = next_chances(marginals), rewards.shape[1]
    first = np.where(rewards.any(axis=1), rewards.argmax(axis=1), width)
    given, money = np.zeros(len(rewards), dtype=int), int(budget * len(rewards))
    for rounds_left in range(n_rounds, 0, -1):
        rows = np.flatnonzero((first >= given) & (given < width))
        if rows.size == 0 or money == 0:
            break
        left = after_failures(chances[rows], given[rows], width - given[rows])
        budgets = rule(left, money, rounds_left)
        given[rows] += budgets
        money -= budgets.sum()
    return (first < given).mean()


def equal_split(chances, money, n_rounds):
    """Spend an equal part of what is left in each round."""
    return plan_round(chances, money // n_rounds, 1)


def price_rounded_down(chances, money, n_rounds):
    """Follow the backward programme at the least price that the money can pay."""
    failing = failure_curves(chances)
    low, high = np.log(1e-9), 0.0
    for _ in range(14):
        middle = (low + high) / 2
        _, spend = programme(failing, np.exp(middle), n_rounds)
        low, high = (low, middle) if spend.sum() <= money else (middle, high)
    budgets, _ = programme(failing, np.exp(high), n_rounds)
    return budgets


def programme(failing, price, n_rounds):
    """Solve V_r(c) = max_s S(c,s) − t s + (1 − S(c,s)) V_{r−1}(c+s), unnormalised."""
    n_queries, n_stops = failing.shape
    value, spend = np.zeros((2, n_queries, n_stops))
    rows = np.arange(n_queries)
    for rounds_left in range(n_rounds, 0, -1):
        starts = range(n_stops) if rounds_left > 1 else [0]
        new_value, new_spend = np.zeros((2, n_queries, n_stops))
        for c in starts:
            steps = np.arange(n_stops - c)
            gain = failing[:, [c]] * (1 - price * steps) - failing[:, c:] + value[:, c:]
            best = gain.argmax(axis=1)
            new_value[:, c] = gain[rows, best]
            new_spend[:, c] = failing[:, c] * best + spend[rows, c + best]
        value, spend = new_value, new_spend
    return best, spend[:, 0]
