"""Commands, run, and a small file of graded answers."""

import pytest
from answer_files import long_rows, made_rewards, write_lines

from sklearn_adaalloc.command_line import main


@pytest.fixture
def run(capsys):
    """Run a command: its exit code, what it printed, and its messages."""

    def run_command(*words):
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_command


@pytest.fixture
def table(tmp_path):
    """60 queries with 8 verdicts each."""
    return write_lines(tmp_path / "answers.jsonl", long_rows(made_rewards()))


@pytest.fixture
def stream_policy(run, table, tmp_path):
    """A policy with a stream and without features."""
    code, _, err = run(
        *("fit", table, "--budget", 2, "--policy", "stream"),
        *("--out", tmp_path / "policy"),
    )
    assert (code, err) == (0, "")
    return tmp_path / "policy"
