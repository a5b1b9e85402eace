"""Helpers that unwrap pipelines, searches and frozen estimators."""

from contextlib import contextmanager

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def unwrap(policy):
    """Find the estimator that makes the decision, and the pipelines of steps before it.

    Parameters
    ----------
    policy : estimator
        An estimator, or pipelines, fitted searches and frozen estimators around it,
        nested in any order. Anything with a `best_estimator_` counts as a search.

    Returns
    -------
    before : list of Pipeline
        To be run one after the other. Empty if the estimator takes the queries
        directly.
    estimator : estimator
        The estimator inside.

    Raises
    ------
    NotFittedError
        If a search is not fitted.
    ValueError
        If a search kept no best estimator.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_adaalloc._utils.estimators import unwrap
    >>> before, estimator = unwrap(make_pipeline(StandardScaler(), Ridge()))
    >>> before, estimator
    ([Pipeline(steps=[('standardscaler', StandardScaler())])], Ridge())
    """
    before = []
    while True:
        if isinstance(policy, FrozenEstimator):
            policy = policy.estimator
        elif isinstance(policy, Pipeline):
            if len(policy.steps) > 1:
                before.append(policy[:-1])
            policy = policy.steps[-1][1]
        elif isinstance(policy, BaseSearchCV) or hasattr(policy, "best_estimator_"):
            policy = _best_estimator(policy)
        else:
            return before, policy


def transform_by(pipelines, X):
    """Transform queries by fitted pipelines, one after the other.

    A pipeline checks itself and asks for the tags of all its steps each time, which
    takes longer than a small step. Steps check themselves.

    Parameters
    ----------
    pipelines : list of Pipeline
        From :func:`unwrap`.
    X : array-like of n_queries
        Queries.

    Returns
    -------
    X : array-like of n_queries
        Output of the last step.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_adaalloc._utils.estimators import transform_by
    >>> steps = make_pipeline("passthrough", StandardScaler()).fit([[1.0], [3.0]])
    >>> transform_by([steps], [[2.0], [4.0]]).ravel().tolist()
    [0.0, 2.0]
    """
    for pipeline in pipelines:
        for _, step in pipeline.steps:
            if step is not None and step != "passthrough":
                X = step.transform(X)
    return X


def _best_estimator(search):
    check_is_fitted(search)
    if not hasattr(search, "best_estimator_"):
        raise ValueError(
            f"the search {search!r} has no best_estimator_. Expected one that was "
            "fitted with refit=True."
        )
    return search.best_estimator_


@contextmanager
def all_or_nothing(estimator):
    """Restore an estimator if its fit fails, at the start or half-way.

    Parameters
    ----------
    estimator : estimator
        Its `fit` must only set attributes. It must not change an attribute in place.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc._utils.estimators import all_or_nothing
    >>> model = Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
    >>> try:
    ...     with all_or_nothing(model):
    ...         model.coef_ = None
    ...         raise ValueError
    ... except ValueError:
    ...     print(model.coef_ is None)
    False
    """
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:  # an interrupt may also come half-way
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
