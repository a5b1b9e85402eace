"""Rows of public sets, read from local files; missing files are downloaded first.

The files of a set are in ``data_home / repository``, in the same folders as in its
repository on the Hugging Face hub. A missing file is downloaded once by Hugging Face
``datasets``. It is stored with only the fields that are used. Rows are read one by one,
so a set may be larger than memory.
"""

import gzip
import json
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short_repr
from tempfile import TemporaryDirectory

from sklearn.datasets import get_data_home

from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.parameters import check_path


@dataclass(frozen=True)
class HubSet:
    """Place and fields of the rows of a public set.

    Parameters
    ----------
    repository : str
        Name on the hub.
    parts : dict of str to tuple of str
        Official split of the set -> beginnings of the paths of its files.
    fields : dict of str to type or tuple of types
        Fields that are used, with their types.
    hub_ending : str, default="-*.parquet"
        Ending of the paths on the hub.
    """

    repository: str
    parts: dict
    fields: dict
    hub_ending: str = "-*.parquet"


def read_rows(source, part, *, data_home=None, download_if_missing=True):
    """Read the rows of one part of a set, one after the other.

    Parameters
    ----------
    source : HubSet
        The set.
    part : str
        One of ``source.parts``.
    data_home : str or path, default=None
        Folder of all sets; None for the folder of scikit-learn.
    download_if_missing : bool, default=True
        Whether missing files may be downloaded.

    Yields
    ------
    row : dict
        Has all of ``source.fields``, with the right types.

    Raises
    ------
    OSError
        If files are missing and may not or cannot be downloaded.
    ImportError
        If a package for downloading, or for reading parquet, is not installed.
    ValueError
        If a file is damaged, one of several is missing, or a row lacks a field.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets._hub import HubSet, read_rows, write_rows
    >>> source = HubSet("someone/something", {"train": ("data/train",)}, {"text": str})
    >>> with TemporaryDirectory() as folder:
    ...     write_rows(folder, "someone/something/data/train", [{"text": "Hello"}])
    ...     list(read_rows(source, "train", data_home=folder))
    [{'text': 'Hello'}]
    """
    if data_home is None:
        data_home = get_data_home()
    home = Path(check_path(data_home, "data_home")).expanduser()
    folder = home / source.repository
    for beginning in source.parts[part]:
        paths = find_files(folder, beginning)
        if not paths:
            paths = [_download(source, beginning, folder, download_if_missing)]
        for path in paths:
            for number, row in enumerate(_read_file(path, list(source.fields))):
                _check_row(row, source.fields, f"row {number} of {path}")
                yield row


def write_rows(folder, beginning, rows):
    """Write rows as JSON lines to the file that :func:`read_rows` reads.

    Parameters
    ----------
    folder : str or path
        The `data_home`.
    beginning : str
        Repository and path, without ending.
    rows : iterable of dict
        Rows to write.

    Examples
    --------
    See :func:`read_rows`.
    """
    path = Path(folder, f"{beginning}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(row)}\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def find_files(folder, beginning):
    """Find the files of a set whose paths have the given beginning.

    Parameters
    ----------
    folder : path
        Folder of the set.
    beginning : str
        Beginning of their paths, such as ``"data/train"``.

    Returns
    -------
    paths : list of path
        Sorted paths of one format: the first of parquet, JSON lines and JSON that
        exists. Empty if there are no files.

    Raises
    ------
    ValueError
        If a file name gives another number of files than there are.
    """
    for ending in _READERS:
        paths = [
            path
            for pattern in (f"{beginning}{ending}", f"{beginning}-*{ending}")
            for path in sorted(Path(folder).glob(pattern))
        ]
        for path in paths:
            n_files = re.search(r"-of-(\d+)\.", path.name)
            if n_files and int(n_files[1]) != len(paths):
                raise ValueError(
                    f"{path.parent} has {len(paths)} files {Path(beginning).name}*, "
                    f"but {path.name!r} says that there are {int(n_files[1])}. Copy or "
                    "download all of them, and remove those of other versions."
                )
        if paths:
            return paths
    return []


def _download(source, beginning, folder, download_if_missing):
    """Download files and store their rows in one file."""
    if not download_if_missing:
        raise FileNotFoundError(
            f"{folder} has no file {beginning}* and download_if_missing=False. Set "
            f"download_if_missing=True, or {_advice(source, folder)}"
        )
    try:
        datasets = import_optional("datasets", "datasets")
    except ImportError as error:
        raise ImportError(
            f"{folder} has no file {beginning}*. {error} Or {_advice(source, folder)}"
        ) from error
    path = folder / f"{beginning}-00000-of-00001.parquet"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as scratch:
            rows = datasets.load_dataset(
                "json" if "json" in source.hub_ending else "parquet",
                data_files=f"{_HUB}/{source.repository}/{beginning}{source.hub_ending}",
                split="train",  # how `datasets` names all these rows
                cache_dir=scratch,
            )
            complete = Path(scratch, path.name)
            rows.select_columns(list(source.fields)).to_parquet(str(complete))
            os.replace(complete, path)
    except Exception as error:  # the error of a lost connection differs by version
        raise OSError(
            f"{folder} has no file {beginning}*, and {source.repository} could not be "
            f"downloaded from the Hugging Face hub ({type(error).__name__}: {error}). "
            "Go online; if the set has conditions of use, accept them on its page and "
            f"log in with `hf auth login`. Or {_advice(source, folder)}"
        ) from error
    return path


def _advice(source, folder):
    """Explain how to proceed without a download here."""
    return (
        f"copy the set's files there, laid out as on the hub ({_ENDINGS}), for "
        f"instance by `hf download {source.repository} --repo-type dataset "
        f"--local-dir {folder}` on a machine that is online."
    )


def _read_file(path, fields):
    """Read the rows of one file, whatever its format."""
    ending = next(ending for ending in _READERS if path.name.endswith(ending))
    try:
        yield from _READERS[ending](path, fields)
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be read as {ending[1:]}: {error}. It may be damaged: "
            "delete it and download or copy it again."
        ) from error


def _read_parquet(path, fields):
    parquet = import_optional("pyarrow.parquet", "datasets")
    with parquet.ParquetFile(path) as file:
        # Missing columns are reported when rows are checked.
        for batch in file.iter_batches(batch_size=1000, columns=fields):
            yield from batch.to_pylist()


def _read_json(path, fields):
    """Read JSON lines, or one list of all rows."""
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as file:
        is_list = file.read(1) == "["
        file.seek(0)
        if is_list:
            yield from json.load(file)
        else:
            yield from (json.loads(line) for line in file if line.strip())


def _check_row(row, fields, where):
    if not isinstance(row, dict) or not fields.keys() <= row.keys():
        raise ValueError(
            f"{where} is {short_repr(row)}. Expected the fields {list(fields)}: is "
            "this another set, or another version of it?"
        )
    for name, kind in fields.items():
        if not isinstance(row[name], kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise ValueError(
                f"{where} has {name}={short_repr(row[name])}. Expected a value of type "
                f"{' or '.join(k.__name__ for k in kinds)}."
            )


_HUB = "hf://datasets"
_READERS = {
    ".parquet": _read_parquet,
    ".jsonl": _read_json,
    ".jsonl.gz": _read_json,
    ".json": _read_json,
    ".json.gz": _read_json,
}
_ENDINGS = ", ".join(_READERS)
