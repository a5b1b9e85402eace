"""Sums that forget, of the latest queries of a stream."""

import pytest

from sklearn_adaalloc.planning._recent import ClosedQuery, nothing_recent, remember


def test_sums_are_weighted_by_age():
    queries = [
        ClosedQuery(spent=8.0, bin=1, told=0.5, cost_ratio=2.0),
        ClosedQuery(spent=2.0, bin=0),
        ClosedQuery(spent=1.0, bin=1, told=1.0, cost_ratio=3.0),
    ]
    recent = remember(nothing_recent(2), queries, forgetting=0.5)
    assert recent == {
        "weights": [1.75, 1 + 1 / 4 + 1 / 16],
        "spent": [8 / 4 + 2 / 2 + 1],
        "bins": [0.5, 1.25],
        "told": [0.0, 1.25],
        "sums": [0.0, 0.5 / 4 + 1],
        "squares": [0.0, 0.25 / 4 + 1],
        "costs": [1.25, 2 / 4 + 3, 4 / 4 + 9],
    }


def test_the_weight_of_many_queries_has_a_limit():
    recent = remember(nothing_recent(1), [ClosedQuery(1.0, 0)] * 5000, forgetting=0.002)
    total, squared = recent["weights"]
    assert total == pytest.approx(500, rel=1e-3)
    assert total**2 / squared == pytest.approx(999, rel=1e-3)
    assert nothing_recent(1)["weights"] == [0.0, 0.0]  # it stays as it was
