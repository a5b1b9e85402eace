import importlib.util
import json
import sqlite3
import threading
from contextlib import closing

import numpy as np
import pytest
from samplers import (
    EachSampler,
    Reward,
    Sampler,
    collect,
    expected,
    range_of_texts,
    sample_number,
)

from sklearn_adaalloc.collect import RewardStore, collect_rewards
from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
from sklearn_adaalloc.sampling import TokenUsage, TransformersSampler

# The table


@pytest.mark.slow
def test_the_table_of_a_real_sampler(store):
    queries = load_arithmetic("math").queries_test[:6]
    sampler = TransformersSampler(max_new_tokens=12, device="cpu")
    rewards = collect(queries, sampler, grade_arithmetic, 5, store)
    answers = sampler.sample(queries, 5)
    np.testing.assert_array_equal(rewards, grade_arithmetic(queries, answers))
    assert rewards.dtype == np.float64
    more = collect(queries, sampler, grade_arithmetic, 8, store, batch_size=7)
    np.testing.assert_array_equal(
        more, grade_arithmetic(queries, sampler.sample(queries, 8))
    )


@pytest.mark.parametrize("make_sampler", [Sampler, EachSampler])
@pytest.mark.parametrize("batch_size", [1, 7, 512])
def test_each_sample_is_asked_for_and_graded_once(store, make_sampler, batch_size):
    sampler, reward = make_sampler(), Reward()
    rewards = collect("abcd", sampler, reward, 5, store, batch_size=batch_size)
    np.testing.assert_array_equal(rewards, expected(4, 5))
    assert sorted(sampler.asked) == [(query, j) for query in "abcd" for j in range(5)]
    assert sorted(reward.graded) == [
        f"{query}:{j}" for query in "abcd" for j in range(5)
    ]


def test_batches_are_bounded(store):
    sampler = Sampler()
    collect("abcd", sampler, Reward(), 5, store, batch_size=6)
    assert sampler.calls == [6, 6, 6, 2]


def test_what_is_stored_is_not_asked_for_again(store):
    collect("abcd", Sampler(), Reward(), 5, store)
    sampler, reward = Sampler(), Reward()
    rewards = collect("abcd", sampler, reward, 5, store)
    np.testing.assert_array_equal(rewards, expected(4, 5))
    assert (sampler.asked, reward.graded) == ([], [])


def test_more_samples_and_more_queries(store):
    collect("ab", Sampler(), Reward(), 3, store)
    sampler, reward = Sampler(), Reward()
    rewards = collect("bca", sampler, reward, 4, store)
    np.testing.assert_array_equal(rewards, expected(3, 4))
    asked = [("a", 3), ("b", 3), *[("c", j) for j in range(4)]]
    assert sorted(sampler.asked) == asked
    assert sorted(reward.graded) == [f"{query}:{j}" for query, j in asked]


def test_fewer_samples_and_queries_than_are_stored(store):
    collect("abc", Sampler(), Reward(), 5, store)
    sampler = Sampler()
    rewards = collect("cb", sampler, Reward(), 2, store)
    np.testing.assert_array_equal(rewards, expected(2, 2))
    assert sampler.asked == []


def test_holes_are_filled(store):
    collect("ab", Sampler(), Reward(), 6, store)
    with closing(sqlite3.connect(store)) as connection, connection:
        for table in ("answers", "rewards"):
            connection.execute(
                f"DELETE FROM {table} WHERE query=1 AND sample IN (1, 2, 4)"
            )
    sampler = Sampler()
    rewards = collect("ab", sampler, Reward(), 6, store)
    np.testing.assert_array_equal(rewards, expected(2, 6))
    assert sampler.asked == [("a", 1), ("a", 2), ("a", 4)]


def test_a_query_that_occurs_twice_is_asked_once(store):
    sampler = Sampler(lambda prompt, sample: f"{prompt}:{ord(prompt)}")
    rewards = collect("abaa", sampler, Reward(), 2, store)
    np.testing.assert_array_equal(rewards, [[97, 97], [98, 98], [97, 97], [97, 97]])
    assert len(sampler.asked) == 4


def test_chats(store):
    chats = [[{"role": "user", "content": text}] for text in "ab"]
    sampler = Sampler()
    collect(chats, sampler, Reward(), 2, store)
    collect([*chats, "a"], sampler, Reward(), 2, store)
    assert len(sampler.asked) == 6  # the text "a" is another query than the chat
    with RewardStore(store) as table:
        queries, _ = table.to_arrays()
        assert queries == [*chats, "a"]
        assert json.loads(table.to_frame()["query"][0]) == chats[0]


@pytest.mark.parametrize("answer", ["", "\0 nul", "\ud83d", "ä\n€ 𝄞", "x" * 10**6])
def test_any_text_is_kept_as_it_is(store, answer):
    seen = []

    def reward(queries, answers):
        seen.extend(answers[0])
        return [[1.0]]

    sampler = Sampler(lambda prompt, sample: answer)
    collect("a", sampler, reward, 1, store, reward_settings={"v": 1})
    collect("a", sampler, reward, 1, store, reward_settings={"v": 2})
    assert seen == [answer, answer]  # fresh from the sampler, then from the store


