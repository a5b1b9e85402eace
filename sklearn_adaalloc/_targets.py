"""What a regressor predicts about a query, and how that becomes marginal rewards.

A target is a few small steps on arrays; regressors know nothing else about it:

==================  ===========================================================
``labels``          reward table -> what the training loss compares with
``values``          reward table -> what a plain least-squares regressor fits
``decode``          raw outputs of a net -> prediction
``repair_values``   values of a plain regressor -> prediction
``native``          prediction -> what ``predict`` returns
``marginals``       prediction -> marginal rewards (n_queries, max_budget)
==================  ===========================================================

A prediction is an array (n_queries, n_outputs) that may be averaged over several nets.
A new target is one more class with these methods, entered in `TARGETS`.
"""

import numpy as np
from scipy.special import expit, logit, softmax, xlog1py, xlogy

from sklearn_adaalloc._curves import (
    concave_repair,
    marginal_rewards,
    mixture_marginals,
    preferences,
    rate_marginals,
    success_rates,
)
from sklearn_adaalloc._improvement import normal_maxima
from sklearn_adaalloc._parameters import check_choice
from sklearn_adaalloc._validation import (
    check_rates,
    check_rewards,
    has_one_value_per_query,
    is_binary,
)

_SMALLEST = 1e-6  # keeps logits and logarithms finite


class SuccessRate:
    """The success rate λ of 0/1 rewards, learnt by cross-entropy (Eq. 7).

    Parameters
    ----------
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    max_budget : int, default=None
        Not used: a rate gives curves of any length.
    """

    name = "success_rate"
    loss = "cross_entropy"
    binary = True
    rates = None

    def __init__(self, *, empty_reward=0.0, max_budget=None):
        self.empty_reward = empty_reward
        self.max_budget = max_budget

    def labels(self, rewards):
        """Observed success rates, (n_queries, 1)."""
        return success_rates(rewards)[:, None]

    values = labels

    def initial_outputs(self, labels):
        """Outputs of the average predictor, (1,)."""
        return logit(np.clip(labels.mean(axis=0), _SMALLEST, 1 - _SMALLEST))

    def decode(self, outputs):
        """Logits -> rates."""
        return expit(outputs)

    def repair_values(self, values):
        """Least squares may leave [0, 1]: take the nearest rate."""
        return np.clip(values, 0, 1)

    def native(self, prediction):
        """Rates, (n_queries,)."""
        return prediction[:, 0]

    def marginals(self, prediction, max_budget, min_budget=0):
        """λ(1−λ)^(b−1), (n_queries, max_budget)."""
        marginals = rate_marginals(prediction[:, 0], max_budget)
        marginals[:, 0] -= self.empty_reward
        return concave_repair(marginals, min_budget=min_budget)


class RateDistribution:
    """A distribution over success rates, learnt by its binomial mixture likelihood.

    The prediction is one weight per rate of a fixed grid that holds 0 and 1, even in
    logit between. The loss is −log Σ_g w_g λ_g^k (1−λ_g)^(m−k) for k successes in m.

    Parameters
    ----------
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    max_budget : int, default=None
        Not used: a distribution over rates gives curves of any length.
    """

    name = "rate_distribution"
    loss = "mixture_likelihood"
    binary = True
    rates = np.concatenate([[0.0], expit(np.linspace(-5, 5, 31)), [1.0]])

    def __init__(self, *, empty_reward=0.0, max_budget=None):
        self.empty_reward = empty_reward
        self.max_budget = max_budget

    def labels(self, rewards):
        """Log likelihood of each rate, 0 at its largest, (n_queries, n_rates)."""
        successes = np.nansum(rewards, axis=1)[:, None]
        failures = np.isfinite(rewards).sum(axis=1)[:, None] - successes
        log_likelihood = xlogy(successes, self.rates) + xlog1py(failures, -self.rates)
        log_likelihood -= log_likelihood.max(axis=1, keepdims=True)
        return np.maximum(
            log_likelihood, -1e4
        )  # finite, and e^-10000 is 0 all the same

    def values(self, rewards):
        """Posterior weights under the weights of all queries, (n_queries, n_rates)."""
        likelihood = np.exp(self.labels(rewards))
        joint = likelihood * mixture_weights(likelihood)
        return joint / joint.sum(axis=1, keepdims=True)

    def initial_outputs(self, labels):
        """Outputs of the average predictor, (n_rates,)."""
        return np.log(mixture_weights(np.exp(labels)) + 1e-4)

    def decode(self, outputs):
        """Logits -> weights."""
        return softmax(outputs, axis=-1)

    def repair_values(self, values):
        """Least squares may leave the simplex: drop negative weights and rescale."""
        weights = np.maximum(values, 0)
        total = weights.sum(axis=1, keepdims=True)
        even = np.full_like(weights, 1 / weights.shape[1])
        return np.divide(weights, total, out=even, where=total > 0)

    def native(self, prediction):
        """Mean rates, (n_queries,)."""
        return prediction @ self.rates

    def marginals(self, prediction, max_budget, min_budget=0):
        """Σ_g w_g λ_g (1−λ_g)^(b−1), (n_queries, max_budget)."""
        marginals = mixture_marginals(prediction, self.rates, max_budget)
        marginals[:, 0] -= self.empty_reward
        return concave_repair(marginals, min_budget=min_budget)


