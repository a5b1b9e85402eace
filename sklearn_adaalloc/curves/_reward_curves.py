"""Expected rewards of a table at budgets, by any rule of selection.

A reward table has shape (n_queries, n_samples), with NaN for a missing sample. In
routing its shape is (n_queries, 2, n_samples), with the weak decoder first. Routing
gives one answer, so that no selection is needed.

All functions are pure and expect checked arrays.
"""

import numpy as np

from sklearn_adaalloc._utils.rewards import has_decoders
from sklearn_adaalloc.curves._decoders import decoder_rewards
from sklearn_adaalloc.curves._selection import fields_of, resolve_selection


def reward_curves(
    rewards, max_budget, *, empty_reward=0.0, replacement="auto", selection="reward"
):
    """Expected reward of the answer chosen among b samples, for b = 0..max_budget.

    Assumes that the samples of a query are exchangeable.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table. In routing, `max_budget` is 1, and the curve holds the mean
        rewards of the weak and of the strong decoder.
    max_budget : int
        Largest budget of one query.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    replacement : {"auto"} or bool, default="auto"
        Whether the b samples are drawn from the row with replacement. "auto" draws
        without replacement if the row has at least b samples, and with replacement
        otherwise. Drawing with replacement is biased downward. With "auto", a curve can
        therefore fall at the first b that exceeds the number of samples.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. Not used in routing.

    Returns
    -------
    curves : ndarray of shape (n_queries, max_budget + 1)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves import reward_curves
    >>> reward_curves(np.array([[0.0, 1.0, 0.0, 1.0]]), 2).round(3)
    array([[0.   , 0.5  , 0.833]])
    """
    rule = resolve_selection(selection)
    if has_decoders(rewards):
        return decoder_rewards(np.asarray(rewards))
    curves = np.full((len(rewards), max_budget + 1), float(empty_reward))
    curves[:, 1:] = rule.curves(
        np.asarray(rewards),
        max_budget,
        replacement=replacement,
        **fields_of(rule, rewards),
    )
    return curves


def expected_rewards(
    rewards, budgets, *, empty_reward=0.0, replacement="auto", selection="reward"
):
    """Expected reward of each query at its own budget (Eq. 9 and 10).

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table.
    budgets : ndarray of shape (n_queries,)
        Samples given to each query; in routing 0 = weak, 1 = strong.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    replacement : {"auto"} or bool, default="auto"
        As in :func:`reward_curves`.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. Not used in routing.

    Returns
    -------
    expected : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves import expected_rewards
    >>> expected_rewards(np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([1, 0]))
    array([0.5, 0. ])
    """
    rule = resolve_selection(selection)
    if has_decoders(rewards):
        return decoder_rewards(np.asarray(rewards))[np.arange(len(rewards)), budgets]
    expected = np.full(len(rewards), float(empty_reward))
    sampled = np.flatnonzero(budgets > 0)
    if sampled.size:
        table = rewards[sampled]
        expected[sampled] = rule.at_budgets(
            np.asarray(table),
            budgets[sampled],
            replacement=replacement,
            **fields_of(rule, table),
        )
    return expected


def marginal_rewards(
    rewards, max_budget, *, empty_reward=0.0, replacement="auto", selection="reward"
):
    """Marginal reward of each further sample: differences of the reward curves.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table. In routing there is one step: strong minus weak.
    max_budget : int
        Largest budget of one query.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    replacement : {"auto"} or bool, default="auto"
        As in :func:`reward_curves`.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. Not used in routing.

    Returns
    -------
    marginals : ndarray of shape (n_queries, max_budget)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves import marginal_rewards
    >>> marginal_rewards(np.array([[0.0, 1.0]]), 2)
    array([[0.5, 0.5]])
    """
    curves = reward_curves(
        rewards,
        max_budget,
        empty_reward=empty_reward,
        replacement=replacement,
        selection=selection,
    )
    return np.diff(curves, axis=1)


def extended_marginals(rewards, max_budget, *, empty_reward=0.0, selection="reward"):
    """Marginal rewards for training, with estimates beyond the samples of a row.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table. In routing there is one step.
    max_budget : int
        Largest budget of one query.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample; unused in routing.
    selection : {"reward", "score", "vote"} or Selection, default="reward"
        How an answer is chosen among the samples. Not used in routing.

    Returns
    -------
    marginals : ndarray of shape (n_queries, max_budget)
        As of :func:`marginal_rewards` up to the number of samples of a row. Beyond, the
        rule of selection estimates them if it can.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves import extended_marginals
    >>> rewards = np.array([[0.0, 2.0, np.nan], [0.0, 1.0, 2.0]])
    >>> extended_marginals(rewards, 3).round(2)
    array([[1.  , 1.  , 0.5 ],
           [1.  , 0.67, 0.33]])
    """
    marginals = marginal_rewards(
        rewards, max_budget, empty_reward=empty_reward, selection=selection
    )
    if has_decoders(rewards):
        return marginals
    return resolve_selection(selection).extend(marginals, np.asarray(rewards))
