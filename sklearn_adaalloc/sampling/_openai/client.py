"""A client of HTTP for one server: posts JSON, and returns the text of the reply.

It does no more than the sampler needs. Clients that make objects of replies take
several times as long, which servers that pass requests on cannot afford. aiohttp is
imported when needed.
"""

import asyncio
import json
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._version import __version__
from sklearn_adaalloc.sampling._openai.replies import read_refusal

_IDLE = 4.0  # seconds; many servers close idle connections after five


class UnreachableError(Exception):
    """The connection could not be made, or was lost."""


class StatusError(Exception):
    """A reply with the status of an error.

    Attributes
    ----------
    status : int
        Its status.
    reason : str
        What the body says.
    codes : list
        Codes and types of errors in the body, str or int.
    headers : mapping
        Headers, whatever their case.
    """

    def __init__(self, status, text, headers):
        self.status = status
        self.reason, self.codes = read_refusal(text)
        self.headers = headers
        super().__init__(f"status {status}: {self.reason}")


class Client:
    """Connections to a server, kept open between requests.

    It belongs to the event loop in which it sends its first request.

    Parameters
    ----------
    base_url : str
        Address of the server.
    key : str
        Sent with each request; empty for none.
    timeout : float
        Seconds until a reply has arrived as a whole.

    Raises
    ------
    ImportError
        If aiohttp is not installed.
    """

    def __init__(self, base_url, key, timeout):
        self._aiohttp = import_optional("aiohttp", extra="openai")
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._headers = {
            # Some servers want one, although they do not look at it.
            "Authorization": f"Bearer {key or 'none'}",
            "Accept": "application/json",
            "User-Agent": f"sklearn-adaalloc/{__version__}",
        }
        parts = urlsplit(self._base_url)
        proxies = {} if proxy_bypass(parts.hostname or "") else getproxies()
        self._proxy = proxies.get(parts.scheme) or proxies.get("all")
        self._session = None

    async def post(self, path, fields):
        """Post JSON.

        Parameters
        ----------
        path : str
            Below the address of the server.
        fields : dict
            What the body holds.

        Returns
        -------
        text : str
            Body of the reply.

        Raises
        ------
        StatusError
            If the reply has another status than 2xx.
        UnreachableError
            If the server cannot be reached, or hangs up.
        TimeoutError
            If it takes too long.
        ValueError
            If the fields cannot be written as JSON.
        """
        body = json.dumps(fields, allow_nan=False).encode()
        return await self._exchange("POST", path, body)

    async def get(self, path):
        """Get a page; see :meth:`post`."""
        return await self._exchange("GET", path, None)

    async def close(self):
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, method, path, body):
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            async with self._opened().request(
                method, f"{self._base_url}/{path}", data=body, headers=headers
            ) as reply:
                # Half a character is as good as half a reply: it is asked for again.
                text = await reply.text(errors="replace")
        except asyncio.TimeoutError:  # some are also of the next kinds
            raise
        except (self._aiohttp.ClientError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UnreachableError(reason) from error
        if not 200 <= reply.status < 300:
            raise StatusError(reply.status, text, reply.headers)
        return text

    def _opened(self):
        if self._session is None:
            aiohttp = self._aiohttp
            self._session = aiohttp.ClientSession(
                # The sampler bounds how many there are.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
            )
        return self._session
