"""A belief about scores: what reward they promise is known, the reward is not."""

import numpy as np

from sklearn_adaalloc.curves._scores import expected_given_score
from sklearn_adaalloc.planning._beliefs import RewardBelief


class ScoreBelief(RewardBelief):
    """Belief about scores, by the rewards that they promise.

    No score is expected to promise more than the best score of the training table.
    Where higher scores promise no more, nothing is left to gain, and the query stops.

    Parameters
    ----------
    marginals, limits, **options
        As of :class:`RewardBelief`.
    promised : tuple of ndarrays
        From :func:`~sklearn_adaalloc.curves._scores.fit_score_rewards`.

    Attributes
    ----------
    best_scores : ndarray of shape (n_queries,)
        Highest score so far, or -inf without a sample.
    """

    def __init__(self, marginals, limits, promised, **options):
        super().__init__(marginals, limits, highest=promised[1].max(), **options)
        self._promised = promised
        self.best_scores = np.full(len(limits), -np.inf)

    def update(self, scores):
        """Add scores (n_queries, n_new), with NaN last."""
        super().update(expected_given_score(scores, self._promised))
        new = np.where(np.isnan(scores), -np.inf, scores).max(axis=1, initial=-np.inf)
        self.best_scores = np.maximum(self.best_scores, new)
