import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import collecting
import faulty_server as faulty
import numpy as np
import pytest
from samplers import Reward, SampledAnswer, Sampler, collect, expected
from servers import shorten_waits

from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.collect import _claims as _collection
from sklearn_adaalloc.sampling import OpenAISampler

PROGRAM = Path(collecting.__file__)

# A server


@pytest.fixture
def openai_sampler(monkeypatch):
    pytest.importorskip("aiohttp", reason="needs the extra openai")
    shorten_waits(monkeypatch)
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
        one.put_answers([SampledAnswer(0, 0, "first", 1, 1)])
        other.put_answers([SampledAnswer(0, 0, "second", 1, 1)])
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
        one.put_answers([SampledAnswer(0, 0, "x", 1, 1)])
        assert other.claim_missing([(0, 0)]) == []  # it is there
        assert other.claim_ungraded([(0, 0)]) == []  # and grading goes with it
        one.release()
        assert other.claim_ungraded([(0, 0)]) == [(0, 0)]
        assert other.claim_missing([(0, 1)]) == [(0, 1)]
