"""Small files of graded answers."""

import csv
import json

import numpy as np


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
