"""What a session is told of samples: their rewards, their scores or their answers.

For each rule of selection there is one class. `is_numeric` says whether it tells
numbers. It has these static methods:

============================================  ======================================
``learn(table, rule)``                        fitted attributes, from the table of
                                              `fit`
``open(policy, marginals, limits, terms,``    a new session on these terms: budget,
``alone, **told)``                            rounds, least samples and money. Queries
                                              can be decided alone; `told` says whether
                                              the numbers of a replay are told
                                              (`replayed`), and how other queries have
                                              corrected predictions (`correction`)
``read(table)``                               what a replay tells, in the shape of
                                              the rewards; NaN where there is none
``numbers(table, rule)``                      the same as float64, to be stored
``from_numbers(numbers)``                     what a replay tells, again
``learn_alone(policy, marginals, numbers)``   options of beliefs about single queries,
                                              from queries held out
============================================  ======================================
"""

import numpy as np

from sklearn_adaalloc._utils.rewards import is_binary
from sklearn_adaalloc.allocators._session import (
    ScoreSession,
    SequentialSession,
    VoteSession,
)
from sklearn_adaalloc.curves._scores import expected_given_score, fit_score_rewards
from sklearn_adaalloc.curves._selection import (
    BestReward,
    HighestScore,
    MostVotes,
    fields_of,
    resolve_selection,
)
from sklearn_adaalloc.planning._beliefs import RewardBelief, SuccessBelief
from sklearn_adaalloc.planning._rewards import (
    Trust,
    add_samples,
    fit_trust,
    mean_and_deviation,
    no_samples,
)
from sklearn_adaalloc.planning._score_belief import ScoreBelief
from sklearn_adaalloc.planning._vote_belief import VoteBelief


class ToldRewards:
    """The rewards themselves: a verifier or a reward model is the judge."""

    is_numeric = True

    @staticmethod
    def learn(table, rule):
        return {"binary_": is_binary(table.rewards)}

    @staticmethod
    def open(policy, marginals, limits, terms, *, alone=False, **told):
        options = {"empty_reward": policy.empty_reward}
        if policy.binary_:
            belief = SuccessBelief(
                marginals,
                limits,
                share_plans=not alone and terms["n_rounds"] is not None,
                corrected=not alone,
                correction=told.get("correction", (1.0, 1.0)),
                **options,
            )
        else:
            belief = RewardBelief(
                marginals,
                limits,
                min_budget=terms["min_budget"],
                highest=policy.highest_reward_,
                **(_trusting(policy) if alone else {}),
                **options,
            )
        return SequentialSession(belief, **terms, **options)

    @staticmethod
    def read(table):
        return table.rewards

    @staticmethod
    def numbers(table, rule):
        return table.rewards

    @staticmethod
    def from_numbers(numbers):
        return numbers

    @staticmethod
    def learn_alone(policy, marginals, numbers):
        return {} if policy.binary_ else _learn_trust(policy, marginals, numbers)


class ToldScores:
    """Scores, of which `fit` learnt what reward they promise."""

    is_numeric = True

    @staticmethod
    def learn(table, rule):
        scores = fields_of(rule, table)["scores"]
        promised = fit_score_rewards(table.rewards, scores)
        return {"binary_": False, "score_rewards_": promised}

    @staticmethod
    def open(policy, marginals, limits, terms, *, alone=False, **told):
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
            **(_trusting(policy) if alone else {}),
            **options,
        )
        return ScoreSession(belief, **terms, **options)

    @staticmethod
    def read(table):
        return table.scores

    @staticmethod
    def numbers(table, rule):
        return fields_of(rule, table)["scores"]

    @staticmethod
    def from_numbers(numbers):
        return numbers

    @staticmethod
    def learn_alone(policy, marginals, numbers):
        promised = expected_given_score(numbers, policy.score_rewards_)
        return _learn_trust(policy, marginals, promised)


class ToldAnswers:
    """Answers to vote on, of which none is known to be right."""

    is_numeric = False

    @staticmethod
    def learn(table, rule):
        fields_of(rule, table)  # raises if there are no answers
        return {"binary_": False}

    @staticmethod
    def open(policy, marginals, limits, terms, *, alone=False, **told):
        options = {"empty_reward": policy.empty_reward}
        belief = VoteBelief(
            marginals,
            limits,
            # The numbers of a replay are equal where keys are.
            key=None
            if told.get("replayed")
            else resolve_selection(policy.selection).key,
            reward_range=(policy.lowest_reward_, policy.highest_reward_),
            **(policy.alone_ if alone else {}),
            **options,
        )
        return VoteSession(belief, **terms, **options)

    @staticmethod
    def read(table):
        return np.where(np.isnan(table.rewards), np.nan, table.answers)

    @staticmethod
    def numbers(table, rule):
        fields_of(rule, table)  # raises if there are no answers
        codes = table.codes if rule.key is None else table.with_keys(rule.key).codes
        return np.where(np.isnan(table.rewards), np.nan, codes)

    @staticmethod
    def from_numbers(numbers):
        codes = np.nan_to_num(numbers, nan=-1).astype(int).astype(object)
        return np.where(np.isnan(numbers), np.nan, codes)

    @staticmethod
    def learn_alone(policy, marginals, numbers):
        low, high = policy.lowest_reward_, policy.highest_reward_
        mean = (marginals[:, 0] + policy.empty_reward - low) / (high - low or 1.0)
        mean = np.clip(mean, 0.0, 1.0)
        return {"mean": float((mean * (1 - mean)).mean())}


def _learn_trust(policy, marginals, rewards):
    """How well predictions agree with rewards, for beliefs about single queries."""
    _, deviations = mean_and_deviation(marginals, empty_reward=policy.empty_reward)
    means = marginals[:, 0] + policy.empty_reward
    samples = add_samples(no_samples(len(rewards)), rewards)
    trust = fit_trust(samples, means, deviations)
    return {"trust": tuple(trust), "typical": float(deviations.mean())}


def _trusting(policy):
    return {**policy.alone_, "trust": Trust(*policy.alone_["trust"])}


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
