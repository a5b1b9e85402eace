"""The folder of a policy: its manifest, its files, and how they are replaced.

A policy consists of the files that its manifest names. A save first writes new files
besides the old ones. Then it renames a new manifest over the old one, which the file
system does in one step. A whole folder that is not empty could not be replaced in one
step. So if a save is killed, the folder holds the old policy or the new one, and
perhaps unused files, which the next save removes.
"""

import hashlib
import json
import os
import re
import secrets
import stat
import time
from pathlib import Path

from sklearn_adaalloc._utils.parameters import check_path

FORMAT = "sklearn-adaalloc policy"
SCHEMA = 1  # increase it if older versions cannot read the new format
MANIFEST = "manifest.json"
_OURS = re.compile(r"(?:estimator|tensors|manifest)-[0-9a-f]{16}\.[a-z]+")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ABANDONED = 3600  # seconds after which a file that no manifest names is removed


def write_folder(path, content, files):
    """Write a policy, or replace the existing one, in one step.

    Parameters
    ----------
    path : str or path
        Folder. It must be new, empty or contain a policy.
    content : dict
        Content of the manifest besides format, schema and files.
    files : dict of str to bytes
        Content of each file by its name, such as "estimator.skops".

    Raises
    ------
    ValueError
        If the folder holds anything but a policy.
    """
    folder = Path(check_path(path, "path"))
    previous = check_replaceable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(8)
    names = {kind: kind.replace(".", f"-{token}.") for kind in files}
    manifest = {"format": FORMAT, "schema": SCHEMA, **content}
    manifest["files"] = {
        kind: {"name": names[kind], **_measure(data)} for kind, data in files.items()
    }
    prepared = folder / f"manifest-{token}.json"
    try:
        for kind, data in files.items():
            _write(folder / names[kind], data)
        text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
        _write(prepared, (text + "\n").encode())
        _sync(
            folder
        )  # store the names of the files before the manifest that needs them
        os.replace(prepared, folder / MANIFEST)
    except BaseException:
        for name in (prepared.name, *names.values()):
            (folder / name).unlink(missing_ok=True)
        raise
    _sync(folder)
    _remove_leftovers(folder, keep=set(names.values()), replaced=_named(previous))


def read_folder(path):
    """Read a policy's manifest and files, and check each file against its hash.

    Parameters
    ----------
    path : str or path
        Folder of a policy.

    Returns
    -------
    manifest : dict
    files : dict of str to bytes
        As given to :func:`write_folder`.

    Raises
    ------
    ValueError
        If there is no policy, or if it is of a newer schema, incomplete or damaged.
    """
    folder = Path(check_path(path, "path"))
    while True:
        manifest = read_manifest(folder)
        try:
            files = {
                kind: _read_named(folder, kind, entry)
                for kind, entry in manifest["files"].items()
            }
        except FileNotFoundError as error:
            if read_manifest(folder) == manifest:  # otherwise it was just replaced
                name = Path(error.filename).name
                raise damaged(folder, f"its file {name!r} is missing") from error
        else:
            return manifest, files


def read_manifest(folder):
    """Read and check a manifest; raises like :func:`read_folder`."""
    try:
        data = _read(folder, MANIFEST)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(
            f"path={str(folder)!r} is not a policy: it has no {MANIFEST}. Give the "
            "folder that save_policy wrote."
        ) from error
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise damaged(folder, f"its {MANIFEST} is no JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(
            f"path={str(folder)!r} is not a policy: its {MANIFEST} is another "
            f"program's. Expected one with the format {FORMAT!r}. Give the folder that "
            "save_policy wrote."
        )
    _check_manifest(folder, manifest)
    return manifest


def damaged(folder, reason):
    """The error for a policy whose files cannot be used."""
    return ValueError(
        f"path={str(folder)!r} holds a damaged policy: {reason}. Expected the files as "
        "save_policy wrote them. Restore them from a copy, or save the policy again."
    )


def _check_manifest(folder, manifest):
    schema, files = manifest.get("schema"), manifest.get("files")
    if type(schema) is not int or schema < 1:
        raise damaged(folder, f"its schema is {schema!r}")
    if schema > SCHEMA:
        raise ValueError(
            f"path={str(folder)!r} holds a policy of schema {schema!r}, newer than "
            f"this version of sklearn-adaalloc reads. Expected at most {SCHEMA}. "
            "Upgrade sklearn-adaalloc, or save the policy with this version."
        )
    if not isinstance(files, dict) or "estimator.skops" not in files:
        raise damaged(folder, f"its {MANIFEST} names no file of the estimator")
    for kind, entry in files.items():
        values = entry if isinstance(entry, dict) else {}
        name, digest = str(values.get("name")), str(values.get("sha256"))
        if not _OURS.fullmatch(name):
            raise damaged(
                folder,
                f"its {MANIFEST} names {name!r} for {kind!r}, which is no file of a "
                "policy in this folder",
            )
        if not _DIGEST.fullmatch(digest) or type(values.get("bytes")) is not int:
            raise damaged(folder, f"its {MANIFEST} has no hash or size for {name!r}")


def check_replaceable(folder):
    """Check that a folder may be written; raises like :func:`write_folder`.

    Returns
    -------
    manifest : dict
        That of the policy in the folder; empty if there is none.
    """
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise ValueError(
            f"path={str(folder)!r} is a file. Expected a folder that is new, empty or "
            "that of a policy. Choose another path."
        )
    names = sorted(entry.name for entry in folder.iterdir())
    if MANIFEST in names:
        return read_manifest(folder)
    foreign = [name for name in names if not _OURS.fullmatch(name)]
    if foreign:
        raise ValueError(
            f"path={str(folder)!r} holds {foreign[0]!r} and is no policy. Expected a "
            "folder that is new, empty or that of a policy. Choose another path."
        )
    return {}


def _remove_leftovers(folder, *, keep, replaced):
    """Remove files of the old manifest, and old files of killed saves.

    A recent file that no manifest names may belong to another save that is running.
    """
    for file in folder.iterdir():
        if not _OURS.fullmatch(file.name) or file.name in keep:
            continue
        try:
            old = time.time() - file.lstat().st_mtime > _ABANDONED
            if old or file.name in replaced:
                file.unlink()
        except OSError:  # another save removed it, or a reader holds it open
            continue


def _named(manifest):
    return {entry["name"] for entry in manifest.get("files", {}).values()}


def _measure(data):
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _read_named(folder, kind, entry):
    data = _read(folder, entry["name"])
    if _measure(data) != {"sha256": entry["sha256"], "bytes": entry["bytes"]}:
        raise damaged(
            folder, f"its file {entry['name']!r} ({kind}) differs from what was saved"
        )
    return data


def _read(folder, name):
    """Content of a regular file. Links are rejected, as they may lead anywhere."""
    file = folder / name
    if not stat.S_ISREG(file.lstat().st_mode):
        raise damaged(folder, f"{name!r} is a link or another thing than a plain file")
    return file.read_bytes()


def _write(file, data):
    with open(file, "xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder):
    """Write the names in a folder to the disk, if the system can do this."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
