"""Decoding and sampling, with samplers, rewards and policies that misbehave."""

import numpy as np
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from benchmarks.fuzz.outcomes import REFUSED, attempt
from benchmarks.fuzz.strategies import (
    chats,
    number,
    odd_arrays,
    queries,
    rarely,
    scalars,
    texts,
    whole,
)
from benchmarks.fuzz.targets import target
from sklearn_adaalloc.decoding import BestOfK, Router
from sklearn_adaalloc.sampling import (
    OpenAISampler,
    TokenUsage,
    TransformersSampler,
    ValueAugmentedSampler,
)
from sklearn_adaalloc.sampling._requests import check_request

good_queries = rarely(queries, st.lists(texts, min_size=1, max_size=3))
odd_answers = st.one_of(
    odd_arrays,
    st.lists(st.lists(texts, max_size=3), max_size=3),
    st.lists(st.lists(texts | scalars, max_size=3), max_size=3),
    st.lists(texts | scalars, max_size=3),
)
odd_usages = st.one_of(
    scalars,
    st.tuples(odd_arrays, odd_arrays),
    st.builds(TokenUsage, odd_arrays, odd_arrays),
    st.builds(TokenUsage, st.just(np.array([1])), st.lists(odd_arrays, max_size=3)),
)
malformed = st.one_of(
    st.tuples(odd_answers, odd_usages),
    st.tuples(odd_answers, st.none()),
    st.tuples(st.none(), odd_usages),
)
replies = rarely(scalars, rarely(malformed, st.just((None, None))))
"""Answers and usage of a sampler; None stands for right ones."""
odd_rewards = rarely(odd_arrays, st.none())
"""What a reward function returns; None stands for what it should."""


class StubSampler:
    """Answers as it was told to."""

    settings = {"sampler": "stub"}

    def __init__(self, reply=(None, None)):
        self.reply = reply

    def sample(self, prompts, budgets, *, first_sample=None, return_usage=False):
        """Right answers and usage, or what it was told."""
        right = [["27"] * int(budget) for budget in budgets]
        usage = TokenUsage(np.ones(len(right), int), [np.ones(len(r)) for r in right])
        if not isinstance(self.reply, tuple) or len(self.reply) != 2:
            return self.reply
        answers, tokens = self.reply
        answers = right if answers is None else answers
        return (
            (answers, usage if tokens is None else tokens) if return_usage else answers
        )


class StubReward:
    """Grades as it was told to."""

    settings = {"reward": "stub"}

    def __init__(self, grades=None):
        self.grades = grades

    def __call__(self, queries, answers):
        """Zeros, or what it was told."""
        if self.grades is None:
            return [np.zeros(len(row)) for row in answers]
        return self.grades


class StubPolicy(BaseEstimator):
    """Gives the budgets it was told to; None stands for right ones."""

    def __init__(self, budgets=None, routing=False):
        self.budgets = budgets
        self.routing = routing

    def predict(self, X):
        """Budgets in turn, or what it was told."""
        if self.budgets is None:
            return np.arange(len(X)) % (2 if self.routing else 3)
        return self.budgets


@target(
    "decoding.BestOfK",
    inputs=3000,
    asked=good_queries,
    budgets=rarely(odd_arrays | st.lists(whole), st.none()),
    reply=replies,
    grades=odd_rewards,
    default=rarely(scalars, texts),
)
def best_of_k(asked, budgets, reply, grades, default):
    decoder = BestOfK(
        StubPolicy(budgets),
        StubSampler(reply),
        StubReward(grades),
        default_answer=default,
    )
    decoded = attempt(decoder.decode, asked)
    if decoded is not REFUSED:
        assert len(decoded.answers) == len(decoded.rewards) == len(asked)
        assert np.isnan(decoded.rewards[decoded.budgets == 0]).all()
        sampled = decoded.budgets > 0
        assert all(isinstance(decoded.answers[i], str) for i in np.flatnonzero(sampled))
        assert len(decoded.usage.prompt) == len(decoded.usage.answers) == len(asked)


@target(
    "decoding.Router",
    inputs=3000,
    asked=good_queries,
    budgets=rarely(odd_arrays | st.lists(whole), st.none()),
    weak=replies,
    strong=replies,
)
def router(asked, budgets, weak, strong):
    policy = StubPolicy(budgets, routing=True)
    decoded = attempt(
        Router(policy, StubSampler(weak), StubSampler(strong)).decode, asked
    )
    if decoded is not REFUSED:
        assert len(decoded.answers) == len(asked)
        assert all(isinstance(answer, str) for answer in decoded.answers)
        assert np.isin(decoded.budgets, [0, 1]).all()


