"""A scaling algorithm of its_hub whose samples a policy decides."""

import asyncio
from functools import partial
from reprlib import repr as short_repr

from sklearn_adaalloc._utils.optional import import_optional, optional_base
from sklearn_adaalloc._utils.parameters import check_whole, is_number
from sklearn_adaalloc.decoding._votes import leader
from sklearn_adaalloc.integrations._one_query import OneQueryPolicy


class AdaptiveScaling(optional_base("its_hub", "AbstractScalingAlgorithm", "its")):
    """Sample a model of its_hub as often as a policy gives the prompt.

    It takes the place of ``its_hub.BestOfN``, or of ``its_hub.SelfConsistency`` if the
    policy has ``selection="vote"``. There, every prompt gets the whole `budget` of a
    call. Here it is the most that a prompt gets. The budget of the policy is what
    prompts get on average. It needs the extra ``its``.

    Parameters
    ----------
    policy : estimator
        A fitted policy on texts that decides each query alone. A
        :class:`~sklearn_adaalloc.StreamAllocator` sees the scores, or the votes, and
        its stream keeps the mean number of samples at the policy's budget. A
        :class:`~sklearn_adaalloc.BinnedAllocator` or
        :class:`~sklearn_adaalloc.PricedAllocator` decides up front.
    orm : its_hub.AbstractOutcomeRewardModel, default=None
        Scores the responses. None only if the policy votes.
    threshold : float, default=None
        Score at which a response counts as right, for a policy that was fitted on 0/1
        rewards. None tells the policy the scores themselves.
    label : callable, default=None
        ``label(text)`` returns what a response votes for, a str or int, or None for no
        vote. None takes the text itself.
    orchestrator : its_hub.AbstractOrchestrator, default=None
        Runs the requests to the model. None takes its_hub's own.

    Raises
    ------
    ImportError
        If its_hub is not installed.
    ValueError
        If the policy decides for a batch, counts costs or has several decoders. Also if
        `orm` is missing or not used.

    Notes
    -----
    At least one response is sampled, also if the policy gives a prompt none; it counts
    as spent.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_adaalloc import RewardRegressor, StreamAllocator
    >>> from sklearn_adaalloc.datasets import load_arithmetic
    >>> from sklearn_adaalloc.integrations import AdaptiveScaling
    >>> from its_hub import AbstractLanguageModel, AbstractOutcomeRewardModel
    >>> class Model(AbstractLanguageModel):
    ...     async def agenerate(self, messages, **settings):
    ...         return await self.agenerate_single(messages)
    ...     async def agenerate_single(self, messages, **settings):
    ...         return {"role": "assistant", "content": "23"}
    >>> class Judge(AbstractOutcomeRewardModel):
    ...     def score(self, messages, **settings):
    ...         return [float(each[-1].content == "23") for each in messages]
    ...     async def ascore(self, messages, **settings):
    ...         return self.score(messages)
    >>> data = load_arithmetic("math")
    >>> policy = make_pipeline(
    ...     TfidfVectorizer(analyzer="char"),
    ...     StreamAllocator(RewardRegressor(Ridge()), budget=3, random_state=0),
    ... ).fit(data.queries_train[:300], data.rewards_train[:300])
    >>> algorithm = AdaptiveScaling(policy, Judge(), threshold=1.0)
    >>> algorithm.infer(Model(), "17+6=", budget=8)["content"]
    '23'
    >>> algorithm.mean_samples
    1.0
    """

    def __init__(self, policy, orm=None, threshold=None, label=None, orchestrator=None):
        self.orm = orm
        self.threshold = threshold
        self.label = label
        its_hub = import_optional("its_hub.core.orchestrator", "its")
        self.orchestrator = orchestrator or its_hub.LMOrchestrator()
        self.deciding = OneQueryPolicy(policy)
        if self.deciding.is_vote == (orm is not None):
            rule = "votes" if orm is not None else "needs scores"
            raise ValueError(
                f"orm={orm!r} is given, but the policy {rule}. Expected an outcome "
                "reward model, or None for a policy with selection='vote'."
            )

    @property
    def stream(self):
        """The stream of the policy; None if it decides up front."""
        return self.deciding.stream

    @property
    def mean_samples(self):
        """Mean number of samples of the prompts so far, float."""
        return self.deciding.mean_samples

    async def ainfer(
        self,
        lm,
        prompt_or_messages,
        budget,
        return_response_only=True,
        tools=None,
        tool_choice=None,
    ):
        """Answer a prompt, in an event loop.

        Parameters
        ----------
        lm : its_hub.AbstractLanguageModel
            The model.
        prompt_or_messages : str, list of ChatMessage or ChatMessages
            What it is asked.
        budget : int
            Largest number of samples.
        return_response_only : bool, default=True
            Whether only the best response is returned.
        tools : list of dict, default=None
            Tools in OpenAI's form.
        tool_choice : str or dict, default=None
            Which of them may be used.

        Returns
        -------
        response : dict or its_hub.BestOfNResult
            The response with the highest score, or the first of those with most votes.
            Otherwise all responses with their scores, or with the votes of their
            labels, and what was spent.

        Raises
        ------
        ValueError
            If `budget` is not a whole number above 0, or if `orm` does not return a
            finite number for each response.
        """
        api = import_optional("its_hub.api", "its")
        budget = check_whole(budget, "budget", least=1)
        chat = api.ChatMessages.from_prompt_or_messages(prompt_or_messages)
        usage = api.GenerationUsage()
        responses, results = [], []
        start = partial(self.deciding.start, _query_of(chat), budget)
        with await asyncio.to_thread(start) as rounds:  # the policy may run a model
            while n_wanted := rounds.ask():
                new = await self.orchestrator.agenerate(
                    lm,
                    chat.to_batch(n_wanted),
                    tools=tools,
                    tool_choice=tool_choice,
                    usage_accumulator=usage,
                )
                judged = await self._judge(api, chat, new)
                rounds.tell([self._as_told(each) for each in judged])
                responses += new
                results += judged
        result = self._best(responses, results, usage)
        return result.the_one if return_response_only else result

    async def _judge(self, api, chat, responses):
        """Scores of responses, or their labels."""
        messages = [api.ChatMessage.from_dict(response) for response in responses]
        if self.deciding.is_vote:
            texts = [message.extract_text_content() for message in messages]
            return [self.label(text) for text in texts] if self.label else texts
        chats = [[*chat.to_chat_messages(), message] for message in messages]
        scores = list(await self.orm.ascore(chats, orchestrator=self.orchestrator))
        if len(scores) != len(chats) or not all(map(is_number, scores)):
            raise ValueError(
                f"orm returned {short_repr(scores)} for {len(chats)} responses. "
                "Expected a finite number for each."
            )
        return scores

    def _as_told(self, result):
        if self.threshold is None or self.deciding.is_vote:
            return result
        return float(result >= self.threshold)

    def _best(self, responses, results, usage):
        best_of_n = import_optional("its_hub.core.algorithms.bon", "its")
        if self.deciding.is_vote:
            index = leader(results, self.deciding.rule.key)
            scores = [float(results.count(label)) for label in results]
        else:
            index, scores = results.index(max(results)), results
        return best_of_n.BestOfNResult(responses, scores, index, usage)


def _query_of(chat):
    """What the policy reads."""
    if chat.is_string:
        return chat.to_prompt()
    return [message.to_dict() for message in chat.to_chat_messages()]
