"""Answers and rewards in Parquet files, for collections that many machines share.

Each file is a part. It is written as a whole or not at all, and never changed. A part
holds answers, rewards, or both, and says which settings they depend on.
"""

import json
import time
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np

from sklearn_adaalloc._utils.files import write_whole
from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc.collect._settings import to_json
from sklearn_adaalloc.sampling._protocol import SampledAnswer

_KEY, _VERSION = b"sklearn_adaalloc", 1
_LOCK = ".lock"  # readers of Parquet folders skip names with a dot in front
_COUNTS = ("prompt_tokens", "answer_tokens", "cached_tokens")


class PartFolder:
    """Parts in a folder; needs pyarrow.

    Parameters
    ----------
    path : str or path
        Folder.
    create : bool, default=False
        Whether to create it if it does not exist.

    Raises
    ------
    ValueError
        If there is no such folder.
    """

    def __init__(self, path, *, create=False):
        self.path = Path(path)
        if create:
            self.path.mkdir(parents=True, exist_ok=True)
        if not self.path.is_dir():
            raise ValueError(
                f"folder={str(path)!r} is not a folder. Expected the one that "
                "collect_parts filled."
            )

    def files(self):
        """Paths of all parts, in the order in which they were written."""
        return sorted(self.path.glob("part-*.parquet"))

    @contextmanager
    def filling(self):
        """Be the only process that fills the folder; needs filelock.

        The system ends the lock with the process, however that ends.

        Raises
        ------
        ValueError
            If another process fills the folder.
        """
        filelock = import_optional("filelock", extra="ray")
        lock = filelock.FileLock(self.path / _LOCK, timeout=0)
        try:
            held = lock.acquire()
        except filelock.Timeout:
            raise ValueError(
                f"folder={str(self.path)!r} is being filled by another process. "
                "Expected one at a time: wait until it has ended, or give another "
                "folder."
            ) from None
        with held:
            yield

    def write(self, answers, rewards, *, settings, reward_settings, queries):
        """Write a part in one step.

        Parameters
        ----------
        answers : list of SampledAnswer
            Those without an answer only have a reward here: their texts are in another
            part.
        rewards : dict
            (row, sample) -> reward. NaN, or none, means that there is no reward yet.
        settings, reward_settings : dict
            Settings of the sampler and of the reward function.
        queries : list of str
            Query of each row, as JSON.

        Returns
        -------
        path : Path
        """
        pa = import_optional("pyarrow", extra="datasets")
        parquet = import_optional("pyarrow.parquet", extra="datasets")
        texts = [each.answer for each in answers]
        values = [rewards.get((each.row, each.sample), np.nan) for each in answers]
        columns = {
            "query": pa.array([queries[each.row] for each in answers], pa.string()),
            "sample": pa.array([each.sample for each in answers], pa.int64()),
            # Texts of models may be no valid Unicode, as in the store.
            "answer": pa.array(
                [t if t is None else t.encode("utf-8", "surrogatepass") for t in texts],
                pa.large_binary(),
            ),
            "reward": pa.array(values, pa.float64(), from_pandas=True),
        }
        for name in _COUNTS:
            counts = [getattr(each, name) for each in answers]
            columns[name] = pa.array(counts, pa.float64(), from_pandas=True)
        columns["cut_off"] = pa.array([each.cut_off for each in answers], pa.bool_())
        content = {
            "version": _VERSION,
            "sampler": to_json(settings),
            "reward": to_json(reward_settings),
        }
        table = pa.table(columns)
        table = table.replace_schema_metadata({_KEY: json.dumps(content)})
        buffer = pa.BufferOutputStream()
        parquet.write_table(table, buffer)
        name = f"part-{time.time_ns():020d}-{uuid4().hex[:8]}.parquet"
        path = self.path / name
        write_whole(path, buffer.getvalue().to_pybytes())
        return path


def read_part(path, columns=None):
    """Read a part.

    Parameters
    ----------
    path : path
    columns : list of str, default=None
        Columns to read. None means all.

    Returns
    -------
    sampler, reward : str
        Settings of the sampler and of the reward function, as JSON.
    table : pyarrow.Table

    Raises
    ------
    ValueError
        If the file is damaged, or no part.
    """
    parquet = import_optional("pyarrow.parquet", extra="datasets")
    try:
        table = parquet.read_table(path, columns=columns)
        content = json.loads(table.schema.metadata[_KEY])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{str(path)!r} is damaged, or no part of a collection: {error} Expected a "
            "file that collect_parts wrote. Remove it, and its samples are asked for "
            "again."
        ) from error
    if content["version"] > _VERSION:
        raise ValueError(
            f"{str(path)!r} has version {content['version']}, but this version of "
            f"sklearn-adaalloc reads versions up to {_VERSION}. Upgrade it."
        )
    return content["sampler"], content["reward"], table


def table_of(folder, queries, n_samples, *, settings, reward_settings):
    """What the parts of a folder hold of a reward table.

    Parameters
    ----------
    folder : PartFolder
    queries : list of n_queries str
        Distinct queries, as JSON.
    n_samples : int
        Number of samples of each query.
    settings, reward_settings : dict
        Settings of the sampler and of the reward function.

    Returns
    -------
    rewards : ndarray of shape (n_queries, n_samples)
        NaN where there is none.
    homes : ndarray of shape (n_queries, n_samples), int
        Index of the file with each answer; -1 where there is none.
    files : list of paths
    """
    sampler, reward = to_json(settings), to_json(reward_settings)
    row_of = {content: row for row, content in enumerate(queries)}
    rewards = np.full((len(queries), n_samples), np.nan)
    homes = np.full(rewards.shape, -1)
    files = folder.files()
    for index, path in enumerate(files):
        own_sampler, own_reward, table = read_part(path)
        if own_sampler != sampler:
            continue
        rows = np.array([row_of.get(each, -1) for each in table["query"].to_pylist()])
        samples = table["sample"].to_numpy()
        known = (rows >= 0) & (samples < n_samples)
        place = rows[known], samples[known]
        is_answer = table["answer"].is_valid().to_numpy()[known]
        homes[place] = np.where(is_answer & (homes[place] < 0), index, homes[place])
        if own_reward == reward:
            graded = table["reward"].to_numpy()[known]
            rewards[place] = np.where(np.isnan(graded), rewards[place], graded)
    return rewards, homes, files


def stored_answers(path, pairs, queries):
    """Answers in a part.

    Parameters
    ----------
    path : path
        The part.
    pairs : list of (row, sample)
        Which ones.
    queries : list of str
        Query of each row, as JSON.

    Returns
    -------
    answers : list of SampledAnswer
    """
    _, _, table = read_part(path, ["query", "sample", "answer"])
    columns = (table[name].to_pylist() for name in ("query", "sample", "answer"))
    stored = {
        (query, sample): text for query, sample, text in zip(*columns, strict=True)
    }
    return [
        SampledAnswer(
            row, sample, _decode(stored[queries[row], sample]), np.nan, np.nan
        )
        for row, sample in pairs
    ]


def _decode(answer):
    return answer.decode("utf-8", "surrogatepass")
