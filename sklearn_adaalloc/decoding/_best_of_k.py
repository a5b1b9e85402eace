"""Adaptive best-of-k: sample each query by its budget and return the best answer."""

import warnings
from reprlib import repr as short_repr
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_adaalloc._utils.budgets import check_budgets
from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.grading import check_graded
from sklearn_adaalloc._utils.moved import warn_renamed
from sklearn_adaalloc._utils.queries import check_queries
from sklearn_adaalloc.allocators import VoteSession
from sklearn_adaalloc.decoding._bill import Bill, check_price
from sklearn_adaalloc.decoding._gathering import Gathered, raise_if_all_failed
from sklearn_adaalloc.decoding._policies import read_policy
from sklearn_adaalloc.sampling import TokenUsage


class BestAnswers(NamedTuple):
    """What :meth:`BestOfK.decode` returns.

    Attributes
    ----------
    answers : list of n_queries str
        Best answer to each query. If no answer could be graded, the first one. If there
        is no answer, the default answer.
    rewards : ndarray of shape (n_queries,)
        Reward of that answer. NaN if there is none, or if it could not be graded.
    budgets : ndarray of shape (n_queries,), int64
        Number of answers to each query. Samples that failed for good do not count.
    usage : TokenUsage
        Tokens of prompts and answers. Its `cut_off` says which answers the token limit
        cut off.
    rounds_taken : int
        Number of rounds of sampling; 1 if all budgets are decided up front.
    errors : dict
        Row of a query -> exception, the first reason for a missing answer.
    costs : ndarray of shape (n_queries,)
        What was paid for each query: the tokens of its answers, or their price. NaN if
        the sampler reports no tokens.
    budget_share : float
        Share of the policy's budget that was spent, in the unit of the budget: samples
        or costs. NaN if the policy has no budget.
    """

    answers: list
    rewards: np.ndarray
    budgets: np.ndarray
    usage: TokenUsage
    rounds_taken: int
    errors: dict
    costs: np.ndarray | None = None
    budget_share: float = np.nan

    @property
    def total_cost(self):
        """What was paid for all queries together."""
        return float(np.sum(self.costs))

    @property
    def cost_spread(self):
        """Standard deviation of the costs of the queries."""
        return float(np.std(self.costs))

    @property
    def n_rounds(self):
        """Old name of `rounds_taken`. The limit on rounds is also called `n_rounds`."""
        warn_renamed("n_rounds", "rounds_taken")
        return self.rounds_taken


