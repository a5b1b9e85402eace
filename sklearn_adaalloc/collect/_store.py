"""The file that a reward table is collected in."""

import json
import sqlite3
import threading
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np

from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.parameters import check_path

# "adal", in the place where an SQLite file says whose it is.
_APPLICATION = 0x6164616C
_HEADER, _APPLICATION_AT = b"SQLite format 3\0", slice(68, 72)
# 0: answers without what was added below.
_VERSION = 1
_ADDED = {"cached_tokens": "INTEGER", "cut_off": "INTEGER"}
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS settings (id INTEGER PRIMARY KEY, "
    "role TEXT, hash BLOB, content TEXT, UNIQUE (role, hash))",
    "CREATE TABLE IF NOT EXISTS queries (id INTEGER PRIMARY KEY, "
    "hash BLOB UNIQUE, content TEXT)",
    "CREATE TABLE IF NOT EXISTS answers (sampler INTEGER, query INTEGER, "
    "sample INTEGER, answer TEXT, prompt_tokens INTEGER, answer_tokens INTEGER, "
    "PRIMARY KEY (sampler, query, sample)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS rewards (reward INTEGER, sampler INTEGER, "
    "query INTEGER, sample INTEGER, value REAL, "
    "PRIMARY KEY (reward, sampler, query, sample)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS claims (work INTEGER, sampler INTEGER, "
    "query INTEGER, sample INTEGER, owner TEXT, "
    "PRIMARY KEY (work, sampler, query, sample)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS owners (owner TEXT PRIMARY KEY, machine TEXT, "
    "pid INTEGER, heartbeat REAL)",
)
_COLUMNS = [
    *("query", "sample", "answer", "reward", "prompt_tokens", "answer_tokens"),
    *("cut_off", "cached_tokens"),
]


