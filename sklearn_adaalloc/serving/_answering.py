"""Answers to requests: decided, sampled, judged and chosen."""

import asyncio
import math
from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import NamedTuple

from sklearn_adaalloc._utils.numbers import as_json
from sklearn_adaalloc._utils.prices import check_price, check_prices
from sklearn_adaalloc.curves import MostVotes
from sklearn_adaalloc.curves._selection import resolve_selection
from sklearn_adaalloc.decoding._answer import together
from sklearn_adaalloc.sampling import OpenAISampler
from sklearn_adaalloc.serving._current import CURRENT, Current
from sklearn_adaalloc.serving._deciding import BestOfRequests, CascadeOfRequests
from sklearn_adaalloc.serving._errors import bad_request
from sklearn_adaalloc.serving._local import LocalUpstream
from sklearn_adaalloc.serving._metrics import Metrics
from sklearn_adaalloc.serving._policies import check_answers_of, open_policy
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
    samplers : OpenAISampler or other sampler, or dict of str to samplers
        What answers.
    reward : {"vote", "math", "code"}, "model:NAME" or callable
        Judges answers.
    name : str
        What the only decoder is called.
    state : path or None
        File of the stream.
    default_answer : str
        Answer to a query without a sample.
    prices : dict, tuple, float or None
        Prices of the decoders.
    deadline : float
        Seconds that a request may take.
    """

    def __init__(
        self, policy, samplers, reward, *, name, state, default_answer, prices, deadline
    ):
        self.metrics = Metrics(self._gauges)
        self._verdicts = make_verdicts(reward)
        named = samplers if isinstance(samplers, Mapping) else {name: samplers}
        self._upstreams = {
            each: _upstream(each, sampler, self.metrics, deadline)
            for each, sampler in named.items()
        }
        policy, self._allocator, self.stream = open_policy(policy, state)
        several = _is_for_several(self._allocator, samplers)
        if not several:
            check_answers_of(self._allocator, samplers)
        _check_judge(self._allocator, self._verdicts)
        has_pandas = find_spec("pandas") is not None
        self._can_explain = has_pandas and hasattr(self._allocator, "explain")
        shared = {
            "default_answer": default_answer,
            "max_in_flight": 1_000_000,
            "n_graders": self._verdicts.n_graders,
        }
        if several:
            self._decoder = CascadeOfRequests(
                policy, self._upstreams, self._verdicts.reward, prices=prices, **shared
            )
            self._decoder._samplers()  # raises if they are not those of the policy
        else:
            [upstream] = self._upstreams.values()
            self._decoder = BestOfRequests(
                policy,
                upstream,
                self._verdicts.reward,
                price=_only_price(prices, upstream.name),
                **shared,
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
        if asked.wishes.explain and not self._can_explain:
            raise bad_request(
                "explain is not possible: the policy has no explanations, or the "
                "server has no pandas. Leave it out.",
                "adaalloc.explain",
            )
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
        return await together(
            [self._choose(asked, query, number) for query, number in pairs]
        )

    async def _choose(self, asked, query, number):
        current = Current(
            asked,
            number,
            is_judged=self._verdicts.are_possible(asked.wishes),
            may_vote=self._verdicts.may_vote,
        )
        CURRENT.set(current)  # of the task of this choice alone
        answered = await self._decoder.answer(
            query, max_samples=asked.wishes.max_samples
        )
        usages = getattr(answered, "usages", None) or [answered.usage]
        counts = self._counts(answered)
        verdict = self._verdicts.name
        if verdict != "vote" and math.isnan(answered.reward):
            # There is no answer, nobody judged it, or the judge could grade none.
            voted = current.may_vote and len(usages) == 1 and counts["samples"] > 1
            verdict = "vote" if voted else "none"
        self.metrics.verdicts.add(verdict=verdict)
        told = {
            **counts,
            "rounds": answered.rounds_taken,
            "reward": as_json(answered.reward),
            "verdict": verdict,
            "predicted_success": None if current.predict is None else current.predict(),
            "price": None if self.stream is None else self.stream.price,
        }
        if asked.wishes.explain:
            told["explanation"] = await asyncio.to_thread(
                self._explain, current.features
            )
        return Choice(
            answered.answer,
            "length" if answered.answer in current.cut_off else "stop",
            float(sum(usage.prompt[0] for usage in usages)),
            float(sum(usage.answers[0].sum() for usage in usages)),
            told,
        )

    def _explain(self, X):
        """What the policy predicts of a query: a row, or one for each decoder."""
        rows = self._allocator.explain(X).to_dict("records")
        return [{name: as_json(value) for name, value in row.items()} for row in rows]

    def _counts(self, answered):
        """Samples, and which decoder gave the answer."""
        if hasattr(answered, "budget"):
            [name] = self._upstreams if answered.budget else [None]
            cost = as_json(answered.cost)
            return {"samples": answered.budget, "decoder": name, "cost": cost}
        counts = dict(zip(answered.names, answered.budgets.tolist(), strict=True))
        chosen = answered.decoder
        return {
            "samples": sum(counts.values()),
            "decoder": answered.names[chosen] if chosen >= 0 else None,
            "decoders": counts,
            "cost": as_json(answered.total_cost),
        }

    def _gauges(self):
        if self.stream is None:
            return {}
        return {
            "adaalloc_price": ("Price of a unit of budget.", self.stream.price),
            "adaalloc_mean_cost": (
                "Mean spend of the queries of the stream, in the unit of the budget.",
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


def _upstream(name, sampler, metrics, deadline):
    if isinstance(sampler, OpenAISampler):
        _ = sampler.settings  # raises for an address or a parameter that is none
        return Upstream(name, sampler, metrics, deadline)
    return LocalUpstream(name, sampler, metrics)


def _only_price(prices, name):
    """The price of the only decoder, which may be given by name."""
    if not isinstance(prices, Mapping):
        check_price(prices, "prices")
        return prices
    check_prices(prices, [name])
    return prices[name]


def _check_judge(allocator, verdicts):
    """Raise unless the judge tells what the policy learnt from."""
    rule = resolve_selection(getattr(allocator, "selection", "reward"))
    if isinstance(rule, MostVotes) != (verdicts.name == "vote"):
        selection = getattr(allocator, "selection", "reward")
        raise ValueError(
            f"reward={verdicts.name!r} does not fit a policy with "
            f"selection={selection!r}. Expected 'vote' for one with selection='vote', "
            "and a judge of answers for others."
        )
    uses_verdicts = hasattr(allocator, "start") or hasattr(allocator, "open")
    told_right = uses_verdicts and getattr(allocator, "binary_", False)
    if told_right and verdicts.is_binary is False:
        raise ValueError(
            f"reward={verdicts.name!r} gives scores, and the policy learnt from "
            "rewards of 0 and 1. Expected a policy that was fitted on the scores of "
            "this model, or with selection='score'; or a judge that says right or "
            "wrong."
        )


def _is_for_several(allocator, samplers):
    """Whether the policy is for several decoders; raise unless the samplers are, too.

    Samplers of several decoders have names. That of a single one may have one.
    """
    is_menu = bool(getattr(allocator, "_n_decoders", None))
    is_routing = not is_menu and getattr(allocator, "_n_axes", 2) == 3
    named = isinstance(samplers, Mapping)
    fits = named if is_menu else not named or len(samplers) == 1
    if is_routing or not fits:
        found = "several decoders" if is_menu or is_routing else "one decoder"
        wanted = "several, each with a budget of its own" if named else "one"
        raise ValueError(
            f"policy was fitted on samples of {found}. Expected {wanted}, as there are "
            "samplers."
        )
    return is_menu
