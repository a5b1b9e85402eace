r"""The expected reward of the answer with the most votes.

A query's samples hold :math:`n_j` times the answer j, whose reward is :math:`r_j`, and
:math:`n_0` times none. Of b samples drawn without replacement, answer j has c votes and
no other has more, t others having as many, with a probability that is a coefficient of
a polynomial in x, the samples, and y, the ties:

.. math::

    \binom{n_j}{c} x^c (1 + x)^{n_0}
    \prod_{i \ne j} \Big( \sum_{k < c} \binom{n_i}{k} x^k + y \binom{n_i}{c} x^c \Big).

A leader among t + 1 is chosen with probability :math:`1 / (t + 1) = \int_0^1 y^t dy`,
which a Gauss-Legendre rule integrates exactly. So the sum over c is exact, at the cost
of a few thousand small products per query. With replacement :math:`\binom{n}{k}`
becomes :math:`p^k / k!`, with p the share of the answer among the samples.

Pure functions on checked arrays.
"""

import numpy as np
from scipy.special import comb, gammaln


def vote_curves(rewards, codes, max_budget, replacement):
    """Expected reward of the most frequent of b answers, for b = 1..max_budget.

    Answers with equally many votes are equally likely to be chosen. Samples without an
    answer have no vote. Where no sample has a vote, one of them is taken as it is.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples)
        Rewards; NaN marks a missing sample.
    codes : ndarray of shape (n_queries, n_samples), int
        Answers, equal where they are the same; negative for none.
    max_budget : int
        Largest b.
    replacement : {"auto"} or bool
        Whether samples are drawn with replacement; "auto" does so beyond the samples.

    Returns
    -------
    curves : ndarray of shape (n_queries, max_budget)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._votes import vote_curves
    >>> rewards, codes = np.array([[1.0, 1.0, 0.0]]), np.array([[0, 0, 1]])
    >>> vote_curves(rewards, codes, 3, "auto").round(3)
    array([[0.667, 0.667, 1.   ]])
    """
    curves, known = np.empty((len(rewards), max_budget)), {}
    for row, (own, answers) in enumerate(zip(rewards, codes, strict=True)):
        poll = _count_votes(own, answers)
        if poll not in known:
            known[poll] = _curve(*poll, max_budget, replacement)
        curves[row] = known[poll]
    return curves


def leader_rewards(rewards, codes):
    """Reward of the answer with most votes among all samples of a row, ties shared.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples)
        Rewards; NaN marks a missing sample.
    codes : ndarray of shape (n_queries, n_samples), int
        Answers, as in `vote_curves`.

    Returns
    -------
    rewards : ndarray of shape (n_queries,)
        Where no sample has a vote, the mean of all.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._votes import leader_rewards
    >>> rewards = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, np.nan]])
    >>> leader_rewards(rewards, np.array([[0, 0, 1], [0, 1, -1]]))
    array([1. , 0.5])
    """
    leading = np.empty(len(rewards))
    for row, (own, answers) in enumerate(zip(rewards, codes, strict=True)):
        polls, (_, silent) = _count_votes(own, answers)
        most = max((votes for votes, _ in polls), default=0)
        means = [mean for votes, mean in polls if votes == most]
        leading[row] = np.mean(means) if means else silent
    return leading


def _count_votes(rewards, codes):
    """What a row comes to: ((votes, mean reward), ...), and the same of no answers."""
    given = np.isfinite(rewards)
    rewards, codes = rewards[given], codes[given]
    voting = codes >= 0
    _, label, votes = np.unique(codes[voting], return_inverse=True, return_counts=True)
    means = np.bincount(label, rewards[voting], minlength=len(votes)) / votes
    silent = rewards[~voting]
    return (
        tuple(sorted(zip(votes.tolist(), means.tolist(), strict=True))),
        (len(silent), float(silent.mean()) if silent.size else 0.0),
    )


def _curve(polls, silent, max_budget, replacement):
    """Curve of one query (max_budget,)."""
    n_samples = sum(votes for votes, _ in polls) + silent[0]
    within = {True: 0, False: max_budget}.get(replacement, min(max_budget, n_samples))
    curve = np.empty(max_budget)
    if within:
        curve[:within] = _expected(polls, silent, within, _choices)
    if within < max_budget:
        curve[within:] = _expected(polls, silent, max_budget, _shares)[within:]
    return curve


def _expected(polls, silent, max_budget, series):
    """Expected reward of the leader of b samples, b = 1..max_budget.

    `series` gives the weights of drawing 0, 1, ... of some of all samples.
    """
    votes, means = [n for n, _ in polls], [mean for _, mean in polls]
    n_samples = sum(votes) + silent[0]
    ways = np.array([series(n, n_samples, max_budget) for n in votes])
    gained = silent[1] * series(silent[0], n_samples, max_budget)  # nobody votes
    for c in range(1, max_budget + 1):
        able = [i for i in range(len(votes)) if ways[i, c] > 0]
        if not able:
            break
        n_rest = n_samples - sum(votes[i] for i in able)  # they cannot have c votes
        rest = series(n_rest, n_samples, max_budget)
        gained = gained + _led_with(c, ways[able], [means[i] for i in able], rest)
    return (gained / series(n_samples, n_samples, max_budget))[1:]


def _led_with(c, ways, means, rest):
    """Weight times reward of all draws whose leader has c votes, (max_budget + 1,).

    The polynomials of the answers are multiplied one by one, at a few values of y:
    `every` is the product so far, `led` the part of it with one of them as leader,
    times its reward.
    """
    nodes, weights = np.polynomial.legendre.leggauss((len(ways) + 1) // 2)
    y = (nodes[:, None] + 1) / 2
    every, led = np.tile(rest, (len(y), 1)), np.zeros((len(y), len(rest)))
    for way, mean in zip(ways, means, strict=True):
        fewer = _multiplier(np.where(np.arange(len(rest)) < c, way, 0.0))
        leading = np.zeros_like(every)
        leading[:, c:] = way[c] * every[:, : len(rest) - c]
        behind = np.zeros_like(led)
        behind[:, c:] = way[c] * led[:, : len(rest) - c]
        led = led @ fewer + y * behind + mean * leading
        every = every @ fewer + y * leading
    return weights / 2 @ led


def _multiplier(coefficients):
    """Matrix that multiplies rows of coefficients by a polynomial, cut to length."""
    n = len(coefficients)
    padded = np.concatenate([np.zeros(n - 1), coefficients])
    return np.lib.stride_tricks.sliding_window_view(padded, n)[::-1]


def _choices(n, n_samples, max_budget):
    """Ways to choose 0, 1, ... of n samples without replacement."""
    return comb(n, np.arange(max_budget + 1))


def _shares(n, n_samples, max_budget):
    """Weights of drawing 0, 1, ... of n samples with replacement, p^k / k!.

    Scaled by a power of the largest number, so that none is rounded to 0.
    """
    k = np.arange(max_budget + 1)
    share = n / n_samples
    if share == 0:
        return (k == 0).astype(np.float64)
    return np.exp(k * np.log(share * max_budget) - gammaln(k + 1))
