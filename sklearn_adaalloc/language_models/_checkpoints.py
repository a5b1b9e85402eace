"""Checkpoints of transformers: where they lie, what is in them, failures to load.

A name on the hub is looked up once per process: from then on its files are read from
the commit that was found. Models are told apart by their content, never by a name.

transformers is imported inside functions: this module is imported by estimators.
"""

import hashlib
import json
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

EMBEDDED = Path(__file__).parents[1] / "datasets" / "data" / "weak"
# Files of weights in the order in which transformers looks for them.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
# Files of a tokenizer, and those that stand for its vocabulary without tokenizer.json.
_TOKENIZER = ("tokenizer*.json", "special_tokens_map.json", "added_tokens.json")
_TEMPLATES = ("chat_template*", "additional_chat_templates/*.jinja")
_VOCABULARY = ("token*", "vocab*", "merges.txt", "tekken.json", "*.model", "*.spm")
# Where a model was and what wrote it: no part of what it is.
_PROVENANCE = {
    "_name_or_path",
    "transformers_version",
    "base_model_name_or_path",
    "revision",
    "peft_version",
}
_CHUNK = 2**22  # bytes


@dataclass(frozen=True)
class Checkpoint:
    """A model's files as they were found.

    Attributes
    ----------
    folder : str
        Where the files lie.
    commit : str or None
        Of a model on the hub, the commit that they are from.
    fingerprint : str
        Hash of all that hidden states depend on: configuration, weights, tokenizer
        with its chat template, adapter.
    generation : str
        Hash of that and of what answers depend on besides: the end tokens of the
        generation config.
    """

    folder: str
    commit: str | None
    fingerprint: str
    generation: str


def find_checkpoint(name, *, revision=None):
    """Find a model's files, and read what is in them.

    A name on the hub is looked up, and what is missing downloaded, at the first call of
    the process; a folder is read again where a file's size, times or place on the disk
    have changed.

    Parameters
    ----------
    name : str or path
        As in :func:`load_language_model`.
    revision : str, default=None
        Branch, tag or commit on the hub.

    Returns
    -------
    checkpoint : Checkpoint

    Raises
    ------
    ValueError
        If there is no such model.
    """
    place = source(name)
    with loading(name):
        folder, commit = (
            (place, None) if Path(place).is_dir() else _download(place, revision)
        )
        return Checkpoint(folder, commit, *_hashes(Path(folder)))


def load_config(name, *, revision=None):
    """Read a model's configuration, without its weights; errors as for the model."""
    checkpoint = find_checkpoint(name, revision=revision)
    with loading(name):
        return _read_config(checkpoint.folder, checkpoint.fingerprint)


def fingerprint(name, *, revision=None, generation=False):
    """Tell models apart by their content.

    A hash of the configuration, the tokenizer with its chat template, all weights and
    the adapter beside them, the same wherever they lie. Large files are read once per
    process, some 0.7 GB a second; those of the hub's cache bear their hash as a name.

    Parameters
    ----------
    name : str or path
        As in :func:`load_language_model`.
    revision : str, default=None
        Branch, tag or commit on the hub.
    generation : bool, default=False
        Whether to add what answers depend on besides: the end tokens of the generation
        config.

    Returns
    -------
    str
        Hexadecimal digits.

    Raises
    ------
    ValueError
        If there is no such model.

    Examples
    --------
    >>> from sklearn_adaalloc.language_models import fingerprint
    >>> len(fingerprint("embedded"))
    64
    """
    checkpoint = find_checkpoint(name, revision=revision)
    return checkpoint.generation if generation else checkpoint.fingerprint


