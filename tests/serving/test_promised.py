"""Clients of the endpoint get what the replay of its policy promised."""

import pytest

from benchmarks.quality import endpoint


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one model", "two models"])
def test_the_gain_over_equal_budgets_is_delivered(name):
    pytest.importorskip("openai", reason="needs the extra openai")
    world = endpoint.make_world(name, 400, 60)
    row = endpoint.policy_row(world, max(endpoint.BUDGETS[name]))
    assert row["queries"] == 60
    # 60 queries after each other are a short stream, far from all its budget.
    assert row["spend"] == pytest.approx(row["promised_spend"], rel=0.3)
    assert abs(row["z"]) < 4  # seeds are drawn anew: more than 2 is rare, 4 is a fault
    assert row["delivered"] == pytest.approx(row["equal"] + row["gain"])
