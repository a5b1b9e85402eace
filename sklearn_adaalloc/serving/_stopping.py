"""The end of a server: whoever is connected gets an answer, and nobody else."""

import asyncio

import uvicorn

_FIRST_WORDS = 0.3  # seconds that a connection has to begin its request
_LAST_WORDS = 5.0  # seconds that the application has to give up


class GracefulServer(uvicorn.Server):
    """A server that answers whoever was connected when it was told to stop.

    That of uvicorn drops connections which it has not accepted, and those whose request
    it has not read.
    """

    async def shutdown(self, sockets=None):
        """Accept nobody else, let the connected begin, and finish what has begun."""
        kept = [each.dup() for each in sockets or []]
        for server in self.servers:
            server.close()
        waiting = [each for listening in kept for each in _accept_all(listening)]
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)
        await asyncio.sleep(_FIRST_WORDS)
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn leaves all as it is
            await self._hang_up()
            await self.lifespan.shutdown()

    async def _hang_up(self):
        """Close all connections. As if clients had left, the application gives up."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_LAST_WORDS)

    def _protocol(self):
        return self.config.http_protocol_class(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )


def _accept_all(listening):
    """Connections that wait at a socket, which is then closed."""
    accepted = []
    with listening:
        listening.setblocking(False)
        while True:
            try:
                connection, _ = listening.accept()
            except BlockingIOError:
                return accepted
            except ConnectionError:  # it has hung up
                continue
            connection.setblocking(False)
            accepted.append(connection)
