"""Two thousand of the inputs of ``python -m benchmarks.fuzz``, the same each time."""

import sys
from pathlib import Path

import pytest

REPOSITORY = str(Path(__file__).parents[1])
sys.path.insert(0, REPOSITORY)
try:
    from benchmarks.fuzz import entries
    from benchmarks.fuzz.outcomes import REFUSED, attempt, is_worded
    from benchmarks.fuzz.targets import TARGETS
finally:
    sys.path.remove(REPOSITORY)

N_INPUTS = {name: target.share(2000) for name, target in TARGETS.items()}


def test_two_thousand_inputs_reach_every_part():
    assert sum(N_INPUTS.values()) >= 2000
    parts = {check.check.__module__.rpartition(".")[2] for check in TARGETS.values()}
    assert parts == set(entries.__all__)


@pytest.mark.parametrize("name", TARGETS)
def test_ends_in_a_result_or_in_a_documented_error(name):
    TARGETS[name].property(N_INPUTS[name], derandomize=True)()


def test_what_the_fuzzer_would_not_let_pass():
    from sklearn_adaalloc.metrics import expected_reward_score

    assert attempt(expected_reward_score, [[2.0]], [-1]) is REFUSED
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        attempt(lambda: 1 / 0)
    with pytest.raises(ValueError, match="invalid literal") as caught:
        attempt(int, "x")
    assert not is_worded(caught.value)
