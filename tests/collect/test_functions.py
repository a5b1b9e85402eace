"""Collecting with plain functions, as samplers and as rewards."""

import functools
import sys

import numpy as np
import pytest
from samplers import EachSampler, Reward, Sampler, collect

from sklearn_adaalloc.collect import RewardStore

MARK = 5.0
CALLS = []


def sample(prompts, budgets):
    return [
        [f"{prompt}:{j}" for j in range(budget)]
        for prompt, budget in zip(prompts, budgets, strict=True)
    ]


def logging_sample(prompts, budgets, first_sample):
    CALLS.append(list(zip(prompts, budgets, first_sample, strict=True)))
    return [
        [f"{prompt}:{first + j}" for j in range(budget)]
        for prompt, budget, first in zip(prompts, budgets, first_sample, strict=True)
    ]


def passing(mark):
    def reward(queries, answers, mark=mark):
        return [[float(a[2:]) >= mark for a in row] for row in answers]

    return reward


def reading_a_global(queries, answers):
    return [[float(a[2:]) >= MARK for a in row] for row in answers]


class Judge:
    def __init__(self, mark):
        self.mark = mark

    def __call__(self, queries, answers):
        return [[float(a[2:]) >= self.mark for a in row] for row in answers]


class Canned:
    def __init__(self, ending=""):
        self.ending = ending
        self.n_calls = 0

    def __call__(self, prompts, budgets):
        self.n_calls += 1
        return sample(prompts, budgets)


# Samplers


SAMPLERS = {
    "function": sample,
    "lambda": lambda prompts, budgets: sample(prompts, budgets),
    "partial": functools.partial(lambda end, *asked: sample(*asked), ""),
    "object": Canned(),
    "bound method": Canned().__call__,
}


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_a_function_fills_the_table(sampler, store):
    pytest.importorskip("pandas")
    table = collect("ab", sampler, Reward(), 3, store)
    np.testing.assert_array_equal(table, [[0, 1, 2], [0, 1, 2]])
    with RewardStore(store) as file:
        frame = file.to_frame()
    assert frame["prompt_tokens"].isna().sum() == 2  # of each query, at its first
    assert frame["answer_tokens"].isna().all()
    assert frame["cut_off"].isna().all()


@pytest.mark.parametrize("batch_size", [2, 512])
def test_it_is_asked_once_and_told_the_first_sample(store, batch_size):
    CALLS.clear()
    collect("ab", logging_sample, Reward(), 2, store, batch_size=batch_size)
    collect("ab", logging_sample, Reward(), 2, store)  # its log has grown
    table = collect("ab", logging_sample, Reward(), 3, store)
    np.testing.assert_array_equal(table, [[0, 1, 2], [0, 1, 2]])
    assert CALLS[-1] == [("a", 1, 2), ("b", 1, 2)]
    assert sum(n for call in CALLS for _, n, _ in call) == 6


def test_an_object_that_counts_is_asked_once(store):
    sampler = Canned()
    for _ in range(3):
        collect("ab", sampler, Reward(), 2, store)
    assert sampler.n_calls == 1
    other = Canned("!")
    collect("ab", other, Reward(), 2, store)
    assert other.n_calls == 1


def test_a_closure_that_logs_is_asked_once_also_after_an_error(store):
    asked = []

    def sampler(prompts, budgets):
        asked.extend(prompts)
        return sample(prompts, budgets)

    def broken(queries, answers):
        raise KeyError("no gold answer")

    with pytest.raises(ValueError, match="no gold answer"):
        collect("ab", sampler, broken, 2, store)
    collect("ab", sampler, Reward(), 2, store)
    assert asked == ["a", "b"]


def test_none_is_a_sample_that_failed(store):
    def sampler(prompts, budgets):
        return [
            [None if prompt == "b" else "x:1" for _ in range(budget)]
            for prompt, budget in zip(prompts, budgets, strict=True)
        ]

    with pytest.warns(UserWarning, match=r"2 samples failed.*'b'.*no answer"):
        table = collect("ab", sampler, Reward(), 2, store)
    np.testing.assert_array_equal(table, [[1, 1], [np.nan, np.nan]])


def test_a_sampler_that_hands_out_less_does_not_hang(store):
    class Lazy(EachSampler):
        def sample_each(self, *arguments, **options):
            yield from list(super().sample_each(*arguments, **options))[:3]

    with pytest.warns(UserWarning, match=r"1 samples failed.*no answer"):
        collect("ab", Lazy(), Reward(), 2, store)


