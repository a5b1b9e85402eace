"""Test whether the latest queries of a stream are like those of its calibration."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2, norm

from sklearn_adaalloc._utils.numbers import reward_array
from sklearn_adaalloc.planning._recent import ClosedQuery

FORGETTING = 0.002  # the weights are those of about 1 / 0.001 equal ones
_MOST_BINS = 10
_FEWEST = 50  # queries from which p-values are about right
_LEAST_VARIANCE = 1e-12


class DriftReference(NamedTuple):
    """What calibration queries were like, in bins of their predicted reward.

    Attributes
    ----------
    edges : list of float
        Predicted rewards between successive bins.
    shares : list of float
        Share of the calibration queries in each bin.
    means, errors : list of float or None
        Mean of what is told of a sample in each bin, and its squared standard error.
        None where sessions are told answers, or several decoders answer.
    cost_ratio : tuple of two float or None
        Mean observed by predicted cost, and its squared standard error. None if samples
        are counted.
    n_queries : int
        Number of calibration queries.
    """

    edges: list
    shares: list
    means: list | None
    errors: list | None
    cost_ratio: tuple | None
    n_queries: int


def drift_reference(predicted, told=None, cost_ratios=None):
    """Summarise calibration queries for `compare_recent`.

    Parameters
    ----------
    predicted : ndarray of shape (n_queries,)
        Predicted reward of a sample.
    told : ndarray of shape (n_queries, n_samples), default=None
        Rewards or scores; NaN where there is no sample.
    cost_ratios : ndarray of shape (n_queries, n_samples), default=None
        Observed by predicted costs.

    Returns
    -------
    reference : DriftReference

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._stream_drift import drift_reference
    >>> reference = drift_reference(np.arange(100.0), np.ones((100, 2)))
    >>> len(reference.edges), reference.shares[0], reference.means[0]
    (9, 0.1, 1.0)
    """
    shares = np.arange(1, _MOST_BINS) / _MOST_BINS
    edges = np.unique(np.quantile(predicted, shares, method="higher"))
    bins = np.searchsorted(edges, predicted, side="right")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    means = errors = cost_ratio = None
    if told is not None:
        per_query = np.nanmean(told, axis=1)
        means = _ratio(np.bincount(bins, per_query, len(counts)), counts)
        squares = np.bincount(bins, (per_query - means[bins]) ** 2, len(counts))
        errors = _ratio(squares, counts * np.maximum(counts - 1, 1)).tolist()
        means = means.tolist()
    if cost_ratios is not None:
        per_query = np.nanmean(cost_ratios, axis=1)
        cost_ratio = float(per_query.mean()), float(per_query.var() / len(per_query))
    total = len(predicted)
    return DriftReference(
        edges.tolist(), (counts / total).tolist(), means, errors, cost_ratio, total
    )


class SessionRecord:
    """What a session keeps for the comparison with calibration queries.

    Parameters
    ----------
    predicted : ndarray of shape (n_queries,)
        Predicted reward of a sample.
    costs : ndarray of shape (n_queries,), default=None
        Predicted cost of a sample.
    is_told : bool, default=True
        Whether each sample of a query is told as a number.
    """

    def __init__(self, predicted, costs=None, *, is_told=True):
        self.is_wanted = is_told or costs is not None
        self._is_told = is_told
        self._predicted = predicted
        self._costs = costs
        self._told = [None] * len(predicted)
        self._cost_ratios = [None] * len(predicted)

    def add(self, rewards, n_before, n_after, paid):
        """Keep what a round told of the first samples of queries, and their costs.

        Parameters
        ----------
        rewards : sequence of n_queries sequences, or ndarray of shape \
                (n_queries, n_new)
            What the round was told, checked.
        n_before, n_after : ndarray of shape (n_queries,)
            Samples of each query before and after the round.
        paid : ndarray of shape (n_queries,)
            What was paid for each query so far.
        """
        rows = np.flatnonzero((n_before == 0) & (n_after > 0)).tolist()
        if rows and self._is_told:
            table = reward_array(rewards)
            table = table[:, None] if table.ndim == 1 else table
            column = np.isfinite(table).argmax(axis=1)
            for row in rows:
                self._told[row] = float(table[row, column[row]])
        if self._costs is not None:
            for row in rows:
                expected = n_after[row] * self._costs[row]
                self._cost_ratios[row] = float(paid[row] / expected)

    def forget_told(self):
        """Keep nothing of what was told of samples, now or later."""
        self._is_told, self._told = False, [None] * len(self._told)

    def closed(self, reference, spent):
        """What is remembered of the queries, a list of ClosedQuery.

        Parameters
        ----------
        reference : DriftReference
        spent : list of float
            What each query spent.
        """
        bins = np.searchsorted(reference.edges, self._predicted, side="right")
        columns = spent, bins.tolist(), self._told, self._cost_ratios
        return [ClosedQuery(*each) for each in zip(*columns, strict=True)]


@dataclass(frozen=True)
class StreamDriftReport:
    """Comparison of the latest queries of a stream with the calibration queries.

    :meth:`Stream.drift_report` returns it; `print` summarises it. A test that cannot be
    made has None in the place of its numbers.

    Parameters
    ----------
    n_queries : int
        Number of queries that the stream has closed.
    n_recent : float
        Number of queries that have as much to say as the latest ones, of which older
        ones weigh less.
    shares, calibration_shares : tuple of float
        Shares of the latest queries, and of the calibration queries, in bins of
        predicted reward.
    queries_p_value : float
        Of the difference of these shares: have the queries changed?
    told, expected : float or None
        Mean reward (or score) of the first samples of the latest queries, and that of
        calibration queries for which as much was predicted.
    answers_p_value : float or None
        Of the difference: has the model, or the judge of its answers, changed?
    cost_ratio, calibration_cost_ratio : float or None
        Mean of observed by predicted costs.
    costs_p_value : float or None
        Of the difference.
    budget, recent_spend, mean_spend : float
        Budget, and what the latest queries and all queries spent on average.
    price, calibration_price : float
        Price now and price of `fit`.
    correction : tuple of two float
        How the predictions of success rates are now corrected, (1, 1) if not at all:
        see :class:`~sklearn_adaalloc.StreamAllocator`, Notes.
    alpha : float
        Significance level of all tests together: the rate of false alarms.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc import StreamAllocator
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> X, rewards = make_reward_table(700, 8, random_state=0, return_X_y=True)
    >>> policy = StreamAllocator(budget=3, random_state=0).fit(X[:500], rewards[:500])
    >>> stream = policy.open()
    >>> for x in X[500:]:
    ...     with stream.start(x) as session:
    ...         while (asked := session.ask()) is not None:
    ...             session.tell([np.zeros(asked[0])])  # the verifier is broken
    >>> report = stream.drift_report()
    >>> report.drifted, report.told, report.queries_p_value > 0.01
    (True, 0.0, True)
    """

    n_queries: int
    n_recent: float
    shares: tuple
    calibration_shares: tuple
    queries_p_value: float
    told: float | None
    expected: float | None
    answers_p_value: float | None
    cost_ratio: float | None
    calibration_cost_ratio: float | None
    costs_p_value: float | None
    budget: float
    recent_spend: float
    mean_spend: float
    price: float
    calibration_price: float
    correction: tuple
    alpha: float

    @property
    def p_value(self):
        """Probability that any test differs as much if nothing has changed.

        The smallest p-value, times the number of tests (Bonferroni).
        """
        known = [each for each in self._p_values.values() if each is not None]
        return min(min(known) * len(known), 1.0)

    @property
    def drifted(self):
        """Whether anything differs from calibration: `p_value` < `alpha`."""
        return self.p_value < self.alpha

    @property
    def _p_values(self):
        return {
            "queries": self.queries_p_value,
            "answers": self.answers_p_value,
            "costs": self.costs_p_value,
        }

    def __str__(self):
        lines = [
            f"{self.n_queries} queries, of which the latest {self.n_recent:.0f} spent "
            f"{self.recent_spend:.3g} on average, and all {self.mean_spend:.3g}, of a "
            f"budget of {self.budget:.3g}. The price is {self.price:.2g}, after "
            f"{self.calibration_price:.2g} in fit."
        ]
        findings = {
            "queries": "queries are predicted to be other than those of calibration",
            "answers": "first samples have a mean of {0.told:.3g} where calibration "
            "expects {0.expected:.3g}",
            "costs": "samples cost {0.cost_ratio:.3g} times what is predicted, after "
            "{0.calibration_cost_ratio:.3g} in calibration",
        }
        known = {name: p for name, p in self._p_values.items() if p is not None}
        for name, p in known.items():
            if p * len(known) < self.alpha:
                lines.append(f"Drift: {findings[name].format(self)} (p = {p:.1g}).")
        if not self.drifted:
            lines.append(f"Nothing differs from calibration (p = {self.p_value:.1g}).")
        return " ".join(lines)


def compare_recent(reference, recent):
    """Compare the latest queries with calibration queries.

    Parameters
    ----------
    reference : DriftReference
    recent : dict
        As of :func:`~sklearn_adaalloc.planning._recent.remember`.

    Returns
    -------
    comparison : dict
        What :class:`StreamDriftReport` says of queries, answers and costs.
    """
    total, squared = recent["weights"]
    n_recent = total**2 / squared
    shares = np.array(recent["bins"]) / total
    expected = np.array(reference.shares)
    comparison = {
        "n_recent": n_recent,
        "shares": tuple(shares.tolist()),
        "calibration_shares": tuple(reference.shares),
        "queries_p_value": _compare_shares(
            shares, n_recent, expected, reference.n_queries
        ),
        **dict.fromkeys(("told", "expected", "answers_p_value")),
        **dict.fromkeys(("cost_ratio", "calibration_cost_ratio", "costs_p_value")),
    }
    scale = squared / total  # of the variance of a weighted sum
    if reference.means is not None and sum(recent["told"]) > 0:
        told, sums = np.array(recent["told"]), np.array(recent["sums"])
        means, squares = np.array(reference.means), np.array(recent["squares"])
        expectation = told @ means
        # Around what is expected: a bin in which all are right varies all the same.
        spread = np.maximum(squares - 2 * means * sums + means**2 * told, 0.0)
        variance = scale * spread.sum() + told**2 @ np.array(reference.errors)
        comparison |= {
            "told": float(sums.sum() / told.sum()),
            "expected": float(expectation / told.sum()),
            "answers_p_value": _two_sided(sums.sum() - expectation, variance),
        }
    if reference.cost_ratio is not None and recent["costs"][0] > 0:
        weight, ratios, squares = recent["costs"]
        mean, (before, error) = ratios / weight, reference.cost_ratio
        variance = max(squares / weight - mean**2, 0.0) * scale / weight + error
        comparison |= {
            "cost_ratio": mean,
            "calibration_cost_ratio": before,
            "costs_p_value": _two_sided(mean - before, variance),
        }
    return comparison


def _compare_shares(shares, n_shares, others, n_others):
    """P-value of a chi-squared test that two samples have equal shares of bins."""
    pooled = (n_shares * shares + n_others * others) / (n_shares + n_others)
    used = pooled > 0
    if used.sum() < 2:
        return 1.0
    squares = (shares - others)[used] ** 2 / pooled[used]
    statistic = squares.sum() / (1 / n_shares + 1 / n_others)
    return float(chi2.sf(statistic, used.sum() - 1))


def _two_sided(difference, variance):
    """P-value of a difference that is normal; 1 if nothing varies and none differs."""
    return float(2 * norm.sf(abs(difference) / np.sqrt(variance + _LEAST_VARIANCE)))


def _ratio(numbers, counts):
    """Numbers by counts, 0 where the count is 0."""
    return np.divide(numbers, counts, out=np.zeros(len(counts)), where=counts > 0)


def check_enough(n_closed):
    """Raise if a stream has not closed enough queries for a report."""
    if n_closed < _FEWEST:
        raise ValueError(
            f"drift_report was called after {n_closed} closed queries. Expected at "
            f"least {_FEWEST}. Hundreds are needed for a useful test."
        )
