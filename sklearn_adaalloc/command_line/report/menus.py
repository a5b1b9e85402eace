"""What policies over several decoders would have earned, each query held out."""

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold

from sklearn_adaalloc._utils.rewards import is_binary
from sklearn_adaalloc.allocators import AdaptiveAllocator, SequentialAllocator
from sklearn_adaalloc.command_line._features import difficulty_model
from sklearn_adaalloc.command_line.report.evaluation import (
    IN_ROUNDS,
    N_ROUNDS,
    UP_FRONT,
    distinct,
)
from sklearn_adaalloc.command_line.report.intervals import (
    CONFIDENCE,
    N_BOOTSTRAP,
    Played,
    compare,
    share_saved,
)
from sklearn_adaalloc.metrics import oracle_cost_curve
from sklearn_adaalloc.metrics._bootstrap import mean_interval
from sklearn_adaalloc.metrics._cost_curve import query_points
from sklearn_adaalloc.metrics._fixed_cascades import (
    concave_hull,
    decoder_names,
    failures_and_costs,
    sample_costs,
)

_N_BUDGETS = 3
_PARTS = (0.5, 1.0)  # of the reported budgets, to find what policies save


def evaluate_menu(features_of, table, settings):
    """Measure what decoders give without a policy and with one, on verdicts.

    Parameters
    ----------
    features_of : callable
        Takes the rows to learn from and the held-out rows; returns the features of
        both.
    table : RewardTable of shape (n_queries, n_decoders, n_samples)
        Rewards of 0 and 1.
    settings : Settings
        How.

    Returns
    -------
    figures : dict
        What ``--json`` prints.
    drawn : dict
        Arrays for pictures: "played", a dict of :class:`Played`, "answers" and "costs"
        by policy (n_points, n_decoders).

    Raises
    ------
    ValueError
        If rewards are not 0 and 1, or a budget lies outside what the table can show.
    """
    if not is_binary(table.rewards):
        raise ValueError(
            "the table has several decoders and rewards other than 0 and 1. Expected "
            "verdicts: policies over several decoders are learnt from them. Report on "
            "one decoder at a time, with a file of its answers."
        )
    names, costs = decoder_names(table), sample_costs(table)
    failing, spent = failures_and_costs(table.rewards, costs)
    alone = {
        name: Played(np.arange(failing.shape[2]), own_spend.T, 1 - own_failing.T)
        for name, own_spend, own_failing in zip(
            names, spent.swapaxes(0, 1), failing.swapaxes(0, 1), strict=True
        )
    }
    budgets = _budgets(settings, costs, spent)
    played, shares = _play(features_of, table, settings, budgets)
    oracle = oracle_cost_curve(table)
    figures = {
        "queries": len(table),
        "samples": table.shape[2],
        "binary": True,
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
        "solvable": float((np.nanmax(table.rewards, axis=(1, 2)) == 1).mean()),
        "rows": [
            _row(budget, alone, played, shares, oracle, names, settings)
            for budget in budgets
        ],
    }
    drawn = {"alone": alone, "played": played, "shares": shares, "oracle": oracle}
    return figures, drawn


def _budgets(settings, costs, spent):
    """Mean costs per query to report."""
    means = np.nanmean(costs, axis=(0, 2))
    most = spent[:, :, -1].sum(axis=1).mean()  # every decoder asked to its end
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


