"""Connections to servers, shared by the calls of an event loop."""

import asyncio
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary


class Connection:
    """A client of a server, and what the calls that use it at a time share.

    Parameters
    ----------
    max_concurrency : int
        Largest number of simultaneous requests.

    Attributes
    ----------
    client : Client
        None until it is made.
    making : Lock
        Held by the call that makes the client.
    places : Semaphore
        Each request takes one while it is sent and answered.
    finding_out : Lock
        Held by the call that tests how the server counts.
    n_users : int
        Calls that use the client.
    """

    def __init__(self, max_concurrency):
        self.client = None
        self.making = asyncio.Lock()
        self.places = asyncio.Semaphore(max_concurrency)
        self.finding_out = asyncio.Lock()
        self.n_users = 0


class Connections:
    """Open connections of one sampler, by event loop and settings.

    Examples
    --------
    >>> import asyncio
    >>> from sklearn_adaalloc.sampling._openai.connections import Connections
    >>> class Client:
    ...     async def close(self):
    ...         print("closed")
    >>> async def main(connections):
    ...     async with connections.use("settings", Client, 4) as one:
    ...         async with connections.use("settings", Client, 4) as other:
    ...             print(one is other)
    >>> asyncio.run(main(Connections()))
    True
    closed
    """

    def __init__(self):
        self._of_loops = WeakKeyDictionary()

    @asynccontextmanager
    async def use(self, settings, make_client, max_concurrency):
        """Use a connection; the last user in an event loop closes it.

        Parameters
        ----------
        settings : hashable
            What the client depends on.
        make_client : callable
            Makes the client, in a thread.
        max_concurrency : int
            Largest number of simultaneous requests of all users.

        Yields
        ------
        connection : Connection
        """
        opened = self._of_loops.setdefault(asyncio.get_running_loop(), {})
        if settings not in opened:
            opened[settings] = Connection(max_concurrency)
        connection = opened[settings]
        connection.n_users += 1
        try:
            async with connection.making:
                if connection.client is None:
                    # An import that reads certificates: the event loop does not wait.
                    connection.client = await asyncio.to_thread(make_client)
            yield connection
        finally:
            connection.n_users -= 1
            if connection.n_users == 0:
                del opened[settings]  # before the wait: others open one of their own
                if connection.client is not None:
                    await connection.client.close()
