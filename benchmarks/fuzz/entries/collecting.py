"""`collect_rewards` and its store: samplers that misbehave, files that are damaged."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.damage import damages
from benchmarks.fuzz.entries.decoding import (
    StubReward,
    StubSampler,
    good_queries,
    odd_rewards,
    replies,
)
from benchmarks.fuzz.outcomes import REFUSED, attempt
from benchmarks.fuzz.strategies import number, rarely, scalars
from benchmarks.fuzz.targets import target
from sklearn_adaalloc import collect_rewards
from sklearn_adaalloc.collect import RewardStore

_QUERIES = ["a", "b", [{"role": "user", "content": "c"}]]
_settings = st.none() | st.dictionaries(st.sampled_from(["t", "m"]), scalars)


def _collect(store, queries=_QUERIES, n_samples=2, **options):
    parts = {"sampler": StubSampler(), "reward": StubReward(), **options}
    return collect_rewards(
        queries, n_samples=n_samples, store=store, progress=False, **parts
    )


@target(
    "collect.collect_rewards",
    inputs=600,
    asked=good_queries,
    n_samples=number(st.integers(1, 3)),
    batch_size=number(st.integers(1, 4)),
    reply=replies,
    grades=odd_rewards,
    settings=_settings,
    reward_settings=_settings,
)
def collect(asked, n_samples, reply, grades, **options):
    with TemporaryDirectory() as folder:
        store = Path(folder, "store.sqlite")
        rewards = attempt(
            _collect,
            store,
            asked,
            n_samples,
            sampler=StubSampler(reply),
            reward=StubReward(grades),
            **options,
        )
        if rewards is not REFUSED:
            assert rewards.shape == (len(asked), n_samples)
            assert not np.isinf(rewards).any()
            if np.isfinite(rewards).all():  # then nobody is asked any more
                known = _known(options)
                again = _collect(store, asked, n_samples, sampler=None, **known)
                assert (again == rewards).all()


def _known(options):
    """The settings under which a sampler that is gone has answered."""
    settings = options["settings"]
    return {
        **options,
        "settings": StubSampler.settings if settings is None else settings,
    }


@cache
def _whole_store():
    """Bytes of a store that is complete."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "store.sqlite")
        _collect(path)
        return path.read_bytes()


@target("collect.damaged_store", inputs=700, damage=damages, anew=st.booleans())
def damaged_store(damage, anew):
    with TemporaryDirectory() as folder:
        path = Path(folder, "store.sqlite")
        data = damage(_whole_store())
        path.write_bytes(data)
        if anew:
            rewards = attempt(_collect, path)
            if rewards is not REFUSED:
                assert rewards.shape == (3, 2)
            return
        found = attempt(_read, path)
        if found is not REFUSED:
            queries, rewards = found
            assert len(queries) == len(rewards)
        else:
            assert path.read_bytes() == data  # left as it is


def _read(path):
    with RewardStore(path) as store:
        store.to_frame()
        return store.to_arrays()


@target(
    "collect.RewardStore",
    inputs=500,
    path=rarely(scalars, st.just(None)),
    settings=_settings,
    reward_settings=_settings,
)
def reward_store(path, settings, reward_settings):
    with TemporaryDirectory() as folder:
        if path is None:
            path = Path(folder, "store.sqlite")
            path.write_bytes(_whole_store())
        elif isinstance(path, str | bytes):
            path = Path(folder, "absent", str(path))
        store = attempt(RewardStore, path)
        if store is not REFUSED:
            options = {"settings": settings, "reward_settings": reward_settings}
            with store:
                attempt(store.to_arrays, **options)
