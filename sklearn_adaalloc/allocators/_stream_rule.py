"""What streams share: the price that spends a budget, and sessions at that price."""

from functools import cache
from hashlib import sha256

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import _safe_indexing, check_random_state

from sklearn_adaalloc._utils.rewards import has_decoders
from sklearn_adaalloc.allocators._calibrated import split_rows
from sklearn_adaalloc.allocators._coins import (
    price_factors,
    query_coins,
    separate_coins,
)
from sklearn_adaalloc.allocators._menu_session import MenuSession
from sklearn_adaalloc.allocators._regressor_allocator import RegressorAllocator
from sklearn_adaalloc.allocators._session import SequentialSession, replay
from sklearn_adaalloc.allocators._stream_drift import drift_reference
from sklearn_adaalloc.allocators._told import told_of
from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.curves._selection import resolve_selection
from sklearn_adaalloc.planning._control import spend_elasticity
from sklearn_adaalloc.planning._menu_money import MenuMoney
from sklearn_adaalloc.planning._money import (
    CostMoney,
    CostSpread,
    PricedMoney,
    SampleMoney,
    fit_cost_spread,
)
from sklearn_adaalloc.planning._prices import money_left, price_by_replay

_USEFUL = 0.98  # share of all samples that are worth anything, bought at a low price
_BELOW, _ABOVE = 4.0, 1000.0  # how far the price may go beyond what calibration needs
_TINY = 1e-30  # rewards below are as good as 0
_HIGH = 16.0  # how far above that of fit prices have their own elasticity


