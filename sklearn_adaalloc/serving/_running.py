"""Running an application until it is told to stop, in one process or several."""

import os
import signal
import socket
import threading
from functools import partial
from multiprocessing import parent_process
from tempfile import TemporaryDirectory

from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc.serving._metrics import WRITTEN_EVERY
from sklearn_adaalloc.serving._workers import supervise, told_to_stop

_WAITING = 2048  # connections


def run_app(make_app, *, check, host, port, n_workers, patience, announce):
    """Run an application until the process gets SIGTERM or SIGINT.

    Whoever is connected then gets an answer, and nobody else is let in. A second SIGINT
    ends it at once.

    Parameters
    ----------
    make_app : callable
        Makes the application, from
        :func:`~sklearn_adaalloc.serving.create_app`. With several processes, each
        calls it; it must be picklable.
    check : callable
        Is called once the application could be made; raises if it shall not run.
    host : str
        Address to listen at.
    port : int
        Port; 0 for one that is free.
    n_workers : int
        Number of processes that share the port. One that dies is replaced.
    patience : float
        Seconds that requests in flight have when the process is told to stop.
    announce : callable
        Is told the address, once it is open.

    Raises
    ------
    ImportError
        If uvicorn is not installed.
    OSError
        If the port is in use, or there is no such address.
    ChildProcessError
        If processes die again and again.
    KeyboardInterrupt
        At a second SIGINT. What was in flight is lost.
    """
    import_optional("uvicorn", "serve")
    app = make_app()  # whatever is wrong is said before anybody connects
    try:
        check()
    except BaseException:
        _close_stream(app)
        raise
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:  # says neither which address nor which port
            place = f"{host}:{port}"
            raise OSError(error.errno, error.strerror, place) from error
        listening.listen(_WAITING)  # whoever connects from now on waits, and is served
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listening.getsockname()[1]}/v1"
        with told_to_stop() as told:
            announce(address)
            if n_workers == 1:
                _serve(app, listening, patience, told)
                return
            _close_stream(app)
            del app  # each process makes its own
            with TemporaryDirectory(prefix="adaalloc-") as folder:
                work = partial(_work, make_app, listening, patience, folder)
                supervise(n_workers, work, patience + 5, told, listening.close)


def _close_stream(app):
    if app.state.answerer.stream is not None:
        app.state.answerer.stream.close()


def _work(make_app, listening, patience, folder):
    """Serve in a process of its own, which ends when the first process does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process heeds Ctrl-C
    app = make_app()
    metrics = app.state.answerer.metrics
    metrics.share(folder)

    async def write():
        metrics.write()

    notify = {"callback_notify": write, "timeout_notify": WRITTEN_EVERY}
    with told_to_stop() as told:
        _serve(app, listening, patience, told, **notify)
    metrics.write()


def _end_with_parent():
    parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)


def _serve(app, listening, patience, told, **options):
    """Serve until told to stop: uvicorn passes on to `told` what it was told."""
    from uvicorn import Config

    from sklearn_adaalloc.serving._stopping import GracefulServer

    config = Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(patience) + 1,
        **options,
    )
    server = GracefulServer(config)
    server.should_exit = bool(told)
    server.run(sockets=[listening])
    if server.force_exit:
        raise KeyboardInterrupt
