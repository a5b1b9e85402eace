"""One experiment, written once: predictions and budgets.

Predictors see training queries. Offline bins are cut and calibrated on validation
queries. All that is reported comes from test queries. With several folds, the test
queries of all folds are reported together.
"""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch, _safe_indexing

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    HiddenStateFeaturizer,
    LoRARewardRegressor,
    MLPRewardRegressor,
)
from sklearn_adaalloc.datasets import variance_tranches
from sklearn_adaalloc.metrics import oracle_budgets


class GivenMarginals(BaseEstimator):
    """Hand on marginals that were predicted before: the features are the prediction.

    So a language model predicts once, however many budgets and allocators follow.
    """

    def fit(self, X, y=None):
        """Learn nothing."""
        return self

    def predict_marginals(self, X, max_budget=None):
        """Return the features."""
        return X[:, :max_budget]

    def __sklearn_is_fitted__(self):
        return True


# --- predictions -----------------------------------------------------------------


def predict(setting, data, seed=0):
    """Predictions by target: `native` and `marginals`, NaN in rows never predicted."""
    X = data.X
    if X is None and setting.predictor == "mlp":
        featurizer = HiddenStateFeaturizer(data.model, **data.model_options)
        X = featurizer.fit_transform(data.queries)
    X = data.queries if X is None else X
    n_queries, n_steps = len(data.rewards), steps(data.rewards)
    predictions = {}
    for target in setting.targets:
        marginals = np.full((n_queries, n_steps), np.nan)
        native = marginals.copy() if setting.kind == "chat" else marginals[:, 0].copy()
        for train, validation, test in data.folds:
            regressor = new_regressor(setting, data, target, seed)
            regressor.fit(_safe_indexing(X, train), data.rewards[train])
            rows = np.concatenate([validation, test])
            held_out = _safe_indexing(X, rows)
            given = regressor.predict_marginals(held_out, max_budget=n_steps)
            # Validation rows of one fold are test rows of another: kept apart.
            marginals[test] = given[len(validation) :]
            native[test] = regressor.predict(_safe_indexing(X, test))
            predictions.setdefault("validation", {}).setdefault(target, []).append(
                given[: len(validation)]
            )
        predictions[target] = Bunch(native=native, marginals=marginals)
    return predictions


def new_regressor(setting, data, target, seed):
    """The paper's kind of predictor, with the package's defaults."""
    if setting.predictor == "mlp":
        return MLPRewardRegressor(target, random_state=seed)
    return LoRARewardRegressor(
        data.model, target, random_state=seed, **data.model_options
    )


def steps(rewards):
    """Largest budget of one query that the table supports."""
    return 1 if rewards.ndim == 3 else rewards.shape[1]


def restrict_to_tranches(data):
    """Keep the test queries of lowest and of highest reward variance."""
    ((train, validation, test),) = data.folds
    chosen = np.sort(np.concatenate(variance_tranches(data.rewards[test])))
    return Bunch(**data | {"folds": [(train, validation, test[chosen])]})


# --- budgets ---------------------------------------------------------------------


def all_budgets(setting, data, predictions):
    """Budgets of the test queries: method -> (n_budgets, n_test)."""
    grid = budget_grid(setting, data)
    tables = {}
    for fold, (_, validation, test) in enumerate(data.folds):
        for target in setting.targets:
            suffix = ", plug-in" if target == "success_rate" else ""
            options = {"min_budget": setting.min_budget}
            known = (
                predictions["validation"][target][fold],
                data.rewards[validation],
            )
            for name, new in (
                ("online", AdaptiveAllocator),
                ("offline", BinnedAllocator),
            ):
                policy = new(
                    FrozenEstimator(GivenMarginals()), budget=grid[-1], **options
                )
                policy.fit(*known)
                marginals = predictions[target].marginals[test]
                tables.setdefault(name + suffix, []).append(
                    [policy.set_params(budget=b).predict(marginals) for b in grid]
                )
        tables.setdefault("oracle", []).append(
            [oracle_budgets(data.rewards[test], b, **options) for b in grid]
        )
    return {name: np.hstack(folds) for name, folds in tables.items()}


def budget_grid(setting, data):
    """Mean budgets that the setting and its table allow."""
    least, most = setting.min_budget, steps(data.rewards)
    return [b for b in setting.grid if least <= b <= most]


def test_rewards(data):
    """Reward table of the test queries, fold after fold."""
    return data.rewards[test_rows(data)]


def test_rows(data):
    """Rows of the test queries, fold after fold."""
    return np.concatenate([test for _, _, test in data.folds])
