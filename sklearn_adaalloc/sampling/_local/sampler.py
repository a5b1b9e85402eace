"""Sampling from a language model of transformers, each prompt run once."""

from numbers import Real

from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import Interval

from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.parameters import (
    COUNT,
    NOT_NEGATIVE,
    POSITIVE_COUNT,
    check_parameters,
)
from sklearn_adaalloc.features import HiddenStateFeaturizer
from sklearn_adaalloc.language_models._checkpoints import fingerprint, load_config
from sklearn_adaalloc.language_models._model import load_language_model
from sklearn_adaalloc.language_models._options import (
    has_language_model_head,
    resolve_device,
    resolve_dtype,
    takes_input,
)
from sklearn_adaalloc.sampling._local.ending import Ending
from sklearn_adaalloc.sampling._local.prefill import PrefilledPrompts, PrefillOptions
from sklearn_adaalloc.sampling._requests import check_request, stop_strings

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}


class TransformersSampler(DocumentationLinkMixin, BaseEstimator):
    """Sample answers from a causal language model, any number to each prompt.

    Each prompt goes through the model once, however many answers it gets, and that same
    pass hands out the features that a policy reads: with :meth:`prefill` and its
    ``decode``, a policy decides in between at no extra pass. Answers that have ended
    leave their batch.

    Sample j to a prompt is a function of the prompt, j and the settings alone: neither
    the batch nor what was asked before changes it, but for rounding (in bfloat16 that
    may tip a token now and then). Its distribution is that of ``generate`` with
    ``do_sample=True`` and the same settings, `top_k` off.

    Parameters
    ----------
    model : str or path, default="embedded"
        Name on the Hugging Face hub or folder of a causal language model; "embedded" is
        the weak language model of the package.
    temperature : float, default=0.7
        Logits are divided by it before the softmax; 0 takes the most likely token each
        time, so that all samples of a prompt are equal.
    top_p : float, default=1.0
        Sample from the most likely tokens that together reach this probability.
    max_new_tokens : int, default=256
        Most tokens of an answer. It may be fewer where the model's positions end, with
        a warning if an answer is cut off there.
    stop : str or list of str, default=None
        An answer ends before the first of these, or at the model's end token.
    layer : "auto", int or list of int, default="auto"
        Hidden state of the features, as in
        :class:`~sklearn_adaalloc.HiddenStateFeaturizer`.
    pooling : {"last", "mean", "first"}, default="last"
        How it is pooled over tokens.
    max_length : int, default=None
        Most tokens of a prompt; longer ones lose their first tokens, with a warning.
        None for as many as the model takes.
    chat_template : bool, default=False
        Whether texts are put to the model as a user's message. Lists of messages always
        go through the tokenizer's template.
    batch_tokens : int, default=16384
        Most tokens in a batch: rows times length, the prompt and `max_new_tokens`. More
        rows than that are decoded one batch after the other; a batch that CUDA has too
        little memory for is halved. A token takes 2 x layers x key-value heads x head
        size numbers: 12 kB in Qwen2.5-0.5B, 128 kB in Llama-3-8B, both in bfloat16.
    cache_tokens : int, default=32768
        Most prompt tokens whose keys and values are kept between :meth:`prefill` and
        its ``decode``, and as many again for prompts that are being answered. Prompts
        beyond it are run again.
    device : str, default="auto"
        Torch device; "auto" takes CUDA, else MPS, else the CPU.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision; "auto" is bfloat16 on GPUs that have it and float32 elsewhere.
    revision : str, default=None
        Branch, tag or commit of a model on the hub.
    random_state : int, default=0
        Seed of all samples.
    progress : bool, default=False
        Whether to show a progress bar.

    See Also
    --------
    ValueAugmentedSampler : Asks a value model at every token.

    Notes
    -----
    Of the model's generation config only the end tokens are read. Tokens have the
    positions that the model gives them by itself; those of `generate` begin at 0, also
    where the model's do not, as in decoders of the RoBERTa family.

    Usage counts what went through the model: a prompt's tokens at each of its passes,
    which are one but for `cache_tokens`, and of an answer every new token, its end
    token included. Answers that reach neither an end token nor a stop string within
    `max_new_tokens`, or the model's positions, were cut off.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling import TransformersSampler
    >>> sampler = TransformersSampler("embedded", max_new_tokens=24, device="cpu")
    >>> sampler.sample(["rev abc=", "max 3 41 7=", "gcd 84 30="], budgets=[2, 1, 0])
    [['cba', 'cba'], ['41'], []]

    A policy between prefill and answers:

    >>> prefilled = sampler.prefill(["rev abc=", "max 3 41 7="])
    >>> prefilled.features.shape
    (2, 128)
    >>> prefilled.decode([1, 1])
    [['cba'], ['41']]
    """

    _parameter_constraints = {
        "temperature": NOT_NEGATIVE,
        "top_p": [Interval(Real, 0, 1, closed="right")],
        "max_new_tokens": POSITIVE_COUNT,
        "cache_tokens": POSITIVE_COUNT,
        "random_state": COUNT,
    }

    def __init__(
        self,
        model="embedded",
        *,
        temperature=0.7,
        top_p=1.0,
        max_new_tokens=256,
        stop=None,
        layer="auto",
        pooling="last",
        max_length=None,
        chat_template=False,
        batch_tokens=16384,
        cache_tokens=32768,
        device="auto",
        dtype="auto",
        revision=None,
        random_state=0,
        progress=False,
    ):
        self.model = model
        self.temperature = temperature
        self.top_p = top_p
        self.max_new_tokens = max_new_tokens
        self.stop = stop
        self.layer = layer
        self.pooling = pooling
        self.max_length = max_length
        self.chat_template = chat_template
        self.batch_tokens = batch_tokens
        self.cache_tokens = cache_tokens
        self.device = device
        self.dtype = dtype
        self.revision = revision
        self.random_state = random_state
        self.progress = progress

    def sample(
        self,
        prompts,
        budgets,
        *,
        first_sample=None,
        return_features=False,
        return_usage=False,
    ):
        """Answer prompts.

        Parameters
        ----------
        prompts : sequence of n_prompts str or lists of dict
            Texts, or lists of messages with "role" and "content".
        budgets : int or array-like of shape (n_prompts,)
            Number of samples of each prompt.
        first_sample : array-like of shape (n_prompts,), default=None
            Index of the first sample of each prompt, such as the number of samples it
            got before; None for 0.
        return_features : bool, default=False
            Whether to return the prompts' hidden states, too.
        return_usage : bool, default=False
            Whether to return the tokens paid for, too.

        Returns
        -------
        answers : list of n_prompts lists of str
            ``budgets[i]`` answers to prompt i.
        features : ndarray of shape (n_prompts, n_layers * hidden_size), float32
            If `return_features`: what a `HiddenStateFeaturizer` with the same settings
            computes.
        usage : TokenUsage
            If `return_usage`.

        Raises
        ------
        ValueError
            If a prompt, a budget or a parameter is not accepted, or the model cannot be
            loaded or is no causal language model.
        """
        prompts, budgets, first_sample = check_request(prompts, budgets, first_sample)
        prefilled = self._start(prompts)
        tokens = prefilled.decode_tokens(
            budgets, first_sample, features=return_features
        )
        answers = prefilled.as_answers(tokens, budgets, return_usage)
        if not return_features:
            return answers
        if not return_usage:
            return answers, prefilled.features
        answers, usage = answers
        return answers, prefilled.features, usage

    def prefill(self, prompts):
        """Run prompts through the model, to be answered later.

        Parameters
        ----------
        prompts : sequence of n_prompts str or lists of dict
            Texts, or lists of messages with "role" and "content".

        Returns
        -------
        prefilled : PrefilledPrompts
            With `features`, (n_prompts, n_layers * hidden_size), and
            ``decode(budgets, first_sample=None, return_usage=False)``, which may be
            called several times. Together they give what :meth:`sample` gives.

        Raises
        ------
        ValueError
            If a prompt or a parameter is not accepted, or the model cannot be loaded or
            is no causal language model.
        """
        prompts, _, _ = check_request(prompts, 0)
        prefilled = self._start(prompts)
        prefilled.run_all()
        return prefilled

    @property
    def settings(self):
        """All that an answer depends on beside prompt and sample, as a dict."""
        self._check_parameters()
        return {
            "sampler": type(self).__name__,
            "model": fingerprint(self.model, revision=self.revision, generation=True),
            "temperature": float(self.temperature),
            "top_p": float(self.top_p),
            "max_new_tokens": int(self.max_new_tokens),
            "stop": stop_strings(self.stop),
            "max_length": self.max_length,
            "chat_template": bool(self.chat_template),
            "dtype": resolve_dtype(self.dtype, resolve_device(self.device)),
            "random_state": int(self.random_state),
        }

    def shares_prefill_with(self, featurizer):
        """Whether the features of :meth:`prefill` are those of a fitted featurizer.

        Parameters
        ----------
        featurizer : object
            Any transformer.

        Returns
        -------
        bool
            True for a :class:`~sklearn_adaalloc.HiddenStateFeaturizer` of the same
            model, layers, pooling, length limit, template and precision.
        """
        settings = getattr(featurizer, "settings", None)  # none before fit
        return settings is not None and settings == self._featurizer().settings

    def _start(self, prompts):
        """Checked, loaded, tokenized; nothing run yet."""
        self._check_parameters()
        config = load_config(self.model, revision=self.revision)
        if not has_language_model_head(config):
            raise ValueError(
                f"model={str(self.model)!r} is no causal language model: its "
                f"architecture is {config.architectures}. Expected one with an LM head,"
                " such as LlamaForCausalLM."
            )
        language_model = self._load()
        options = PrefillOptions(
            model=str(self.model),
            layers=self._featurizer().layers_,
            pooling=self.pooling,
            max_length=self.max_length,
            chat_template=self.chat_template,
            batch_tokens=self.batch_tokens,
            cache_tokens=self.cache_tokens,
            max_new_tokens=self.max_new_tokens,
            random_state=self.random_state,
            progress=self.progress,
            ending=Ending(language_model, stop_strings(self.stop)),
            new_choice=clone(self)._new_choice,
        )
        return PrefilledPrompts(language_model, prompts, options)

    def _check_parameters(self):
        check_parameters(self)
        stop_strings(self.stop)

    def _featurizer(self):
        """The featurizer of the same settings, fitted: it checks those it shares."""
        shared = HiddenStateFeaturizer._get_param_names()
        parameters = {name: getattr(self, name) for name in shared if name != "cache"}
        return HiddenStateFeaturizer(**parameters).fit([""])

    def _load(self):
        language_model = load_language_model(
            self.model, revision=self.revision, device=self.device, dtype=self.dtype
        )
        network = language_model.model
        kinds = getattr(network.config.get_text_config(), "layer_types", None) or ()
        if network._is_stateful or not set(kinds) <= ATTENTION:
            raise ValueError(
                f"model={str(self.model)!r} keeps a recurrent state beside keys and "
                "values of its tokens, which samples of a prompt cannot share here. "
                "Expected a model of attention layers; serve this one and use "
                "OpenAISampler."
            )
        if not takes_input(network, "past_key_values"):
            raise ValueError(
                f"model={str(self.model)!r} is a {type(network).__name__}, which keeps "
                "no keys and values of its tokens for samples of a prompt to share. "
                "Expected a model that does; serve this one and use OpenAISampler."
            )
        return language_model

    def _new_choice(self):
        """What a step does with the logits."""
        from sklearn_adaalloc.sampling._local.generation import TokenChoice

        return TokenChoice(float(self.temperature), float(self.top_p))
