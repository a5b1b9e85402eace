"""The work of one process on a reward table that several processes may fill."""

import os
import platform
import sqlite3
import threading
import time
from contextlib import suppress
from math import isnan
from uuid import uuid4

import numpy as np

# A process without a sign of life for so many seconds loses its claims.
LEASE = 60.0
_SAME_KEY = "work = ? AND sampler = ? AND query = ? AND sample = ?"


class Collection:
    """The state of a table, the claims of its processes, and their results.

    Only the process that has claimed a sample requests it, or grades its answer. A
    claim ends with the result, with the process, or after `LEASE` seconds without a
    sign of life. If two processes have a result, the later one is dropped.

    Parameters
    ----------
    store : RewardStore
        Open for writing.
    settings, reward_settings : dict
        Settings of the sampler and of the reward function.
    contents : list of n_queries str
        Distinct queries, as JSON.
    n_samples : int
        Number of samples of each query.
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

    # State of the table

    def rewards(self):
        """Rewards so far, (n_queries, n_samples), NaN if missing."""
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
        """Whether the sampler has ever answered any query, even another one."""
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
        """Texts of stored answers, one for each (row, sample)."""
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
            known = self.queries[rows] == ids  # the store may have other queries
            table[rows[known], samples[known]] = found[known, 2]
        return table

    # Claims

    def claim_missing(self, pairs):
        """Claim samples to request; returns those not stored or claimed by others."""
        return self._claim(
            pairs,
            self.sampler,
            "SELECT 1 FROM answers WHERE sampler = ? AND query = ? AND sample = ?",
            (),
        )

    def claim_ungraded(self, pairs):
        """Claim answers to grade; returns those not graded or claimed by others."""
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
        """Release all claims."""
        with self.store.transaction() as connection:
            connection.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))

    def release_missing(self, pairs):
        """Release claims to request samples."""
        with self.store.transaction() as connection:
            connection.executemany(
                f"DELETE FROM claims WHERE {_SAME_KEY} AND owner = ?",
                [(self.sampler, *self._key(*pair), self._owner) for pair in pairs],
            )

    # Results

    def put_answers(self, answers):
        """Store SampledAnswers; claims to request them become claims to grade them."""
        keys = [self._key(each.row, each.sample) for each in answers]
        texts = [each.answer.encode("utf-8", "surrogatepass") for each in answers]
        # SQLite stores NaN as NULL, which means unknown.
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
        """Store (row, sample, reward) and end their claims.

        NaN means that an answer cannot be graded, and is not stored.
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
    """Delete the claims of processes that ended or gave no sign of life."""
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
    """Name of the machine and, if there is one, of the container."""
    name = platform.node()
    with suppress(OSError):
        name += " " + os.readlink("/proc/self/ns/pid")
    return name


def _is_alive(pid):
    """Whether a process runs; True if unknown (then its lease decides)."""
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
