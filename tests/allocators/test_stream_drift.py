"""Streams whose world changes: corrections, drift reports and restarts."""

import json
import multiprocessing

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import kstest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator

from sklearn_adaalloc import RewardTable, StreamAllocator
from sklearn_adaalloc.allocators import StreamDriftReport
from sklearn_adaalloc.allocators._stream_drift import (
    FORGETTING,
    compare_recent,
    drift_reference,
)
from sklearn_adaalloc.planning._recent import ClosedQuery, nothing_recent, remember

N_SAMPLES = 12


class Rates(RegressorMixin, BaseEstimator):
    """Takes the feature for the log odds of the mean success rate."""

    def fit(self, X, y):
        self.n_features_in_ = 1
        return self

    def predict_marginals(self, X, max_budget):
        rates = 1 / (1 + np.exp(-np.asarray(X, dtype=float)[:, 0]))
        # A Beta distribution of two pseudo-samples around the mean.
        b = np.arange(max_budget)
        chances = 2 * rates[:, None] / (2 + b)
        left = np.cumprod(1 - chances, axis=1)
        return chances * np.hstack([np.ones((len(left), 1)), left[:, :-1]])


FROZEN = FrozenEstimator(Rates().fit([[0.0]], [[0.0]]))


def world(n_queries, *, seed=0, easier=0.0, worse=1.0):
    """Features and verdicts of queries for which the regressor is right.

    With `easier`, log odds are larger; with `worse` below 1, rates are lower than the
    features promise.
    """
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.0 + easier, 1.5, n_queries)
    mean = 1 / (1 + np.exp(-odds))
    rates = rng.beta(2 * mean, 2 * (1 - mean))[:, None] * worse
    return odds[:, None], (rng.random((n_queries, N_SAMPLES)) < rates).astype(float)


def fitted(**params):
    X, rewards = world(1000, seed=99)
    return StreamAllocator(FROZEN, **{"budget": 3} | params).fit(X, rewards)


def play(stream, X, rewards, costs=None):
    """Whether each query is solved, and its samples."""
    solved, budgets = [], []
    for row in range(len(X)):
        with stream.start(X[row : row + 1]) as session:
            while (asked := session.ask()) is not None:
                taken = int(session.budgets[0])
                new = slice(taken, taken + asked[0])
                paid = () if costs is None else ([costs[row, new]],)
                session.tell([rewards[row, new]], *paid)
        solved.append(bool(session.best_rewards[0] == 1))
        budgets.append(int(session.budgets[0]))
    return np.array(solved), np.array(budgets)


def both(first, second):
    return [np.concatenate(parts) for parts in zip(first, second, strict=True)]


# --- the budget ------------------------------------------------------------------


@pytest.mark.parametrize("easier", [1.0, -1.0])
def test_the_budget_holds_when_queries_change(easier):
    halves = world(1500, easier=easier), world(1500, seed=1, easier=-easier)
    _, budgets = play(fitted().open(), *both(*halves))
    means = np.convolve(budgets, np.full(500, 1 / 500), mode="valid") / 3
    settled = np.r_[300:1001, 1800:2501]
    assert abs(budgets.mean() / 3 - 1) < 0.02
    assert np.abs(means[settled] - 1).max() < 0.10


# --- the correction --------------------------------------------------------------


def test_without_a_change_next_to_nothing_is_corrected():
    X, rewards = world(1000)
    corrected, plain = fitted().open(), fitted(correct=False).open()
    solved, budgets = play(corrected, X, rewards)
    solved_without, budgets_without = play(plain, X, rewards)
    assert (budgets != budgets_without).mean() < 0.03
    assert abs(solved.mean() - solved_without.mean()) < 0.003
    assert corrected.drift_report().correction == (1.0, 1.0)


def test_a_correction_follows_the_world_and_changes_what_a_query_gets():
    # At a fixed price, the chances of a model that became worse pay for fewer samples.
    X, rewards = world(600, worse=0.3)
    options = {"target": "price", "price": 0.12}
    stream, plain = fitted(**options).open(), fitted(**options, correct=False).open()
    _, budgets = play(stream, X, rewards)
    scale, _ = stream.drift_report().correction
    assert 0.15 < scale < 0.5
    assert budgets[300:].mean() < 0.7 * play(plain, X, rewards)[1][300:].mean()


def test_what_nobody_could_judge_teaches_nothing():
    X, _ = world(100)
    stream, untaught = fitted().open(), fitted().open()
    for row in range(100):
        for each in (stream, untaught):
            with each.start(X[row]) as session:
                while (asked := session.ask()) is not None:
                    session.tell([[0.0] * asked[0]])
                if each is untaught:
                    session.disregard()
    taught, report = stream.drift_report(), untaught.drift_report()
    assert taught.answers_p_value < 0.001
    assert taught.correction[0] < 0.9
    assert report.answers_p_value is None
    assert report.correction == (1.0, 1.0)
    assert report.mean_spend > 1
    with pytest.raises(ValueError, match="disregard was called on a closed session"):
        session.disregard()


