"""What verdicts of a stream teach about its predictions."""

import math

import numpy as np
import pytest

from sklearn_adaalloc.planning._learning import (
    NOTHING_LEARNT,
    correction_of,
    learn_correction,
)
from sklearn_adaalloc.planning._success import correct_chances, cumulative_hazards

FORGETTING = 0.002


def sample(n_queries, correction, *, n_samples=12, seed=0):
    """Hazards before and after successes in a world that the correction describes."""
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.5, 1.0, n_queries)[:, None]
    chances = rates / (1 + 0.1 * rates * np.arange(n_samples))
    hazards = cumulative_hazards(chances)
    true = correct_chances(chances, *correction)
    right = rng.random(true.shape) < true
    solved = right.any(axis=1)
    failures = np.where(solved, right.argmax(axis=1), n_samples)
    rows = np.arange(n_queries)
    after = hazards[rows, np.minimum(failures + 1, n_samples)]
    return hazards[rows, failures], np.where(solved, after, np.inf)


def learnt_from(before, after, learnt=NOTHING_LEARNT, forgetting=FORGETTING):
    return learn_correction(
        learnt, before.tolist(), after.tolist(), forgetting=forgetting
    )


def test_failures_and_a_success_add_their_derivatives():
    # Without a correction, a failure of hazard h = e has the log likelihood -h, with
    # slopes -e in log θ and -e log e in log γ.
    failed = learn_correction(NOTHING_LEARNT, [math.e], [math.inf], forgetting=0.5)
    assert failed == pytest.approx([math.e, math.e, math.e, -math.e, -math.e])
    # A first sample of hazard log 2 succeeds: log(1 - exp(-x)) has the slope 1 in x,
    # and x = log 2 in log θ. Its second derivative there is x - 2 x^2.
    x = math.log(2)
    solved = learn_correction(NOTHING_LEARNT, [0.0], [x], forgetting=0.5)
    assert solved[3] == pytest.approx(x)
    assert solved[0] == pytest.approx(2 * x**2 - x)
    both = learn_correction(
        NOTHING_LEARNT, [math.e, 0.0], [math.inf, x], forgetting=0.5
    )
    assert both == pytest.approx(np.array(failed) / 2 + solved)


def test_nothing_is_corrected_without_evidence():
    assert correction_of(NOTHING_LEARNT) == (1.0, 1.0)
    corrections = [
        correction_of(learnt_from(*sample(500, (1.0, 1.0), seed=seed)))
        for seed in range(50)
    ]
    assert corrections.count((1.0, 1.0)) >= 47
    assert np.abs(np.log(corrections)).max() < 0.15


@pytest.mark.parametrize("correction", [(0.5, 1.0), (2.0, 0.6), (0.3, 1.3)])
def test_a_correction_is_learnt(correction):
    learnt = learnt_from(*sample(3000, correction))
    assert np.allclose(correction_of(learnt), correction, rtol=0.2)


def test_what_was_learnt_is_forgotten():
    swapped = learnt_from(*sample(2000, (0.4, 1.0)))
    assert correction_of(swapped)[0] < 0.5
    again = learnt_from(*sample(4000, (1.0, 1.0), seed=1), learnt=swapped)
    assert np.allclose(correction_of(again), 1.0, atol=0.1)


def test_surprises_are_finite():
    sure, hopeless = 20.0, 1e-12
    learnt = learn_correction(
        NOTHING_LEARNT, [sure] * 500, [math.inf] * 500, forgetting=FORGETTING
    )
    assert math.exp(-4) <= correction_of(learnt)[0] < 0.1
    learnt = learn_correction(
        NOTHING_LEARNT, [0.0] * 500, [hopeless] * 500, forgetting=FORGETTING
    )
    assert np.isfinite(correction_of(learnt)).all()
