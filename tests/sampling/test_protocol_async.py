"""Samplers that are awaited: what they may be, and what they must return."""

import asyncio
import threading

import numpy as np
import pytest

from sklearn_adaalloc.sampling import TokenUsage
from sklearn_adaalloc.sampling._protocol import SampledAnswer, as_sampler


def ask(sampler, prompts=("a", "b", "c"), budgets=(2, 0, 1), first_sample=(0, 0, 5)):
    """Everything that a sampler delivers, and the threads that it was called in."""
    delivered, n_threads = [], []

    async def in_thread(function):
        n_threads.append(1)
        return await asyncio.to_thread(function)

    asked = list(prompts), list(budgets), list(first_sample)
    checked = as_sampler(sampler)
    try:
        asyncio.run(checked.deliver(*asked, delivered.append, in_thread), debug=True)
    except Exception as error:
        error.delivered = delivered
        raise
    return delivered, len(n_threads)


def texts(prompts, budgets):
    return [
        [f"{p}{j}" for j in range(n)] for p, n in zip(prompts, budgets, strict=True)
    ]


async def function(prompts, budgets):
    return texts(prompts, budgets)


def blocking(prompts, budgets):
    assert threading.current_thread() is not threading.main_thread()
    return texts(prompts, budgets)


class Counting:
    async def asample(self, prompts, budgets, *, first_sample, return_usage):
        usage = TokenUsage(
            np.full(len(prompts), 7.0), [np.full(n, 2.0) for n in budgets]
        )
        return texts(prompts, budgets), usage


class Callable:
    async def __call__(self, prompts, budgets):
        return texts(prompts, budgets)


class Each:
    async def asample_each(self, prompts, budgets, *, first_sample):
        for row in (2, 0):
            for j in range(budgets[row]):
                yield SampledAnswer(row, first_sample[row] + j, "x", 7, 2)


class AlsoEach(Each):
    """The generator may also have the name of one that blocks."""

    sample_each = Each.asample_each


@pytest.mark.parametrize(
    ("sampler", "n_threads"),
    [
        (function, 0),
        (Callable(), 0),
        (Counting(), 0),
        (Each(), 0),
        (AlsoEach(), 0),
        (blocking, 1),
    ],
)
def test_every_sample_is_delivered(sampler, n_threads):
    delivered, in_threads = ask(sampler)
    answers = [each for each in delivered if each.answer is not None]
    assert sorted(each[:2] for each in answers) == [(0, 0), (0, 1), (2, 5)]
    assert in_threads == n_threads


def test_functions_do_not_see_prompts_without_a_budget():
    async def sample(prompts, budgets):
        seen.append((prompts, budgets))
        return texts(prompts, budgets)

    seen = []
    ask(sample)
    assert seen == [(["a", "c"], [2, 1])]
    ask(sample, budgets=(0, 0, 0))
    assert len(seen) == 1


def test_tokens_are_counted():
    delivered, _ = ask(Counting())
    assert [each.prompt_tokens for each in delivered] == [7, 0, 7, 7]
    assert as_sampler(Counting()).can_count_tokens
    assert as_sampler(Each()).can_count_tokens
    assert not as_sampler(function).can_count_tokens


def test_what_never_came_is_an_error():
    class Lazy(Each):
        async def asample_each(self, *arguments, **options):
            async for each in super().asample_each(*arguments, **options):
                yield each
                return

    delivered, _ = ask(Lazy())
    assert [each[:2] for each in delivered] == [(2, 5), (0, 0), (0, 1)]
    assert [each.error is None for each in delivered] == [True, False, False]


def test_what_arrived_before_an_error_is_kept():
    class Losing(Each):
        async def asample_each(self, *arguments, **options):
            async for each in super().asample_each(*arguments, **options):
                yield each
                raise ConnectionError("it has gone")

    class LosingInAThread:
        def sample_each(self, prompts, budgets, *, first_sample):
            yield SampledAnswer(2, 5, "x", 7, 2)
            raise ConnectionError("it has gone")

    for sampler in (Losing(), LosingInAThread()):
        with pytest.raises(ConnectionError, match="has gone") as caught:
            ask(sampler)
        assert [each[:2] for each in caught.value.delivered] == [(2, 5)]


@pytest.mark.parametrize(
    "arrival",
    [SampledAnswer(1, 0, "x", 1, 1), SampledAnswer(0, 2, "x", 1, 1), (0, 0), "x", None],
)
def test_what_must_not_arrive(arrival):
    class Wrong:
        async def asample_each(self, prompts, budgets, *, first_sample):
            yield arrival

    with pytest.raises(ValueError, match="Expected one SampledAnswer for each sample"):
        ask(Wrong())


@pytest.mark.parametrize("returned", [None, [["x"]], [["x", "y"], [3]]])
def test_what_must_not_be_returned(returned):
    async def sample(prompts, budgets):
        return returned

    with pytest.raises(ValueError, match="sampler sample returned"):
        ask(sample)


@pytest.mark.parametrize("sampler", [Each(), AlsoEach(), Counting(), Callable()])
def test_they_cannot_be_called_without_an_event_loop(sampler):
    with pytest.raises(ValueError, match=r"is asynchronous.*the method answer"):
        list(as_sampler(sampler).arrivals(["a"], [1], [0]))
