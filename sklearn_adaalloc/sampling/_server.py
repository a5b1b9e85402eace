"""A server: its address, its key, its complaints. openai is imported when needed."""

import asyncio
import os
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from sklearn_adaalloc.sampling._dispatch import Problem

_RETRIED = (408, 409, 429)  # and 5xx
_ABOUT_US = (401, 402, 403, 404, 405)  # not about one prompt


class Server(NamedTuple):
    """What is told of a server, and what must not be.

    Attributes
    ----------
    base_url : str
    key : str
        Empty if there is none.
    key_name : str or None
        Environment variable that it came from.
    timeout : float
        Seconds that a reply may take.
    """

    base_url: str
    key: str
    key_name: str | None
    timeout: float

    def __repr__(self):
        return f"Server(base_url={self.base_url!r})"

    def diagnose(self, error):
        """Say what went wrong, and whether to try again; the key is blotted out.

        Parameters
        ----------
        error : Exception
            Of the openai client, or a timeout.

        Returns
        -------
        Problem
        """
        import openai

        server = f"server base_url={self.base_url!r}"
        if isinstance(error, (asyncio.TimeoutError, openai.APITimeoutError)):
            return Problem("passing", f"The {server} took over {self.timeout:g} s")
        if isinstance(error, openai.APIConnectionError):
            cause = error.__cause__ or error
            reason = self._without_key(f"{type(cause).__name__}: {cause}")
            return Problem("passing", f"The {server} cannot be reached: {reason}")
        if not isinstance(error, openai.APIStatusError):
            return Problem(
                "fatal", self._without_key(f"{type(error).__name__}: {error}")
            )
        status = error.status_code
        message = f"The {server} says: {self._without_key(str(error))[:1000]}"
        if (status in _RETRIED or status >= 500) and error.code != "insufficient_quota":
            return Problem("passing", message, error.response.headers)
        if status == 401 and not self.key:
            message += f" (There is no key: {self.key_name} is not set.)"
        return Problem("fatal" if status in _ABOUT_US else "refused", message)

    def _without_key(self, message):
        return message.replace(self.key, "***") if self.key else message


def read_key(name):
    """Read the key from an environment variable; empty if there is none.

    Parameters
    ----------
    name : str or None
        Name of the variable.

    Returns
    -------
    key : str

    Raises
    ------
    ValueError
        If it has line breaks or other characters that no key has.
    """
    key = os.environ.get(name, "").strip() if name else ""
    if not (key.isascii() and key.isprintable()):
        raise ValueError(
            f"the key in the environment variable {name} has characters that no key "
            "has. Set it to the key alone."
        )
    return key


def check_key_name(name):
    """Check that this names an environment variable, and is not the key itself."""
    if name is not None and not (
        isinstance(name, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    ):
        raise ValueError(
            "api_key_env is not the name of an environment variable. (Its value is not "
            "shown, lest it be the key.) Put the key into a variable, and give that "
            "variable's name."
        )


def check_address(base_url):
    """Check the address of a server."""
    parts = urlsplit(base_url) if isinstance(base_url, str) else None
    if parts is not None and "@" in parts.netloc:
        raise ValueError(
            "base_url has a user name or a key in it, which would end up in logs. Put "
            "the key into an environment variable, and give its name as api_key_env."
        )
    if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(
            f"base_url={base_url!r} is not accepted. Expected an address such as "
            "'http://localhost:8000/v1'."
        )
