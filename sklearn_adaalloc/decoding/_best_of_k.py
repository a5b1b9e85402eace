"""Adaptive best-of-k: as many samples of each query as its budget, and the best."""

import warnings
from reprlib import repr as short_repr
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_adaalloc._utils.budgets import check_budgets
from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.moved import warn_renamed
from sklearn_adaalloc._utils.queries import check_queries
from sklearn_adaalloc.decoding._gathering import Gathered, raise_if_all_failed
from sklearn_adaalloc.decoding._policies import read_policy
from sklearn_adaalloc.rewards._protocol import check_graded
from sklearn_adaalloc.sampling import TokenUsage


class BestAnswers(NamedTuple):
    """What :meth:`BestOfK.decode` returns.

    Attributes
    ----------
    answers : list of n_queries str
        Best answer to each query; the first one where none could be graded, and the
        default answer where there is none.
    rewards : ndarray of shape (n_queries,)
        Reward of that answer; NaN where there is none or it could not be graded.
    budgets : ndarray of shape (n_queries,), int64
        Answers that each query got. Samples that failed for good do not count.
    usage : TokenUsage
        Tokens of prompts and answers; its `cut_off` says which answers the token limit
        cut off.
    rounds_taken : int
        Number of rounds of sampling; 1 where all budgets are decided up front.
    errors : dict
        Row of a query -> exception, the first reason why it lacks an answer.
    """

    answers: list
    rewards: np.ndarray
    budgets: np.ndarray
    usage: TokenUsage
    rounds_taken: int
    errors: dict

    @property
    def n_rounds(self):
        """Old name of `rounds_taken`: the limit on rounds has this name, too."""
        warn_renamed("n_rounds", "rounds_taken")
        return self.rounds_taken


