import numpy as np
import pytest

from sklearn_adaalloc.metrics._policy_curves import (
    BudgetCurve,
    area,
    first_crossing,
    oracle_curve,
    policy_curve,
    uniform_curve,
)


def curve(spend, reward):
    return BudgetCurve(np.array(spend, dtype=float), np.array(reward, dtype=float))


def test_area_of_a_triangle_and_of_the_level_part_behind_it():
    assert area(curve([0, 2], [0, 1]), max_budget=2) == 1
    assert area(curve([0, 2], [0, 1]), max_budget=5) == 4
    assert area(curve([1], [0.5]), max_budget=3) == 1


@pytest.mark.parametrize(
    ("target", "spend"), [(-1, 0), (0.1, 0), (0.3, 0.5), (0.5, 1), (0.7, 3.5)]
)
def test_first_crossing_interpolates(target, spend):
    wavy = curve([0, 1, 2, 3, 4], [0.1, 0.5, 0.2, 0.6, 0.8])
    assert first_crossing(wavy, target) == pytest.approx(spend)


def test_a_reward_out_of_reach_is_never_crossed():
    assert np.isnan(first_crossing(curve([0, 1], [0, 0.5]), 0.6))


def test_rounding_neither_hides_nor_moves_a_crossing():
    plateau = curve([0, 1, 2, 9], [0, 0.5, 0.5 - 1e-13, 0.5 + 1e-13])
    assert first_crossing(plateau, 0.5 + 1e-13) == pytest.approx(1)


def test_oracle_bounds_policies_on_a_curve_that_first_falls():
    # The best of the first two steps is only worth it together: slope 0.2 twice.
    curves = np.array([[0.0, -0.2, 0.4], [0.0, 0.1, 0.1]])
    np.testing.assert_allclose(oracle_curve(curves, 0).reward, [0, 0.1, 0.2, 0.25])
    walked = policy_curve(curves, np.array([[0.9, 0.8], [0.1, 0.0]]), 0)
    np.testing.assert_allclose(walked.reward, [0, -0.1, 0.2, 0.25])


def test_oracle_starts_after_the_mandatory_samples():
    curves = np.array([[0.0, -0.2, 0.4], [0.0, 0.1, 0.1]])
    spend, reward = oracle_curve(curves, 1)
    np.testing.assert_allclose(spend, [1, 1.5])
    np.testing.assert_allclose(reward, [-0.05, 0.25])


def test_all_three_curves_start_together():
    curves = np.cumsum(np.random.default_rng(0).random((4, 4)), axis=1)
    marginals = np.ones((4, 3))
    for min_budget in (0, 2, 3):
        starts = [
            [each.spend[0], each.reward[0]]
            for each in (
                policy_curve(curves, marginals, min_budget),
                oracle_curve(curves, min_budget),
                uniform_curve(curves, min_budget),
            )
        ]
        np.testing.assert_allclose(starts[1:], starts[:1] * 2)
