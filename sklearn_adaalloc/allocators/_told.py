"""What a session is told of samples: their rewards, their scores or their answers.

For each rule of selection there is one class, with three static methods:

============================================  ======================================
``learn(table, rule)``                        fitted attributes, from the table of
                                              `fit`
``open(policy, marginals, limits, terms)``    a new session on these terms: budget,
                                              rounds, least samples and money
``read(table)``                               what a replay tells, in the shape of
                                              the rewards; NaN where there is none
============================================  ======================================
"""

import numpy as np

from sklearn_adaalloc._utils.rewards import is_binary
from sklearn_adaalloc.allocators._session import (
    ScoreSession,
    SequentialSession,
    VoteSession,
)
from sklearn_adaalloc.curves._scores import fit_score_rewards
from sklearn_adaalloc.curves._selection import (
    BestReward,
    HighestScore,
    MostVotes,
    fields_of,
    resolve_selection,
)
from sklearn_adaalloc.planning._beliefs import RewardBelief, SuccessBelief
from sklearn_adaalloc.planning._score_belief import ScoreBelief
from sklearn_adaalloc.planning._vote_belief import VoteBelief


class ToldRewards:
    """The rewards themselves: a verifier or a reward model is the judge."""

    @staticmethod
    def learn(table, rule):
        return {"binary_": is_binary(table.rewards)}

    @staticmethod
    def open(policy, marginals, limits, terms):
        options = {"empty_reward": policy.empty_reward}
        if policy.binary_:
            share_plans = terms["n_rounds"] is not None
            belief = SuccessBelief(
                marginals, limits, share_plans=share_plans, **options
            )
        else:
            belief = RewardBelief(
                marginals,
                limits,
                min_budget=terms["min_budget"],
                highest=policy.highest_reward_,
                **options,
            )
        return SequentialSession(belief, **terms, **options)

    @staticmethod
    def read(table):
        return table.rewards


class ToldScores:
    """Scores, of which `fit` learnt what reward they promise."""

    @staticmethod
    def learn(table, rule):
        scores = fields_of(rule, table)["scores"]
        promised = fit_score_rewards(table.rewards, scores)
        return {"binary_": False, "score_rewards_": promised}

    @staticmethod
    def open(policy, marginals, limits, terms):
        options = {"empty_reward": policy.empty_reward}
        promised = getattr(policy, "score_rewards_", None)
        if promised is None:
            raise ValueError(
                f"selection={policy.selection!r} was set after fit, which learnt "
                "nothing about scores. Fit again on a RewardTable with scores."
            )
        belief = ScoreBelief(
            marginals,
            limits,
            promised,
            min_budget=terms["min_budget"],
            **options,
        )
        return ScoreSession(belief, **terms, **options)

    @staticmethod
    def read(table):
        return table.scores


class ToldAnswers:
    """Answers to vote on, of which none is known to be right."""

    @staticmethod
    def learn(table, rule):
        fields_of(rule, table)  # raises if there are no answers
        return {"binary_": False}

    @staticmethod
    def open(policy, marginals, limits, terms):
        options = {"empty_reward": policy.empty_reward}
        belief = VoteBelief(
            marginals,
            limits,
            key=resolve_selection(policy.selection).key,
            reward_range=(policy.lowest_reward_, policy.highest_reward_),
            **options,
        )
        return VoteSession(belief, **terms, **options)

    @staticmethod
    def read(table):
        return np.where(np.isnan(table.rewards), np.nan, table.answers)


_TOLD = {BestReward: ToldRewards, HighestScore: ToldScores, MostVotes: ToldAnswers}


def told_of(selection):
    """Look up what a session is told, by the rule of selection.

    Parameters
    ----------
    selection : {"reward", "score", "vote"} or Selection
        As of the allocator.

    Returns
    -------
    told : type
        One of the classes of this module.

    Raises
    ------
    ValueError
        If it is a rule of the user's own.

    Examples
    --------
    >>> from sklearn_adaalloc.allocators._told import told_of
    >>> told_of("vote").__name__
    'ToldAnswers'
    """
    told = _TOLD.get(type(resolve_selection(selection)))
    if told is None:
        raise ValueError(
            f"selection={selection!r} is not known in rounds. Expected 'reward', "
            "'score', 'vote' or MostVotes(key=...). For other rules use "
            "AdaptiveAllocator."
        )
    return told
