"""A sampler of this process, with what each request changes of it."""

import secrets

from sklearn.base import clone

from sklearn_adaalloc.sampling._protocol import as_sampler
from sklearn_adaalloc.serving._asking import field_of, refused_parameter
from sklearn_adaalloc.serving._current import CURRENT
from sklearn_adaalloc.serving._errors import RefusedUpstreamError, bad_request
from sklearn_adaalloc.serving._upstream import SEEDS, count_arrival, is_seed

_MEANINGLESS = {"user", "metadata", "store"}  # fields that change no answer


class LocalUpstream:
    """Sampler for the request that is being answered, in a thread of this process.

    Parameters
    ----------
    name : str
        Name of the decoder.
    sampler : callable or object
        As of :mod:`sklearn_adaalloc.sampling`, not asynchronous. Parameters of its own
        that a request names are changed for that request.
    metrics : Metrics
        Counts samples and tokens.
    """

    def __init__(self, name, sampler, metrics):
        if as_sampler(sampler, name).is_asynchronous:
            raise ValueError(
                f"sampler {name} is asynchronous, and no OpenAISampler. Expected that "
                "class, or a sampler with an ordinary function or method sample."
            )
        _ = getattr(sampler, "settings", None)  # loads a model, or raises
        self.name = name
        self.max_concurrency = getattr(sampler, "max_concurrency", 1)
        if hasattr(sampler, "shares_prefill_with"):
            # It runs a model, and takes turns with policies that may run it, too.
            self.shares_prefill_with = _shares_nothing
        self._sampler = sampler
        self._known = (
            sampler.get_params(deep=False) if hasattr(sampler, "get_params") else {}
        )
        self._metrics = metrics

    def check(self, asked):
        """Raise an ApiError if the parameters of a request are not accepted."""
        names = asked.parameters.keys() - {"extra_body"}
        names |= asked.parameters.get("extra_body", {}).keys() - _MEANINGLESS
        # A sampler without a seed draws anew each time anyhow.
        unknown = sorted(names - self._known.keys() - {"random_state"})
        if unknown:
            raise bad_request(
                f"{', '.join(map(field_of, unknown))}: the sampler of this server "
                "cannot change that. Leave it out.",
                None,
            )
        try:
            _ = getattr(self._with(asked, 0), "settings", None)
        except ValueError as error:
            raise refused_parameter(error) from None

    def sample_each(self, prompts, budgets, *, first_sample):
        """Yield samples as they arrive; see :mod:`sklearn_adaalloc.sampling`."""
        current = CURRENT.get()
        sampler = as_sampler(self._with(current.asked, current.number), self.name)
        try:
            for arrivals in sampler.arrivals(prompts, budgets, first_sample):
                for arrival in arrivals:
                    if arrival.error is None:
                        count_arrival(self._metrics, self.name, arrival, current)
                    yield arrival
        except ValueError as error:
            self._metrics.upstream_errors.add(decoder=self.name)
            raise RefusedUpstreamError(str(error)) from error

    def _with(self, asked, number):
        if not self._known:
            return self._sampler
        changed = {
            name: value
            for name, value in asked.parameters.items()
            if name in self._known
        }
        if "random_state" in self._known:
            seed = changed.get("random_state")
            own = secrets.randbelow(SEEDS) if seed is None else seed
            changed["random_state"] = (own + number) % SEEDS if is_seed(own) else own
        if asked.kind == "text" and "chat_template" in self._known:
            changed["chat_template"] = False  # the text as it is
        return clone(self._sampler).set_params(**changed)


def _shares_nothing(featurizer):
    return False
