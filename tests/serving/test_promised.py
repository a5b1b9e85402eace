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
    # Seeds are drawn anew: more than two standard errors are rare, four are a fault.
    assert abs(row["spend"] - row["promised_spend"]) < 4 * row["spend_error"]
    assert abs(row["z"]) < 4
    assert row["delivered"] == pytest.approx(row["equal"] + row["gain"])