@pytest.mark.parametrize("selection", ["score", "vote"])
def test_other_verdicts_are_not_corrected(selection):
    X, rewards = world(300)
    answers = np.where(rewards == 1, "right", "wrong")
    table = RewardTable(rewards, answers=answers, scores=rewards)
    policy = StreamAllocator(FROZEN, budget=3, selection=selection).fit(X, table)
    policy.score(X, table)
    stream = policy.open()
    for row in range(60):
        with stream.start(X[row]) as session:
            while session.ask() is not None:
                session.tell([["wrong"] if selection == "vote" else [0.0]])
    report = stream.drift_report()
    assert report.correction == (1.0, 1.0)
    assert (report.answers_p_value is None) == (selection == "vote")


# --- restarts and processes ------------------------------------------------------


def test_a_restart_keeps_debt_correction_and_report(tmp_path):
    X, rewards = both(world(200), world(200, seed=1, worse=0.2))
    policy = fitted()
    without, stream = policy.open(), policy.open()
    _, expected = play(without, X, rewards)
    _, before = play(stream, X[:300], rewards[:300])
    stream.save(tmp_path / "stream.json")
    later = fitted().open(state=tmp_path / "stream.json")
    assert later.drift_report() == stream.drift_report()
    assert later.drift_report().correction != (1.0, 1.0)
    _, after = play(later, X[300:], rewards[300:])
    assert_array_equal(np.concatenate([before, after]), expected)
    assert later.price == without.price


def serve(policy, path, rows, results):
    X, rewards = world(160, worse=0.2)
    with policy.open(path=path) as stream:
        results.put(play(stream, X[rows], rewards[rows])[1].sum())


def test_processes_share_debt_and_report(tmp_path):
    policy, path = fitted(), tmp_path / "stream.sqlite"
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [
        context.Process(target=serve, args=(policy, path, slice(k, None, 2), results))
        for k in range(2)
    ]
    for worker in workers:
        worker.start()
    spent = sum(results.get(timeout=300) for _ in workers)
    for worker in workers:
        worker.join()
    with policy.open(path=path) as stream, policy.open(path=path) as other:
        report = stream.drift_report()
        assert report == other.drift_report()
        assert report.mean_spend == spent / 160
        stream.save(tmp_path / "stream.json")
    state = json.loads((tmp_path / "stream.json").read_text())["state"]
    assert state["debt"] == pytest.approx(spent / 3 - 160)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"debt": "much"}, "debt='much'"),
        ({"learnt": [0.0]}, r"learnt=\[0\.0\]"),
        ({"learnt": [0, 0, 0, 0, float("nan")]}, "learnt="),
        ({"recent": {}}, "recent="),
        ({"recent": {"bins": [1.0]}}, "recent="),
    ],
)
def test_a_damaged_state_is_refused(change, message, tmp_path):
    policy = fitted()
    policy.open().save(tmp_path / "stream.json")
    content = json.loads((tmp_path / "stream.json").read_text())
    content["state"].update(change)
    with pytest.raises(ValueError, match=rf"is not the state of a stream: .*{message}"):
        policy.open(state=content)
    del content["state"]["recent"]
    with pytest.raises(ValueError, match="is not the state of a stream: expected"):
        policy.open(state=content)


def test_bins_of_another_number_are_refused(tmp_path):
    policy = fitted()
    policy.open().save(tmp_path / "stream.json")
    content = json.loads((tmp_path / "stream.json").read_text())
    content["state"]["recent"]["bins"].pop()
    with pytest.raises(ValueError, match=r"stream: recent\['bins'\]="):
        policy.open(state=content)


# --- the report ------------------------------------------------------------------


def test_a_stream_like_calibration_has_not_drifted():
    stream = fitted().open()
    play(stream, *world(800))
    report = stream.drift_report()
    assert isinstance(report, StreamDriftReport)
    assert not report.drifted
    assert report.costs_p_value is report.cost_ratio is None
    assert (report.n_queries, report.budget) == (800, 3.0)
    assert report.mean_spend == stream.mean_cost
    assert report.price == stream.price
    assert "Nothing differs from calibration" in str(report)


