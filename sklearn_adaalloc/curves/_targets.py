"""What a regressor predicts about a query, and how that becomes marginal rewards.

A target is a few small steps on arrays; regressors know nothing else about it:

===================  ==========================================================
``labels``           reward table -> what the training loss compares with
``values``           reward table -> what a plain least-squares regressor fits
``initial_outputs``  labels -> outputs of the average predictor
``decode``           raw outputs of a net -> prediction
``repair_values``    values of a plain regressor -> prediction
``native``           prediction -> what ``predict`` returns
``observed``         reward table -> what ``predict`` should have returned
``marginals``        prediction -> marginal rewards (n_queries, max_budget)
===================  ==========================================================

A prediction is an array (n_queries, n_outputs) that may be averaged over several nets.
A new target is a class derived from `Target`; regressors take it as ``target=``.
"""

import numpy as np
from scipy.special import expit, logit, softmax

from sklearn_adaalloc._utils.rewards import (
    check_rates,
    check_rewards,
    has_decoders,
    has_one_value_per_query,
    is_binary,
)
from sklearn_adaalloc.curves._decoders import preferences
from sklearn_adaalloc.curves._rates import (
    RATES,
    log_likelihoods,
    mixture_marginals,
    mixture_weights,
    posterior_weights,
    rate_marginals,
    success_rates,
)
from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.curves._selection import (
    extended_marginals,
    marginal_rewards,
    resolve_selection,
)

_SMALLEST = 1e-6  # keeps logits and logarithms finite


class Target:
    """Base class of targets: what a regressor predicts about a query.

    A target needs the methods `values` and `marginals`. The others have defaults for
    real numbers that are learnt by squared error.

    Parameters
    ----------
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    max_budget : int, default=None
        Number of steps that curves must have; None for as many as the table has
        samples.
    selection : {"reward"} or Selection, default="reward"
        How an answer is chosen among the samples of a query.

    Attributes
    ----------
    name : str
        What `target_` of a fitted regressor says.
    loss : {"squared_error", "cross_entropy", "mixture_likelihood"}
        What training minimises.
    score_loss : {"squared_error", "cross_entropy"}
        What `score` compares `native` predictions with `observed` values by.
    binary : bool
        Whether rewards must be 0 or 1.
    routing : bool
        Whether it reads tables with an axis of decoders, and only those.
    rates : ndarray or None
        Grid of a distribution over success rates.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves import Target, concave_repair
    >>> class BestOfTwo(Target):
    ...     def values(self, rewards):
    ...         return rewards[:, :2].max(axis=1, keepdims=True)
    ...     def marginals(self, prediction, max_budget, min_budget=0):
    ...         return np.repeat(prediction / max_budget, max_budget, axis=1)
    >>> BestOfTwo().native(BestOfTwo().values(np.array([[0.0, 3.0]])))
    array([3.])
    """

    name = None
    loss = "squared_error"
    score_loss = "squared_error"
    binary = False
    routing = False
    rates = None
    selection = "reward"  # of targets that were pickled before there was a choice

    def __init__(self, *, empty_reward=0.0, max_budget=None, selection="reward"):
        self.empty_reward = empty_reward
        self.max_budget = max_budget
        self.selection = selection

    def values(self, rewards):
        """What a plain least-squares regressor fits.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Checked reward table.

        Returns
        -------
        values : ndarray of shape (n_queries, n_outputs)
        """
        raise NotImplementedError

    def marginals(self, prediction, max_budget, min_budget=0):
        """Marginal rewards that follow from a prediction.

        Parameters
        ----------
        prediction : ndarray of shape (n_queries, n_outputs)
            What `decode` or `repair_values` returned.
        max_budget : int
            Number of steps.
        min_budget : int, default=0
            Number of steps that are taken in any case. Beyond them rows must not
            increase.

        Returns
        -------
        marginals : ndarray of shape (n_queries, max_budget)
        """
        raise NotImplementedError

    def labels(self, rewards):
        """What the training loss compares outputs with: standardised values.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Checked reward table.

        Returns
        -------
        labels : ndarray of shape (n_queries, n_outputs)
            Values in units of their common standard deviation, about their means.
        """
        values = self.values(rewards)
        self.center_ = values.mean(axis=0)
        self.scale_ = np.sqrt(values.var(axis=0).mean()) or 1.0
        return (values - self.center_) / self.scale_

    def initial_outputs(self, labels):
        """Outputs of the average predictor, where training starts.

        Parameters
        ----------
        labels : ndarray of shape (n_queries, n_outputs)
            What `labels` returned.

        Returns
        -------
        outputs : ndarray of shape (n_outputs,)
        """
        return labels.mean(axis=0)

    def decode(self, outputs):
        """Turn raw outputs of a net into a prediction.

        Parameters
        ----------
        outputs : ndarray of shape (n_queries, n_outputs)
            What the net returned.

        Returns
        -------
        prediction : ndarray of shape (n_queries, n_outputs)
        """
        return outputs * self.scale_ + self.center_

    def repair_values(self, values):
        """Turn what a plain regressor returned into a prediction.

        Parameters
        ----------
        values : ndarray of shape (n_queries, n_outputs)
            What the regressor returned; any real numbers.

        Returns
        -------
        prediction : ndarray of shape (n_queries, n_outputs)
            By default as they are.
        """
        return values

    def native(self, prediction):
        """What `predict` returns.

        Parameters
        ----------
        prediction : ndarray of shape (n_queries, n_outputs)
            What `decode` or `repair_values` returned.

        Returns
        -------
        native : ndarray of shape (n_queries,) or (n_queries, n_values)
            By default the prediction, as one number per query where it has one.
        """
        return prediction[:, 0] if prediction.shape[1] == 1 else prediction

    def observed(self, rewards, native):
        """What `predict` should have returned, for `score`.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Checked reward table.
        native : ndarray of shape (n_queries,) or (n_queries, n_values)
            What `predict` returned.

        Returns
        -------
        observed : ndarray of the shape of `native`
        """
        return self.native(self.values(rewards))


