import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from sklearn_adaalloc import _collection
from sklearn_adaalloc._grading import Grader
from sklearn_adaalloc.collect import RewardStore, collect_rewards
from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
from sklearn_adaalloc.sampling import OpenAISampler, TokenUsage, TransformersSampler
from sklearn_adaalloc.sampling._replies import SampledAnswer

PROGRAM = Path(__file__).with_name("collecting.py")


def load(path):
    """Load a module that lies beside the tests."""
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


collecting = load(PROGRAM)
faulty = load(PROGRAM.parent / "sampling" / "faulty_server.py")


class Sampler:
    """Answers "prompt:sample", and remembers what it was asked for."""

    settings = {"sampler": "Sampler"}

    def __init__(self, write=lambda prompt, sample: f"{prompt}:{sample}"):
        self.asked = []
        self.calls = []
        self.write = write

    def sample(self, prompts, budgets, *, first_sample, return_usage):
        self.calls.append(sum(budgets))
        answers = []
        for prompt, budget, first in zip(prompts, budgets, first_sample, strict=True):
            samples = range(first, first + budget)
            self.asked += [(str(prompt), sample) for sample in samples]
            answers.append([self.write(prompt, sample) for sample in samples])
        tokens = [np.full(budget, 3) for budget in budgets]
        return answers, TokenUsage(np.full(len(prompts), 5), tokens)


class EachSampler(Sampler):
    """The same, one by one; some samples fail for good, and then all."""

    def __init__(self, failing=(), n_before_the_end=np.inf):
        super().__init__()
        self.failing = failing
        self.n_before_the_end = n_before_the_end

    def sample_each(self, prompts, budgets, *, first_sample):
        for row, prompt in reversed(list(enumerate(prompts))):
            for sample in range(first_sample[row], first_sample[row] + budgets[row]):
                if len(self.asked) == self.n_before_the_end:
                    raise ConnectionError("the server has gone")
                self.asked.append((prompt, sample))
                if (prompt, sample) in self.failing:
                    error = ValueError("too long")
                    yield SampledAnswer(row, sample, None, 0, 0, error)
                else:
                    yield SampledAnswer(row, sample, f"{prompt}:{sample}", 5, 3)


def sample_number(queries, answers):
    """Reward: the number after the colon."""
    return [np.array([float(a.rpartition(":")[2]) for a in row]) for row in answers]


class Reward:
    """Gives `sample_number` plus an offset, and remembers what it graded."""

    def __init__(self, offset=0.0):
        self.settings = {"reward": "Reward", "offset": offset}
        self.offset = offset
        self.graded = []

    def __call__(self, queries, answers):
        self.graded += [answer for row in answers for answer in row]
        return [row + self.offset for row in sample_number(queries, answers)]


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store.sqlite"


def collect(queries, sampler, reward, n_samples, store, **parameters):
    parameters = {"progress": False, **parameters}
    return collect_rewards(
        list(queries), sampler, reward, n_samples, store=store, **parameters
    )


def expected(n_queries, n_samples):
    return np.tile(np.arange(n_samples, dtype=float), (n_queries, 1))


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


def test_a_sampler_without_settings(store):
    sampler = Sampler()
    sampler.settings = None
    with pytest.raises(ValueError, match=r"sampler Sampler has no settings.*settings="):
        collect("a", sampler, Reward(), 1, store)
    assert collect("a", sampler, Reward(), 1, store, settings={"m": 1}).shape == (1, 1)


@pytest.mark.parametrize("kind", ["closure", "object", "builtin"])
def test_a_reward_function_that_cannot_be_told_from_another(store, kind):
    offset = 1.0
    reward = {
        "closure": lambda queries, answers: [[offset] for _ in queries],
        "object": Reward().__call__,
        "builtin": map,
    }[kind]
    with pytest.raises(ValueError, match=r"has no settings.*give reward_settings="):
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
    "nothing": (lambda *_: None, "returned None for 1 queries, .* 'c'"),
    "texts": (lambda *_: [["yes"] * 3], r"returned \['yes', .* to query 'c'"),
    "nan": (lambda *_: [[np.nan] * 3], r"returned \[nan, .* to query 'c'"),
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


def range_of_texts(n):
    return [f"q{i}" for i in range(n)]


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
        ([["x", "y"]], "returned 1 lists of answers to 2 queries"),
        ([["x", "y"]] * 3, "returned 3 lists of answers to 2 queries"),
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


# The file


