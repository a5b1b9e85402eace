"""The default estimators on graded answers of real models to 5,000 MATH problems."""

import numpy as np
import pytest

from sklearn_adaalloc import AdaptiveAllocator, BinnedAllocator
from sklearn_adaalloc.metrics import expected_reward_score

# Success rates of an independent prototype: rate distribution, one-shot, the same
# folds and feature (column "rate distribution" of the data's README).
REFERENCE = {
    "qwen2_1p5b_instruct_t0p6": {2: 0.3278, 4: 0.4052, 8: 0.4883, 16: 0.5723},
    "qwen2p5_math_1p5b_t1p0": {2: 0.5423, 4: 0.6715, 8: 0.7706},
    "qwen2p5_7b_instruct_t1p0": {2: 0.7848, 4: 0.8413, 8: 0.8781},
}


@pytest.fixture(scope="module", params=REFERENCE)
def outcomes(request, real_data):
    """Rewards, probe predictions and the two folds of one model."""
    arrays = np.load(real_data / f"math5000/{request.param}.npz")
    order = np.random.default_rng(0).permutation(5000)
    first, second = order[:2500], order[2500:]
    return (
        request.param,
        arrays["rewards"].astype(float),
        arrays["probe_prediction"].astype(float)[:, None],
        [(first, second), (second, first)],
    )


@pytest.mark.slow
@pytest.mark.parametrize("allocator", [AdaptiveAllocator, BinnedAllocator])
def test_default_allocators_reach_the_reference(outcomes, allocator):
    name, rewards, X, folds = outcomes
    fitted = [
        (allocator(random_state=0).fit(X[train], rewards[train]), test)
        for train, test in folds
    ]
    scores = {
        budget: np.mean(
            [
                policy.set_params(budget=budget).score(X[test], rewards[test])
                for policy, test in fitted
            ]
        )
        for budget in range(1, 33)
    }
    for budget, reference in REFERENCE[name].items():
        assert scores[budget] >= reference - 0.003
    for budget, score in scores.items():
        assert score >= expected_reward_score(rewards, budget) - 0.002
