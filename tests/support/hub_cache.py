"""A hub cache as the hub's client lays it out, and what is asked of the hub."""

import hashlib
import sys
from contextlib import contextmanager
from pathlib import Path

_LOOKING_UP = (
    "/huggingface_hub/file_download.py",
    "/huggingface_hub/hf_api.py",
    "/huggingface_hub/utils/_http.py",
    "/transformers/utils/hub.py",
)


def add_commit(root, name, letter, folder, *, branch="main", **extra):
    """Write a commit of a model, its files as links to blobs, and point a branch to it.

    Parameters
    ----------
    root : path
        The hub's cache.
    name : str
        Owner and model.
    letter : str
        The commit is forty times this letter.
    folder : path
        Files of the model.
    branch : str, default="main"
        Branch or tag.
    **extra : bytes
        Further files by name.

    Returns
    -------
    snapshot : Path
    """
    repo = Path(root, f"models--{name.replace('/', '--')}")
    snapshot, blobs, refs = (
        repo / "snapshots" / (letter * 40),
        repo / "blobs",
        repo / "refs",
    )
    for each in (snapshot, blobs, refs):
        each.mkdir(parents=True, exist_ok=True)
    files = {file.name: file.read_bytes() for file in Path(folder).iterdir()}
    for file, data in {**files, **extra}.items():
        digest = hashlib.sha256(data).hexdigest()
        # Small files bear a shorter hash.
        blob = blobs / (digest if file.endswith(".safetensors") else digest[:40])
        blob.write_bytes(data)
        (snapshot / file).symlink_to(blob)
    (refs / branch).write_text(letter * 40)
    return snapshot


@contextmanager
def look_ups():
    """Yield a list that fills with whatever looks a model up, or loads it, inside."""
    found = []

    def watch(frame, event, argument):
        code = frame.f_code
        if event == "call" and (
            code.co_name == "from_pretrained" or code.co_filename.endswith(_LOOKING_UP)
        ):
            found.append(f"{code.co_filename}: {code.co_name}")

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield found
    finally:
        sys.setprofile(before)
