"""Allocators: fitted, asked, scored, changed and asked again, and their sessions."""

import io

import joblib
import numpy as np
from hypothesis import strategies as st
from sklearn.dummy import DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from benchmarks.fuzz.entries.regressors import (
    batches,
    empty_rewards,
    largest_budgets,
    seeds,
)
from benchmarks.fuzz.outcomes import REFUSED, attempt
from benchmarks.fuzz.strategies import (
    BINARY,
    ODD,
    REAL,
    arrays,
    number,
    odd_arrays,
    rarely,
    scalars,
    whole,
)
from benchmarks.fuzz.targets import target
from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    PricedAllocator,
    RewardRegressor,
    SequentialAllocator,
)

mean_budgets = number(st.floats(0, 4) | st.integers(0, 4))
least_budgets = number(st.sampled_from([0, 0, 0, 1]))
regressors = st.sampled_from(
    [
        RewardRegressor(Ridge()),
        RewardRegressor(Ridge(), target="success_rate"),
        RewardRegressor(DummyRegressor(), target="rate_distribution"),
        FrozenEstimator(
            RewardRegressor(DummyRegressor()).fit(np.eye(4, 2), np.eye(4, 3))
        ),
        Ridge(),
    ]
)
bounds = st.fixed_dictionaries(
    {
        "budget": mean_budgets,
        "min_budget": least_budgets,
        "max_budget": largest_budgets,
        "empty_reward": empty_rewards,
        "random_state": seeds,
    }
)
changes = st.fixed_dictionaries(
    {}, optional={"budget": mean_budgets, "min_budget": least_budgets}
)


def assert_budgets(allocator, budgets, *, on_average=False):
    """Whole numbers, within their bounds, and in total no more than was promised."""
    assert budgets.dtype == np.int64
    assert (budgets >= allocator.min_budget).all()
    most = allocator.n_steps_ if allocator.max_budget is None else allocator.max_budget
    assert (budgets <= most).all()
    if not on_average:
        assert budgets.sum() <= np.floor(allocator.budget * len(budgets))


def use_allocator(allocator, batch, changed, later, *, on_average=False):
    """Fit, predict, score; the same at other budgets; the same from a copy on disk."""
    X, rewards = batch
    if attempt(allocator.fit, X, rewards) is REFUSED:
        return None
    budgets = attempt(allocator.predict, X)
    if budgets is REFUSED:
        return None
    assert_budgets(allocator, budgets, on_average=on_average)
    assert (_reloaded(allocator).predict(X) == budgets).all()
    assert np.isfinite(attempt(allocator.score, X, rewards))
    attempt(allocator.predict, later)
    allocator.set_params(**changed)
    budgets = attempt(allocator.predict, X)
    if budgets is REFUSED:
        return None
    assert_budgets(allocator, budgets, on_average=on_average)
    return budgets


