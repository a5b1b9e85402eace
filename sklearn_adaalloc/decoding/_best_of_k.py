"""Adaptive best-of-k: as many samples of each query as its budget, and the best."""

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_adaalloc._documentation import DocumentationLinkMixin
from sklearn_adaalloc._grading import check_graded, check_sampled
from sklearn_adaalloc._queries import check_queries
from sklearn_adaalloc._validation import check_budgets
from sklearn_adaalloc.decoding._reading import read_policy
from sklearn_adaalloc.sampling import TokenUsage


class BestAnswers(NamedTuple):
    """What :meth:`BestOfK.decode` returns.

    Attributes
    ----------
    answers : list of n_queries str
        Best answer to each query; the default answer where none was sampled.
    rewards : ndarray of shape (n_queries,)
        Reward of that answer; NaN where none was sampled.
    budgets : ndarray of shape (n_queries,), int64
        Samples that each query got.
    usage : TokenUsage
        Tokens of prompts and answers.
    n_rounds : int
        Rounds of sampling; 1 where all budgets are decided up front.
    """

    answers: list
    rewards: np.ndarray
    budgets: np.ndarray
    usage: TokenUsage
    n_rounds: int


class BestOfK(DocumentationLinkMixin, BaseEstimator):
    """Answer queries with the best of as many samples as a policy gives them.

    Parameters
    ----------
    policy : estimator
        A fitted allocator, or a pipeline from queries to one. Its last step decides up
        front, or in rounds where it is a
        :class:`~sklearn_adaalloc.SequentialAllocator`: then the rewards of each round
        steer the next. A :class:`~sklearn_adaalloc.BinnedAllocator` may be given one
        query at a time; others split the budget over the queries of one call.
    sampler : object
        Sampler with a method ``sample(prompts, budgets, *, first_sample,
        return_usage)``, such as those of :mod:`sklearn_adaalloc.sampling`.
    reward : callable
        ``reward(queries, answers)`` with a list of str per query returns an array of
        rewards per query, as do those of :mod:`sklearn_adaalloc.rewards`.
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
        ValueError
            If a query is neither text nor chat, the sampler does not return as many
            answers as it is asked for, or the reward function not one finite reward per
            answer.
        """
        queries = check_queries(queries)
        allocator, X, draw = read_policy(self.policy, self.sampler, queries)
        in_rounds = hasattr(allocator, "start")
        if in_rounds:
            session = allocator.start(X)
        else:
            budgets = check_budgets(allocator.predict(X), n_queries=len(queries))
            session = _OneRound(budgets)
        answers = [self.default_answer] * len(queries)
        rewards = np.full(len(queries), np.nan)
        usage = TokenUsage(
            np.zeros(len(queries), dtype=np.int64),
            [np.zeros(0, dtype=np.int64) for _ in queries],
        )
        while (budgets := session.ask()) is not None:
            returned = draw(budgets, first_sample=session.budgets, return_usage=True)
            samples, spent = check_sampled(self.sampler, returned, queries, budgets)
            verdicts = self._grade(queries, samples)
            session.tell(verdicts)
            usage = _add(usage, spent)
            for row in np.flatnonzero(budgets):
                best = verdicts[row].argmax()
                if not verdicts[row][best] <= rewards[row]:  # the first one: NaN
                    rewards[row], answers[row] = verdicts[row][best], samples[row][best]
        return BestAnswers(answers, rewards, session.budgets, usage, session.n_rounds)

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


class _OneRound:
    """The session of a policy that decides everything up front."""

    def __init__(self, budgets):
        self._asked = budgets
        self.budgets = np.zeros_like(budgets)
        self.n_rounds = 0

    def ask(self):
        return None if self.n_rounds else self._asked

    def tell(self, rewards):
        self.budgets, self.n_rounds = self._asked, 1


def _add(usage, more):
    """Tokens of two rounds together."""
    answers = zip(usage.answers, more.answers, strict=True)
    return TokenUsage(
        usage.prompt + more.prompt, [np.concatenate(pair) for pair in answers]
    )
