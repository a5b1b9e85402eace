"""A node that is killed during work: all is finished, and nothing is stored twice."""

import threading
import time

import numpy as np
import pyarrow
import pytest
from collecting import LoggingReward, LoggingSampler, answer, reward_of
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeRegressor
from slow_steps import SlowStep

from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.distributed import collect_parts, predict_budgets

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture
def doomed(cluster):
    """Returns a function: kill a third node when a log has so many lines.

    A fourth has room for all that the third did.
    """
    size = {"object_store_memory": 100 * 2**20}
    node, spare = (cluster.add_node(num_cpus=n, **size) for n in (2, 3))
    threads, killed = [], []

    def kill_at(log, n_lines):
        while not log.exists() or len(log.read_text().splitlines()) < n_lines:
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)
        killed.append(node)

    def start(log, n_lines):
        threads.append(threading.Thread(target=kill_at, args=(log, n_lines)))
        threads[0].start()
        return killed

    yield start
    threads[0].join()
    cluster.remove_node(spare)


def test_budgets_where_a_node_is_lost_during_features(tmp_path, doomed):
    X, rewards = make_reward_table(3000, 16, random_state=0, return_X_y=True)
    inner = RewardRegressor(DecisionTreeRegressor(max_leaf_nodes=60, random_state=0))
    policy = make_pipeline(SlowStep(), AdaptiveAllocator(inner, budget=4))
    policy.fit(X[:500], rewards[:500])
    expected = policy.predict(X)
    log = tmp_path / "log"
    policy.set_params(slowstep__log=str(log), slowstep__seconds=0.4)
    parts = np.array_split(np.arange(len(X)), 12)
    tables = [pyarrow.table({"number": each, "query": list(X[each])}) for each in parts]
    killed = doomed(log, 12)
    dataset = ray.data.from_arrow(tables)
    result = predict_budgets(policy, dataset, batch_size=100, concurrency=4)
    frame = result.to_pandas()
    assert killed
    assert_array_equal(frame["number"], np.arange(len(X)))
    assert_array_equal(frame["budget"], expected)


def test_a_collection_where_a_node_is_lost(tmp_path, doomed):
    queries = [f"query {number}" for number in range(30)]
    log = tmp_path / "log"
    killed = doomed(log, 120)
    rewards = collect_parts(
        queries,
        LoggingSampler(str(log), 0.01),
        LoggingReward(str(tmp_path / "graded")),
        20,
        folder=tmp_path / "parts",
        batch_size=20,
        n_samplers=4,
        progress=False,
    )
    assert killed
    right = [[reward_of(answer(q, sample)) for sample in range(20)] for q in queries]
    assert_array_equal(rewards, right)
    with RewardStore(tmp_path / "store", create=True) as store:
        assert store.add_parts(tmp_path / "parts") == 600
        stored = dict(zip(*store.to_arrays(), strict=True))
    assert_array_equal([stored[query] for query in queries], right)
    rows = pyarrow.parquet.read_table(tmp_path / "parts").num_rows
    assert rows == 600  # stored once, even if a batch was asked for again
