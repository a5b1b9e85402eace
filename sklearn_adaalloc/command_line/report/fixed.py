"""What can be had without a policy: the same for every query, or chosen at random."""

from typing import NamedTuple

import numpy as np

from sklearn_adaalloc.command_line.report.intervals import Fixed, Played, compare
from sklearn_adaalloc.curves._menus import expected_menu_rewards
from sklearn_adaalloc.metrics._fixed_cascades import concave_hull, failures_and_costs

_NOTHING = 1e-9  # a share or a gain below is one by rounding


class Plans(NamedTuple):
    """Plans that are the same for all queries, each with one sample more.

    Parameters
    ----------
    steps : list of int
        The decoder of each further sample.
    played : Played
        What the plans cost and earn, from no sample on.
    """

    steps: list
    played: Played


def equal_rewards(curves, n_answers):
    """Reward of each query where all get as many answers, floor and ceiling mixed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.command_line.report.fixed import equal_rewards
    >>> equal_rewards(np.array([[0.0, 0.4, 0.6]]), 1.5)
    array([0.5])
    """
    low = min(int(n_answers), curves.shape[1] - 1)
    high = min(low + 1, curves.shape[1] - 1)
    return curves[:, low] + (n_answers - low) * (curves[:, high] - curves[:, low])


def equal_budgets(curves, costs, spend):
    """Equal budgets that spend so much on average.

    Parameters
    ----------
    curves : ndarray of shape (n_queries, n_samples + 1)
        Expected rewards.
    costs : ndarray of shape (n_queries,)
        What an answer costs.
    spend : float
        Mean spend per query.

    Returns
    -------
    fixed : Fixed

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.command_line.report.fixed import equal_budgets
    >>> equal_budgets(np.array([[0.0, 0.5, 0.75]]), np.array([2.0]), 3.0).slope
    0.125
    """
    price = costs.mean()
    n_answers = spend / price
    around = [equal_rewards(curves, n_answers + step).mean() for step in (-0.5, 0.5)]
    slope = float((around[1] - around[0]) / price)
    return Fixed(n_answers * costs, equal_rewards(curves, n_answers), slope)


def stopped(rewards, costs):
    """Equal limits of one decoder, where a query stops at its first right answer.

    Parameters
    ----------
    rewards, costs : ndarrays of shape (n_queries, n_samples)
        Verdicts, and what samples cost.

    Returns
    -------
    played : Played
        With a point for each limit.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.command_line.report.fixed import stopped
    >>> stopped(np.array([[0.0, 1.0]]), np.ones((1, 2))).spend.T
    array([[0. , 1. , 1.5]])
    """
    failing, spent = failures_and_costs(rewards[:, None], costs[:, None])
    return Played(np.arange(failing.shape[2]), spent[:, 0].T, 1 - failing[:, 0].T)


def all_drawn(rewards, costs, empty_reward):
    """Equal budgets of one decoder, where each query takes the best of its answers.

    Parameters
    ----------
    rewards, costs : ndarrays of shape (n_queries, n_samples)
        Rewards, and what samples cost. A query without a sample gets none.
    empty_reward : float
        Reward of a query without a sample.

    Returns
    -------
    played : Played
        With a point for each budget.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.command_line.report.fixed import all_drawn
    >>> all_drawn(np.array([[3.0, 5.0]]), np.ones((1, 2)), 1.0).reward.T
    array([[1., 4., 5.]])
    """
    given = np.isfinite(rewards).sum(axis=1)
    means = np.nansum(costs, axis=1) / np.maximum(given, 1)
    budgets = np.arange(rewards.shape[1] + 1)
    taken = np.minimum(budgets[:, None], given)
    earned = [
        expected_menu_rewards(rewards[:, None], own[:, None], empty_reward=empty_reward)
        for own in taken
    ]
    return Played(budgets, taken * means, np.array(earned))


