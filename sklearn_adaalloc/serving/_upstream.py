"""A server that answers, with what each request changes of its sampler."""

from contextlib import aclosing

from sklearn_adaalloc.serving._asking import refused_parameter
from sklearn_adaalloc.serving._current import CURRENT
from sklearn_adaalloc.serving._errors import RefusedUpstreamError, UpstreamError

SEEDS = 2**31  # a random state is one of so many


def count_arrival(metrics, name, arrival, current):
    """Count a sample of a decoder, and keep whether the token limit cut it off."""
    if arrival.cut_off:
        current.cut_off.add(arrival.answer)
    metrics.samples.add(decoder=name)
    for kind in ("prompt", "answer"):
        n_tokens = getattr(arrival, f"{kind}_tokens")
        if n_tokens == n_tokens:  # known
            metrics.tokens.add(n_tokens, decoder=name, kind=kind)


def is_seed(value):
    """Whether it is a whole number, from which seeds of samples can follow."""
    return isinstance(value, int) and not isinstance(value, bool)


class Upstream:
    """Sampler for the request that is being answered.

    Parameters
    ----------
    name : str
        Name of the decoder.
    sampler : OpenAISampler
        Its parameters hold where a request does not say otherwise.
    metrics : Metrics
        Counts samples and tokens.
    deadline : float
        Seconds that a request may take: longer waits are not waited for.
    """

    def __init__(self, name, sampler, metrics, deadline):
        self.name = name
        self._samplers = {
            kind: sampler.with_parameters(completion=kind, random_state=None)
            for kind in ("chat", "text")
        }
        for each in self._samplers.values():
            each._longest_wait = deadline
        self._metrics = metrics

    def connected(self):
        """Keep connections open, in an ``async with`` block."""
        return self._samplers["chat"].connected()

    def check(self, asked):
        """Raise an ApiError if the parameters of a request are not accepted."""
        if not asked.parameters:
            return  # those of the sampler were checked
        try:
            _ = self._with(asked, 0).settings
        except ValueError as error:
            raise refused_parameter(error) from None

    async def asample_each(self, prompts, budgets, *, first_sample):
        """Yield samples as they arrive; see :class:`OpenAISampler`."""
        current = CURRENT.get()
        sampler = self._with(current.asked, current.number)
        try:
            arrivals = sampler.asample_each(prompts, budgets, first_sample=first_sample)
            async with aclosing(arrivals):
                async for arrival in arrivals:
                    yield self._noted(arrival, current)
        except (ConnectionError, ValueError) as error:
            # Also a key that the server refuses: the client cannot mend it.
            self._metrics.upstream_errors.add(decoder=self.name)
            raise _explained(error) from error

    def _noted(self, arrival, current):
        if arrival.error is not None:
            self._metrics.upstream_errors.add(decoder=self.name)
            if isinstance(arrival.error, ConnectionError):
                return arrival._replace(error=_explained(arrival.error))
            return arrival._replace(error=RefusedUpstreamError(str(arrival.error)))
        count_arrival(self._metrics, self.name, arrival, current)
        return arrival

    def _with(self, asked, number):
        parameters = dict(asked.parameters)
        sampler = self._samplers[asked.kind]
        if "extra_body" in parameters:
            own = sampler.extra_body or {}
            parameters["extra_body"] = {**own, **parameters["extra_body"]}
        seed = parameters.get("random_state")
        if is_seed(seed):
            parameters["random_state"] = (seed + number) % SEEDS
        return sampler.with_parameters(**parameters) if parameters else sampler


def _explained(error):
    """An error of a sampler, with what its server said besides words."""
    status = getattr(error, "status", None)
    return UpstreamError(str(error), status, getattr(error, "retry_after", None))
