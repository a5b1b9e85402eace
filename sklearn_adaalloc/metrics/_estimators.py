"""Ask a fitted estimator, or the end of a pipeline, for what Displays draw."""

from inspect import signature

import numpy as np

from sklearn_adaalloc._utils.estimators import unwrap
from sklearn_adaalloc._utils.rewards import check_rewards, has_decoders, is_binary
from sklearn_adaalloc.curves._decoders import count_table_steps


def predict_marginals(estimator, X, rewards, max_budget=None):
    """Ask a fitted estimator, or the end of a pipeline, for marginal rewards.

    Allocators fix max_budget themselves; reward regressors are told it.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator with ``predict_marginals``, or a pipeline or fitted search
        around one.
    X : array-like of shape (n_queries, ...)
        Queries in a form that the estimator accepts.
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table of the same queries.
    max_budget : int, default=None
        Steps to ask a regressor for; None takes n_samples, and 1 in routing.

    Returns
    -------
    marginals : ndarray of shape (n_queries, max_budget)

    Raises
    ------
    ValueError
        If the estimator has no ``predict_marginals``.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._estimators import predict_marginals
    >>> class Hopeful:
    ...     def predict_marginals(self, X):
    ...         return [[0.9] for _ in X]
    >>> predict_marginals(Hopeful(), ["1+1="], [[1]])
    [[0.9]]
    """
    # scikit-learn's pipelines hand on only the methods that scikit-learn knows.
    before, estimator = unwrap(estimator)
    for steps in before:
        X = steps.transform(X)
    method = getattr(estimator, "predict_marginals", None)
    if method is None:
        raise ValueError(
            f"estimator={estimator!r} has no predict_marginals. Give a fitted "
            "allocator or reward regressor, or use from_predictions."
        )
    if "max_budget" not in signature(method).parameters:
        return method(X)
    if max_budget is None:
        max_budget = count_table_steps(check_rewards(rewards))
    return method(X, max_budget=max_budget)


def policy_name(estimator):
    """Name of an estimator's class, in a pipeline or search of the one inside.

    Parameters
    ----------
    estimator : estimator
        Estimator to name.

    Returns
    -------
    str

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc.metrics._estimators import policy_name
    >>> policy_name(Ridge())
    'Ridge'
    """
    return type(unwrap(estimator)[1]).__name__


def predict_first_step(estimator, X, rewards):
    """Ask an estimator for the first marginal reward, in routing for the preference.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator with ``predict_marginals``, or a pipeline or fitted search
        around one.
    X : array-like of shape (n_queries, ...)
        Queries in a form that the estimator accepts.
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table of the same queries.

    Returns
    -------
    pred : ndarray of shape (n_queries, 1), in routing (n_queries,)

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._estimators import predict_first_step
    >>> class Hopeful:
    ...     def predict_marginals(self, X):
    ...         return [[0.4, 0.1] for _ in X]
    >>> predict_first_step(Hopeful(), ["1+1="], [[1]])
    array([[0.4]])
    """
    marginals = np.asarray(predict_marginals(estimator, X, rewards, max_budget=1))
    if has_decoders(rewards):
        return marginals[:, 0] + 0.5  # the one step of routing is worth p - 1/2
    return marginals[:, :1]


def predicted_quantity(rewards):
    """Say what one number per query stands for.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Checked reward table.

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.metrics._estimators import predicted_quantity
    >>> predicted_quantity(np.array([[0.0, 1.0]]))
    'success rate'
    """
    if has_decoders(rewards):
        return "preference for strong"
    return "success rate" if is_binary(rewards) else "mean reward"
