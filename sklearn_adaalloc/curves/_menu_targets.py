"""Targets on tables of several decoders that have budgets of their own."""

import numpy as np

from sklearn_adaalloc.curves._normal import normal_maxima
from sklearn_adaalloc.curves._normal_means import (
    count_rewards,
    fit_normal_means,
    posterior_means,
)
from sklearn_adaalloc.curves._profiles import (
    choose_profiles,
    count_verdicts,
    posterior_shares,
    profile_log_likelihoods,
)
from sklearn_adaalloc.curves._rates import mixture_marginals
from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.curves._target import MixtureTarget, Target

_LEAST_LIKELIHOOD = -1e4  # logarithm; its exponential is 0


class RateProfiles(MixtureTarget):
    """Weights of rate profiles, for 0/1 rewards of several decoders.

    A profile holds a success rate of each decoder. The profiles are learnt, see
    :mod:`sklearn_adaalloc.curves._profiles`. The prediction holds one weight per
    profile, and the loss is the likelihood of the mixture. Assumes that all samples of
    a query are independent given its profile.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._menu_targets import RateProfiles
    >>> target = RateProfiles()
    >>> target.learn(np.array([[[1.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]] * 9))
    >>> target.profiles.round(1)
    array([[0.1, 0.9],
           [0.9, 0.1]])
    """

    name = "rate_profiles"
    routing = True

    def learn(self, rewards):
        """Learn the profiles and their mean weights."""
        self.profiles, self.mean_weights_ = choose_profiles(*count_verdicts(rewards))

    def labels(self, rewards):
        """Log likelihoods (n_queries, n_profiles); the largest of each row is 0."""
        likelihoods = profile_log_likelihoods(*count_verdicts(rewards), self.profiles)
        return np.maximum(likelihoods, _LEAST_LIKELIHOOD)

    def values(self, rewards):
        """Posterior weights (n_queries, n_profiles); the prior is that of all."""
        counts = count_verdicts(rewards)
        return posterior_shares(*counts, self.profiles, self.mean_weights_)

    def initial_outputs(self, labels):
        """Outputs of the average predictor, (n_profiles,)."""
        return np.log(self.mean_weights_ + 1e-4)

    def native(self, prediction):
        """Mean rates, (n_queries, n_decoders)."""
        return prediction @ self.profiles

    def observed(self, rewards, native):
        """Observed success rates, (n_queries, n_decoders); NaN without a sample."""
        right, wrong = count_verdicts(rewards)
        rates = np.full(right.shape, np.nan)
        return np.divide(right, right + wrong, out=rates, where=right + wrong > 0)

    def marginals(self, prediction, max_budget, min_budget=0):
        """Marginals of each decoder alone, (n_queries, n_decoders, max_budget)."""
        marginals = np.stack(
            [
                mixture_marginals(prediction, rates, max_budget)
                for rates in self.profiles.T
            ],
            axis=1,
        )
        marginals[..., 0] -= self.empty_reward
        return marginals


class NormalRewards(Target):
    """Mean rewards of several decoders, for real-valued rewards.

    The prediction is the mean reward of each decoder, learnt by squared error. Around
    it, the means of a query are normal and correlated, see
    :mod:`sklearn_adaalloc.curves._normal_means`. Their covariance is learnt from
    queries that predictions did not learn from. Assumes that all samples of a query are
    independent given these means, and normal.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._menu_targets import NormalRewards
    >>> target, rewards = NormalRewards(), np.array([[[1.0, 3.0], [5.0, np.nan]]] * 2)
    >>> target.learn(rewards)
    >>> target.values(rewards)
    array([[2., 5.],
           [2., 5.]])
    """

    name = "normal_rewards"
    routing = True
    needs_residuals = True

    def learn(self, rewards):
        """Learn what replaces the means of decoders that did not answer."""
        self.lowest, self.highest = float(np.nanmin(rewards)), float(np.nanmax(rewards))
        counts, means, squares = count_rewards(rewards)
        self._centre = means.sum(axis=0) / np.maximum((counts > 0).sum(axis=0), 1)
        shifts = np.where(counts > 0, means - self._centre, 0.0)
        self._around = fit_normal_means(counts, shifts, squares)

    def learn_residuals(self, rewards, predictions):
        """Learn covariance and deviations around predictions (n_queries, n_decoders).

        Rows of NaN are queries without such a prediction.
        """
        rows = np.isfinite(predictions).all(axis=1)
        counts, means, squares = count_rewards(rewards[rows])
        shifts = np.where(counts > 0, means - predictions[rows], 0.0)
        self.covariance, variances = fit_normal_means(counts, shifts, squares)
        self.deviations = np.sqrt(variances)

    def values(self, rewards):
        """Mean rewards (n_queries, n_decoders); expected ones where none was given."""
        counts, means, _ = count_rewards(rewards)
        centre = np.broadcast_to(self._centre, means.shape)
        expected, _ = posterior_means(centre, *self._around, counts, means)
        return np.where(counts > 0, means, expected)

    def repair_values(self, values):
        """Clip to the rewards seen, because least squares can predict others."""
        return np.clip(values, self.lowest, self.highest)

    def observed(self, rewards, native):
        """Observed mean rewards, (n_queries, n_decoders); NaN without a sample."""
        counts, means, _ = count_rewards(rewards)
        return np.where(counts > 0, means, np.nan)

    def marginals(self, prediction, max_budget, min_budget=0):
        """Marginals of each decoder alone, (n_queries, n_decoders, max_budget)."""
        growth = np.diff(normal_maxima(max_budget)) * self.deviations[:, None]
        growth = np.broadcast_to(growth, (*prediction.shape, max_budget - 1))
        first = prediction[..., None] - self.empty_reward
        marginals = np.concatenate([first, growth], axis=2)
        rows = marginals.reshape(-1, max_budget)
        return concave_repair(rows, min_budget=min_budget).reshape(marginals.shape)
