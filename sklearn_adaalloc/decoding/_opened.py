"""What a decoder keeps between queries that it answers in an event loop."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing, nullcontext
from contextvars import copy_context
from functools import partial
from reprlib import repr as short_repr
from threading import Lock
from weakref import WeakKeyDictionary

from joblib import effective_n_jobs

from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc.allocators import Stream

_ALL = -1  # processors
_QUICK = 0.005  # seconds; an event loop may be held so long
_IN_A_ROW = 20  # quick decisions, after which the next one is taken to be quick


class Opened:
    """The stream of a decoder, its threads, and how many queries it answers at a time.

    Parameters
    ----------
    decider : Stream or estimator
        What decides: a stream, an allocator that can open one, or another allocator.
    samplers : list of n_decoders callables or objects
        Samplers as the user gave them.
    max_in_flight : int
        Largest number of queries that are answered at a time.
    n_graders : int or None
        Largest number of threads that grade.
    connections : AsyncExitStack
        Keeps connections of samplers open.
    """

    def __init__(self, decider, samplers, max_in_flight, n_graders, connections):
        self.made_from = (decider, *samplers, max_in_flight, n_graders)
        self.connections = connections
        self._decider = decider
        self._stream = decider if isinstance(decider, Stream) else None
        self._lock = Lock()
        self._max_in_flight = max_in_flight
        self._places = WeakKeyDictionary()  # event loop -> Semaphore
        # A policy may read hidden states of a model that also samples. So all that
        # runs a model of this process takes turns in one thread.
        self._local = ThreadPoolExecutor(1, "adaalloc-local")
        self._deciding = Lock()
        self._n_quick = 0
        self._samplers = samplers
        self._shares_local = any(map(_runs_model, samplers))
        self._is_closed = False
        self._sampling = {}  # decoder -> threads
        self._grading = ThreadPoolExecutor(
            n_graders or effective_n_jobs(_ALL), "adaalloc-grader"
        )

    @property
    def stream(self):
        """The stream, opened when first needed. None if there is no stream policy."""
        with self._lock:
            if self._stream is None and hasattr(self._decider, "open"):
                self._stream = self._decider.open()
            return self._stream

    @asynccontextmanager
    async def place(self):
        """Wait until fewer queries than allowed are in flight, and be one of them."""
        loop = asyncio.get_running_loop()
        if loop not in self._places:
            self._places[loop] = asyncio.Semaphore(self._max_in_flight)
        async with self._places[loop]:
            yield

    async def begin(self, start):
        """Call a function that returns a session, in the thread of the policy.

        Once decisions have been quick for a while, they are made in the event loop
        instead: a thread would take longer, there and back. The first slow one ends
        that. If the wait is cancelled, the session is closed as soon as it is there.
        """
        self._check_open()
        is_quick = self._n_quick >= _IN_A_ROW and not self._shares_local
        if is_quick and self._deciding.acquire(blocking=False):
            return self._decide(start)
        future = self._local.submit(copy_context().run, self._decide_in_turn, start)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(_close_unused)
            raise

    def _decide_in_turn(self, start):
        self._deciding.acquire()
        return self._decide(start)

    def _decide(self, start):
        """Call a function whose turn it is, and see how long it takes."""
        since = time.perf_counter()
        try:
            return _call(start)
        finally:
            took = time.perf_counter() - since
            self._n_quick = self._n_quick + 1 if took < _QUICK else 0
            self._deciding.release()

    async def sample(self, decoder, function):
        """Call a function in a thread of the sampler of a decoder."""
        self._check_open()
        if decoder not in self._sampling:
            self._sampling[decoder] = self._threads_of(self._samplers[decoder])
        return await _in_thread(self._sampling[decoder], function)

    async def grade(self, function):
        """Call a function in a thread that grades."""
        self._check_open()
        return await _in_thread(self._grading, function)

    def _check_open(self):
        if self._is_closed:
            raise RuntimeError(
                "the decoder was closed while this query was in flight. Await all "
                "answers before aclose, or before the end of async with."
            )

    def close(self):
        """Let the threads end."""
        self._is_closed = True
        for threads in (self._local, *self._sampling.values(), self._grading):
            threads.shutdown(wait=False)

    def _threads_of(self, sampler):
        if _runs_model(sampler):
            return self._local
        name = f"max_concurrency of sampler {short_repr(sampler)}"
        n_threads = check_whole(getattr(sampler, "max_concurrency", 1), name, least=1)
        return ThreadPoolExecutor(n_threads, "adaalloc-sampler")


def _runs_model(sampler):
    """Whether a sampler runs a model of this process."""
    return hasattr(sampler, "shares_prefill_with")


def new_connections():
    """Nothing to be closed yet."""
    return AsyncExitStack()


def ending(session):
    """Context that closes a session of a stream at its end; others need no closing."""
    return closing(session) if hasattr(session, "close") else nullcontext()


async def _in_thread(threads, function):
    loop = asyncio.get_running_loop()
    # Tracing and the like follow the query into the thread.
    work = partial(copy_context().run, _call, function)
    return await loop.run_in_executor(threads, work)


def _call(function):
    """Call a function; what would end an event loop, or be lost in it, is an error."""
    try:
        return function()
    except (StopIteration, SystemExit) as error:
        raise RuntimeError(f"A function of the user raised {error!r}.") from error


def _close_unused(future):
    if not future.cancelled() and future.exception() is None:
        with ending(future.result()[1]):
            pass