@pytest.mark.parametrize(
    ("change", "queries", "answers", "words"),
    [
        ({"easier": 1.0}, True, False, "predicted to be other than"),
        ({"worse": 0.6}, False, True, "first samples have a mean of"),
    ],
)
def test_what_has_changed_is_told_apart(change, queries, answers, words):
    stream = fitted().open()
    play(stream, *both(world(300), world(500, seed=1, **change)))
    report = stream.drift_report()
    assert report.drifted
    assert (report.queries_p_value < 1e-3, report.answers_p_value < 1e-3) == (
        queries,
        answers,
    )
    assert words in str(report)


def test_costs_that_changed_are_drift():
    X, rewards = world(700)
    costs = np.random.default_rng(0).gamma(4.0, 0.25, rewards.shape)
    policy = StreamAllocator(FROZEN, budget=3, unit="cost")
    policy.fit(X[:400], RewardTable(rewards[:400], costs=costs[:400]))
    same, dearer = policy.open(), policy.open()
    play(same, X[400:], rewards[400:], costs[400:])
    play(dearer, X[400:], rewards[400:], 1.5 * costs[400:])
    assert same.drift_report().costs_p_value > 0.01
    report = dearer.drift_report()
    assert report.costs_p_value < 1e-6
    assert report.cost_ratio == pytest.approx(1.5 * report.calibration_cost_ratio, 0.1)
    assert "samples cost" in str(report)


def simulated_p_values(seed, n_queries):
    """P-values of a stream on which nothing changes."""
    rng = np.random.default_rng(seed)

    def draw(size):
        predicted = rng.beta(0.5, 0.5, size)
        # Predictions are wrong, and are so in calibration too.
        return predicted, predicted**1.5, rng.gamma(4.0, 0.25, size)

    predicted, rates, ratios = draw(300)
    told = (rng.random((300, 8)) < rates[:, None]).astype(float)
    reference = drift_reference(predicted, told, ratios[:, None])
    predicted, rates, ratios = draw(n_queries)
    bins = np.searchsorted(reference.edges, predicted, side="right").tolist()
    told = (rng.random(n_queries) < rates).astype(float).tolist()
    queries = [
        ClosedQuery(1.0, *each)
        for each in zip(bins, told, ratios.tolist(), strict=True)
    ]
    recent = nothing_recent(len(reference.shares))
    recent = remember(recent, queries, forgetting=FORGETTING)
    comparison = compare_recent(reference, recent)
    tests = ("queries", "answers", "costs")
    return [comparison[f"{test}_p_value"] for test in tests]


@pytest.mark.parametrize("n_queries", [100, 1500])
def test_p_values_are_uniform_if_nothing_changes(n_queries):
    p_values = np.array([simulated_p_values(seed, n_queries) for seed in range(200)])
    for column in p_values.T:
        assert kstest(column, "uniform").pvalue > 0.001
        assert (column < 0.05).mean() < 0.10


def test_shares_and_means_are_compared_as_by_hand():
    reference = drift_reference(
        np.arange(4.0), np.array([[0, 0], [0, 1], [1, 1], [1, 1]])
    )
    assert reference.edges == [1.0, 2.0, 3.0]
    assert reference.means == [0.0, 0.5, 1.0, 1.0]
    queries = [ClosedQuery(1.0, 1, told=1.0), ClosedQuery(1.0, 3, told=0.0)] * 2
    recent = remember(nothing_recent(4), queries, forgetting=0.0)
    comparison = compare_recent(reference, recent)
    assert comparison["shares"] == (0.0, 0.5, 0.0, 0.5)
    assert (comparison["n_recent"], comparison["told"]) == (4.0, 0.5)
    assert comparison["expected"] == 0.75
    # Deviations from what is expected: twice a half, and twice one.
    z = (2 - 3) / np.sqrt(2 * 0.25 + 2)
    assert comparison["answers_p_value"] == pytest.approx(
        2 * 0.5 * (1 - np.sqrt(1 - np.exp(-2 * z**2 / np.pi))), abs=0.01
    )  # an approximation of the normal distribution function


def test_tied_predictions_are_one_bin():
    reference = drift_reference(np.full(100, 0.5), np.ones((100, 2)))
    assert reference.shares[-1] == 1.0
    n_bins = len(reference.shares)
    queries = [ClosedQuery(1.0, n_bins - 1, told=1.0)] * 100
    comparison = compare_recent(
        reference, remember(nothing_recent(n_bins), queries, forgetting=FORGETTING)
    )
    assert comparison["queries_p_value"] == comparison["answers_p_value"] == 1.0


def test_too_few_queries_and_a_wrong_alpha_are_refused():
    stream = fitted().open()
    with pytest.raises(ValueError, match=r"after 0 closed queries.*at least 50"):
        stream.drift_report()
    play(stream, *world(60))
    with pytest.raises(ValueError, match="alpha"):
        stream.drift_report(alpha=2.0)
    assert stream.drift_report(alpha=0.05).alpha == 0.05
