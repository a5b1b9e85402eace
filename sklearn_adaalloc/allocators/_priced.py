"""One price for all samples: each query gets the samples that are worth the price."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_adaalloc.allocators._calibrated import CalibratedAllocator
from sklearn_adaalloc.allocators._coins import share_out, tied_budgets
from sklearn_adaalloc.allocators._menus import follow_menu, menu_rule
from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.planning._prices import (
    money_left,
    price_of_budget,
    steps_at_price,
    tie_below,
)
from sklearn_adaalloc.planning._solvers import count_steps


class PricedAllocator(CalibratedAllocator):
    r"""Give each query the samples whose predicted marginal reward is above a price.

    `fit` trains the regressor on one part of the queries. On the other, held-out part
    it finds the price at which the budget is spent. `predict` then decides for each
    query alone, as a stream of queries requires. The allocator assumes that new queries
    are like those of `fit`. Then it keeps the budget on average. The budgets of
    `AdaptiveAllocator` have the same form, with the price of the batch (Eq. 5).

    `BinnedAllocator` uses predictions only to order queries. This allocator assumes
    that the values of the predicted curves are right. It can therefore distinguish
    queries that would share a bin.

    Parameters
    ----------
    regressor : estimator, default=None
        Regressor with a method ``predict_marginals``. None means
        `MLPRewardRegressor()`. A `FrozenEstimator` is not fitted again, and then all
        queries given to `fit` are used for calibration.
    budget : float, default=1.0
        Mean number of samples per query that may be spent. It can be changed after
        `fit`.
    holdout : float, default=0.2
        Share of the queries that is held out from the regressor and used for
        calibration.
    min_budget : int or sequence of int, default=0
        Smallest number of samples that a query can get.
    max_budget : int or sequence of int, default=None
        Largest number of samples that a query can get. None means the number of
        samples in the table given to `fit`. With several decoders, these numbers are
        for each decoder; a sequence has one for each.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples of a query: the one with the highest
        reward, with the highest score, or with the most votes. The latter two need a
        :class:`~sklearn_adaalloc.RewardTable` with scores or answers. Your own rule is
        an instance of a subclass of :class:`~sklearn_adaalloc.curves.Selection`.
    unit : {"samples", "cost"}, default="samples"
        What `budget` counts. "cost" counts the unit of the costs of the
        :class:`~sklearn_adaalloc.RewardTable` given to `fit`, such as tokens: `budget`
        is then a mean cost per query, and a sample is bought if its marginal reward per
        predicted cost is high enough.
    cost_regressor : estimator, default=None
        With unit="cost", what predicts the mean cost of a query's samples. It is fitted
        with the table of costs as `y`. None means
        :class:`~sklearn_adaalloc.regressors.CostRegressor`.
    random_state : int, RandomState instance or None, default=None
        Seeds the split of the queries, the default regressor and the coins (see
        Notes). With None, the coins are the same in every fit.

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor.
    cost_regressor_ : estimator or list of estimators
        The fitted regressor of costs, with unit="cost"; of several decoders, one for
        each.
    calibration_scores_ : ndarray of shape (n_calibration, max_budget)
        Predicted marginal rewards of the calibration queries. If decoders have budgets
        of their own, predicted weights of profiles, (n_calibration, n_profiles).
    price_ : float
        Marginal reward above which a sample is bought, at the current `budget`.
    realised_budget_ : float
        Mean budget of the calibration queries, at most `budget`.
    n_queries_ : int
        Number of queries in the table given to `fit`.
    n_steps_ : int
        Number of samples per query in the table given to `fit`; 1 in routing.
    n_features_in_ : int
        Number of features, if the regressor has this attribute.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` had names.

    See Also
    --------
    BinnedAllocator : Uses one budget per bin of predicted first marginal reward.
    AdaptiveAllocator : Decides jointly for a batch and never exceeds the budget.

    Notes
    -----
    Ties: several queries may have equal predictions, while the budget pays for a
    further sample of only some of them. Then a coin decides for each query. A coin is a
    number that depends only on the content of the query and on `random_state`. The mean
    budget is therefore kept, and the same query gets the same budget in every batch.
    There is one exception. If more than a quarter of the tied calibration queries are
    identical (for example, if there are no features), identical queries are told apart
    by their position in the batch. The query of a batch of one is then always treated
    as the first.

    Examples
    --------
    >>> from sklearn_adaalloc import PricedAllocator
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> X, rewards = make_reward_table(500, 16, random_state=0, return_X_y=True)
    >>> allocator = PricedAllocator(budget=4, random_state=0).fit(X, rewards)
    >>> allocator.realised_budget_ <= 4
    True
    """

    _takes_menus = True

    def __init__(
        self,
        regressor=None,
        *,
        budget=1.0,
        holdout=0.2,
        min_budget=0,
        max_budget=None,
        empty_reward=0.0,
        selection="reward",
        unit="samples",
        cost_regressor=None,
        random_state=None,
    ):
        self.regressor = regressor
        self.budget = budget
        self.holdout = holdout
        self.min_budget = min_budget
        self.max_budget = max_budget
        self.empty_reward = empty_reward
        self.selection = selection
        self.unit = unit
        self.cost_regressor = cost_regressor
        self.random_state = random_state

    @property
    def price_(self):
        """Marginal reward above which a sample is bought, at the current `budget`."""
        check_is_fitted(self)
        return self._rule()["price"]

    def _calibrate(self, predicted, table):
        self.calibration_scores_ = predicted

    def _solve(self, budget, min_budget, max_budget):
        if self._n_decoders:
            menu = self._open_menu(self.calibration_scores_, self._predicted_costs)
            coins = self._own_coins()
            return menu_rule(menu, budget, coins, observed=self._observed_costs)
        self._check_steps(max_budget, self.calibration_scores_.shape[1])
        predicted, observed = self._predicted_costs, self._observed_costs
        marginals = self._offered(self.calibration_scores_, predicted)
        price = price_of_budget(
            marginals, budget, min_budget=min_budget, costs=observed
        )
        floor = tie_below(marginals[:, min_budget:], price)
        bought, tied = steps_at_price(marginals[:, min_budget:], price, floor)
        if observed is None:
            n_left = count_steps(budget, len(marginals), min_budget) - bought.sum()
        else:
            money = money_left(budget, observed, min_budget) - bought @ observed
            n_left = _count_payable(money, tied, observed)
        # If all tied steps are affordable, they are bought without a share.
        n_left = n_left if n_left < tied.sum() else 0
        share, by_place = share_out(tied, self._own_coins(), n_left)
        return {"price": price, "floor": floor, "share": share, "by_place": by_place}

    def _follow(self, scores, coins, costs=None):
        rule = self._rule()
        if self._n_decoders:
            return follow_menu(self._open_menu(scores, costs), rule, coins)
        _, min_budget, _ = self._check_budget()
        offered = self._offered(scores, costs)[:, min_budget:]
        bought, tied = steps_at_price(offered, rule["price"], rule["floor"])
        extra = tied_budgets(tied, coins, rule["share"], rule["by_place"])
        return min_budget + bought + extra

    def _price(self, offered, budgets):
        return self.price_

    def _menu_price(self, menu):
        rule = self._rule()
        pays_for_all = rule["price"] == rule["floor"] < np.inf
        return 0.0 if pays_for_all else rule["price"]

    def _offered(self, scores, costs):
        """Marginal rewards, per cost if the budget counts cost, repaired anew.

        `min_budget` may be lower now than in `fit`: then more steps need repair.
        """
        _, min_budget, max_budget = self._check_budget()
        offered = concave_repair(scores[:, :max_budget], min_budget=min_budget)
        return offered if costs is None else offered / costs[:, None]


def _count_payable(money, tied, costs):
    """Number of tied steps that some money pays for, at their mean cost."""
    n_tied = tied.sum()
    return int(money * n_tied // (tied @ costs)) if n_tied and money > 0 else 0
