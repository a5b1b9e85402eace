"""The application: routes, keys, limits and deadlines."""

import asyncio
import hmac
import json
import math
import time
import uuid
from contextlib import asynccontextmanager, suppress
from functools import partial

from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.parameters import check_in_interval, check_whole
from sklearn_adaalloc.serving._answering import Answerer
from sklearn_adaalloc.serving._asking import read_request
from sklearn_adaalloc.serving._errors import ApiError, as_api_error
from sklearn_adaalloc.serving._queue import Queue
from sklearn_adaalloc.serving._replies import make_body, make_events

_KINDS = {"/v1/chat/completions": "chat", "/v1/completions": "text"}


def create_app(
    policy,
    samplers,
    reward,
    *,
    model,
    state=None,
    default_answer="I don't know.",
    prices=None,
    api_key=None,
    deadline=120.0,
    max_body=1_048_576,
    max_in_flight=1000,
    max_queue=1000,
):
    """Make an application with OpenAI's protocol that answers by a policy.

    It is an ASGI application: uvicorn and other servers run it, and the command
    ``adaalloc serve`` does so. A request is decided, sampled, judged, and answered with
    the best sample. What was decided stands in a field ``adaalloc`` of the reply. The
    request may have such a field too, with a `reference`, with `tests`, and with
    `explain`. See :doc:`/serve`.

    Parameters
    ----------
    policy : estimator
        A fitted allocator that decides each query alone, a pipeline that ends in one,
        or a fitted search over either. It takes texts.
        :class:`~sklearn_adaalloc.StreamAllocator` also uses verdicts.
    samplers : OpenAISampler or other sampler, or dict of str to samplers
        The server that answers, or several by the names of the decoders. Another
        sampler, such as :class:`~sklearn_adaalloc.sampling.TransformersSampler`, runs
        in a thread of this process. What a request says of temperature, tokens and the
        like wins over their parameters. If the policy knows which model it learnt from,
        as one from the table of a store does, the sampler must have that model; a dict
        with that name says which one stands for it.
    reward : {"vote", "math", "code"}, "model:NAME", RewardModel or callable
        Judges answers: "vote" by what most of them end with, for a policy with
        ``selection="vote"``; "math" by the reference of the request; "code" by its
        tests, in the sandbox; "model:NAME" by a reward model (its name, folder, or
        "embedded"), for a policy that was fitted on its scores. Or a function of
        queries and answers, as for :class:`~sklearn_adaalloc.decoding.BestOfK`. Without
        a reference or tests, nobody can judge (see Notes).
    model : str
        Name of the model that clients ask for.
    state : path, default=None
        SQLite file that holds the state of the stream, over restarts and for all
        processes of a machine. None keeps it in memory.
    default_answer : str, default="I don't know."
        Answer to a query to which the policy gives no sample.
    prices : dict, tuple of two float, or float, default=None
        Prices of tokens, as of :class:`~sklearn_adaalloc.decoding.Cascade` or, with one
        sampler, of :class:`~sklearn_adaalloc.decoding.BestOfK`.
    api_key : str, default=None
        Key that clients must send. None lets everyone in.
    deadline : float, default=120.0
        Seconds that a request may take, with the time that it waits.
    max_body : int, default=1048576
        Bytes that the body of a request may have.
    max_in_flight : int, default=1000
        Requests that are answered at a time, by each process.
    max_queue : int, default=1000
        Further requests that wait for their turn, first come, first served. Those
        beyond are told to come again, and when.

    Returns
    -------
    app : Starlette

    Raises
    ------
    ImportError
        If starlette is not installed.
    ValueError
        If a parameter is not accepted, or if the policy, the samplers and the reward
        do not fit together.

    Notes
    -----
    A request that nobody can judge gets as many samples as the mean budget pays for, if
    they can vote: with "math", one decoder, and a budget for 3 samples or more. As soon
    as a majority of them agrees, the vote is decided. In all other cases it gets one
    sample, of the decoder that is predicted to be best among those whose sample the
    budget pays for. `verdict` in its reply is then "vote" or "none". What it costs
    counts for the budget of the stream, and for its cap: the mean over all requests is
    kept. Nothing else is learnt from it.

    `predicted_success` in the reply is the chance of success that the policy predicted
    before any sample, as its ``explain`` does. None if rewards are not 0 or 1, if a
    vote decided that no policy learnt, or if the policy predicts none.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_adaalloc import RewardRegressor, StreamAllocator
    >>> from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
    >>> from sklearn_adaalloc.sampling import OpenAISampler
    >>> from sklearn_adaalloc.serving import create_app
    >>> data = load_arithmetic("math")
    >>> policy = make_pipeline(
    ...     TfidfVectorizer(analyzer="char"),
    ...     StreamAllocator(RewardRegressor(Ridge()), budget=4, random_state=0),
    ... ).fit(data.queries_train, data.rewards_train)
    >>> sampler = OpenAISampler("http://localhost:8000/v1", "small")
    >>> app = create_app(policy, sampler, grade_arithmetic, model="small")
    >>> [route.path for route in app.routes][:2]
    ['/v1/chat/completions', '/v1/completions']
    """
    _check_text(model, "model", "the name of the model that clients ask for")
    _check_text(default_answer, "default_answer", "an answer", empty=True)
    if api_key is not None:  # an empty one would let everyone in
        _check_text(api_key, "api_key", "the key that clients must send, or None")
    check_in_interval(deadline, "deadline", 0, math.inf)
    check_whole(max_body, "max_body", least=1)
    check_whole(max_in_flight, "max_in_flight", least=1)
    check_whole(max_queue, "max_queue", least=0)
    applications = import_optional("starlette.applications", "serve")
    routing = import_optional("starlette.routing", "serve")
    answerer = Answerer(
        policy,
        samplers,
        reward,
        name=model,
        state=state,
        default_answer=default_answer,
        prices=prices,
        deadline=deadline,
    )
    queue = Queue(max_in_flight, max_queue, answerer.metrics.refused)
    answerer.metrics.watch(queue)
    door = Door(answerer, queue, model, api_key, deadline, max_body)

    @asynccontextmanager
    async def lifespan(app):
        await answerer.open()
        try:
            yield
        finally:
            await answerer.close()

    app = applications.Starlette(
        routes=[
            *(
                routing.Route(path, partial(door.complete, path), methods=["POST"])
                for path in _KINDS
            ),
            routing.Route("/v1/models", door.models),
            routing.Route("/v1/models/{name:path}", door.models),
            routing.Route("/metrics", door.metrics),
            routing.Route("/healthz", door.health),
        ],
        lifespan=lifespan,
        exception_handlers={404: _no_route, 405: _no_route},
    )
    app.router.redirect_slashes = False  # an address is right, or there is none
    app.state.answerer, app.state.queue = answerer, queue
    return app


