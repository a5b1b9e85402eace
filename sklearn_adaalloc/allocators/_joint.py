"""Base class of allocators that decide jointly for the batch given to `predict`."""

import numpy as np

from sklearn_adaalloc.allocators._in_blocks import CostsInBlocks, CurvesInBlocks
from sklearn_adaalloc.allocators._prospects import open_prospects
from sklearn_adaalloc.allocators._regressor_allocator import RegressorAllocator
from sklearn_adaalloc.planning._solvers import allocate


class JointAllocator(RegressorAllocator):
    """Base class of allocators whose `predict` splits the budget over its batch."""

    _takes_menus = True
    _decides_jointly = True

    def _allocate(self, scores, costs=None):
        if self._n_decoders:
            return self._allocate_menu(scores, costs)
        budget, min_budget, _ = self._check_budget()
        budgets, _ = allocate(scores, budget, min_budget=min_budget, costs=costs)
        return budgets

    def _in_blocks(self):
        """The same decision on blocks of queries."""
        if self._n_decoders:
            none = np.zeros((0, self._n_decoders))
            known = open_prospects(self.regressor_, none)
            return known.in_blocks(self, self._outcome())
        rule = CurvesInBlocks if self.unit == "samples" else CostsInBlocks
        return rule(*self._check_budget(), self._outcome())
