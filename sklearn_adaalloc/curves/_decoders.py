"""Tables with a decoder axis: all code that differs between routing and sampling.

A routing table (n_queries, 2, n_samples) holds rewards of a weak and of a strong
decoder. A budget is 0 for the weak and 1 for the strong decoder. The table therefore
has one step, whatever its number of samples. With the functions of this module, other
modules need not distinguish the two kinds of tables.

All functions are pure and expect checked arrays.
"""

import numpy as np
from scipy.special import expit

from sklearn_adaalloc._utils.rewards import has_decoders
from sklearn_adaalloc.curves._rates import success_rates


def count_table_steps(rewards):
    """Largest budget that a table covers: its number of samples, or 1 in routing.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table.

    Returns
    -------
    n_steps : int

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._decoders import count_table_steps
    >>> count_table_steps(np.zeros((5, 8))), count_table_steps(np.zeros((5, 2, 8)))
    (8, 1)
    """
    return 1 if has_decoders(rewards) else rewards.shape[1]


def largest_budget(rewards):
    """Largest budget that scores accept: 1 in routing, otherwise None (no limit).

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table.

    Returns
    -------
    max_budget : int or None

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._decoders import largest_budget
    >>> largest_budget(np.zeros((5, 2, 8)))
    1
    """
    return 1 if has_decoders(rewards) else None


def as_samples(rewards, budgets):
    """Return the samples that budgets draw from, and the number of draws.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table.
    budgets : ndarray of shape (n_queries,)
        Checked budgets; in routing 0 = weak, 1 = strong.

    Returns
    -------
    rewards : ndarray of shape (n_queries, n_samples)
        In routing, the samples of the decoder that is called.
    budgets : ndarray of shape (n_queries,)
        In routing all 1, because each decoder gives one answer.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._decoders import as_samples
    >>> as_samples(np.array([[[0.0, 0.0], [1.0, 1.0]]]), np.array([1]))
    (array([[1., 1.]]), array([1]))
    """
    if not has_decoders(rewards):
        return rewards, budgets
    return rewards[np.arange(len(rewards)), budgets], np.ones_like(budgets)


def check_table_steps(rewards, max_budget):
    """Raise if `max_budget` is not 1 for a routing table.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Checked reward table.
    max_budget : int
        Largest budget of one query.

    Raises
    ------
    ValueError
        If it is a routing table and `max_budget` is not 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._decoders import check_table_steps
    >>> check_table_steps(np.zeros((5, 8)), 16)
    """
    if has_decoders(rewards) and max_budget != 1:
        raise ValueError(
            f"max_budget={max_budget!r} is not accepted for routing. Expected 1: a "
            "query goes to the weak decoder (0) or to the strong one (1)."
        )


def first_decoder(rewards):
    """Rewards of the only decoder, or in routing of the weak decoder.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table.

    Returns
    -------
    rewards : ndarray of shape (n_queries, n_samples)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._decoders import first_decoder
    >>> first_decoder(np.array([[[0.0, 0.0], [1.0, 1.0]]]))
    array([[0., 0.]])
    """
    return rewards[:, 0] if has_decoders(rewards) else rewards


def decoder_rewards(rewards):
    """Mean reward of each decoder: the reward curve of a routing table.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, 2, n_samples)
        Routing table, weak decoder first.

    Returns
    -------
    curves : ndarray of shape (n_queries, 2)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._decoders import decoder_rewards
    >>> decoder_rewards(np.array([[[0.0, 1.0], [1.0, np.nan]]]))
    array([[0.5, 1. ]])
    """
    return np.nanmean(rewards, axis=2)


def preferences(rewards):
    """Preference for the strong decoder: mean of σ(strong − weak) over pairs (Eq. 8).

    σ is the logistic function. The pairs are all pairs of a strong and a weak sample.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, 2, n_samples)
        Routing table, weak decoder first.

    Returns
    -------
    preferences : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves import preferences
    >>> preferences(np.array([[[0.0], [1.0]]])).round(3)
    array([0.731])
    """
    weak, strong = rewards[:, 0], rewards[:, 1]
    # One strong sample at a time, so that memory does not exceed that of the table.
    totals = sum(
        np.nansum(expit(sample[:, None] - weak), axis=1) for sample in strong.T
    )
    return totals / (np.isfinite(weak).sum(axis=1) * np.isfinite(strong).sum(axis=1))


def observed_rates(rewards):
    """Observed value that one predicted number per query is compared with.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table.

    Returns
    -------
    rates : ndarray of shape (n_queries,)
        Mean rewards, which are success rates for 0/1 rewards. In routing, preferences.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._decoders import observed_rates
    >>> observed_rates(np.array([[0.0, 1.0]]))
    array([0.5])
    """
    return preferences(rewards) if has_decoders(rewards) else success_rates(rewards)
