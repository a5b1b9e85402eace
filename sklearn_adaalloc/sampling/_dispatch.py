"""Many requests to one server at once: retries, and what is missing asked for again."""

import asyncio
import queue
import threading
from contextlib import suppress
from typing import NamedTuple

from sklearn_adaalloc.sampling._protocol import SampledAnswer
from sklearn_adaalloc.sampling._replies import read_reply, seconds_to_wait

_LONGEST_ASKED = 300.0  # seconds that a server may ask to wait before we give up


class Request(NamedTuple):
    """Samples `first` to ``first + n - 1`` of one prompt."""

    row: int
    first: int
    n: int


class Problem(NamedTuple):
    """Why a request got no answer.

    Attributes
    ----------
    kind : {"passing", "half", "refused", "fatal"}
        The first two are tried again. If that is of no avail, "passing" is the server's
        fault, "half" that of the request; "refused" ends the request at once, "fatal"
        all of them.
    message : str
        What to tell the user.
    headers : mapping or None
        Of the reply.
    """

    kind: str
    message: str
    headers: object = None


class Dispatcher:
    """Send requests, a bounded number at a time, until each sample has its answer.

    Parameters
    ----------
    send : callable
        Coroutine function of a Request that returns the body of the reply, a str.
    diagnose : callable
        Takes an exception of `send`, returns a Problem.
    give : callable
        Takes each SampledAnswer.
    max_retries : int
        Attempts after the first, for each request.
    """

    def __init__(self, send, diagnose, give, max_retries):
        self._send = send
        self._diagnose = diagnose
        self._give = give
        self._max_retries = max_retries
        self._n_answered = 0
        self.one_by_one = False  # whether the server has shown not to heed n

    async def run(self, requests, max_concurrency):
        """Send all requests and what follows from them.

        Raises
        ------
        ConnectionError
            If the server does not answer any more.
        ValueError
            If it refuses us altogether.
        """
        self._line = asyncio.Queue()
        for request in requests:
            self._line.put_nowait(request)
        n_workers = min(max_concurrency, sum(request.n for request in requests))
        workers = [asyncio.create_task(self._work()) for _ in range(n_workers)]
        done = asyncio.create_task(self._line.join())
        try:
            await asyncio.wait([done, *workers], return_when=asyncio.FIRST_COMPLETED)
            for worker in workers:
                if worker.done():  # workers end with an error only
                    worker.result()
        finally:
            await _cancel([done, *workers])

    async def _work(self):
        while True:
            request = await self._line.get()
            if self.one_by_one and request.n > 1:
                self._split(request)
            else:
                await self._serve(request)
            self._line.task_done()

    def _split(self, request):
        row, first, n = request
        for sample in range(first, first + n):
            self._line.put_nowait(Request(row, sample, 1))

    async def _serve(self, request):
        """Get at least one answer; what is then missing goes back into the line."""
        n_answered = self._n_answered
        for attempt in range(self._max_retries + 1):
            reply, problem = await self._try(request)
            if reply.answers:
                return self._hand_out(request, reply)
            if problem.kind == "refused" and request.n > 1:
                self.one_by_one = True  # it may be n that the server refuses
                return self._split(request)
            if problem.kind == "refused":
                self.one_by_one = False  # it was not
            if problem.kind not in ("passing", "half"):
                break
            if attempt < self._max_retries:
                seconds = seconds_to_wait(attempt, problem.headers)
                if seconds > _LONGEST_ASKED:
                    break
                await asyncio.sleep(seconds)
        error = _as_exception(problem, attempt + 1)
        # As long as others are answered, it is this request that cannot be.
        if problem.kind == "fatal" or (
            problem.kind == "passing" and self._n_answered == n_answered
        ):
            raise error
        for sample in range(request.first, request.first + request.n):
            self._give(SampledAnswer(request.row, sample, None, 0, 0, error))
        return None

    async def _try(self, request):
        """Send once: a reply, and what is wrong with it."""
        reply = read_reply("", 0)
        try:
            reply = read_reply(await self._send(request), request.n)
        except Exception as error:
            return reply, self._diagnose(error)
        return reply, Problem("half", "No reply had a complete answer")

    def _hand_out(self, request, reply):
        row, first, n = request
        n_answers = len(reply.answers)
        for j, answer in enumerate(reply.answers):
            prompt_tokens = 0 if j else reply.prompt_tokens
            tokens = reply.answer_tokens[j]
            self._give(SampledAnswer(row, first + j, answer, prompt_tokens, tokens))
        self._n_answered += n_answers
        if n_answers < n:
            self.one_by_one = self.one_by_one or n_answers == 1
            self._line.put_nowait(Request(row, first + n_answers, n - n_answers))


async def _cancel(tasks):
    """Cancel tasks, and wait until they have ended."""
    running = set(tasks)
    while running:
        # Up to Python 3.11, wait_for loses a cancellation that comes with its result.
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.1)
    await asyncio.gather(*tasks, return_exceptions=True)  # none is left unretrieved


def _as_exception(problem, n_attempts):
    if problem.kind in ("passing", "half"):
        times = f"{n_attempts} attempts" if n_attempts > 1 else "1 attempt"
        return ConnectionError(f"{problem.message} ({times}).")
    return ValueError(problem.message)


def iterate(run):
    """Yield what a coroutine gives, while it runs in a thread of its own.

    So it can be used where an event loop is running already, as in a notebook. Closing
    the generator cancels the coroutine.

    Parameters
    ----------
    run : callable
        Coroutine function; it takes a function, `give`, and calls it with each thing to
        yield.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._dispatch import iterate
    >>> async def count(give):
    ...     for number in range(3):
    ...         give(number)
    >>> list(iterate(count))
    [0, 1, 2]
    """
    things = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(run(lambda thing: things.put((thing, None))))

    def work():
        error = StopIteration()
        try:
            loop.run_until_complete(task)
        except BaseException as caught:
            error = caught
        finally:
            loop.run_until_complete(_cancel(asyncio.all_tasks(loop)))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            things.put((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            thing, error = things.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield thing
    finally:
        with suppress(RuntimeError):  # the loop is closed: it has ended by itself
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
