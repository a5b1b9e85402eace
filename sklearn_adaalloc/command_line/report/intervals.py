"""What a policy gains and saves against equal budgets, with intervals over queries."""

from typing import NamedTuple

import numpy as np

from sklearn_adaalloc.metrics._bootstrap import difference_from_gains, mean_interval
from sklearn_adaalloc.metrics._policy_curves import BudgetCurve, first_crossing

N_BOOTSTRAP = 1000
CONFIDENCE = 0.95
_AT_ONCE = 50  # resamples whose weights are in memory at once


class Played(NamedTuple):
    """What each query cost and earned at each budget.

    Parameters
    ----------
    budgets : ndarray of shape (n_points,)
        What was allowed.
    spend, reward : ndarrays of shape (n_points, n_queries)
        What was spent and earned.
    """

    budgets: np.ndarray
    spend: np.ndarray
    reward: np.ndarray

    def at(self, budget):
        """Spend and reward of each query at one of the budgets, each (n_queries,)."""
        place = int(np.argmin(np.abs(self.budgets - budget)))
        return self.spend[place], self.reward[place]

    def after(self, budget, spend, reward):
        """The same with a point before, in which no policy decides anything."""
        return Played(
            np.append(budget, self.budgets),
            np.vstack([spend, self.spend]),
            np.vstack([reward, self.reward]),
        )


class Fixed(NamedTuple):
    """What each query costs and earns without a policy, at some mean spend.

    Parameters
    ----------
    spend, reward : ndarrays of shape (n_queries,)
        What each query costs and earns.
    slope : float
        What a little more spend would earn.
    """

    spend: np.ndarray
    reward: np.ndarray
    slope: float


def compare(spend, reward, fixed, *, random_state):
    """Compare a policy with what needs none, at the same mean spend.

    Other queries would be harder or easier, and a policy would then spend more or less
    on them. In a resample, therefore, the policy is compared with what its spend there
    would earn without a policy.

    Parameters
    ----------
    spend, reward : ndarrays of shape (n_queries,)
        What the policy spends and earns.
    fixed : Fixed
        What needs none.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    figures : dict
        "reward", "low", "high" of the policy, and "gain", "gain_low", "gain_high" over
        what needs none.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.command_line.report.intervals import Fixed, compare
    >>> nothing = Fixed(np.ones(9), np.zeros(9), 0.5)
    >>> compare(np.ones(9), np.ones(9), nothing, random_state=0)["gain_low"]
    1.0
    """
    low, high = mean_interval(reward, CONFIDENCE, N_BOOTSTRAP, random_state)
    extra = spend - fixed.spend
    gain = difference_from_gains(
        reward - fixed.reward - fixed.slope * (extra - extra.mean()),
        confidence=CONFIDENCE,
        n_bootstrap=N_BOOTSTRAP,
        random_state=random_state,
    )
    return {
        "reward": float(reward.mean()),
        "low": low,
        "high": high,
        "gain": gain.difference,
        "gain_low": gain.low,
        "gain_high": gain.high,
    }


def share_saved(played, fixed, *, random_state):
    """The share of a spend with which a policy earns as much as equal budgets.

    Between the budgets at which it was played, spend and reward are linear; the curves
    are concave, so this errs on the side of less saved.

    Parameters
    ----------
    played : Played
        The policy at several budgets, from the least that is possible on.
    fixed : Fixed
        What equal budgets spend and earn.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    figures : dict
        "saved", "saved_low", "saved_high" and "saved_spend", the spend that suffices;
        None each where the policy was not played up to that reward.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.command_line.report.intervals import (
    ...     Fixed,
    ...     Played,
    ...     share_saved,
    ... )
    >>> ends = np.array([[0.0] * 9, [1.0] * 9])
    >>> equal = Fixed(np.full(9, 4.0), np.ones(9), 0.0)
    >>> figures = share_saved(Played(np.arange(2), ends, ends), equal, random_state=0)
    >>> figures["saved"], figures["saved_spend"]
    (0.75, 1.0)
    """
    n_queries = len(fixed.spend)
    arrays = np.vstack([played.spend, played.reward, fixed.spend, fixed.reward])
    saved, needed = _saved_of_means(arrays.mean(axis=1)[None])
    rng = np.random.default_rng(random_state)
    resampled = []
    for start in range(0, N_BOOTSTRAP, _AT_ONCE):
        n_draws = min(_AT_ONCE, N_BOOTSTRAP - start)
        weights = rng.multinomial(n_queries, np.full(n_queries, 1 / n_queries), n_draws)
        means = weights @ arrays.T / n_queries
        resampled.append(_saved_of_means(means)[0])
    # Where the reward is not reached, nothing is known to be saved.
    resampled = np.nan_to_num(np.concatenate(resampled), nan=-np.inf)
    ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    low, high = np.quantile(resampled, ends, method="nearest")
    figures = {
        "saved": saved[0],
        "saved_low": low,
        "saved_high": high,
        "saved_spend": needed[0],
    }
    return {
        name: float(value) if np.isfinite(value) else None
        for name, value in figures.items()
    }


def _saved_of_means(means):
    """Share saved and spend needed (n_draws,) of means (n_draws, 2 n_points + 2)."""
    n_points = (means.shape[1] - 2) // 2
    curves = (BudgetCurve(row[:n_points], row[n_points:-2]) for row in means)
    needed = np.array(list(map(first_crossing, curves, means[:, -1])))
    return 1 - needed / means[:, -2], needed
