"""Cascades: several decoders, and a policy that says which of them samples what."""

from collections.abc import Mapping
from reprlib import repr as short_repr
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_adaalloc._utils.budgets import check_budgets
from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.prices import check_prices
from sklearn_adaalloc._utils.queries import check_queries
from sklearn_adaalloc.decoding._answer import AsynchronousDecoder
from sklearn_adaalloc.decoding._opened import ending
from sklearn_adaalloc.decoding._policies import read_policy, unwrap_allocator
from sklearn_adaalloc.decoding._rounds import Answering, OneRound, start


class CascadeAnswers(NamedTuple):
    """What :meth:`Cascade.decode` returns.

    Attributes
    ----------
    answers : list of n_queries str
        Best answer to each query; the first decoder's if several are equally good. If
        no answer could be graded, the first one. If there is none, the default answer.
    rewards : ndarray of shape (n_queries,)
        Reward of that answer. NaN if there is none, or if it could not be graded.
    decoders : ndarray of shape (n_queries,), int64
        Which decoder gave that answer; -1 if none did.
    budgets : ndarray of shape (n_queries, n_decoders), int64
        Number of answers. Samples that failed for good do not count.
    costs : ndarray of shape (n_queries, n_decoders)
        What was paid: the tokens of answers, or their price. NaN where it is not known.
    usages : list of n_decoders TokenUsage
        Tokens of the prompts and answers of each decoder.
    rounds_taken : int
        Number of rounds of sampling; 1 if all budgets are decided up front.
    errors : dict
        (row of a query, decoder) -> exception, the first reason for a missing answer.
    budget_share : float
        Share of the policy's budget that was spent, in the unit of the budget: samples
        or costs. NaN if the policy has no budget.
    names : list of n_decoders str or int
        Names of the decoders, in their order; numbers if they have none.
    """

    answers: list
    rewards: np.ndarray
    decoders: np.ndarray
    budgets: np.ndarray
    costs: np.ndarray
    usages: list
    rounds_taken: int
    errors: dict
    budget_share: float
    names: list

    @property
    def total_cost(self):
        """What was paid for all queries together."""
        return float(np.sum(self.costs))

    @property
    def cost_spread(self):
        """Standard deviation of the costs of the queries."""
        return float(np.std(self.costs.sum(axis=1)))


class CascadeAnswer(NamedTuple):
    """What :meth:`Cascade.answer` returns.

    Attributes
    ----------
    answer : str
        Best answer; the first decoder's if several are equally good. If no answer could
        be graded, the first one. If the policy gave the query no sample, the default
        answer.
    reward : float
        Reward of that answer. NaN if there is none, or if it could not be graded.
    decoder : int
        Which decoder gave that answer; -1 if none did.
    budgets : ndarray of shape (n_decoders,), int64
        Number of answers. Samples that failed for good do not count.
    costs : ndarray of shape (n_decoders,)
        What was paid: the tokens of answers, or their price. NaN where it is not known.
    usages : list of n_decoders TokenUsage
        Tokens of the prompt and of the answers of each decoder, as of one prompt.
    rounds_taken : int
        Number of rounds of sampling.
    errors : dict
        Decoder -> exception, the first reason for a missing answer.
    names : list of n_decoders str or int
        Names of the decoders, in their order; numbers if they have none.
    """

    answer: str
    reward: float
    decoder: int
    budgets: np.ndarray
    costs: np.ndarray
    usages: list
    rounds_taken: int
    errors: dict
    names: list

    @property
    def total_cost(self):
        """What was paid to all decoders together."""
        return float(np.sum(self.costs))


