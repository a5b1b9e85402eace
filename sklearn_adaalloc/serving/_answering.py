"""Answers to requests: decided, sampled, judged and chosen."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc.decoding import BestOfK, Cascade
from sklearn_adaalloc.sampling import OpenAISampler
from sklearn_adaalloc.serving._current import CURRENT, Current
from sklearn_adaalloc.serving._metrics import Metrics
from sklearn_adaalloc.serving._policies import open_policy
from sklearn_adaalloc.serving._upstream import Upstream
from sklearn_adaalloc.serving._verdicts import make_verdicts


class Choice(NamedTuple):
    """An answer to a query.

    Attributes
    ----------
    text : str
        The answer.
    finish_reason : {"stop", "length"}
        Whether the token limit cut it off.
    prompt_tokens, answer_tokens : float
        All that was paid for it; NaN if it is not known.
    told : dict
        What was decided.
    """

    text: str
    finish_reason: str
    prompt_tokens: float
    answer_tokens: float
    told: dict


class Answerer:
    """Answers requests with a policy.

    Parameters
    ----------
    policy : estimator
        See :func:`~sklearn_adaalloc.serving.create_app`, as for all others.
    samplers : OpenAISampler or dict of str to OpenAISampler
        Servers that answer.
    reward : {"math", "code"} or callable
        Judges answers.
    name : str
        What the only decoder is called.
    state : path or None
        File of the stream.
    default_answer : str
        Answer to a query without a sample.
    prices : dict, tuple, float or None
        Prices of the decoders.
    """

    def __init__(
        self, policy, samplers, reward, *, name, state, default_answer, prices
    ):
        self.metrics = Metrics(self._gauges)
        self.n_in_flight = 0
        self._verdicts = make_verdicts(reward)
        several = not isinstance(samplers, OpenAISampler)
        named = samplers if several else {name: samplers}
        self._upstreams = {
            each: Upstream(each, sampler, self.metrics)
            for each, sampler in named.items()
        }
        policy, self._allocator, self.stream = open_policy(policy, state)
        shared = {"default_answer": default_answer, "max_in_flight": 1_000_000}
        if several:
            self._decoder = Cascade(
                policy, self._upstreams, self._verdicts.reward, prices=prices, **shared
            )
        else:
            [upstream] = self._upstreams.values()
            self._decoder = BestOfK(
                policy, upstream, self._verdicts.reward, price=prices, **shared
            )
        self._opened = AsyncExitStack()

    async def open(self):
        """Keep connections open."""
        await self._opened.enter_async_context(self._decoder)

    async def close(self):
        """Close connections, threads and the file of the stream."""
        await self._opened.aclose()
        if self.stream is not None:
            self.stream.close()

    def check(self, asked):
        """Raise an ApiError if a request asks for what cannot be had."""
        self._verdicts.check(asked)
        for upstream in self._upstreams.values():
            upstream.check(asked)

    async def answer(self, asked):
        """Answer a request.

        Parameters
        ----------
        asked : Asked
            Checked.

        Returns
        -------
        choices : list of Choice
            The choices of the first query, then those of the next.
        """
        pairs = [(query, i) for query in asked.queries for i in range(asked.n)]
        tasks = [
            asyncio.create_task(self._choose(asked, query, number))
            for query, number in pairs
        ]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _choose(self, asked, query, number):
        current = Current(asked, number)
        CURRENT.set(current)  # of this task alone
        if not self._verdicts.are_possible(asked.wishes):
            return await self._take_one(query)
        answered = await self._decoder.answer(query)
        usages = getattr(answered, "usages", None) or [answered.usage]
        told = {
            **self._counts(answered),
            "rounds": answered.rounds_taken,
            "reward": None if np.isnan(answered.reward) else answered.reward,
            "verdict": self._verdicts.name,
            "price": None if self.stream is None else self.stream.price,
        }
        return Choice(
            answered.answer,
            "length" if answered.answer in current.cut_off else "stop",
            float(sum(usage.prompt[0] for usage in usages)),
            float(sum(usage.answers[0].sum() for usage in usages)),
            told,
        )

    def _counts(self, answered):
        """Samples, and which decoder gave the answer."""
        if hasattr(answered, "budget"):
            [name] = self._upstreams if answered.budget else [None]
            return {"samples": answered.budget, "decoder": name}
        counts = dict(zip(answered.names, answered.budgets.tolist(), strict=True))
        chosen = answered.decoder
        return {
            "samples": sum(counts.values()),
            "decoder": answered.names[chosen] if chosen >= 0 else None,
            "decoders": counts,
        }

    async def _take_one(self, query):
        """One sample of the first decoder: nobody can say which of several is best."""
        upstream = next(iter(self._upstreams.values()))
        async with aclosing(
            upstream.asample_each([query], [1], first_sample=[0])
        ) as arrivals:
            async for arrival in arrivals:
                sample = arrival
        if sample.error is not None:
            raise sample.error
        told = {"samples": 1, "decoder": upstream.name, "rounds": 1, "reward": None}
        return Choice(
            sample.answer,
            "length" if sample.cut_off else "stop",
            sample.prompt_tokens,
            sample.answer_tokens,
            {**told, "verdict": "none", "price": None},
        )

    def _gauges(self):
        gauges = {"adaalloc_in_flight": ("Requests in flight.", self.n_in_flight)}
        if self.stream is not None:
            gauges |= {
                "adaalloc_price": ("Price of a unit of budget.", self.stream.price),
                "adaalloc_mean_cost": (
                    "Mean spend of the queries of the stream, in the unit of the "
                    "budget.",
                    self.stream.mean_cost,
                ),
                "adaalloc_budget": (
                    "Mean spend that is wanted.",
                    self.stream.policy.budget,
                ),
                "adaalloc_stream_queries": (
                    "Queries of the stream that were closed, over all restarts.",
                    self.stream.n_queries,
                ),
            }
        return gauges
