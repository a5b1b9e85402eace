"""What policies over several decoders would have earned, each query held out."""

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold
from sklearn.utils import check_random_state

from sklearn_adaalloc._utils.rewards import is_binary
from sklearn_adaalloc.allocators import (
    AdaptiveAllocator,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.allocators._menu_session import best_so_far
from sklearn_adaalloc.command_line._features import difficulty_model, rule_of
from sklearn_adaalloc.command_line.report.evaluation import (
    IN_ROUNDS,
    N_ROUNDS,
    OPEN_QUERIES,
    STREAM,
    UP_FRONT,
    distinct,
)
from sklearn_adaalloc.command_line.report.fixed import (
    all_drawn,
    growing_plans,
    mixed,
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
from sklearn_adaalloc.curves._table import RewardTable
from sklearn_adaalloc.metrics import best_fixed_cascades, oracle_cost_curve
from sklearn_adaalloc.metrics._bootstrap import mean_interval
from sklearn_adaalloc.metrics._cost_curve import query_points, sample_orders
from sklearn_adaalloc.metrics._fixed_cascades import (
    decoder_names,
    query_cascades,
    sample_costs,
)

ONE_BY_ONE = "one by one"
ONE_PLAN = "the same plan for all"
_N_BUDGETS = 3
_PARTS = (0.5, 1.0)  # of the reported budgets, to find what policies save
_MOST_TRIES = 10  # of one decoder in a fixed cascade
# Plans take long to find if decoders are many, above all for real-valued rewards, and
# the price of a stream is found by many of them.
_MOST_DECODERS = 6  # whose real-valued rewards are planned with
_MOST_IN_STREAM = {True: (2, 200_000), False: (4, 20_000)}
"""For verdicts and other rewards: power of the number of decoders, and the largest
product of that and the number of queries."""


def evaluate_menu(features_of, table, settings):
    """Measure what decoders give without a policy and with one.

    Parameters
    ----------
    features_of : callable
        Takes the rows to learn from and the held-out rows; returns the features of
        both.
    table : RewardTable of shape (n_queries, n_decoders, n_samples)
        Verdicts or real-valued rewards.
    settings : Settings
        How.

    Returns
    -------
    figures : dict
        What ``--json`` prints.
    drawn : dict
        Arrays for pictures: "alone" and "played", dicts of :class:`Played`, "shares",
        by policy mean answers and mean costs, each (n_points, n_decoders), "chosen",
        their names, "fixed", a :class:`Played` of cascades or plans, and "oracle".

    Raises
    ------
    ValueError
        If a budget lies outside what the table can show.
    """
    binary = is_binary(table.rewards)
    empty_reward = rule_of(table, "reward")["empty_reward"]
    names, costs = decoder_names(table), sample_costs(table)
    alone = _each_alone(table, costs, names, empty_reward)
    budgets = _budgets(settings, costs, alone)
    without, cascades, plan, chosen = dict(alone), None, [], names
    if binary:
        oracle = oracle_cost_curve(table)
        fixed = cascades = _cascades(table)
    else:
        over_nothing = RewardTable(table.rewards - empty_reward, costs=costs)
        oracle = oracle_cost_curve(over_nothing, sequential=False)
        oracle = oracle._replace(reward=oracle.reward + empty_reward)
        plans = growing_plans(table.rewards, costs, empty_reward, 2 * budgets[-1])
        fixed = without[ONE_PLAN] = plans.played
        plan = [names[place] for place in plans.steps]
        chosen = _planned_with(plan, alone)
    known = _only(table, names, chosen)
    played, shares = _play(features_of, known, settings, budgets, empty_reward)
    rows = [
        _row(budget, without, cascades, played, shares, chosen, oracle, settings)
        for budget in budgets
    ]
    solved = None
    if binary:
        solved = float((np.nanmax(table.rewards, axis=(1, 2)) == 1).mean())
    figures = {
        "queries": len(table),
        "samples": table.shape[2],
        "binary": binary,
        "empty_reward": empty_reward,
        "decoders": [
            {
                "name": name,
                "one_answer": float(np.nanmean(table.rewards[:, place])),
                "cost_of_an_answer": float(np.nanmean(costs[:, place])),
                "all_answers": float(alone[name].reward[-1].mean()),
                "all_spend": float(alone[name].spend[-1].mean()),
            }
            for place, name in enumerate(names)
        ],
        "solvable": solved,
        "plan": plan,
        "planned_with": chosen,
        "rows": rows,
    }
    drawn = {"alone": alone, "played": played, "shares": shares, "chosen": chosen}
    return figures, {**drawn, "fixed": fixed, "oracle": oracle}


def _each_alone(table, costs, names, empty_reward):
    """Each decoder at all budgets, by its name."""
    binary = is_binary(table.rewards)
    own = zip(table.rewards.swapaxes(0, 1), costs.swapaxes(0, 1), strict=True)
    played = [
        stopped(rewards, paid) if binary else all_drawn(rewards, paid, empty_reward)
        for rewards, paid in own
    ]
    return dict(zip(names, played, strict=True))


def _cascades(table):
    """The best fixed cascades of two decoders, by hindsight."""
    tries = min(table.shape[2], _MOST_TRIES)
    chosen = best_fixed_cascades(table, n_decoders=2, max_tries=tries)
    return Played(np.arange(len(chosen)), *query_cascades(table, chosen))


def _planned_with(plan, alone):
    """The decoders that policies choose among, if rewards are real-valued."""
    by_reward = sorted(alone, key=lambda name: -alone[name].reward[1].mean())
    chosen = list(dict.fromkeys([*plan, *by_reward]))[:_MOST_DECODERS]
    return [name for name in alone if name in chosen]


def _only(table, names, chosen):
    """The table with some of its decoders."""
    if chosen == names:
        return table
    places = [names.index(name) for name in chosen]
    costs = None if table.costs is None else table.costs[:, places]
    return RewardTable(table.rewards[:, places], costs=costs, decoders=chosen)


def _budgets(settings, costs, alone):
    """Mean costs per query to report."""
    means = np.nanmean(costs, axis=(0, 2))
    most = sum(own.spend[-1].mean() for own in alone.values())  # all that there is
    if settings.budgets is None:
        highest = min(most / 2, max(4 * means.min(), 2 * means.max()))
        lowest = min(means.min(), highest / 2)
        return np.geomspace(lowest, highest, _N_BUDGETS)
    budgets = np.unique(settings.budgets)
    if budgets[0] <= 0 or budgets[-1] > most:
        raise ValueError(
            f"--budget {budgets[0]:g} to {budgets[-1]:g} is not accepted. Expected "
            f"mean costs per query above 0 and at most {most:.4g}, all that the table "
            "has."
        )
    return budgets


def _play(features_of, table, settings, budgets, empty_reward):
    """Play the policies on each part of the queries, learnt from the others.

    There is no stream where finding its price takes too long.
    """
    n_queries, n_decoders, n_samples = table.shape
    power, most = _MOST_IN_STREAM[is_binary(table.rewards)]
    options = empty_reward, n_queries * n_decoders**power <= most
    grid = distinct(np.concatenate([budgets * part for part in _PARTS]))
    played, shares = {}, {}
    n_folds = min(settings.n_folds, n_queries)
    folds = KFold(n_folds, shuffle=True, random_state=settings.random_state)
    for number, (train, test) in enumerate(folds.split(np.arange(n_queries)), start=1):
        settings.advance(f"part {number} of {n_folds}")
        X_train, X_test = features_of(train, test)
        policies = _fit(X_train, table[train], settings, grid[-1], *options)
        for name, policy in policies.items():
            if name not in played:
                played[name] = Played(grid, *np.zeros((2, len(grid), n_queries)))
                shares[name] = np.zeros((2, len(grid), n_queries, n_decoders))
            rng = check_random_state(settings.random_state + number)
            n_orders = min(n_samples, int(np.clip(400 // n_queries, 1, 4)))
            play = _stream_points if name == STREAM else query_points
            points = play(
                policy,
                X_test,
                table[test],
                grid,
                empty_reward,
                n_orders=n_orders,
                rng=rng,
            )
            for place, (rewards, answers, costs) in enumerate(points):
                played[name].reward[place, test] = rewards
                played[name].spend[place, test] = costs.sum(axis=1)
                shares[name][:, place, test] = answers, costs
    nothing = np.full(n_queries, empty_reward)
    played = {
        name: own.after(0.0, 0 * nothing, nothing) for name, own in played.items()
    }
    before = ((0, 0), (1, 0), (0, 0))
    return played, {
        name: np.pad(own.mean(axis=2), before) for name, own in shares.items()
    }


def _fit(X, table, settings, budget, empty_reward, with_stream):
    """A policy of each kind, with one model of who answers how well."""
    binary = is_binary(table.rewards)
    options = {
        "unit": "samples" if table.costs is None else "cost",
        "budget": float(budget),
        "empty_reward": empty_reward,
        "random_state": settings.random_state,
    }
    model = difficulty_model(
        settings.features,
        target="rate_profiles" if binary else "normal_rewards",
        random_state=settings.random_state,
        empty_reward=empty_reward,
    )
    first = AdaptiveAllocator(model, **options).fit(X, table)
    fitted = FrozenEstimator(first.regressor_)
    policies = {UP_FRONT: first}
    for name, n_rounds in ((IN_ROUNDS, N_ROUNDS), (ONE_BY_ONE, None)):
        rounds = SequentialAllocator(fitted, n_rounds=n_rounds, **options)
        policies[name] = rounds.fit(X, table)
    if with_stream:
        policies[STREAM] = StreamAllocator(model, **options).fit(X, table)
    return policies


def _stream_points(policy, X, table, budgets, empty_reward, *, n_orders, rng):
    """What `query_points` yields, of a stream."""
    for budget in budgets:
        policy.set_params(budget=float(budget))
        played = []
        for order in sample_orders(table, n_orders, rng):
            taken, _ = policy._replay(X, order, n_open=OPEN_QUERIES)
            best = best_so_far(order.rewards, taken, empty_reward=empty_reward)
            there = np.argsort(np.isnan(order.rewards), axis=2, kind="stable")
            costs = np.take_along_axis(order.costs, there, axis=2)
            paid = np.where(np.arange(order.shape[2]) < taken[:, :, None], costs, 0.0)
            played.append((best, taken, paid.sum(axis=2)))
        yield tuple(np.mean(part, axis=0) for part in zip(*played, strict=True))


def _row(budget, without, cascades, played, shares, names, oracle, settings):
    """All that is reported of one mean cost."""
    seed = settings.random_state
    best, fixed = mixed(without, budget)
    low, high = mean_interval(fixed.reward, CONFIDENCE, N_BOOTSTRAP, seed)
    policies = {}
    for name, own in played.items():
        spend, earned = own.at(budget)
        _, same_cost = mixed(without, spend.mean())
        place = int(np.argmin(np.abs(own.budgets - budget)))
        policies[name] = {
            "spend": float(spend.mean()),
            "equal_at_spend": float(same_cost.reward.mean()),
            **compare(spend, earned, same_cost, random_state=seed),
            **share_saved(own, fixed, random_state=seed),
            "answers": dict(zip(names, shares[name][0, place].tolist(), strict=True)),
            "costs": dict(zip(names, shares[name][1, place].tolist(), strict=True)),
        }
    known = float(np.interp(budget, *oracle))
    row = {
        "budget": float(budget),
        "equal": {
            "decoders": best,
            "spend": float(fixed.spend.mean()),
            "reward": float(fixed.reward.mean()),
            "low": low,
            "high": high,
        },
        "alone": {
            name: float(mixed({name: own}, budget)[1].reward.mean())
            for name, own in without.items()
        },
        "policies": policies,
        "cascade": None,
        "oracle_one_answer": known if cascades is None else None,
        "oracle_with_verdicts": None if cascades is None else known,
    }
    if cascades is not None:
        policy = played[ONE_BY_ONE].at(budget)
        row["cascade"] = surpassed(cascades, *policy, random_state=seed)
    return row