def _reloaded(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


@target(
    "allocators.AdaptiveAllocator",
    inputs=3000,
    batch=batches(),
    regressor=regressors,
    options=bounds,
    changed=changes,
    later=odd_arrays,
)
def adaptive_allocator(batch, regressor, options, changed, later):
    use_allocator(AdaptiveAllocator(regressor, **options), batch, changed, later)


@target(
    "allocators.DummyAllocator",
    inputs=3000,
    batch=batches(),
    strategy=rarely(scalars, st.sampled_from(["uniform", "random", "shuffled"])),
    regressor=regressors,
    options=bounds,
    changed=changes,
    later=odd_arrays,
)
def dummy_allocator(batch, strategy, regressor, options, changed, later):
    if strategy == "shuffled":
        inner = AdaptiveAllocator(
            regressor,
            min_budget=options["min_budget"],
            max_budget=options["max_budget"],
        )
        options = {**options, "allocator": inner}
        changed = {"budget": changed.get("budget", 1)}  # bounds are those of `inner`
    if not isinstance(options["random_state"], int):
        options = {**options, "random_state": 0}  # unseeded draws differ by design
    use_allocator(DummyAllocator(strategy, **options), batch, changed, later)


def use_calibrated(allocator, batch, changed, later, drift):
    """Use an allocator that keeps its budget on average over its calibration."""
    if use_allocator(allocator, batch, changed, later, on_average=True) is None:
        return
    assert allocator.realised_budget_ <= allocator.budget
    X, scores, alpha = drift
    report = attempt(allocator.drift_report, X, scores=scores, alpha=alpha)
    if report is not REFUSED:
        assert 0 <= report.p_value <= 1
        assert np.isfinite(report.realised_budget)
        assert str(report)


drifts = st.tuples(
    st.none() | arrays((3, 2), ODD) | odd_arrays,
    st.none() | arrays((4,), REAL) | arrays((4, 5), REAL) | odd_arrays,
    number(st.floats(0.01, 0.5)),
)


@target(
    "allocators.BinnedAllocator",
    inputs=2000,
    batch=batches(),
    regressor=regressors,
    options=bounds,
    n_bins=number(st.integers(1, 4)),
    strategy=rarely(scalars, st.sampled_from(["quantile", "uniform"])),
    holdout=number(st.floats(0.1, 0.9)),
    changed=changes,
    later=odd_arrays,
    drift=drifts,
)
def binned_allocator(
    batch, regressor, options, n_bins, strategy, holdout, changed, later, drift
):
    options = {**options, "n_bins": n_bins, "strategy": strategy, "holdout": holdout}
    allocator = BinnedAllocator(regressor, **options)
    use_calibrated(allocator, batch, changed, later, drift)


@target(
    "allocators.PricedAllocator",
    inputs=2000,
    batch=batches(),
    regressor=regressors,
    options=bounds,
    holdout=number(st.floats(0.1, 0.9)),
    changed=changes,
    later=odd_arrays,
    drift=drifts,
)
def priced_allocator(batch, regressor, options, holdout, changed, later, drift):
    allocator = PricedAllocator(regressor, **options, holdout=holdout)
    use_calibrated(allocator, batch, changed, later, drift)


@target(
    "allocators.SequentialAllocator",
    inputs=2500,
    batch=batches(),
    regressor=regressors,
    options=bounds,
    n_rounds=number(st.none() | st.integers(1, 5)),
    changed=changes,
    later=odd_arrays,
)
def sequential_allocator(batch, regressor, options, n_rounds, changed, later):
    allocator = SequentialAllocator(regressor, **options, n_rounds=n_rounds)
    use_allocator(allocator, batch, changed, later)


def _fit_sequential(cells):
    rng = np.random.RandomState(0)
    X, rewards = rng.normal(size=(12, 2)), rng.choice(cells, size=(12, 5))
    return SequentialAllocator(RewardRegressor(Ridge())).fit(X, rewards), X


_SESSIONS = {"binary": _fit_sequential(BINARY), "real": _fit_sequential(REAL)}


@target(
    "allocators.SequentialSession",
    inputs=3000,
    kind=st.sampled_from(list(_SESSIONS)),
    options=st.fixed_dictionaries(
        {
            "budget": mean_budgets,
            "n_rounds": number(st.none() | st.integers(1, 6)),
            "min_budget": least_budgets,
            "max_budget": number(st.none() | whole),
        }
    ),
    turns=st.lists(st.sampled_from(["tell", "odd", "reload", "ask"]), max_size=8),
    verdicts=arrays((12, 8), [*REAL, 0.0, 1.0, 0.0, 1.0]),
    odd=rarely(odd_arrays, arrays((12, 2), ODD)),
)
def sequential_session(kind, options, turns, verdicts, odd):
    allocator, X = _SESSIONS[kind]
    allocator = _reloaded(allocator).set_params(**options)
    session = attempt(allocator.start, X)
    if session is REFUSED:
        return
    if kind == "binary":
        verdicts = (verdicts > 0.5) * 1.0
    for turn in turns:
        session = _take_turn(session, turn, verdicts, odd)
        assert session.budgets.sum() <= np.floor(options["budget"] * len(X))
        assert np.isfinite(session.best_rewards).all()


def _take_turn(session, turn, verdicts, odd):
    if turn == "reload":
        return _reloaded(session)
    asked = session.ask()
    if turn == "ask":
        again = session.ask()
        assert (asked is None and again is None) or (asked == again).all()
    before = session.budgets
    if turn == "odd" and attempt(session.tell, odd) is REFUSED:
        assert (session.budgets == before).all()  # the session is as it was
    if turn == "tell" and asked is not None:
        told = [
            row[had : had + more]
            for row, had, more in zip(verdicts, before, asked, strict=True)
        ]
        attempt(session.tell, told)
        assert (session.budgets == before + asked).all()
    return session
