"""Any function is a sampler: one wrapper around all that there may be."""

import functools
import warnings

import numpy as np
import pytest
from samplers import SampledAnswer

from sklearn_adaalloc.sampling import TokenUsage
from sklearn_adaalloc.sampling._protocol import as_sampler, warn_cut_off

PROMPTS, BUDGETS, FIRST = ["a", "b", "c"], [2, 0, 1], [0, 3, 5]


def ask(sampler, prompts=PROMPTS, budgets=BUDGETS, first_sample=FIRST):
    arrivals = as_sampler(sampler).arrivals(prompts, budgets, first_sample)
    return [each for part in arrivals for each in part]


def plain(prompts, budgets):
    return [[f"{p}!"] * n for p, n in zip(prompts, budgets, strict=True)]


def numbered(prompts, budgets, first_sample):
    return [
        [f"{p}{first + j}" for j in range(n)]
        for p, n, first in zip(prompts, budgets, first_sample, strict=True)
    ]


def counting(prompts, budgets, return_usage=False):
    answers = plain(prompts, budgets)
    tokens = [np.full(n, 2.0) for n in budgets]
    return (
        (answers, TokenUsage([9] * len(prompts), tokens)) if return_usage else answers
    )


class Method:
    def sample(self, prompts, budgets):
        return plain(prompts, budgets)


class Callable:
    def __call__(self, prompts, budgets):
        return plain(prompts, budgets)

    def method(self, prompts, budgets):
        return plain(prompts, budgets)


class Spread:
    def sample(self, *arguments, **options):
        return Full().sample(*arguments, **options)


class Full:
    def sample(self, prompts, budgets, *, first_sample=None, return_usage=False):
        answers = numbered(prompts, budgets, first_sample)
        tokens = [np.full(n, 2.0) for n in budgets]
        return answers, TokenUsage([9] * len(prompts), tokens)


class Each:
    def sample_each(self, prompts, budgets, *, first_sample):
        for row in reversed(range(len(prompts))):
            for j in range(budgets[row]):
                sample = first_sample[row] + j
                yield SampledAnswer(row, sample, f"{prompts[row]}{sample}", 9, 2)


def generating(prompts, budgets):
    for prompt, budget in zip(prompts, budgets, strict=True):
        yield iter([f"{prompt}!"] * budget)


@functools.wraps(plain)
def wrapped(*arguments, **options):
    return plain(*arguments, **options)


PLAIN = {
    "function": plain,
    "lambda": lambda prompts, budgets: plain(prompts, budgets),
    "other names": lambda questions, counts: plain(questions, counts),
    "object with sample": Method(),
    "callable object": Callable(),
    "bound method": Callable().method,
    "partial": functools.partial(lambda end, p, n: plain(p, n), "!"),
    "wrapped": wrapped,
    "options of its own": lambda prompts, budgets, *, heat=1.0, **more: (
        plain(prompts, budgets) if not more else None
    ),
    "tuples": lambda prompts, budgets: tuple(map(tuple, plain(prompts, budgets))),
    "arrays of str": lambda prompts, budgets: list(
        map(np.array, plain(prompts, budgets))
    ),
    "generators": generating,
}


@pytest.mark.parametrize("sampler", PLAIN.values(), ids=PLAIN)
def test_prompts_and_budgets_are_enough(sampler):
    arrived = ask(sampler)
    assert [(each.row, each.sample, each.answer) for each in arrived] == [
        (0, 0, "a!"),
        (0, 1, "a!"),
        (2, 5, "c!"),
    ]
    assert {type(each.answer) for each in arrived} == {str}
    assert np.isnan([each.answer_tokens for each in arrived]).all()
    # What was paid for a prompt is not known, and counts once.
    assert np.isnan([arrived[0].prompt_tokens, arrived[2].prompt_tokens]).all()
    assert arrived[1].prompt_tokens == 0
    assert [each.cut_off for each in arrived] == [None] * 3


@pytest.mark.parametrize("sampler", [numbered, Full(), Spread(), Each()])
def test_the_first_sample_is_told_to_those_who_want_it(sampler):
    arrived = ask(sampler)
    assert sorted(each.answer for each in arrived if each.answer) == ["a0", "a1", "c5"]


@pytest.mark.parametrize("sampler", [counting, Full(), Spread(), Each()])
def test_usage_is_asked_of_those_who_have_it(sampler):
    arrived = [each for each in ask(sampler) if each.answer]
    assert [each.answer_tokens for each in arrived] == [2, 2, 2]
    assert {9.0} <= {each.prompt_tokens for each in arrived}


def test_usage_may_be_handed_out_unasked():
    usage = TokenUsage(
        [4, 6], [[1, np.nan], [3]], [2, np.nan], [[True, False], [False]]
    )
    arrived = ask(lambda prompts, budgets: (plain(prompts, budgets), usage))
    assert [each.prompt_tokens for each in arrived] == [4, 0, 6]
    np.testing.assert_array_equal(
        [each.answer_tokens for each in arrived], [1, np.nan, 3]
    )
    np.testing.assert_array_equal(
        [each.cached_tokens for each in arrived], [2, 0, np.nan]
    )
    assert [each.cut_off for each in arrived] == [True, False, False]


