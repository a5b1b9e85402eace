"""One process's part in filling a reward table that several may share."""

import os
import platform
import sqlite3
import threading
import time
from contextlib import suppress
from math import isnan
from uuid import uuid4

import numpy as np

# A process that has not been heard of for so many seconds has lost its claims.
LEASE = 60.0
_SAME_KEY = "work = ? AND sampler = ? AND query = ? AND sample = ?"


class Collection:
    """What of a table is there, who works on the rest, and where results go.

    A sample is asked for, and an answer graded, by the process that has claimed it.
    Claims end with the result, with the process, or after `LEASE` seconds without a
    sign of life; a result that comes later than another's is dropped.

    Parameters
    ----------
    store : RewardStore
        Open for writing.
    settings, reward_settings : dict
        Those of sampler and reward function.
    contents : list of n_queries str
        Distinct queries, as JSON.
    n_samples : int
        Number of samples of each.
    """

    def __init__(self, store, settings, reward_settings, contents, n_samples):
        self.store = store
        self.sampler = store.settings_id("sampler", settings)
        self.reward = store.settings_id("reward", reward_settings)
        self.queries = np.array(store.query_ids(contents))
        self.n_samples = n_samples
        self._owner = uuid4().hex
        self._leaving = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self):
        self._sign()
        self._heart.start()
        return self

    def __exit__(self, *error):
        self._leaving.set()
        self._heart.join()
        self.release()
        with self.store.transaction() as connection:
            connection.execute("DELETE FROM owners WHERE owner = ?", (self._owner,))

    # What there is

    def rewards(self):
        """Rewards so far, (n_queries, n_samples) with NaN where there is none."""
        return self._table(
            "SELECT query, sample, value FROM rewards "
            "WHERE reward = ? AND sampler = ? AND sample < ?",
            (self.reward, self.sampler, self.n_samples),
        )

    def missing(self):
        """Samples without an answer: list of (row, sample), query by query."""
        return _pairs(np.isnan(self._answered()))

    def ungraded(self):
        """Samples with an answer but no reward: list of (row, sample)."""
        return _pairs(~np.isnan(self._answered()) & np.isnan(self.rewards()))

    def has_answers(self):
        """Whether the sampler has ever answered, be it other queries."""
        return bool(
            self.store.read(
                "SELECT 1 FROM answers WHERE sampler = ? LIMIT 1", (self.sampler,)
            )
        )

    def cut_off(self):
        """Whether each answer was cut off, (n_queries, n_samples); NaN if unknown."""
        return self._table(
            "SELECT query, sample, cut_off FROM answers WHERE sampler = ? "
            "AND sample < ?",
            (self.sampler, self.n_samples),
        )

    def answers(self, pairs):
        """Texts of stored answers, one per (row, sample)."""
        statement = (
            "SELECT answer FROM answers WHERE sampler = ? AND query = ? AND sample = ?"
        )
        return [self.store.read(statement, self._key(*pair))[0][0] for pair in pairs]

    def _answered(self):
        return self._table(
            "SELECT query, sample, 1.0 FROM answers WHERE sampler = ? AND sample < ?",
            (self.sampler, self.n_samples),
        )

    def _table(self, statement, values):
        """Arrange (query, sample, value) as (n_queries, n_samples)."""
        found = np.array(self.store.read(statement, values), dtype=np.float64)
        table = np.full((len(self.queries), self.n_samples), np.nan)
        if len(found):
            order = np.argsort(self.queries)
            ids, samples = found[:, 0].astype(int), found[:, 1].astype(int)
            places = np.searchsorted(self.queries[order], ids)
            rows = order[np.minimum(places, len(order) - 1)]
            known = self.queries[rows] == ids  # others may have asked other queries
            table[rows[known], samples[known]] = found[known, 2]
        return table

    # Who does what

    def claim_missing(self, pairs):
        """Claim samples to ask for; those that nobody has or asks for are returned."""
        return self._claim(
            pairs,
            self.sampler,
            "SELECT 1 FROM answers WHERE sampler = ? AND query = ? AND sample = ?",
            (),
        )

    def claim_ungraded(self, pairs):
        """Claim answers to grade; those that nobody has graded or grades."""
        return self._claim(
            pairs,
            self.reward,
            "SELECT 1 FROM rewards "
            "WHERE reward = ? AND sampler = ? AND query = ? AND sample = ?",
            (self.reward,),
        )

    def _claim(self, pairs, work, done, values):
        if not pairs:
            return []
        insert = (
            "INSERT OR IGNORE INTO claims SELECT ?, ?, ?, ?, ? "
            f"WHERE NOT EXISTS ({done})"
        )
        with self.store.transaction() as connection:
            _forget_the_dead(connection)
            claimed = []
            for pair in pairs:
                key = self._key(*pair)
                new = (work, *key, self._owner, *values, *key)
                if connection.execute(insert, new).rowcount:
                    claimed.append(pair)
        return claimed

    def release(self):
        """Give up all claims."""
        with self.store.transaction() as connection:
            connection.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))

    def release_missing(self, pairs):
        """Give up asking for samples."""
        with self.store.transaction() as connection:
            connection.executemany(
                f"DELETE FROM claims WHERE {_SAME_KEY} AND owner = ?",
                [(self.sampler, *self._key(*pair), self._owner) for pair in pairs],
            )

    # Results

    def put_answers(self, answers):
        """Store answers; what was claimed for asking is now claimed for grading.

        Parameters
        ----------
        answers : list of SampledAnswer
        """
        keys = [self._key(each.row, each.sample) for each in answers]
        texts = [each.answer.encode("utf-8", "surrogatepass") for each in answers]
        # SQLite reads NaN as NULL, which stands for what is not known.
        counts = [
            (
                *map(float, (each.prompt_tokens, each.answer_tokens)),
                float(each.cached_tokens),
                None if each.cut_off is None else int(each.cut_off),
            )
            for each in answers
        ]
        with self.store.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO answers (sampler, query, sample, answer, "
                "prompt_tokens, answer_tokens, cached_tokens, cut_off) "
                "VALUES (?, ?, ?, CAST(? AS TEXT), ?, ?, ?, ?)",
                [
                    (*key, text, *count)
                    for key, text, count in zip(keys, texts, counts, strict=True)
                ],
            )
            connection.executemany(
                f"UPDATE OR IGNORE claims SET work = ? WHERE {_SAME_KEY} AND owner = ?",
                [(self.reward, self.sampler, *key, self._owner) for key in keys],
            )

    def put_rewards(self, rewards):
        """Store rewards and end their claims; NaN, not gradable, is not kept.

        Parameters
        ----------
        rewards : list of (row, sample, reward)
        """
        keys = [(self.reward, *self._key(row, sample)) for row, sample, _ in rewards]
        values = [float(reward[2]) for reward in rewards]
        with self.store.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO rewards VALUES (?, ?, ?, ?, ?)",
                [
                    (*key, value)
                    for key, value in zip(keys, values, strict=True)
                    if not isnan(value)
                ],
            )
            connection.executemany(f"DELETE FROM claims WHERE {_SAME_KEY}", keys)

    def _key(self, row, sample):
        return self.sampler, int(self.queries[row]), int(sample)

    # Signs of life

    def _beat(self):
        while not self._leaving.wait(LEASE / 6):
            with suppress(sqlite3.OperationalError):  # a full disk: try again later
                self._sign()

    def _sign(self):
        signs = (self._owner, _machine(), os.getpid(), time.time())
        with self.store.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO owners VALUES (?, ?, ?, ?)", signs
            )


def _forget_the_dead(connection):
    """End the claims of processes that were killed or have fallen silent."""
    owners = connection.execute("SELECT * FROM owners").fetchall()
    dead = [
        (owner,)
        for owner, machine, pid, heartbeat in owners
        if heartbeat < time.time() - LEASE
        or (machine == _machine() and not _is_alive(pid))
    ]
    connection.executemany("DELETE FROM claims WHERE owner = ?", dead)
    connection.executemany("DELETE FROM owners WHERE owner = ?", dead)


def _machine():
    """Name the machine, and where there are such, the container."""
    name = platform.node()
    with suppress(OSError):
        name += " " + os.readlink("/proc/self/ns/pid")
    return name


def _is_alive(pid):
    """Whether a process runs; always yes where one cannot ask (the lease is left)."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _pairs(mask):
    return [(int(row), int(sample)) for row, sample in np.argwhere(mask)]
