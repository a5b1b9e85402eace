"""Rules that choose one answer among several.

A rule of selection gives the expected reward of the answer chosen among b samples.
Targets, allocators and scores use only the curves that follow, see
:mod:`sklearn_adaalloc.curves._reward_curves`, so they work with every rule.

All functions are pure and expect checked arrays.
"""

from abc import ABC, abstractmethod

import numpy as np

from sklearn_adaalloc.curves._best_of import (
    best_of_budgets,
    best_of_curves,
    last_of_budgets,
    last_of_curves,
)
from sklearn_adaalloc.curves._extension import extend_short_rows
from sklearn_adaalloc.curves._scores import order_by_score
from sklearn_adaalloc.curves._table import RewardTable
from sklearn_adaalloc.curves._votes import leader_rewards, vote_curves


class Selection(ABC):
    """Base class of rules that choose one of several answers.

    A rule must implement one method, `curves`. The other methods have defaults.

    Attributes
    ----------
    follows_rates : bool
        Whether the curve of 0/1 rewards follows from a success rate, as 1 − (1 − λ)^b.
        This holds if one right answer among the samples is enough. If True, targets
        learn success rates from 0/1 rewards. If False, they learn marginal rewards.
    reads : tuple of {"scores", "codes", "costs"}
        Fields of a :class:`~sklearn_adaalloc.RewardTable` that the rule needs. Methods
        get them as keyword arguments, arrays of the shape of `rewards`.

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
    reads = ()

    def __eq__(self, other):
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self):
        return hash(type(self))

    @abstractmethod
    def curves(self, rewards, max_budget, *, replacement="auto", **fields):
        """Expected reward of the answer chosen among b samples, for b = 1..max_budget.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Reward table; NaN marks a missing sample.
        max_budget : int
            Largest b.
        replacement : {"auto"} or bool, default="auto"
            Whether the b samples are drawn from the row with replacement. "auto" draws
            without replacement if the row has at least b samples, and with replacement
            otherwise.
        **fields : ndarray of shape (n_queries, n_samples)
            What `reads` names.

        Returns
        -------
        curves : ndarray of shape (n_queries, max_budget)
        """

    def at_budgets(self, rewards, budgets, *, replacement="auto", **fields):
        """Expected reward of the answer chosen at the budget of each query.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Reward table; NaN marks a missing sample.
        budgets : ndarray of shape (n_queries,)
            Number of samples of each query, at least 1.
        replacement : {"auto"} or bool, default="auto"
            As in :meth:`curves`.
        **fields : ndarray of shape (n_queries, n_samples)
            What `reads` names.

        Returns
        -------
        expected : ndarray of shape (n_queries,)
        """
        curves = self.curves(
            rewards, int(budgets.max()), replacement=replacement, **fields
        )
        return curves[np.arange(len(rewards)), budgets - 1]

    def extend(self, marginals, rewards):
        """Replace marginal rewards beyond the samples of a row, for training.

        Parameters
        ----------
        marginals : ndarray of shape (n_queries, max_budget)
            Marginal rewards from :meth:`curves`. They can be changed in place.
        rewards : ndarray of shape (n_queries, n_samples)
            The reward table that they were computed from.

        Returns
        -------
        marginals : ndarray of shape (n_queries, max_budget)
            By default unchanged.
        """
        return marginals


class BestReward(Selection):
    """Choose the answer with the highest reward, for example with a verifier.

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
        """Estimate marginal rewards beyond the samples of a row; see `Selection`."""
        return extend_short_rows(marginals, rewards)


class HighestScore(Selection):
    """The answer with the highest score is chosen, as by a reranker.

    Of answers with equal scores any is chosen, each as likely as the others.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._selection import HighestScore
    >>> rewards, scores = np.array([[0.0, 1.0]]), np.array([[0.9, 0.1]])
    >>> HighestScore().curves(rewards, 2, scores=scores)
    array([[0.5, 0. ]])
    """

    reads = ("scores",)

    def curves(self, rewards, max_budget, *, replacement="auto", scores):
        """Expected reward of the highest score, exact; see `Selection`."""
        return last_of_curves(order_by_score(rewards, scores), max_budget, replacement)

    def at_budgets(self, rewards, budgets, *, replacement="auto", scores):
        """Expected reward at each query's budget, exact; see `Selection`."""
        return last_of_budgets(order_by_score(rewards, scores), budgets, replacement)


