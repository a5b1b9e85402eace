"""Reward tables with known truth, for tests, examples and first steps."""

import math

import numpy as np
from scipy.special import expit
from sklearn.utils import Bunch, check_random_state

from sklearn_adaalloc._utils.parameters import (
    check_choice,
    check_in_interval,
    check_whole,
)


def make_reward_table(
    n_queries=1000,
    n_samples=64,
    *,
    profile="math",
    n_features=16,
    noise=0.5,
    random_state=None,
    return_X_y=False,
):
    """Make features and a reward table with known truth.

    Each query has one or two hidden numbers, which define its difficulty. Rewards are
    drawn at random, given these numbers. Features are random sigmoid units of the
    hidden numbers plus Gaussian noise. So a regressor can learn much of the truth, but
    never all of it.

    Parameters
    ----------
    n_queries : int, default=1000
        Number of queries.
    n_samples : int, default=64
        Number of graded answers of each query (and decoder).
    profile : {"math", "code", "chat", "routing"}, default="math"
        Kind of task:

        - "math": 0/1 rewards; success rates from 0 to 1, most of them near the ends;
        - "code": 0/1 rewards; 40 % of the queries have a rate of exactly 0;
        - "chat": real-valued Gaussian rewards; queries differ in mean and in spread;
        - "routing": 0/1 rewards of two decoders, the weak one better on about a fifth
          of the queries.
    n_features : int, default=16
        Number of features.
    noise : float, default=0.5
        Standard deviation of the noise on the hidden numbers, which have a standard
        deviation of 1.
    random_state : int, RandomState instance or None, default=None
        Seed of all random numbers.
    return_X_y : bool, default=False
        Whether to return ``(data, rewards)`` only.

    Returns
    -------
    table : :class:`~sklearn.utils.Bunch`
        data : ndarray of shape (n_queries, n_features)
            Features.
        rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
            Reward table, three axes for "routing".
        rates : ndarray of shape (n_queries,) or (n_queries, 2)
            True success rates, except for "chat". Two columns for "routing", weak
            first.
        means, scales : ndarrays of shape (n_queries,)
            True mean and standard deviation of the rewards, only for "chat".
        DESCR : str
            Description of the table.

    Raises
    ------
    ValueError
        If a parameter is not accepted.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> table = make_reward_table(profile="code", random_state=0)
    >>> table.data.shape, table.rewards.shape
    ((1000, 16), (1000, 64))
    >>> float((table.rates == 0).mean())
    0.4
    """
    n_queries = check_whole(n_queries, "n_queries", least=1)
    n_samples = check_whole(n_samples, "n_samples", least=1)
    n_features = check_whole(n_features, "n_features", least=1)
    noise = check_in_interval(noise, "noise", 0, math.inf, closed="left")
    make, description = _PROFILES[check_choice(profile, "profile", _PROFILES)]
    rng = check_random_state(random_state)
    hidden = rng.standard_normal((n_queries, 2))
    truth, rewards = make(hidden, n_samples, rng)
    data = _features(hidden, n_features, noise, rng)
    if return_X_y:
        return data, rewards
    return Bunch(data=data, rewards=rewards, **truth, DESCR=description)


def _features(hidden, n_features, noise, rng):
    """Random sigmoid units of the hidden numbers plus noise."""
    seen = hidden + noise * rng.standard_normal(hidden.shape)
    weights = rng.standard_normal((hidden.shape[1], n_features))
    return np.tanh(seen @ weights + rng.standard_normal(n_features))


def _make_math(hidden, n_samples, rng):
    rates = expit(3.2 * hidden[:, 0] - 0.7)
    return {"rates": rates}, _grade(rates, n_samples, rng)


def _make_code(hidden, n_samples, rng):
    rates = expit(2.2 * hidden[:, 0] - 1.1)
    n_hopeless = math.ceil(0.4 * len(rates))
    rates[np.argsort(hidden[:, 1])[:n_hopeless]] = 0.0
    return {"rates": rates}, _grade(rates, n_samples, rng)


def _make_chat(hidden, n_samples, rng):
    means = hidden[:, 0]
    scales = np.exp(0.6 * hidden[:, 1] - 0.3)
    draws = rng.standard_normal((len(means), n_samples))
    rewards = means[:, None] + scales[:, None] * draws
    return {"means": means, "scales": scales}, rewards


def _make_routing(hidden, n_samples, rng):
    weak = 2.0 * hidden[:, 0] - 0.5
    strong = weak + 1.5 * hidden[:, 1] + 1.2
    rates = expit(np.column_stack([weak, strong]))
    return {"rates": rates}, _grade(rates, n_samples, rng)


def _grade(rates, n_samples, rng):
    """0/1 rewards, with one more axis than `rates`."""
    draws = rng.random_sample((*rates.shape, n_samples))
    return (draws < rates[..., None]).astype(np.float64)


_PROFILES = {
    "math": (
        _make_math,
        "0/1 rewards of one decoder. The logit of a query's success rate is Gaussian "
        "with mean -0.7 and standard deviation 3.2, so that rates spread over (0, 1).",
    ),
    "code": (
        _make_code,
        "0/1 rewards of one decoder. 40 % of the queries have a success rate of "
        "exactly 0; the logit of the others is Gaussian with mean -1.1 and standard "
        "deviation 2.2. Hopelessness and difficulty are independent hidden numbers.",
    ),
    "chat": (
        _make_chat,
        "Real-valued rewards of one decoder, Gaussian for each query. Means are "
        "standard Gaussian; the logarithm of the standard deviation is Gaussian with "
        "mean -0.3 and standard deviation 0.6. Wide queries gain from more samples.",
    ),
    "routing": (
        _make_routing,
        "0/1 rewards of two decoders, weak first. The logit of the weak one's success "
        "rate is Gaussian with mean -0.5 and standard deviation 2; the strong one's "
        "differs from it by a Gaussian with mean 1.2 and standard deviation 1.5.",
    ),
}
