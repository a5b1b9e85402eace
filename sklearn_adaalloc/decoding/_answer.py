"""Answer one query at a time, in an event loop: what decoders share."""

import asyncio
from functools import partial
from reprlib import repr as short_repr

from sklearn_adaalloc._utils.estimators import unwrap
from sklearn_adaalloc._utils.parameters import (
    OPTIONAL_COUNT,
    POSITIVE_COUNT,
    are_same,
    check_parameters,
    check_whole,
)
from sklearn_adaalloc._utils.queries import check_queries
from sklearn_adaalloc.decoding._gathering import raise_if_all_failed
from sklearn_adaalloc.decoding._opened import Opened, ending, new_connections


class AsynchronousDecoder:
    """A decoder that can also answer single queries, in an event loop.

    A class that inherits from it has three methods. ``_samplers()`` returns the
    samplers in the order of the decoders. ``_read(queries)`` returns the allocator, its
    input, and the last arguments of an `Answering`. ``_start(queries, max_samples,
    *read)`` takes these, and returns an `Answering` and a session.
    ``_decoded_one(answering, session)`` returns the result of the only query.
    """

    max_in_flight, n_graders = 1000, None  # of decoders pickled by earlier versions
    _opened = None
    _parameter_constraints = {
        "max_in_flight": POSITIVE_COUNT,
        "n_graders": OPTIONAL_COUNT,
    }

    @property
    def stream(self):
        """The :class:`~sklearn_adaalloc.allocators.Stream` that decides.

        It is that of the policy, or opened when first needed. Parameters of the policy
        that are set later do not change it; after :meth:`aclose` a new one is opened.
        None if the policy does not decide on a stream.
        """
        return self._open().stream

    async def aclose(self):
        """Close connections and threads, and forget a stream that this decoder opened.

        The end of an ``async with`` block does the same. Call it when no query is in
        flight. The decoder can be used again. A stream that the policy is, or ends in,
        stays open.
        """
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()
            await opened.connections.aclose()

    async def __aenter__(self):
        connections = self._open().connections
        for sampler in self._samplers():
            if hasattr(sampler, "connected"):
                await connections.enter_async_context(sampler.connected())
        return self

    async def __aexit__(self, *error):
        await self.aclose()

    def __getstate__(self):
        state = dict(super().__getstate__())
        state.pop("_opened", None)  # it belongs to this process
        return state

    def _begin(self, queries, max_samples=None):
        """An `Answering` of checked queries, and a session on them."""
        return self._start(queries, max_samples, *self._read(queries))

    async def _answer(self, query, max_samples):
        """Answer one query; the result of ``_decoded_one``."""
        queries = check_queries([query])
        if max_samples is not None:
            check_whole(max_samples, "max_samples", least=1)
        opened = self._open()
        check_decides_alone(unwrap(self.policy)[1])
        async with opened.place():
            begun = await opened.begin(partial(self._begin, queries, max_samples))
            with ending(begun[1]):
                await _finish(*begun, opened, partial(self._decoded_one, *begun))
                return self._decoded_one(*begun)

    def _open(self):
        """What is kept between queries, made again if a parameter has changed."""
        check_parameters(self)
        decider, samplers = unwrap(self.policy)[1], self._samplers()
        parts = (decider, *samplers, self.max_in_flight, self.n_graders)
        before = self._opened
        if before is None or not are_same(before.made_from, parts):
            connections = before.connections if before else new_connections()
            self._opened = Opened(
                decider, samplers, self.max_in_flight, self.n_graders, connections
            )
        return self._opened


async def _finish(answering, session, opened, result):
    """Run a session on one query to its end."""
    try:
        answering.charge_reading(session)
        while (asked := session.ask()) is not None:
            samples = await together(
                [
                    gathered.receive(*order, in_thread=partial(opened.sample, decoder))
                    for decoder, (gathered, order) in enumerate(
                        zip(
                            answering.gathered,
                            answering.orders(session, asked),
                            strict=True,
                        )
                    )
                ]
            )
            graded = await opened.grade(partial(answering.grade, samples))
            answering.tell(session, asked, graded)
        raise_if_all_failed(*answering.gathered)
    except Exception as error:
        error.partial = result()
        raise


async def together(coroutines):
    """Await coroutines at once; if one fails, the others are cancelled."""
    if len(coroutines) == 1:
        return [await coroutines[0]]
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def check_decides_alone(decider):
    """Raise if a policy decides jointly for a batch."""
    if getattr(decider, "_decides_jointly", False):
        raise ValueError(
            f"policy={short_repr(decider)} decides jointly for a batch, but answer has "
            "one query. Expected a policy that decides each query alone: "
            "StreamAllocator, which also uses verdicts, or PricedAllocator or "
            "BinnedAllocator, which decide before decoding. For a batch, use decode."
        )
