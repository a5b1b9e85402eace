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


def compare(own, other, *, random_state):
    """Compare two policies on the same queries.

    Parameters
    ----------
    own, other : ndarrays of shape (n_queries,)
        Rewards at the same mean spend.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    figures : dict
        "reward", "low", "high" of the first, and "gain", "gain_low", "gain_high" over
        the second.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.command_line.report.intervals import compare
    >>> compare(np.ones(9), np.zeros(9), random_state=0)["gain_low"]
    1.0
    """
    low, high = mean_interval(own, CONFIDENCE, N_BOOTSTRAP, random_state)
    gain = difference_from_gains(
        own - other,
        confidence=CONFIDENCE,
        n_bootstrap=N_BOOTSTRAP,
        random_state=random_state,
    )
    return {
        "reward": float(own.mean()),
        "low": low,
        "high": high,
        "gain": gain.difference,
        "gain_low": gain.low,
        "gain_high": gain.high,
    }


def share_saved(played, spend, reward, *, from_nothing, random_state):
    """The share of a spend with which a policy earns as much as equal budgets.

    Between the budgets at which it was played, spend and reward are linear; the curves
    are concave, so this errs on the side of less saved.

    Parameters
    ----------
    played : Played
        The policy at several budgets.
    spend, reward : ndarrays of shape (n_queries,)
        What equal budgets spend and earn.
    from_nothing : bool
        Whether a query may get no answer, and then earns 0.
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
    >>> from sklearn_adaalloc.command_line.report.intervals import Played, share_saved
    >>> ones = np.ones((1, 9))
    >>> played = Played(np.array([1.0]), ones, ones)
    >>> equal = np.full(9, 4.0), np.ones(9)
    >>> figures = share_saved(played, *equal, from_nothing=True, random_state=0)
    >>> figures["saved"], figures["saved_spend"]
    (0.75, 1.0)
    """
    n_queries = len(spend)
    arrays = np.vstack([played.spend, played.reward, spend, reward])
    saved, needed = _saved_of_means(arrays.mean(axis=1)[None], from_nothing)
    rng = np.random.default_rng(random_state)
    resampled = []
    for start in range(0, N_BOOTSTRAP, _AT_ONCE):
        n_draws = min(_AT_ONCE, N_BOOTSTRAP - start)
        weights = rng.multinomial(n_queries, np.full(n_queries, 1 / n_queries), n_draws)
        means = weights @ arrays.T / n_queries
        resampled.append(_saved_of_means(means, from_nothing)[0])
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


def _saved_of_means(means, from_nothing):
    """Share saved and spend needed (n_draws,) of means (n_draws, 2 n_points + 2)."""
    n_points = (means.shape[1] - 2) // 2
    start = [[0.0]] * from_nothing
    needed = []
    for row in means:
        curve = BudgetCurve(
            np.concatenate([*start, row[:n_points]]),
            np.concatenate([*start, row[n_points:-2]]),
        )
        needed.append(first_crossing(curve, row[-1]))
    needed = np.array(needed)
    return 1 - needed / means[:, -2], needed
