"""Checkpoints of transformers: find their files, hash them, explain loading errors.

A name on the hub is looked up once per process. Later calls use the commit that was
found. Models are identified by their content, never by their name.

transformers is imported inside functions, because estimators import this module.
"""

import hashlib
import json
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sklearn_adaalloc.language_models._gguf import is_gguf, text_files

EMBEDDED = Path(__file__).parents[1] / "datasets" / "data" / "weak"
# Files of weights in the order in which transformers looks for them.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
# Files of a tokenizer, and vocabulary files that are used without tokenizer.json.
_TOKENIZER = ("tokenizer*.json", "special_tokens_map.json", "added_tokens.json")
_TEMPLATES = ("chat_template*", "additional_chat_templates/*.jinja")
_VOCABULARY = ("token*", "vocab*", "merges.txt", "tekken.json", "*.model", "*.spm")
# Settings that describe the origin of a model, not its content.
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
    """The files of a model at one moment.

    Attributes
    ----------
    folder : str
        Folder of the files, or the GGUF file that holds them all.
    commit : str or None
        Commit of the files, if the model is on the hub.
    fingerprint : str
        Hash of everything that hidden states depend on: configuration, weights,
        tokenizer with its chat template, adapter.
    generation : str
        Hash of everything that answers depend on: the same, and the end tokens of the
        generation config.
    """

    folder: str
    commit: str | None
    fingerprint: str
    generation: str


def find_checkpoint(name, *, revision=None):
    """Find the files of a model and hash their content.

    At the first call of the process, a name on the hub is looked up and missing files
    are downloaded. A file in a folder is read again if its size, its times or its place
    on the disk has changed.

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
        If the model does not exist.
    """
    place = source(name)
    with loading(name):
        folder, commit = (
            (place, None) if _is_here(place) else _download(place, revision)
        )
        return Checkpoint(folder, commit, *_hashes(Path(folder)))


def load_config(name, *, revision=None):
    """Read the configuration of a model, with the errors of :func:`find_checkpoint`."""
    checkpoint = find_checkpoint(name, revision=revision)
    with loading(name):
        return _read_config(checkpoint.folder, checkpoint.fingerprint)


def fingerprint(name, *, revision=None, generation=False):
    """Hash the content of a model, to identify it.

    The fingerprint is a hash of the configuration, the tokenizer with its chat
    template, all weights, and the adapter if there is one. It does not depend on the
    folder. That of a GGUF file is its SHA-256. Large files are read once per process,
    at about 0.7 GB per second. Files in the cache of the hub need not be read, because
    their names are their hashes.

    Parameters
    ----------
    name : str or path
        As in :func:`load_language_model`.
    revision : str, default=None
        Branch, tag or commit on the hub.
    generation : bool, default=False
        Whether to include what only answers depend on: the end tokens of the generation
        config.

    Returns
    -------
    str
        Hexadecimal digits.

    Raises
    ------
    ValueError
        If the model does not exist.

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
        Fingerprint at the time of fit. Fingerprints of earlier versions are accepted.
    commit : str, default=None
        Commit on the hub at the time of fit. It is used if it is still available.
        Otherwise the present commit of `revision` is used, if its fingerprint is the
        expected one.

    Returns
    -------
    checkpoint : Checkpoint

    Raises
    ------
    ValueError
        If the model has another fingerprint.
    """
    if commit is None and _COMMIT.fullmatch(expected):
        commit = expected  # in earlier versions, the commit was the fingerprint
    if commit is not None and not _is_here(source(name)):
        with suppress(ValueError):
            found = find_checkpoint(name, revision=commit)
            if expected in (found.fingerprint, found.commit):
                return found
    found = find_checkpoint(name, revision=revision)
    if expected not in (found.fingerprint, _earlier_fingerprint(found)):
        raise _other_model(name, found.fingerprint, expected)
    return found


def require_unchanged(name, checkpoint):
    """Check after reading its files that a checkpoint has not changed."""
    with loading(name):
        found, _ = _hashes(Path(checkpoint.folder))
    if found != checkpoint.fingerprint:
        raise _other_model(name, found, checkpoint.fingerprint)


