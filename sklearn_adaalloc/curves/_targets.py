"""The targets that there are, and how one is chosen for a table.

What a target is: :mod:`sklearn_adaalloc.curves._target`.
"""

from inspect import isabstract

import numpy as np
from scipy.special import expit, logit

from sklearn_adaalloc._utils.rewards import (
    check_rates,
    check_rewards,
    has_decoders,
    has_one_value_per_query,
    is_binary,
)
from sklearn_adaalloc.curves._decoders import preferences
from sklearn_adaalloc.curves._menu_targets import NormalRewards, RateProfiles
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
from sklearn_adaalloc.curves._reward_curves import extended_marginals, marginal_rewards
from sklearn_adaalloc.curves._selection import resolve_selection
from sklearn_adaalloc.curves._table import as_table
from sklearn_adaalloc.curves._target import MixtureTarget, Target

_SMALLEST = 1e-6  # keeps logits and logarithms finite


class SuccessRate(Target):
    """The success rate λ of 0/1 rewards, learnt by cross-entropy (Eq. 7).

    A rate gives curves of any length. Assumes that the samples of a query are
    independent given its predicted rate.

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
        """Clip to [0, 1], because least squares can predict values outside."""
        return np.clip(values, 0, 1)

    def marginals(self, prediction, max_budget, min_budget=0):
        """λ(1−λ)^(b−1), (n_queries, max_budget)."""
        marginals = rate_marginals(prediction[:, 0], max_budget)
        marginals[:, 0] -= self.empty_reward
        return concave_repair(marginals, min_budget=min_budget)


class RateDistribution(MixtureTarget):
    """A distribution over success rates, learnt by its binomial mixture likelihood.

    The prediction holds one weight per rate of a fixed grid. The grid contains 0 and 1
    and is even in logit between them. With k successes in m samples, the loss is
    −log Σ_g w_g λ_g^k (1−λ_g)^(m−k). A distribution gives curves of any length. Assumes
    that the samples of a query are independent given its rate.

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
    rates = RATES

    def labels(self, rewards):
        """Log likelihoods (n_queries, n_rates); the largest of each row is 0."""
        return log_likelihoods(rewards)

    def values(self, rewards):
        """Posterior weights (n_queries, n_rates); the prior is that of all queries."""
        return posterior_weights(rewards)

    def initial_outputs(self, labels):
        """Outputs of the average predictor, (n_rates,)."""
        return np.log(mixture_weights(np.exp(labels)) + 1e-4)

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

    The number of steps is fixed in `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._targets import MarginalRewards
    >>> MarginalRewards().values(np.array([[0.0, 1.0]]))
    array([[0.5, 0.5]])
    """

    name = "marginal_rewards"
    takes_table = True

    def values(self, rewards):
        """Observed marginal rewards, estimated where rows are short."""
        return extended_marginals(
            rewards,
            self.max_budget or rewards.shape[1],
            empty_reward=self.empty_reward,
            selection=self.selection,
        )

    def native(self, prediction):
        """Predicted marginal rewards, not repaired, (n_queries, max_budget)."""
        return prediction

    def observed(self, rewards, native):
        """Observed marginal rewards, without estimates, (n_queries, max_budget)."""
        return marginal_rewards(
            rewards,
            native.shape[1],
            empty_reward=self.empty_reward,
            selection=self.selection,
        )

    def marginals(self, prediction, max_budget, min_budget=0):
        """Marginal rewards (n_queries, max_budget), repaired after `min_budget`."""
        if max_budget > prediction.shape[1]:
            raise ValueError(
                f"max_budget={max_budget!r} is above the {prediction.shape[1]} steps "
                "that the regressor was fitted for. Fit it with a larger max_budget "
                "or ask for at most that many."
            )
        return concave_repair(prediction[:, :max_budget], min_budget=min_budget)


class Preference(Target):
    """The preference p(strong ≻ weak), learnt by cross-entropy (Eq. 7 and 8).

    The marginal reward of its one step is p − 1/2. The strong decoder is therefore
    worth calling if it is preferred with probability above 1/2.

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

    def count_steps(self, rewards):
        """One: a query goes to the weak or to the strong decoder."""
        return 1

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
    for target in (
        RateDistribution,
        SuccessRate,
        MarginalRewards,
        Preference,
        RateProfiles,
        NormalRewards,
    )
}


def resolve_target(
    target, y, *, n_queries, binary_target="rate_distribution", **options
):
    """Return a target and a checked table, from a name and a reward table.

    Parameters
    ----------
    target : str or class derived from Target
        "auto" or a name in `TARGETS`. "auto" depends on the table: two decoders ->
        preference; more -> rate_profiles for 0/1 rewards, or else normal_rewards; 0/1
        rewards of one -> `binary_target`, if the selection follows rates; otherwise
        marginal_rewards.
    y : array-like
        Reward table, or success rates (n_queries,) for target="success_rate".
    n_queries : int
        Number of queries that the table must have.
    binary_target : str, default="rate_distribution"
        Target of "auto" for 0/1 rewards.
    **options
        `empty_reward`, `max_budget` and `selection` of the target.

    Returns
    -------
    target : Target
    rewards : ndarray or RewardTable
        The checked table, as the target takes it.

    Raises
    ------
    ValueError
        If `y` is not a reward table (see :func:`check_rewards`) or does not fit the
        target.
    """
    table = as_table(y, n_queries=n_queries, n_decoders=None)
    rewards = table.rewards
    rule = resolve_selection(options.get("selection", "reward"))
    kind = _target_class(target, rewards, binary_target, rule)
    if has_decoders(rewards) != kind.routing:
        raise ValueError(
            f"target={target!r} does not fit rewards of shape {rewards.shape}. Tables "
            "with an axis of decoders need target='preference', for two of them, "
            "'rate_profiles' or 'normal_rewards', and other tables need another "
            "target. Use target='auto' to choose by the table."
        )
    if kind is RateProfiles and not (rule.follows_rates and is_binary(rewards)):
        raise ValueError(
            f"target='rate_profiles' needs rewards of 0 and 1 and selection='reward', "
            f"not selection={options.get('selection', 'reward')!r} and rewards from "
            f"{np.nanmin(rewards):g} to {np.nanmax(rewards):g}. Use 'normal_rewards' "
            "for such rewards, or decide what counts as right, as in rewards > 0.5."
        )
    if kind is NormalRewards and not rule.follows_rates:
        raise ValueError(
            f"target={target!r} does not fit selection={options['selection']!r}: over "
            "several decoders, the answer with the best reward is chosen. Expected "
            "selection='reward'."
        )
    if kind is Preference:
        check_rewards(rewards)  # two decoders, and samples of both
    if kind in (SuccessRate, RateDistribution) and not rule.follows_rates:
        raise ValueError(
            f"target={target!r} does not fit selection={options['selection']!r}: the "
            "reward of the chosen answer does not follow from a success rate. Expected "
            "target='marginal_rewards' or 'auto'."
        )
    if kind is SuccessRate and has_one_value_per_query(y):
        check_rates(rewards[:, 0])
    elif kind.binary:
        check_rewards(rewards, binary=True, n_decoders=None)
    return kind(**options), table if kind.takes_table else rewards


def menu_target(rewards):
    """Target of "auto" where each of several decoders gets a budget of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._targets import menu_target
    >>> menu_target(np.array([[[0.0], [0.5]]])).name
    'normal_rewards'
    """
    return RateProfiles if is_binary(rewards) else NormalRewards


def _target_class(target, rewards, binary_target, rule):
    """Return the class that `target` is or names; "auto" depends on the table."""
    if isinstance(target, type) and issubclass(target, Target):
        if isabstract(target):
            raise ValueError(
                f"target={target.__name__} lacks {sorted(target.__abstractmethods__)}. "
                "Expected a class derived from sklearn_adaalloc.curves.Target that has "
                "the methods values and marginals."
            )
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
        return Preference if rewards.shape[1] == 2 else menu_target(rewards)
    rates = rule.follows_rates and is_binary(rewards)
    return TARGETS[binary_target if rates else "marginal_rewards"]
