"""What the Displays share: axes, styles, and asking an estimator for marginals."""

from inspect import signature

import numpy as np

from sklearn_adaalloc._optional import import_optional
from sklearn_adaalloc._policies import unwrap
from sklearn_adaalloc._validation import check_rewards, is_binary

UNIFORM_STYLE = {"color": "0.45", "linestyle": "--", "linewidth": 1.2}


def new_axes(ax):
    """Return `ax`, or the axes of a new figure.

    Parameters
    ----------
    ax : matplotlib Axes or None
        Axes that the user gave.

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._plotting import new_axes
    >>> ax = new_axes(None)
    >>> new_axes(ax) is ax
    True
    """
    pyplot = import_optional("matplotlib.pyplot", extra="plot")
    if ax is None:
        _, ax = pyplot.subplots(layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def spend_label(routing):
    """Label of an axis that shows mean spend.

    Parameters
    ----------
    routing : bool
        Whether spend is a share of calls.

    Returns
    -------
    str

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._plotting import spend_label
    >>> spend_label(False)
    'mean budget (samples per query)'
    """
    if routing:
        return "mean budget (share of queries sent to the strong decoder)"
    return "mean budget (samples per query)"


def thin(n_points, at_most=1000):
    """Pick indices of evenly spread points, both ends among them.

    More points on one line only slow the renderer down.

    Parameters
    ----------
    n_points : int
        Number of points there are.
    at_most : int, default=1000
        Number of points to keep.

    Returns
    -------
    indices : ndarray of shape (n_kept,)

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._plotting import thin
    >>> thin(9, at_most=3)
    array([0, 4, 8])
    """
    return np.linspace(0, n_points - 1, min(n_points, at_most)).round().astype(np.intp)


def predict_marginals(estimator, X, rewards, max_budget=None):
    """Ask a fitted estimator, or the end of a pipeline, for marginal rewards.

    Allocators fix max_budget themselves; reward regressors are told it.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator with ``predict_marginals``, or a pipeline or fitted search
        around one.
    X : array-like of shape (n_queries, ...)
        Queries as the estimator takes them.
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
    >>> from sklearn_adaalloc.metrics._plotting import predict_marginals
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
        rewards = check_rewards(rewards)
        max_budget = 1 if rewards.ndim == 3 else rewards.shape[1]
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
    >>> from sklearn_adaalloc.metrics._plotting import policy_name
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
        Queries as the estimator takes them.
    rewards : array-like of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table of the same queries.

    Returns
    -------
    pred : ndarray of shape (n_queries, 1), in routing (n_queries,)

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._plotting import predict_first_step
    >>> class Hopeful:
    ...     def predict_marginals(self, X):
    ...         return [[0.4, 0.1] for _ in X]
    >>> predict_first_step(Hopeful(), ["1+1="], [[1]])
    array([[0.4]])
    """
    marginals = np.asarray(predict_marginals(estimator, X, rewards, max_budget=1))
    if np.ndim(rewards) == 3:
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
    >>> from sklearn_adaalloc.metrics._plotting import predicted_quantity
    >>> predicted_quantity(np.array([[0.0, 1.0]]))
    'success rate'
    """
    if rewards.ndim == 3:
        return "preference for strong"
    return "success rate" if is_binary(rewards) else "mean reward"
