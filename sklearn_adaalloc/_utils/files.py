"""Files that are written as a whole or not at all."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_whole(path, text):
    """Write a text to a file in one step, or leave the file as it was.

    Parameters
    ----------
    path : str or path
        File.
    text : str
        Its content.

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
    path = Path(path)
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        new.write_text(text, encoding="utf-8", errors="replace")
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
