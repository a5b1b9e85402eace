"""Concurrent requests to one server, with retries and requests for missing answers."""

import asyncio
import queue
import threading
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc.sampling._openai.replies import (
    covers_all,
    read_reply,
    seconds_asked,
    seconds_to_wait,
    share_tokens,
)
from sklearn_adaalloc.sampling._protocol import SampledAnswer
from sklearn_adaalloc.sampling._requests import cut_before

LONGEST_WAIT = 300.0  # seconds; we give up if the server asks for a longer one
_N_PROBES, _PROBE_LIMIT, _PROBE_RETRIES = 3, 1, 2


class Request(NamedTuple):
    """Samples `first` to ``first + n - 1`` of a prompt, of at most `limit` tokens."""

    row: int
    first: int
    n: int
    limit: int | None = None  # None for the sampler's own limit


class Problem(NamedTuple):
    """Why a request got no answer.

    Attributes
    ----------
    kind : {"passing", "half", "refused", "barred", "fatal"}
        "passing" and "half" are tried again. If all retries fail, "passing" means that
        the server is at fault, and "half" that the request is. "refused" ends the
        request. "fatal" ends all requests, and so does "barred" as long as the server
        has answered nothing.
    message : str
        Text for the user.
    headers : mapping or None
        Headers of the reply.
    n_attempts : int
        How often the request was sent.
    status : int or None
        Status of the reply; None if there was none, or no error by its status.
    """

    kind: str
    message: str
    headers: object = None
    n_attempts: int = 1
    status: int | None = None


class Memory:
    """What is known about a server from its replies; kept between calls.

    Attributes
    ----------
    has_answered : bool
        Whether any request was answered.
    several : {None, "counted", "uncounted", "singly"}
        How to request several answers. "counted": in one request, whose usage counts
        all of them. "uncounted": in one request without usable usage. "singly": each
        answer in its own request. None if unknown; then the usage of several answers
        is not used.
    """

    def __init__(self):
        self.has_answered = False
        self.several = None


class Dispatcher:
    """Send requests, at most some at a time, until each sample has an answer.

    Parameters
    ----------
    send : callable
        Coroutine function: Request -> body of the reply, a str.
    diagnose : callable
        Exception of `send` -> Problem.
    give : callable
        Takes each SampledAnswer.
    max_retries : int
        Attempts after the first, for each request.
    memory : Memory, default=None
        Memory of the server; None for a new one.
    longest_wait : float, default=300.0
        If the server asks for a longer wait, in seconds, that was the last attempt.
    stop : list of str, default=()
        Answers are cut before the first of them: some servers leave it in the text.
    """

    def __init__(
        self,
        send,
        diagnose,
        give,
        max_retries,
        memory=None,
        *,
        longest_wait=LONGEST_WAIT,
        stop=(),
    ):
        self._send = send
        self._diagnose = diagnose
        self._give = give
        self._max_retries = max_retries
        self._memory = memory or Memory()
        self._longest_wait = longest_wait
        self._stop = stop
        self._n_answered = 0
        self._failed = {}  # row -> exception

    async def find_out(self, requests):
        """Find out how the server counts, from two answers of one token.

        `requests` are requests for several answers. The first one that is not refused
        is used.
        """
        for row, first, *_ in requests[:_N_PROBES]:
            probe = Request(row, first, 1, _PROBE_LIMIT)
            single, problem = await self._ask(probe, _PROBE_RETRIES)
            if single is None and problem.kind in ("refused", "half"):
                continue
            if single is None:
                return
            if np.isnan(single.answer_tokens):
                self._memory.several = "uncounted"
                return
            pair, problem = await self._ask(probe._replace(n=2), _PROBE_RETRIES)
            if pair is not None and covers_all(single, pair, _PROBE_LIMIT):
                self._memory.several = "counted"
            elif pair is not None or problem.kind == "refused":
                self._memory.several = "singly"
            return

    async def run(self, requests, max_concurrency):
        """Send all requests, and further ones for missing answers.

        Raises
        ------
        ConnectionError
            If the server stops answering.
        ValueError
            If the server refuses all requests.
        """
        self._line = asyncio.Queue()
        for request in requests:
            self._line.put_nowait(request)
        n_workers = min(max_concurrency, sum(request.n for request in requests))
        if n_workers == 1:  # a task more would cost a server time for each request
            while not self._line.empty():
                await self._take(self._line.get_nowait())
        else:
            await self._share_out(n_workers)
        if len(self._failed) > 1 and not self._memory.has_answered:
            error = next(iter(self._failed.values()))
            raise type(error)(
                f"None of {len(self._failed)} prompts was answered. The first: {error}"
            )

    async def _share_out(self, n_workers):
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
            await self._take(await self._line.get())
            self._line.task_done()

    async def _take(self, request):
        if self._memory.several == "singly" and request.n > 1:
            self._split(request)
        else:
            await self._serve(request)

    def _split(self, request):
        row, first, n, _ = request
        for sample in range(first, first + n):
            self._line.put_nowait(Request(row, sample, 1))

    async def _serve(self, request):
        """Get at least one answer; requests for missing ones go back into the queue."""
        n_answered = self._n_answered
        reply, problem = await self._ask(request, self._max_retries)
        if reply is not None:
            return self._hand_out(request, reply)
        if problem.kind == "refused" and request.n > 1:
            # The server may refuse the prompt, or only n answers to it.
            one = request._replace(n=1)
            reply, problem = await self._ask(one, self._max_retries)
            if reply is not None:
                if self._memory.several != "counted":
                    self._memory.several = "singly"
                self._hand_out(one, reply)
                return self._split(Request(one.row, one.first + 1, request.n - 1))
        error = _as_exception(problem)
        # If other requests are answered, the fault is in this request.
        if (
            problem.kind == "fatal"
            or (problem.kind == "passing" and self._n_answered == n_answered)
            or (problem.kind == "barred" and not self._memory.has_answered)
        ):
            raise error
        for sample in range(request.first, request.first + request.n):
            self._fail(request.row, sample, error)
        return None

    async def _ask(self, request, max_retries):
        """Send until there is an answer: (Reply, None), or else (None, Problem)."""
        max_retries = min(max_retries, self._max_retries)
        for attempt in range(max_retries + 1):
            try:
                reply = read_reply(await self._send(request), request.n)
            except Exception as error:
                problem = self._diagnose(error)._replace(n_attempts=attempt + 1)
            else:
                self._memory.has_answered = True
                return reply, None
            if problem.kind not in ("passing", "half") or attempt == max_retries:
                break
            seconds = seconds_to_wait(attempt, problem.headers)
            if seconds > self._longest_wait:
                break
            await asyncio.sleep(seconds)
        return None, problem

    def _hand_out(self, request, reply):
        row, first, n, _ = request
        texts = [choice.text for choice in reply.choices if not choice.withheld]
        trusted = reply.n_choices == 1 or self._memory.several == "counted"
        # Tokens of choices without a text are unknown.
        whole = trusted and len(texts) == reply.n_choices <= reply.answer_tokens
        shares = iter(share_tokens(reply.answer_tokens if whole else np.nan, texts))
        prompt = reply.prompt_tokens if trusted else np.nan
        cached = reply.cached_tokens if trusted else np.nan
        for sample, choice in enumerate(reply.choices, start=first):
            if choice.withheld:
                message = f"The server sent no text for a sample: {choice.withheld}."
                self._fail(row, sample, ValueError(message))
                continue
            self._give(
                SampledAnswer(
                    row,
                    sample,
                    cut_before(choice.text, self._stop),
                    prompt,
                    next(shares),
                    cached_tokens=cached,
                    cut_off=choice.cut_off,
                )
            )
            prompt = cached = 0.0  # the first answer has those of the prompt
        n_answers = len(reply.choices)
        self._n_answered += n_answers
        if n_answers < n:
            if reply.n_choices == 1:
                self._memory.several = "singly"
            self._line.put_nowait(Request(row, first + n_answers, n - n_answers))

    def _fail(self, row, sample, error):
        self._failed.setdefault(row, error)
        self._give(SampledAnswer(row, sample, None, np.nan, np.nan, error))


