"""Adaptive best-of-k: sample each query by its budget and return the best answer."""

from reprlib import repr as short_repr
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_adaalloc._utils.budgets import check_budgets
from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.moved import warn_renamed
from sklearn_adaalloc._utils.prices import check_price
from sklearn_adaalloc._utils.queries import check_queries
from sklearn_adaalloc.allocators import VoteSession
from sklearn_adaalloc.decoding._policies import read_policy
from sklearn_adaalloc.decoding._rounds import Answering, OneRound, WithDecoderAxis
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
    price : tuple of two float, or float, default=None
        Price of a token of a prompt and of a token of an answer, in the unit of the
        policy's budget if that is a cost. One number is the price of an answer, however
        long. None counts the tokens of answers.

    See Also
    --------
    Cascade : The best of several samples of several decoders.
    Router : One answer to each query, from a weak or a strong decoder.

    Notes
    -----
    If the policy starts with a :class:`~sklearn_adaalloc.HiddenStateFeaturizer`, the
    sampler may compute its features in its own pass over the prompts. Then features
    need no extra pass. This requires equal model, layer, pooling, length limit,
    template and precision.

    A policy whose budget counts costs (``unit="cost"``) needs a sampler that reports
    tokens, or the price of an answer. It must be fitted on costs of the same kind. In
    rounds, the session is told what each round really cost. A sample that failed for
    good counts with its predicted cost there. Prompts are charged as they are billed,
    see :class:`Cascade`.

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
            allocator or is one for several decoders. Also if the sampler returns
            another number of answers than requested, or the reward function does not
            return one number per answer. Also if `price` is not accepted, or if the
            budget counts costs by tokens and the sampler reports none. If all samples
            failed, the first of their errors.

        Warns
        -----
        UserWarning
            If samples failed or could not be graded, or if at least one answer in a
            hundred was cut off at the token limit.
        """
        queries = check_queries(queries)
        price = check_price(self.price)
        allocator, X, samplers = read_policy(
            self.policy,
            [self.sampler],
            queries,
            kind="samples",
            instead="Give it to Router or Cascade, or fit it on samples of one "
            "decoder.",
        )
        answering = Answering(queries, self.reward, allocator, samplers, [price])
        if hasattr(allocator, "start"):
            session = allocator.start(X)
            _refuse_votes(allocator, session)
            session = WithDecoderAxis(session)
        else:
            budgets = answering.afford(allocator).predict(X)
            budgets = check_budgets(budgets, n_queries=len(queries))
            session = OneRound(budgets[:, None])
        return answering.finish(session, lambda: self._decoded(answering, session))

    def _decoded(self, answering, session):
        """The best of the answers so far."""
        answers, rewards, _ = answering.best(self.default_answer)
        (gathered,) = answering.gathered
        return BestAnswers(
            answers,
            rewards,
            gathered.n_answers,
            gathered.usage,
            session.rounds_taken,
            gathered.errors,
            answering.costs[:, 0],
            answering.budget_share,
        )


def _refuse_votes(allocator, session):
    if isinstance(session, VoteSession):
        raise ValueError(
            f"policy={short_repr(allocator)} takes votes, but BestOfK returns the "
            "answer with the best reward. Expected selection='reward' or 'score'. For "
            "votes, sample yourself and tell a session the answers: policy.start(X)."
        )