def growing_plans(rewards, costs, empty_reward, most):
    """The same plan for all queries, grown by the sample that gains most per cost.

    Parameters
    ----------
    rewards, costs : ndarrays of shape (n_queries, n_decoders, n_samples)
        Rewards, and what samples cost.
    empty_reward : float
        Reward of a query without a sample.
    most : float
        Mean cost at which plans end.

    Returns
    -------
    plans : Plans
        Chosen by hindsight. They end earlier if no sample gains anything.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.command_line.report.fixed import growing_plans
    >>> rewards = np.array([[[1.0], [5.0]], [[7.0], [3.0]]])
    >>> plans = growing_plans(rewards, np.ones((2, 2, 1)), 0.0, 9.0)
    >>> plans.steps, plans.played.reward.mean(axis=1)
    ([0, 1], array([0., 4., 6.]))
    """
    n_decoders = rewards.shape[1]
    given = np.isfinite(rewards).sum(axis=2)
    means = np.nansum(costs, axis=2) / np.maximum(given, 1)
    plan = np.zeros(n_decoders, dtype=np.int64)

    def of(own):
        taken = np.minimum(own, given)
        earned = expected_menu_rewards(rewards, taken, empty_reward=empty_reward)
        return (taken * means).sum(axis=1), earned

    steps, points = [], [of(plan)]
    while points[-1][0].mean() < most:
        offers = {}
        for decoder in np.flatnonzero(plan < given.max(axis=0)):
            spend, reward = of(plan + np.eye(n_decoders, dtype=np.int64)[decoder])
            gain = (reward - points[-1][1]).mean()
            ratio = gain / (spend - points[-1][0]).mean()
            offers[int(decoder)] = ratio, gain, (spend, reward)
        best = max(offers, key=lambda decoder: offers[decoder][0], default=None)
        if best is None or offers[best][1] <= _NOTHING:
            break
        steps.append(best)
        points.append(offers[best][2])
        plan[best] += 1
    spends, earned = (np.array(part) for part in zip(*points, strict=True))
    return Plans(steps, Played(np.arange(len(points)), spends, earned))


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
    fixed : Fixed
        Spend and reward of each query, in expectation.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.command_line.report.intervals import Played
    >>> from sklearn_adaalloc.command_line.report.fixed import mixed
    >>> own = Played(np.arange(2), np.array([[0.0], [2.0]]), np.array([[0.0], [1.0]]))
    >>> mixed({"a": own}, 1.0)
    (['a'], Fixed(spend=array([1.]), reward=array([0.5]), slope=0.5))
    """
    names = [name for name, own in points.items() for _ in own.budgets]
    spends = np.vstack([own.spend for own in points.values()])
    rewards = np.vstack([own.reward for own in points.values()])
    means, earned = spends.mean(axis=1), rewards.mean(axis=1)
    hull = concave_hull(means, earned)
    if len(hull) == 1:  # nothing is better than no answer
        return [], Fixed(spends[hull[0]], rewards[hull[0]], 0.0)
    after = int(np.clip(np.searchsorted(means[hull], spend), 1, len(hull) - 1))
    low, high = hull[after - 1], hull[after]
    run = means[high] - means[low]
    share = float(np.clip((spend - means[low]) / run, 0, 1))
    parts = {
        names[place]: None
        for place, weight in ((low, 1 - share), (high, share))
        if weight > _NOTHING and means[place] > 0
    }
    beyond = spend > means[high] * (1 + _NOTHING)
    return list(parts), Fixed(
        (1 - share) * spends[low] + share * spends[high],
        (1 - share) * rewards[low] + share * rewards[high],
        0.0 if beyond else float((earned[high] - earned[low]) / run),
    )


def surpassed(played, spend, reward, *, random_state):
    """What needs no policy but verdicts, and what a policy gains over it.

    Parameters
    ----------
    played : Played
        What needs no policy.
    spend, reward : ndarrays of shape (n_queries,)
        What the policy spends and earns.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    figures : dict
        "spend" and "reward" of the former, and "gain", "gain_low", "gain_high" of the
        policy over it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.command_line.report.fixed import stopped, surpassed
    >>> tried = stopped(np.ones((9, 2)), np.ones((9, 2)))
    >>> figures = surpassed(tried, np.full(9, 0.5), np.ones(9), random_state=0)
    >>> figures["reward"], figures["gain_low"]
    (0.5, 0.5)
    """
    _, fixed = mixed({"the same for all": played}, spend.mean())
    figures = compare(spend, reward, fixed, random_state=random_state)
    return {
        "spend": float(fixed.spend.mean()),
        "reward": float(fixed.reward.mean()),
        **{name: figures[name] for name in ("gain", "gain_low", "gain_high")},
    }
