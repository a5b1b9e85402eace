"""Adaptive best-of-k: sample each query by its budget and return the best answer."""

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_adaalloc._utils.budgets import check_budgets
from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.moved import warn_renamed
from sklearn_adaalloc._utils.prices import check_price
from sklearn_adaalloc._utils.queries import check_queries
from sklearn_adaalloc.curves import MostVotes
from sklearn_adaalloc.curves._selection import resolve_selection
from sklearn_adaalloc.decoding._answer import AsynchronousDecoder
from sklearn_adaalloc.decoding._opened import ending
from sklearn_adaalloc.decoding._policies import read_policy
from sklearn_adaalloc.decoding._rounds import (
    Answering,
    OneRound,
    WithDecoderAxis,
    start,
)
from sklearn_adaalloc.decoding._votes import Voting
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


class BestAnswer(NamedTuple):
    """What :meth:`BestOfK.answer` returns.

    Attributes
    ----------
    answer : str
        Best answer. If no answer could be graded, the first one. If the policy gave the
        query no sample, the default answer.
    reward : float
        Reward of that answer. NaN if there is none, or if it could not be graded.
    budget : int
        Number of answers. Samples that failed for good do not count.
    usage : TokenUsage
        Tokens of the prompt and of the answers, as of one prompt.
    rounds_taken : int
        Number of rounds of sampling.
    error : Exception or None
        The first reason for a missing answer.
    cost : float
        What was paid: the tokens of the answers, or their price. NaN if the sampler
        reports no tokens.
    """

    answer: str
    reward: float
    budget: int
    usage: TokenUsage
    rounds_taken: int
    error: Exception | None
    cost: float


