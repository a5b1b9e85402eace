"""Errors in the form that clients of OpenAI's protocol know."""

import asyncio
import logging
import math

from sklearn_adaalloc.allocators import CapReachedError

_LOG = logging.getLogger("sklearn_adaalloc.serving")
_BUSY = (429, 503)
_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """A request that gets an error instead of an answer.

    Parameters
    ----------
    status : int
        HTTP status of the reply.
    message : str
        Text for the user.
    code : str
        A word for programs.
    param : str, default=None
        Field of the request that is at fault.
    retry_after : int, default=None
        After how many seconds the request may come again.

    Examples
    --------
    >>> from sklearn_adaalloc.serving._errors import ApiError
    >>> ApiError(404, "There is no such model.", "model_not_found", "model").body
    {'error': {'message': 'There is no such model.', 'type': 'not_found_error', \
'param': 'model', 'code': 'model_not_found'}}
    """

    def __init__(self, status, message, code, param=None, *, retry_after=None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after

    @property
    def body(self):
        """The body of the reply."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {
            "error": {
                "message": str(self),
                "type": _TYPES.get(self.status, kind),
                "param": self.param,
                "code": self.code,
            }
        }

    @property
    def headers(self):
        """Headers of the reply."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers


class RefusedUpstreamError(ValueError):
    """A server refused a request for good."""


class UpstreamError(ConnectionError):
    """A server cannot be reached, or does not answer as it should.

    Parameters
    ----------
    message : str
        Text for the user.
    status : int, default=None
        Status of its last reply, if there was one.
    retry_after : float, default=None
        Seconds after which it wants to be asked again, if it said so.
    """

    def __init__(self, message, status=None, retry_after=None):
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


def bad_request(message, param):
    """An error of status 400 about a field of the request."""
    return ApiError(400, message, "invalid_value", param)


def as_api_error(error, *, deadline, retry_after=1):
    """Turn what answering a query raised into an error for the client.

    Parameters
    ----------
    error : Exception
        What was raised.
    deadline : float
        Seconds that a request may take, for the message.
    retry_after : int, default=1
        Seconds after which a query that a cap refused may come again.

    Returns
    -------
    error : ApiError
    """
    if isinstance(error, ApiError):
        return error
    if isinstance(error, CapReachedError):
        return ApiError(429, str(error), "cap_reached", retry_after=retry_after)
    if isinstance(error, asyncio.TimeoutError):
        message = f"The answer was not decided within {deadline:g} seconds."
        return ApiError(504, message, "deadline_exceeded")
    if isinstance(error, RefusedUpstreamError):
        return ApiError(400, str(error), "refused_upstream")
    if isinstance(error, UpstreamError):
        # What a busy server says of itself is handed on; clients know what to do.
        busy = error.status in _BUSY
        return ApiError(
            error.status if busy else 502,
            str(error),
            "upstream_busy" if busy else "upstream_error",
            retry_after=max(math.ceil(error.retry_after or 0), 1),
        )
    _LOG.error("a request failed", exc_info=error)
    message = "The server failed on this request. Its log says why."
    return ApiError(500, message, "internal_error")
