"""An open stream of queries, and the price that they share."""

import threading
import time
from functools import cached_property, partial
from numbers import Real
from weakref import WeakSet

import numpy as np
from scipy.sparse import issparse

from sklearn_adaalloc._utils.parameters import check_in_interval, check_whole
from sklearn_adaalloc.allocators._coins import (
    coins_in_order,
    price_factors,
    query_coins,
)
from sklearn_adaalloc.allocators._menus import refuse_available, samples_available
from sklearn_adaalloc.allocators._stream_cap import Allowance
from sklearn_adaalloc.allocators._stream_drift import (
    FORGETTING,
    SessionRecord,
    StreamDriftReport,
    check_enough,
    compare_recent,
)
from sklearn_adaalloc.allocators._stream_session import StreamSession
from sklearn_adaalloc.allocators._unjudged import open_unjudged
from sklearn_adaalloc.planning._control import (
    expected_spend,
    follow_spend,
    usual_spends,
)
from sklearn_adaalloc.planning._learning import correction_of, learn_correction
from sklearn_adaalloc.planning._recent import remember

_REMEMBERED = 10  # time constants of the price over which verdicts are forgotten


class Stream:
    """An open stream: starts sessions on queries, and keeps the price they share.

    :meth:`~sklearn_adaalloc.StreamAllocator.open` opens it. Threads may share it; each
    session belongs to one of them at a time. It works in asyncio as it is: no method
    waits for anything. Several processes of one machine share a stream if each opens it
    with the same ``path``. A process that is killed then loses no more than what its
    open queries spent. Each `start` and each closing writes to that file once, for all
    queries of the session: start queries together that arrive together. The price of
    other processes is seen after at most 5 milliseconds.

    Parameters
    ----------
    policy : StreamAllocator
        Fitted.
    state : object
        Where the state is kept: in memory or in a file.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc import RewardRegressor, StreamAllocator
    >>> X, rewards = [[0], [1], [2], [3]], [[1, 1], [1, 0], [0, 1], [0, 0]]
    >>> policy = StreamAllocator(
    ...     RewardRegressor(Ridge()), budget=1.5, holdout=0.5, random_state=0
    ... )
    >>> stream = policy.fit(X, rewards).open()
    >>> with stream.start([0.5]) as session:
    ...     asked = session.ask()
    ...     session.tell([[1]])
    ...     session.ask() is None  # it is solved
    True
    >>> stream.n_queries, stream.mean_cost
    (1, 1.0)
    """

    _clock = staticmethod(time.time)  # of windows of time

    def __init__(self, policy, state):
        self._policy = policy
        self._state = state
        self._cap = policy._cap()
        self._reference = policy._drift_reference()
        rule = policy._rule()  # the policy of a stream does not change
        self._bounds = rule["lowest"], rule["highest"]
        self._elasticity = rule["elasticity"]
        self._usual = usual_spends(rule.get("spends", ()))  # once there were none
        self._follows = policy.adapt and policy.target == "budget" and policy.budget > 0
        self._foreseen = self._counted = 0.0  # of open queries; what the state knows
        self._open = WeakSet()  # sessions of this process that are not closed
        self._lock = threading.Lock()  # of that set, and of what is foreseen

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._state.close()

    def __getstate__(self):
        raise TypeError(
            "A Stream cannot be copied or pickled, nor can what holds one: queries may "
            "be open. Pickle its policy, and write its state with Stream.save; "
            "policy.open(state=...) continues there."
        )

    def close(self):
        """Close the file of a stream that processes share; the state stays in it."""
        self._state.close()

    @property
    def policy(self):
        """The policy, with the parameters that it had when it opened the stream."""
        return self._policy

    @property
    def price(self):
        """Value that a unit of budget must now be expected to have, float."""
        return self._state.read().price

    @property
    def n_queries(self):
        """Number of queries that were closed, int."""
        return self._state.read().n_queries

    @property
    def mean_cost(self):
        """What closed queries spent on average, in the unit of the budget.

        NaN before the first is closed.
        """
        state = self._state.read()
        return state.spent / state.n_queries if state.n_queries else float("nan")

    def start(self, X, *, available=None, max_samples=None):
        """Open a session on a query that has arrived.

        Parameters
        ----------
        X : array-like of shape (n_features,), (n_queries, n_features), str, or \
                list of n_queries texts
            One query, or several that arrive together, in a form that the regressor
            accepts. A conversation, which is a list, needs a list around it. Each query
            is decided alone in any case.
        available : array-like of shape (n_decoders,) or (n_queries, n_decoders), \
                default=None
            On a table of several decoders: which of them can answer, True or False.
            None means all.
        max_samples : int, default=None
            Largest number of samples of each query, of all decoders together, also
            where `min_budget` is larger. None sets no limit besides `max_budget`.

        Returns
        -------
        session : StreamSession

        Raises
        ------
        ValueError
            If the regressor does not accept `X`, if `available` does not fit, or if
            `max_samples` is no whole number of at least 1.
        CapReachedError
            With ``cap_action="refuse"``, if the samples of a window are used up. Then
            none of these queries starts.
        """
        X = _as_batch(X)
        if max_samples is not None:
            check_whole(max_samples, "max_samples", least=1)
        policy = self._policy
        predicted = policy._predicted(X)
        if policy._n_decoders:
            size = len(predicted), policy._n_decoders
            limits = samples_available(available, *size)
        else:
            refuse_available(available)
            limits = np.full(len(predicted), predicted.shape[1])
        coins = query_coins(X, policy._coin_seed)
        return self._start(
            predicted, limits, policy._predict_costs(X), coins, max_samples=max_samples
        )

    def _start_unjudged(self, X, *, votes, max_samples=None):
        """Open a session on one query whose answers nobody judges.

        It counts for the budget and for the cap, and teaches the stream nothing else.
        """
        policy, X = self._policy, _as_batch(X)
        predicted = policy._predicted(X)
        coins = query_coins(X, policy._coin_seed)
        return self._start(
            predicted,
            None,
            policy._predict_costs(X),
            coins,
            max_samples=max_samples,
            votes=votes,
        )

    def drift_report(self, *, alpha=0.01):
        """Compare the latest queries with those that `fit` was calibrated on.

        Three tests ask whether the queries have changed, by their predicted rewards;
        whether answers have, by what was told of the first sample of each query; and
        whether their costs have. Older queries weigh less: each query has lost two
        thirds of its weight after 500 others.

        Parameters
        ----------
        alpha : float, default=0.01
            Significance level of all tests together: the rate of false alarms of one
            report. If you look often, choose a smaller one.

        Returns
        -------
        report : StreamDriftReport
            ``print(report)`` shows a summary in words.

        Raises
        ------
        ValueError
            If `alpha` is not between 0 and 1, or if fewer than 50 queries were closed.

        Notes
        -----
        Answers are compared with those of calibration queries for which as much was
        predicted. Therefore a change of the queries alone is not taken for a change of
        the answers. Votes tell no rewards, and with several decoders a first sample may
        be of any: then answers are not tested. Costs of samples are tested for one
        decoder with ``unit="cost"``.

        The tests assume that `fit` calibrated on queries that the regressor had not
        seen. A `FrozenEstimator` that was fitted on the same queries predicts them too
        well, and then all new queries look like drift.
        """
        alpha = check_in_interval(alpha, "alpha", 0, 1)
        state, policy = self._state.read(), self._policy
        check_enough(state.n_queries)
        comparison = compare_recent(self._reference, state.recent)
        return StreamDriftReport(
            n_queries=state.n_queries,
            budget=float(policy.budget),
            recent_spend=state.recent["spent"][0] / state.recent["weights"][0],
            mean_spend=self.mean_cost,
            price=state.price,
            calibration_price=policy.price_,
            correction=correction_of(state.learnt),
            alpha=alpha,
            **comparison,
        )

    def save(self, path):
        """Write the state as JSON, for ``open(state=path)``.

        Parameters
        ----------
        path : str or path
            File to write. One that exists is replaced, at once.
        """
        self._state.save(path)

    def _start(
        self,
        predicted,
        limits,
        costs,
        coins,
        *,
        max_samples=None,
        replayed=False,
        votes=None,
    ):
        """Open a session on queries of which all is predicted.

        If nobody judges the answers, `votes` says whether they are voted on.
        """
        n_queries, policy = len(predicted), self._policy
        before = self._state.update(partial(_count_started, n_queries=n_queries))
        factors = price_factors(coins_in_order(coins, before.n_started))
        grant = None
        if self._cap is not None:
            numbers = before.n_started + np.arange(n_queries)
            windows = self._cap.admit(self._state, numbers, self._clock())
            grant = partial(self._grant, windows)
        if max_samples is not None:
            grant = Allowance(n_queries, max_samples, grant)
        is_told = votes is None and policy._is_told_numbers()
        if votes is None:
            options = {"replayed": replayed}
            if policy._learns():
                options["correction"] = correction_of(before.learnt)
            inner = policy._open_session(
                predicted,
                limits,
                costs,
                lambda: self._state.recent().price * factors,
                grant=grant,
                **options,
            )
            expect = partial(_expected, policy, inner, predicted, costs)
        else:
            inner = open_unjudged(
                policy, predicted, costs, self._usual_spend, votes=votes, grant=grant
            )
            expect = partial(getattr, inner, "expected_rewards")
        rates = policy._mean_rates(predicted)
        costs = None if policy._n_decoders else costs
        record = SessionRecord(rates, costs, is_told=is_told)
        session = StreamSession(self, inner, before.n_queries, record, expect)
        with self._lock:
            self._open.add(session)
        return session

    @cached_property
    def _usual_spend(self):
        """What a query spends on average, as wanted or, at a fixed price, in `fit`."""
        policy = self._policy
        wanted = policy.budget if policy.target == "budget" else policy.realised_budget_
        return float(wanted)

    def _grant(self, windows, wanted, mandatory):
        """Samples that the cap allows (n_queries,)."""
        return self._cap.grant(self._state, windows, self._clock(), wanted, mandatory)

    def _foresee(self, session):
        """Count what the queries of a session are expected to spend in the end.

        Cheap queries are closed first. Without this, the price would follow them, and
        each dear one would be a surprise.
        """
        if not self._follows:
            return
        totals = expected_spend(session._spent(), self._usual)
        foreseen = float(totals.sum()) / self._policy.budget - len(totals)
        with self._lock:
            self._foreseen += foreseen - session._foreseen
            session._foreseen = foreseen

    def _close(self, session, spent, n_closed_before):
        """Count what the queries of a session spent, and let the price follow."""
        with self._lock:
            self._open.discard(session)
            n_open = len(self._open)
            self._foreseen -= session._foreseen
            foreseen, self._counted = self._foreseen - self._counted, self._foreseen
        policy, follows = self._policy, self._follows
        belief = session._session._belief if session._is_learnt_from else None
        seen = belief.hazards_seen() if belief and policy._learns() else ()
        self._state.update(
            partial(
                _count_closed,
                spent=spent,
                n_open=n_open + len(spent) - 1,
                n_closed_before=n_closed_before,
                foreseen=foreseen,
                budget=policy.budget,
                gain=policy.gain if follows else 0.0,
                bounds=self._bounds,
                elasticity=self._elasticity,
                seen=seen,
                queries=session._record.closed(self._reference, spent),
                forgetting=policy.gain / _REMEMBERED,
            )
        )