@pytest.mark.parametrize("sampler", [None, 5, "model", Canned])
def test_what_is_no_sampler(sampler, store):
    with pytest.raises(ValueError, match="Expected a function of prompts"):
        collect("a", sampler, Reward(), 1, store)


# Rewards


DIFFERENT = {
    "default": (passing(1), passing(2)),
    "object": (Judge(1), Judge(2)),
    "bound method": (Judge(1).__call__, Judge(2).__call__),
    "partial": (
        functools.partial(passing(0), mark=1),
        functools.partial(passing(0), mark=2),
    ),
    "settings": (Reward(offset=-1.0), Reward(offset=-2.0)),
    # Graded as answers come together: one, two or three at once.
    "lambdas": (
        lambda q, a: [[x > "a:0" for x in a[0]]],
        lambda q, a: [[x > "a:1" for x in a[0]]],
    ),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_rewards_of_one_are_not_returned_for_another(one, other, store):
    sampler = Sampler()
    tables = [collect("a", sampler, each, 3, store) for each in (one, other, one)]
    assert tables[0].tolist() == tables[2].tolist()
    assert tables[0].tolist() != tables[1].tolist()
    assert len(sampler.asked) == 3


def test_a_constant_that_was_changed_grades_anew(store, monkeypatch):
    sampler = Sampler()
    assert collect("a", sampler, reading_a_global, 3, store).tolist() == [[0, 0, 0]]
    monkeypatch.setattr(sys.modules[__name__], "MARK", 2.0)
    assert collect("a", sampler, reading_a_global, 3, store).tolist() == [[0, 0, 1]]


# What cannot be graded


def test_answers_that_cannot_be_graded(store):
    graded = []

    def reward(queries, answers):
        graded.extend(a for row in answers for a in row)
        return [
            [np.nan if a == "b:1" else float(a[2:]) for a in row] for row in answers
        ]

    for n_times in (1, 2):  # the next call tries again
        with pytest.warns(
            UserWarning, match=r"1 answers could .*sample 1 of query 'b'"
        ):
            table = collect("ab", Sampler(), reward, 2, store)
        np.testing.assert_array_equal(table, [[0, 1], [0, np.nan]])
        assert graded.count("b:1") == n_times
        assert graded.count("a:1") == 1
    settings = {"judge": "one"}
    with pytest.warns(UserWarning, match="1 answers could not be graded"):
        collect("ab", Sampler(), reward, 2, store, reward_settings=settings)
    mended = collect("ab", Sampler(), Reward(), 2, store, reward_settings=settings)
    np.testing.assert_array_equal(mended, [[0, 1], [0, 1]])


@pytest.mark.parametrize("nothing", [np.nan, None])
def test_nothing_that_can_be_graded(nothing, store):
    def reward(queries, answers):
        return [[nothing] * len(row) for row in answers]

    with pytest.warns(UserWarning, match="4 answers could not be graded"):
        table = collect("ab", Sampler(), reward, 2, store, batch_size=1)
    assert np.isnan(table).all()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("batch_size", [1, 512])
def test_a_reward_function_that_exits(error, batch_size, store):
    def reward(queries, answers):
        raise error("the judge quits")

    with pytest.raises(error, match="the judge quits"):
        collect("abcdef", Sampler(), reward, 4, store, batch_size=batch_size)
    with RewardStore(store) as file:
        assert file.read("SELECT COUNT(*) FROM claims") == [(0,)]
        n_answers = file.read("SELECT COUNT(*) FROM answers")[0][0]
    assert n_answers > 0
    sampler = Sampler()
    table = collect("abcdef", sampler, Reward(), 4, store)
    np.testing.assert_array_equal(table, np.tile(np.arange(4.0), (6, 1)))
    assert len(sampler.asked) == 24 - n_answers


# Answers that were cut off


class CutOff(EachSampler):
    def sample_each(self, *arguments, **options):
        for each in super().sample_each(*arguments, **options):
            yield each._replace(cut_off=each.answer == "a:1")


def test_answers_that_were_cut_off(store):
    for _ in range(2):  # a table that is read again has them, too
        with pytest.warns(UserWarning, match=r"1 of 4 answers \(25%\).*max_new_tokens"):
            collect("ab", CutOff(), Reward(), 2, store)
    collect("b", CutOff(), Reward(), 2, store)  # this part has none
    collect("ab", CutOff(), Reward(), 1, store)


def test_less_than_one_percent_is_not_worth_a_word(store):
    queries = ["a", *(f"q{i}" for i in range(60))]
    collect(queries, CutOff(), Reward(), 2, store)