@target(
    "sampling.requests",
    inputs=4000,
    prompts=rarely(queries | st.lists(chats), st.lists(texts, min_size=2, max_size=2)),
    budgets=rarely(odd_arrays | scalars, st.just([4, 0]) | st.integers(0, 4)),
    first_sample=rarely(odd_arrays | scalars, st.none() | st.lists(whole, max_size=3)),
)
def requests(prompts, budgets, first_sample):
    checked = attempt(check_request, prompts, budgets, first_sample)
    if checked is not REFUSED:
        prompts, budgets, first_sample = checked
        assert len(prompts) == len(budgets) == len(first_sample)
        assert budgets.dtype == first_sample.dtype == np.int64
        assert min(budgets) >= 0
        assert min(first_sample) >= 0


_sampling = {
    "temperature": number(st.floats(0, 2)),
    "top_p": number(st.floats(0.1, 1)),
    "max_new_tokens": number(st.integers(1, 3)),
    "stop": st.none() | rarely(scalars | st.lists(scalars), texts | st.lists(texts)),
    "max_length": st.none() | number(st.integers(3, 9)),
    "random_state": number(st.integers(0, 9)),
}
_reading = {
    "layer": rarely(scalars | st.lists(scalars), st.sampled_from(["auto", -1, [0, 1]])),
    "pooling": rarely(scalars, st.sampled_from(["last", "mean", "first"])),
    "batch_tokens": number(st.just(64)),
    "cache_tokens": number(st.just(64)),
    "dtype": rarely(scalars, st.just("float32")),
    "device": rarely(scalars, st.just("cpu")),
    "chat_template": rarely(scalars, st.just(False)),
}


def _assert_answers(answers, budgets, n_prompts):
    wanted = np.broadcast_to(np.asarray(budgets), n_prompts)
    assert [len(row) for row in answers] == wanted.tolist()
    assert all(isinstance(answer, str) for row in answers for answer in row)


@target(
    "sampling.TransformersSampler",
    inputs=60,
    asked=good_queries,
    budgets=number(st.integers(0, 2)),
    options=st.fixed_dictionaries({}, optional={**_sampling, **_reading}),
)
def transformers_sampler(asked, budgets, options):
    sampler = TransformersSampler(**{"max_new_tokens": 2, "device": "cpu", **options})
    answers = attempt(sampler.sample, asked, budgets)
    attempt(lambda: sampler.settings)
    if answers is not REFUSED:
        _assert_answers(answers, budgets, len(asked))
        assert sampler.sample(asked, budgets) == answers


@target(
    "sampling.ValueAugmentedSampler",
    inputs=30,
    asked=good_queries,
    values=rarely(odd_arrays, st.none()),
    options=st.fixed_dictionaries(
        {},
        optional={
            **_sampling,
            "top_k": number(st.integers(1, 3)),
            "beta": number(st.floats(0, 2)),
            "value_model": scalars | texts,
        },
    ),
)
def value_augmented_sampler(asked, values, options):
    def value_model(token_ids):
        return np.zeros(len(token_ids)) if values is None else values

    common = {"max_new_tokens": 2, "device": "cpu", "value_model": value_model}
    sampler = ValueAugmentedSampler(**{**common, **options})
    answers = attempt(sampler.sample, asked, 1)
    if answers is not REFUSED:
        _assert_answers(answers, 1, len(asked))


@target(
    "sampling.OpenAISampler",
    inputs=400,
    asked=good_queries,
    options=st.fixed_dictionaries(
        {},
        optional={
            **_sampling,
            "base_url": rarely(scalars | texts, st.just("http://127.0.0.1:9/v1")),
            "model": scalars | texts,
            "system": scalars | texts,
            "completion": rarely(scalars, st.sampled_from(["chat", "text"])),
            "extra_body": scalars | st.dictionaries(texts, scalars),
            "use_n": scalars,
            "timeout": number(st.floats(0.1, 1)),
            "max_concurrency": number(st.integers(1, 4)),
        },
    ),
)
def openai_sampler(asked, options):
    common = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
    options = {k: v for k, v in options.items() if k != "max_length"}
    sampler = OpenAISampler(**{**common, **options, "max_retries": 0})
    attempt(lambda: sampler.settings)
    answers = attempt(sampler.sample, asked, 0)  # nobody is asked for anything
    if answers is not REFUSED:
        _assert_answers(answers, 0, len(asked))
