"""The least concave majorant of a curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial import ConvexHull

from sklearn_adaalloc.curves import concave_repair


def majorant_slopes(marginals):
    """Slopes of the least concave majorant, from the convex hull of the curve."""
    curve = np.concatenate([[0.0], np.cumsum(marginals)])
    steps = np.arange(len(curve))
    floor = np.column_stack([steps[[0, -1]], [curve.min() - 1] * 2])  # keeps it flat
    points = np.concatenate([np.column_stack([steps, curve]), floor])
    corners = ConvexHull(points).vertices
    upper = np.sort(corners[corners < len(curve)])
    return np.diff(np.interp(steps, upper, curve[upper]))


@given(
    arrays(float, (3, 6), elements=st.floats(-5, 5).map(lambda v: round(v, 2))),
)
def test_repair_gives_the_slopes_of_the_least_concave_majorant(marginals):
    repaired = concave_repair(marginals)
    assert (np.diff(repaired, axis=1) <= 0).all()
    assert_allclose(repaired.sum(axis=1), marginals.sum(axis=1), atol=1e-9)
    assert_allclose(repaired, [majorant_slopes(row) for row in marginals], atol=1e-9)
    assert concave_repair(repaired) is repaired


def test_repair_by_hand():
    marginals = np.array([[1.0, 3.0, 0.0, 4.0], [3.0, 2.0, 1.0, 0.0]])
    repaired = concave_repair(marginals)
    assert_array_equal(repaired, [[2, 2, 2, 2], [3, 2, 1, 0]])
    assert_array_equal(marginals[0], [1, 3, 0, 4])  # the input stays as it was


@pytest.mark.parametrize(
    ("min_budget", "expected"),
    [(0, [1, 1, 1]), (1, [-2, 2.5, 2.5]), (2, [-2, 1, 4]), (3, [-2, 1, 4])],
)
def test_repair_leaves_mandatory_steps_alone(min_budget, expected):
    marginals = np.array([[-2.0, 1.0, 4.0]])
    assert_array_equal(concave_repair(marginals, min_budget=min_budget), [expected])


@pytest.mark.parametrize(
    "marginals",
    [[[3.0, 2.0, 2.0, -1.0]], [[1.0], [2.0]], [[0.0, 0.0], [5.0, 5.0]]],
    ids=["falling", "one step", "flat"],
)
def test_repair_returns_its_input_when_there_is_nothing_to_do(marginals):
    marginals = np.array(marginals)
    assert concave_repair(marginals) is marginals


def test_repair_keeps_float32():
    repaired = concave_repair(np.array([[1.0, 2.0]], dtype=np.float32))
    assert_array_equal(repaired, np.array([[1.5, 1.5]], dtype=np.float32), strict=True)
