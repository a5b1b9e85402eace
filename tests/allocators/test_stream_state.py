"""The state of a stream: as JSON, over a restart, and shared by processes."""

import json
import multiprocessing
import os
import pickle
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    RewardRegressor,
    StreamAllocator,
    load_policy,
    save_policy,
)
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.datasets import make_reward_table

N_QUERIES = 300
X, REWARDS = make_reward_table(N_QUERIES, 12, random_state=0, return_X_y=True)
RIDGE = RewardRegressor(Ridge())


def fitted(**params):
    options = {"budget": 3, "random_state": 0} | params
    return StreamAllocator(RIDGE, **options).fit(X, REWARDS)


def serve(stream, rows):
    """Samples of each query, one after another."""
    budgets = []
    for row in rows:
        with stream.start(X[row]) as session:
            while (asked := session.ask()) is not None:
                taken = int(session.budgets[0])
                session.tell([REWARDS[row, taken : taken + asked[0]]])
        budgets.append(int(session.budgets[0]))
    return budgets


# --- JSON ------------------------------------------------------------------------


def test_a_restart_changes_nothing(tmp_path):
    policy = fitted()
    without = policy.open()
    expected = serve(without, range(200))
    stream = policy.open()
    budgets = serve(stream, range(100))
    stream.save(tmp_path / "stream.json")
    later = fitted().open(state=tmp_path / "stream.json")
    assert (later.price, later.n_queries) == (stream.price, 100)
    assert budgets + serve(later, range(100, 200)) == expected
    assert later.price == without.price
    assert later.mean_cost == pytest.approx(np.mean(expected))


def test_a_saved_policy_continues_the_stream(tmp_path):
    policy = fitted()
    stream = policy.open()
    serve(stream, range(50))
    stream.save(tmp_path / "stream.json")
    save_policy(policy, tmp_path / "policy")
    again = load_policy(tmp_path / "policy").open(state=str(tmp_path / "stream.json"))
    assert again.price == stream.price
    state = json.loads((tmp_path / "stream.json").read_text())
    assert policy.open(state=state).price == stream.price


def test_parameters_of_the_control_may_change_between(tmp_path):
    stream = fitted().open()
    serve(stream, range(50))
    stream.save(tmp_path / "stream.json")
    other = fitted().set_params(budget=4, gain=0.05)
    assert other.open(state=tmp_path / "stream.json").price == stream.price


def test_the_state_of_another_policy_is_refused(tmp_path):
    stream = fitted().open()
    stream.save(tmp_path / "stream.json")
    other = fitted(random_state=1)
    with pytest.raises(ValueError, match=r"state=.*is the state of another policy"):
        other.open(state=tmp_path / "stream.json")
    fitted().open(path=tmp_path / "stream.sqlite").close()
    with pytest.raises(ValueError, match=r"path=.*is the state of another policy"):
        other.open(path=tmp_path / "stream.sqlite")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "it has no format 1"),
        ({"state": None}, "expected"),
        ({"price": 0.0}, r"price=0\.0"),
        ({"price": float("nan")}, "price=nan"),
        ({"price": "high"}, "price='high'"),
        ({"spent": -1.0}, r"spent=-1\.0"),
        ({"n_queries": 1.5}, r"n_queries=1\.5"),
        ({"windows": {"first": 1}}, "windows="),
        ({"windows": [1]}, "windows="),
        ({"windows": {"9 queries-1": True}}, "windows="),
        ({"windows": {"9 queries-1": 10**30}}, "windows="),
        ({"n_started": 10**30}, "n_started=1000"),
        ({"learnt": [0.0, 1e300, 0.0, 0.0, 0.0]}, "learnt="),
        ({"n_queries": 60}, r"recent\['weights'\]=\[0.0, 0.0\]"),
        ({"more": 1}, "expected"),
    ],
)
def test_a_damaged_state_is_refused(change, message, tmp_path):
    policy = fitted()
    policy.open().save(tmp_path / "stream.json")
    content = json.loads((tmp_path / "stream.json").read_text())
    inside = change.keys().isdisjoint({"format", "state"})
    (content["state"] if inside else content).update(change)
    with pytest.raises(ValueError, match=rf"is not the state of a stream: .*{message}"):
        policy.open(state=content)


