"""Where the state of a stream is kept: in memory or in a file that processes share.

Both kinds have the same methods:

=====================  =============================================================
``read()``             the `StreamState`
``recent()``           the same, or that of a few milliseconds ago
``update(function)``   replace the state; ``function(state)`` returns the new state
                       and a result, which is handed on. One thread or process at
                       a time
``save(path)``         write the state as JSON
``close()``            close the file
=====================  =============================================================
"""

import json
import math
import threading
import time
from pathlib import Path

from sklearn_adaalloc._utils.database import DatabaseFile
from sklearn_adaalloc._utils.files import write_whole
from sklearn_adaalloc._utils.parameters import check_path, is_number
from sklearn_adaalloc.planning._control import StreamState
from sklearn_adaalloc.planning._learning import NOTHING_LEARNT

_FORMAT = 1
_NUMBERS = ("price", "n_started", "n_queries", "spent", "delay")
_LARGEST = 1e100  # of all that is read: squares stay finite
_MOST = 2**53  # queries and samples
_OF_STREAM = "FROM stream WHERE id = 0"
_RECENT = 0.005  # seconds: reading a price would take longer than a decision


def new_state(fresh, policy, *, state=None, path=None):
    """Open the state of a stream.

    Parameters
    ----------
    fresh : StreamState
        State of a new stream.
    policy : str
        Identity of the policy.
    state : path or dict, default=None
        What :meth:`MemoryState.save` wrote.
    path : str or path, default=None
        File for several processes.

    Returns
    -------
    state : MemoryState or SharedState

    Raises
    ------
    ValueError
        If both are given, or if one is damaged or belongs to another policy.
    """
    if path is None:
        before = fresh if state is None else _read_json(state, policy, fresh)
        return MemoryState(before, policy)
    if state is not None:
        raise ValueError(
            f"state={state!r} and path={path!r} are both given. Expected one of them: "
            "a file at path keeps its own state."
        )
    return SharedState(path, fresh, policy)


class MemoryState:
    """State of a stream of one process.

    Parameters
    ----------
    state : StreamState
    policy : str
        Identity of the policy.
    """

    def __init__(self, state, policy):
        self._state = state
        self._policy = policy
        self._lock = threading.Lock()

    def read(self):
        return self._state

    recent = read

    def update(self, function):
        with self._lock:
            self._state, result = function(self._state)
        return result

    def save(self, path):
        _write_json(path, self.read(), self._policy)

    def close(self):
        pass


class SharedState:
    """State of a stream of several processes of one machine, in an SQLite file.

    Parameters
    ----------
    path : str or path
        The file. It is made if it does not exist.
    fresh : StreamState
        State of a new file.
    policy : str
        Identity of the policy.
    """

    def __init__(self, path, fresh, policy):
        self._policy = policy
        self._file = _StreamFile(path, create=True)
        with self._file.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO stream VALUES (0, ?, ?)",
                (policy, json.dumps(fresh._asdict())),
            )
        try:
            self._check(f"path={str(path)!r}", fresh)
        except BaseException:
            self._file.close()
            raise

    def _check(self, name, fresh):
        """Check all that the file holds; later reads trust it."""
        [[policy, text]] = self._file.read(f"SELECT policy, state {_OF_STREAM}")
        if policy != self._policy:
            raise _another_policy(name)
        try:
            values = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise _damaged(name, error) from error
        self._remember(_check_state(values, fresh, name))

    def read(self):
        [[text]] = self._file.read(f"SELECT state {_OF_STREAM}")
        return self._remember(StreamState(**json.loads(text)))

    def recent(self):
        state, since = self._known
        return state if time.monotonic() - since < _RECENT else self.read()

    def _remember(self, state):
        self._known = state, time.monotonic()
        return state

    def update(self, function):
        with self._file.transaction() as connection:
            [text] = connection.execute(f"SELECT state {_OF_STREAM}").fetchone()
            state, result = function(StreamState(**json.loads(text)))
            connection.execute(
                "UPDATE stream SET state = ? WHERE id = 0",
                (json.dumps(state._asdict()),),
            )
        self._remember(state)
        return result

    def save(self, path):
        _write_json(path, self.read(), self._policy)

    def close(self):
        self._file.close()


