"""Collections on a cluster: the table of one machine, and nothing twice."""

import json
from pathlib import Path

import numpy as np
import pytest
from clusters import wait_until
from collecting import LoggingReward, LoggingSampler, answer, reward_of
from numpy.testing import assert_array_equal

from sklearn_adaalloc import collect_rewards
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.distributed import collect_parts

ray = pytest.importorskip("ray", reason="needs Ray: `make test-distributed` has it")
pytestmark = pytest.mark.usefixtures("cluster")
QUERIES = ["one", [{"role": "user", "content": "two"}], "one", "three"]


def lines(log):
    return [json.loads(line)[1] for line in Path(log).read_text().splitlines()]


class Failing:
    """Grades some answers only."""

    settings = {"reward": "Failing"}

    def __init__(self, missing=(), wrong=()):
        self.missing = missing
        self.wrong = wrong

    def __call__(self, queries, answers):
        if any(query in self.wrong for query in queries):
            raise KeyError("no reference")
        return [
            [np.nan if text in self.missing else reward_of(text) for text in row]
            for row in answers
        ]


def test_a_table_grows_is_graded_anew_and_goes_into_a_store(tmp_path):
    sampler = LoggingSampler(str(tmp_path / "asked"), 0.0)
    reward = LoggingReward(str(tmp_path / "graded"))
    options = {"folder": tmp_path / "parts", "batch_size": 4, "progress": False}
    first = collect_parts(QUERIES, sampler, reward, 3, n_samplers=1, **options)
    right = [
        [reward_of(answer(query, sample)) for sample in range(5)]
        for query in ("one", QUERIES[1], "one", "three")
    ]
    assert_array_equal(first, np.array(right)[:, :3])
    assert len(lines(tmp_path / "asked")) == 9
    more = collect_parts(QUERIES, sampler, reward, 5, **options)
    assert_array_equal(more, right)
    for log in ("asked", "graded"):
        assert sorted(lines(tmp_path / log)) == sorted(set(lines(tmp_path / log)))
        assert len(lines(tmp_path / log)) == 15

    missing = answer("one", 1)
    with pytest.warns(UserWarning, match="1 answers could not be graded"):
        other = collect_parts(QUERIES, sampler, Failing([missing]), 5, **options)
    assert np.isnan(other[0, 1])
    assert len(lines(tmp_path / "asked")) == 15
    assert_array_equal(collect_parts(QUERIES, sampler, Failing(), 5, **options), right)

    with RewardStore(tmp_path / "store", create=True) as store:
        assert store.add_parts(tmp_path / "parts") == 15
        assert store.add_parts(tmp_path / "parts") == 0
        for each in (reward.settings, Failing.settings):
            queries, table = store.to_arrays(reward_settings=each)
            assert all(query in queries for query in QUERIES)
            assert len(queries) == 3
            assert np.isfinite(table).all()
        frame = store.to_frame(reward_settings=reward.settings)
        assert frame["prompt_tokens"].notna().all()
    # The store goes on where the parts end.
    again = collect_rewards(
        QUERIES, sampler, reward, 5, store=tmp_path / "store", progress=False
    )
    assert_array_equal(again, right)
    assert len(lines(tmp_path / "asked")) == 15


def test_a_reward_function_that_raises_loses_nothing_else(tmp_path):
    sampler = LoggingSampler(str(tmp_path / "asked"), 0.0)
    options = {"folder": tmp_path / "parts", "batch_size": 8, "progress": False}
    with pytest.raises(ValueError, match="on query 'three"):
        collect_parts(QUERIES, sampler, Failing(wrong=QUERIES[3:]), 4, **options)
    rewards = collect_parts(QUERIES, sampler, Failing(), 4, **options)
    assert np.isfinite(rewards).all()
    assert len(lines(tmp_path / "asked")) == 12


def test_a_sampler_that_raises(tmp_path):
    def sampler(prompts, budgets):
        raise OSError("no such model")

    options = {"folder": tmp_path / "parts", "settings": {"model": 0}}
    with pytest.raises(OSError, match="no such model") as caught:
        collect_parts(["one"], sampler, Failing(), 4, progress=False, **options)
    # A notebook keeps the traceback, and its frames must keep no actor.
    all_cpus = ray.cluster_resources()["CPU"]
    assert wait_until(lambda: ray.available_resources().get("CPU") == all_cpus, 20)
    assert caught.tb is not None


def test_samples_that_fail_for_good(tmp_path):
    def sampler(prompts, budgets):
        return [
            [None if prompt == gone else prompt] * budget
            for prompt, budget in zip(prompts, budgets, strict=True)
        ]

    gone = "two"
    options = {
        "folder": tmp_path / "parts",
        "settings": {"model": 0},
        "progress": False,
    }
    with pytest.raises(ValueError, match="returned no answer"):
        collect_parts([gone], sampler, Failing(), 2, **options)
    with pytest.warns(UserWarning, match="2 samples failed for good and are NaN"):
        rewards = collect_parts(["one", gone], sampler, Failing(), 2, **options)
    assert np.isfinite(rewards[0]).all()
    assert np.isnan(rewards[1]).all()


@pytest.mark.parametrize("name", ["n_samples", "batch_size", "n_samplers", "n_graders"])
def test_numbers_that_do_not_fit(tmp_path, name):
    options = {"n_samples": 1, "folder": tmp_path} | {name: 0}
    with pytest.raises(ValueError, match=f"{name}=0"):
        collect_parts(["one"], Failing(), Failing(), **options)
