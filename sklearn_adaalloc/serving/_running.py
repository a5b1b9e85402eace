"""Running an application until it is told to stop."""

import socket

from sklearn_adaalloc._utils.optional import import_optional

_WAITING = 2048  # connections


def run_app(app, *, host, port, patience, announce):
    """Run an application until the process gets SIGTERM or SIGINT.

    What is in flight then is finished; nothing new is taken.

    Parameters
    ----------
    app : Starlette
        From :func:`~sklearn_adaalloc.serving.create_app`.
    host : str
        Address to listen at.
    port : int
        Port; 0 for one that is free.
    patience : float
        Seconds that requests in flight have when the process is told to stop.
    announce : callable
        Is told the address, once it is open.

    Raises
    ------
    ImportError
        If uvicorn is not installed.
    OSError
        If the port is in use.
    """
    uvicorn = import_optional("uvicorn", "serve")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_WAITING)  # whoever connects from now on waits, and is served
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{listening.getsockname()[1]}/v1")
        config = uvicorn.Config(
            app,
            log_level="warning",
            timeout_graceful_shutdown=int(patience) + 1,
        )
        uvicorn.Server(config).run(sockets=[listening])
