"""Canonical solutions of public sets: what plain Python passes, the verifier passes."""

import gzip
import json
import shutil

import pytest

from sklearn_adaalloc.rewards import CodeVerifier

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is missing"),
]
# Problems whose own solution fails its own tests under plain Python, too.
WRONG = {
    "humaneval": set(),
    "mbpp": {
        *(56, 64, 160, 349, 367, 596, 601, 607, 631, 642, 899, 927, 966, 967),
    },
}


@pytest.mark.parametrize(("name", "n_problems"), [("humaneval", 164), ("mbpp", 974)])
def test_canonical_solutions_pass(real_data, name, n_problems):
    with gzip.open(real_data / "problems" / f"{name}.jsonl.gz", "rt") as lines:
        problems = [json.loads(line) for line in lines]
    assert len(problems) == n_problems
    entries = {
        each["prompt"]: {key: each[key] for key in ("prompt", "test", "entry_point")}
        for each in problems
    }
    verifier = CodeVerifier(entries, timeout=30, n_jobs=2)
    solutions = [[each["canonical_solution"]] for each in problems]
    rewards = verifier([each["prompt"] for each in problems], solutions)
    # Neither 0 nor NaN is a right verdict on a right program.
    not_passed = {
        int(each["task_id"].rpartition("/")[2])
        for each, (reward,) in zip(problems, rewards, strict=True)
        if reward != 1
    }
    assert not_passed == WRONG[name]
