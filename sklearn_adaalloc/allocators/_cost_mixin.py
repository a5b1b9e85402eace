"""What samples cost, for allocators whose budget counts that."""

import warnings

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from sklearn_adaalloc._utils.numbers import check_numbers

ROUTING_IN_COST = (
    "unit='cost' is not accepted for routing. Expected unit='samples': the budget is "
    "the share of queries for the strong decoder."
)
_ENOUGH = 20  # samples of a decoder from which one can be told to be unusual


class CostMixin:
    """The part of `RegressorAllocator` that learns and predicts costs.

    It needs ``_new_cost_regressor()``, which returns an unfitted regressor.
    """

    def _predict_costs(self, X):
        """Cost of samples, in the unit of `budget`; None means that each costs 1.

        One number per query (n_queries,) or per sample (n_queries, max_budget). With
        several decoders, one per decoder (n_queries, n_decoders).
        """
        if self.unit == "samples":
            return None
        if not hasattr(self, "cost_regressor_"):
            raise ValueError(
                f"unit={self.unit!r} was set after fit, which learnt no costs. "
                "Expected unit='samples'. Fit again to count costs."
            )
        n_queries = _num_samples(X)
        if self._n_decoders:
            predicted = [each.predict(X) for each in self.cost_regressor_]
            return np.column_stack(
                [self._check_costs(costs, n_queries) for costs in predicted]
            )
        return self._check_costs(self.cost_regressor_.predict(X), n_queries)

    def _check_costs(self, costs, n_queries):
        """Check what a regressor predicts as costs."""
        costs = check_numbers(costs, "costs", "one cost per query")
        if costs.shape != (n_queries,) or not (costs > 0).all():
            raise ValueError(
                f"cost_regressor={self.cost_regressor!r} predicts costs of shape "
                f"{costs.shape} from {costs.min():g} on. Expected one positive number "
                "per query."
            )
        return costs

    def _fit_costs(self, X, table):
        """Learn what samples cost, if the budget counts that."""
        vars(self).pop("cost_regressor_", None)  # remove that of an earlier fit
        if self.unit == "samples":
            return
        if self._n_axes == 3 and not self._n_decoders:
            raise ValueError(ROUTING_IN_COST)
        costs = self._costs_of(table)
        if self._n_decoders:
            self.cost_regressor_ = [
                self._fit_decoder_costs(X, each) for each in costs.swapaxes(0, 1)
            ]
        else:
            self.cost_regressor_ = self._new_cost_regressor().fit(X, costs)

    def _costs_of(self, table):
        """Costs of a RewardTable if the budget counts them, otherwise None."""
        return None if self.unit == "samples" else costs_of(table)

    def _fit_decoder_costs(self, X, costs):
        """Regressor of the costs of one decoder, from the queries that it answered."""
        rows = np.flatnonzero(np.isfinite(costs).any(axis=1))
        X = X.tocsr() if issparse(X) else X  # some sparse formats cannot select rows
        return self._new_cost_regressor().fit(_safe_indexing(X, rows), costs[rows])


def costs_of(table):
    """Costs of a RewardTable; raise if it has none."""
    if table.costs is None:
        raise ValueError(
            "unit='cost' needs the costs of samples, and rewards has none. Expected "
            "RewardTable(rewards, costs=...)."
        )
    return table.costs


def warn_of_one_cost(costs, names=None):
    """Warn if one sample cost more than all others of its decoder together.

    Parameters
    ----------
    costs : ndarray of shape (n_queries, n_samples) or \
            (n_queries, n_decoders, n_samples)
        Costs of samples; NaN where there is none.
    names : list of n_decoders str, default=None
        Names of the decoders; None for numbers.

    Warns
    -----
    UserWarning
        If there are enough samples to tell.
    """
    each = costs[:, None] if costs.ndim == 2 else costs
    for decoder, own in enumerate(each.swapaxes(0, 1)):
        n_samples = np.count_nonzero(np.isfinite(own))
        row, sample = np.unravel_index(np.nanargmax(own), own.shape)
        highest, total = own[row, sample], np.nansum(own)
        if n_samples < _ENOUGH or highest <= total - highest:
            continue
        whose = f" for decoder {names[decoder] if names else decoder}"
        warnings.warn(
            f"costs has {highest:g} in row {row}{whose if costs.ndim == 3 else ''}, "
            f"more than the other {n_samples - 1} samples cost together "
            f"({total - highest:g}). Mean costs are predicted, so this sample makes "
            "all look dear, and little or nothing may be bought. If it is a mistake, "
            "correct it, or set the reward of the sample to NaN.",
            UserWarning,
            stacklevel=2,
        )