class SuccessRate(Target):
    """The success rate λ of 0/1 rewards, learnt by cross-entropy (Eq. 7).

    A rate gives curves of any length.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._targets import SuccessRate
    >>> SuccessRate().marginals(np.array([[0.5]]), max_budget=3)
    array([[0.5  , 0.25 , 0.125]])
    """

    name = "success_rate"
    loss = "cross_entropy"
    score_loss = "cross_entropy"
    binary = True

    def values(self, rewards):
        """Observed success rates, (n_queries, 1)."""
        return success_rates(rewards)[:, None]

    labels = values

    def initial_outputs(self, labels):
        """Outputs of the average predictor, (1,)."""
        return logit(np.clip(labels.mean(axis=0), _SMALLEST, 1 - _SMALLEST))

    def decode(self, outputs):
        """Logits -> rates."""
        return expit(outputs)

    def repair_values(self, values):
        """Least squares may leave [0, 1]: take the nearest rate."""
        return np.clip(values, 0, 1)

    def marginals(self, prediction, max_budget, min_budget=0):
        """λ(1−λ)^(b−1), (n_queries, max_budget)."""
        marginals = rate_marginals(prediction[:, 0], max_budget)
        marginals[:, 0] -= self.empty_reward
        return concave_repair(marginals, min_budget=min_budget)


class RateDistribution(Target):
    """A distribution over success rates, learnt by its binomial mixture likelihood.

    The prediction is one weight per rate of a fixed grid that holds 0 and 1, even in
    logit between. The loss is −log Σ_g w_g λ_g^k (1−λ_g)^(m−k) for k successes in m.
    A distribution gives curves of any length.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._targets import RateDistribution
    >>> target = RateDistribution()
    >>> hopeless_or_sure = np.zeros((1, len(target.rates)))
    >>> hopeless_or_sure[0, [0, -1]] = 0.5
    >>> target.marginals(hopeless_or_sure, max_budget=2)
    array([[0.5, 0. ]])
    """

    name = "rate_distribution"
    loss = "mixture_likelihood"
    score_loss = "cross_entropy"
    binary = True
    rates = RATES

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

    def observed(self, rewards, native):
        """Observed success rates, (n_queries,)."""
        return success_rates(rewards)

    def marginals(self, prediction, max_budget, min_budget=0):
        """Σ_g w_g λ_g (1−λ_g)^(b−1), (n_queries, max_budget)."""
        marginals = mixture_marginals(prediction, self.rates, max_budget)
        marginals[:, 0] -= self.empty_reward
        return concave_repair(marginals, min_budget=min_budget)


