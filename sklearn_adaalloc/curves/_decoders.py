"""Tables with an axis of decoders: all that distinguishes routing from sampling.

A routing table (n_queries, 2, n_samples) holds rewards of a weak and of a strong
decoder. Its budgets are 0 for the weak and 1 for the strong decoder, so that it has one
step, from the one to the other, whatever the number of samples. Elsewhere nobody needs
to ask which kind a table is of.

All functions are pure and expect checked arrays.
"""

import numpy as np
from scipy.special import expit

from sklearn_adaalloc._utils.rewards import has_decoders
from sklearn_adaalloc.curves._rates import success_rates


def count_table_steps(rewards):
    """Largest budget that a table knows of: its samples, or one step in routing.

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
    """Largest budget that scores accept: 1 in routing, else None for any.

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
    """Samples that budgets draw from, and how many of them.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table.
    budgets : ndarray of shape (n_queries,)
        Checked budgets; in routing 0 = weak, 1 = strong.

    Returns
    -------
    rewards : ndarray of shape (n_queries, n_samples)
        In routing, those of the decoder that is called.
    budgets : ndarray of shape (n_queries,)
        In routing, 1: each decoder gives one answer.

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
    """Refuse more than the one step that a routing table has.

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
    """Rewards of the only decoder, or of the weak one.

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
    # One strong sample at a time: memory stays that of the table.
    totals = sum(
        np.nansum(expit(sample[:, None] - weak), axis=1) for sample in strong.T
    )
    return totals / (np.isfinite(weak).sum(axis=1) * np.isfinite(strong).sum(axis=1))


def observed_rates(rewards):
    """What a prediction of one number per query is compared with.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table.

    Returns
    -------
    rates : ndarray of shape (n_queries,)
        Mean rewards, which are success rates for 0/1 rewards; in routing, preferences.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._decoders import observed_rates
    >>> observed_rates(np.array([[0.0, 1.0]]))
    array([0.5])
    """
    return preferences(rewards) if has_decoders(rewards) else success_rates(rewards)