class _StreamFile(DatabaseFile):
    parameter, maker = "path", "StreamAllocator.open"
    kind = "stream"
    application = 0x61647374  # "adst"
    version = 0
    schema = (
        "CREATE TABLE IF NOT EXISTS stream "
        "(id INTEGER PRIMARY KEY, policy TEXT, state TEXT)",
    )


def _write_json(path, state, policy):
    path = Path(check_path(path, "path")).expanduser()
    if path.is_dir():
        raise ValueError(f"path={str(path)!r} is a folder. Expected that of a file.")
    content = {"format": _FORMAT, "policy": policy, "state": state._asdict()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, indent=2))


def _read_json(state, policy, fresh):
    """Read what `_write_json` wrote, from its path or as the dict that it holds."""
    content, name = state, "state"
    if not isinstance(state, dict):
        path = check_path(state, "state")
        name = f"state={path!r}"
        try:
            content = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ValueError(
                f"{name} does not exist. Expected a file that Stream.save has written."
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            raise _damaged(name, error) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise _damaged(name, f"it has no format {_FORMAT}")
    if content.get("policy") != policy:
        raise _another_policy(name)
    return _check_state(content.get("state"), fresh, name)


def _check_state(values, fresh, name):
    """Check all that is read from JSON, and return it as a StreamState."""
    if not isinstance(values, dict) or set(values) != set(StreamState._fields):
        raise _damaged(name, f"expected {list(StreamState._fields)}")
    for field in _NUMBERS:
        if not _is_usual(values[field]) or values[field] < 0:
            raise _damaged(name, f"{field}={values[field]!r}")
    state = StreamState(**values)
    if not _is_usual(state.debt):
        raise _damaged(name, f"debt={state.debt!r}")
    _check_numbers(state.learnt, len(NOTHING_LEARNT), name, "learnt")
    _check_recent(state.recent, fresh.recent, name)
    windows = state.windows
    counts = windows.items() if isinstance(windows, dict) else [("", None)]
    numbered = (
        key.rpartition("-")[2].isdecimal() and _is_count(n) for key, n in counts
    )
    if not all(numbered):
        raise _damaged(name, f"windows={windows!r}")
    if values["price"] == 0 or not math.isfinite(math.log(values["price"])):
        raise _damaged(name, f"price={values['price']!r}")
    for field in ("n_started", "n_queries"):
        if not _is_count(values[field]):
            raise _damaged(name, f"{field}={values[field]!r}")
    if state.n_queries and min(state.recent["weights"]) <= 0:
        raise _damaged(name, f"recent['weights']={state.recent['weights']!r}")
    return state


def _check_recent(recent, fresh, name):
    """Check the sums of the latest queries: those of a new one, other values."""
    if not isinstance(recent, dict) or set(recent) != set(fresh):
        raise _damaged(name, f"recent={recent!r}")
    for field, sums in fresh.items():
        _check_numbers(recent[field], len(sums), name, f"recent[{field!r}]")


def _check_numbers(values, size, name, field):
    known = isinstance(values, list | tuple) and len(values) == size
    if not known or not all(_is_usual(each) for each in values):
        raise _damaged(name, f"{field}={values!r}")


def _is_usual(value):
    return is_number(value) and abs(value) <= _LARGEST


def _is_count(value):
    return is_number(value) and isinstance(value, int) and 0 <= value <= _MOST


def _damaged(name, reason):
    return ValueError(
        f"{name} is not the state of a stream: {reason}. Expected what Stream.save has "
        "written; without it, a stream starts at the price of fit."
    )


def _another_policy(name):
    return ValueError(
        f"{name} is the state of another policy: it was calibrated on other queries, "
        "answers or costs. Expected that of this policy. A stream of this one starts "
        "without a state."
    )
