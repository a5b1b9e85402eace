"""Places of files that commands write."""

from pathlib import Path


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
        If its folder does not exist, or it is a folder itself.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._files import check_place
    >>> check_place("report.html", "--html")
    """
    if Path(path).is_dir():
        raise ValueError(f"{option} {path} is a folder. Expected a file to write.")
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(
            f"{option} {path} lies in a folder that does not exist. Make the folder, "
            "or name another file."
        )
