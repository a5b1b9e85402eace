"""Counts of what a server does, in the text format that Prometheus reads."""

from bisect import bisect_left
from threading import Lock

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
        self._head = f"# HELP {name} {told}\n# TYPE {name} counter"
        self._name = name
        self._counts = {}
        self._lock = Lock()

    def add(self, amount=1, **labels):
        """Add to the number with these labels."""
        key = _labelled(**labels)
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + amount

    def text(self):
        """Lines of the text format."""
        lines = [f"{self._name}{key} {n:g}" for key, n in sorted(self._counts.items())]
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
        self._head = f"# HELP {name} {told}\n# TYPE {name} histogram"
        self._name = name
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = Lock()

    def observe(self, value):
        """Count one observation."""
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += value

    def text(self):
        """Lines of the text format."""
        lines, below = [self._head], 0
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        for bound, count in zip(bounds, self._counts, strict=True):
            below += count
            lines.append(f"{self._name}_bucket{_labelled(le=bound)} {below}")
        return "\n".join(
            [*lines, f"{self._name}_sum {self._sum:g}", f"{self._name}_count {below}"]
        )


class Metrics:
    """All that is counted.

    Parameters
    ----------
    gauges : callable
        Returns a dict of what is measured now: name -> (text, number).
    """

    def __init__(self, gauges):
        self._gauges = gauges
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
        self.seconds = Histogram(
            "adaalloc_request_seconds", "Time until the answer is decided.", _SECONDS
        )

    def text(self):
        """The page that is scraped."""
        counted = (
            self.requests,
            self.samples,
            self.tokens,
            self.verdicts,
            self.upstream_errors,
            self.seconds,
        )
        gauges = [
            f"# HELP {name} {told}\n# TYPE {name} gauge\n{name} {value:g}"
            for name, (told, value) in self._gauges().items()
        ]
        return "\n".join([*(each.text() for each in counted), *gauges]) + "\n"


def _labelled(**labels):
    def escaped(value):
        text = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return text.replace("\n", "\\n")

    pairs = [f'{name}="{escaped(value)}"' for name, value in sorted(labels.items())]
    return f"{{{','.join(pairs)}}}" if pairs else ""