def foreign_database(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE answers (mine TEXT)")


def overwrite(start, stop):
    def damage(path):
        collect(range_of_texts(300), Sampler(), Reward(), 4, path)
        content = bytearray(path.read_bytes())
        content[start:stop] = os.urandom(16) * ((stop - start) // 16)
        path.write_bytes(content)

    return damage


def cut(path):
    collect(range_of_texts(300), Sampler(), Reward(), 4, path)
    path.write_bytes(path.read_bytes()[:20_000])


BAD_FILES = {
    "text": (lambda path: path.write_text("query,reward\n" * 99), "is no store of"),
    "short": (lambda path: path.write_text("x"), "is no store of"),
    "foreign": (foreign_database, "is no store of"),
    "cut": (cut, "is damaged"),
    "page overwritten": (overwrite(8192, 12288), "is damaged"),
    "schema overwritten": (overwrite(112, 4096), "is damaged"),
}


@pytest.mark.parametrize(("make", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_and_left_as_it_is(store, make, message):
    make(store)
    before = store.read_bytes()
    with pytest.raises(ValueError, match=rf"store='.*store.sqlite' {message}"):
        collect("a", Sampler(), Reward(), 1, store)
    with pytest.raises(ValueError, match=message):
        RewardStore(store)
    assert store.read_bytes() == before
    waiting = store.with_name("store.sqlite-wal")  # to be written to the file
    assert not waiting.exists() or waiting.stat().st_size == 0


def test_a_folder_in_place_of_the_file(tmp_path):
    with pytest.raises(ValueError, match="is not a file"):
        collect("a", Sampler(), Reward(), 1, tmp_path)


def test_a_store_that_does_not_exist(store):
    with pytest.raises(ValueError, match=r"store\.sqlite' does not exist"):
        RewardStore(store)
    assert not store.exists()


def test_folders_are_made_and_an_empty_file_is_filled(tmp_path):
    path = tmp_path / "a" / "b" / "store"
    collect("a", Sampler(), Reward(), 1, path)
    (tmp_path / "empty").touch()
    table = collect("a", Sampler(), Reward(), 1, str(tmp_path / "empty"))
    np.testing.assert_array_equal(table, [[0]])


# Export


def test_export(store, tmp_path):
    pandas = pytest.importorskip("pandas")
    collect("ba", EachSampler(), Reward(), 2, store)
    with pytest.warns(UserWarning, match="1 samples failed"):
        collect("ba", EachSampler(failing=[("a", 2)]), Reward(), 3, store)
    with RewardStore(store) as table:
        queries, rewards = table.to_arrays()
        frame = table.to_frame()
        pytest.importorskip("pyarrow")
        table.to_parquet(tmp_path / "table.parquet")
    assert queries == ["b", "a"]
    np.testing.assert_array_equal(rewards, [[0, 1, 2], [0, 1, np.nan]])
    assert frame.to_dict("list") == {
        "query": ["b", "b", "b", "a", "a"],
        "sample": [0, 1, 2, 0, 1],
        "answer": ["b:0", "b:1", "b:2", "a:0", "a:1"],
        "reward": [0, 1, 2, 0, 1],
        "prompt_tokens": [5, 5, 5, 5, 5],
        "answer_tokens": [3, 3, 3, 3, 3],
    }
    pandas.testing.assert_frame_equal(
        pandas.read_parquet(tmp_path / "table.parquet"), frame
    )


def test_prompt_tokens_add_up_to_what_was_paid(store):
    pytest.importorskip("pandas")
    collect("ab", Sampler(), Reward(), 4, store, batch_size=6)
    with RewardStore(store) as table:
        frame = table.to_frame()
    # One prefill of a, and two of b, whose samples fell into two batches.
    assert frame["prompt_tokens"].tolist() == [5, 0, 0, 0, 5, 0, 5, 0]
    assert frame["answer_tokens"].sum() == 24


def test_export_of_one_of_several(store):
    collect("a", Sampler(), Reward(), 1, store)
    collect("ab", Sampler(), Reward(offset=1.0), 2, store, settings={"t": 1})
    with RewardStore(store) as table:
        with pytest.raises(ValueError, match=r"sampler settings None do not name one"):
            table.to_arrays()
        with pytest.raises(ValueError, match=r"reward settings \{'x': 1\} do not name"):
            table.to_arrays(settings={"t": 1}, reward_settings={"x": 1})
        queries, rewards = table.to_arrays(
            settings={"t": 1}, reward_settings=Reward(offset=1.0).settings
        )
        assert queries == ["a", "b"]
        np.testing.assert_array_equal(rewards, expected(2, 2) + 1)
        _, ungraded = table.to_arrays(
            settings={"t": 1}, reward_settings=Reward().settings
        )
        assert np.isnan(ungraded).all()


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


def test_the_line_before_a_slow_grader_is_bounded():
    held, given = threading.Event(), []

    def reward(queries, answers):
        held.wait(30)
        return sample_number(queries, answers)

    def give(grader):
        for sample in range(100):
            grader.give([(0, sample, f"a:{sample}")])
            given.append(sample)

    with Grader(["a"], reward, lambda rewards: None, batch_size=5) as grader:
        giver = threading.Thread(target=give, args=(grader,))
        giver.start()
        time.sleep(0.3)
        n_given = len(given)
        held.set()
        giver.join()
        grader.wait()
    assert 10 <= n_given <= 15  # two batches wait, at most one is being graded
    assert len(given) == 100


# A server


@pytest.fixture
def openai_sampler(monkeypatch):
    pytest.importorskip("openai", reason="needs the extra openai")
    monkeypatch.setattr("sklearn_adaalloc.sampling._replies._FIRST_WAIT", 0.01)
    return OpenAISampler(
        "http://127.0.0.1:1/v1", "m", use_n=False, max_concurrency=4, max_retries=2
    )


def length(queries, answers):
    return [[float(len(answer)) for answer in row] for row in answers]


def test_what_was_collected_before_a_server_went_stays(store, openai_sampler):
    with faulty.serving(lambda n, body: faulty.drop if n >= 10 else None) as server:
        openai_sampler.set_params(base_url=server.base_url)
        with pytest.raises(ConnectionError, match=r"cannot be reached.*3 attempts"):
            collect("abcd", openai_sampler, length, 5, store)
    with faulty.serving() as server:  # it is back, at another port
        openai_sampler.set_params(base_url=server.base_url)
        rewards = collect("abcd", openai_sampler, length, 5, store)
        assert len(server.bodies) == 20 - 10
        answers = openai_sampler.sample(list("abcd"), 5)
    np.testing.assert_array_equal(rewards, length("abcd", answers))


def test_a_query_that_a_server_refuses_costs_only_itself(store, openai_sampler):
    def faults(number, body):
        is_b = body["messages"][0]["content"] == "b"
        return faulty.status(400, "too long") if is_b else None

    with faulty.serving(faults) as server:
        openai_sampler.set_params(base_url=server.base_url)
        with pytest.warns(UserWarning, match=r"(?s)3 samples .* query 'b'.*too long"):
            rewards = collect("abc", openai_sampler, length, 3, store)
    assert np.isnan(rewards).any(axis=1).tolist() == [False, True, False]


# Several processes, and those that died


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-W", "error", PROGRAM, folder, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def logged(folder, kind):
    lines = map(json.loads, (folder / "log").read_text().splitlines())
    return [text for word, text, _ in lines if word == kind]


ALL_ANSWERS = [
    collecting.answer(query, sample)
    for query in collecting.QUERIES
    for sample in range(collecting.N_SAMPLES)
]
UNDISTURBED = np.reshape(
    [collecting.reward_of(answer) for answer in ALL_ANSWERS], (-1, collecting.N_SAMPLES)
)


def assert_finished(folder):
    with RewardStore(folder / "store.sqlite") as table:
        queries, rewards = table.to_arrays()
        answers = table.to_frame()["answer"]
        n_claims = table.read("SELECT COUNT(*) FROM claims")
        n_owners = table.read("SELECT COUNT(*) FROM owners")
    assert queries == collecting.QUERIES
    np.testing.assert_array_equal(rewards, UNDISTURBED)
    assert list(answers) == ALL_ANSWERS
    assert (n_claims, n_owners) == ([(0,)], [(0,)])


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing(tmp_path):
    killed = start(tmp_path, 0.004, "--kills", 25)
    output, errors = killed.communicate(timeout=300)
    assert killed.returncode == 0, errors
    assert_finished(tmp_path)
    states = json.loads(output)
    assert len(states) == 25
    lines = (tmp_path / "log").read_text().splitlines()
    for state in states:  # what was stored at a kill is never asked for or graded again
        later = list(map(json.loads, lines[state["n_lines"] :]))
        for kind in ("asked", "graded"):
            again = {text for word, text, _ in later if word == kind}
            assert again.isdisjoint(state[kind])
    # Asked for twice is at most what was under way at a kill: one batch each time.
    n_again = sum(Counter(logged(tmp_path, "asked")).values()) - len(ALL_ANSWERS)
    assert 0 < n_again <= 25 * collecting.BATCH_SIZE


@pytest.mark.slow
def test_processes_share_the_work(tmp_path):
    processes = [start(tmp_path, 0.01) for _ in range(3)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    assert_finished(tmp_path)
    assert sorted(logged(tmp_path, "asked")) == sorted(ALL_ANSWERS)
    assert sorted(logged(tmp_path, "graded")) == sorted(ALL_ANSWERS)
    lines = (tmp_path / "log").read_text().splitlines()
    assert len({pid for _, _, pid in map(json.loads, lines)}) > 1


@pytest.mark.slow
def test_a_process_takes_over_what_a_killed_one_had_claimed(tmp_path):
    killed = start(tmp_path, 30)  # seconds per sample: it never gets done
    wait_for_lines(tmp_path, 1)
    living = start(tmp_path, 0)
    wait_for_lines(tmp_path, 1000)
    assert living.poll() is None  # it waits for the other's samples
    killed.kill()
    killed.communicate(timeout=60)
    errors = living.communicate(timeout=60)[1]
    assert living.returncode == 0, errors
    assert_finished(tmp_path)
    counts = Counter(logged(tmp_path, "asked"))
    assert Counter(counts.values()) == {1: 1000 - 16, 2: 16}


def wait_for_lines(folder, n_lines, seconds=60):
    end = time.monotonic() + seconds
    log = folder / "log"
    while not log.exists() or len(log.read_text().splitlines()) < n_lines:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_an_interrupt_leaves_a_store_to_go_on_with(tmp_path):
    process = start(tmp_path, 0.004)
    wait_for_lines(tmp_path, 100)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    with RewardStore(tmp_path / "store.sqlite") as table:
        stored = list(table.to_frame()["answer"])
        assert table.read("SELECT * FROM claims") == []
        assert table.read("SELECT * FROM owners") == []
    assert 0 < len(stored) < 1000
    n_lines = len((tmp_path / "log").read_text().splitlines())
    collecting.collect(tmp_path, 0)
    assert_finished(tmp_path)
    lines = (tmp_path / "log").read_text().splitlines()[n_lines:]
    asked = [text for word, text, _ in map(json.loads, lines) if word == "asked"]
    assert sorted([*stored, *asked]) == sorted(ALL_ANSWERS)


def claim_all(path, owner, heartbeat):
    """Claim all samples of "a" and "b", as another process would."""
    with RewardStore(path, create=True) as store, store.transaction() as connection:
        connection.execute(
            "INSERT INTO owners VALUES (?, ?, ?, ?)", (*owner, heartbeat)
        )
        connection.execute(
            "INSERT INTO claims SELECT sampler, sampler, query, 1, ? "
            "FROM (SELECT DISTINCT sampler, query FROM answers)",
            owner[:1],
        )


def test_claims_lapse(store):
    collect("ab", Sampler(), Reward(), 1, store)
    silent_since = time.time() - _collection.LEASE - 1
    claim_all(store, ("x", "another machine", 1), silent_since)
    sampler = Sampler()
    table = collect("ab", sampler, Reward(), 2, store)
    np.testing.assert_array_equal(table, expected(2, 2))
    assert sampler.asked == [("a", 1), ("b", 1)]


def test_claims_hold(store, monkeypatch):
    collect("ab", Sampler(), Reward(), 1, store)
    claim_all(store, ("x", "another machine", 1), time.time())
    monkeypatch.setattr(_collection, "LEASE", 1.5)
    start, sampler = time.monotonic(), Sampler()
    collect("ab", sampler, Reward(), 2, store)
    assert 1 <= time.monotonic() - start < 10
    assert sampler.asked == [("a", 1), ("b", 1)]


def test_a_late_answer_does_not_replace_another(store):
    contents = ['"a"']
    with (
        RewardStore(store, create=True) as file,
        _collection.Collection(file, {}, {}, contents, 1) as one,
        _collection.Collection(file, {}, {}, contents, 1) as other,
    ):
        one.put_answers([(0, 0, "first", 1, 1)])
        other.put_answers([(0, 0, "second", 1, 1)])
        assert other.answers([(0, 0)]) == ["first"]
        one.put_rewards([(0, 0, 1.0)])
        other.put_rewards([(0, 0, 2.0)])
        np.testing.assert_array_equal(other.rewards(), [[1.0]])


def test_of_two_one_gets_the_claim(store):
    with (
        RewardStore(store, create=True) as file,
        _collection.Collection(file, {}, {}, ['"a"'], 3) as one,
        _collection.Collection(file, {}, {}, ['"a"'], 3) as other,
    ):
        assert one.claim_missing([(0, 0), (0, 1)]) == [(0, 0), (0, 1)]
        assert other.claim_missing([(0, 0), (0, 1), (0, 2)]) == [(0, 2)]
        one.put_answers([(0, 0, "x", 1, 1)])
        assert other.claim_missing([(0, 0)]) == []  # it is there
        assert other.claim_ungraded([(0, 0)]) == []  # and grading goes with it
        one.release()
        assert other.claim_ungraded([(0, 0)]) == [(0, 0)]
        assert other.claim_missing([(0, 1)]) == [(0, 1)]