def mixture_weights(likelihood, n_iterations=200):
    """Weights of the mixture that all queries share, by expectation-maximisation.

    Parameters
    ----------
    likelihood : ndarray of shape (n_queries, n_rates)
        Likelihood of each rate, up to a factor per query.
    n_iterations : int, default=200
        Steps; the likelihood rises at each.

    Returns
    -------
    weights : ndarray of shape (n_rates,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._targets import mixture_weights
    >>> mixture_weights(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])).round(2)
    array([0.33, 0.67])
    """
    weights = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(n_iterations):
        evidence = likelihood @ weights
        weights = weights * (likelihood.T @ (1 / evidence)) / len(likelihood)
    return weights


def extended_marginals(rewards, max_budget, *, empty_reward=0.0):
    """Marginal rewards of each further sample, also beyond the samples of a short row.

    As far as a row has samples, they tell its marginals without bias. That it has no
    more says nothing of what more would bring, so that its curve goes on as they
    suggest: for 0/1 rewards under the posterior over its success rate, given all rows;
    for others as the best of normal rewards of its own spread.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; routing has one step.
    max_budget : int
        Largest budget of one query.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.

    Returns
    -------
    marginals : ndarray of shape (n_queries, max_budget)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc._targets import extended_marginals
    >>> rewards = np.array([[0.0, 2.0, np.nan], [0.0, 1.0, 2.0]])
    >>> extended_marginals(rewards, 3).round(2)
    array([[1.  , 0.5 , 0.25],
           [1.  , 0.67, 0.33]])
    """
    marginals = marginal_rewards(rewards, max_budget, empty_reward=empty_reward)
    if rewards.ndim == 3:
        return marginals
    n_samples = np.isfinite(rewards).sum(axis=1)
    beyond = np.arange(max_budget) >= n_samples[:, None]
    short = beyond.any(axis=1)
    if not short.any():
        return marginals
    if is_binary(rewards):
        posterior = RateDistribution().values(rewards)[short]
        tails = mixture_marginals(posterior, RateDistribution.rates, max_budget)
    else:
        maxima = normal_maxima(max_budget)
        spreads = _own_spreads(marginals, n_samples, maxima)[short]
        tails = spreads[:, None] * np.diff(maxima, prepend=0.0)
    marginals[beyond] = tails[beyond[short]]
    return marginals


def _own_spreads(marginals, n_samples, maxima):
    """Spread of normal rewards whose curve is nearest to each row's, (n_queries,)."""
    inside = np.arange(1, marginals.shape[1]) < n_samples[:, None]
    grown = np.where(inside, np.cumsum(marginals[:, 1:], axis=1), 0.0)
    squares = inside @ maxima[1:] ** 2
    known = squares > 0
    spreads = np.divide(grown @ maxima[1:], squares, out=squares * 0, where=known)
    # One sample has no spread: it takes the mean of the others, if there are any.
    return np.where(known, spreads, spreads.sum() / max(np.count_nonzero(known), 1))


