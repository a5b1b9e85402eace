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
from scipy.special import expit, logit, softmax

from sklearn_adaalloc._curves import (
    concave_repair,
    mixture_marginals,
    preferences,
    rate_marginals,
    success_rates,
)
from sklearn_adaalloc._parameters import check_choice
from sklearn_adaalloc._rate_grid import (
    RATES,
    log_likelihoods,
    mixture_weights,
    posterior_weights,
)
from sklearn_adaalloc._short_rows import extended_marginals
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
    rates = RATES

    def __init__(self, *, empty_reward=0.0, max_budget=None):
        self.empty_reward = empty_reward
        self.max_budget = max_budget

    def labels(self, rewards):
        """Log likelihood of each rate, 0 at its largest, (n_queries, n_rates)."""
        return log_likelihoods(rewards)

    def values(self, rewards):
        """Posterior weights under the weights of all queries, (n_queries, n_rates)."""
        return posterior_weights(rewards)

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
