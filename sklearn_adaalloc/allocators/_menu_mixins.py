"""What allocators do with tables of several decoders that have budgets of their own."""

import numpy as np
from sklearn.frozen import FrozenEstimator

from sklearn_adaalloc._utils.rewards import has_decoders
from sklearn_adaalloc.allocators._menus import (
    allocate_menu,
    menu_decision,
    menu_price,
    open_menu,
)
from sklearn_adaalloc.curves._profiles import LEAST_RATE
from sklearn_adaalloc.curves._table import as_table


class MenuTableMixin:
    """The part of `BaseAllocator` that checks tables of several decoders."""

    _takes_menus = False  # whether tables may have any number of decoders
    _n_decoders = None  # number of decoders with budgets of their own, if there are any
    _decoder_names = None

    def _is_menu(self, rewards):
        """Whether each decoder of a table gets a budget of its own.

        Otherwise two decoders are a weak and a strong one, and a budget is 0 or 1.
        """
        if not (self._takes_menus and has_decoders(rewards)):
            return False
        chosen = getattr(getattr(self, "regressor", None), "target", None)
        several = rewards.shape[1] > 2 or self.unit == "cost"
        return several or chosen == "rate_profiles"

    def _check_menu(self, y, *, n_queries):
        """Check a table whose decoders must be those of `fit`."""
        table = as_table(y, n_queries=n_queries, n_decoders=None)
        n_decoders = table.shape[1] if has_decoders(table) else 1
        if n_decoders != self._n_decoders:
            raise ValueError(
                f"rewards of shape {table.shape} have {n_decoders} decoders, but this "
                f"{type(self).__name__} was fitted on {self._n_decoders}. Give the "
                "same decoders in the same order; NaN marks samples that are missing."
            )
        names, fitted = table.decoders, self._decoder_names
        if names and fitted and names != fitted:
            raise ValueError(
                f"rewards has the decoders {names}, but this {type(self).__name__} was "
                f"fitted on {fitted}. Give the same decoders in the same order."
            )
        return table


class MenuDecisionMixin:
    """The part of `RegressorAllocator` that decides over several decoders."""

    def _menu_decision(self, X):
        """Budgets (n_queries, n_decoders), and what they were decided by."""
        weights, costs = self._predict_scores(X), self._predict_costs(X)
        menu = self._open_menu(weights, costs)
        return menu_decision(
            menu,
            self._decide_by(X, weights, costs),
            self._menu_price(menu),
            names=self._decoder_names or range(self._n_decoders),
            in_cost=costs is not None,
            empty_reward=self.empty_reward,
            **self._words,
        )

    def _menu_price(self, menu):
        """Chance of success per cost at which the budget is spent."""
        return menu_price(menu, self._check_budget()[0], self.unit)

    def _open_menu(self, weights, costs, available=None):
        """What is known of a batch whose queries several decoders can answer."""
        _, min_budget, max_budget = self._check_budget()
        profiles = np.clip(self.regressor_.profiles_, LEAST_RATE, 1 - LEAST_RATE)
        return open_menu(
            weights, profiles, costs, min_budget, max_budget, available=available
        )

    def _allocate_menu(self, weights, costs):
        """Budgets (n_queries, n_decoders) that are fixed in advance."""
        budget, _, _ = self._check_budget()
        return allocate_menu(self._open_menu(weights, costs), budget, self.unit)


def check_every_decoder(rewards):
    """Raise if a decoder has no sample at all, so that nothing is known of it."""
    missing = np.isnan(rewards).all(axis=(0, 2))
    if missing.any():
        raise ValueError(
            f"rewards has no sample of decoder {np.flatnonzero(missing)[0]}: only NaN. "
            "Grade some of its answers, or leave it out of the table."
        )


def choose_profiles(regressor):
    """Set the target of a regressor that would choose it by the table."""
    known = regressor.get_params() if hasattr(regressor, "get_params") else {}
    if known.get("target") == "auto" and not isinstance(regressor, FrozenEstimator):
        regressor.set_params(target="rate_profiles")


def check_profiles(regressor, n_decoders):
    """Raise if a regressor does not predict profiles of that many decoders."""
    profiles = getattr(regressor, "profiles_", None)
    if profiles is None or profiles.shape[1] != n_decoders:
        found = "no profiles" if profiles is None else f"{profiles.shape[1]} decoders"
        raise ValueError(
            f"regressor={regressor!r} learnt {found}, but the table has {n_decoders} "
            "decoders, each with a budget of its own. Expected a regressor with "
            "target='rate_profiles', fitted on the same decoders."
        )
