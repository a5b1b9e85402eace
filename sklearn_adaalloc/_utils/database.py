"""An SQLite file that threads and processes of one machine share."""

import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path

from sklearn_adaalloc._utils.parameters import check_path

_HEADER, _APPLICATION_AT = b"SQLite format 3\0", slice(68, 72)


class DatabaseFile:
    """An SQLite file in WAL mode, with a schema and a version of its own.

    A subclass states what it is, in class attributes: `parameter` (the name of the
    path, for messages), `maker` (what makes such files), `kind` (what they are),
    `application` (SQLite files have a field for the application that owns them),
    `version` and `schema` (statements that make the tables).

    Parameters
    ----------
    path : str or path
        The file.
    create : bool, default=False
        Whether to create the file if it does not exist.

    Raises
    ------
    ValueError
        If the file does not exist, is damaged, or is another one. It is not changed.
    """

    def __init__(self, path, *, create=False):
        self.path = Path(check_path(path, self.parameter)).expanduser()
        self._lock = threading.RLock()
        with self._explaining():
            self._check_file(create)
            self._connection = self._connect()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Close the file."""
        with self._lock:
            self._connection.close()

    def read(self, statement, values=()):
        """Read all rows that a statement selects.

        Parameters
        ----------
        statement : str
            SQL statement.
        values : sequence, default=()
            Values of its question marks.

        Returns
        -------
        rows : list of tuple
        """
        with self._lock, self._explaining():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def transaction(self):
        """Write everything or nothing; one thread and process at a time.

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

    def _check_file(self, create):
        """Reject any other file before SQLite could write to it."""
        if not self.path.exists():
            if not create:
                raise ValueError(
                    f"{self._name} does not exist. Expected a file that {self.maker} "
                    "has made."
                )
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return
        if not self.path.is_file():
            raise ValueError(
                f"{self._name} is not a file. Expected the path of a {self.kind}."
            )
        with open(self.path, "rb") as file:
            start = file.read(100)
        if not start:  # created by a process that was then stopped
            return
        application = int.from_bytes(start[_APPLICATION_AT], "big")
        if not start.startswith(_HEADER) or application != self.application:
            raise ValueError(
                f"{self._name} is not a {self.kind} of {self.maker}. It is not "
                "changed: choose another path."
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
        if version > self.version:
            raise ValueError(
                f"{self._name} was made by a newer version of sklearn-adaalloc: its "
                f"format is {version}, and this version reads up to {self.version}. It "
                "is not changed: upgrade, or choose another path."
            )

    def _connect(self):
        connection = sqlite3.connect(
            self.path, timeout=60, isolation_level=None, check_same_thread=False
        )
        # Servers may send half a surrogate pair. It is stored as it is.
        connection.text_factory = lambda data: data.decode("utf-8", "surrogatepass")
        connection.execute("BEGIN IMMEDIATE")
        for statement in self.schema:
            connection.execute(statement)
        self._upgrade(connection)
        connection.execute(f"PRAGMA application_id = {self.application}")
        connection.execute(f"PRAGMA user_version = {self.version}")
        connection.execute("COMMIT")
        # Safe if the process is killed. A power cut may lose the last transactions
        # only.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _upgrade(self, connection):
        """Change a file of an earlier version into one of this version."""

    @property
    def _name(self):
        return f"{self.parameter}={str(self.path)!r}"

    @contextmanager
    def _explaining(self):
        """Explain errors that SQLite finds in the file."""
        try:
            yield
        except sqlite3.OperationalError as error:  # the file is not damaged
            raise sqlite3.OperationalError(
                f"{self._name} could not be used: {error}. Expected a file and a "
                "folder that can be written, space on the disk, and no program that "
                "keeps the file locked."
            ) from error
        except sqlite3.ProgrammingError as error:
            raise ValueError(
                f"{self._name} was closed. Expected an open file: open it again."
            ) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{self._name} is damaged: {error}. It is not changed: restore a copy, "
                "try sqlite3's .recover, or choose another path."
            ) from error
