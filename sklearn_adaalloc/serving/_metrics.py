"""Counts of what a server does, in the text format that Prometheus reads.

Each process counts for itself. If there are several, each writes its counts into a
folder that they share, and whichever is asked adds them up.
"""

import collections
import json
import os
import time
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path
from threading import Lock

from sklearn_adaalloc._utils.files import write_whole

WRITTEN_EVERY = 1  # seconds
_OUTDATED = 5  # seconds
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Counter:
    """A number that only grows, for each combination of labels.

    Parameters
    ----------
    name : str
        Its name.
    told : str
        What it counts.

    Examples
    --------
    >>> from sklearn_adaalloc.serving._metrics import Counter
    >>> counter = Counter("samples_total", "Samples.")
    >>> counter.add(3, decoder="small")
    >>> print(counter.text())
    # HELP samples_total Samples.
    # TYPE samples_total counter
    samples_total{decoder="small"} 3
    """

    def __init__(self, name, told):
        self.name = name
        self._head = f"# HELP {name} {told}\n# TYPE {name} counter"
        self._counts = {}
        self._lock = Lock()

    def add(self, amount=1, **labels):
        """Add to the number with these labels."""
        key = _labelled(**labels)
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + amount

    @property
    def counts(self):
        """The numbers by their labels, dict."""
        with self._lock:
            return dict(self._counts)

    def text(self, others=()):
        """Lines of the text format; `others` are counts of other processes."""
        total = collections.Counter(self.counts)
        for counts in others:
            total.update(counts)
        lines = [f"{self.name}{key} {n:.16g}" for key, n in sorted(total.items())]
        return "\n".join([self._head, *lines])


class Histogram:
    """How many observations lie below each of some bounds.

    Parameters
    ----------
    name : str
        Its name.
    told : str
        What it counts.
    bounds : sequence of float
        The bounds, ascending.

    Examples
    --------
    >>> from sklearn_adaalloc.serving._metrics import Histogram
    >>> histogram = Histogram("seconds", "Time.", (0.5, 1))
    >>> histogram.observe(0.7)
    >>> print(histogram.text())
    # HELP seconds Time.
    # TYPE seconds histogram
    seconds_bucket{le="0.5"} 0
    seconds_bucket{le="1"} 1
    seconds_bucket{le="+Inf"} 1
    seconds_sum 0.7
    seconds_count 1
    """

    def __init__(self, name, told, bounds):
        self.name = name
        self._head = f"# HELP {name} {told}\n# TYPE {name} histogram"
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = Lock()

    def observe(self, value):
        """Count one observation."""
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += value

    @property
    def counts(self):
        """Observations between the bounds, and the sum of all, list."""
        with self._lock:
            return [*self._counts, self._sum]

    def text(self, others=()):
        """Lines of the text format; `others` are counts of other processes."""
        *counts, total = map(sum, zip(self.counts, *others, strict=True))
        lines, below = [self._head], 0
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        for bound, count in zip(bounds, counts, strict=True):
            below += count
            lines.append(f"{self.name}_bucket{_labelled(le=bound)} {below}")
        return "\n".join(
            [*lines, f"{self.name}_sum {total:g}", f"{self.name}_count {below}"]
        )


class Metrics:
    """All that is counted.

    Parameters
    ----------
    gauges : callable
        Returns a dict of what is measured now, the same in all processes: name ->
        (text, number).
    """

    def __init__(self, gauges):
        self._gauges = gauges
        self._queue = self._folder = None
        self.requests = Counter(
            "adaalloc_requests_total", "Requests, by route and status."
        )
        self.samples = Counter("adaalloc_samples_total", "Samples, by decoder.")
        self.tokens = Counter(
            "adaalloc_tokens_total", "Tokens paid for, by decoder and kind."
        )
        self.verdicts = Counter(
            "adaalloc_answers_total", "Answers that were decided, by who judged them."
        )
        self.upstream_errors = Counter(
            "adaalloc_upstream_errors_total",
            "Requests to a server that failed for good, by decoder.",
        )
        self.refused = Counter(
            "adaalloc_refused_total",
            "Requests that got no place: the queue was full, or did not move in time.",
        )
        self.seconds = Histogram(
            "adaalloc_request_seconds", "Time until the answer is decided.", _SECONDS
        )

    def watch(self, queue):
        """Say from now on how many requests a queue has."""
        self._queue = queue

    def share(self, folder):
        """Add what other processes count from now on; they :meth:`write` it there."""
        self._folder = Path(folder)
        self.write()

    def write(self):
        """Write the counts of this process for the others."""
        counts = {each.name: each.counts for each in self._counted}
        content = {
            "counts": counts,
            "queue": self._queue_lengths(),
            "written": time.time(),
        }
        write_whole(self._folder / f"{os.getpid()}.json", json.dumps(content))

    def text(self):
        """The page that is scraped."""
        others = [] if self._folder is None else self._read_others()
        counted = [
            each.text([other["counts"][each.name] for other in others])
            for each in self._counted
        ]
        # What ended processes counted stays, but nobody waits there any more.
        latest = time.time() - _OUTDATED
        queues = [each["queue"] for each in others if each["written"] > latest]
        lengths = map(sum, zip(self._queue_lengths(), *queues, strict=True))
        told = ("Requests in flight.", "Requests that wait for their turn.")
        names = ("adaalloc_in_flight", "adaalloc_waiting")
        gauges = {
            **dict(zip(names, zip(told, lengths, strict=True), strict=True)),
            **self._gauges(),
        }
        measured = [
            f"# HELP {name} {told}\n# TYPE {name} gauge\n{name} {value:g}"
            for name, (told, value) in gauges.items()
        ]
        return "\n".join([*counted, *measured]) + "\n"

    @property
    def _counted(self):
        return (
            self.requests,
            self.samples,
            self.tokens,
            self.verdicts,
            self.upstream_errors,
            self.refused,
            self.seconds,
        )

    def _queue_lengths(self):
        queue = self._queue
        return [0, 0] if queue is None else [queue.n_in_flight, queue.n_waiting]

    def _read_others(self):
        """What other processes wrote."""
        return [
            json.loads(path.read_text())
            for path in self._folder.glob("*.json")
            if path.stem != str(os.getpid())
        ]


@lru_cache(maxsize=256)  # labels are few, and looked up for each request
def _labelled(**labels):
    def escaped(value):
        text = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return text.replace("\n", "\\n")

    pairs = [f'{name}="{escaped(value)}"' for name, value in sorted(labels.items())]
    return f"{{{','.join(pairs)}}}" if pairs else ""
