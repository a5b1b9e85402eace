"""GGUF files: one file holds the weights, the configuration and the tokenizer.

transformers reads them. Weights are dequantised to the precision asked for. This takes
the numbers of the file as they are, so a GGUF file and a folder with the same numbers
give the same hidden states.
"""

import copy
import os
import tempfile
from functools import lru_cache
from pathlib import Path

from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc.language_models._options import causal_architectures


def is_gguf(place):
    """Whether a path is a GGUF file."""
    path = Path(place)
    return path.suffix.lower() == ".gguf" and path.is_file()


def weight_options(place, config):
    """Arguments of ``from_pretrained`` that load the weights of a folder or file."""
    if not is_gguf(place):
        return {"pretrained_model_name_or_path": place}
    import transformers

    options = {
        "pretrained_model_name_or_path": str(Path(place).parent),
        "gguf_file": Path(place).name,
        "config": copy.deepcopy(config),  # loading adds to it
    }
    # Recent versions keep the weights packed by default, if they have kernels for it.
    if hasattr(transformers, "GgufConfig"):
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    return options


def text_files(place, fingerprint):
    """Folder with the configuration and the tokenizer of a folder or GGUF file.

    To build the tokenizer of a GGUF file takes up to a minute. It is therefore done
    once for each file and version of transformers, and the result stays beside the
    hub's cache, in ``$HF_HOME/sklearn_adaalloc/gguf``. If this folder cannot be
    written, it is done once per process.

    Parameters
    ----------
    place : str
        Folder of a model, which is returned, or GGUF file.
    fingerprint : str
        SHA-256 of the file.

    Returns
    -------
    folder : str
    """
    if not is_gguf(place):
        return place
    import_optional("gguf", extra="gguf")
    from transformers import __version__

    folder = _cache() / f"{fingerprint}-{__version__}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(
            dir=folder.parent,
            ignore_cleanup_errors=True,  # it has another name by then
        ) as part:
            _write_text_files(Path(place), part)
            try:
                os.replace(part, folder)  # all files at once
            except OSError:
                if not folder.is_dir():  # not by another process either
                    raise
    return str(folder)


def _write_text_files(file, folder):
    from transformers import AutoConfig, AutoTokenizer

    origin = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    config = AutoConfig.from_pretrained(**origin)
    config.architectures = config.architectures or causal_architectures(config)
    config.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**origin).save_pretrained(folder)


def _cache():
    from huggingface_hub import constants

    folder = Path(constants.HF_HOME) / "sklearn_adaalloc" / "gguf"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(_folder_of_process().name)


@lru_cache(maxsize=1)
def _folder_of_process():
    return tempfile.TemporaryDirectory(prefix="sklearn_adaalloc-gguf-")