class MarginalRewards:
    """The marginal reward Δ_b of each step, learnt by squared error (Eq. 6).

    Parameters
    ----------
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    max_budget : int, default=None
        Number of steps; None for as many as the table has samples.
    """

    name = "marginal_rewards"
    loss = "squared_error"
    binary = False
    rates = None

    def __init__(self, *, empty_reward=0.0, max_budget=None):
        self.empty_reward = empty_reward
        self.max_budget = max_budget

    def labels(self, rewards):
        """Marginal rewards in units of their spread, (n_queries, max_budget)."""
        values = self.values(rewards)
        self.center_ = values.mean(axis=0)
        self.scale_ = np.sqrt(values.var(axis=0).mean()) or 1.0
        return (values - self.center_) / self.scale_

    def values(self, rewards):
        """Marginal rewards, extended where rows are short, (n_queries, max_budget)."""
        return extended_marginals(
            rewards,
            self.max_budget or rewards.shape[1],
            empty_reward=self.empty_reward,
        )

    def initial_outputs(self, labels):
        """Outputs of the average predictor, (max_budget,)."""
        return labels.mean(axis=0)

    def decode(self, outputs):
        """Standardised steps -> marginal rewards."""
        return outputs * self.scale_ + self.center_

    def repair_values(self, values):
        """Any real number may be a marginal reward."""
        return values

    def native(self, prediction):
        """Marginal rewards as predicted, (n_queries, max_budget)."""
        return prediction

    def marginals(self, prediction, max_budget, min_budget=0):
        """Marginal rewards, repaired beyond `min_budget`, (n_queries, max_budget)."""
        if max_budget > prediction.shape[1]:
            raise ValueError(
                f"max_budget={max_budget!r} is above the {prediction.shape[1]} steps "
                "that the regressor was fitted for. Fit it with a larger max_budget "
                "or ask for at most that many."
            )
        return concave_repair(prediction[:, :max_budget], min_budget=min_budget)


class Preference:
    """The preference p(strong ≻ weak), learnt by cross-entropy (Eq. 7 and 8).

    Its one step is worth p − 1/2: routing to the strong decoder pays where it is more
    likely than not to be preferred.

    Parameters
    ----------
    empty_reward, max_budget
        Not used: there is always an answer, and one step.
    """

    name = "preference"
    loss = "cross_entropy"
    binary = False
    rates = None

    def __init__(self, *, empty_reward=0.0, max_budget=None):
        self.empty_reward = empty_reward
        self.max_budget = max_budget

    def labels(self, rewards):
        """Observed preferences, (n_queries, 1)."""
        return preferences(rewards)[:, None]

    values = labels
    initial_outputs = SuccessRate.initial_outputs
    decode = SuccessRate.decode
    repair_values = SuccessRate.repair_values
    native = SuccessRate.native

    def marginals(self, prediction, max_budget, min_budget=0):
        """p − 1/2, (n_queries, 1)."""
        if max_budget != 1:
            raise ValueError(
                f"max_budget={max_budget!r} is not accepted for routing. Expected 1: a "
                "query goes to the weak decoder (0) or to the strong one (1)."
            )
        return prediction - 0.5


TARGETS = {
    target.name: target
    for target in (RateDistribution, SuccessRate, MarginalRewards, Preference)
}


def check_target(target):
    """Check the name of a target.

    Parameters
    ----------
    target : {"auto", "rate_distribution", "success_rate", "marginal_rewards", \
            "preference"}
        Name received.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there is no such target.
    """
    return check_choice(target, "target", ["auto", *TARGETS])


def resolve_target(
    target, y, *, n_queries, binary_target="rate_distribution", **options
):
    """Turn a name and a reward table into a target and a checked table.

    Parameters
    ----------
    target : str
        Name, see :func:`check_target`. "auto" reads the table: 0/1 rewards ->
        `binary_target`, real-valued -> marginal_rewards, three axes -> preference.
    y : array-like
        Reward table, or success rates (n_queries,) for target="success_rate".
    n_queries : int
        Number of queries the table must have.
    binary_target : str, default="rate_distribution"
        What "auto" takes for 0/1 rewards.
    **options
        `empty_reward` and `max_budget` of the target.

    Returns
    -------
    target : object
        Instance of one of `TARGETS`.
    rewards : ndarray
        The checked table.

    Raises
    ------
    ValueError
        If the table is not one (see :func:`check_rewards`) or does not fit the target.
    """
    rewards = check_rewards(y, n_queries=n_queries)
    if check_target(target) == "auto":
        if rewards.ndim == 3:
            target = "preference"
        else:
            target = binary_target if is_binary(rewards) else "marginal_rewards"
    if (rewards.ndim == 3) != (target == "preference"):
        raise ValueError(
            f"target={target!r} does not fit rewards of shape {rewards.shape}. Routing "
            "tables (n_queries, 2, n_samples) go with target='preference' alone."
        )
    if target == "success_rate" and has_one_value_per_query(y):
        check_rates(rewards[:, 0])
    elif TARGETS[target].binary:
        check_rewards(rewards, binary=True)
    return TARGETS[target](**options), rewards
