"""What allocators share that decide each query alone, by a rule set beforehand."""

from abc import abstractmethod

import numpy as np
from scipy.sparse import issparse
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_adaalloc._utils.numbers import check_numbers
from sklearn_adaalloc._utils.parameters import (
    PROPER_SHARE,
    check_in_interval,
    check_parameters,
)
from sklearn_adaalloc._utils.rewards import check_marginals
from sklearn_adaalloc.allocators._base import RegressorAllocator
from sklearn_adaalloc.allocators._coins import query_coins, separate_coins
from sklearn_adaalloc.allocators._drift import compare_with_calibration


class CalibratedAllocator(RegressorAllocator):
    """Base class of allocators with a rule that is calibrated on held-out queries.

    A subclass has the parameter `holdout` besides those of `RegressorAllocator`, the
    methods ``_calibrate(predicted, rewards)``, which keeps what rules are made of and
    `calibration_scores_`, ``_solve(budget, min_budget, max_budget)``, which makes one,
    a dict with a `share` of what is tied, and ``_follow(scores, coins)``. Scores are
    the leading columns of the predicted marginals that the rule looks at.
    """

    _parameter_constraints = {"holdout": PROPER_SHARE}
    # What policies of earlier versions lack.
    _solved, _coin_seed, _calibration_coins = None, 0, None

    def drift_report(self, X=None, *, scores=None, alpha=0.01):
        """Compare queries of today with those that the rule was calibrated on.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts, \
                default=None
            Queries, as `predict` takes them.
        scores : array-like of shape (n_queries,) or (n_queries, max_budget), \
                default=None
            Instead of `X`: their predicted marginal rewards, as `predict_marginals`
            gave them when they were served. Where bins decide, the first alone will do.
        alpha : float, default=0.01
            Rate of false alarms.

        Returns
        -------
        report : DriftReport
            Realised mean budget beside the promised one, and a two-sample test on the
            scores. ``print(report)`` says it in plain words.

        Raises
        ------
        ValueError
            If not exactly one of `X` and `scores` is given, or there are less than two
            queries.

        Notes
        -----
        This sees queries change, not answers: whether a score still means what it
        meant, after a new model or verifier say, only graded queries can tell. Either
        way, ``FrozenEstimator(allocator.regressor_)`` as the regressor of a new
        allocator, fitted on newly graded queries, calibrates it without training.
        """
        check_is_fitted(self)
        alpha = check_in_interval(alpha, "alpha", 0, 1)
        if (X is None) == (scores is None):
            given = "neither" if X is None else "both"
            raise ValueError(
                f"X and scores: {given} given. Expected one of them: queries, or the "
                "marginal rewards that were predicted for them."
            )
        if scores is None:
            scores = self._check_scores(self.predict_marginals(X))
            budgets = self._follow(scores, self._coins(X))
        else:
            scores = self._check_scores(scores)
            budgets = self._allocate(scores)
        return compare_with_calibration(
            calibration_scores=self.calibration_scores_[:, 0],
            scores=scores[:, 0],
            calibration_budgets=self._calibration_budgets(),
            budgets=budgets,
            budget=float(self.budget),
            alpha=alpha,
        )

    @property
    def realised_budget_(self):
        """Mean budget of the calibration queries."""
        check_is_fitted(self)
        return float(self._calibration_budgets().mean())

    def _calibration_budgets(self):
        return self._follow(self.calibration_scores_, self._own_coins())

    def _own_coins(self):
        """Coins of the calibration queries (n_calibration,)."""
        if self._calibration_coins is not None:
            return self._calibration_coins
        return separate_coins(np.zeros(len(self.calibration_scores_)))

    def _decide(self, X):
        return self._follow(self.predict_marginals(X), self._coins(X))

    def _allocate(self, scores, costs=None):
        # Without the queries, only their number says what ties will cost.
        return self._follow(scores, separate_coins(np.zeros(len(scores))))

    def _coins(self, X):
        """Coins of queries, where any are needed, (n_queries,)."""
        tied = self._rule()["share"] > 0
        return query_coins(X, self._coin_seed) if tied else np.zeros(_num_samples(X))

    def _fit(self, X, rewards):
        check_parameters(self)
        X = X.tocsr() if issparse(X) else X  # not every sparse format has rows
        training, calibration = self._split(len(rewards))
        super()._fit(_safe_indexing(X, training), rewards[training])
        queries = _safe_indexing(X, calibration)
        # Without a seed coins are the same each time: nothing is drawn for them.
        seeded = self.random_state is not None
        draw = check_random_state(self.random_state).randint
        self._coin_seed = int(draw(2**31 - 1)) if seeded else 0
        self._calibration_coins = query_coins(queries, self._coin_seed)
        self._calibrate(self._predict_marginals(queries), rewards[calibration])
        self._solved = None
        self._rule()

    def _rule(self):
        """The rule at the current parameters, solved anew when one has changed."""
        parameters = self._check_budget()
        if self._solved is None or self._solved[0] != parameters:
            self._solved = parameters, self._solve(*parameters)
        return self._solved[1]

    @abstractmethod
    def _calibrate(self, predicted, rewards):
        """Keep what rules need of marginals (n_queries, max_budget) and rewards."""

    @abstractmethod
    def _solve(self, budget, min_budget, max_budget):
        """The rule that spends a budget on the calibration queries, a dict."""

    @abstractmethod
    def _follow(self, scores, coins):
        """Budgets by the current rule (n_queries,)."""

    def _split(self, n_queries):
        """Rows for the regressor and for the rule; all for both if it is frozen."""
        rows = np.arange(n_queries)
        if isinstance(self.regressor, FrozenEstimator):
            return rows, rows
        random_state = check_random_state(self.random_state)
        return train_test_split(rows, test_size=self.holdout, random_state=random_state)

    def _check_scores(self, scores):
        """Scores with at least the columns that the rule looks at."""
        scores = check_numbers(scores, "scores", "one row, or one number, per query")
        scores = scores[:, None] if scores.ndim == 1 else scores
        scores = check_marginals(scores)
        n_columns = min(self._check_budget()[2], self.calibration_scores_.shape[1])
        if scores.shape[1] < n_columns:
            raise ValueError(
                f"scores has shape {scores.shape}. This {type(self).__name__} looks at "
                f"{n_columns} predicted marginal rewards of each query: give rows of "
                "predict_marginals."
            )
        return scores

    def _check_steps(self, max_budget, n_steps):
        """Refuse a `max_budget` that was raised after `fit`; it may be lowered."""
        if max_budget > n_steps:
            raise ValueError(
                f"max_budget={max_budget!r} is above the {n_steps} steps that this "
                f"{type(self).__name__} was calibrated for. Fit again with that "
                "max_budget."
            )
