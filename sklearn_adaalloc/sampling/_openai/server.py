"""A server: its address, its key and its errors."""

import asyncio
import os
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from sklearn_adaalloc.sampling._openai.client import StatusError, UnreachableError
from sklearn_adaalloc.sampling._openai.dispatch import Problem
from sklearn_adaalloc.sampling._openai.replies import ErrorReply

_RETRIED = (408, 409, 429)  # and 5xx
_ABOUT_US = (401, 402, 404, 405)  # these concern all requests, not one prompt
# Codes and types of errors, in lower case, grouped by their consequence.
_FATAL = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "invalid_api_key",
    "authentication_error",
    "unauthenticated",
    "model_not_found",
}
_REFUSED = {
    "content_filter",
    "content_policy_violation",
    "context_length_exceeded",
    "exceed_context_size_error",
    "invalid_argument",
    "invalid_prompt",
    "invalid_request_error",
    "badrequesterror",
}
_MODERATION = re.compile(r"(?i)moderat|flagged|content.{0,3}(filter|polic)|safety")


class Server(NamedTuple):
    """A server. Its key is never shown, and is empty if there is none.

    `key_name` is the environment variable of the key, or None. `timeout` is in seconds.
    """

    base_url: str
    key: str
    key_name: str | None
    timeout: float

    def __repr__(self):
        return f"Server(base_url={self.base_url!r})"

    def diagnose(self, error):
        """Describe an error and whether to try again; the key is removed from the text.

        Parameters
        ----------
        error : Exception
            From the client.

        Returns
        -------
        Problem
        """
        server = f"server base_url={self.base_url!r}"
        if isinstance(error, asyncio.TimeoutError):
            return Problem("passing", f"The {server} took over {self.timeout:g} s")
        if isinstance(error, UnreachableError):
            reason = self._without_key(str(error))
            return Problem("passing", f"The {server} cannot be reached: {reason}")
        if isinstance(error, ErrorReply):
            if not error.reason:
                return Problem("half", "No reply had a complete answer")
            reason = self._without_key(error.reason)[:1000]
            message = f"The {server} replies with status 200 and an error: {reason}"
            return Problem(_kind(error.codes, reason, unknown="half"), message)
        if not isinstance(error, StatusError):
            return Problem(
                "fatal", self._without_key(f"{type(error).__name__}: {error}")
            )
        reason = self._without_key(error.reason)[:1000]
        message = f"The {server} replies with status {error.status}: {reason}"
        if error.status == 401 and not self.key:
            message += f" (There is no key: {self.key_name} is not set.)"
        kind = _kind([error.status, *error.codes], reason, unknown="refused")
        return Problem(kind, message, error.headers, status=error.status)

    def _without_key(self, message):
        return message.replace(self.key, "***") if self.key else message


def _kind(codes, reason, unknown):
    """Kind of a problem, by its codes and its message; the first HTTP status counts."""
    names = {str(code).lower() for code in codes}
    numbers = [int(name) for name in map(str, codes) if name.isdecimal()]
    status = next((number for number in numbers if 400 <= number < 600), None)
    if names & _FATAL:
        return "fatal"
    if status is None:
        return "refused" if names & _REFUSED else unknown
    if status in _RETRIED or status >= 500:
        return "passing"
    if status == 403:
        about_prompt = names & _REFUSED or _MODERATION.search(reason)
        return "refused" if about_prompt else "barred"
    return "fatal" if status in _ABOUT_US else "refused"


def read_key(name):
    """Read the key from an environment variable; empty if there is none.

    Raises ValueError if it has line breaks or other characters that no key has.
    """
    key = os.environ.get(name, "").strip() if name else ""
    if not (key.isascii() and key.isprintable()):
        raise ValueError(
            f"the key in the environment variable {name} has characters that no key "
            "has. Set it to the key alone."
        )
    return key


def check_key_name(name):
    """Check that this is the name of an environment variable, and not the key."""
    if name is not None and not (
        isinstance(name, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    ):
        raise ValueError(
            "api_key_env is not the name of an environment variable. (Its value is not "
            "shown, because it may be the key.) Put the key into a variable, and give "
            "the name of that variable."
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
