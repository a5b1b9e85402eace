"""Files of graded answers, small ones made here and real ones converted."""

import csv
import json

import numpy as np
import pytest

from sklearn_adaalloc.command_line import main


@pytest.fixture
def run(capsys):
    """Run a command: its exit code, what it printed, and its messages."""

    def run_command(*words):
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_command


def made_rewards(n_queries=60, n_samples=8):
    """Verdicts of queries that differ in difficulty."""
    rng = np.random.default_rng(0)
    rates = rng.beta(0.5, 0.5, n_queries)
    return (rng.random((n_queries, n_samples)) < rates[:, None]).astype(int)


def long_rows(rewards, **columns):
    """One row for each answer."""
    return [
        {
            "question": f"What is {query}?",
            "correct": int(reward),
            **{name: value(query, sample) for name, value in columns.items()},
        }
        for query, row in enumerate(rewards)
        for sample, reward in enumerate(row)
    ]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_csv(path, rows, separator=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def table(tmp_path):
    """60 queries with 8 verdicts each."""
    return write_lines(tmp_path / "answers.jsonl", long_rows(made_rewards()))