class MostVotes(Selection):
    """The most frequent answer is chosen, as by a majority vote.

    Of answers with equally many votes any is chosen, each as likely as the others. A
    sample without an answer has no vote.

    Parameters
    ----------
    key : callable, default=None
        Takes the list of distinct answers to one query and returns a list of as many
        keys. Answers with equal keys are the same, so that their votes count together.
        An answer with the key None has no vote. The default compares the answers
        themselves. For answers in mathematics, pass
        :class:`~sklearn_adaalloc.rewards.MathEquivalence`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.curves._selection import MostVotes
    >>> rewards, codes = np.array([[1.0, 1.0, 0.0]]), np.array([[0, 0, 1]])
    >>> MostVotes().curves(rewards, 3, codes=codes).round(3)
    array([[0.667, 0.667, 1.   ]])
    """

    reads = ("codes",)

    def __init__(self, key=None):
        self.key = key

    def curves(self, rewards, max_budget, *, replacement="auto", codes):
        """Expected reward of the most frequent of b answers, for b = 1..max_budget.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Reward table; NaN marks a missing sample.
        max_budget : int
            Largest b.
        replacement : {"auto"} or bool, default="auto"
            As in :meth:`Selection.curves`.
        codes : ndarray of shape (n_queries, n_samples), int
            Answers as numbers; -1 for none.

        Returns
        -------
        curves : ndarray of shape (n_queries, max_budget)
            Exact.
        """
        return vote_curves(rewards, codes, max_budget, replacement)

    def at_budgets(self, rewards, budgets, *, replacement="auto", codes):
        """Expected reward of the most frequent answer at each query's budget.

        Parameters
        ----------
        rewards : ndarray of shape (n_queries, n_samples)
            Reward table; NaN marks a missing sample.
        budgets : ndarray of shape (n_queries,)
            Number of samples of each query, at least 1.
        replacement : {"auto"} or bool, default="auto"
            As in :meth:`Selection.curves`.
        codes : ndarray of shape (n_queries, n_samples), int
            Answers as numbers; -1 for none.

        Returns
        -------
        expected : ndarray of shape (n_queries,)
            Exact.
        """
        whole = budgets == np.isfinite(rewards).sum(axis=1)
        if replacement != "auto" or not whole.all():
            return super().at_budgets(
                rewards, budgets, replacement=replacement, codes=codes
            )
        return leader_rewards(rewards, codes)


SELECTIONS = {"reward": BestReward(), "score": HighestScore(), "vote": MostVotes()}


def resolve_selection(selection):
    """Turn a name into a rule of selection.

    Parameters
    ----------
    selection : {"reward", "score", "vote"} or Selection
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


def fields_of(rule, rewards):
    """What a rule reads of a table, beside its rewards.

    Parameters
    ----------
    rule : Selection
        Rule of selection.
    rewards : ndarray or RewardTable
        Table.

    Returns
    -------
    fields : dict of str to ndarray of the shape of the rewards

    Raises
    ------
    ValueError
        If the table does not hold them.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.curves._selection import fields_of, resolve_selection
    >>> table = RewardTable([[0, 1]], scores=[[0.2, 0.7]])
    >>> fields_of(resolve_selection("score"), table)
    {'scores': array([[0.2, 0.7]])}
    """
    key = getattr(rule, "key", None)
    if key is not None and isinstance(rewards, RewardTable):
        rewards = rewards.with_keys(key)
    fields = {name: getattr(rewards, name, None) for name in rule.reads}
    lacking = [name for name, values in fields.items() if values is None]
    if lacking:
        name = {"codes": "answers"}.get(lacking[0], lacking[0])
        raise ValueError(
            f"rewards has no {name}, and selection by {type(rule).__name__} needs them."
            f" Expected a RewardTable with {name}: give "
            f"RewardTable(rewards, {name}=...)."
        )
    return fields
