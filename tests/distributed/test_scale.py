"""Memory of the driver: it does not grow with the rows of a data set."""

from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs Ray: `make test-distributed` has it")


@pytest.mark.slow
def test_the_memory_of_the_driver_does_not_grow_with_the_rows(cluster, monkeypatch):
    root = Path(__file__).resolve().parents[2]
    monkeypatch.chdir(root)  # the process that is measured starts here
    monkeypatch.syspath_prepend(str(root))
    from benchmarks.scale.budgets import run_alone

    small, large = (
        run_alone({"n_rows": n_rows, "n_workers": 1, "address": cluster.address})
        for n_rows in (10**5, 10**6)
    )
    assert large["n_samples"] == 10 * small["n_samples"]
    assert large["megabytes"] < 1.2 * small["megabytes"]