class BestOfK(DocumentationLinkMixin, BaseEstimator):
    """Answer each query with the best of its samples, as many as a policy gives it.

    Parameters
    ----------
    policy : estimator
        A fitted allocator, a pipeline that ends in one, or a fitted search over either.
        The allocator usually decides up front. A
        :class:`~sklearn_adaalloc.SequentialAllocator` decides in rounds, and the
        rewards of each round determine the next. A
        :class:`~sklearn_adaalloc.BinnedAllocator` may get one query at a time. Others
        split the budget over the queries of one call.
    sampler : callable or object
        Either a function of prompts and budgets, or an object with such a method
        ``sample``, such as those of :mod:`sklearn_adaalloc.sampling`. It returns a list
        of str per prompt, with as many answers as the budget. None marks an answer that
        is not available. If it has a parameter `first_sample`, it gets the number of
        samples that each prompt had in earlier rounds. A function with a fixed seed
        needs this, or every round draws the same answers. If it has a parameter
        `return_usage`, it is asked for token counts.
    reward : callable
        ``reward(queries, answers)``, where answers are a list of str per query. It
        returns an array of rewards per query, like the functions of
        :mod:`sklearn_adaalloc.rewards`. NaN marks an answer that cannot be graded. Such
        an answer is chosen only if no other one is graded.
    default_answer : str, default="I don't know."
        Answer to a query without a sample.
    price : tuple of two float, default=None
        Price of a token of a prompt and of a token of an answer, in the unit of the
        policy's budget if that is a cost. None counts the tokens of answers.

    See Also
    --------
    Router : One answer to each query, from a weak or a strong decoder.

    Notes
    -----
    If the policy starts with a :class:`~sklearn_adaalloc.HiddenStateFeaturizer`, the
    sampler may compute its features in its own pass over the prompts. Then features
    need no extra pass. This requires equal model, layer, pooling, length limit,
    template and precision.

    A policy whose budget counts costs (``unit="cost"``) needs a sampler that reports
    tokens. It must be fitted on costs of the same kind: tokens of answers, or their
    price. In rounds, the session is told what each round really cost. A sample that
    failed for good counts with its predicted cost there.

    Answers that were paid for are kept. If a sample fails for good, for example because
    a server refuses it, the others are not affected. A query without any answer is not
    sampled again in later rounds. In rounds, a sample without a reward counts as spent.
    It counts with the lowest reward of its query in that round, or as a failure if
    there is no such reward. If a sampler or a reward function raises, the exception has
    an attribute `partial`: the `BestAnswers` so far. There, a query without any graded
    answer has its first answer.

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

    price = None  # of decoders pickled by earlier versions

    def __init__(
        self, policy, sampler, reward, *, default_answer="I don't know.", price=None
    ):
        self.policy = policy
        self.sampler = sampler
        self.reward = reward
        self.default_answer = default_answer
        self.price = price

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
            If a query is neither a text nor a chat, or if the policy is not an
            allocator or is one for routing. Also if the sampler returns another number
            of answers than requested, or the reward function does not return one number
            per answer. Also if `price` is not two numbers, or if the budget counts
            costs and the sampler reports no tokens. If all samples failed, the first of
            their errors.

        Warns
        -----
        UserWarning
            If samples failed or could not be graded, or if at least one answer in a
            hundred was cut off at the token limit.
        """
        queries = check_queries(queries)
        price = check_price(self.price)
        allocator, X, sampler = read_policy(
            self.policy,
            self.sampler,
            queries,
            n_axes=2,
            instead="Give it to Router, or fit it on samples of one decoder.",
        )
        gathered = Gathered(queries)
        bill = Bill(gathered, allocator, self.sampler, price)
        bill.check_sampler(sampler)
        if hasattr(allocator, "start"):
            session = allocator.start(X)
            _refuse_votes(allocator, session)
        else:
            budgets = check_budgets(allocator.predict(X), n_queries=len(queries))
            session = _OneRound(budgets)
        binary = getattr(allocator, "binary_", False)
        verdicts = [[] for _ in queries]
        try:
            while (asked := session.ask()) is not None:
                budgets = np.where(_refused(gathered), 0, asked)
                samples = gathered.ask(sampler, budgets, session.budgets)
                graded = self._grade(queries, samples)
                for row, rewards in zip(verdicts, graded, strict=True):
                    row.extend(rewards)
                told = _as_told(graded, asked, binary=binary)
                session.tell(told, **bill.news(session, asked))
            raise_if_all_failed(gathered)
        except BaseException as error:
            error.partial = self._decoded(gathered, verdicts, session, bill)
            raise
        gathered.warn(stacklevel=2)
        _warn_ungraded(queries, verdicts)
        return self._decoded(gathered, verdicts, session, bill)

    def _grade(self, queries, samples):
        """Rewards of one round, an array per query; empty without samples."""
        verdicts = [np.zeros(0) for _ in queries]
        rows = [row for row, sampled in enumerate(samples) if sampled]
        asked, answers = [queries[row] for row in rows], [samples[row] for row in rows]
        if rows:
            graded = check_graded(self.reward(asked, answers), asked, answers)
            for row, rewards in zip(rows, graded, strict=True):
                verdicts[row] = rewards
        return verdicts

    def _decoded(self, gathered, verdicts, session, bill):
        """The best of the answers so far."""
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
            bill.costs,
            bill.budget_share,
        )


def _refuse_votes(allocator, session):
    if isinstance(session, VoteSession):
        raise ValueError(
            f"policy={short_repr(allocator)} takes votes, but BestOfK returns the "
            "answer with the best reward. Expected selection='reward' or 'score'. For "
            "votes, sample yourself and tell a session the answers: policy.start(X)."
        )


def _refused(gathered):
    """Queries that had errors and no answer, (n_queries,)."""
    refused = np.zeros(len(gathered.rows), dtype=bool)
    refused[list(gathered.errors)] = True
    return refused & (gathered.n_answers == 0)


def _as_told(graded, asked, *, binary):
    """One reward for each sample that a session requested, even if it has none.

    A sample without a reward counts with the lowest reward of its query in this round.
    If there is no such reward, it counts as a failure, or with the lowest of all
    rewards.
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

    predicted_costs = 0.0  # nothing is planned with them

    def __init__(self, budgets):
        self._asked = budgets
        self.budgets = np.zeros_like(budgets)
        self.rounds_taken = 0

    def ask(self):
        return None if self.rounds_taken else self._asked

    def tell(self, rewards, costs=None):
        self.budgets, self.rounds_taken = self._asked, 1