def _play(features_of, table, settings, budgets):
    """Play the policies on each part of the queries, learnt from the others."""
    n_queries, n_decoders, n_samples = table.shape
    grid = distinct(np.concatenate([budgets * part for part in _PARTS]))
    unit = "cost" if table.costs is not None else "samples"
    played, shares = {}, {}
    for name in (UP_FRONT, IN_ROUNDS):
        played[name] = Played(grid, *np.zeros((2, len(grid), n_queries)))
        shares[name] = np.zeros((2, len(grid), n_queries, n_decoders))
    n_folds = min(settings.n_folds, n_queries)
    folds = KFold(n_folds, shuffle=True, random_state=settings.random_state)
    for number, (train, test) in enumerate(folds.split(np.arange(n_queries)), start=1):
        settings.advance(f"part {number} of {n_folds}")
        X_train, X_test = features_of(train, test)
        for name, policy in _fit(X_train, table[train], settings, unit).items():
            rng = np.random.RandomState(settings.random_state + number)
            n_orders = min(n_samples, int(np.clip(400 // n_queries, 1, 4)))
            points = query_points(
                policy, X_test, table[test], grid, n_orders=n_orders, rng=rng
            )
            for place, (rewards, answers, costs) in enumerate(points):
                played[name].reward[place, test] = rewards
                played[name].spend[place, test] = costs.sum(axis=1)
                shares[name][:, place, test] = answers, costs
    return played, {name: own.mean(axis=2) for name, own in shares.items()}


def _fit(X, table, settings, unit):
    """A policy of each kind, with one model of who can answer what."""
    options = {"unit": unit, "random_state": settings.random_state}
    model = difficulty_model(
        settings.features,
        target="rate_profiles",
        random_state=settings.random_state,
    )
    first = AdaptiveAllocator(model, **options).fit(X, table)
    fitted = FrozenEstimator(first.regressor_)
    rounds = SequentialAllocator(fitted, n_rounds=N_ROUNDS, **options)
    return {UP_FRONT: first, IN_ROUNDS: rounds.fit(X, table)}


def mixed(points, spend):
    """The best that is possible at a mean spend without a policy, by hindsight.

    Some queries, chosen at random, are given to one decoder with one budget, and the
    others to another with another budget.

    Parameters
    ----------
    points : dict of str to Played
        Each decoder alone, at all of its budgets.
    spend : float
        Mean spend per query. More than the dearest useful one is not spent.

    Returns
    -------
    names : list of str
        The one or two decoders.
    spend, reward : ndarrays of shape (n_queries,)
        Of each query, in expectation.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.command_line.report.intervals import Played
    >>> from sklearn_adaalloc.command_line.report.menus import mixed
    >>> own = Played(np.arange(2), np.array([[0.0], [2.0]]), np.array([[0.0], [1.0]]))
    >>> mixed({"a": own}, 1.0)
    (['a'], array([1.]), array([0.5]))
    """
    names = [name for name, own in points.items() for _ in own.budgets]
    spends = np.vstack([own.spend for own in points.values()])
    rewards = np.vstack([own.reward for own in points.values()])
    means = spends.mean(axis=1)
    hull = concave_hull(means, rewards.mean(axis=1))
    after = int(np.clip(np.searchsorted(means[hull], spend), 1, len(hull) - 1))
    low, high = hull[after - 1], hull[after]
    run = means[high] - means[low]
    share = float(np.clip((spend - means[low]) / run, 0, 1))
    parts = {
        names[place]: None
        for place, weight in ((low, 1 - share), (high, share))
        if weight > 1e-9 and means[place] > 0
    }
    return (
        list(parts),
        (1 - share) * spends[low] + share * spends[high],
        (1 - share) * rewards[low] + share * rewards[high],
    )


def _row(budget, alone, played, shares, oracle, names, settings):
    """All that is reported of one mean cost."""
    seed = settings.random_state
    best, paid, reward = mixed(alone, budget)
    low, high = mean_interval(reward, CONFIDENCE, N_BOOTSTRAP, seed)
    policies = {}
    for name, own in played.items():
        spend, earned = own.at(budget)
        _, _, same_cost = mixed(alone, spend.mean())
        place = int(np.argmin(np.abs(own.budgets - budget)))
        policies[name] = {
            "spend": float(spend.mean()),
            "equal_at_spend": float(same_cost.mean()),
            **compare(earned, same_cost, random_state=seed),
            **share_saved(
                own,
                paid,
                reward,
                from_nothing=True,
                random_state=seed,
            ),
            "answers": dict(zip(names, shares[name][0, place].tolist(), strict=True)),
            "costs": dict(zip(names, shares[name][1, place].tolist(), strict=True)),
        }
    return {
        "budget": float(budget),
        "equal": {
            "decoders": best,
            "spend": float(paid.mean()),
            "reward": float(reward.mean()),
            "low": low,
            "high": high,
        },
        "alone": {
            name: float(mixed({name: own}, budget)[2].mean())
            for name, own in alone.items()
        },
        "policies": policies,
        "oracle_with_verdicts": float(np.interp(budget, *oracle)),
    }
