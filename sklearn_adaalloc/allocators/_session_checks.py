"""Checks of what a session is told."""

from collections.abc import Mapping, Set
from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._utils.numbers import LARGEST, reward_array
from sklearn_adaalloc._utils.rewards import is_binary
from sklearn_adaalloc.curves._answers import frame_cells, is_no_answer


def check_verdicts(rewards, asked, *, binary, name="rewards"):
    """Check the numbers of one round; return a table (n_queries, n_new), NaN last."""
    table = reward_array(rewards, name)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) != len(asked):
        raise ValueError(
            f"{name} has shape {table.shape}. Expected the {name} of {len(asked)} "
            "queries: one sequence each, or an array (n_queries, n_samples) with NaN."
        )
    given = np.isfinite(table).sum(axis=1)
    if (large := np.abs(table) > LARGEST).any():
        row, column = np.argwhere(large)[0]
        size = table[row, column]
        raise ValueError(
            f"{name} contains {'infinity' if np.isinf(size) else size} in row {row}. "
            f"Expected finite {name} of at most {LARGEST:g}: grade that sample again."
        )
    if (given != asked).any():
        row = np.flatnonzero(given != asked)[0]
        raise ValueError(
            f"{name} has {given[row]} {name} in row {row}, where {asked[row]} were "
            f"asked for. Give as many {name} for each query as ask returned. Where it "
            "returned 0, give an empty row or only NaN."
        )
    if binary and not is_binary(table):
        bad = ~((table == 0) | (table == 1) | np.isnan(table))
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"rewards has {table[row, column]:g} in row {row}. Expected 0 or 1, as in "
            "fit. For other rewards, fit the allocator on real-valued rewards."
        )
    return compact(table)


def check_told_answers(answers, asked):
    """Check the answers of one round; return one list per query, None for no answer."""
    answers = frame_cells(answers)
    known = not isinstance(answers, str | Mapping | Set) and np.iterable(answers)
    rows = list(answers) if known else []
    if len(rows) != len(asked):
        raise ValueError(
            f"answers={short_repr(answers)} is not accepted. Expected the answers of "
            f"{len(asked)} queries: one sequence each."
        )
    rounds = enumerate(zip(rows, asked.tolist(), strict=True))
    return [_check_row(given, n_asked, row) for row, (given, n_asked) in rounds]


def _check_row(given, n_asked, row):
    """Answers to one query; those beyond what was asked for must be no answer."""
    single = isinstance(given, str) or not np.iterable(given)
    cells = [given] if single else list(given)
    cells = [cell.item() if isinstance(cell, np.generic) else cell for cell in cells]
    read = [None if is_no_answer(cell) else cell for cell in cells]
    for answer in read:
        if not isinstance(answer, str | int | None):
            raise ValueError(
                f"answers has {short_repr(answer)} in row {row}. Expected a str or an "
                "int; None, '' or -1 for no answer."
            )
    if len(read) < n_asked or any(each is not None for each in read[n_asked:]):
        raise ValueError(
            f"answers has {len(read)} answers in row {row}, where {n_asked} were asked "
            "for. Give as many answers for each query as ask returned, with None for a "
            "sample that holds none."
        )
    return read[:n_asked]


def compact(table):
    """Move NaN to the end of each row and keep the order of the rest."""
    missing = table != table  # NaN, also among objects
    if not (missing[:, :-1] & ~missing[:, 1:]).any():
        return table
    order = np.argsort(missing, axis=1, kind="stable")
    return np.take_along_axis(table, order, axis=1)
