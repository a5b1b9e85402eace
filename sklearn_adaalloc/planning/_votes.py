r"""What further votes are worth: how likely they are to correct the leading answer.

The leader of a query has :math:`v_1` votes, its rival :math:`v_2`. With a uniform
prior, the rival is in truth the more frequent of the two with probability

.. math::

    u(v_1, v_2) = I_{1/2}(v_1 + 1, v_2 + 1),

a regularised incomplete beta function. Adaptive-Consistency stops a query once
:math:`1 - u` reaches a threshold. But doubt alone is not what a vote is worth: a narrow
lead among few votes changes sooner than the same doubt among many. After s further
votes, k of them for the leader, the answer that leads then is the better one with
probability :math:`\max(u, 1 - u)`. Its expectation, less :math:`1 - u` of now, is

.. math::

    G(s) = \sum_{k = 0}^{s} P(k) \, \big(2 u(v_1 + k, v_2 + s - k) - 1\big)_+,

with a beta-binomial :math:`P(k)`: the value of the knowledge that s votes bring. No
vote is worth anything that cannot change the leader, so that the curve is 0 at first
and then rises. Its least concave majorant says what each of several votes is worth.

All functions are pure and expect checked arrays.

References
----------
Aggarwal, Madaan, Yang, Mausam, "Let's Sample Step by Step: Adaptive-Consistency for
Efficient Reasoning and Coding with LLMs", EMNLP 2023. Frazier, Powell, "Paradoxes in
Learning and the Marginal Value of Information", Decision Analysis 2010.
"""

import numpy as np
from scipy.special import betainc, betaln, gammaln

_LEAST_WEIGHT = 0.05  # of a query whose votes are predicted to agree


def lead_doubt(first, second):
    """Probability that the rival is in truth more frequent than the leader.

    Parameters
    ----------
    first, second : array-like of shape (n_queries,)
        Votes of the leader and of its rival.

    Returns
    -------
    doubt : ndarray of shape (n_queries,)
        At most 0.5, which is that of a tie.

    Examples
    --------
    >>> from sklearn_adaalloc.planning._votes import lead_doubt
    >>> lead_doubt([1, 2, 3, 2], [1, 1, 0, 0])
    array([0.5   , 0.3125, 0.0625, 0.125 ])
    """
    return betainc(np.add(first, 1), np.add(second, 1), 0.5)


def lead_gains(first, second, n_votes):
    """By how much s further votes are expected to raise the chance of the right leader.

    Parameters
    ----------
    first, second : array-like of shape (n_queries,)
        Votes of the leader and of its rival.
    n_votes : int
        Largest s.

    Returns
    -------
    gains : ndarray of shape (n_queries, n_votes)
        G(s) for s = 1..n_votes.

    Examples
    --------
    One vote decides a tie; a lead of one needs two votes to change.

    >>> from sklearn_adaalloc.planning._votes import lead_gains
    >>> lead_gains([1, 1], [1, 0], 2)
    array([[0.1875, 0.1875],
           [0.    , 0.0625]])
    """
    a, b = (np.reshape(votes, (-1, 1, 1)) + 1.0 for votes in (first, second))
    s = np.arange(1, n_votes + 1)[:, None]
    k = np.arange(n_votes + 1)  # for the leader, (n_queries, s, k)
    rest = np.maximum(s - k, 0)
    choices = gammaln(s + 1) - gammaln(k + 1) - gammaln(rest + 1)
    weights = np.exp(choices + betaln(a + k, b + rest) - betaln(a, b))
    changed = np.maximum(2 * betainc(a + k, b + rest, 0.5) - 1, 0)
    return np.where(k <= s, weights * changed, 0).sum(axis=2)


def vote_weights(predicted, n_samples, mean=None):
    """How much more the votes of a query are expected to change than those of others.

    Two votes disagree the more often, the closer the chance q that one is right is to a
    half: in proportion to q (1 − q) if there are two answers. What was predicted counts
    less as votes come in: to the power of one over the root of their number.

    Parameters
    ----------
    predicted : ndarray of shape (n_queries,)
        Predicted chance that one vote is right, from 0 to 1.
    n_samples : ndarray of shape (n_queries,), int
        Samples so far.
    mean : float, default=None
        Mean of p (1 - p) of such queries. None means that of these queries.

    Returns
    -------
    weights : ndarray of shape (n_queries,)
        1 for all if all predictions are the same.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._votes import vote_weights
    >>> vote_weights(np.array([0.5, 0.9, 0.9]), np.array([1, 1, 4])).round(2)
    array([1.74, 0.63, 0.79])
    """
    spread = predicted * (1 - predicted)
    mean = spread.mean() if mean is None else mean
    relative = spread / mean if mean > 0 else np.ones_like(spread)
    power = 1 / np.sqrt(np.maximum(n_samples, 1))
    return np.maximum(relative, _LEAST_WEIGHT) ** power
