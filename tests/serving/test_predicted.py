"""The chance of success that replies name."""

import numpy as np
import pytest
from answering import stream_policy
from endpoints import menu_policy


@pytest.mark.parametrize("max_budget", [1, 4])
def test_a_session_expects_what_an_explanation_says(max_budget):
    pytest.importorskip("pandas", reason="needs pandas")
    policy = stream_policy(max_budget=max_budget)
    with policy.open() as stream, stream.start(["a"]) as session:
        expected = session.expected_rewards
    explained = policy.explain(["a"])["expected_reward"]
    np.testing.assert_allclose(expected, explained)
    np.testing.assert_allclose(expected, 1 - 0.5**max_budget)


def test_on_several_decoders_it_is_the_chance_on_the_order_that_is_asked():
    policy = menu_policy()[-1]
    with policy.open() as stream, stream.start(np.zeros((1, 1))) as session:
        one_shot = session.expected_rewards  # nothing is planned yet
        failing = 1.0
        [scores] = policy._mean_rewards(policy._predicted(np.zeros((1, 1))))
        expected = None
        while (asked := session.ask()) is not None:
            expected = session.expected_rewards if expected is None else expected
            failing *= np.prod((1 - scores) ** asked[0])
            session.tell(np.where(asked > 0, 0.0, np.nan)[..., None], asked * [1.0, 5])
    # All queries are alike to this policy, so that failures teach little of others.
    assert expected == pytest.approx(1 - failing, abs=0.05)
    assert one_shot == pytest.approx(expected, abs=0.1)