async def _cancel(tasks):
    """Cancel tasks, and wait until they have ended."""
    running = set(tasks)
    while running:
        # Up to Python 3.11, wait_for loses a cancellation that comes with its result.
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.1)
    await asyncio.gather(*tasks, return_exceptions=True)  # retrieve all exceptions


def _as_exception(problem):
    if problem.kind in ("passing", "half"):
        n = problem.n_attempts
        times = f"{n} attempts" if n > 1 else "1 attempt"
        error = ConnectionError(f"{problem.message} ({times}).")
        # For servers that pass on what a busy server says.
        error.status = problem.status
        error.retry_after = seconds_asked(problem.headers)
        return error
    return ValueError(problem.message)


def iterate(run):
    """Yield what a coroutine gives, while it runs in its own thread.

    The thread makes this usable where an event loop is already running, as in a
    notebook. Closing the generator cancels the coroutine. `run` is a coroutine
    function. It takes a function `give` and calls it with each thing to yield.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._openai.dispatch import iterate
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
        with suppress(RuntimeError):  # raised if the loop has ended and is closed
            loop.call_soon_threadsafe(task.cancel)
        thread.join()


async def iterate_here(run):
    """Yield what a coroutine gives, while it runs as a task of this event loop.

    Closing the generator cancels the coroutine and waits for its end. `run` is as for
    :func:`iterate`.

    Examples
    --------
    >>> import asyncio
    >>> from sklearn_adaalloc.sampling._openai.dispatch import iterate_here
    >>> async def count(give):
    ...     for number in range(3):
    ...         give(number)
    >>> async def main():
    ...     return [number async for number in iterate_here(count)]
    >>> asyncio.run(main())
    [0, 1, 2]
    """
    things, end = asyncio.Queue(), object()
    task = asyncio.create_task(run(things.put_nowait))
    task.add_done_callback(lambda _: things.put_nowait(end))
    try:
        while (thing := await things.get()) is not end:
            yield thing
        await task  # raises its error
    finally:
        await _cancel([task])


async def run_here(run):
    """Yield what a coroutine gave, once it has ended: :func:`iterate_here` for a thing.

    It needs no task, which servers that ask for one sample of each prompt would pay for
    with every request.

    Examples
    --------
    >>> import asyncio
    >>> from sklearn_adaalloc.sampling._openai.dispatch import run_here
    >>> async def count(give):
    ...     give(1)
    >>> async def main():
    ...     return [number async for number in run_here(count)]
    >>> asyncio.run(main())
    [1]
    """
    things = []
    await run(things.append)
    for thing in things:
        yield thing
