"""A driver of its own on a cluster, which may lose nodes, itself, or all of it.

    python cluster_work.py {budgets,collection} ADDRESS CPUS FOLDER

It begins when the cluster has so many CPUs. Batches are written to FOLDER/log as they
begin. Each process begins a second one, and goes on when there is FOLDER/go. "budgets"
holds again once all is predicted: it makes FOLDER/predicted, and waits for
FOLDER/killed. The result is saved as FOLDER/result.npy.
"""

import sys
from pathlib import Path

import numpy as np
from clusters import wait_until
from collecting import LoggingReward, answer, reward_of
from holding import HoldingSampler, HoldingStep

QUERIES = [f"query {number}" for number in range(10)]
N_SAMPLES, BATCH_SIZE = 12, 10
N_ROWS, N_BATCHES = 1200, 12
RIGHT = [[reward_of(answer(q, sample)) for sample in range(N_SAMPLES)] for q in QUERIES]


def collection(folder):
    """Collect a table with two samplers."""
    from sklearn_adaalloc.distributed import collect_parts

    return collect_parts(
        QUERIES,
        HoldingSampler(str(folder / "log"), str(folder / "go")),
        LoggingReward(str(folder / "graded")),
        N_SAMPLES,
        folder=folder / "parts",
        batch_size=BATCH_SIZE,
        n_samplers=2,
        progress=False,
    )


def make_policy():
    """A policy after a step that holds once it has a log, and queries."""
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeRegressor

    from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor
    from sklearn_adaalloc.datasets import make_reward_table

    X, rewards = make_reward_table(N_ROWS, 16, random_state=0, return_X_y=True)
    inner = RewardRegressor(DecisionTreeRegressor(max_leaf_nodes=60, random_state=0))
    policy = make_pipeline(HoldingStep(), AdaptiveAllocator(inner, budget=4))
    return policy.fit(X[:500], rewards[:500]), X


def budgets(folder):
    """Predict budgets with three actors."""
    import pyarrow
    import ray

    from sklearn_adaalloc.distributed import _budgets, predict_budgets

    in_order = _budgets._in_order

    def then_wait(dataset):
        found = in_order(dataset)
        if not (folder / "predicted").exists():
            (folder / "predicted").touch()
            assert wait_until((folder / "killed").exists)
        return found

    _budgets._in_order = then_wait
    policy, X = make_policy()
    log, gate = str(folder / "log"), str(folder / "go")
    policy.set_params(holdingstep__log=log, holdingstep__gate=gate)
    text = "Small results would stay with the driver, and no node could lose them." * 50
    tables = [
        pyarrow.table(
            {"number": each, "query": list(X[each]), "text": [text] * len(each)}
        )
        for each in np.array_split(np.arange(N_ROWS), N_BATCHES)
    ]
    result = predict_budgets(
        policy,
        ray.data.from_arrow(tables),
        batch_size=N_ROWS // N_BATCHES,
        concurrency=3,
    )
    frame = result.drop_columns(["text"]).to_pandas()
    assert np.array_equal(frame["number"], np.arange(N_ROWS))
    return frame["budget"].to_numpy()


if __name__ == "__main__":
    import ray

    work, address, n_cpus, folder = sys.argv[1:]
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    assert wait_until(lambda: ray.cluster_resources()["CPU"] == int(n_cpus))
    result = globals()[work](Path(folder))
    np.save(Path(folder, "result.npy"), result)
    ray.shutdown()
