"""One price for every sample: each query buys what is worth it."""

from sklearn.utils.validation import check_is_fitted

from sklearn_adaalloc.allocators._calibrated import CalibratedAllocator
from sklearn_adaalloc.allocators._coins import share_out, tied_budgets
from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.planning._prices import _count_steps, price_of_budget, tie_below
from sklearn_adaalloc.planning._solvers import count_steps


class PricedAllocator(CalibratedAllocator):
    r"""Give each query the samples whose predicted marginal reward is above a price.

    `fit` trains the regressor on one part of the queries and finds, on the other, the
    price at which the budget is spent. So each query is decided alone, as queries of a
    stream must be, and the budget is kept on average over queries like those of `fit`.
    The answer of `AdaptiveAllocator` to a batch has this form too, with the price of
    the batch (Eq. 5).

    Where `BinnedAllocator` trusts predictions to order queries only, this takes the
    predicted curves at their word, and tells apart queries that a bin would join.

    Parameters
    ----------
    regressor : estimator, default=None
        Regressor with a method ``predict_marginals``; None means
        `MLPRewardRegressor()`. A `FrozenEstimator` is used as it is, and every query of
        `fit` then serves for calibration.
    budget : float, default=1.0
        Mean number of samples per query that may be spent. May be changed after `fit`.
    holdout : float, default=0.2
        Share of the queries kept from the regressor for calibration.
    min_budget : int, default=0
        Least number of samples of any query.
    max_budget : int, default=None
        Largest number of samples of any query; None for the number of samples in the
        table of `fit`.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.
    selection : {"reward"} or Selection, default="reward"
        How an answer is chosen among the samples of a query. "reward" takes the one
        with the highest reward. A rule of your own is an instance of a class derived
        from :class:`~sklearn_adaalloc.curves.Selection`.
    random_state : int, RandomState instance or None, default=None
        Seeds the split of the queries, the default regressor and coins, which are the
        same each time with None.

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor.
    calibration_scores_ : ndarray of shape (n_calibration, max_budget)
        Predicted marginal rewards of the calibration queries.
    price_ : float
        Marginal reward above which a sample is bought, at the current `budget`.
    realised_budget_ : float
        Mean budget of the calibration queries, at most `budget`.
    n_queries_ : int
        Number of queries in the table of `fit`.
    n_steps_ : int
        Number of samples in the table of `fit`, 1 for a routing table.
    n_features_in_ : int
        Number of features, where the regressor counts them.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features, where `X` had any.

    See Also
    --------
    BinnedAllocator : One budget for each bin of predicted first marginal reward.
    AdaptiveAllocator : Joint over a batch, never over budget.

    Notes
    -----
    Queries that the rule cannot tell apart, but the budget does not pay for all alike,
    are told apart by a coin: a number that the content of each and `random_state`
    determine, so that the mean budget is kept and the same query gets the same budget
    in any batch. Only where more than a quarter of such queries of calibration are one
    and the same, as without any features, does the place in the batch tell equal ones
    apart; a batch of one is then the first each time.

    Examples
    --------
    >>> from sklearn_adaalloc import PricedAllocator
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> X, rewards = make_reward_table(500, 16, random_state=0, return_X_y=True)
    >>> allocator = PricedAllocator(budget=4, random_state=0).fit(X, rewards)
    >>> allocator.realised_budget_ <= 4
    True
    """

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
        random_state=None,
    ):
        self.regressor = regressor
        self.budget = budget
        self.holdout = holdout
        self.min_budget = min_budget
        self.max_budget = max_budget
        self.empty_reward = empty_reward
        self.selection = selection
        self.random_state = random_state

    @property
    def price_(self):
        """Marginal reward above which a sample is bought, at the current `budget`."""
        check_is_fitted(self)
        return self._rule()["price"]

    def _calibrate(self, predicted, rewards):
        self.calibration_scores_ = predicted

    def _solve(self, budget, min_budget, max_budget):
        self._check_steps(max_budget, self.calibration_scores_.shape[1])
        # Less may be mandatory now than in `fit`, and more is then to be repaired.
        marginals = concave_repair(
            self.calibration_scores_[:, :max_budget], min_budget=min_budget
        )
        price = price_of_budget(marginals, budget, min_budget=min_budget)
        floor = tie_below(marginals[:, min_budget:], price)
        bought, tied = _count_steps(marginals[:, min_budget:], price, floor)
        n_left = count_steps(budget, len(marginals), min_budget) - bought.sum()
        n_left = n_left if n_left < tied.sum() else 0  # all that is worth it is bought
        share, by_place = share_out(tied, self._own_coins(), n_left)
        return {"price": price, "floor": floor, "share": share, "by_place": by_place}

    def _follow(self, scores, coins):
        rule = self._rule()
        _, min_budget, max_budget = self._check_budget()
        # Those of calibration may date from a larger min_budget.
        scores = concave_repair(scores[:, :max_budget], min_budget=min_budget)
        bought, tied = _count_steps(
            scores[:, min_budget:], rule["price"], rule["floor"]
        )
        extra = tied_budgets(tied, coins, rule["share"], rule["by_place"])
        return min_budget + bought + extra
