"""Places of files that commands write."""

import os
from pathlib import Path

from sklearn_adaalloc.persistence._manifest import check_replaceable


def check_place(path, option):
    """Check that a file can be written, before the work that fills it.

    Parameters
    ----------
    path : str
        File to be written.
    option : str
        Option that names it, for the message.

    Raises
    ------
    ValueError
        If its folder does not exist, it is a folder itself, or it cannot be written.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._files import check_place
    >>> check_place("report.html", "--html")
    """
    if Path(path).is_dir():
        raise ValueError(f"{option} {path} is a folder. Expected a file to write.")
    parent = Path(path).absolute().parent
    if not parent.is_dir():
        raise ValueError(
            f"{option} {path} lies in a folder that does not exist. Make the folder, "
            "or name another file."
        )
    if not os.access(Path(path) if Path(path).exists() else parent, os.W_OK):
        raise ValueError(
            f"{option} {path} cannot be written: permission denied. Name another file, "
            "or change the permissions."
        )


def check_policy_place(path):
    """Check that a policy can be saved, before the work that makes it.

    Parameters
    ----------
    path : str
        Folder of the policy.

    Raises
    ------
    ValueError
        If it is a file, holds other things, or cannot be written.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._files import check_policy_place
    >>> check_policy_place("a-new-policy")
    """
    folder = Path(path).absolute()
    check_replaceable(folder)
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(there, os.W_OK):
        raise ValueError(
            f"--out {path} cannot be written: {there} may not be changed. Name another "
            "folder, or change the permissions."
        )
