"""Correcting predictions by verdicts: parameters that made the verdicts are found."""

import numpy as np
import pytest

from sklearn_adaalloc.planning._success import (
    correct_chances,
    cumulative_hazards,
    fit_correction,
)


def draw_verdicts(chances, scale, shape, rng):
    """Hazards before and after the last verdict, drawn from a corrected prior."""
    true = correct_chances(chances, scale, shape)
    right = rng.random(true.shape) < true
    solved = right.any(axis=1)
    failures = np.where(solved, right.argmax(axis=1), chances.shape[1])
    hazards, rows = cumulative_hazards(chances), np.arange(len(chances))
    after = hazards[rows, failures + solved]
    return hazards[rows, failures], np.where(solved, after, np.inf)


def falling_chances(n_queries, rng):
    """Chances that fall like those of a Beta distribution of rates."""
    a, b = rng.uniform(0.2, 2.0, (2, n_queries, 1))
    return a / (a + b + np.arange(6))


@pytest.mark.parametrize(("scale", "shape"), [(1.0, 1.0), (0.5, 1.0), (1.5, 0.7)])
def test_parameters_are_found(scale, shape):
    rng = np.random.default_rng(0)
    before, after = draw_verdicts(falling_chances(20_000, rng), scale, shape, rng)
    assert fit_correction(before, after) == pytest.approx((scale, shape), rel=0.05)


def test_few_verdicts_change_little():
    # Three failures at even odds: likely enough.
    scale, shape = fit_correction(np.full(3, np.log(2)), np.full(3, np.inf))
    assert 0.5 < scale < 1.0
    assert shape == pytest.approx(1.0, abs=0.15)


def test_no_verdict_changes_nothing():
    assert fit_correction(np.zeros(5), np.full(5, np.inf)) == (1.0, 1.0)


def test_failure_and_success_pull_apart():
    # Each was expected with the same chance, one half.
    hazard = np.full(50, np.log(2))
    too_bright, _ = fit_correction(hazard, np.full(50, np.inf))
    too_dark, _ = fit_correction(np.zeros(50), hazard)
    assert too_bright < 1 < too_dark


def test_success_where_none_was_expected_is_survived():
    scale, shape = fit_correction(np.zeros(10), np.zeros(10))
    assert np.isfinite([scale, shape]).all()


def test_correction_scales_cumulative_hazards():
    chances = falling_chances(10, np.random.default_rng(1))
    corrected = correct_chances(chances, 0.7, 0.8)
    np.testing.assert_allclose(
        cumulative_hazards(corrected), 0.7 * cumulative_hazards(chances) ** 0.8
    )
    np.testing.assert_allclose(correct_chances(chances, 1.0, 1.0), chances)


def test_corrected_chances_never_rise():
    chances = np.full((1, 5), 0.3)
    corrected = correct_chances(chances, 1.0, 2.0)  # hazards would grow as squares
    np.testing.assert_allclose(corrected, corrected[0, 0])