# Settings

ONES = iter([1.0])


def test_other_sampler_settings_are_another_table(store):
    collect("a", Sampler(), Reward(), 3, store)
    sampler = Sampler()
    collect("a", sampler, Reward(), 3, store, settings={"temperature": 1.0})
    assert len(sampler.asked) == 3


def test_another_reward_function_grades_stored_answers(store):
    collect("ab", Sampler(), Reward(), 3, store)
    sampler, reward = Sampler(), Reward(offset=10.0)
    rewards = collect("ab", sampler, reward, 3, store, batch_size=4)
    np.testing.assert_array_equal(rewards, expected(2, 3) + 10)
    assert (len(sampler.asked), len(reward.graded)) == (0, 6)
    np.testing.assert_array_equal(
        collect("ab", sampler, Reward(), 3, store), expected(2, 3)
    )


def load(path):
    """Load a module from its file."""
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def reward_of_source(tmp_path, source):
    path = tmp_path / "user_module.py"
    path.write_text(source)
    return load(path).reward


def test_an_edited_function_grades_anew(tmp_path, store):
    source = (
        "def reward(queries, answers):\n    return [[{}] * len(a) for a in answers]\n"
    )
    for value in (1.0, 2.25):
        reward = reward_of_source(tmp_path, source.format(value))
        rewards = collect("a", Sampler(), reward, 2, store)
        np.testing.assert_array_equal(rewards, [[value, value]])


def test_a_sampler_that_cannot_be_told_from_another(store):
    sampler = Sampler()
    sampler.settings, sampler.line = None, threading.Lock()
    with pytest.raises(
        ValueError, match=r"(?s)sampler Sampler has no .*give settings="
    ):
        collect("a", sampler, Reward(), 1, store)
    assert collect("a", sampler, Reward(), 1, store, settings={"m": 1}).shape == (1, 1)


@pytest.mark.parametrize("kind", ["closure", "global", "object", "builtin", "class"])
def test_a_reward_function_that_cannot_be_told_from_another(store, kind):
    lock = iter([1.0])
    reward = {
        "closure": lambda queries, answers: [[next(lock)] for _ in queries],
        "global": lambda queries, answers: [[next(ONES)] for _ in queries],
        "object": threading.Thread(),
        "builtin": max,
        "class": map,
    }[kind]
    match = r"(not accepted|has no settings.*give reward_settings=)"
    with pytest.raises(ValueError, match=match):
        collect("a", Sampler(), reward, 1, store)


def test_settings_that_are_not_json(store):
    with pytest.raises(ValueError, match=r"cannot be written as JSON.*Expected a dict"):
        collect("a", Sampler(), Reward(), 1, store, settings={"model": object()})


# Errors: what was collected stays


def fail_on(query, how):
    def reward(queries, answers):
        if query in queries:
            return how(queries, answers)
        return sample_number(queries, answers)

    return reward


def raise_(queries, answers):
    raise KeyError("no gold answer")


WRONG = {
    "raises": (raise_, "reward raised KeyError.'no gold answer'. on query 'c'"),
    "too few rewards": (
        lambda queries, answers: [[0.0]] * len(queries),
        r"returned \[0.0\] for the 3 answers to query 'c'",
    ),
    "too few rows": (lambda *_: [], r"returned \[\] for 1 queries, .* 'c'"),
    "a number": (lambda *_: 1.0, "returned 1.0 for 1 queries, .* 'c'"),
    "an array of none": (lambda *_: np.array(1.0), "for 1 queries, .* 'c'"),
    "nothing": (lambda *_: None, "returned None for 1 queries, .* 'c'"),
    "texts": (lambda *_: [["yes"] * 3], r"returned \['yes', .* to query 'c'"),
    "infinity": (lambda *_: [[np.inf] * 3], r"returned \[inf, .* to query 'c'"),
}


@pytest.mark.parametrize(("how", "message"), WRONG.values(), ids=WRONG)
def test_a_reward_function_that_fails_on_one_query(store, how, message):
    reward = fail_on("c", how)
    settings = {"reward_settings": {"v": 1}}
    with pytest.raises(ValueError, match=message):
        collect("abcde", Sampler(), reward, 3, store, **settings)
    with RewardStore(store) as table:
        _, rewards = table.to_arrays()
        assert len(table.to_frame()) == 15  # no answer is lost
    np.testing.assert_array_equal(
        np.isnan(rewards).all(axis=1), [False, False, True, False, False]
    )
    sampler, mended = Sampler(), Reward()
    table = collect("abcde", sampler, mended, 3, store, **settings)
    np.testing.assert_array_equal(table, expected(5, 3))
    assert (sampler.asked, mended.graded) == ([], ["c:0", "c:1", "c:2"])


