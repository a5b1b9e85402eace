"""Expected rewards where several decoders answer a query.

All functions are pure and expect checked arrays.
"""

import numpy as np
from scipy.special import gammaln

_BLOCK = 2**22  # entries worked on at a time


def expected_menu_rewards(rewards, budgets, *, empty_reward=0.0):
    r"""Expected best reward of each query, with a budget for each of its decoders.

    With :math:`c_d(r)` of :math:`m_d` samples of decoder d at most r, the best of
    :math:`b_d` different ones of each decoder is at most r with probability
    :math:`\prod_d \binom{c_d(r)}{b_d} / \binom{m_d}{b_d}`. Where a budget is larger
    than the number of samples, they are drawn with replacement.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_decoders, n_samples)
        Reward table.
    budgets : ndarray of shape (n_queries, n_decoders), int
        Samples of each decoder. A decoder without a sample in the table gives none.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample.

    Returns
    -------
    expected : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._menus import expected_menu_rewards
    >>> rewards = np.array([[[1.0, 0.0], [0.0, 1.0]]] * 2)
    >>> expected_menu_rewards(rewards, np.array([[1, 1], [0, 2]]))
    array([0.75, 1.  ])
    """
    n_queries, n_decoders, n_samples = rewards.shape
    n_rows = max(1, _BLOCK // (n_decoders**2 * n_samples))
    return np.concatenate(
        [
            _expected(rewards[start : start + n_rows], budgets[start : start + n_rows])
            for start in range(0, n_queries, n_rows)
        ]
    ) + empty_reward * _gets_nothing(rewards, budgets)


def _gets_nothing(rewards, budgets):
    return ~((budgets > 0) & np.isfinite(rewards).any(axis=2)).any(axis=1)


def _expected(rewards, budgets):
    """The same without empty rewards."""
    values = rewards.reshape(len(rewards), -1)
    order = np.argsort(values, axis=1)  # NaN last
    values = np.take_along_axis(values, order, axis=1)
    decoder = order // rewards.shape[2]
    given = np.isfinite(rewards).sum(axis=2)[:, None]  # (n_queries, 1, n_decoders)
    budgets = np.where(given > 0, budgets[:, None], 0)
    known = np.isfinite(values)[:, :, None]
    one_hot = known & (decoder[:, :, None] == np.arange(rewards.shape[1]))
    below = np.cumsum(one_hot, axis=1)  # (n_queries, n_values, n_decoders)
    at_most = np.where(
        budgets <= given,
        np.exp(
            _log_falling(below, budgets)
            - _log_falling(given, np.minimum(budgets, given))
        ),
        (below / np.maximum(given, 1)) ** budgets,
    ).prod(axis=2)
    # Without a budget, "at most" is certain before the first value.
    start = (budgets == 0).all(axis=2).astype(np.float64)
    steps = np.diff(at_most, axis=1, prepend=start)
    return np.where(known[:, :, 0], values * steps, 0.0).sum(axis=1)


def _log_falling(n, k):
    """Logarithm of n (n - 1) ... (n - k + 1); -inf where k is larger than n."""
    enough = n >= k
    rest = np.where(enough, n - k, 0)
    return np.where(enough, gammaln(n + 1.0) - gammaln(rest + 1.0), -np.inf)
