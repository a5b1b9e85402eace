"""Budgets in rounds: the rewards of each round decide the next."""

import numpy as np
from scipy.sparse import issparse
from sklearn.model_selection import cross_val_predict
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_adaalloc._utils.parameters import OPTIONAL_COUNT, check_parameters
from sklearn_adaalloc._utils.rewards import has_decoders
from sklearn_adaalloc.allocators._joint import JointAllocator
from sklearn_adaalloc.allocators._menu_session import MenuSession, replay_menu
from sklearn_adaalloc.allocators._menus import (
    menu_money,
    refuse_available,
    samples_available,
)
from sklearn_adaalloc.allocators._session import replay
from sklearn_adaalloc.allocators._told import told_of
from sklearn_adaalloc.curves._reward_curves import expected_rewards
from sklearn_adaalloc.curves._selection import fields_of, resolve_selection
from sklearn_adaalloc.curves._table import as_table
from sklearn_adaalloc.planning._menu_money import MenuMoney
from sklearn_adaalloc.planning._money import (
    CostMoney,
    CostSpread,
    SampleMoney,
    fit_cost_spread,
)


class SequentialAllocator(JointAllocator):
    """Split a budget over a batch in rounds, using the rewards of earlier rounds.

    Use it if a verifier can grade answers during decoding, or if they are voted on.
    Then an allocation that is fixed in advance loses most of the possible savings.
    `start` opens a session on a batch. The session asks for samples of each query,
    receives their rewards, scores or answers, and asks again, until no round or no
    budget is left.

    - For 0/1 rewards, a solved query gets no more samples. The samples that it did not
      need go to the other queries. The predicted curves are sufficient for this: they
      say how the chance of success falls with each failure. Assumes that the samples of
      a query are exchangeable. The rewards of the batch also correct predictions that
      are too optimistic, or that differ too much between queries.
    - For real-valued rewards, samples go to the queries whose best reward is expected
      to improve most. Assumes that the rewards of a query are normal. Its own samples
      update the mean and the standard deviation.
    - With ``selection="vote"`` the session is told answers, and samples go to the
      queries whose leading answer is most likely to be corrected by them. A query stops
      once its lead is as good as decided. Predictions say where votes will disagree.
    - With ``selection="score"`` the session is told scores. `fit` learns what reward a
      score promises, and the rest is as for real-valued rewards. Where higher scores
      promise no more, a query stops.
    - On a table of several decoders with 0/1 rewards, a session also says who answers
      next: the decoder with the highest chance of success per cost. A failure of one
      also changes what is expected of the others.
    - With real-valued rewards, it is the decoder that is expected to improve the best
      reward most, per cost. Assumes that the rewards of each decoder are normal, and
      that their means are, too. The means correlate: a poor answer of one decoder
      lowers what is expected of the others.

    `predict` returns the one-shot allocation for the same predictions.

    Parameters
    ----------
    regressor : estimator, default=None
        Regressor with a method ``predict_marginals``. None means
        `MLPRewardRegressor()`. A `FrozenEstimator` is not fitted again.
    budget : float, default=1.0
        Mean number of samples per query that may be spent in all rounds together; with
        ``unit="cost"``, their mean cost. It can be changed after `fit`.
    n_rounds : int or None, default=4
        Largest number of rounds. None means one sample of a query at a time, always for
        the query with the highest chance of success. This saves most and takes the most
        rounds. Votes are then asked for in parts of a sixteenth of the money left.
    min_budget : int or sequence of int, default=0
        Smallest number of samples that every query gets in the first round.
    max_budget : int or sequence of int, default=None
        Largest number of samples that a query can get over all rounds. None means the
        number of samples in the table given to `fit`. With several decoders, these
        numbers are for each decoder; a sequence has one for each.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. For 0/1 rewards, rounds are planned as if
        it were 0.
    selection : {"reward", "score", "vote"} or MostVotes, default="reward"
        How an answer is chosen among the samples of a query, and so what a session is
        told. The latter two need a :class:`~sklearn_adaalloc.RewardTable` with scores
        or answers. ``MostVotes(key=...)`` says which answers are the same.
    unit : {"samples", "cost"}, default="samples"
        Unit of `budget`. "cost" needs a :class:`~sklearn_adaalloc.RewardTable` with
        costs in `fit`, and a session that is told what its samples cost. Samples then
        go where a reward is expected for the least cost. No round starts that the
        money left cannot be expected to pay, with a reserve of three standard errors of
        what its samples cost. A batch therefore spends slightly less than the budget,
        and hardly ever more.
    cost_regressor : estimator, default=None
        Predicts the cost of a sample of each query, for ``unit="cost"``. None means
        :class:`~sklearn_adaalloc.regressors.CostRegressor`.
    random_state : int, RandomState instance or None, default=None
        Seed of the default regressor.

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor.
    binary_ : bool
        Whether sessions are told 0/1 rewards, as those of `fit` were.
    lowest_reward_, highest_reward_ : float
        Lowest and highest reward of `fit`. No reward is expected to be higher.
    score_rewards_ : tuple of two ndarrays
        Scores and the rewards that they promise, with ``selection="score"``.
    cost_regressor_ : estimator or list of estimators
        The fitted regressor of costs, if the budget counts them; of several decoders,
        one for each.
    cost_spread_ : tuple of four float
        Variance of costs around their predictions, if the budget counts them: a factor
        and a power of the prediction, for the means of queries and for samples of one
        query. Cross-validated. With several decoders, a list with one for each.
    n_queries_ : int
        Number of queries in the table given to `fit`.
    n_steps_ : int
        Number of samples per query in the table given to `fit`.
    n_features_in_ : int
        Number of features, if the regressor has this attribute.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` had names.

    See Also
    --------
    AdaptiveAllocator : Decides all budgets before decoding.

    Examples
    --------
    >>> from sklearn_adaalloc import SequentialAllocator
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> X, rewards = make_reward_table(400, 16, random_state=0, return_X_y=True)
    >>> allocator = SequentialAllocator(budget=4, random_state=0)
    >>> allocator = allocator.fit(X[:300], rewards[:300])
    >>> session = allocator.start(X[300:])
    >>> budgets = session.ask()  # samples wanted now, (100,)
    >>> session.tell([row[:b] for row, b in zip(rewards[300:], budgets)])
    >>> bool(session.budgets.sum() == budgets.sum())
    True
    """

    _parameter_constraints = {
        "n_rounds": OPTIONAL_COUNT,
        "unit": [StrOptions({"samples", "cost"})],
    }
    _words = {"plan": " in the one-shot plan, before any round"}

    def __init__(
        self,
        regressor=None,
        *,
        budget=1.0,
        n_rounds=4,
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
        self.n_rounds = n_rounds
        self.min_budget = min_budget
        self.max_budget = max_budget
        self.empty_reward = empty_reward
        self.selection = selection
        self.unit = unit
        self.cost_regressor = cost_regressor
        self.random_state = random_state

    def start(self, X, *, available=None):
        """Open a session on a batch of queries.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Queries in a form that the regressor accepts.
        available : array-like of shape (n_queries, n_decoders), default=None
            On a table of several decoders: which of them can answer each query, True or
            False. None means all.

        Returns
        -------
        session : SequentialSession, MenuSession, ScoreSession or VoteSession
            Asks for samples and receives their rewards, scores or answers. With several
            decoders it is a MenuSession.

        Raises
        ------
        ValueError
            If a parameter is out of its range, such as a budget below min_budget, or
            `available` does not fit.
        """
        check_is_fitted(self)
        if self._n_decoders:
            size = _num_samples(X), self._n_decoders
            return self._open_menu_session(X, samples_available(available, *size))
        refuse_available(available)
        marginals = self._curves(X)
        limits = np.full(len(marginals), marginals.shape[1])
        return self._open_session(marginals, limits, self._predict_costs(X))

    def score(self, X, y):
        """Mean reward of a session that is simulated on graded samples.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Queries in a form that the regressor accepts.
        y : array-like of shape (n_queries, n_samples)
            Reward table of these queries. The samples of a row are used in order, each
            once. A query gets at most as many samples as its row holds. With another
            `selection` or ``unit="cost"``, a :class:`~sklearn_adaalloc.RewardTable`
            with what it needs.

        Returns
        -------
        score : float
            Mean over queries of the best reward that each query got, or of the reward
            of the answer with the highest score or with most votes, ties shared.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `y` is not a reward table, has other decoders than that of `fit`, or has
            another number of queries than `X`. Also if it lacks the scores, answers or
            costs that are needed.
        """
        session = self._replay(X, y)
        if self._n_decoders:
            return float(session.best_rewards.mean())
        got = expected_rewards(
            as_table(y).head(session.budgets),
            session.budgets,
            empty_reward=self.empty_reward,
            selection=self.selection,
        )
        return float(got.mean())

    def _replay(self, X, y):
        """A session that was simulated to its end."""
        check_is_fitted(self)
        if self._n_decoders:
            table = self._check_menu(y, n_queries=_num_samples(X))
            costs = self._costs_of(table)
            n_samples = np.isfinite(table.rewards).sum(axis=2)
            session = self._open_menu_session(X, n_samples)
            replay_menu(session, table.rewards, costs)
            return session
        marginals = self._curves(X)
        table = as_table(y, n_queries=len(marginals))
        self._check_table(table.rewards)
        fields_of(resolve_selection(self.selection), table)  # raises if one is missing
        costs = self._costs_of(table)
        n_samples = np.isfinite(table.rewards).sum(axis=-1)
        limits = np.minimum(n_samples, marginals.shape[1])
        session = self._open_session(marginals, limits, self._predict_costs(X))
        replay(session, told_of(self.selection).read(table), costs)
        return session

    def _curves(self, X):
        """Marginal rewards; the first is not repaired, so it is the mean reward."""
        check_is_fitted(self)
        return self._predict_marginals(X, least=1)

    def _open_session(self, marginals, limits, costs):
        budget, min_budget, _ = self._check_budget()
        check_parameters(self)
        terms = {"budget": budget, "n_rounds": self.n_rounds, "min_budget": min_budget}
        if costs is not None:
            spread = CostSpread(*self.cost_spread_)
            terms["money"] = CostMoney(budget, costs, spread, min_budget=min_budget)
        return told_of(self.selection).open(self, marginals, limits, terms)

    def _open_menu_session(self, X, available):
        """A session in which each decoder has at most so many samples available."""
        budget, _, _ = self._check_budget()
        check_parameters(self)
        costs = self._predict_costs(X)
        menu = self._open_menu(self._checked_scores(X), costs, available)
        money = menu_money(menu, budget, self.unit)  # raises if it does not suffice
        if costs is None:
            money = SampleMoney(money, np.zeros(menu.limits.size, dtype=np.int64))
        else:
            spreads = [CostSpread(*spread) for spread in self.cost_spread_]
            money = MenuMoney(budget, menu.costs, spreads)
        return MenuSession(
            menu.belief(),
            menu.limits.shape,
            budget=budget,
            n_rounds=self.n_rounds,
            empty_reward=self.empty_reward,
            money=money,
        )

    def _is_menu(self, rewards):
        return has_decoders(rewards)

    def _fit(self, X, table):
        rewards = table.rewards
        learnt = told_of(self.selection).learn(table, resolve_selection(self.selection))
        vars(self).pop("score_rewards_", None)  # remove that of an earlier fit
        vars(self).update(learnt)
        self.lowest_reward_ = float(np.nanmin(rewards))
        self.highest_reward_ = float(np.nanmax(rewards))
        super()._fit(X, table)

    def _fit_costs(self, X, table):
        vars(self).pop("cost_spread_", None)  # remove that of an earlier fit
        super()._fit_costs(X, table)
        if self.unit == "cost" and self._n_decoders:
            self.cost_spread_ = [
                tuple(self._decoder_spread(X, *pair))
                for pair in zip(
                    table.costs.swapaxes(0, 1), self.cost_regressor_, strict=True
                )
            ]
        elif self.unit == "cost":
            self.cost_spread_ = tuple(
                self._cross_validated_spread(X, table.costs, self.cost_regressor_)
            )

    def _decoder_spread(self, X, costs, regressor):
        """Spread of the costs of one decoder, from the queries that it answered."""
        rows = np.flatnonzero(np.isfinite(costs).any(axis=1))
        X = X.tocsr() if issparse(X) else X  # some sparse formats cannot select rows
        X = _safe_indexing(X, rows)
        return self._cross_validated_spread(X, costs[rows], regressor)

    def _cross_validated_spread(self, X, costs, fitted):
        n_folds = min(5, len(costs))
        if n_folds < 2:
            predicted = fitted.predict(X)
        else:
            regressor = self._new_cost_regressor()
            predicted = cross_val_predict(regressor, X, costs, cv=n_folds)
        return fit_cost_spread(costs, self._check_costs(predicted, len(costs)))

    def _check_table(self, rewards):
        if has_decoders(rewards):
            raise ValueError(
                f"rewards of shape {rewards.shape} have an axis of decoders, but this "
                "SequentialAllocator was fitted on a table of one. Give the samples of "
                "one decoder, shape (n_queries, n_samples)."
            )
