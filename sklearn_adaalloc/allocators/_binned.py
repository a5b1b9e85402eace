"""A fixed budget for each bin of predicted difficulty: the paper's offline method."""

import numpy as np
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_adaalloc._utils.parameters import POSITIVE_COUNT
from sklearn_adaalloc.allocators._calibrated import CalibratedAllocator
from sklearn_adaalloc.allocators._coins import share_out, tied_budgets
from sklearn_adaalloc.allocators._explanation import price_paid
from sklearn_adaalloc.curves._repair import concave_repair
from sklearn_adaalloc.curves._reward_curves import extended_marginals
from sklearn_adaalloc.planning._bins import bin_edges, bin_means
from sklearn_adaalloc.planning._solvers import allocate_bins, count_steps


class BinnedAllocator(CalibratedAllocator):
    """Give each query the budget of its bin of predicted first marginal reward.

    `fit` trains the regressor on one part of the queries. The other part is held out
    and divided into bins by predicted first marginal reward. In each bin, the mean
    *observed* reward curve is computed. It is shrunk towards the mean predicted curve
    if the bin has few queries. Then the budget problem is solved with one budget per
    bin. If the rest of the budget is too small for a further step of a whole bin, some
    of its queries get that step. `predict` then decides for each query alone. The
    allocator assumes that new queries are like those of `fit`. Then it keeps the budget
    on average.

    Parameters
    ----------
    regressor : estimator, default=None
        Regressor with a method ``predict_marginals``. None means
        `MLPRewardRegressor()`. A `FrozenEstimator` is not fitted again, and then all
        queries given to `fit` are used for calibration.
    budget : float, default=1.0
        Mean number of samples per query that may be spent. It can be changed after
        `fit`.
    n_bins : int, default=10
        Number of bins. There are fewer if predictions are tied.
    strategy : {"quantile", "uniform"}, default="quantile"
        "quantile" makes bins with equal numbers of queries. "uniform" makes bins of
        equal width.
    holdout : float, default=0.2
        Share of the queries that is held out from the regressor and used for
        calibration.
    min_budget : int, default=0
        Smallest number of samples that a query can get.
    max_budget : int, default=None
        Largest number of samples that a query can get. None means the number of
        samples in the table given to `fit`.
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
    cost_regressor_ : estimator
        The fitted regressor of costs, with unit="cost".
    bin_edges_ : ndarray of shape (n_bins - 1,)
        Inner edges of the bins. A value on an edge belongs to the bin above the edge.
    bin_sizes_ : ndarray of shape (n_bins,)
        Number of calibration queries in each bin.
    bin_marginals_ : ndarray of shape (n_bins, max_budget)
        Mean marginal rewards of each bin, repaired to be non-increasing after the first
        `min_budget` steps.
    bin_budgets_ : ndarray of shape (n_bins,)
        Smallest budget of a query in each bin, at the current `budget`.
    calibration_scores_ : ndarray of shape (n_calibration, 1)
        Predicted first marginal rewards of the calibration queries.
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
    PricedAllocator : Uses one price for all samples instead of bins.
    AdaptiveAllocator : Decides jointly for a batch and never exceeds the budget.

    Notes
    -----
    Ties: the rule treats queries of the same bin alike, while the budget may pay for a
    further sample of only some of them. Then a coin decides for each query. A coin is a
    number that depends only on the content of the query and on `random_state`. The mean
    budget is therefore kept, and the same query gets the same budget in every batch.
    There is one exception. If more than a quarter of the tied calibration queries are
    identical (for example, if there are no features), identical queries are told apart
    by their position in the batch. The query of a batch of one is then always treated
    as the first.

    The first marginal reward orders queries well if rewards are 0 or 1. With
    real-valued rewards and ``min_budget=1`` it is the mean reward, which may say little
    about the gain from more samples. In that case, compare with `PricedAllocator`.

    References
    ----------
    Damani, Shenfeld, Peng, Bobu, Andreas, "Learning How Hard to Think: Input-Adaptive
    Allocation of LM Computation", ICLR 2025, section 3.2.

    Examples
    --------
    >>> from sklearn_adaalloc import BinnedAllocator
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> X, rewards = make_reward_table(500, 16, random_state=0, return_X_y=True)
    >>> allocator = BinnedAllocator(budget=4, random_state=0).fit(X, rewards)
    >>> allocator.realised_budget_ <= 4
    True
    """

    _bin_costs = None  # of policies that were pickled by earlier versions
    _parameter_constraints = CalibratedAllocator._parameter_constraints | {
        "n_bins": POSITIVE_COUNT,
        "strategy": [StrOptions({"quantile", "uniform"})],
    }

    def __init__(
        self,
        regressor=None,
        *,
        budget=1.0,
        n_bins=10,
        strategy="quantile",
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
        self.n_bins = n_bins
        self.strategy = strategy
        self.holdout = holdout
        self.min_budget = min_budget
        self.max_budget = max_budget
        self.empty_reward = empty_reward
        self.selection = selection
        self.unit = unit
        self.cost_regressor = cost_regressor
        self.random_state = random_state

    @property
    def bin_budgets_(self):
        """Smallest budget of a query in each bin, at the current `budget`."""
        check_is_fitted(self)
        return self._rule()["budgets"].copy()

    _words = {"among": "on average in its bin of similar queries, "}

    def _weigh(self, marginals, costs):
        """Mean marginal rewards of each query's bin, and the same per cost there."""
        bins = np.digitize(marginals[:, 0], self.bin_edges_)
        return self._bin_curves()[bins], self._offered_bins()[bins]

    def _price(self, offered, budgets):
        """Value per cost of the last step that a bin, or a part of one, got."""
        rule = self._rule()
        _, min_budget, _ = self._check_budget()
        steps = rule["budgets"].copy()
        steps[rule["split"]] += rule["share"] > 0
        return price_paid(self._offered_bins(), steps, min_budget=min_budget)

    def _offered_bins(self):
        """Marginal rewards of each bin, per cost if the budget counts cost."""
        costs = self._bin_costs
        return self._bin_curves() / (1 if costs is None else costs[:, None])

    def _bin_curves(self):
        """Marginal rewards of each bin.

        If `min_budget` is smaller now than in `fit`, more steps must be repaired.
        """
        _, min_budget, max_budget = self._check_budget()
        self._check_steps(max_budget, self.bin_marginals_.shape[1])
        return concave_repair(
            self.bin_marginals_[:, :max_budget], min_budget=min_budget
        )

    def _calibrate(self, predicted, table):
        """Divide the calibration queries into bins and keep each bin's mean curve."""
        self.calibration_scores_ = predicted[:, :1]
        self.bin_edges_ = bin_edges(predicted[:, 0], self.n_bins, self.strategy)
        bins = np.digitize(predicted[:, 0], self.bin_edges_)
        self.bin_sizes_ = np.bincount(bins)
        self._bin_costs = None
        costs = self._observed_costs
        if costs is not None:
            self._bin_costs = np.bincount(bins, costs) / self.bin_sizes_
        observed = extended_marginals(
            table,
            predicted.shape[1],
            empty_reward=self.empty_reward,
            selection=self.selection,
        )
        self.bin_marginals_ = concave_repair(
            bin_means(observed, predicted, bins), min_budget=self.min_budget
        )

    def _solve(self, budget, min_budget, max_budget):
        marginals = self._bin_curves()
        sizes, costs = self.bin_sizes_, self._bin_costs
        budgets = allocate_bins(
            marginals, sizes, budget, min_budget=min_budget, costs=costs
        )
        # The rest of the budget is too small for a step of a whole bin. It goes to some
        # queries of one bin.
        following = np.column_stack([marginals, np.zeros(len(sizes))])
        following = following[np.arange(len(sizes)), budgets]
        if costs is None:
            split = int(following.argmax())
            n_left = count_steps(budget, sizes.sum(), 0) - sizes @ budgets
        else:
            split = int((following / costs).argmax())
            money = budget * sizes.sum() - (sizes * costs) @ budgets
            n_left = int(max(money, 0.0) // costs[split])
        tied = self._in_bin(self.calibration_scores_, split)
        n_left = n_left if following[split] > 0 else 0
        share, by_place = share_out(tied, self._own_coins(), n_left)
        return {
            "budgets": budgets,
            "split": split,
            "share": share,
            "by_place": by_place,
        }

    def _follow(self, scores, coins, costs=None):
        rule = self._rule()
        bins = np.digitize(scores[:, 0], self.bin_edges_)
        tied = self._in_bin(scores, rule["split"])
        extra = tied_budgets(tied, coins, rule["share"], rule["by_place"])
        return rule["budgets"][bins] + extra

    def _in_bin(self, scores, bin_):
        """1 for each query in the bin, else 0."""
        return (np.digitize(scores[:, 0], self.bin_edges_) == bin_).astype(np.int64)
