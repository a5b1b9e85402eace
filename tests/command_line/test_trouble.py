"""What is wrong outside of the commands: disks, pipes, signals, damaged files."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from answer_files import write_lines

import sklearn_adaalloc
from sklearn_adaalloc import load_policy
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.command_line import _main, main
from sklearn_adaalloc.command_line._messages import shortened
from sklearn_adaalloc.persistence import _manifest

ROOT = Path(sklearn_adaalloc.__file__).parents[1]
LONG = 10_000 * "x"


def fit(run, table, out, *words):
    return run("fit", table, "--budget", 2, "--out", out, *words)


# Messages


@pytest.mark.parametrize(
    "words",
    [
        ["report", LONG],
        ["report", "TABLE", "--query", LONG],
        ["report", "TABLE", "--features", LONG],
        ["report", "TABLE", "--selection", LONG],
        ["report", "TABLE", "--html", LONG],
        ["fit", "TABLE", "--budget", LONG, "--out", "policy"],
        ["fit", "TABLE", "--budget", "2", "--out", LONG],
        ["fit", "TABLE", "--budget", "2", "--out", "policy", "--config", LONG],
        ["budgets", LONG, "TABLE", "--query", "question"],
        ["collect", "--queries", "TABLE", "--store", "s", "--reward", f"a:{LONG}"],
        ["serve", "--demo", "--decoder", LONG],
        [LONG],
    ],
)
def test_what_was_given_is_not_repeated_at_length(words, run, table):
    words = [str(table) if word == "TABLE" else word for word in words]
    code, out, err = run(*words)
    assert code in (1, 2)
    assert out == ""
    assert "xxx...xxx" in err
    assert len(err) < 2500


def test_of_a_long_message_the_start_and_the_end_stay():
    text = "a list: " + "some words " * 1000 + "What to do."
    short = shortened(text)
    assert len(short) < 2010
    assert short.startswith("a list: some words")
    assert short.endswith("What to do.")
    assert shortened("a word " * 200) == "a word " * 200


def test_a_long_list_of_a_file_of_options_is_not_repeated(run, tmp_path):
    names = ", ".join(f"'{number}.jsonl'" for number in range(3000))
    (tmp_path / "a.toml").write_text(f"[report]\ntable = [{names}, true]\n")
    code, _, err = run("report", "--config", tmp_path / "a.toml")
    assert code == 2
    assert "'0.jsonl', '1.jsonl'" in err
    assert "Expected a text or a number." in err
    assert len(err) < 400


def test_a_file_of_options_that_does_not_end_is_refused(run):
    code, _, err = run("report", "--config", "/dev/zero")
    assert code == 2
    assert "--config /dev/zero is larger than 16 MiB. Expected a file of options" in err


# Places


def test_a_place_that_cannot_be_written_is_found_out_before_the_work(
    run, table, tmp_path, monkeypatch
):
    denied = tmp_path / "denied"
    denied.mkdir()
    allowed = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode: allowed(path, mode) and Path(path) != denied,
    )
    code, _, err = fit(run, table, denied / "new" / "policy")
    assert code == 1
    assert f"cannot be written: {denied} may not be changed" in err
    code, _, err = run("report", table, "--html", denied / "page.html")
    assert code == 1
    assert "page.html cannot be written: permission denied" in err
    assert list(denied.iterdir()) == []


def test_another_folder_is_found_out_before_the_table_is_read(run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    code, _, err = fit(run, tmp_path / "no-table.jsonl", tmp_path)
    assert code == 1
    assert "holds 'notes.txt' and is no policy" in err


# Administrators may write to any usual folder; nobody makes a file in this one.
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has /proc")
def test_a_store_that_cannot_be_opened_is_a_message(run, table):
    words = ("--queries", table, "--query", "question", "--reward", "json:dumps")
    code, _, err = run("collect", *words, "--store", "/proc/store")
    assert code == 1
    assert err.count("\n") == 1
    assert "store='/proc/store'" in err


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_full_disk_behind_the_standard_output(buffered, run, table, tmp_path):
    assert fit(run, table, tmp_path / "policy")[0] == 0
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "sklearn_adaalloc", "explain", "policy", "a"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": buffered},
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ended.returncode == 1
    assert ended.stderr == "adaalloc: error: No space left on device\n"


def test_half_a_character_is_printed_as_json_escapes_it(run, table, tmp_path):
    assert fit(run, table, tmp_path / "policy")[0] == 0
    (tmp_path / "q.jsonl").write_text('{"query": "\\ud800"}\n')
    code, out, _ = run("budgets", tmp_path / "policy", tmp_path / "q.jsonl")
    assert code == 0
    assert json.loads(out)["query"] == "\ud800"


def test_a_closed_standard_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["--version"]) == _main.DONE


# Tables and rows


def test_one_query_is_too_few_to_learn_from(run, tmp_path):
    rows = [{"question": "2+3=", "correct": verdict} for verdict in (0, 1)]
    table = write_lines(tmp_path / "one.jsonl", rows)
    code, _, err = fit(run, table, tmp_path / "policy")
    assert code == 1
    assert "graded queries: 1. Expected at least 2" in err


def test_a_file_with_one_column_and_its_name_only(run, table, tmp_path):
    assert fit(run, table, tmp_path / "policy")[0] == 0
    (tmp_path / "names.csv").write_text("query\n")
    code, _, err = run("budgets", tmp_path / "policy", tmp_path / "names.csv")
    assert code == 1
    assert "names.csv has no rows. Expected a query in each row" in err
    (tmp_path / "names.csv").write_text('query\n2+3=\n"max 3, 4="\n')
    code, out, _ = run("budgets", tmp_path / "policy", tmp_path / "names.csv")
    assert code == 0
    queries = [json.loads(line)["query"] for line in out.splitlines()]
    assert queries == ["2+3=", "max 3, 4="]


def test_programs_without_tests_are_refused_before_they_are_sampled(run, tmp_path):
    rows = [{"query": "a", "test": "assert f()"}, {"query": "b"}]
    queries = write_lines(tmp_path / "q.jsonl", rows)
    words = ("--queries", queries, "--reward", "code", "--store", tmp_path / "store")
    code, _, err = run("collect", *words)
    assert code == 1
    assert f"needs tests, and row 2 of {queries} has none" in err
    assert not (tmp_path / "store").exists()


# Policies


def changed(policy, change):
    path = policy / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_a_policy_of_another_version_is_used_with_a_warning(run, table, tmp_path):
    policy = tmp_path / "policy"
    assert fit(run, table, policy)[0] == 0
    changed(policy, lambda it: it["versions"].update({"sklearn-adaalloc": "0.0.1"}))
    code, out, err = run("explain", policy, "a", "--json")
    assert code == 0
    assert json.loads(out)["budget"] == 2
    assert err.startswith("adaalloc: warning: ")
    assert "0.0.1" in err


def test_a_policy_of_a_newer_schema_is_refused(run, table, tmp_path):
    policy = tmp_path / "policy"
    assert fit(run, table, policy)[0] == 0
    changed(policy, lambda it: it.update(schema=99))
    code, out, err = run("explain", policy, "a", "--json")
    assert (code, out) == (1, "")
    assert "schema" in err


# Interrupts


def interrupt(*arguments):
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def interruptible():
    """Interrupts arrive, also where tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_fit_leaves_the_old_policy(run, table, tmp_path, monkeypatch):
    policy = tmp_path / "policy"
    assert fit(run, table, policy)[0] == 0
    before = sorted(path.name for path in policy.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(_manifest, "_sync", interrupt)
        code, out, err = fit(run, table, policy, "--policy", "stream")
    assert (code, out, err) == (130, "", "adaalloc: interrupted\n")
    assert sorted(path.name for path in policy.iterdir()) == before
    assert type(load_policy(policy)[-1]).__name__ == "AdaptiveAllocator"


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_collect_goes_on_where_it_was(run, tmp_path, monkeypatch):
    (tmp_path / "interrupting.py").write_text(
        "import os, pathlib, signal\n"
        "def grade(queries, answers):\n"
        "    if '9-4=' in queries and not pathlib.Path('again').exists():\n"
        "        pathlib.Path('again').touch()\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return [[1.0] * len(row) for row in answers]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "q.txt").write_text("2+3=\n9-4=\n")
    words = ("--queries", "q.txt", "--reward", "interrupting:grade", "--store", "s")
    words += ("--n-samples", 2, "--max-new-tokens", 4, "--json")
    code, out, err = run("collect", *words)
    assert (code, out) == (130, "")
    assert err.endswith("adaalloc: interrupted\n")
    code, out, _ = run("collect", *words)
    assert (code, json.loads(out)["graded"]) == (0, 4)
    with RewardStore("s") as store:
        assert store.to_arrays()[1].shape == (2, 2)
