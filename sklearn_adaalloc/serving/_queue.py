"""Places for the requests that are answered at a time, and a queue before them."""

import asyncio
import math
import time
from collections import deque

from sklearn_adaalloc.serving._errors import ApiError

_REMEMBERED = 100  # requests whose durations tell how fast the queue moves
_LONGEST = 60  # seconds; clients do not heed more


class Queue:
    """Requests that are answered, and those that wait, first come, first served.

    It belongs to one event loop.

    Parameters
    ----------
    n_places : int
        Largest number of requests that are answered at a time.
    most_waiting : int
        Largest number of requests that wait for a place.
    refused : Counter
        Counts requests that got no place, by reason.
    clock : callable, default=time.monotonic
        Tells the time in seconds.

    Examples
    --------
    >>> import asyncio
    >>> from sklearn_adaalloc.serving._metrics import Counter
    >>> from sklearn_adaalloc.serving._queue import Queue
    >>> async def main():
    ...     queue = Queue(1, 1, Counter("refused_total", "Refused."))
    ...     first, second = queue.enter(), queue.enter()
    ...     print(first.done(), second.done(), queue.n_in_flight, queue.n_waiting)
    ...     queue.leave(first)
    ...     await second
    ...     print(queue.n_in_flight, queue.n_waiting)
    >>> asyncio.run(main())
    True False 1 1
    1 0
    """

    def __init__(self, n_places, most_waiting, refused, clock=time.monotonic):
        self._n_places = n_places
        self._most_waiting = most_waiting
        self._refused = refused
        self._clock = clock
        self._since = {}  # turn of a request that has a place -> when it got it
        self._waiting = deque()
        self._durations = deque(maxlen=_REMEMBERED)

    @property
    def n_in_flight(self):
        """Number of requests that are answered, int."""
        return len(self._since)

    @property
    def n_waiting(self):
        """Number of requests that wait, int."""
        return len(self._waiting)

    def enter(self):
        """Take a place or the end of the queue.

        Returns
        -------
        turn : Future
            Done once the request has a place. In any case, :meth:`leave` ends it.

        Raises
        ------
        ApiError
            If the queue is full.
        """
        turn = asyncio.get_running_loop().create_future()
        if self.n_in_flight < self._n_places:
            self._start(turn)
        elif self.n_waiting < self._most_waiting:
            self._waiting.append(turn)
        else:
            raise self.refusal(
                f"{self.n_in_flight} requests are being answered and {self.n_waiting} "
                "wait. Come again later.",
                "full",
            )
        return turn

    def leave(self, turn):
        """Give the place of a request to the next, or leave the queue."""
        if turn not in self._since:
            self._waiting.remove(turn)
            return
        self._durations.append(self._clock() - self._since.pop(turn))
        while self._waiting and self.n_in_flight < self._n_places:
            self._start(self._waiting.popleft())

    def refusal(self, message, reason):
        """Make the error of a request that gets no place, and count it."""
        self._refused.add(reason=reason)
        retry_after = self.seconds_to_wait()
        return ApiError(503, message, "overloaded", retry_after=retry_after)

    def seconds_to_wait(self):
        """Seconds until those that wait now will have left, from 1 to 60, int.

        It is estimated from how long recent requests took.
        """
        if not self._durations:
            return 1
        mean = sum(self._durations) / len(self._durations)
        seconds = (self.n_waiting + 1) * mean / self._n_places
        return min(max(math.ceil(seconds), 1), _LONGEST)

    def _start(self, turn):
        self._since[turn] = self._clock()
        if not turn.done():  # cancelled while it waited; it leaves at once
            turn.set_result(None)