class CalibratedPrice(RegressorAllocator):
    """Base class of `StreamAllocator`: finds its price by replaying held-out queries.

    It has no public methods of its own. It opens sessions on queries that are decided
    alone: on one decoder by curves of marginal rewards, on several by weights of rate
    profiles or by normal rewards.
    """

    _takes_menus = True
    _solved = None

    def _fit(self, X, table):
        rewards = table.rewards
        told, rule = told_of(self.selection), resolve_selection(self.selection)
        vars(self).pop("score_rewards_", None)  # remove that of an earlier fit
        vars(self).update(told.learn(table, rule))
        self.lowest_reward_ = float(np.nanmin(rewards))
        self.highest_reward_ = float(np.nanmax(rewards))
        X = X.tocsr() if issparse(X) else X  # some sparse formats cannot select rows
        training, calibration = split_rows(self, len(table))
        super()._fit(_safe_indexing(X, training), table[training])
        self._calibrate(_safe_indexing(X, calibration), table[calibration])

    def _calibrate(self, queries, table):
        """Keep what prices are computed from, and compute that of the budget."""
        told, rule = told_of(self.selection), resolve_selection(self.selection)
        seeded = self.random_state is not None
        draw = check_random_state(self.random_state).randint
        self._coin_seed = int(draw(2**31 - 1)) if seeded else 0
        self._calibration_coins = separate_coins(query_coins(queries, self._coin_seed))
        self._calibration_told = told.numbers(table, rule)
        self._calibration_costs = self._costs_of(table)
        self._predicted_costs = self._predict_costs(queries)
        vars(self).pop("cost_spread_", None)  # remove that of an earlier fit
        if self.unit == "cost":
            self.cost_spread_ = self._fit_spread(table.costs)
        self.calibration_scores_ = self._predicted(queries)
        self.alone_ = {}
        if not self._n_decoders:
            self.alone_ = told.learn_alone(
                self, self.calibration_scores_, self._calibration_told
            )
        self._solved = None
        self._rule()

    def _fit_spread(self, costs):
        """Spread of costs around predictions; of several decoders, one for each."""
        if not self._n_decoders:
            return tuple(fit_cost_spread(costs, self._predicted_costs))
        spreads = []
        for paid, predicted in zip(
            costs.swapaxes(0, 1), self._predicted_costs.T, strict=True
        ):
            rows = np.isfinite(paid).any(axis=1)
            # Of a decoder that answered no query held out, predictions are believed.
            paid = paid[rows] if rows.any() else predicted[:, None]
            predicted = predicted[rows] if rows.any() else predicted
            spreads.append(tuple(fit_cost_spread(paid, predicted)))
        return spreads

    def _rule(self):
        """Price and its bounds at the current parameters; solve again if they changed.

        Returns a dict with `price`, `lowest`, `highest`, `elasticity` and `spends`:
        what the calibration queries spend at the price.
        """
        budget, min_budget, max_budget = self._check_budget()
        self._cap()  # raises if it does not fit
        parameters = budget, min_budget, max_budget, self.n_rounds
        if self._solved is None or self._solved[0] != parameters:
            self._solved = parameters, self._solve(budget, min_budget, max_budget)
        return self._solved[1]

    def _solve(self, budget, min_budget, max_budget):
        if not self._n_decoders:
            self._check_steps(max_budget)
        if self._calibration_costs is not None:
            self._check_money(budget, min_budget)
        replay_at = self._menu_replays() if self._n_decoders else self._replay_at

        @cache  # both searches start alike
        def spend_at(price):
            return float(replay_at(price).mean())

        scale = self._largest_value()
        useful = price_by_replay(spend_at, _USEFUL * spend_at(0.0), scale)
        price = price_by_replay(spend_at, budget, scale)
        lowest = useful / _BELOW
        price = max(price, lowest)
        return {
            "price": price,
            "lowest": lowest,
            "highest": _ABOVE * price,
            "spends": replay_at(price),
            "elasticity": spend_elasticity(spend_at, lowest, _HIGH * price, budget),
        }

    def _largest_value(self):
        """About what a unit of budget can be worth at most."""
        known = self.lowest_reward_, self.highest_reward_, self.empty_reward
        reward = max(map(abs, known)) or 1.0
        costs = self._predicted_costs
        return max(reward, _TINY) / (1.0 if costs is None else float(costs.mean()))

    def _drift_reference(self):
        """What calibration queries were like, for the drift report of a stream."""
        told = cost_ratios = None
        if self._is_told_numbers():
            told = self._calibration_told
        if self._calibration_costs is not None and not self._n_decoders:
            cost_ratios = self._calibration_costs / self._predicted_costs[:, None]
        rates = self._mean_rates(self.calibration_scores_)
        return drift_reference(rates, told, cost_ratios)

    def _learns(self):
        """Whether verdicts of a stream correct the predictions of its later queries."""
        return self.correct and self.binary_ and self._is_told_numbers()

    def _is_told_numbers(self):
        """Whether sessions are told a number for each sample, in one row per query."""
        return told_of(self.selection).is_numeric and not self._n_decoders

    def _mean_rates(self, predicted):
        """Predicted reward of a sample (n_queries,), over decoders that are alike."""
        means = self._mean_rewards(predicted)
        return means.reshape(len(means), -1).mean(axis=1)

    def _cap(self):
        """Cap of a subclass that has one."""

    def _check_steps(self, max_budget):
        n_steps = self.calibration_scores_.shape[1]
        if max_budget > n_steps:
            raise ValueError(
                f"max_budget={max_budget!r} is above the {n_steps} steps that this "
                f"{type(self).__name__} was calibrated for. Fit again with that "
                "max_budget."
            )

    def _check_money(self, budget, min_budget):
        """Raise if the budget does not pay for mandatory samples at observed costs."""
        costs = self._calibration_costs
        n_samples = np.maximum(np.isfinite(costs).sum(axis=-1), 1)
        means = np.nansum(costs, axis=-1) / n_samples
        if self._n_decoders:
            means, min_budget = means @ np.array(min_budget), 1
        money_left(budget, means, min_budget)

    def _calibration_spend(self, price):
        """Mean spend of the calibration queries at a price."""
        replay_at = self._menu_replays() if self._n_decoders else self._replay_at
        return float(replay_at(price).mean())

    def _replay_at(self, price):
        """What each calibration query spends at a price (n_calibration,)."""
        _, _, max_budget = self._check_budget()
        marginals = self.calibration_scores_[:, :max_budget]
        told = self._calibration_told
        limits = np.minimum(np.isfinite(told).sum(axis=1), max_budget)
        prices = price * price_factors(self._calibration_coins)
        session = self._open_curve_session(
            marginals, limits, self._predicted_costs, lambda: prices, replayed=True
        )
        answers = told_of(self.selection).from_numbers(told)
        replay(session, answers, self._calibration_costs)
        return session.costs

    def _menu_replays(self):
        """A function from prices to what each calibration query spends."""
        told, costs = self._calibration_told, self._calibration_costs
        available = np.isfinite(told).sum(axis=2)
        scores = self.calibration_scores_
        menu = self._open_menu(scores, self._predicted_costs, available)
        belief = menu.belief(alone=True)
        told = told.reshape(-1, told.shape[2])  # a decoder of a query is a row
        costs = None if costs is None else costs.reshape(told.shape)
        factors = price_factors(self._calibration_coins)

        def spend_at(price):
            belief.restart()  # what it planned before any sample holds at all prices
            terms = self._menu_terms(menu, lambda: price * factors)
            session = SequentialSession(belief, **terms)
            replay(session, told, costs)
            return session.costs.reshape(len(scores), -1).sum(axis=1)

        return spend_at

    def _open_session(self, predicted, limits, costs, prices, *, grant=None, **options):
        """Open a session on queries that are decided alone, at their prices.

        `predicted` are marginal rewards and `limits` the largest number of samples of
        each query. On several decoders, they are weights of profiles and the number of
        samples that each decoder can give (None: as many as are asked for).
        """
        if not self._n_decoders:
            return self._open_curve_session(
                predicted, limits, costs, prices, grant=grant, **options
            )
        menu = self._open_menu(predicted, costs, limits)
        terms = self._menu_terms(menu, prices, grant)
        return MenuSession(menu.belief(alone=True), menu.limits.shape, **terms)

    def _open_curve_session(
        self, marginals, limits, costs, prices, *, grant=None, **options
    ):
        _, min_budget, _ = self._check_budget()
        if costs is None:
            money = SampleMoney(np.inf, np.zeros(len(limits), dtype=np.int64))
        else:
            money = CostMoney(np.inf, costs, CostSpread(*self.cost_spread_))
        terms = {
            "budget": None,
            "n_rounds": self.n_rounds,
            "min_budget": min_budget,
            "money": PricedMoney(money, prices, grant),
        }
        told = told_of(self.selection)
        return told.open(self, marginals, limits, terms, alone=True, **options)

    def _menu_terms(self, menu, prices, grant=None):
        """Terms of a session on several decoders, at the prices of its queries."""
        n_decoders = menu.limits.shape[1]
        if self.unit == "samples":
            zeros = np.zeros(menu.limits.size, dtype=np.int64)
            money = SampleMoney(np.inf, zeros)
        else:
            spreads = [CostSpread(*spread) for spread in self.cost_spread_]
            money = MenuMoney(np.inf, menu.costs, spreads)
        return {
            "budget": None,
            "n_rounds": self.n_rounds,
            "min_budget": menu.mandatory.ravel(),
            "empty_reward": self.empty_reward,
            "money": PricedMoney(money, lambda: prices().repeat(n_decoders), grant),
        }

    def _predicted(self, X):
        """What sessions decide by: weights of profiles, or curves.

        The first marginal reward is not repaired, so it is the mean reward.
        """
        if self._n_decoders:
            return self._predict_scores(X)
        return self._predict_marginals(X, least=1)

    def _allocate(self, scores, costs=None):
        if self._n_decoders:
            plan, _ = self._open_menu(scores, costs).planner()
            return plan(self.price_)
        _, min_budget, _ = self._check_budget()
        offered = concave_repair(scores, min_budget=min_budget)[:, min_budget:]
        offered = offered if costs is None else offered / costs[:, None]
        return min_budget + (offered > self.price_).sum(axis=1)

    def _in_blocks(self):
        """None: each query is decided alone."""

    def _price(self, offered, budgets):
        return self.price_

    def _menu_price(self, menu):
        return self.price_

    def _is_menu(self, rewards):
        return has_decoders(rewards)

    def _identity(self):
        """Digest of what the price of a stream refers to: unit and calibration."""
        rule = type(resolve_selection(self.selection)).__name__
        digest = sha256(f"{self.unit} {rule}".encode())
        for values in (self.calibration_scores_, self._calibration_told):
            digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
        return digest.hexdigest()
