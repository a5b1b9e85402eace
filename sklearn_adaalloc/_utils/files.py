"""Files that are written as a whole or not at all."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_whole(path, content):
    """Write a file in one step, or leave it as it was.

    A link stays a link. What is no file, such as a pipe or a terminal, is written to.

    Parameters
    ----------
    path : str or path
        File.
    content : str or bytes
        Its content. A text is written as UTF-8.

    Raises
    ------
    OSError
        If it cannot be written; it names the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc._utils.files import write_whole
    >>> with TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "a.txt"), "all of it")
    ...     [path.name for path in Path(folder).iterdir()]
    ['a.txt']
    """
    if isinstance(content, str):
        content = content.encode("utf-8", errors="replace")
    try:
        _write(Path(path), content)
    except OSError as error:  # that of a full disk names no file
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write(path, content):
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = path.resolve()
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        with open(new, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # its name must not outlive its content
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
