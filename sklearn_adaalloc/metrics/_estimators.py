"""Get the predictions that Displays draw from a fitted estimator or pipeline."""

from inspect import signature

import numpy as np

from sklearn_adaalloc._utils.estimators import unwrap
from sklearn_adaalloc._utils.rewards import check_rewards, has_decoders, is_binary
from sklearn_adaalloc.curves._decoders import count_table_steps


def predict_marginals(estimator, X, rewards, max_budget=None):
    """Predict marginal rewards (n_queries, max_budget), also by a pipeline or search.

    An allocator has its own max_budget. A reward regressor gets `max_budget`; None
    means n_samples, or 1 in routing.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._estimators import predict_marginals
    >>> class Hopeful:
    ...     def predict_marginals(self, X):
    ...         return [[0.9] for _ in X]
    >>> predict_marginals(Hopeful(), ["1+1="], [[1]])
    [[0.9]]
    """
    # A pipeline of scikit-learn has no method predict_marginals: call its steps.
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


def predict_costs(estimator, X):
    """Predict the cost of a sample of each query (n_queries,); None if samples count.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._estimators import predict_costs
    >>> predict_costs(object(), [[0.0]]) is None
    True
    """
    before, estimator = unwrap(estimator)
    if getattr(estimator, "unit", "samples") == "samples":
        return None
    for steps in before:
        X = steps.transform(X)
    return estimator._predict_costs(X)


def policy_name(estimator):
    """Name of the estimator's class; of a pipeline or search, that of its estimator.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc.metrics._estimators import policy_name
    >>> policy_name(Ridge())
    'Ridge'
    """
    return type(unwrap(estimator)[1]).__name__


def shared_selection(estimators):
    """The rule by which all of some estimators choose an answer.

    Examples
    --------
    >>> from sklearn_adaalloc import AdaptiveAllocator
    >>> from sklearn_adaalloc.metrics._estimators import shared_selection
    >>> shared_selection({"votes": AdaptiveAllocator(selection="vote")})
    'vote'
    """
    rules = {
        name: getattr(unwrap(estimator)[1], "selection", "reward")
        for name, estimator in estimators.items()
    }
    first = next(iter(rules.values()), "reward")
    if any(rule != first for rule in rules.values()):
        raise ValueError(
            f"estimator has policies with different selection: {rules!r}. Expected one "
            "rule for all. Draw those of each rule on their own, or give selection=."
        )
    return first


def predict_first_step(estimator, X, rewards):
    """First marginal rewards (n_queries, 1); in routing, preferences (n_queries,).

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
        return marginals[:, 0] + 0.5  # the marginal reward in routing is p - 1/2
    return marginals[:, :1]


def predicted_quantity(rewards):
    """Name of what one predicted number per query means, from a checked table.

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