def _other_model(name, found, expected):
    return ValueError(
        f"model={str(name)!r} is not the model used in fit: its fingerprint is "
        f"{found[:12]}, expected {expected[:12]}. Set model or revision to the model "
        "used in fit with set_params, or fit again."
    )


def recognise(reader):
    """Update `fingerprint_` and `commit_` of an estimator fitted by an earlier version.

    Parameters
    ----------
    reader : estimator
        Fitted estimator with `model`, `revision` and `fingerprint_`.

    Raises
    ------
    ValueError
        If `model` is not the model used in fit.
    """
    if hasattr(reader, "commit_"):
        return
    found = require_checkpoint(
        reader.model, reader.fingerprint_, revision=reader.revision
    )
    reader.fingerprint_, reader.commit_ = found.fingerprint, found.commit


def source(name):
    """Return the folder, the file, or the name on the hub, that `name` means."""
    return str(EMBEDDED) if name == "embedded" else str(name)


def _is_here(place):
    return Path(place).is_dir() or is_gguf(place)


@contextmanager
def loading(name):
    """Silence transformers during loading and explain its errors."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # each file format raises its own errors
        raise ValueError(
            f"model={str(name)!r} could not be loaded. Expected 'embedded', the folder "
            "of a transformers model, a .gguf file, or a name on the Hugging Face hub "
            "(with HF_HUB_OFFLINE=1 only one that was downloaded before). Check "
            f"spelling, path and connection. The reason given: {error}"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@lru_cache(maxsize=64)
def _download(name, revision):
    """Download all files of a model that are needed; return its folder and commit."""
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
    # The files of a tokenizer depend on its class: let transformers download them.
    AutoTokenizer.from_pretrained(name, revision=commit)
    return str(folder), commit


@lru_cache(maxsize=64)
def _read_config(folder, fingerprint):
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(text_files(folder, fingerprint))


def _hashes(folder):
    """Return the two hashes of a checkpoint: `fingerprint` and `generation`.

    A GGUF file holds everything, also the end tokens, so both are its SHA-256.
    """
    if is_gguf(folder):
        return (_digest(folder),) * 2
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

    Files that transformers does not read are left out, such as the same weights in
    another format.
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
    """Files of the weights of a model, including the index of shards if there is one.

    `get` maps the name of a file to its path, or to None if the file does not exist.
    `named` is the name of the weights in the configuration, or None.
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
    """SHA-256 of the content of a file; of configurations, without the origin."""
    if file.name in ("config.json", "adapter_config.json"):
        settings = _read_json(file)
        kept = {key: settings[key] for key in settings.keys() - _PROVENANCE}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    blob = file.resolve()
    if file.is_symlink() and _SHA256.fullmatch(blob.name) and _is_in_cache(blob):
        return blob.name  # the hub's cache names large files by their SHA-256
    stat = file.stat()
    times = (stat.st_mtime_ns, stat.st_ctime_ns)
    return _digest_of_content(str(blob), stat.st_dev, stat.st_ino, stat.st_size, *times)


@lru_cache(maxsize=512)
def _digest_of_content(path, *signature):
    """SHA-256 of a file; `signature` changes if the file changes, for the cache."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


_SHA256, _COMMIT = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{40}")


def _is_in_cache(path):
    from huggingface_hub.constants import HF_HUB_CACHE

    return path.is_relative_to(Path(HF_HUB_CACHE).resolve())


# How earlier versions computed fingerprints, for estimators that they fitted.
_EARLIER_FILES = ("config.json", "token*", "vocab*", "merges.txt", "*.model", "*.jinja")
_EARLIER_WEIGHTS = ("*.safetensors", "*.bin")
_EARLIER_BLOCK, _N_EARLIER_BLOCKS = 2**16, 256


def _earlier_fingerprint(checkpoint):
    """Return the commit of a model in the hub's cache, else a hash of file blocks."""
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