class Cascade(AsynchronousDecoder, DocumentationLinkMixin, BaseEstimator):
    """Answer each query with the best of its samples, from the decoders a policy picks.

    Parameters
    ----------
    policy : estimator or Stream
        An allocator fitted on a table (n_queries, n_decoders, n_samples) in which each
        decoder has a budget of its own, a pipeline that ends in one, or a fitted search
        over either. A :class:`~sklearn_adaalloc.SequentialAllocator` decides in rounds:
        which decoder is next, for which queries, and when to stop. A
        :class:`~sklearn_adaalloc.StreamAllocator` does so for each query alone. A
        stream that it opened may stand in its place, as for :class:`BestOfK`.
    samplers : dict or list
        Name of a decoder -> its sampler, or the samplers in the order of the decoders.
        Each is of a kind that :class:`BestOfK` accepts. Names must be those of the
        table, if it has names.
    reward : callable
        ``reward(queries, answers)``, as for :class:`BestOfK`. It gets all answers to a
        query in a round together, whichever decoder gave them.
    default_answer : str, default="I don't know."
        Answer to a query without a sample.
    prices : dict or list, default=None
        Price of each decoder, by name or in their order, in the unit of the policy's
        budget if that is a cost. A price is a tuple of two float: of a token of a
        prompt, and of a token of an answer. :func:`~sklearn_adaalloc.datasets.\
read_prices` reads such prices from a file. One number is the price of an answer,
        however long. None counts the tokens of answers of all decoders alike.
    max_in_flight : int, default=1000
        Largest number of queries that `answer` works on at a time in an event loop.
        Further ones wait for their turn.
    n_graders : int, default=None
        Largest number of threads in which `answer` grades. None takes as many as there
        are processors. A reward function that does not bear several threads needs 1.

    See Also
    --------
    BestOfK : The best of several samples of one decoder.
    Router : One answer to each query, from a weak or a strong decoder.

    Notes
    -----
    The policy's features may be hidden states that one of the samplers computes in its
    own pass over the prompts, usually the cheap one. The first sampler whose hidden
    states fit is used, as in :class:`BestOfK`.

    A policy whose budget counts costs (``unit="cost"``) must be fitted on costs of the
    same kind, such as those of :meth:`RewardStore.to_table \
<sklearn_adaalloc.collect.RewardStore.to_table>` with the same prices.

    Prompts are charged as they are billed: each request pays its prompt once, however
    many samples it asks for. Costs are predicted as if each sample were asked for
    alone. What samples save by sharing a prompt is spent in later rounds. If
    features come from a sampler's own pass over the prompts, that pass is charged
    first, before anything is decided, and its later samples pay no prompt. Give such a
    decoder no price of prompts where the table is made, but do so here.

    Answers that were paid for are kept. A decoder that fails for a query and has no
    answer to it is not asked about it again, but others are. In rounds, a sample that
    failed counts as a wrong answer, with its predicted cost. If a sampler raises an
    OSError, such as a ConnectionError, it is not asked again, for no query, and what
    was meant for it goes to the others. If the last of them raises, or a reward
    function, or if the error is another one, it has an attribute `partial`: the
    `CascadeAnswers` so far.

    :meth:`answer` is for servers, where queries arrive one at a time. Decoders that are
    asked in the same round are asked at once. A decoder that raised an OSError is tried
    again for the next query. For all else see :class:`BestOfK`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_adaalloc import (
    ...     HiddenStateFeaturizer, RewardTable, SequentialAllocator
    ... )
    >>> from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
    >>> from sklearn_adaalloc.decoding import Cascade
    >>> from sklearn_adaalloc.sampling import TransformersSampler
    >>> data = load_arithmetic("routing")
    >>> table = RewardTable(
    ...     data.rewards_train[:300], costs=[1, 5], decoders=["weak", "strong"]
    ... )
    >>> policy = make_pipeline(
    ...     HiddenStateFeaturizer(device="cpu"),
    ...     SequentialAllocator(unit="cost", budget=4, random_state=0),
    ... )
    >>> policy = policy.fit(data.queries_train[:300], table)
    >>> samplers = {
    ...     "weak": TransformersSampler(max_new_tokens=24, device="cpu"),
    ...     "strong": TransformersSampler(
    ...         data.strong_model, max_new_tokens=24, device="cpu"
    ...     ),
    ... }
    >>> cascade = Cascade(
    ...     policy, samplers, grade_arithmetic, prices={"weak": 1, "strong": 5}
    ... )
    >>> decoded = cascade.decode(data.queries_test[:20])
    >>> bool(decoded.costs.sum() <= 4 * 20)
    True
    """

    _answering = Answering

    def __init__(
        self,
        policy,
        samplers,
        reward,
        *,
        default_answer="I don't know.",
        prices=None,
        max_in_flight=1000,
        n_graders=None,
    ):
        self.policy = policy
        self.samplers = samplers
        self.reward = reward
        self.default_answer = default_answer
        self.prices = prices
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
        decoded : CascadeAnswers
            Answers with their rewards, decoders, budgets, costs and tokens.

        Raises
        ------
        NotFittedError
            If the policy is not fitted.
        ValueError
            If a query is neither a text nor a chat, or if the policy is not an
            allocator over several decoders. Also if the samplers are not the decoders
            of the policy, if `prices` do not fit them, or if the budget counts costs by
            tokens and a sampler reports none. Also if a sampler returns another number
            of answers than requested, or the reward function does not return one number
            per answer. If all samples failed, the first of their errors.

        Warns
        -----
        UserWarning
            If samples failed or could not be graded, or if at least one answer in a
            hundred of a decoder was cut off at the token limit.
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
        answered : CascadeAnswer
            Answer with its reward, and its decoder, budgets, costs and tokens.

        Raises
        ------
        NotFittedError, ValueError
            As for :meth:`decode`. Also if the policy decides jointly for a batch.
            Whatever a sampler or the reward function raises is raised here, for this
            query alone. The exception then has an attribute `partial`, the
            `CascadeAnswer` so far.
        """
        return await self._answer(query, max_samples)

    def _in_order(self):
        return _in_order(self.samplers, unwrap_allocator(self.policy)[1])

    def _samplers(self):
        return self._in_order()[1]

    def _start(self, queries, max_samples, allocator, X, rest):
        """An `Answering` of queries that were read, and a session on them."""
        answering = self._answering(queries, self.reward, *rest)
        starter = self.stream or allocator
        if hasattr(starter, "start"):
            return answering, start(starter, X, max_samples)
        shape = answering.budgets.shape
        budgets = answering.afford(allocator).predict(X)
        return answering, OneRound(_check_table(budgets, shape), max_samples)

    def _read(self, queries):
        """The allocator, its input, and the last arguments of an `Answering`."""
        names, samplers = self._in_order()
        prices = check_prices(self.prices, names)
        allocator, X, checked = read_policy(
            self.policy,
            samplers,
            queries,
            kind="cascade",
            instead="Give it to BestOfK or Router, or fit it on samples of several "
            "decoders, with unit='cost' or a regressor with target='rate_profiles'.",
            names=names if isinstance(self.samplers, Mapping) else None,
        )
        return allocator, X, (allocator, checked, prices)

    def _decoded_one(self, answering, session):
        """The best of the answers so far to the only query."""
        decoded = self._decoded(answering, session)
        return CascadeAnswer(
            decoded.answers[0],
            float(decoded.rewards[0]),
            int(decoded.decoders[0]),
            decoded.budgets[0],
            decoded.costs[0],
            decoded.usages,
            decoded.rounds_taken,
            {decoder: error for (_, decoder), error in decoded.errors.items()},
            decoded.names,
        )

    def _decoded(self, answering, session):
        """The best of the answers so far."""
        return CascadeAnswers(
            *answering.best(self.default_answer),
            answering.budgets,
            answering.costs,
            [gathered.usage for gathered in answering.gathered],
            session.rounds_taken,
            {
                (row, decoder): error
                for decoder, gathered in enumerate(answering.gathered)
                for row, error in gathered.errors.items()
            },
            answering.budget_share,
            self._in_order()[0],
        )


def _in_order(samplers, allocator):
    """Names and samplers in the order of the allocator's decoders."""
    if not isinstance(samplers, Mapping | list | tuple) or not samplers:
        raise ValueError(
            f"samplers={short_repr(samplers)} is not accepted. Expected a dict of "
            "names and samplers, or a list of samplers, one for each decoder."
        )
    # Allocators of other packages may know neither.
    fitted = getattr(allocator, "_decoder_names", None)
    n_decoders = getattr(allocator, "_n_decoders", None) or len(samplers)
    named = isinstance(samplers, Mapping)
    names = list(samplers) if named else fitted or list(range(len(samplers)))
    if len(samplers) != n_decoders or (fitted and set(names) != set(fitted)):
        expected = f"{n_decoders} decoders" + (f", {fitted}" if fitted else "")
        raise ValueError(
            f"samplers are {names if named else len(samplers)}, but policy was fitted "
            f"on a table of {expected}. Expected one sampler for each of them."
        )
    names = fitted or names
    return names, [samplers[name] for name in names] if named else list(samplers)


def _check_table(budgets, shape):
    """Check budgets of each decoder (n_queries, n_decoders)."""
    budgets = np.asarray(budgets)
    if budgets.shape != shape:
        raise ValueError(
            f"policy gives budgets of shape {budgets.shape}. Expected one for each of "
            f"{shape[1]} decoders of {shape[0]} queries, shape {shape}."
        )
    return check_budgets(budgets.ravel()).reshape(shape)
