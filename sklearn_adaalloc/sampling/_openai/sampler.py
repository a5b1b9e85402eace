"""Sampling from a server with the OpenAI protocol."""

from contextlib import closing
from copy import copy
from functools import partial
from numbers import Real

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from tqdm.auto import tqdm

from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.parameters import (
    COUNT,
    NOT_NEGATIVE,
    OPTIONAL_COUNT,
    POSITIVE,
    POSITIVE_COUNT,
    check_parameters,
)
from sklearn_adaalloc._utils.queries import query_keys
from sklearn_adaalloc.sampling._openai.answered import Answered
from sklearn_adaalloc.sampling._openai.client import Client
from sklearn_adaalloc.sampling._openai.connections import Connections
from sklearn_adaalloc.sampling._openai.dispatch import (
    LONGEST_WAIT,
    Dispatcher,
    Memory,
    Request,
    iterate,
    iterate_here,
    run_here,
)
from sklearn_adaalloc.sampling._openai.fields import PATHS, request_fields
from sklearn_adaalloc.sampling._openai.server import (
    Server,
    check_address,
    check_key_name,
    read_key,
)
from sklearn_adaalloc.sampling._requests import check_request, stop_strings


class OpenAISampler(DocumentationLinkMixin, BaseEstimator):
    """Sample answers from any OpenAI-compatible server, such as vLLM or SGLang.

    Requests run concurrently, up to `max_concurrency`. Lost connections, timeouts and
    the states 408, 409, 429 and 5xx are tried again. The wait is 0.5, 1, 2, ...
    seconds, or longer if the server's Retry-After says so. Some servers ignore or
    reject `n`, and some send choices without a text. So the answers of each reply are
    counted, and missing ones are requested again.

    Parameters
    ----------
    base_url : str
        Address of the server, such as ``"http://localhost:8000/v1"``.
    model : str
        Name of the model on the server.
    completion : {"chat", "text"}, default="chat"
        Endpoint. With "chat", a text becomes a user's message. With "text", the model
        gets it as it is.
    system : str, default=None
        System message at the start of each chat.
    temperature : float or None, default=0.7
        Sampling temperature. None leaves it to the server, also for the next two.
    top_p : float or None, default=1.0
        Sample from the most likely tokens that together reach this probability.
    max_new_tokens : int or None, default=256
        Largest number of tokens of an answer (``max_tokens``).
    stop : str or list of str, default=None
        An answer ends before the first of these.
    extra_body : dict, default=None
        Additional fields of each request, such as ``{"top_k": 20}`` or
        ``{"max_completion_tokens": 256}``.
    use_n : bool, default=True
        Whether to request several samples of a prompt together, so that its prompt
        tokens are paid for once. This is done only if the server supports it and counts
        the tokens of all samples. Such requests carry no seed.
    api_key_env : str or None, default="OPENAI_API_KEY"
        Environment variable with the key. It is read at each call. Without a key on the
        server, it may be unset.
    max_concurrency : int, default=16
        Largest number of simultaneous requests.
    timeout : float, default=60.0
        Largest time for a reply, in seconds.
    max_retries : int, default=5
        Attempts after the first.
    random_state : int or None, default=0
        With an int, each request for a single sample carries a seed. The seed depends
        on this number, the prompt and the index of the sample.
    progress : bool, default=False
        Whether to show a progress bar.

    See Also
    --------
    TransformersSampler : Samples in this process.

    Notes
    -----
    Equal seeds give equal answers only if the server supports seeds. Many servers do,
    except for rounding, which depends on their load. `transformers serve` uses one
    generator for all requests, so it needs ``max_concurrency=1``. With `use_n`,
    requests for several samples have no seed, because some servers then return equal
    choices.

    `transformers serve` samples only if the model's ``generation_config.json`` has
    ``"do_sample": true``, whatever the temperature.

    Token counts come from the server, or are NaN. Some servers return `n` answers and
    count only one. So there is a test before the first request for several answers
    whose tokens are needed. The server gets the shortest prompt twice, once for one
    answer and once for two, each of one token. The second reply should count twice the
    answer tokens and the same prompt tokens. If it does not, each answer is requested
    alone from then on. These counts are right, and each request pays for the prompt.

    If several answers come in one reply, the server gives their sum. Each answer gets a
    share in proportion to its length. Then sums per prompt are exact, and counts of
    single answers are estimates. With ``use_n=False`` all are exact. Counts are NaN if
    the server gives no usage or refuses the two test requests, and for replies with
    more or fewer answers than requested. The tokens of the test requests and of retries
    are not counted.

    The server may refuse a prompt (too long, filtered) or withhold a text.
    :meth:`sample_each` then loses no other answer.
    :func:`~sklearn_adaalloc.collect_rewards` and the decoders use that method.

    :func:`~sklearn_adaalloc.collect_rewards` stores answers under `settings`. They
    contain the name of the model, but not the address, because a server may move. If
    the weights of a model change, give it another name.

    The key is never stored or logged, and is not part of any message.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling import OpenAISampler
    >>> sampler = OpenAISampler("http://localhost:8000/v1", "Qwen3-0.6B", top_p=0.9)
    >>> sampler.settings["model"], sampler.settings["top_p"]
    ('Qwen3-0.6B', 0.9)
    """

    _parameter_constraints = {
        "completion": [StrOptions({"chat", "text"})],
        "temperature": [*NOT_NEGATIVE, None],
        "top_p": [Interval(Real, 0, 1, closed="both"), None],
        "max_new_tokens": OPTIONAL_COUNT,
        "random_state": [*COUNT, None],
        "max_concurrency": POSITIVE_COUNT,
        "max_retries": COUNT,
        "timeout": POSITIVE,
    }

    _connections = None
    _longest_wait = LONGEST_WAIT  # a server with deadlines sets a shorter one

    def __init__(
        self,
        base_url,
        model,
        *,
        completion="chat",
        system=None,
        temperature=0.7,
        top_p=1.0,
        max_new_tokens=256,
        stop=None,
        extra_body=None,
        use_n=True,
        api_key_env="OPENAI_API_KEY",
        max_concurrency=16,
        timeout=60.0,
        max_retries=5,
        random_state=0,
        progress=False,
    ):
        self.base_url = base_url
        self.model = model
        self.completion = completion
        self.system = system
        self.temperature = temperature
        self.top_p = top_p
        self.max_new_tokens = max_new_tokens
        self.stop = stop
        self.extra_body = extra_body
        self.use_n = use_n
        self.api_key_env = api_key_env
        self.max_concurrency = max_concurrency
        self.timeout = timeout
        self.max_retries = max_retries
        self.random_state = random_state
        self.progress = progress

    @property
    def settings(self):
        """Everything that an answer depends on besides prompt and index, as a dict."""
        self._check_parameters()
        return {
            "sampler": type(self).__name__,
            "model": self.model,
            "completion": self.completion,
            "system": self.system,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_new_tokens": self.max_new_tokens,
            "stop": stop_strings(self.stop),
            "extra_body": self.extra_body,
            "random_state": self.random_state,
        }

    def sample(self, prompts, budgets, *, first_sample=None, return_usage=False):
        """Answer prompts.

        Parameters
        ----------
        prompts : sequence of n_prompts str or lists of dict
            Texts, or lists of messages with "role" and "content".
        budgets : int or array-like of shape (n_prompts,)
            Number of samples of each prompt.
        first_sample : int or array-like of shape (n_prompts,), default=None
            Index of the first sample of each prompt, usually the number of samples that
            it already has. None for 0.
        return_usage : bool, default=False
            Whether to also return the tokens paid for.

        Returns
        -------
        answers : list of n_prompts lists of str
            ``budgets[i]`` answers to prompt i.
        usage : TokenUsage
            Only with `return_usage`. Prompt tokens count once per request, including
            those from the server's cache. NaN if the server does not count them.

        Raises
        ------
        ValueError
            If a prompt, a budget or a parameter is not accepted, here or by the server.
        ConnectionError
            If the server cannot be reached, or its replies are unusable, after all
            retries. To keep answers when a call fails, use :meth:`sample_each` or
            :func:`~sklearn_adaalloc.collect_rewards`.
        """
        request = check_request(prompts, budgets, first_sample)
        run = self._prepare(*request, counted=return_usage)
        answered = Answered(*request)
        with closing(iterate(run)) as arrivals, self._bar(answered) as bar:
            for arrival in arrivals:
                answered.take(arrival)
                bar.update()
        return answered.result(return_usage)

    async def asample(self, prompts, budgets, *, first_sample=None, return_usage=False):
        """Answer prompts, without blocking the event loop.

        Calls that run at the same time share connections and `max_concurrency`. A call
        that is cancelled closes its requests.

        Parameters
        ----------
        prompts : sequence of n_prompts str or lists of dict
            As for :meth:`sample`.
        budgets : int or array-like of shape (n_prompts,)
            Number of samples of each prompt.
        first_sample : int or array-like of shape (n_prompts,), default=None
            Index of the first sample of each prompt; None for 0.
        return_usage : bool, default=False
            Whether to also return the tokens paid for.

        Returns
        -------
        answers : list of n_prompts lists of str
            As of :meth:`sample`.
        usage : TokenUsage
            Only with `return_usage`.

        Raises
        ------
        ValueError, ConnectionError
            As for :meth:`sample`.
        """
        request = check_request(prompts, budgets, first_sample)
        run = self._prepare(*request, counted=return_usage)
        answered = Answered(*request)
        with self._bar(answered) as bar:

            def give(arrival):
                answered.take(arrival)
                bar.update()

            await run(give)
        return answered.result(return_usage)

    def sample_each(self, prompts, budgets, *, first_sample=None):
        """Answer prompts, one sample at a time, as they arrive.

        Parameters
        ----------
        prompts : sequence of n_prompts str or lists of dict
            Texts, or lists of messages with "role" and "content".
        budgets : int or array-like of shape (n_prompts,)
            Number of samples of each prompt.
        first_sample : int or array-like of shape (n_prompts,), default=None
            Index of the first sample of each prompt; None for 0.

        Returns
        -------
        arrivals : generator of SampledAnswer
            Tuples (row, sample, answer, prompt_tokens, answer_tokens, error,
            cached_tokens, cut_off), in any order. If a sample failed for good, because
            its prompt was refused or its text withheld, the answer is None and the
            error is an exception. Closing the generator cancels running requests.

        Raises
        ------
        ValueError, ConnectionError
            As for :meth:`sample`, except for errors of a single prompt. If the server
            refused several prompts and answered none, this is raised after the last
            arrival.
        """
        request = check_request(prompts, budgets, first_sample)
        return iterate(self._prepare(*request, counted=True))

    def asample_each(self, prompts, budgets, *, first_sample=None):
        """Answer prompts, one sample at a time, without blocking the event loop.

        Parameters
        ----------
        prompts : sequence of n_prompts str or lists of dict
            As for :meth:`sample_each`.
        budgets : int or array-like of shape (n_prompts,)
            Number of samples of each prompt.
        first_sample : int or array-like of shape (n_prompts,), default=None
            Index of the first sample of each prompt; None for 0.

        Returns
        -------
        arrivals : asynchronous generator of SampledAnswer
            As of :meth:`sample_each`. Closing it, or cancelling the task that reads it,
            closes running requests.

        Raises
        ------
        ValueError, ConnectionError
            As for :meth:`sample_each`.
        """
        request = check_request(prompts, budgets, first_sample)
        run, [_, budgets, _] = self._prepare(*request, counted=True), request
        return (iterate_here if budgets.sum() > 1 else run_here)(run)

    def connected(self):
        """Keep connections open between calls, in an ``async with`` block.

        Without it, the last of the calls that run at the same time closes them, and the
        next call opens new ones.

        Returns
        -------
        connected : asynchronous context manager
        """
        self._check_parameters()
        return self._connection(read_key(self.api_key_env))

    def with_parameters(self, **parameters):
        """A copy with some parameters changed, which shares the connections.

        Servers that pass requests on use one for each request.

        Parameters
        ----------
        **parameters : dict
            Parameters of this class.

        Returns
        -------
        sampler : OpenAISampler

        Raises
        ------
        ValueError
            If there is no such parameter. Values are checked when it samples.

        Examples
        --------
        >>> from sklearn_adaalloc.sampling import OpenAISampler
        >>> sampler = OpenAISampler("http://localhost:8000/v1", "Qwen3-0.6B")
        >>> sampler.with_parameters(temperature=1.0).temperature
        1.0
        """
        if self._connections is None:
            self._connections = Connections()
        changed = copy(self).set_params(**parameters)
        changed._connections = self._connections
        changed._remembered = self._server, self._memory_of_server()
        return changed

    def _prepare(self, prompts, budgets, first_sample, *, counted):
        """Check all, and return a coroutine function that gives each SampledAnswer.

        `counted` says whether tokens are needed.
        """
        self._check_parameters()
        self._check_prompts(prompts)
        memory = self._memory_of_server()
        requests = [
            request
            for row, (budget, first) in enumerate(
                zip(budgets.tolist(), first_sample.tolist(), strict=True)
            )
            for request in self._requests(row, first, budget, memory)
        ]
        probes = [request for request in requests if request.n > 1]
        if memory.several is not None or not counted:
            probes = []
        probes.sort(key=lambda request: len(str(prompts[request.row])))
        key = read_key(self.api_key_env)
        return partial(self._run, prompts, requests, probes, key, memory)

    async def _run(self, prompts, requests, probes, key, memory, give):
        """Test how the server counts, then send all requests over one client.

        If the usage of several answers is wrong, each answer is requested alone.
        """
        keys = query_keys(prompts)
        path = PATHS[self.completion]

        async def send(request):
            fields = request_fields(
                self, prompts[request.row], keys[request.row], request
            )
            async with connection.places:
                return await connection.client.post(path, fields)

        server = Server(self.base_url, key, self.api_key_env, self.timeout)
        dispatcher = Dispatcher(
            send,
            server.diagnose,
            give,
            self.max_retries,
            memory,
            longest_wait=self._longest_wait,
            stop=stop_strings(self.stop),
        )
        async with self._connection(key) as connection:
            if probes:
                async with connection.finding_out:
                    if memory.several is None:  # another call may have found out
                        await dispatcher.find_out(probes)
            await dispatcher.run(requests, self.max_concurrency)

    def _connection(self, key):
        """The connection that calls of this event loop share."""
        if self._connections is None:
            self._connections = Connections()
        settings = (self.base_url, key, self.timeout)
        return self._connections.use(
            (*settings, self.max_concurrency),
            partial(Client, *settings),
            self.max_concurrency,
        )

    def _bar(self, answered):
        return tqdm(total=answered.n_samples, disable=not self.progress)

    def __getstate__(self):
        state = dict(super().__getstate__())
        state.pop("_connections", None)  # they belong to this process
        return state

    def _memory_of_server(self):
        """What is known about this server from earlier calls."""
        if getattr(self, "_remembered", (None,))[0] != self._server:
            self._remembered = (self._server, Memory())
        return self._remembered[1]

    @property
    def _server(self):
        return self.base_url, self.model, self.completion

    def _requests(self, row, first, budget, memory):
        if budget and self.use_n and memory.several != "singly":
            return [Request(row, first, budget)]
        return [Request(row, first + j, 1) for j in range(budget)]

    def _check_prompts(self, prompts):
        if self.completion == "text":
            for row, prompt in enumerate(prompts):
                if not isinstance(prompt, str):
                    raise ValueError(
                        f"prompt {row} is a chat, but completion='text' takes texts. "
                        "Use completion='chat'."
                    )

    def _check_parameters(self):
        check_address(self.base_url)
        check_parameters(self)
        if self.system is not None and self.completion == "text":
            raise ValueError(
                f"system={self.system!r} needs completion='chat': texts have no system "
                "message. Put it in the prompts."
            )
        stop_strings(self.stop)
        check_key_name(self.api_key_env)
