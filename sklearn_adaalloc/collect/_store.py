"""The file in which a reward table is collected."""

import json
from collections.abc import Mapping
from hashlib import sha256

import numpy as np

from sklearn_adaalloc._utils.database import DatabaseFile
from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.prices import check_price, check_prices
from sklearn_adaalloc.collect._parts import PartFolder, read_part
from sklearn_adaalloc.collect._settings import sampler_identity, to_json
from sklearn_adaalloc.curves import RewardTable

# Version 0 has no columns of `_ADDED`.
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


class RewardStore(DatabaseFile):
    """Answers and rewards on disk, stored by :func:`~sklearn_adaalloc.collect_rewards`.

    The store is one SQLite file. It uses WAL mode, so all processes that use it must
    run on one machine. The key of an answer consists of the sampler's settings, the
    query and the sample's index. The key of a reward also contains the reward
    function's settings. The store can be read while it is being filled.

    Parameters
    ----------
    path : str or path
        The file.
    create : bool, default=False
        Whether to create the file if it does not exist.

    Raises
    ------
    ValueError
        If the file does not exist, is damaged, or is not a store. It is not changed.

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

    parameter, maker, kind = "store", "collect_rewards", "store"
    application, version, schema = 0x6164616C, _VERSION, _SCHEMA  # "adal"

    # Export

    def to_arrays(self, *, settings=None, reward_settings=None):
        """Return the reward table.

        Parameters
        ----------
        settings : dict, default=None
            Settings of the sampler. None if the store has only one.
        reward_settings : dict, default=None
            Settings of the reward function. None if the store has only one.

        Returns
        -------
        queries : list of n_queries str or lists of dict
            Queries with an answer, in the order of their first request.
        rewards : ndarray of shape (n_queries, n_samples)
            NaN if there is no reward.

        Raises
        ------
        ValueError
            If the store has no such settings, or several and none is given.
        """
        rows = self._rows(settings, reward_settings)
        contents = list(dict.fromkeys(row[0] for row in rows))
        position = {content: i for i, content in enumerate(contents)}
        n_samples = max((row[1] + 1 for row in rows), default=0)
        rewards = np.full((len(contents), n_samples), np.nan)
        for content, sample, _, reward, *_ in rows:
            rewards[position[content], sample] = np.nan if reward is None else reward
        return [json.loads(content) for content in contents], rewards

    def to_table(
        self,
        *,
        settings=None,
        reward_settings=None,
        score_settings=None,
        label=None,
        decoders=None,
        prices=None,
    ):
        """Hand out a :class:`~sklearn_adaalloc.RewardTable`, with all that is known.

        Parameters
        ----------
        settings, reward_settings : dict, default=None
            As for :meth:`to_arrays`.
        score_settings : dict, default=None
            Settings of a second reward function, whose grades become the scores. Give
            `reward_settings`, too: there are then two to choose from.
        label : callable, default=None
            Turns the text of an answer into the label to vote on, such as the final
            answer in it; None or "" for no label. None takes the text itself.
        decoders : dict, default=None
            Name of a decoder -> its sampler, or the settings of its sampler. The table
            then has an axis of decoders. Give it in place of `settings`.
        prices : price, or dict or list of prices, default=None
            What samples cost: the price of a token of a prompt and that of a token of
            an answer, or one number, the price of an answer. With `decoders`, one for
            each, by name or in their order. None counts the tokens of answers. If
            prompts have a price, each sample is charged the prompt of its request, as
            if it had been asked for alone.

        Returns
        -------
        queries : list of n_queries str or lists of dict
            Those with a reward, in the order in which they were first asked for. With
            `decoders`, those of the first decoder come first.
        table : RewardTable
            Samples without a reward are missing. Costs are those of `prices`; without
            prices, the tokens of each answer, at least 1, where the tokens of all are
            known. An answer that the token limit cut off has no label.

        Raises
        ------
        ValueError
            If there are no such settings, several to choose from, no reward of a
            decoder at all, or a sample with a reward but without a score. Also if
            prices do not fit, or are those of tokens that are not known.
        """
        if decoders is None:
            samplers, given = {None: settings}, [check_price(prices, "prices")]
        else:
            samplers = _settings_of(decoders, settings)
            given = check_prices(prices, list(samplers))
        pandas = import_optional("pandas", extra="datasets")
        frames = []
        for (name, own), price in zip(samplers.items(), given, strict=True):
            frame = self._graded(own, reward_settings, score_settings)
            # The samples of one request share its prompt, and the first has the count.
            prompt_tokens = frame.groupby("query")["prompt_tokens"].transform("max")
            n_answers = frame["reward"].notna().astype(float)  # one in each row
            costs = price.of(n_answers, prompt_tokens, frame["answer_tokens"])
            if prices is not None and costs.isna().any():
                raise ValueError(
                    f"prices={prices!r} has the price of tokens, but tokens are not "
                    f"known of {costs.isna().sum()} samples{_of_decoder(name)}. "
                    "Expected a store filled by a sampler that reports them, or one "
                    "number as the price of an answer."
                )
            frames.append(
                # An answer without a token still is one: costs are positive.
                frame.assign(cost=costs.clip(lower=price.least), decoder=name)
            )
        frame = pandas.concat(frames, ignore_index=True)
        frame["label"] = [
            None if cut_off == 1 else text if label is None else label(text)
            for text, cut_off in zip(frame["answer"], frame["cut_off"], strict=True)
        ]
        options = {
            "answer": "label",
            "decoder": None if decoders is None else "decoder",
            "cost": None if frame["cost"].isna().any() else "cost",
            "score": None if score_settings is None else "score",
        }
        contents = dict.fromkeys(frame["query"])
        queries = [json.loads(content) for content in contents]
        return queries, RewardTable.from_frame(frame, **options)

    def _graded(self, settings, reward_settings, score_settings):
        """Samples of one decoder that have a reward, as a frame of `_COLUMNS`."""
        pandas = import_optional("pandas", extra="datasets")
        rows = self._rows(settings, reward_settings)
        frame = pandas.DataFrame(rows, columns=_COLUMNS)
        if score_settings is not None:
            # The rows are the same answers in the same order.
            frame["score"] = [row[3] for row in self._rows(settings, score_settings)]
        frame = frame[frame["reward"].notna()].copy()
        if frame.empty:
            raise ValueError(
                f"{str(self.path)!r} holds no reward by these settings, {settings!r}. "
                "Expected at least one: fill it with collect_rewards."
            )
        return frame.astype({"prompt_tokens": float, "answer_tokens": float})

    def to_frame(self, *, settings=None, reward_settings=None):
        """Return answers, rewards and tokens as a pandas data frame.

        Parameters
        ----------
        settings, reward_settings : dict, default=None
            As for :meth:`to_arrays`.

        Returns
        -------
        frame : DataFrame
            One row per answer. The columns are query (chats as JSON), sample, answer,
            reward (NaN if there is none yet), prompt_tokens, answer_tokens, cut_off
            (whether the token limit cut the answer off, NA if unknown) and
            cached_tokens (prompt tokens that a server read from its cache). Unknown
            token counts are NaN. If samples share prompt tokens, the first of them has
            the count and the others have 0. So the sum is the number of tokens paid
            for.
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
        """Read `_COLUMNS`, sorted by query (as JSON) and sample."""
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
        """Id of the given settings, or of the only ones; None if there are none."""
        known = dict(
            self.read("SELECT content, id FROM settings WHERE role = ?", (role,))
        )
        if settings is None and len(known) < 2:
            return next(iter(known.values()), None)
        content = None if settings is None else to_json(settings)
        if content not in known:
            raise ValueError(
                f"{role} settings {settings!r} are not among those in "
                f"{str(self.path)!r}: {sorted(known)}. Give one of them as a dict."
            )
        return known[content]

    def settings(self, role):
        """All settings with which the store was filled, in their order.

        Parameters
        ----------
        role : {"sampler", "reward"}
            Whose settings they are.

        Returns
        -------
        settings : list of dict
        """
        rows = self.read(
            "SELECT content FROM settings WHERE role = ? ORDER BY id", (role,)
        )
        return [json.loads(content) for (content,) in rows]

    # Methods for filling the store

    def add_parts(self, folder):
        """Add what :func:`~sklearn_adaalloc.distributed.collect_parts` collected.

        Answers and rewards that the store has already are left as they are, so a folder
        can be added again when it has grown. Needs pyarrow.

        Parameters
        ----------
        folder : str or path
            Folder of the parts.

        Returns
        -------
        n_added : int
            Number of new answers.

        Raises
        ------
        ValueError
            If there is no such folder, or if a part is damaged. All parts before it
            are then in the store.
        """
        n_before = self._count_answers()
        for path in PartFolder(folder).files():
            sampler, reward, table = read_part(path)
            self._add_part(json.loads(sampler), json.loads(reward), table.to_pydict())
        return self._count_answers() - n_before

    def _add_part(self, settings, reward_settings, columns):
        sampler = self.settings_id("sampler", settings)
        reward = self.settings_id("reward", reward_settings)
        contents = dict.fromkeys(columns["query"])
        ids = dict(zip(contents, self.query_ids(list(contents)), strict=True))
        queries = [ids[content] for content in columns["query"]]
        counts = ("prompt_tokens", "answer_tokens", "cached_tokens", "cut_off")
        answers = zip(
            queries,
            columns["sample"],
            columns["answer"],
            *(columns[name] for name in counts),
            strict=True,
        )
        graded = zip(queries, columns["sample"], columns["reward"], strict=True)
        with self.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO answers (sampler, query, sample, answer, "
                f"{', '.join(counts)}) VALUES (?, ?, ?, CAST(? AS TEXT), ?, ?, ?, ?)",
                [(sampler, *each) for each in answers if each[2] is not None],
            )
            connection.executemany(
                "INSERT OR IGNORE INTO rewards VALUES (?, ?, ?, ?, ?)",
                [(reward, sampler, *each) for each in graded if each[2] is not None],
            )

    def _count_answers(self):
        return self.read("SELECT COUNT(*) FROM answers")[0][0]

    def settings_id(self, role, settings):
        """Find or create the id of settings. Equal settings have equal ids.

        Parameters
        ----------
        role : {"sampler", "reward"}
            Whose settings they are.
        settings : dict
            Everything that answers, or rewards, depend on.

        Returns
        -------
        int
        """
        return self._ids("settings", [to_json(settings)], role=role)[0]

    def less_telling_settings(self, role, settings):
        """Look for settings of the same function that have fewer entries.

        An earlier version of this package wrote such settings.

        Parameters
        ----------
        role : {"sampler", "reward"}
            Whose settings they are.
        settings : dict
            Everything that answers, or rewards, depend on.

        Returns
        -------
        bool
            Whether the store has such settings, but not `settings` themselves.
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
        """Find or create the ids of queries. Equal queries have equal ids.

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

    def _upgrade(self, connection):
        """Add new columns to a file of an earlier version; their values are unknown."""
        columns = connection.execute("PRAGMA table_info(answers)").fetchall()
        there = {column[1] for column in columns}
        for name, kind in _ADDED.items():
            if name not in there:
                connection.execute(f"ALTER TABLE answers ADD COLUMN {name} {kind}")


def _settings_of(decoders, settings):
    """Settings of each decoder, by name."""
    if settings is not None:
        raise ValueError(
            f"settings={settings!r} and decoders={decoders!r} exclude each other. Give "
            "settings for the table of one sampler, decoders for one of several."
        )
    if not isinstance(decoders, Mapping) or not decoders:
        raise ValueError(
            f"decoders={decoders!r} is not accepted. Expected a dict: name of a "
            "decoder -> its sampler, or the settings of its sampler."
        )
    return {
        str(name): each if isinstance(each, Mapping) else sampler_identity(each)
        for name, each in decoders.items()
    }


def _of_decoder(name):
    return "" if name is None else f" of decoder {name!r}"