class BestOfK(DocumentationLinkMixin, BaseEstimator):
    """Answer queries with the best of as many samples as a policy gives them.

    Parameters
    ----------
    policy : estimator
        A fitted allocator, or a pipeline from queries to one, or a fitted search around
        either. The allocator decides up front, or in rounds where it is a
        :class:`~sklearn_adaalloc.SequentialAllocator`: then the rewards of each round
        steer the next. A :class:`~sklearn_adaalloc.BinnedAllocator` may be given one
        query at a time; others split the budget over the queries of one call.
    sampler : callable or object
        Function of prompts and budgets that returns as many answers to each prompt, a
        list of str each (None for an answer that cannot be had), or an object with such
        a method ``sample``, such as those of :mod:`sklearn_adaalloc.sampling`. It is
        told `first_sample`, the number of samples that each prompt had in earlier
        rounds, and `return_usage` if it has such parameters; a seeded function needs
        the first in rounds, or each draws the same answers.
    reward : callable
        ``reward(queries, answers)`` with a list of str per query returns an array of
        rewards per query, as do those of :mod:`sklearn_adaalloc.rewards`; NaN for an
        answer that cannot be graded, which is never the best while another is graded.
    default_answer : str, default="I don't know."
        Answer to a query that gets no sample.

    See Also
    --------
    Router : One answer each, of a weak decoder or a strong one.

    Notes
    -----
    Where the policy starts with a :class:`~sklearn_adaalloc.HiddenStateFeaturizer` that
    reads what the sampler's own pass over the prompt hands out (same model, layer,
    pooling, length limit, template and precision), features cost no pass of their own.

    What is paid for is kept. A sample that fails for good, as one that a server
    refuses, costs the others nothing; a query that got no answer is not asked again in
    later rounds. In rounds, a sample without a reward counts as spent, and as the
    lowest reward of its query in that round, or if that has none as a failure. Where a
    sampler or a reward function raises, the exception has an attribute `partial`: the
    `BestAnswers` so far, with the first answer to each query of which none is graded.

    References
    ----------
    Damani, Shenfeld, Peng, Bobu, Andreas, "Learning How Hard to Think: Input-Adaptive
    Allocation of LM Computation", ICLR 2025, section 3.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_adaalloc import AdaptiveAllocator, HiddenStateFeaturizer
    >>> from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
    >>> from sklearn_adaalloc.decoding import BestOfK
    >>> from sklearn_adaalloc.sampling import TransformersSampler
    >>> data = load_arithmetic("math")
    >>> policy = make_pipeline(
    ...     HiddenStateFeaturizer(device="cpu"),
    ...     AdaptiveAllocator(budget=2, random_state=0),
    ... )
    >>> policy = policy.fit(data.queries_train[:300], data.rewards_train[:300])
    >>> sampler = TransformersSampler(max_new_tokens=24, device="cpu")
    >>> decoded = BestOfK(policy, sampler, grade_arithmetic).decode(
    ...     ["2+3=", "max 3 41 7=", "7315*86*2="]
    ... )
    >>> bool(decoded.budgets.sum() <= 2 * 3)
    True
    """

    def __init__(self, policy, sampler, reward, *, default_answer="I don't know."):
        self.policy = policy
        self.sampler = sampler
        self.reward = reward
        self.default_answer = default_answer

    def decode(self, queries):
        """Answer queries.

        Parameters
        ----------
        queries : sequence of n_queries str or lists of dict
            Texts, or lists of messages with "role" and "content".

        Returns
        -------
        decoded : BestAnswers
            Answers with their rewards, budgets and tokens.

        Raises
        ------
        NotFittedError
            If the policy is not fitted.
        ValueError
            If a query is neither text nor chat, the policy is no allocator or one of
            routing, the sampler does not return as many answers as it is asked for, or
            the reward function not one number per answer. If all samples failed, the
            first of their errors.

        Warns
        -----
        UserWarning
            If samples failed or could not be graded, or one answer in a hundred or more
            was cut off at the token limit.
        """
        queries = check_queries(queries)
        allocator, X, sampler = read_policy(
            self.policy,
            self.sampler,
            queries,
            n_axes=2,
            instead="Give it to Router, or fit it on samples of one decoder.",
        )
        if hasattr(allocator, "start"):
            session = allocator.start(X)
        else:
            budgets = check_budgets(allocator.predict(X), n_queries=len(queries))
            session = _OneRound(budgets)
        binary = getattr(allocator, "binary_", False)
        gathered = Gathered(queries)
        verdicts = [[] for _ in queries]
        try:
            while (asked := session.ask()) is not None:
                budgets = np.where(_refused(gathered), 0, asked)
                samples = gathered.ask(sampler, budgets, session.budgets)
                graded = self._grade(queries, samples)
                for row, rewards in zip(verdicts, graded, strict=True):
                    row.extend(rewards)
                session.tell(_as_told(graded, asked, binary=binary))
            raise_if_all_failed(gathered)
        except BaseException as error:
            error.partial = self._decoded(gathered, verdicts, session)
            raise
        gathered.warn(stacklevel=2)
        _warn_ungraded(queries, verdicts)
        return self._decoded(gathered, verdicts, session)

    def _grade(self, queries, samples):
        """Rewards of one round, an array per query; only those with samples are put."""
        verdicts = [np.zeros(0) for _ in queries]
        rows = [row for row, sampled in enumerate(samples) if sampled]
        asked, answers = [queries[row] for row in rows], [samples[row] for row in rows]
        if rows:
            graded = check_graded(self.reward(asked, answers), asked, answers)
            for row, rewards in zip(rows, graded, strict=True):
                verdicts[row] = rewards
        return verdicts

    def _decoded(self, gathered, verdicts, session):
        """The best of what there is."""
        answers = [self.default_answer] * len(verdicts)
        best_rewards = np.full(len(verdicts), np.nan)
        for row, (samples, rewards) in enumerate(
            zip(gathered.rows, verdicts, strict=True)
        ):
            best = 0
            if np.isfinite(rewards).any():
                best = int(np.nanargmax(rewards))
                best_rewards[row] = rewards[best]
            if samples:
                answers[row] = samples[best].answer
        return BestAnswers(
            answers,
            best_rewards,
            gathered.n_answers,
            gathered.usage,
            session.rounds_taken,
            gathered.errors,
        )


def _refused(gathered):
    """Queries to which nothing came back, (n_queries,)."""
    refused = np.zeros(len(gathered.rows), dtype=bool)
    refused[list(gathered.errors)] = True
    return refused & (gathered.n_answers == 0)


def _as_told(graded, asked, *, binary):
    """One reward per sample that a session asked for, also where there is none.

    Such a sample brought its query nothing: it counts as the lowest reward of its query
    in this round, and where that has none as a failure, or as the lowest of all.
    """
    finite = [rewards[np.isfinite(rewards)] for rewards in graded]
    lowest = 0.0 if binary else min(np.concatenate([*finite, []]), default=0.0)
    told = []
    for rewards, n_asked in zip(finite, asked, strict=True):
        missing = np.full(n_asked - len(rewards), rewards.min(initial=np.inf))
        missing[np.isinf(missing)] = lowest
        told.append(np.concatenate([rewards, missing]))
    return told


def _warn_ungraded(queries, verdicts):
    ungraded = [int(np.isnan(rewards).sum()) for rewards in verdicts]
    if any(ungraded):
        query = queries[np.flatnonzero(ungraded)[0]]
        warnings.warn(
            f"{sum(ungraded)} answers could not be graded (the reward function "
            f"returned NaN), the first of them to query {short_repr(query)}.",
            UserWarning,
            stacklevel=3,
        )


class _OneRound:
    """The session of a policy that decides everything up front."""

    def __init__(self, budgets):
        self._asked = budgets
        self.budgets = np.zeros_like(budgets)
        self.rounds_taken = 0

    def ask(self):
        return None if self.rounds_taken else self._asked

    def tell(self, rewards):
        self.budgets, self.rounds_taken = self._asked, 1