class BestOfK(AsynchronousDecoder, DocumentationLinkMixin, BaseEstimator):
    """Answer each query with the best of its samples, as many as a policy gives it.

    Parameters
    ----------
    policy : estimator or Stream
        A fitted allocator, a pipeline that ends in one, or a fitted search over either.
        The allocator usually decides up front. A
        :class:`~sklearn_adaalloc.SequentialAllocator` decides in rounds, and the
        rewards of each round determine the next. A
        :class:`~sklearn_adaalloc.StreamAllocator` does so for each query alone. It
        opens one stream for this decoder. To save the stream's state, or to share it,
        open it yourself and give it in place of the allocator, also as the end of a
        pipeline. A :class:`~sklearn_adaalloc.BinnedAllocator` may get one query at a
        time. Others split the budget over the queries of one call.
    sampler : callable or object
        Either a function of prompts and budgets, or an object with such a method
        ``sample``, such as those of :mod:`sklearn_adaalloc.sampling`. It returns a list
        of str per prompt, with as many answers as the budget. None marks an answer that
        is not available. If it has a parameter `first_sample`, it gets the number of
        samples that each prompt had in earlier rounds. A function with a fixed seed
        needs this, or every round draws the same answers. If it has a parameter
        `return_usage`, it is asked for token counts.
    reward : callable or None
        ``reward(queries, answers)``, where answers are a list of str per query. It
        returns an array of rewards per query, like the functions of
        :mod:`sklearn_adaalloc.rewards`. NaN marks an answer that cannot be graded. Such
        an answer is chosen only if no other one is graded. If a policy with
        ``selection="vote"`` decides in rounds or on a stream, it is a function of the
        same form that returns labels instead: what each answer votes for. None then
        takes the answers as they are. The first answer with the most frequent label is
        returned, and its reward is NaN.
    default_answer : str, default="I don't know."
        Answer to a query without a sample.
    price : tuple of two float, or float, default=None
        Price of a token of a prompt and of a token of an answer, in the unit of the
        policy's budget if that is a cost. One number is the price of an answer, however
        long. None counts the tokens of answers.
    max_in_flight : int, default=1000
        Largest number of queries that `answer` works on at a time in an event loop.
        Further ones wait for their turn.
    n_graders : int, default=None
        Largest number of threads in which `answer` grades. None takes as many as there
        are processors. A reward function that does not bear several threads needs 1.

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

    With a stream, all queries of :meth:`decode` are open at a time and advance in
    rounds, each decided alone. The price follows what they spent when all are closed.

    :meth:`answer` is for servers, where queries arrive one at a time. Run thousands of
    them at once, as tasks of one event loop. Samplers that can be awaited are awaited,
    such as :class:`~sklearn_adaalloc.sampling.OpenAISampler`. Others run in a thread,
    one query at a time, or as many as their attribute `max_concurrency` says. All that
    runs a model of this process, the policy included, takes turns in one thread. A
    policy that is quick, as those without such a model are, soon decides in the event
    loop instead. Rewards are graded in `n_graders` threads. A query that is cancelled
    closes its requests and its session, and what it had asked for counts as spent; only
    a function that already runs in a thread runs to its end. In an ``async with``
    block, connections stay open between queries.

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

    One query at a time, on a stream:

    >>> import asyncio
    >>> from sklearn_adaalloc import StreamAllocator
    >>> policy = make_pipeline(
    ...     HiddenStateFeaturizer(device="cpu"),
    ...     StreamAllocator(budget=2, random_state=0),
    ... )
    >>> policy = policy.fit(data.queries_train[:300], data.rewards_train[:300])
    >>> async def serve(queries):
    ...     async with BestOfK(policy, sampler, grade_arithmetic) as decoder:
    ...         answers = await asyncio.gather(*map(decoder.answer, queries))
    ...         return answers, decoder.stream.n_queries
    >>> answers, n_queries = asyncio.run(serve(["rev abc=", "max 3 41 7="]))
    >>> [each.answer for each in answers], n_queries
    (['cba', '41'], 2)
    """

    price = None  # of decoders pickled by earlier versions
    _answering = Answering

    def __init__(
        self,
        policy,
        sampler,
        reward,
        *,
        default_answer="I don't know.",
        price=None,
        max_in_flight=1000,
        n_graders=None,
    ):
        self.policy = policy
        self.sampler = sampler
        self.reward = reward
        self.default_answer = default_answer
        self.price = price
        self.max_in_flight = max_in_flight
        self.n_graders = n_graders

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
        answering, session = self._begin(check_queries(queries))
        with ending(session):
            return answering.finish(session, lambda: self._decoded(answering, session))

    async def answer(self, query, *, max_samples=None):
        """Answer one query, in an event loop.

        Parameters
        ----------
        query : str or list of dict
            A text, or a list of messages with "role" and "content".
        max_samples : int, default=None
            Largest number of samples, whatever the policy gives. None sets no limit.

        Returns
        -------
        answered : BestAnswer
            Answer with its reward, budget, cost and tokens.

        Raises
        ------
        NotFittedError, ValueError
            As for :meth:`decode`. Also if the policy decides jointly for a batch.
            Whatever the sampler or the reward function raises is raised here, for this
            query alone. The exception then has an attribute `partial`, the `BestAnswer`
            so far.
        """
        return await self._answer(query, max_samples)

    def _samplers(self):
        return [self.sampler]

    def _start(self, queries, max_samples, allocator, X, rest):
        """An `Answering` of queries that were read, and a session on them."""
        rule = resolve_selection(getattr(allocator, "selection", "reward"))
        starter = self.stream or allocator
        if hasattr(starter, "start"):
            if isinstance(rule, MostVotes):
                answering = Voting(queries, self.reward, rule.key, *rest)
            else:
                answering = self._answering(queries, self.reward, *rest)
            return answering, WithDecoderAxis(start(starter, X, max_samples))
        answering = self._answering(queries, self.reward, *rest)
        budgets = answering.afford(allocator).predict(X)
        budgets = check_budgets(budgets, n_queries=len(queries))
        return answering, OneRound(budgets[:, None], max_samples)

    def _read(self, queries):
        """The allocator, its input, and the last arguments of an `Answering`."""
        price = check_price(self.price)
        allocator, X, samplers = read_policy(
            self.policy,
            [self.sampler],
            queries,
            kind="samples",
            instead="Give it to Router or Cascade, or fit it on samples of one "
            "decoder.",
        )
        return allocator, X, (allocator, samplers, [price])

    def _decoded_one(self, answering, session):
        """The best of the answers so far to the only query."""
        [answer], [reward], _ = answering.best(self.default_answer)
        (gathered,) = answering.gathered
        return BestAnswer(
            answer,
            float(reward),
            int(gathered.n_answers[0]),
            gathered.usage,
            session.rounds_taken,
            gathered.errors.get(0),
            float(answering.costs[0, 0]),
        )

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
