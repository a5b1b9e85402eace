"""What `AdaptiveEpochs` takes, and what it says where inspect_ai is missing."""

import asyncio
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from levels import fitted, outcomes, tree

from sklearn_adaalloc import AdaptiveAllocator, RewardTable, SequentialAllocator
from sklearn_adaalloc.integrations import AdaptiveEpochs


def with_costs(asked):
    return RewardTable(outcomes(asked, 16, 0), costs=2.0)


def of_two_decoders(asked):
    return np.stack([outcomes(asked, 8, seed) for seed in (0, 1)], axis=1)


def test_policies_of_other_kinds_are_refused():
    with pytest.raises(ValueError, match="Expected a SequentialAllocator with"):
        AdaptiveEpochs(fitted(AdaptiveAllocator(tree())))
    costly = SequentialAllocator(tree(), budget=4, unit="cost")
    with pytest.raises(ValueError, match="unit='samples' and selection='reward'"):
        AdaptiveEpochs(fitted(costly, with_costs))
    menu = SequentialAllocator(budget=4, random_state=0)
    with pytest.raises(ValueError, match="numbers of samples of each of several"):
        AdaptiveEpochs(fitted(menu, of_two_decoders))
    with pytest.raises(ValueError, match="tolerance=-1"):
        AdaptiveEpochs(fitted(SequentialAllocator(tree())), tolerance=-1)


def test_without_inspect_ai_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai.util", None)
    manager = AdaptiveEpochs(fitted(SequentialAllocator(tree(), budget=4)))
    task = SimpleNamespace(config=SimpleNamespace(epochs_reducer=None), eval_id="a")
    samples = [SimpleNamespace(id=1, input="never 1")]

    async def begin():
        await manager.start_task(task, samples, 4)
        assert await manager.schedule_sample(1, 1) is None
        await manager.schedule_sample(1, 2)  # not needed

    with pytest.raises(ImportError, match=r"pip install 'sklearn-adaalloc\[inspect\]'"):
        asyncio.run(begin())
