"""Base class of allocators that decide for each query alone, by a calibrated rule."""

from abc import abstractmethod
from math import ceil

import numpy as np
from scipy.sparse import issparse
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_adaalloc._utils.numbers import check_numbers
from sklearn_adaalloc._utils.parameters import (
    PROPER_SHARE,
    check_in_interval,
)
from sklearn_adaalloc._utils.rewards import check_marginals
from sklearn_adaalloc.allocators._coins import query_coins, separate_coins
from sklearn_adaalloc.allocators._drift import compare_with_calibration
from sklearn_adaalloc.allocators._regressor_allocator import RegressorAllocator


class CalibratedAllocator(RegressorAllocator):
    """Base class of allocators with a rule that is calibrated on held-out queries.

    Besides the parameters of `RegressorAllocator`, a subclass has `holdout`. It
    implements three methods. ``_calibrate(predicted, rewards)`` stores
    `calibration_scores_` and all that a rule is computed from. ``_solve(budget,
    min_budget, max_budget)`` returns the rule: a dict with the `share` of tied steps
    that are given out. ``_follow(scores, coins, costs)`` applies the rule. Scores are
    the first columns of the predicted marginals, as many as the rule uses.
    """

    _parameter_constraints = {
        "holdout": PROPER_SHARE,
        "unit": [StrOptions({"samples", "cost"})],
    }
    # Defaults for policies that were pickled by earlier versions.
    _solved, _coin_seed, _calibration_coins = None, 0, None
    # Mean cost of a sample of each calibration query; None if the unit is samples.
    _predicted_costs, _observed_costs = None, None

    def drift_report(self, X=None, *, scores=None, alpha=0.01):
        """Compare new queries with those that the rule was calibrated on.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts, \
                default=None
            Queries, as for `predict`.
        scores : array-like of shape (n_queries,) or (n_queries, max_budget), \
                default=None
            Used instead of `X`: marginal rewards that `predict_marginals` returned for
            these queries. For `BinnedAllocator`, the first column is enough.
        alpha : float, default=0.01
            Significance level of the test: the rate of false alarms.

        Returns
        -------
        report : DriftReport
            Realised and promised mean budget, and a two-sample test on the scores. If
            the budget counts costs, these are sums of predicted costs.
            ``print(report)`` shows a summary in words.

        Raises
        ------
        ValueError
            If not exactly one of `X` and `scores` is given, or if there are fewer than
            two queries. Also if `scores` are given although the budget counts costs, or
            several decoders have budgets of their own.

        Notes
        -----
        If decoders have budgets of their own, the scores are the predicted success
        rates of each decoder, and the report is on the decoder whose scores differ most
        significantly. The significance level is still that of the whole report.

        The test detects a change of the queries. It cannot detect a change of the
        answers, for example after a new model or a new verifier. For that, graded
        queries are needed. In both cases the rule can be calibrated again without
        training: use ``FrozenEstimator(allocator.regressor_)`` as the regressor of a
        new allocator, and fit that on newly graded queries.
        """
        check_is_fitted(self)
        alpha = check_in_interval(alpha, "alpha", 0, 1)
        if (X is None) == (scores is None):
            given = "neither" if X is None else "both"
            raise ValueError(
                f"X and scores: {given} given. Expected one of them. Give queries as "
                "X, or marginal rewards that were predicted for them as scores."
            )
        if self._n_decoders:
            return self._menu_drift_report(X, alpha)
        promised = self._calibration_budgets()
        if scores is None:
            scores = self._check_scores(self.predict_marginals(X))
            costs = self._predict_costs(X)
            budgets = self._follow(scores, self._coins(X), costs)
            if costs is not None:
                budgets, promised = budgets * costs, promised * self._predicted_costs
        elif self.unit == "cost":
            raise ValueError(
                "scores are not accepted with unit='cost': they hold no costs of "
                "samples. Give queries as X."
            )
        else:
            scores = self._check_scores(scores)
            budgets = self._allocate(scores)
        return compare_with_calibration(
            calibration_scores=self.calibration_scores_[:, 0],
            scores=scores[:, 0],
            calibration_budgets=promised,
            budgets=budgets,
            budget=float(self.budget),
            alpha=alpha,
        )

    def _menu_drift_report(self, X, alpha):
        """Compare predicted success rates of each decoder, and predicted costs."""
        if X is None:
            raise ValueError(
                f"scores are not accepted: this {type(self).__name__} was fitted on "
                f"{self._n_decoders} decoders, and the scores of each one alone do not "
                "decide on their budgets. Give queries as X."
            )
        scores, costs = self._predict_scores(X), self._predict_costs(X)
        known = self._open_menu(self.calibration_scores_, self._predicted_costs)
        new = self._open_menu(scores, costs)
        budgets = self._decide_by(X, scores, costs)
        return compare_with_calibration(
            calibration_scores=known.known.scores,
            scores=new.known.scores,
            calibration_budgets=(self._calibration_budgets() * known.costs).sum(axis=1),
            budgets=(budgets * new.costs).sum(axis=1),
            budget=float(self.budget),
            alpha=alpha,
        )

    @property
    def realised_budget_(self):
        """Mean budget of the calibration queries."""
        check_is_fitted(self)
        budgets = self._calibration_budgets()
        if self.unit == "cost":
            budgets = budgets * self._observed_costs
        return float(budgets.sum() / len(budgets))

    def _calibration_budgets(self):
        costs = self._predicted_costs
        return self._follow(self.calibration_scores_, self._own_coins(), costs)

    def _own_coins(self):
        """Return the coins of the calibration queries (n_calibration,)."""
        if self._calibration_coins is not None:
            return self._calibration_coins
        return separate_coins(np.zeros(len(self.calibration_scores_)))

    def _decide_by(self, X, scores, costs):
        return self._follow(scores, self._coins(X), costs)

    def _allocate(self, scores, costs=None):
        # Without the queries, coins cannot depend on content: they depend on position.
        return self._follow(scores, separate_coins(np.zeros(len(scores))), costs)

    def _in_blocks(self):
        """None: each query is decided alone, unless its place in the batch counts."""
        if self._rule()["by_place"]:
            raise ValueError(
                f"policy ends in {self!r}, whose tied calibration queries are mostly "
                "identical. It tells identical queries apart by their position in the "
                "batch, and blocks of a data set know none. Expected an "
                "AdaptiveAllocator, or queries with features that differ."
            )

    def _coins(self, X):
        """Return the coins of queries (n_queries,), or zeros if there are no ties."""
        tied = self._rule()["share"] > 0
        return query_coins(X, self._coin_seed) if tied else np.zeros(_num_samples(X))

    def _fit(self, X, table):
        X = X.tocsr() if issparse(X) else X  # some sparse formats cannot select rows
        training, calibration = split_rows(self, len(table))
        super()._fit(_safe_indexing(X, training), table[training])
        queries = _safe_indexing(X, calibration)
        # Without a seed, coins are the same in every fit: no random number is drawn.
        seeded = self.random_state is not None
        draw = check_random_state(self.random_state).randint
        self._coin_seed = int(draw(2**31 - 1)) if seeded else 0
        self._calibration_coins = query_coins(queries, self._coin_seed)
        self._predicted_costs = self._predict_costs(queries)
        self._observed_costs = self._mean_costs(table[calibration])
        self._calibrate(self._predict_scores(queries), table[calibration])
        self._solved = None
        self._rule()

    def _rule(self):
        """Return the rule for the current parameters; solve again if they changed."""
        parameters = self._check_budget()
        if self._solved is None or self._solved[0] != parameters:
            self._solved = parameters, self._solve(*parameters)
        return self._solved[1]

    def _mean_costs(self, table):
        """Observed mean cost of a sample; the predicted one where there is none."""
        if self.unit == "samples":
            return None
        unknown = np.isnan(table.costs).all(axis=-1)
        costs = np.where(
            unknown[..., None], self._predicted_costs[..., None], table.costs
        )
        return np.nanmean(costs, axis=-1)

    @abstractmethod
    def _calibrate(self, predicted, table):
        """Store all that rules need from marginals (n_queries, max_budget), table."""

    @abstractmethod
    def _solve(self, budget, min_budget, max_budget):
        """Return a rule (dict) that spends the budget on the calibration queries."""

    @abstractmethod
    def _follow(self, scores, coins, costs=None):
        """Return the budgets (n_queries,) that the current rule gives."""

    def _check_scores(self, scores):
        """Check that scores have all columns that the rule uses."""
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
        """Raise if `max_budget` was raised after `fit`; lowering it is allowed."""
        if max_budget > n_steps:
            raise ValueError(
                f"max_budget={max_budget!r} is above the {n_steps} steps that this "
                f"{type(self).__name__} was calibrated for. Fit again with that "
                "max_budget."
            )


def split_rows(policy, n_queries):
    """Rows for training and rows for calibration; if frozen, all rows for both.

    Parameters
    ----------
    policy : RegressorAllocator
        Has `regressor`, `holdout` and `random_state`.
    n_queries : int
        Number of rows.

    Returns
    -------
    training, calibration : ndarrays of int

    Raises
    ------
    ValueError
        If no row is left for training.
    """
    rows = np.arange(n_queries)
    if isinstance(policy.regressor, FrozenEstimator):
        return rows, rows
    n_held_out = ceil(policy.holdout * n_queries)
    if n_held_out == n_queries:
        raise ValueError(
            f"holdout={policy.holdout!r} keeps all queries (n_samples={n_queries}) "
            "from the regressor, so that none is left to fit it. Lower holdout, or "
            "give more queries."
        )
    random_state = check_random_state(policy.random_state)
    return train_test_split(rows, test_size=n_held_out, random_state=random_state)
