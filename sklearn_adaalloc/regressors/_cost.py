"""What one sample of a query will cost."""

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import RidgeCV
from sklearn.utils.validation import check_is_fitted

from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.numbers import is_plain_batch


class CostRegressor(RegressorMixin, DocumentationLinkMixin, BaseEstimator):
    """Predict the mean cost of a query's samples: ridge regression on its logarithm.

    Costs such as tokens differ by factors, so it is their logarithms that are linear in
    the features. The mean of costs is larger than the exponential of a mean logarithm;
    one factor for all queries makes up for that, so that predicted and observed costs
    have the same mean (Duan's smearing estimate). No prediction leaves the range of the
    costs seen in `fit`.

    Parameters
    ----------
    alphas : sequence of float, default=(0.1, 1.0, 10.0, 100.0, 1000.0)
        Strengths of the penalty to choose from, by leave-one-out error.

    Attributes
    ----------
    regressor_ : RidgeCV
        Fitted to logarithms of mean costs.
    factor_ : float
        What exponentials of predicted logarithms are multiplied by.
    range_ : tuple of float
        Least and largest mean cost seen.

    See Also
    --------
    AdaptiveAllocator : Takes one as `cost_regressor`.

    References
    ----------
    Duan, "Smearing Estimate: A Nonparametric Retransformation Method", JASA 1983.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.regressors import CostRegressor
    >>> X = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> costs = [[90, 110], [200, 200], [410, 390], [800, 800]]
    >>> CostRegressor(alphas=[1e-3]).fit(X, costs).predict(X).round(-1)
    array([100., 200., 400., 800.])
    """

    def __init__(self, alphas=(0.1, 1.0, 10.0, 100.0, 1000.0)):
        self.alphas = alphas

    def fit(self, X, y):
        """Learn from observed costs.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Features. Of texts, the number of characters counts.
        y : array-like of shape (n_queries, n_samples) or (n_queries,)
            Cost of each sample; NaN where there is none.

        Returns
        -------
        self : object
            The fitted regressor.
        """
        costs = np.asarray(y, dtype=np.float64)
        means = costs if costs.ndim == 1 else np.nanmean(costs, axis=1)
        features = _features(X)
        with np.errstate(invalid="ignore"):  # one query has no leave-one-out error
            self.regressor_ = RidgeCV(self.alphas).fit(features, np.log(means))
        self.range_ = float(means.min()), float(means.max())
        self.factor_ = 1.0
        self.factor_ = float(means.mean() / self.predict(X).mean())
        return self

    def predict(self, X):
        """Predict the mean cost of a sample.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Features, as in `fit`.

        Returns
        -------
        costs : ndarray of shape (n_queries,)
        """
        check_is_fitted(self)
        features, ridge = _features(X), self.regressor_
        if is_plain_batch(features, ridge.n_features_in_):
            logarithms = features @ ridge.coef_ + ridge.intercept_
        else:
            logarithms = ridge.predict(features)
        low, high = np.log(self.range_)
        return np.clip(
            self.factor_ * np.exp(np.clip(logarithms, low, high)), *self.range_
        )


def _features(X):
    """Features as they are; of texts and chats, the logarithm of their lengths."""
    if issparse(X):
        return X
    values = np.asarray(X, dtype=object) if isinstance(X, list) else np.asarray(X)
    if values.ndim == 2 and values.dtype.kind in "biuf":
        return values
    try:
        return np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        return np.log1p([[len(str(query))] for query in X])
