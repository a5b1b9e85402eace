"""Test whether new queries are like those that a rule was calibrated on."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import ks_2samp, norm


@dataclass(frozen=True)
class DriftReport:
    """Comparison of new queries with the calibration queries; `print` summarises it.

    The method `drift_report` of `BinnedAllocator` and `PricedAllocator` returns it.

    Parameters
    ----------
    budget : float
        Parameter `budget` of the allocator.
    promised_budget : float
        Mean budget of the calibration queries, in samples. If decoders have budgets of
        their own, the mean predicted cost of all their samples, in the unit of
        `budget`.
    realised_budget : float
        The same of the new queries.
    difference : tuple of two floats
        95 % confidence interval of realised minus promised budget.
    n_calibration, n_queries : int
        Number of calibration queries and of new queries.
    statistic : float
        Kolmogorov-Smirnov statistic: the largest difference between the two
        distribution functions of scores, in [0, 1]. With several decoders, that of the
        decoder whose scores differ most significantly.
    p_value : float
        Probability of a statistic at least this large if nothing has changed. With
        several decoders, multiplied by their number (Bonferroni).
    alpha : float
        Significance level of the test: the rate of false alarms.

    Examples
    --------
    >>> from sklearn_adaalloc import BinnedAllocator
    >>> from sklearn_adaalloc.datasets import make_reward_table
    >>> X, rewards = make_reward_table(2000, 16, random_state=0, return_X_y=True)
    >>> allocator = BinnedAllocator(budget=4, random_state=0)
    >>> allocator = allocator.fit(X[:1000], rewards[:1000])
    >>> new, success_rates = X[1000:], rewards[1000:].mean(axis=1)
    >>> allocator.drift_report(new).drifted
    False
    >>> allocator.drift_report(new[success_rates < 0.5]).drifted
    True
    """

    budget: float
    promised_budget: float
    realised_budget: float
    difference: tuple
    n_calibration: int
    n_queries: int
    statistic: float
    p_value: float
    alpha: float

    @property
    def drifted(self):
        """Whether scores differ from those of calibration: `p_value` < `alpha`."""
        return self.p_value < self.alpha

    def __str__(self):
        low, high = self.difference
        spend = (
            f"Mean budget {self.realised_budget:.3g} over {self.n_queries} queries, "
            f"promised {self.promised_budget:.3g} (difference between {low:+.2g} and "
            f"{high:+.2g})."
        )
        test = f"Kolmogorov-Smirnov {self.statistic:.2f}, p = {self.p_value:.1g}"
        if self.drifted:
            verdict = (
                f"Scores differ from those of calibration ({test}): grade some of "
                "these queries and calibrate on them."
            )
        else:
            verdict = f"Scores are like those of calibration ({test})."
        return f"{spend} {verdict}"


def compare_with_calibration(
    *, calibration_scores, scores, calibration_budgets, budgets, budget, alpha
):
    """Compare scores and budgets of new queries with those of calibration queries.

    Parameters
    ----------
    calibration_scores, scores : ndarray of shape (n_calibration,) and (n_queries,)
        Predicted marginal rewards of the first sample. With several decoders, of each
        decoder, (n_calibration, n_decoders) and (n_queries, n_decoders).
    calibration_budgets, budgets : ndarray of shape (n_calibration,) and (n_queries,)
        What the rule gives to each query.
    budget : float
        Parameter `budget` of the allocator.
    alpha : float
        Significance level of the test.

    Returns
    -------
    report : DriftReport

    Raises
    ------
    ValueError
        If there are fewer than two new queries.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.allocators._drift import compare_with_calibration
    >>> scores, budgets = np.linspace(0, 1, 100), np.arange(100) // 10
    >>> report = compare_with_calibration(
    ...     calibration_scores=scores,
    ...     scores=scores[50:],
    ...     calibration_budgets=budgets,
    ...     budgets=budgets[50:],
    ...     budget=5,
    ...     alpha=0.01,
    ... )
    >>> report.promised_budget, report.realised_budget, report.statistic
    (4.5, 7.0, 0.5)
    """
    if len(scores) < 2:
        raise ValueError(
            f"drift_report was given {len(scores)} query. Expected a sample of at "
            "least two queries. Give hundreds for a useful test."
        )
    promised, realised = calibration_budgets.mean(), budgets.mean()
    error = np.sqrt(
        np.var(calibration_budgets) / len(calibration_budgets)
        + np.var(budgets) / len(budgets)
    )
    margin = norm.ppf(0.975) * error
    samples = calibration_scores, scores
    pairs = zip(*(each.reshape(len(each), -1).T for each in samples), strict=True)
    tests = [ks_2samp(*pair, method="asymp") for pair in pairs]
    test = min(tests, key=lambda test: test.pvalue)
    return DriftReport(
        budget=budget,
        promised_budget=float(promised),
        realised_budget=float(realised),
        difference=(
            float(realised - promised - margin),
            float(realised - promised + margin),
        ),
        n_calibration=len(calibration_scores),
        n_queries=len(scores),
        statistic=float(test.statistic),
        p_value=min(float(test.pvalue) * len(tests), 1.0),
        alpha=alpha,
    )
