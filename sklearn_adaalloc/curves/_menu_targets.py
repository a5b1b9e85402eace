"""Targets on tables of several decoders that have budgets of their own."""

import numpy as np

from sklearn_adaalloc.curves._profiles import (
    choose_profiles,
    count_verdicts,
    posterior_shares,
    profile_log_likelihoods,
)
from sklearn_adaalloc.curves._rates import mixture_marginals
from sklearn_adaalloc.curves._target import MixtureTarget

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
