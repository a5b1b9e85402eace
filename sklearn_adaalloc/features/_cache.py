"""A store of feature rows on disk. Keys are hashes of content."""

import hashlib
import json
import sqlite3
import warnings
import zlib
from pathlib import Path

import numpy as np

from sklearn_adaalloc._utils.parameters import check_path

_COLUMNS = ["key", "data", "checksum", "truncated"]
# SQLite's message about a damaged file can contain bytes that cannot be decoded.
_DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
_CHUNK = 500  # keys per statement
_FORMAT = 2  # of keys; increase it if old rows can no longer be found


class FeatureStore:
    """Feature rows stored on disk, one entry per query.

    The store is one SQLite file. Several processes can read and write it at the same
    time. If a process is killed while writing, the file keeps its previous content.
    Each row has a checksum. A row with a wrong checksum is treated as missing. A file
    that is damaged is renamed, with a warning. Rows of an earlier version are not used,
    and one warning says so.

    Parameters
    ----------
    folder : str or path
        Folder of the file. It is created if it does not exist.
    recipe : dict
        Everything that a row depends on, except its query. Entries with another recipe
        are never found.
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
            Keys of the queries.

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
        """Add rows in one transaction and replace existing rows with the same keys.

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
                f"cache={str(self.path.parent)!r} is not a folder that can be written: "
                f"{error}. Expected the path of a writable folder, or None for no "
                "cache."
            ) from error
        try:
            self._open()
        except _DAMAGE as error:
            self._start_anew(error)

    def _open(self):
        self._connection = sqlite3.connect(self.path, timeout=60)
        # Do not wait for the disk after each batch. Damage by a power failure would be
        # detected, and the rows computed again.
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
        """Warn once per file that rows of earlier versions are not used."""
        ((n_rows,),) = self._connection.execute("SELECT COUNT(*) FROM features")
        if n_rows:
            warnings.warn(
                f"The feature cache {self.path} has {n_rows} rows of an earlier "
                "version, whose keys are incomplete. They are not used: queries are "
                "computed again. Delete the file to free its space.",
                UserWarning,
                stacklevel=2,
            )

    def _start_anew(self, error):
        """Replace a damaged file; raise other errors, such as a full disk."""
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