def test_files_that_hold_no_state_are_refused(tmp_path):
    policy = fitted()
    with pytest.raises(ValueError, match=r"state=.*does not exist"):
        policy.open(state=tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"format": 1, "sta')
    with pytest.raises(ValueError, match="is not the state of a stream"):
        policy.open(state=tmp_path / "half.json")
    with pytest.raises(ValueError, match=r"path='.*half\.json' is not a stream of"):
        policy.open(path=tmp_path / "half.json")
    RewardStore(tmp_path / "store.sqlite", create=True).close()
    with pytest.raises(ValueError, match=r"is not a stream of StreamAllocator\.open"):
        policy.open(path=tmp_path / "store.sqlite")
    with pytest.raises(ValueError, match=r"state=.*and path=.*are both given"):
        policy.open(state=tmp_path / "half.json", path=tmp_path / "x.sqlite")


def test_saving_replaces_a_file_at_once(tmp_path):
    stream = fitted().open()
    stream.save(tmp_path / "stream.json")
    stream.save(tmp_path / "stream.json")
    with pytest.raises(ValueError, match=r"path='.*' is a folder"):
        stream.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["stream.json"]
    stream.save(tmp_path / "new" / "folder" / "stream.json")
    assert fitted().open(state=tmp_path / "new/folder/stream.json").n_queries == 0


def test_threads_may_save_to_the_same_file(tmp_path):
    stream = fitted().open()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(stream.save, [tmp_path / "stream.json"] * 100))
    assert [path.name for path in tmp_path.iterdir()] == ["stream.json"]


def test_a_stream_is_not_pickled_but_saved():
    stream = fitted().open()
    for part in (stream, stream.start(X[0])):
        with pytest.raises(
            TypeError, match=r"cannot be copied or pickled.*Stream\.save"
        ):
            pickle.dumps(part)


# --- the shared file ---


@pytest.mark.parametrize(
    "text", ["half", "[]", "3", '{"price": 0.1}', '{"price": NaN}', None]
)
def test_a_shared_file_that_was_edited_is_refused(text, tmp_path):
    policy, path = fitted(), tmp_path / "stream.sqlite"
    policy.open(path=path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE stream SET state = ?", [text])
    with pytest.raises(ValueError, match=r"path='.*' is not the state of a stream"):
        policy.open(path=path)


def test_a_shared_stream_that_was_closed_says_so(tmp_path):
    stream = fitted().open(path=tmp_path / "stream.sqlite")
    stream.close()
    stream.close()
    with pytest.raises(ValueError, match=r"path='.*' was closed\. Expected an open"):
        stream.start(X[0])


def test_a_shared_file_that_is_locked_or_full_is_named(tmp_path):
    stream = fitted().open(path=tmp_path / "stream.sqlite")
    stream._state._file._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError, match=r"path='.*' could not be used"):
        stream.start(X[0])


# --- processes -------------------------------------------------------------------


def test_a_shared_stream_is_like_one_in_memory(tmp_path):
    policy = fitted(cap=4, cap_window=50)
    in_memory = policy.open()
    expected = serve(in_memory, range(100))
    with policy.open(path=tmp_path / "stream.sqlite") as stream:
        budgets = serve(stream, range(60))
    with policy.open(path=tmp_path / "stream.sqlite") as stream:
        assert budgets + serve(stream, range(60, 100)) == expected
        assert stream.price == in_memory.price
        stream.save(tmp_path / "stream.json")
    assert policy.open(state=tmp_path / "stream.json").n_queries == 100


def serve_from(policy, path, rows, results):
    with policy.open(path=path) as stream:
        results.put(sum(serve(stream, rows)))


def test_processes_lose_no_update(tmp_path):
    policy, path = fitted(), tmp_path / "stream.sqlite"
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    parts = [range(start, N_QUERIES, 4) for start in range(4)]
    workers = [
        context.Process(target=serve_from, args=(policy, path, part, results))
        for part in parts
    ]
    for worker in workers:
        worker.start()
    spent = sum(results.get(timeout=300) for _ in workers)
    for worker in workers:
        worker.join()
    with policy.open(path=path) as stream:
        assert stream.n_queries == N_QUERIES
        assert stream.mean_cost == spent / N_QUERIES


def serve_until_killed(policy, path, progress):
    stream = policy.open(path=path)
    for row in range(N_QUERIES):
        open_query = stream.start(X[row])
        open_query.ask()
        progress.put(serve(stream, [row])[0])


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_process_that_is_killed_loses_only_its_open_queries(tmp_path):
    policy, path = fitted(), tmp_path / "stream.sqlite"
    context = multiprocessing.get_context("spawn")
    progress = context.SimpleQueue()
    worker = context.Process(target=serve_until_killed, args=(policy, path, progress))
    worker.start()
    known = [progress.get() for _ in range(20)]
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    while not progress.empty():
        known.append(progress.get())
    with policy.open(path=path) as stream:
        # One may have been closed before it was reported.
        assert len(known) <= stream.n_queries <= len(known) + 1
        assert stream.mean_cost * stream.n_queries >= sum(known)
        serve(stream, range(3))  # the file is as good as before
