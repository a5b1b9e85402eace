"""A store of feature rows on disk, keyed by content."""

import hashlib
import json
import sqlite3
import warnings
import zlib
from pathlib import Path

import numpy as np

from sklearn_adaalloc._utils.parameters import check_path

_COLUMNS = ["key", "data", "checksum", "truncated"]
# What SQLite says of a damaged file may hold bytes that are no text.
_DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
_CHUNK = 500  # keys per statement
_FORMAT = 2  # of keys; raise it when rows of before are not found any more


class FeatureStore:
    """Feature rows that survive the process, one entry per query.

    One SQLite file: several processes may read and write it at once, and a process that
    is killed while writing leaves it as it was before. Each row carries a checksum; one
    that does not fit is treated as absent. A file that is no database any more is moved
    aside with a warning; of rows of an earlier version, which are not used, a warning
    tells once.

    Parameters
    ----------
    folder : str or path
        Where the file lies; made if absent.
    recipe : dict
        All that a row depends on beside its query; entries under another recipe are
        never found.
    n_features : int
        Length of a row.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn_adaalloc.features._cache import FeatureStore
    >>> folder = tempfile.TemporaryDirectory()
    >>> with FeatureStore(folder.name, {"model": "a"}, 2) as store:
    ...     store.put(["query"], np.ones((1, 2), dtype=np.float32), [False])
    ...     rows, features, truncated = store.get(["other", "query"])
    >>> rows, features
    (array([1]), array([[1., 1.]], dtype=float32))
    >>> folder.cleanup()
    """

    def __init__(self, folder, recipe, n_features):
        self.path = Path(check_path(folder, "cache")).expanduser() / "features.sqlite"
        self.recipe = json.dumps(recipe, sort_keys=True)
        self.n_features = n_features

    def __enter__(self):
        self._connect()
        return self

    def __exit__(self, *error):
        self._connection.close()

    def get(self, queries):
        """Look queries up.

        Parameters
        ----------
        queries : list of n_queries str
            Their contents.

        Returns
        -------
        rows : ndarray of shape (n_found,)
            Positions in `queries` that were found.
        features : ndarray of shape (n_found, n_features), float32
        truncated : ndarray of shape (n_found,), bool
            Whether the query was too long for the model.
        """
        keys = [self._key(query) for query in queries]
        entries = {}
        try:
            for start in range(0, len(keys), _CHUNK):
                entries.update(self._read(keys[start : start + _CHUNK]))
        except _DAMAGE as error:
            self._start_anew(error)
        rows = np.array(
            [row for row, key in enumerate(keys) if key in entries], dtype=int
        )
        found = [entries[keys[row]] for row in rows]
        data = b"".join(data for data, _ in found)
        features = np.frombuffer(data, "<f4").reshape(len(rows), self.n_features)
        return rows, features, np.array([cut for _, cut in found], dtype=bool)

    def put(self, queries, features, truncated):
        """Add rows, in one transaction; what was there under their keys is replaced.

        Parameters
        ----------
        queries : list of n_queries str
        features : ndarray of shape (n_queries, n_features), float32
        truncated : sequence of n_queries bool
        """
        rows = features.astype("<f4", copy=False)
        entries = [
            (self._key(query), row.tobytes(), zlib.crc32(row.tobytes()), int(cut))
            for query, row, cut in zip(queries, rows, truncated, strict=True)
        ]
        try:
            self._write(entries)
        except _DAMAGE as error:
            self._start_anew(error)
            self._write(entries)

    def _read(self, keys):
        marks = ",".join("?" * len(keys))
        cursor = self._connection.execute(
            "SELECT key, data, checksum, truncated FROM features "
            f"WHERE key IN ({marks})",
            keys,
        )
        return {
            key: (data, truncated)
            for key, data, checksum, truncated in cursor
            if isinstance(data, bytes) and zlib.crc32(data) == checksum
        }

    def _write(self, entries):
        with self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?)", entries
            )

    def _key(self, query):
        return hashlib.sha256(f"{self.recipe}\n{query}".encode()).digest()

    def _connect(self):
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"cache={str(self.path.parent)!r} is no folder to write in: {error}. "
                "Expected a path, or None for no cache."
            ) from error
        try:
            self._open()
        except _DAMAGE as error:
            self._start_anew(error)

    def _open(self):
        self._connection = sqlite3.connect(self.path, timeout=60)
        # Not to wait for the disk after each batch: what a power cut might damage is
        # found out and computed again.
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS features "
            "(key BLOB PRIMARY KEY, data BLOB, checksum INTEGER, truncated INTEGER)"
        )
        columns = self._connection.execute("PRAGMA table_info(features)").fetchall()
        if [column[1] for column in columns] != _COLUMNS:
            raise sqlite3.DatabaseError("its table has other columns")
        ((found,),) = self._connection.execute("PRAGMA user_version")
        if found < _FORMAT:
            self._warn_of_earlier_rows()
            self._connection.execute(f"PRAGMA user_version = {_FORMAT}")

    def _warn_of_earlier_rows(self):
        """Say, once per file, that rows of earlier versions are not used."""
        ((n_rows,),) = self._connection.execute("SELECT COUNT(*) FROM features")
        if n_rows:
            warnings.warn(
                f"The feature cache {self.path} has {n_rows} rows of an earlier "
                "version, whose keys did not name all that a row depends on. They are "
                "not used: queries are computed again. Delete the file to free its "
                "space.",
                UserWarning,
                stacklevel=2,
            )

    def _start_anew(self, error):
        """Replace a damaged file; anything else, such as a full disk, is raised."""
        if type(error) not in _DAMAGE:
            raise error
        self._connection.close()
        damaged = self.path.with_suffix(".damaged")
        self.path.replace(damaged)
        warnings.warn(
            f"The feature cache {self.path} is damaged ({error}). It was moved to "
            f"{damaged.name}, and its rows are computed again.",
            UserWarning,
            stacklevel=2,
        )
        self._open()