def _expected(policy, session, predicted, costs):
    """Predicted reward of queries (n_queries,), as planned or in the one-shot plan."""
    planned = getattr(session._belief, "expected", None)
    if planned is not None:
        return planned
    return policy._expected_by(predicted, costs, policy._allocate(predicted, costs))


def _count_started(state, *, n_queries):
    return state._replace(n_started=state.n_started + n_queries), state


def _count_closed(
    state, *, spent, n_open, n_closed_before, seen, queries, forgetting, **terms
):
    n_closed = state.n_queries - n_closed_before + len(spent) - 1
    state = follow_spend(state, spent, delay=max(n_open, n_closed), **terms)
    if seen:
        learnt = learn_correction(state.learnt, *seen, forgetting=forgetting)
        state = state._replace(learnt=learnt)
    recent = remember(state.recent, queries, forgetting=FORGETTING)
    return state._replace(recent=recent), None


def _as_batch(X):
    """Queries as a batch, also if there is only one."""
    if isinstance(X, str):
        return [X]
    if issparse(X):
        return X.reshape(1, -1) if X.ndim == 1 else X
    values = X if hasattr(X, "ndim") else np.asarray(X, dtype=object)
    if values.ndim != 1 or len(values) == 0:
        return X
    first = values.iloc[0] if hasattr(values, "iloc") else values[0]
    if not isinstance(first, Real | np.bool_):
        return X
    return X.to_frame().T if hasattr(X, "to_frame") else np.asarray(X)[None]