class RewardStore:
    """Answers and rewards on disk, as :func:`~sklearn_adaalloc.collect_rewards` left.

    One SQLite file (in WAL mode, so its processes must be on one machine). Answers are
    kept under the sampler's settings, the query and the sample's index; rewards under
    the reward function's settings besides. It can be read while it is being filled.

    Parameters
    ----------
    path : str or path
        The file.
    create : bool, default=False
        Whether to make it if there is none.

    Raises
    ------
    ValueError
        If there is no such file, it is damaged, or it is something else. It is left as
        it is.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_adaalloc.collect import RewardStore
    >>> folder = tempfile.TemporaryDirectory()
    >>> with RewardStore(Path(folder.name) / "rewards.sqlite", create=True) as store:
    ...     queries, rewards = store.to_arrays()
    >>> queries, rewards.shape
    ([], (0, 0))
    >>> folder.cleanup()
    """

    def __init__(self, path, *, create=False):
        self.path = Path(check_path(path, "store")).expanduser()
        self._lock = threading.RLock()
        with self._explaining():
            self._check_file(create)
            self._connection = self._open()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Close the file."""
        with self._lock:
            self._connection.close()

    # Export

    def to_arrays(self, *, settings=None, reward_settings=None):
        """Hand out the table.

        Parameters
        ----------
        settings : dict, default=None
            Settings of the sampler; None for the only ones there are.
        reward_settings : dict, default=None
            Settings of the reward function; None for the only ones there are.

        Returns
        -------
        queries : list of n_queries str or lists of dict
            Those that have an answer, in the order in which they were first asked for.
        rewards : ndarray of shape (n_queries, n_samples)
            NaN where there is no reward.

        Raises
        ------
        ValueError
            If there are no such settings, or several to choose from.
        """
        rows = self._rows(settings, reward_settings)
        contents = list(dict.fromkeys(row[0] for row in rows))
        position = {content: i for i, content in enumerate(contents)}
        n_samples = max((row[1] + 1 for row in rows), default=0)
        rewards = np.full((len(contents), n_samples), np.nan)
        for content, sample, _, reward, *_ in rows:
            rewards[position[content], sample] = np.nan if reward is None else reward
        return [json.loads(content) for content in contents], rewards

    def to_frame(self, *, settings=None, reward_settings=None):
        """Hand out answers, rewards and tokens as a pandas data frame.

        Parameters
        ----------
        settings, reward_settings : dict, default=None
            As for :meth:`to_arrays`.

        Returns
        -------
        frame : DataFrame
            One row per answer, with the columns query (chats as JSON), sample, answer,
            reward (NaN if it has none yet), prompt_tokens, answer_tokens, cut_off
            (whether the token limit cut the answer off, NA if unknown) and
            cached_tokens (those of the prompt that a server read from its cache). Token
            counts that are not known are NaN. Prompt tokens stand at the first of the
            samples that shared them, 0 at the others: the sum is what was paid for.
        """
        pandas = import_optional("pandas", extra="datasets")
        rows = self._rows(settings, reward_settings)
        frame = pandas.DataFrame(rows, columns=_COLUMNS)
        frame["query"] = [
            json.loads(content) if content.startswith('"') else content
            for content in frame["query"]
        ]
        numbers = ["reward", *(name for name in _COLUMNS if name.endswith("_tokens"))]
        types = dict.fromkeys(numbers, "float64")
        return frame.astype({**types, "cut_off": "boolean"})

    def to_parquet(self, path, *, settings=None, reward_settings=None):
        """Write the data frame of :meth:`to_frame` to a parquet file.

        Parameters
        ----------
        path : str or path
            File to write.
        settings, reward_settings : dict, default=None
            As for :meth:`to_arrays`.
        """
        import_optional("pyarrow", extra="datasets")
        frame = self.to_frame(settings=settings, reward_settings=reward_settings)
        frame.to_parquet(path, index=False)

    def _rows(self, settings, reward_settings):
        """Read `_COLUMNS` in order of query, as JSON, and sample."""
        sampler = self._choose("sampler", settings)
        reward = self._choose("reward", reward_settings)
        return self.read(
            "SELECT content, sample, answer, value, prompt_tokens, answer_tokens, "
            "cut_off, cached_tokens FROM answers "
            "JOIN queries ON queries.id = query LEFT JOIN "
            "(SELECT * FROM rewards WHERE reward = ?) USING (sampler, query, sample) "
            "WHERE sampler = ? ORDER BY query, sample",
            (reward, sampler),
        )

    def _choose(self, role, settings):
        """Find the id of the settings given, or of the only ones; None if none."""
        known = dict(
            self.read("SELECT content, id FROM settings WHERE role = ?", (role,))
        )
        if settings is None and len(known) < 2:
            return next(iter(known.values()), None)
        content = None if settings is None else to_json(settings)
        if content not in known:
            raise ValueError(
                f"{role} settings {settings!r} do not name one of those in "
                f"{str(self.path)!r}: {sorted(known)}. Give one of them as a dict."
            )
        return known[content]

    # For those who fill it

    def read(self, statement, values=()):
        """Read all rows that a statement selects.

        Parameters
        ----------
        statement : str
            In SQL.
        values : sequence, default=()
            What its question marks stand for.

        Returns
        -------
        rows : list of tuple
        """
        with self._lock, self._explaining():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def transaction(self):
        """Write all or nothing, one thread and process at a time.

        Yields
        ------
        connection : sqlite3.Connection
        """
        with self._lock, self._explaining():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def settings_id(self, role, settings):
        """Number settings; equal ones have the same number.

        Parameters
        ----------
        role : {"sampler", "reward"}
            Whose they are.
        settings : dict
            All that answers, or rewards, depend on.

        Returns
        -------
        int
        """
        return self._ids("settings", [to_json(settings)], role=role)[0]

    def less_telling_settings(self, role, settings):
        """Find settings of the same that say less, as an earlier version wrote them.

        Parameters
        ----------
        role : {"sampler", "reward"}
            Whose they are.
        settings : dict
            All that answers, or rewards, depend on.

        Returns
        -------
        bool
            Whether there are such, and `settings` are new to the file.
        """
        stored = self.read("SELECT content FROM settings WHERE role = ?", (role,))
        if not isinstance(settings, dict) or (to_json(settings),) in stored:
            return False
        named = [name for name in (role, "function") if name in settings]
        return any(
            isinstance(each, dict)
            and each.keys() < settings.keys()
            and any(each.get(name) == settings[name] for name in named)
            for each in (json.loads(content) for (content,) in stored)
        )

    def query_ids(self, contents):
        """Number queries; equal ones have the same number.

        Parameters
        ----------
        contents : list of n_queries str
            Queries as JSON.

        Returns
        -------
        list of n_queries int
        """
        return self._ids("queries", contents)

    def _ids(self, table, contents, **constants):
        names = [*constants, "hash"]
        keys = [
            (*constants.values(), sha256(content.encode()).digest())
            for content in contents
        ]
        marks = ", ".join("?" * (len(names) + 1))
        where = " AND ".join(f"{name} = ?" for name in names)
        with self.transaction() as connection:
            connection.executemany(
                f"INSERT OR IGNORE INTO {table} ({', '.join(names)}, content) "
                f"VALUES ({marks})",
                [(*key, content) for key, content in zip(keys, contents, strict=True)],
            )
            find = f"SELECT id FROM {table} WHERE {where}"
            return [connection.execute(find, key).fetchone()[0] for key in keys]

    # The file

    def _check_file(self, create):
        """Refuse what is no store of ours, before SQLite could write to it."""
        if not self.path.exists():
            if not create:
                raise ValueError(
                    f"store={str(self.path)!r} does not exist. Expected a file that "
                    "collect_rewards has made."
                )
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return
        if not self.path.is_file():
            raise ValueError(
                f"store={str(self.path)!r} is not a file. Expected the path of a store."
            )
        with open(self.path, "rb") as file:
            start = file.read(100)
        if not start:  # made by a process that got no further
            return
        application = int.from_bytes(start[_APPLICATION_AT], "big")
        if not start.startswith(_HEADER) or application != _APPLICATION:
            raise ValueError(
                f"store={str(self.path)!r} is no store of collect_rewards. It is left "
                "as it is: choose another path."
            )
        address = f"{self.path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=60)
        try:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        finally:
            connection.close()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        if version > _VERSION:
            raise ValueError(
                f"store={str(self.path)!r} was made by a newer version of "
                f"sklearn-adaalloc: its format is {version}, and this version reads up "
                f"to {_VERSION}. It is left as it is: upgrade, or choose another path."
            )

    def _open(self):
        connection = sqlite3.connect(
            self.path, timeout=60, isolation_level=None, check_same_thread=False
        )
        # Servers may send half a surrogate pair: kept as it came.
        connection.text_factory = lambda data: data.decode("utf-8", "surrogatepass")
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            connection.execute(statement)
        self._add_columns(connection)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")
        # Safe against kills; a power cut may cost the last transactions, never more.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _add_columns(self, connection):
        """Bring a file of an earlier version up to date; what is new is unknown."""
        columns = connection.execute("PRAGMA table_info(answers)").fetchall()
        there = {column[1] for column in columns}
        for name, kind in _ADDED.items():
            if name not in there:
                connection.execute(f"ALTER TABLE answers ADD COLUMN {name} {kind}")

    @contextmanager
    def _explaining(self):
        """Word what SQLite finds wrong with the file."""
        try:
            yield
        except sqlite3.OperationalError:
            raise  # a full disk, a lock: not the file's fault
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise ValueError(
                f"store={str(self.path)!r} is damaged: {error}. It is left as it is: "
                "restore a copy, try sqlite3's .recover, or choose another path."
            ) from error


def to_json(settings):
    """Write settings down so that equal ones read the same."""
    try:
        return json.dumps(settings, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"settings={settings!r} cannot be written as JSON: {error}. Expected a "
            "dict of texts, numbers, lists and dicts."
        ) from error