def _check_text(value, name, meaning, *, empty=False):
    if not isinstance(value, str) or not (empty or value.strip()):
        # A key that is wrong is a key all the same.
        shown = type(value).__name__ if name == "api_key" else repr(value)
        raise ValueError(f"{name}={shown} is not accepted. Expected {meaning}, a str.")


class Door:
    """What requests pass before they are answered.

    Parameters
    ----------
    answerer : Answerer
        Answers.
    queue : Queue
        Where they wait for their turn.
    model, api_key, deadline, max_body
        As for :func:`create_app`.
    """

    def __init__(self, answerer, queue, model, api_key, deadline, max_body):
        self._answerer = answerer
        self._queue = queue
        self._model = model
        self._key = None if api_key is None else api_key.encode()
        self._deadline = deadline
        self._max_body = max_body
        self._since = int(time.time())

    async def complete(self, path, request):
        """Answer a request for a completion, at one of the routes for them."""
        metrics = self._answerer.metrics
        start = time.monotonic()
        try:
            reply = await self._reply(request, _KINDS[path])
        except Exception as error:
            known = as_api_error(error, deadline=self._deadline)
            reply = _refusal(known)
        metrics.requests.add(route=path, status=reply.status_code)
        metrics.seconds.observe(time.monotonic() - start)
        return reply

    async def models(self, request):
        """Say which model there is."""
        try:
            self._check_key(request)
            name = request.path_params.get("name", self._model)
            if name != self._model:
                message = f"There is no model {name!r}. Expected {self._model!r}."
                raise ApiError(404, message, "model_not_found", "model")
        except ApiError as error:
            return _refusal(error)
        model = {
            "id": self._model,
            "object": "model",
            "created": self._since,
            "owned_by": "sklearn-adaalloc",
        }
        if "name" in request.path_params:
            return _json(model)
        return _json({"object": "list", "data": [model]})

    async def metrics(self, request):
        """Counts for Prometheus."""
        from starlette.responses import PlainTextResponse

        try:
            self._check_key(request)
        except ApiError as error:
            return _refusal(error)
        return PlainTextResponse(
            self._answerer.metrics.text(), media_type="text/plain; version=0.0.4"
        )

    async def health(self, request):
        """Say that the process runs."""
        numbers = {
            "in_flight": self._queue.n_in_flight,
            "waiting": self._queue.n_waiting,
        }
        return _json({"status": "ok", **numbers})

    async def _reply(self, request, kind):
        from starlette.responses import Response

        self._check_key(request)
        turn = self._queue.enter()
        end = time.monotonic() + self._deadline
        try:
            asked = await self._read(request, kind)
            choices = await _while_listening(
                request, self._answer(asked, turn), end - time.monotonic()
            )
        except asyncio.TimeoutError:
            if turn.cancelled() or not turn.done():  # it waited, and cost nothing
                raise self._queue.refusal(
                    f"It was not the request's turn within {self._deadline:g} seconds. "
                    "Come again later.",
                    "deadline",
                ) from None
            raise
        finally:
            self._queue.leave(turn)
        prefix = "chatcmpl" if kind == "chat" else "cmpl"
        named = {
            "identity": f"{prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": self._model,
        }
        if asked.stream:
            # All is decided: the events go out together.
            events = "".join(make_events(asked, choices, **named))
            return Response(events, media_type="text/event-stream")
        return _json(make_body(asked, choices, **named))

    async def _answer(self, asked, turn):
        await turn
        return await self._answerer.answer(asked)

    def _check_key(self, request):
        if self._key is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), self._key)
        if scheme.lower() != "bearer" or not same:
            raise ApiError(401, "The key is missing or wrong.", "invalid_api_key", None)

    async def _read(self, request, kind):
        """What the request asks for; it is checked."""
        from starlette.requests import ClientDisconnect

        try:
            content = await asyncio.wait_for(self._content(request), self._deadline)
        except ClientDisconnect:
            raise _hung_up() from None
        except asyncio.TimeoutError:
            raise ApiError(
                408,
                f"The body was not complete within {self._deadline:g} seconds.",
                "request_timeout",
            ) from None
        asked = read_request(content, kind, self._model)
        self._answerer.check(asked)
        return asked

    async def _content(self, request):
        """The body, unless it is too long."""
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise ApiError(
                415,
                f"The body is encoded as {encoding!r}. Expected plain JSON, without "
                "Content-Encoding.",
                "unsupported_encoding",
            )
        length = request.headers.get("content-length", "0")
        size, parts = int(length) if length.isdecimal() else 0, []
        if size <= self._max_body:
            size = 0
            async for part in request.stream():
                size += len(part)
                if size > self._max_body:
                    break
                parts.append(part)
        if size > self._max_body:
            raise ApiError(
                413,
                f"The body is longer than {self._max_body:,} bytes.",
                "body_too_large",
            )
        return b"".join(parts)


async def _while_listening(request, answering, seconds):
    """Await an answer; if the client hangs up, what is being done for it ends.

    Raises TimeoutError of asyncio if it takes longer than so many seconds.
    """
    answer = asyncio.ensure_future(answering)
    hung_up = asyncio.ensure_future(_disconnected(request))
    both = [answer, hung_up]
    try:
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise _hung_up() if hung_up.done() else asyncio.TimeoutError
    finally:
        for task in both:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _disconnected(request):
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _hung_up():
    return ApiError(499, "The client has hung up.", "client_closed_request")


def _json(content, status=200, headers=None):
    """A reply; in ASCII, as answers may have characters that UTF-8 cannot encode."""
    from starlette.responses import Response

    body = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(body, status, headers, media_type="application/json")


def _refusal(error):
    return _json(error.body, error.status, error.headers)


async def _no_route(request, error):
    """There is no such address, or nothing that can be done there in this way."""
    is_there = error.status_code == 405
    known = ApiError(
        error.status_code,
        f"There is no {request.method} {request.url.path}.",
        "method_not_allowed" if is_there else "not_found",
    )
    return _json(known.body, known.status, error.headers)