def require_checkpoint(name, expected, *, revision=None, commit=None):
    """Find the model that an estimator was fitted with.

    Parameters
    ----------
    name, revision
        As in :func:`load_language_model`.
    expected : str
        Fingerprint at the time of fit; those of earlier versions are understood.
    commit : str, default=None
        Commit on the hub at the time of fit. It is taken if it can still be had, and
        else what `revision` stands for now, if weights and tokenizer are the same.

    Returns
    -------
    checkpoint : Checkpoint

    Raises
    ------
    ValueError
        If it is another model.
    """
    if commit is None and _COMMIT.fullmatch(expected):
        commit = expected  # earlier versions: the commit was the fingerprint
    if commit is not None and not Path(source(name)).is_dir():
        with suppress(ValueError):
            found = find_checkpoint(name, revision=commit)
            if expected in (found.fingerprint, found.commit):
                return found
    found = find_checkpoint(name, revision=revision)
    if expected not in (found.fingerprint, _earlier_fingerprint(found)):
        raise _other_model(name, found.fingerprint, expected)
    return found


def require_unchanged(name, checkpoint):
    """Check, once its files have been read, that a checkpoint is as it was found."""
    with loading(name):
        found, _ = _hashes(Path(checkpoint.folder))
    if found != checkpoint.fingerprint:
        raise _other_model(name, found, checkpoint.fingerprint)


def _other_model(name, found, expected):
    return ValueError(
        f"model={str(name)!r} is not the model used in fit: its fingerprint is "
        f"{found[:12]}, that of fit {expected[:12]}. Name the folder or the revision "
        "of the model used in fit with set_params, or fit again."
    )


def recognise(reader):
    """Give a reader that an earlier version fitted the fingerprint of this version.

    Parameters
    ----------
    reader : estimator
        Fitted, with `model`, `revision` and `fingerprint_`; `commit_` is set, too.

    Raises
    ------
    ValueError
        If it was fitted with another model.
    """
    if hasattr(reader, "commit_"):
        return
    found = require_checkpoint(
        reader.model, reader.fingerprint_, revision=reader.revision
    )
    reader.fingerprint_, reader.commit_ = found.fingerprint, found.commit


def source(name):
    """Folder or name on the hub that `name` stands for."""
    return str(EMBEDDED) if name == "embedded" else str(name)


