"""Samples of each query, so that the mean reward of a set of queries is precise."""

import numpy as np


def budgets_for_precision(rates, variances, max_budget, *, tolerance):
    r"""Find the fewest samples that keep the standard error of a mean reward.

    The mean over n queries of the mean reward of their :math:`b_i` samples has the
    variance

    .. math::
        \frac{1}{n} \left( V + \frac{1}{n} \sum_i \frac{v_i}{b_i} \right)

    where V is the variance of success rates between queries, and :math:`v_i` that of
    one sample of a query. Samples go where they lower the sum most, which is to
    :math:`b_i` in proportion to :math:`\sqrt{v_i}` (Neyman allocation), until the
    standard error is at most that of `max_budget` samples of each query, times 1 +
    `tolerance`. As no outcome is used, no mean is biased.

    Parameters
    ----------
    rates : ndarray of shape (n_queries,)
        Expected success rates.
    variances : ndarray of shape (n_queries,)
        Expected variances of one sample: of 0/1 rewards, the second marginal reward.
    max_budget : int
        Largest number of samples of a query.
    tolerance : float
        How much larger the standard error may be.

    Returns
    -------
    budgets : ndarray of shape (n_queries,), dtype int64
        At least 1.
    errors : tuple of two float
        Expected standard error at these budgets, and at `max_budget` for all.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._precision import budgets_for_precision
    >>> rates, variances = np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.25, 0.0])
    >>> budgets, errors = budgets_for_precision(rates, variances, 8, tolerance=0.05)
    >>> budgets
    array([1, 3, 1])
    """
    n_queries = len(rates)
    mean = rates.mean()
    between = max(np.mean(rates - variances) - mean**2, 0.0)  # E[rate²] - E[rate]²
    at_most = between + variances.mean() / max_budget
    allowed = at_most * (1 + tolerance) ** 2
    b = np.arange(2, max_budget + 1)
    gains = (variances[:, None] / (b * (b - 1))).ravel() / n_queries
    order = np.argsort(-gains, kind="stable")
    left = between + variances.mean() - np.append(0.0, np.cumsum(gains[order]))
    n_more = int(np.argmax(left <= allowed + 1e-12 * (1 + allowed)))
    rows = order[:n_more] // max(len(b), 1)
    budgets = 1 + np.bincount(rows, minlength=n_queries)
    errors = np.sqrt(np.maximum([left[n_more], at_most], 0.0) / n_queries)
    return budgets, tuple(map(float, errors))
