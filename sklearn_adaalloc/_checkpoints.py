"""Checkpoints of transformers: their configuration, content and failures to load.

transformers is imported inside functions: this module is imported by estimators.
"""

import hashlib
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

EMBEDDED = Path(__file__).parent / "datasets" / "data" / "weak"
_FINGERPRINTED = ("config.json", "token*", "vocab*", "merges.txt", "*.model", "*.jinja")
_WEIGHTS = ("*.safetensors", "*.bin")
_BLOCK, _N_BLOCKS = 2**16, 256  # of each file of weights, the fingerprint reads 16 MiB


def load_config(name, *, revision=None):
    """Read a model's configuration, without its weights; errors as for the model."""
    from transformers import AutoConfig

    with loading(name):
        return AutoConfig.from_pretrained(source(name), revision=revision)


def fingerprint(name, *, revision=None):
    """Tell models apart by their content.

    The commit for a model from the hub; otherwise a hash of configuration and tokenizer
    and of evenly spaced blocks of the weights, all of them in small files, so that it
    takes a fraction of a second for billions of weights.

    Parameters
    ----------
    name : str or path
        As in :func:`load_language_model`.
    revision : str, default=None
        Branch, tag or commit on the hub.

    Returns
    -------
    str
        Hexadecimal digits.

    Raises
    ------
    ValueError
        If there is no such model.
    """
    from transformers.utils import cached_file

    with loading(name):
        config = cached_file(source(name), "config.json", revision=revision)
    folder = Path(config).parent
    if folder.parent.name == "snapshots":
        return folder.name
    patterns = _FINGERPRINTED + _WEIGHTS
    files = sorted({file for pattern in patterns for file in folder.glob(pattern)})
    return _hash_files(
        tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files)
    )


@lru_cache(maxsize=64)
def _hash_files(files):
    digest = hashlib.sha256()
    for path, size, _ in files:
        digest.update(f"{Path(path).name} {size}\n".encode())
        starts = np.linspace(0, max(size - _BLOCK, 0), _N_BLOCKS).astype(int)
        if size <= _BLOCK * _N_BLOCKS:
            starts = range(0, size, _BLOCK)
        with open(path, "rb") as file:
            for start in starts:
                file.seek(start)
                digest.update(file.read(_BLOCK))
    return digest.hexdigest()


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


def require_fingerprint(name, expected, *, revision=None):
    """Check that a model is the one an estimator was fitted with.

    Parameters
    ----------
    name, revision
        As in :func:`load_language_model`.
    expected : str
        Fingerprint at the time of fit.

    Raises
    ------
    ValueError
        If it is another model.
    """
    found = fingerprint(name, revision=revision)
    if found != expected:
        raise ValueError(
            f"model={str(name)!r} is not the model used in fit: its fingerprint is "
            f"{found[:12]}, that of fit {expected[:12]}. Name the folder or the "
            "revision of the model used in fit with set_params, or fit again."
        )
