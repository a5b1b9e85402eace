"""How one answer is chosen among several, and the reward curves that follow.

A rule of selection says what the chosen one of b samples is expected to earn. All that
comes after, targets, allocators and scores, sees reward curves alone, and so works with
any rule. A reward table is (n_queries, n_samples) with NaN for a missing sample, or
(n_queries, 2, n_samples) for routing with the weak decoder first; in routing there is
one answer, and nothing to choose.

All functions are pure and expect checked arrays.
"""

from abc import ABC, abstractmethod

import numpy as np

from sklearn_adaalloc._utils.rewards import has_decoders
from sklearn_adaalloc.curves._best_of import best_of_budgets, best_of_curves
from sklearn_adaalloc.curves._decoders import decoder_rewards
from sklearn_adaalloc.curves._extension import extend_short_rows


class Selection(ABC):
    """Base class of rules by which one of several answers is chosen.

    A rule needs one method, `curves`. The others have defaults that rest on it.

    Attributes
    ----------
    follows_rates : bool
        Whether the curve of 0/1 rewards is that of a success rate, 1 − (1 − λ)^b: one
        right answer among the samples is enough. Only then do targets learn success
        rates from 0/1 rewards; otherwise they learn marginal rewards.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves import Selection, reward_curves
    >>> class AnyAnswer(Selection):
    ...     def curves(self, rewards, max_budget, *, replacement="auto"):
    ...         return np.tile(np.nanmean(rewards, axis=1)[:, None], max_budget)
    >>> reward_curves(np.array([[0.0, 1.0]]), 2, selection=AnyAnswer())
    array([[0. , 0.5, 0.5]])
    """

    follows_rates = False

    def __eq__(self, other):
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self):
        return hash((type(self), *sorted(vars(self).items())))

    @abstractmethod
    def curves(self, rewards, max_budget, *, replacement="auto"):
        """Expected reward of the chosen one of b samples, for b = 1..max_budget.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Reward table; NaN marks a missing sample.
        max_budget : int
            Largest b.
        replacement : {"auto"} or bool, default="auto"
            Whether samples are drawn with replacement from each row's own. "auto" draws
            without while b is at most their number, and with replacement beyond.

        Returns
        -------
        curves : ndarray of shape (n_queries, max_budget)
        """

    def at_budgets(self, rewards, budgets, *, replacement="auto"):
        """Expected reward of the chosen one of each query's own number of samples.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Reward table; NaN marks a missing sample.
        budgets : ndarray of shape (n_queries,)
            Number of samples of each query, at least 1.
        replacement : {"auto"} or bool, default="auto"
            As in :meth:`curves`.

        Returns
        -------
        expected : ndarray of shape (n_queries,)
        """
        curves = self.curves(rewards, int(budgets.max()), replacement=replacement)
        return curves[np.arange(len(rewards)), budgets - 1]

    def extend(self, marginals, rewards):
        """Marginal rewards as training should see them beyond the samples of a row.

        Parameters
        ----------
        marginals : ndarray of shape (n_queries, max_budget)
            Marginal rewards by :meth:`curves`. May be changed in place.
        rewards : ndarray of shape (n_queries, n_samples)
            The reward table that they were computed from.

        Returns
        -------
        marginals : ndarray of shape (n_queries, max_budget)
            By default as they are.
        """
        return marginals


class BestReward(Selection):
    """The answer with the highest reward is chosen, as by a verifier that sees it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._selection import BestReward
    >>> BestReward().curves(np.array([[0.0, 1.0]]), 2)
    array([[0.5, 1. ]])
    """

    follows_rates = True

    def curves(self, rewards, max_budget, *, replacement="auto"):
        """Expected best of b samples, exact; see `Selection`."""
        return best_of_curves(rewards, max_budget, replacement=replacement)

    def at_budgets(self, rewards, budgets, *, replacement="auto"):
        """Expected best at each query's budget, exact; see `Selection`."""
        return best_of_budgets(rewards, budgets, replacement=replacement)

    def extend(self, marginals, rewards):
        """Go on as the samples of a short row suggest; see `Selection`."""
        return extend_short_rows(marginals, rewards)


SELECTIONS = {"reward": BestReward()}


def resolve_selection(selection):
    """Turn a name into a rule of selection.

    Parameters
    ----------
    selection : {"reward"} or Selection
        Name or rule.

    Returns
    -------
    rule : Selection

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> from sklearn_adaalloc.curves._selection import resolve_selection
    >>> resolve_selection("reward").follows_rates
    True
    """
    if isinstance(selection, Selection):
        return selection
    if isinstance(selection, str) and selection in SELECTIONS:
        return SELECTIONS[selection]
    raise ValueError(
        f"selection={selection!r} is not accepted. Expected one of "
        f"{list(SELECTIONS)}, or a rule: an instance of a class derived from "
        "sklearn_adaalloc.curves.Selection."
    )


def reward_curves(
    rewards, max_budget, *, empty_reward=0.0, replacement="auto", selection="reward"
):
    """Expected reward of the chosen one of b samples, for b = 0..max_budget.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table. For routing the curve is (mean of the weak, mean of the strong)
        and `max_budget` is 1.
    max_budget : int
        Largest budget of one query.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    replacement : {"auto"} or bool, default="auto"
        Whether samples are drawn with replacement from each row's own. "auto" draws
        without while b is at most their number, and with replacement beyond. A curve
        then steps down where a row runs out of samples, because drawing with
        replacement is the more cautious estimate of the two.
    selection : {"reward"} or Selection, default="reward"
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
        return decoder_rewards(rewards)
    curves = np.full((len(rewards), max_budget + 1), float(empty_reward))
    curves[:, 1:] = rule.curves(rewards, max_budget, replacement=replacement)
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
    selection : {"reward"} or Selection, default="reward"
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
        return decoder_rewards(rewards)[np.arange(len(rewards)), budgets]
    expected = np.full(len(rewards), float(empty_reward))
    sampled = np.flatnonzero(budgets > 0)
    if sampled.size:
        expected[sampled] = rule.at_budgets(
            rewards[sampled], budgets[sampled], replacement=replacement
        )
    return expected


def marginal_rewards(
    rewards, max_budget, *, empty_reward=0.0, replacement="auto", selection="reward"
):
    """Marginal reward of each further sample: differences of the reward curves.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; routing has one step, strong minus weak.
    max_budget : int
        Largest budget of one query.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    replacement : {"auto"} or bool, default="auto"
        As in :func:`reward_curves`.
    selection : {"reward"} or Selection, default="reward"
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
    """Marginal rewards to learn from, also beyond the samples of a short row.

    Parameters
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or (n_queries, 2, n_samples)
        Reward table; routing has one step.
    max_budget : int
        Largest budget of one query.
    empty_reward : float, default=0.0
        Reward of a query that gets no sample. Not used in routing.
    selection : {"reward"} or Selection, default="reward"
        How an answer is chosen among the samples. Not used in routing.

    Returns
    -------
    marginals : ndarray of shape (n_queries, max_budget)
        Those of :func:`marginal_rewards` as far as a row has samples. Beyond, a row
        goes on as its samples suggest, where the rule of selection can say how.

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
    return resolve_selection(selection).extend(marginals, rewards)