@contextmanager
def loading(name):
    """Silence transformers while it loads, and word what goes wrong."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # each file format fails in its own way
        raise ValueError(
            f"model={str(name)!r} could not be loaded. Expected 'embedded', the folder "
            "of a transformers model, or a name on the Hugging Face hub (with "
            "HF_HUB_OFFLINE=1 only one that was downloaded before). Check spelling, "
            f"path and connection. The reason given: {error}"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@lru_cache(maxsize=64)
def _download(name, revision):
    """Folder and commit of a model on the hub, with all files that are read here."""
    from transformers import AutoTokenizer
    from transformers.utils import cached_file

    config = cached_file(name, "config.json", revision=revision)
    folder = Path(config).parent
    commit = folder.name

    def get(file):
        found = cached_file(
            name, file, revision=commit, _raise_exceptions_for_missing_entries=False
        )
        return None if found is None else Path(found)

    _weight_files(get, _named_weights(config))
    get("generation_config.json")
    if get("adapter_config.json"):
        _first_of(get, _ADAPTER_WEIGHTS)
    # Which files a tokenizer has depends on its kind: transformers knows them.
    AutoTokenizer.from_pretrained(name, revision=commit)
    return str(folder), commit


@lru_cache(maxsize=64)
def _read_config(folder, fingerprint):
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder)


def _hashes(folder):
    """Fingerprint of a folder, without and with what answers depend on besides."""
    digest = hashlib.sha256()
    for file in _content_files(folder):
        name = file.relative_to(folder).as_posix()
        digest.update(f"{name} {_digest(file)}\n".encode())
    hidden_states = digest.hexdigest()
    generation = folder / "generation_config.json"
    ends = _read_json(generation).get("eos_token_id") if generation.exists() else None
    digest.update(f"end tokens {json.dumps(ends)}\n".encode())
    return hidden_states, digest.hexdigest()


def _content_files(folder):
    """Files of a folder that hidden states depend on, each once and in a fixed order.

    Those that transformers reads, not all that there are: another program may have
    downloaded the same weights in another format.
    """

    def get(file):
        return folder / file if (folder / file).exists() else None

    files = [folder / "config.json"]
    files += _weight_files(get, _named_weights(files[0]))
    if get("adapter_config.json"):
        files.append(folder / "adapter_config.json")
        files += _first_of(get, _ADAPTER_WEIGHTS)
    patterns = _TOKENIZER + _TEMPLATES
    if not get("tokenizer.json"):
        patterns += _VOCABULARY
    found = {file for pattern in patterns for file in folder.glob(pattern)}
    return files + sorted(found - set(files))


def _weight_files(get, named):
    """Files of a model's weights, with the index of shards where there is one.

    Parameters
    ----------
    get : callable
        Takes the name of a file; returns its path, or None if there is no such file.
    named : str or None
        Name that the configuration gives.
    """
    stems = _WEIGHTS if named is None else (named.removesuffix(".index.json"),)
    for stem in stems:
        if whole := get(stem):
            return [whole]
        if index := get(f"{stem}.index.json"):
            shards = sorted(set(_read_json(index)["weight_map"].values()))
            return [index, *[get(shard) or index.parent / shard for shard in shards]]
    raise FileNotFoundError(f"there is no file of weights, such as {stems[0]}")


def _first_of(get, names):
    return [found for found in map(get, names) if found][:1]


def _named_weights(config):
    return _read_json(config).get("transformers_weights")


def _read_json(file):
    return json.loads(Path(file).read_text(encoding="utf-8"))


def _digest(file):
    """SHA-256 of a file's content; of settings, without where a model came from."""
    if file.name in ("config.json", "adapter_config.json"):
        settings = _read_json(file)
        kept = {key: settings[key] for key in settings.keys() - _PROVENANCE}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    blob = file.resolve()
    if file.is_symlink() and _SHA256.fullmatch(blob.name) and _is_in_cache(blob):
        return blob.name  # the hub's cache names large files so, and never edits them
    stat = file.stat()
    times = (stat.st_mtime_ns, stat.st_ctime_ns)
    return _digest_of_content(str(blob), stat.st_dev, stat.st_ino, stat.st_size, *times)


@lru_cache(maxsize=512)
def _digest_of_content(path, *signature):
    """SHA-256 of a file; the signature changes whenever the file does."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


_SHA256, _COMMIT = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{40}")


def _is_in_cache(path):
    from huggingface_hub.constants import HF_HUB_CACHE

    return path.is_relative_to(Path(HF_HUB_CACHE).resolve())


# What fingerprints were before they covered all of this: for what was fitted then.
_EARLIER_FILES = ("config.json", "token*", "vocab*", "merges.txt", "*.model", "*.jinja")
_EARLIER_WEIGHTS = ("*.safetensors", "*.bin")
_EARLIER_BLOCK, _N_EARLIER_BLOCKS = 2**16, 256


def _earlier_fingerprint(checkpoint):
    """The commit of a model in the hub's cache, else a hash of blocks of the files."""
    folder = Path(checkpoint.folder)
    if folder.parent.name == "snapshots" and _is_in_cache(folder.resolve()):
        return folder.name
    patterns = _EARLIER_FILES + _EARLIER_WEIGHTS
    digest = hashlib.sha256()
    for file in sorted({file for each in patterns for file in folder.glob(each)}):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        starts = range(0, size, _EARLIER_BLOCK)
        if len(starts) > _N_EARLIER_BLOCKS:
            starts = np.linspace(0, size - _EARLIER_BLOCK, _N_EARLIER_BLOCKS)
        with open(file, "rb") as stream:
            for start in starts:
                stream.seek(int(start))
                digest.update(stream.read(_EARLIER_BLOCK))
    return digest.hexdigest()