class MarginalRewards(Target):
    """The marginal reward Δ_b of each step, learnt by squared error (Eq. 6).

    It has as many steps as it was fitted for, and no more.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._targets import MarginalRewards
    >>> MarginalRewards().values(np.array([[0.0, 1.0]]))
    array([[0.5, 0.5]])
    """

    name = "marginal_rewards"

    def values(self, rewards):
        """Marginal rewards, extended where rows are short, (n_queries, max_budget)."""
        return extended_marginals(
            rewards,
            self.max_budget or rewards.shape[1],
            empty_reward=self.empty_reward,
            selection=self.selection,
        )

    def native(self, prediction):
        """Marginal rewards as predicted, (n_queries, max_budget)."""
        return prediction

    def observed(self, rewards, native):
        """Observed marginal rewards, not extended, (n_queries, max_budget)."""
        return marginal_rewards(
            rewards,
            native.shape[1],
            empty_reward=self.empty_reward,
            selection=self.selection,
        )

    def marginals(self, prediction, max_budget, min_budget=0):
        """Marginal rewards, repaired beyond `min_budget`, (n_queries, max_budget)."""
        if max_budget > prediction.shape[1]:
            raise ValueError(
                f"max_budget={max_budget!r} is above the {prediction.shape[1]} steps "
                "that the regressor was fitted for. Fit it with a larger max_budget "
                "or ask for at most that many."
            )
        return concave_repair(prediction[:, :max_budget], min_budget=min_budget)


class Preference(Target):
    """The preference p(strong ≻ weak), learnt by cross-entropy (Eq. 7 and 8).

    Its one step is worth p − 1/2: routing to the strong decoder pays where it is more
    likely than not to be preferred.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._targets import Preference
    >>> Preference().marginals(np.array([[0.75]]), max_budget=1)
    array([[0.25]])
    """

    name = "preference"
    loss = "cross_entropy"
    score_loss = "cross_entropy"
    routing = True

    def values(self, rewards):
        """Observed preferences, (n_queries, 1)."""
        return preferences(rewards)[:, None]

    labels = values
    initial_outputs = SuccessRate.initial_outputs
    decode = SuccessRate.decode
    repair_values = SuccessRate.repair_values

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


def resolve_target(
    target, y, *, n_queries, binary_target="rate_distribution", **options
):
    """Turn a name and a reward table into a target and a checked table.

    Parameters
    ----------
    target : str or class derived from Target
        "auto" or a name in `TARGETS`. "auto" reads the table: 0/1 rewards ->
        `binary_target`, where the selection follows rates; other rewards ->
        marginal_rewards; an axis of decoders -> preference.
    y : array-like
        Reward table, or success rates (n_queries,) for target="success_rate".
    n_queries : int
        Number of queries the table must have.
    binary_target : str, default="rate_distribution"
        What "auto" takes for 0/1 rewards.
    **options
        `empty_reward`, `max_budget` and `selection` of the target.

    Returns
    -------
    target : Target
    rewards : ndarray
        The checked table.

    Raises
    ------
    ValueError
        If the table is not one (see :func:`check_rewards`) or does not fit the target.
    """
    rewards = check_rewards(y, n_queries=n_queries)
    rule = resolve_selection(options.get("selection", "reward"))
    kind = _target_class(target, rewards, binary_target, rule)
    if has_decoders(rewards) != kind.routing:
        raise ValueError(
            f"target={target!r} does not fit rewards of shape {rewards.shape}. Routing "
            "tables (n_queries, 2, n_samples) go with target='preference' alone."
        )
    if kind in (SuccessRate, RateDistribution) and not rule.follows_rates:
        raise ValueError(
            f"target={target!r} does not fit selection={options['selection']!r}: a "
            "success rate does not say how often the chosen answer is right. Expected "
            "'marginal_rewards' or 'auto'."
        )
    if kind is SuccessRate and has_one_value_per_query(y):
        check_rates(rewards[:, 0])
    elif kind.binary:
        check_rewards(rewards, binary=True)
    return kind(**options), rewards


def _target_class(target, rewards, binary_target, rule):
    """The class that a target names, is, or for "auto" that suits the table."""
    if isinstance(target, type) and issubclass(target, Target):
        return target
    if not isinstance(target, str) or target not in ("auto", *TARGETS):
        raise ValueError(
            f"target={target!r} is not accepted. Expected one of "
            f"{['auto', *TARGETS]}, or a class derived from "
            "sklearn_adaalloc.curves.Target."
        )
    if target != "auto":
        return TARGETS[target]
    if has_decoders(rewards):
        return Preference
    rates = rule.follows_rates and is_binary(rewards)
    return TARGETS[binary_target if rates else "marginal_rewards"]
