"""Budgets on a stream: each query is decided alone, and its verdicts are used."""

from copy import copy
from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_adaalloc._utils.parameters import (
    FLAG,
    MOST,
    OPTIONAL_COUNT,
    POSITIVE,
    PROPER_SHARE,
    check_parameters,
)
from sklearn_adaalloc.allocators._coins import query_coins
from sklearn_adaalloc.allocators._menu_session import best_so_far, replay_menu
from sklearn_adaalloc.allocators._open_stream import Stream
from sklearn_adaalloc.allocators._session import replay
from sklearn_adaalloc.allocators._stream_cap import StreamCap
from sklearn_adaalloc.allocators._stream_rule import CalibratedPrice
from sklearn_adaalloc.allocators._stream_state import new_state
from sklearn_adaalloc.allocators._told import told_of
from sklearn_adaalloc.curves._reward_curves import expected_rewards
from sklearn_adaalloc.curves._selection import resolve_selection
from sklearn_adaalloc.curves._table import as_table
from sklearn_adaalloc.planning._control import StreamState
from sklearn_adaalloc.planning._recent import nothing_recent


class StreamAllocator(CalibratedPrice):
    r"""Decide each query of a stream alone, use its verdicts, and keep the budget.

    `open` gives a :class:`Stream`. Its method ``start`` opens a session on a query when
    it arrives, however many others are open. The session asks for samples, receives
    their rewards, scores or answers, and asks again, as long as the next sample is
    worth its price: the chance that it solves the query, or the improvement that it is
    expected to bring, per unit of budget. No batch is needed. The price is all that the
    queries of a stream share.

    `fit` finds the price at which the budget is spent, by replaying queries that it
    holds out. New queries are never quite like those. Therefore the price then follows
    what is spent. After each query that spent s of a budget B, it moves by

    .. math::
        \log t \leftarrow \log t + \frac{1}{e T} \left( \frac{s - B}{B}
        + \frac{D}{4 T} \right)

    where D is what all queries spent too much so far, counted in budgets. e is the
    elasticity of spend: by how much it falls, relatively, if the price rises; `fit`
    measures it. T is the time constant: 1 / `gain` queries, plus twice the number of
    those that are open at a time. So the budget holds over some T queries, and over all
    of them, even if queries become harder or easier. The price stays between a quarter
    of the price at which nearly all samples that are worth anything are bought, and
    1000 times the price of `fit`. What cannot be spent is made up for later only up to
    2 T budgets.

    On a table of several decoders, a session also says who answers next: the decoder on
    the best order of all decoders, of all but one, or of one, until no further sample
    is worth its price. A failure of one decoder, or a poor reward, also changes what is
    expected of the others.

    `predict` returns the samples whose marginal reward is above the price of `fit`: a
    decision before decoding, without verdicts, which spends another mean budget than a
    stream.

    Parameters
    ----------
    regressor : estimator, default=None
        Regressor with a method ``predict_marginals``. None means
        `MLPRewardRegressor()`. A `FrozenEstimator` is not fitted again, and then all
        queries given to `fit` are used for calibration.
    budget : float, default=1.0
        Mean number of samples per query that may be spent; with ``unit="cost"``, their
        mean cost. It can be changed after `fit`.
    n_rounds : int or None, default=None
        Largest number of rounds of a query: the bound on its latency. None means one
        sample at a time, which saves most. With a number, several samples are asked
        for at once, and a query waits for no more than so many answers, one after
        another. A dynamic programme then says how many samples each round has.
    holdout : float, default=0.2
        Share of the queries that is held out from the regressor and used to find the
        price.
    min_budget : int or sequence of int, default=0
        Smallest number of samples that every query gets in its first round.
    max_budget : int or sequence of int, default=None
        Largest number of samples that a query can get over all rounds. None means the
        number of samples in the table given to `fit`. With several decoders, these
        numbers are for each decoder; a sequence has one for each.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. For 0/1 rewards, rounds are planned as if
        it were 0.
    selection : {"reward", "score", "vote"} or MostVotes, default="reward"
        How an answer is chosen among the samples of a query, and so what a session is
        told. As of :class:`SequentialAllocator`.
    unit : {"samples", "cost"}, default="samples"
        Unit of `budget`. "cost" needs a :class:`~sklearn_adaalloc.RewardTable` with
        costs in `fit`, and sessions that are told what their samples cost.
    cost_regressor : estimator, default=None
        Predicts the cost of a sample of each query, for ``unit="cost"``. None means
        :class:`~sklearn_adaalloc.regressors.CostRegressor`.
    target : {"budget", "price"}, default="budget"
        What is kept. With "price", the price stays at `price` and spend floats.
    price : float, default=None
        With ``target="price"``, the reward that a unit of budget must be expected to
        bring. None means the price that `fit` finds for `budget`.
    adapt : bool, default=True
        Whether the price follows what is spent. If not, it stays at that of `fit`.
    gain : float, default=0.02
        By how much the log price moves for a query that spends the budget twice, where
        spend is inverse to the price. 1 / `gain` is the time constant in queries. While
        many queries are open, the price moves less, so that it does not oscillate.
    correct : bool, default=True
        Whether verdicts (0/1 rewards of one decoder) correct the predictions of later
        queries (see Notes).
    cap : float, default=None
        Hard limit: largest mean number of samples per query in any window, or with
        ``cap_per="second"`` per second. It always counts samples, of all decoders
        together, also with ``unit="cost"``: what a sample costs is known only when it
        is paid, too late for a limit that is never exceeded. Samples count when they
        are asked for.
    cap_window : int or float, default=1000
        Length of a window: a number of queries, or of seconds. One window follows the
        other. The first so many queries that start are the first window; seconds
        count from the epoch of `time.time`.
    cap_per : {"query", "second"}, default="query"
        Whether windows are of queries or of time.
    cap_action : {"min_budget", "refuse"}, default="min_budget"
        What happens once all samples of a window are promised. With "min_budget",
        queries get `min_budget` samples, which are set aside for each query of a
        window, and no more. In windows of time, `min_budget` must then be 0. With
        "refuse", :meth:`Stream.start` raises
        :class:`~sklearn_adaalloc.allocators.CapReachedError`. A query that is refused
        counts as one that has started, but not as one that was closed. Queries that
        are open by then get no more.
    random_state : int, RandomState instance or None, default=None
        Seeds the split of the queries, the default regressor and the coins (see
        Notes).

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor.
    binary_ : bool
        Whether sessions are told 0/1 rewards, as those of `fit` were.
    price_ : float
        Price at which the budget is spent on the calibration queries, at the current
        parameters. With ``target="price"``, the price to keep.
    realised_budget_ : float
        What the calibration queries spend at that price, per query.
    calibration_scores_ : ndarray of shape (n_calibration, max_budget)
        Predicted marginal rewards of the calibration queries. With several decoders,
        predicted weights of profiles, (n_calibration, n_profiles).
    lowest_reward_, highest_reward_ : float
        Lowest and highest reward of `fit`. No reward is expected to be higher.
    score_rewards_ : tuple of two ndarrays
        Scores and the rewards that they promise, with ``selection="score"``.
    alone_ : dict
        How well predictions agree with rewards, learnt from the calibration queries,
        for beliefs about a single query. Empty for 0/1 rewards.
    cost_regressor_ : estimator or list of estimators
        The fitted regressor of costs, if the budget counts them; of several decoders,
        one for each.
    cost_spread_ : tuple of five float
        Variance of costs around their predictions, if the budget counts them. With
        several decoders, a list with one for each.
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
    SequentialAllocator : Decides jointly for a batch whose queries advance in step.
    PricedAllocator : Decides each query alone, before decoding.

    Notes
    -----
    Ties: many queries may have equal predictions, or nearly so. At one price, all or
    none of them would get a further sample. Therefore the price of each query differs
    by up to 5 % from that of the stream. A coin decides by how much, which depends on
    the content of the query, its place in the stream and `random_state`.

    Correction: success rates may turn out lower or higher than predicted, or to differ
    less between queries, for example once another model answers. Let H be the predicted
    cumulative hazard of the samples of a query, :math:`-\log(1 - q(b))`. The stream
    corrects it to :math:`\theta H^\gamma`. It learns θ and γ from the verdicts of its
    queries, and forgets them over 10 / `gain` queries. It corrects only as far as the
    evidence exceeds what noise would give. Real-valued rewards, scores and votes are
    not corrected: what they are worth is learnt in `fit`. Nor are several decoders.

    Examples
    --------
    >>> from sklearn_adaalloc import StreamAllocator
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> X, rewards = make_reward_table(400, 16, random_state=0, return_X_y=True)
    >>> policy = StreamAllocator(budget=4, random_state=0).fit(X[:300], rewards[:300])
    >>> with policy.open() as stream:
    ...     for x, row in zip(X[300:], rewards[300:]):
    ...         with stream.start(x) as session:
    ...             while (budgets := session.ask()) is not None:
    ...                 taken = int(session.budgets[0])
    ...                 session.tell([row[taken : taken + budgets[0]]])
    >>> stream.n_queries, bool(3 < stream.mean_cost < 5)
    (100, True)
    """

    _parameter_constraints = {
        "n_rounds": OPTIONAL_COUNT,
        "holdout": PROPER_SHARE,
        "unit": [StrOptions({"samples", "cost"})],
        "target": [StrOptions({"budget", "price"})],
        "price": [*POSITIVE, None],
        "adapt": FLAG,
        "gain": PROPER_SHARE,
        "correct": FLAG,
        "cap": [Interval(Real, 0, MOST, closed="both"), None],
        "cap_window": [Interval(Real, 0.001, MOST, closed="both")],
        "cap_per": [StrOptions({"query", "second"})],
        "cap_action": [StrOptions({"min_budget", "refuse"})],
    }
    _words = {"plan": " in the one-shot plan, without verdicts"}
    cap_per, cap_action = "query", "min_budget"  # of earlier versions
    correct = True

    def __init__(
        self,
        regressor=None,
        *,
        budget=1.0,
        n_rounds=None,
        holdout=0.2,
        min_budget=0,
        max_budget=None,
        empty_reward=0.0,
        selection="reward",
        unit="samples",
        cost_regressor=None,
        target="budget",
        price=None,
        adapt=True,
        gain=0.02,
        correct=True,
        cap=None,
        cap_window=1000,
        cap_per="query",
        cap_action="min_budget",
        random_state=None,
    ):
        self.regressor = regressor
        self.budget = budget
        self.n_rounds = n_rounds
        self.holdout = holdout
        self.min_budget = min_budget
        self.max_budget = max_budget
        self.empty_reward = empty_reward
        self.selection = selection
        self.unit = unit
        self.cost_regressor = cost_regressor
        self.target = target
        self.price = price
        self.adapt = adapt
        self.gain = gain
        self.correct = correct
        self.cap = cap
        self.cap_window = cap_window
        self.cap_per = cap_per
        self.cap_action = cap_action
        self.random_state = random_state

    def open(self, *, state=None, path=None):
        """Open a stream of queries.

        Parameters
        ----------
        state : path or dict, default=None
            State of an earlier stream of this policy, from :meth:`Stream.save`. The
            stream continues where that one was. None starts at the price of `fit`.
        path : str or path, default=None
            SQLite file that holds the state, for a stream that several processes of one
            machine share. It is made if it does not exist, and outlives them. None
            keeps the state in memory.

        Returns
        -------
        stream : Stream

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If a parameter is out of its range, if `state` or the file is damaged or
            belongs to another policy, or if both are given.
        """
        check_is_fitted(self)
        check_parameters(self)
        self._rule()  # also checks the budget and the cap
        n_bins = len(self._drift_reference().shares)
        fresh = StreamState(price=self.price_, recent=nothing_recent(n_bins))
        policy = copy(self)  # parameters that are set later change no open stream
        return Stream(
            policy, new_state(fresh, self._identity(), state=state, path=path)
        )

    def score(self, X, y):
        """Mean reward of a stream that is simulated on graded samples.

        The queries arrive one after another in the order of the rows, each when the one
        before is closed. The price starts at that of `fit`.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or of n_queries texts
            Queries in a form that the regressor accepts.
        y : array-like of shape (n_queries, n_samples) or \
                (n_queries, n_decoders, n_samples)
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
        CapReachedError
            With ``cap_action="refuse"``, if the cap refuses a query.
        """
        budgets, _ = self._replay(X, y)
        if self._n_decoders:
            rewards = as_table(y, n_decoders=None).rewards
            best = best_so_far(rewards, budgets, empty_reward=self.empty_reward)
            return float(best.mean())
        got = expected_rewards(
            as_table(y).head(budgets),
            budgets,
            empty_reward=self.empty_reward,
            selection=self.selection,
        )
        return float(got.mean())

    @property
    def price_(self):
        """Price at which the budget is spent, at the current parameters."""
        check_is_fitted(self)
        if self.target == "price" and self.price is not None:
            return float(self.price)
        return self._rule()["price"]

    @property
    def realised_budget_(self):
        """What the calibration queries spend at the price, per query."""
        check_is_fitted(self)
        return self._calibration_spend(self.price_)

    def _replay(self, X, y, *, n_open=1):
        """Samples and costs of each query of a simulated stream.

        `n_open` queries arrive at once, and the next ones when all of them are closed.
        Of several decoders, samples are of shape (n_queries, n_decoders); costs always
        of shape (n_queries,).
        """
        check_is_fitted(self)
        predicted = self._predicted(X)
        table = self._table_of_replay(predicted, y)
        costs, available = (
            self._costs_of(table),
            np.isfinite(table.rewards).sum(axis=-1),
        )
        if self._n_decoders:
            tell, answers, limits = replay_menu, table.rewards, available
        else:
            told = told_of(self.selection)
            numbers = told.numbers(table, resolve_selection(self.selection))
            tell, answers = replay, told.from_numbers(numbers)
            limits = np.minimum(available, predicted.shape[1])
        expected, coins = self._predict_costs(X), query_coins(X, self._coin_seed)
        budgets, spent = np.zeros_like(limits), np.zeros(len(limits))
        with self.open() as stream:
            for first in range(0, len(limits), n_open):
                own = slice(first, first + n_open)
                with stream._start(
                    predicted[own],
                    limits[own],
                    None if expected is None else expected[own],
                    coins[own],
                    replayed=True,
                ) as session:
                    tell(session, answers[own], None if costs is None else costs[own])
                budgets[own] = session.budgets
                spent[own] = session.costs.reshape(len(session.costs), -1).sum(axis=1)
        return budgets, spent

    def _table_of_replay(self, predicted, y):
        if self._n_decoders:
            return self._check_menu(y, n_queries=len(predicted))
        table = as_table(y, n_queries=len(predicted))
        self._check_axes(table.rewards)
        return table

    def _cap(self):
        """The hard cap at the current parameters; None if there is none."""
        budget, min_budget, _ = self._check_budget()
        return StreamCap.of(self, budget, min_budget)