def test_sampling_stops_soon_after_grading_failed(store):
    sampler = Sampler()

    def reward(queries, answers):
        raise KeyError("x")

    with pytest.raises(ValueError, match="reward raised KeyError"):
        collect(
            range_of_texts(500),
            sampler,
            reward,
            2,
            store,
            batch_size=4,
            reward_settings={},
        )
    assert len(sampler.asked) < 100


def test_a_sampler_that_raises(store):
    sampler = EachSampler(n_before_the_end=7)
    with pytest.raises(ConnectionError, match="the server has gone"):
        collect("abcd", sampler, Reward(), 3, store)
    again = EachSampler()
    table = collect("abcd", again, Reward(), 3, store)
    np.testing.assert_array_equal(table, expected(4, 3))
    assert len(again.asked) == 12 - 7
    assert set(again.asked).isdisjoint(sampler.asked)


def test_samples_that_fail_for_good(store):
    sampler = EachSampler(failing=[("b", 1), ("c", 0)])
    with pytest.warns(UserWarning, match="2 samples failed for good.*'[bc]': too long"):
        table = collect("abc", sampler, Reward(), 2, store)
    np.testing.assert_array_equal(table, [[0, 1], [0, np.nan], [np.nan, 1]])
    again = EachSampler()
    np.testing.assert_array_equal(
        collect("abc", again, Reward(), 2, store), expected(3, 2)
    )
    assert sorted(again.asked) == [("b", 1), ("c", 0)]


def test_if_every_sample_fails_that_is_an_error(store):
    sampler = EachSampler(failing=[("a", 0), ("b", 0)])
    with pytest.raises(ValueError, match="too long"):
        collect("ab", sampler, Reward(), 1, store)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([["x"], ["x"]], r"returned \['x'\] to query 'a'. Expected 2 answers"),
        ([["x", "y"]], r"returned .* to 2 queries. Expected one list of answers"),
        ([["x", "y"]] * 3, r"returned .* to 2 queries. Expected one list of answers"),
        ([["x", "y"], ["x", 5]], r"returned \['x', 5\] to query 'b'.*each a str"),
    ],
)
def test_a_sampler_that_does_not_give_what_was_asked_for(store, answers, message):
    class Wrong(Sampler):
        def sample(self, prompts, budgets, **options):
            return answers, TokenUsage(np.zeros(2), [np.zeros(2)] * 2)

    with pytest.raises(ValueError, match=message):
        collect("ab", Wrong(), Reward(), 2, store)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"queries": []}, "X is empty"),
        ({"queries": [1]}, "query 0 is 1, neither a text nor a chat"),
        ({"n_samples": 0}, "n_samples=0 is not accepted"),
        ({"n_samples": 2.5}, "n_samples=2.5 is not accepted"),
        ({"batch_size": 0}, "batch_size=0 is not accepted"),
        ({"reward": "exact"}, "reward='exact' is not accepted. Expected a callable"),
    ],
)
def test_parameters_that_are_not_accepted(store, parameters, message):
    good = {
        "queries": ["a", "b"],
        "sampler": Sampler(),
        "reward": Reward(),
        "n_samples": 1,
    }
    with pytest.raises(ValueError, match=message):
        collect_rewards(**{**good, **parameters}, store=store)
    assert not store.exists()


# Progress, and grading beside sampling


def test_the_bar_begins_at_what_is_there(store, capsys):
    collect("ab", Sampler(), Reward(), 3, store, progress=True)
    assert "6/6" in capsys.readouterr().err
    collect("abc", Sampler(), Reward(), 3, store, progress=True)
    shown = capsys.readouterr().err
    assert "6/9" in shown
    assert "9/9" in shown
    assert "sample/s" in shown


def test_grading_runs_beside_sampling(store):
    graded_first = threading.Event()

    def write(prompt, sample):
        # The second batch is not answered before the first is graded.
        assert prompt == "a" or graded_first.wait(30)
        return f"{prompt}:{sample}"

    def reward(queries, answers):
        graded_first.set()
        return sample_number(queries, answers)

    table = collect(
        "ab", Sampler(write), reward, 2, store, batch_size=2, reward_settings={}
    )
    np.testing.assert_array_equal(table, expected(2, 2))


def test_the_line_before_a_slow_grader_is_bounded(store):
    held, n_asked = threading.Event(), []
    sampler = EachSampler()

    def reward(queries, answers):
        held.wait(30)
        return sample_number(queries, answers)

    def look_and_let_go():
        n_asked.append(len(sampler.asked))
        held.set()

    threading.Timer(0.3, look_and_let_go).start()
    options = {"batch_size": 5, "reward_settings": {}}
    table = collect("a", sampler, reward, 100, store, **options)
    # Two batches wait, one is being graded, and at most one is on its way.
    assert 10 <= n_asked[0] <= 20
    np.testing.assert_array_equal(table, expected(1, 100))
