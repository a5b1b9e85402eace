"""Targets of one's own: classes derived from `sklearn_adaalloc.curves.Target`."""

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose
from rules import Deviation
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score

from sklearn_adaalloc import AdaptiveAllocator, MLPRewardRegressor, RewardRegressor
from sklearn_adaalloc.curves import Target
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.planning import allocate

X, REWARDS = make_reward_table(
    300, 8, n_features=4, profile="chat", random_state=0, return_X_y=True
)
DEVIATIONS = REWARDS.std(axis=1)
RIDGE = RewardRegressor(Ridge(), Deviation)
MLP = MLPRewardRegressor(Deviation, hidden_units=8, max_epochs=20, random_state=0)


def test_a_plain_regressor_fits_its_values():
    model = clone(RIDGE).fit(X, REWARDS)
    alone = Ridge().fit(X, DEVIATIONS).predict(X)
    assert model.target_ == "deviation"
    assert_allclose(model.predict(X), alone)
    assert model.score(X, REWARDS) == pytest.approx(r2_score(DEVIATIONS, alone))
    expected = np.maximum(alone, 0)[:, None] / [1, 2, 3]
    assert_allclose(model.predict_marginals(X, 3), expected)


def test_missing_samples_reach_it_as_nan():
    ragged = [row[: 4 + i % 5] for i, row in enumerate(REWARDS)]
    deviations = [row.std() for row in ragged]
    expected = Ridge().fit(X, deviations).predict(X)
    assert_allclose(clone(RIDGE).fit(X, ragged).predict(X), expected)


def test_a_net_learns_it_in_its_own_units():
    shifted = 100 * REWARDS  # far from what a net puts out by itself
    model = clone(MLP).fit(X, shifted)
    predicted = model.predict(X)
    assert predicted.shape == (300,)
    assert predicted.mean() == pytest.approx(100 * DEVIATIONS.mean(), rel=0.1)
    score = model.score(X, shifted)
    assert score == pytest.approx(r2_score(100 * DEVIATIONS, predicted))
    assert score > 0.1


@pytest.mark.parametrize("regressor", [RIDGE, MLP], ids=["ridge", "mlp"])
def test_it_goes_with_allocators_searches_and_files(regressor, tmp_path):
    policy = AdaptiveAllocator(regressor, budget=2, min_budget=1).fit(X, REWARDS)
    budgets = policy.predict(X)
    marginals = policy.predict_marginals(X)
    np.testing.assert_array_equal(budgets, allocate(marginals, 2, min_budget=1)[0])
    assert budgets.sum() == 600
    joblib.dump(policy, tmp_path / "policy")
    np.testing.assert_array_equal(joblib.load(tmp_path / "policy").predict(X), budgets)
    scores = cross_val_score(RIDGE, X, REWARDS, cv=3)
    assert (scores > 0).all()


def test_several_numbers_per_query():
    class Ends(Target):
        name = "ends"

        def values(self, rewards):
            return np.column_stack([rewards.min(axis=1), rewards.max(axis=1)])

        def marginals(self, prediction, max_budget, min_budget=0):
            return np.repeat(prediction[:, 1:] / max_budget, max_budget, axis=1)

    model = RewardRegressor(Ridge(), Ends).fit(X, REWARDS)
    values = np.column_stack([REWARDS.min(axis=1), REWARDS.max(axis=1)])
    predicted = Ridge().fit(X, values).predict(X)
    assert_allclose(model.predict(X), predicted)
    explained = (
        1
        - ((values - predicted) ** 2).sum()
        / ((values - values.mean(axis=0)) ** 2).sum()
    )
    assert model.score(X, REWARDS) == pytest.approx(explained)


@pytest.mark.parametrize("target", [Deviation(), int, object(), 3, "deviation"])
@pytest.mark.parametrize("make", [RIDGE, MLP], ids=["ridge", "mlp"])
def test_what_is_no_target(make, target):
    match = (
        r"target=.* is not accepted\. Expected one of .*class derived from sklearn_a"
    )
    with pytest.raises(ValueError, match=match):
        clone(make).set_params(target=target).fit(X, REWARDS)


def test_a_table_with_decoders_is_not_for_it():
    routing = np.stack([REWARDS, REWARDS], axis=1)
    with pytest.raises(ValueError, match=r"Deviation.* does not fit.*axis of dec"):
        clone(RIDGE).fit(X, routing)


class Unfinished(Target):
    """A target that does not say what follows from a prediction."""

    name = "unfinished"

    def values(self, rewards):
        return rewards[:, :1]


def test_a_target_without_all_its_methods():
    model = RewardRegressor(Ridge(), Unfinished)
    with pytest.raises(ValueError, match=r"target=Unfinished lacks \['marginals'\]"):
        model.fit([[0.0], [1.0]], [[0.0, 2.0], [1.0, 1.0]])
