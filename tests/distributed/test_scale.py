"""Memory of the driver: it does not grow with the rows of a data set."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs Ray: `make test-distributed` has it")
# What a process needed at most counts for ever: the small size comes first.
MEASURES = """
import json, ray, sys
from benchmarks.scale.budgets import measure
ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
print(json.dumps([measure(n, 1) for n in (10**5, 10**6)]))
"""


@pytest.mark.slow
def test_the_memory_of_the_driver_does_not_grow_with_the_rows(cluster):
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", MEASURES, cluster.address]
    printed = subprocess.check_output(command, cwd=root, text=True)
    small, large = json.loads(printed.splitlines()[-1])
    assert large["n_samples"] == 10 * small["n_samples"]
    assert large["megabytes"] < 1.2 * small["megabytes"]
