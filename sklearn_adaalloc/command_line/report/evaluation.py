"""What policies on a table of one decoder would have earned, each query held out."""

from typing import NamedTuple

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold

from sklearn_adaalloc._utils.rewards import is_binary
from sklearn_adaalloc.allocators import (
    AdaptiveAllocator,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.command_line._features import difficulty_model, rule_of
from sklearn_adaalloc.command_line.report.fixed import (
    equal_budgets,
    stopped,
    surpassed,
)
from sklearn_adaalloc.command_line.report.intervals import (
    CONFIDENCE,
    N_BOOTSTRAP,
    Played,
    compare,
    share_saved,
)
from sklearn_adaalloc.curves import expected_rewards, reward_curves
from sklearn_adaalloc.metrics._bootstrap import mean_interval
from sklearn_adaalloc.metrics._expected_reward import cell_costs
from sklearn_adaalloc.metrics._fixed_cascades import choose_of_each, first_successes
from sklearn_adaalloc.metrics._policy_curves import oracle_curve

N_ROUNDS = 4
UP_FRONT, IN_ROUNDS, STREAM = "up front", f"in {N_ROUNDS} rounds", "stream"
# Parts of the reported budgets at which policies are played, to find what they save.
_PARTS = {
    UP_FRONT: (0.5, 0.75, 1.0),
    IN_ROUNDS: (0.25, 0.5, 0.75, 1.0),
    STREAM: (0.5, 1.0),
}
_FEWEST = 0.1  # answers per query; with less there is nothing to compare
OPEN_QUERIES = 50  # of a replayed stream at a time, as on a busy server


class Settings(NamedTuple):
    """How a table is evaluated.

    Parameters
    ----------
    selection : {"reward", "score", "vote"}
        How an answer is chosen.
    unit : {"samples", "cost"}
        What budgets count.
    budgets : sequence of float or None
        Mean budgets per query, in that unit; None chooses them.
    n_folds : int
        Number of parts in turn held out.
    features : str
        Name of the features, never "auto".
    random_state : int
        Seed of everything.
    advance : callable
        Called with a text before each part of the work.
    """

    selection: str
    unit: str
    budgets: list | None
    n_folds: int
    features: str
    random_state: int
    advance: object


def evaluate(features_of, table, settings):
    """Measure equal budgets and policies on a table of one decoder.

    Parameters
    ----------
    features_of : callable
        Takes the rows to learn from and the held-out rows; returns the features of
        both.
    table : RewardTable of shape (n_queries, n_samples)
        Rewards, and what the settings need besides.
    settings : Settings
        How.

    Returns
    -------
    figures : dict
        What ``--json`` prints: "rows", one dict for each budget, and what holds for the
        whole table.
    drawn : dict
        Arrays for pictures: "curves" of equal budgets (n_queries, n_samples + 1),
        "costs" (n_queries,), "marginals" as predicted (n_queries, n_samples), "played",
        a dict of :class:`Played`, and "stopped", one of equal limits, or None.
    """
    rule = rule_of(table, settings.selection)
    costs = cell_costs(table) if settings.unit == "cost" else np.ones(len(table))
    curves = reward_curves(
        table,
        table.shape[1],
        empty_reward=rule["empty_reward"],
        selection=settings.selection,
    )
    # Budgets in answers per query: equal ones, which cost `costs` each.
    equal = _equal_budgets(settings, table, costs, rule["min_budget"])
    played, marginals, explained = _play(features_of, table, settings, rule, equal)
    least = rule["min_budget"]
    start = least * costs.mean(), least * costs, curves[:, least]
    played = {name: own.after(*start) for name, own in played.items()}
    without = None
    if settings.selection == "reward" and is_binary(table.rewards):
        rewards, paid = _one_decoder(table, settings)
        without = stopped(rewards[:, 0], paid[:, 0])
    rows = [
        _row(n_answers, curves, costs, played, without, table, settings, rule)
        for n_answers in equal
    ]
    solvable = None
    if is_binary(table.rewards):
        solvable = float((np.nanmax(table.rewards, axis=1) == 1).mean())
    figures = {
        "queries": len(table),
        "samples": table.shape[1],
        "binary": is_binary(table.rewards),
        "one_answer": float(np.nanmean(table.rewards, axis=1).mean()),
        "solvable": solvable,
        "cost_of_an_answer": float(costs.mean()),
        "explained": explained,
        "rows": rows,
    }
    drawn = {"curves": curves, "costs": costs, "marginals": marginals}
    return figures, {**drawn, "played": played, "stopped": without, **rule}


def _equal_budgets(settings, table, costs, least):
    """Budgets to report, in answers per query."""
    n_samples = table.shape[1]
    if n_samples < 2:
        raise ValueError(
            "the table has one graded answer to each query. Expected at least two to "
            "some of them: without, nothing can be measured beyond a budget of 1."
        )
    if settings.budgets is None:
        powers = 2.0 ** np.arange(1, 6)
        usable = powers[powers <= max(2, n_samples / 2)]
        return usable[:4]
    equal = np.unique(np.array(settings.budgets) / costs.mean())
    for budget, own in zip(sorted(settings.budgets), equal, strict=False):
        if not (least < own <= n_samples and own >= _FEWEST):
            hint = ""
            if settings.unit == "cost":
                hint = (
                    f" Budgets count costs, {costs.mean():.3g} for an answer; with "
                    "--unit samples they count answers."
                )
            raise ValueError(
                f"--budget {budget:g} is {own:.3g} answers to each query. Expected "
                f"{f'more than {least}' if least else f'at least {_FEWEST}'} and at "
                f"most {n_samples}, which the table has.{hint}"
            )
    return equal


def distinct(values):
    """Values in order, those that differ by rounding only once.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line.report.evaluation import distinct
    >>> distinct([0.3, 0.1 + 0.2, 0.1])
    array([0.1, 0.3])
    """
    values = np.sort(values)
    return values[np.diff(values, prepend=-np.inf) > 1e-9 * values[-1]]


def _grid(equal, least, parts):
    """Budgets at which a policy is played: those reported, and some between."""
    grid = distinct(np.concatenate([equal * part for part in parts]))
    return grid[grid >= min(max(1.25 * least, _FEWEST), equal[0])]


def _play(features_of, table, settings, rule, equal):
    """Play every policy on each part of the queries, learnt from the others."""
    n_queries, n_samples = table.shape
    price = cell_costs(table).mean() if settings.unit == "cost" else 1.0
    played = {}
    for name, parts in _PARTS.items():
        grid = price * _grid(equal, rule["min_budget"], parts)
        played[name] = Played(grid, *np.zeros((2, len(grid), n_queries)))
    marginals = np.empty((n_queries, n_samples))
    explained = []
    n_folds = min(settings.n_folds, n_queries)
    folds = KFold(n_folds, shuffle=True, random_state=settings.random_state)
    for number, (train, test) in enumerate(folds.split(np.arange(n_queries)), start=1):
        settings.advance(f"part {number} of {n_folds}")
        X_train, X_test = features_of(train, test)
        policies = _fit(X_train, table[train], settings, rule, price * equal[-1])
        held_out = table[test]
        regressor = policies[STREAM].regressor_
        marginals[test] = policies[UP_FRONT].predict_marginals(X_test)[:, :n_samples]
        explained.append(regressor.score(X_test, held_out))
        rng = np.random.default_rng(settings.random_state + number)
        n_orders = int(np.clip(4000 // n_queries, 1, 8))
        orders = [_shuffled(held_out, rng) for _ in range(n_orders)]
        for name, policy in policies.items():
            for place, budget in enumerate(played[name].budgets):
                policy.set_params(budget=float(budget))
                outcome = _outcome(policy, X_test, held_out, orders, settings, rule)
                played[name].spend[place, test] = outcome[0]
                played[name].reward[place, test] = outcome[1]
    return played, marginals, float(np.mean(explained))


def _fit(X, table, settings, rule, budget):
    """A policy of each kind, with one difficulty model."""
    options = {
        **rule,
        "unit": settings.unit,
        "selection": settings.selection,
        "budget": float(budget),
        "random_state": settings.random_state,
    }
    rates = settings.selection == "reward" and is_binary(table.rewards)
    model = difficulty_model(
        settings.features,
        target="rate_distribution" if rates else "marginal_rewards",
        random_state=settings.random_state,
        empty_reward=rule["empty_reward"],
        selection=settings.selection,
    )
    stream = StreamAllocator(model, **options).fit(X, table)
    fitted = FrozenEstimator(stream.regressor_)
    return {
        UP_FRONT: AdaptiveAllocator(fitted, **options).fit(X, table),
        IN_ROUNDS: SequentialAllocator(fitted, n_rounds=N_ROUNDS, **options).fit(
            X, table
        ),
        STREAM: stream,
    }


def _shuffled(table, rng):
    """The table with the samples of each query in a random order."""
    draws = np.where(np.isnan(table.rewards), np.inf, rng.random(table.shape))
    return table._in_order(draws.argsort(axis=1))


def _outcome(policy, X, table, orders, settings, rule):
    """Spend and reward of each query, exact or the mean over orders of the samples."""
    options = {"empty_reward": rule["empty_reward"], "selection": settings.selection}
    if isinstance(policy, AdaptiveAllocator):
        budgets = policy.predict(X)
        costs = cell_costs(table) if settings.unit == "cost" else 1.0
        return budgets * costs, expected_rewards(table, budgets, **options)
    spends, rewards = [], []
    for order in orders:
        if isinstance(policy, StreamAllocator):
            budgets, spent = policy._replay(X, order, n_open=OPEN_QUERIES)
        else:
            session = policy._replay(X, order)
            budgets, spent = session.budgets, session.costs
        spends.append(spent)
        rewards.append(expected_rewards(order.head(budgets), budgets, **options))
    return np.mean(spends, axis=0), np.mean(rewards, axis=0)


def _row(n_answers, curves, costs, played, without, table, settings, rule):
    """All that is reported of one budget."""
    seed = settings.random_state
    budget = n_answers * costs.mean()
    equal = equal_budgets(curves, costs, budget)
    low, high = mean_interval(equal.reward, CONFIDENCE, N_BOOTSTRAP, seed)
    policies = {}
    for name, own in played.items():
        spend, reward = own.at(budget)
        same_cost = equal_budgets(curves, costs, spend.mean())
        policies[name] = {
            "spend": float(spend.mean()),
            "equal_at_spend": float(same_cost.reward.mean()),
            **compare(spend, reward, same_cost, random_state=seed),
            **share_saved(own, equal, random_state=seed),
        }
    counted = costs if settings.unit == "cost" else None
    bound = oracle_curve(curves, rule["min_budget"], counted)
    row = {
        "budget": float(budget),
        "answers": float(n_answers),
        "equal": {"reward": float(equal.reward.mean()), "low": low, "high": high},
        "policies": policies,
        "stopped": None,
        "oracle_up_front": float(np.interp(budget, *bound)),
        "oracle_with_verdicts": None,
    }
    if without is not None:
        stream = played[STREAM].at(budget)
        row["stopped"] = surpassed(without, *stream, random_state=seed)
        prices, values = first_successes(*_one_decoder(table, settings))
        row["oracle_with_verdicts"] = float(
            np.interp(budget, *choose_of_each(prices, values))
        )
    return row


def _one_decoder(table, settings):
    """Rewards and what is counted, each (n_queries, 1, n_samples)."""
    paid = table.costs if settings.unit == "cost" else np.ones(table.shape)
    return table.rewards[:, None], paid[:, None]