def test_a_function_is_asked_only_for_what_it_has_to_answer():
    seen = []

    def sample(prompts, budgets):
        seen.append((prompts, budgets))
        return plain(prompts, budgets)

    assert ask(sample, budgets=[0, 0, 0]) == []
    assert seen == []
    ask(sample)
    assert seen == [(["a", "c"], [2, 1])]
    assert {type(budget) for budget in seen[0][1]} == {int}


def test_a_prompt_that_is_only_run_is_paid_for():
    idle = [each for each in ask(Full()) if each.answer is None]
    assert [(each.row, each.prompt_tokens, each.error) for each in idle] == [
        (1, 9.0, None)
    ]


def test_none_is_an_answer_that_cannot_be_had():
    arrived = ask(lambda prompts, budgets: [["x", None], ["y"]])
    assert [each.answer for each in arrived] == ["x", None, "y"]
    assert "returned no answer" in str(arrived[1].error)


def test_what_does_not_arrive_has_failed():
    class Lazy(Each):
        def sample_each(self, *arguments, **options):
            yield from list(super().sample_each(*arguments, **options))[:1]

    arrived = ask(Lazy())
    assert [(each.row, each.sample) for each in arrived] == [(2, 5), (0, 0), (0, 1)]
    assert [each.error is None for each in arrived] == [True, False, False]


async def asynchronous(prompts, budgets):
    return plain(prompts, budgets)


async def asynchronous_generator(prompts, budgets):
    yield plain(prompts, budgets)


class AsynchronousEach:
    async def sample_each(self, prompts, budgets, *, first_sample):
        yield SampledAnswer(0, 0, "x", 1, 1)


WRONG = {
    "too few rows": ([["x", "y"]], r"to 2 queries.*one list of answers per query.*'a'"),
    "nothing": (None, r"returned None to 2 queries"),
    "a text": ("xy", r"returned 'xy' to 2 queries"),
    "a dict": ({"a": ["x", "y"]}, r"to 2 queries"),
    "a text for a row": (["xy", ["z"]], r"returned 'xy' to query 'a'. Expected 2"),
    "too few answers": ([["x", "y"], []], r"returned \[\] to query 'c'. Expected 1"),
    "too many answers": ([["x"] * 3, ["y"]], r"to query 'a'. Expected 2 answers"),
    "numbers": ([["x", "y"], [3]], r"returned \[3\] to query 'c'"),
    "bytes": ([["x", "y"], [b"z"]], r"returned \[b'z'\] to query 'c'"),
    "replies": ([["x", {"content": "y"}], ["z"]], r"to query 'a'"),
    "numbers in an array": ([np.zeros(2), ["z"]], r"to query 'a'"),
}


@pytest.mark.parametrize(("returned", "message"), WRONG.values(), ids=WRONG)
def test_what_a_function_must_not_return(returned, message):
    def shout(prompts, budgets):
        return returned

    with pytest.raises(ValueError, match=r"sampler shout returned.*") as caught:
        ask(shout)
    assert caught.match(message)


@pytest.mark.parametrize(
    "sampler",
    [
        asynchronous,
        asynchronous_generator,
        functools.partial(asynchronous),
        AsynchronousEach(),
    ],
)
def test_asynchronous_functions_are_refused(sampler):
    with pytest.raises(ValueError, match=r"is asynchronous.*asyncio\.run"):
        ask(sampler)


@pytest.mark.parametrize(
    "arrival",
    [
        SampledAnswer(1, 0, "x", 1, 1),  # not asked for
        SampledAnswer(0, 2, "x", 1, 1),
        SampledAnswer(0, 0, 7, 1, 1),
        SampledAnswer(0, 0, "x", "many", 1),
        ("x", 0),
        None,
    ],
)
def test_what_must_not_arrive(arrival):
    class Odd:
        def sample_each(self, prompts, budgets, *, first_sample):
            yield arrival

    with pytest.raises(ValueError, match=r"sampler Odd handed out .*SampledAnswer"):
        ask(Odd())


@pytest.mark.parametrize("sampler", [None, "model", 5, Full, ["x"]])
def test_what_is_no_sampler(sampler):
    with pytest.raises(ValueError, match=r"sampler=.*Expected a function of prompts"):
        as_sampler(sampler)


def test_an_error_of_the_sampler_is_its_own():
    def broken(prompts, budgets):
        raise KeyError("no key")

    with pytest.raises(KeyError, match="no key"):
        ask(broken)


@pytest.mark.parametrize(("n_cut_off", "n_known"), [(1, 100), (2, 199), (45, 45)])
def test_from_one_percent_on_cut_off_answers_are_worth_a_word(n_cut_off, n_known):
    with pytest.warns(UserWarning, match=rf"{n_cut_off} of {n_known}.*max_new_tokens"):
        warn_cut_off(n_cut_off, n_known, stacklevel=1)


@pytest.mark.parametrize(("n_cut_off", "n_known"), [(0, 0), (0, 10), (1, 101)])
def test_below_they_are_not(n_cut_off, n_known):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_cut_off(n_cut_off, n_known, stacklevel=1)
