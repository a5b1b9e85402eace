"""Fixtures of the tests of saved policies."""

import pytest
from policies import MLP

from sklearn_adaalloc import AdaptiveAllocator
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.persistence import save_policy


@pytest.fixture(scope="module")
def table():
    return make_reward_table(40, 4, n_features=5, random_state=0, return_X_y=True)


@pytest.fixture(scope="module")
def policy(table):
    return AdaptiveAllocator(MLP, budget=2).fit(*table)


@pytest.fixture
def saved(policy, tmp_path):
    """Folder of a saved policy."""
    save_policy(policy, tmp_path / "policy")
    return tmp_path / "policy"
