"""Joint allocation over a batch: the paper's online method."""

from sklearn.utils._param_validation import StrOptions

from sklearn_adaalloc.allocators._joint import JointAllocator


class AdaptiveAllocator(JointAllocator):
    """Split a budget over a batch of queries by predicted marginal rewards.

    `predict` decides jointly for all queries of the batch. The queries share
    ``floor(budget * n_queries)`` samples, and each further sample goes to the query
    with the largest predicted marginal reward (Eq. 5). A query gets no sample whose
    predicted marginal reward is zero or negative.

    On a table of more than two decoders, (n_queries, n_decoders, n_samples), budgets
    have an axis of decoders, (n_queries, n_decoders). They say how many samples of each
    decoder a query gets. With two decoders this needs unit="cost" or a regressor with
    target="rate_profiles", for 0/1 rewards, or target="normal_rewards", for others.

    Parameters
    ----------
    regressor : estimator, default=None
        Regressor with a method ``predict_marginals``. None means
        `MLPRewardRegressor()`. A `FrozenEstimator` is not fitted again.
    budget : float, default=1.0
        Mean number of samples per query that may be spent. In routing, the fraction of
        queries that may go to the strong decoder. It can be changed after `fit`.
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
        Seed of the default regressor.

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor.
    cost_regressor_ : estimator or list of estimators
        The fitted regressor of costs, with unit="cost"; of several decoders, one for
        each.
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
    BinnedAllocator : Decides for each query alone and keeps the budget on average.

    References
    ----------
    Damani, Shenfeld, Peng, Bobu, Andreas, "Learning How Hard to Think: Input-Adaptive
    Allocation of LM Computation", ICLR 2025, section 3.2.

    Examples
    --------
    >>> from sklearn_adaalloc import AdaptiveAllocator
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> X, rewards = make_reward_table(300, 16, random_state=0, return_X_y=True)
    >>> allocator = AdaptiveAllocator(budget=4, random_state=0).fit(X, rewards)
    >>> bool(allocator.predict(X[:100]).sum() <= 400)
    True
    """

    _parameter_constraints = {"unit": [StrOptions({"samples", "cost"})]}

    def __init__(
        self,
        regressor=None,
        *,
        budget=1.0,
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
        self.min_budget = min_budget
        self.max_budget = max_budget
        self.empty_reward = empty_reward
        self.selection = selection
        self.unit = unit
        self.cost_regressor = cost_regressor
        self.random_state = random_state
