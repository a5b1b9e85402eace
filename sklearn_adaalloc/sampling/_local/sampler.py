"""Sampling from a language model of transformers. Each prompt is run once."""

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
from sklearn_adaalloc.language_models._model import (
    load_language_model,
    sampling_dtype,
)
from sklearn_adaalloc.language_models._options import (
    has_language_model_head,
    takes_input,
)
from sklearn_adaalloc.sampling._local.ending import Ending
from sklearn_adaalloc.sampling._local.prefill import PrefilledPrompts, PrefillOptions
from sklearn_adaalloc.sampling._requests import check_request, stop_strings

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}


class TransformersSampler(DocumentationLinkMixin, BaseEstimator):
    """Sample answers from a causal language model, any number to each prompt.

    Each prompt is run through the model once, however many answers it gets. The same
    pass computes the features that a policy reads. So with :meth:`prefill` and its
    ``decode``, a policy can decide between the two without another pass. Answers that
    have ended leave their batch.

    Sample j of a prompt depends only on the prompt, on j and on the settings. It does
    not depend on the batch or on earlier calls, except for rounding (in bfloat16,
    rounding may change a token now and then). Its distribution is that of ``generate``
    with ``do_sample=True``, the same settings, and `top_k` off.

    Parameters
    ----------
    model : str or path, default="embedded"
        Name on the Hugging Face hub, folder or .gguf file of a causal language model;
        "embedded" is the weak language model of the package.
    temperature : float, default=0.7
        Logits are divided by it before the softmax. With 0, the most likely token is
        taken each time, so all samples of a prompt are equal.
    top_p : float, default=1.0
        Sample from the most likely tokens that together reach this probability.
    max_new_tokens : int, default=256
        Largest number of tokens of an answer. If the model's positions end earlier,
        answers are cut off there, with a warning.
    stop : str or list of str, default=None
        An answer ends before the first of these strings, or at the model's end token.
    layer : "auto", int or list of int, default="auto"
        Hidden state used for features, as in
        :class:`~sklearn_adaalloc.HiddenStateFeaturizer`.
    pooling : {"last", "mean", "first"}, default="last"
        How the hidden state is pooled over tokens.
    max_length : int, default=None
        Largest number of tokens of a prompt. Longer prompts lose their first tokens,
        with a warning. None for as many as the model accepts.
    chat_template : bool, default=False
        Whether a text becomes a user's message. Lists of messages always use the
        tokenizer's template.
    batch_tokens : int, default=16384
        Largest number of tokens in a batch: rows times length, including the prompt and
        `max_new_tokens`. Further rows are decoded in further batches. If CUDA has too
        little memory for a batch, the batch is halved. A token needs 2 x layers x
        key-value heads x head size numbers: 12 kB in Qwen2.5-0.5B, 128 kB in
        Llama-3-8B, both in bfloat16.
    cache_tokens : int, default=32768
        Largest number of prompt tokens whose keys and values are kept between
        :meth:`prefill` and its ``decode``. The same number is used again for prompts
        that are being answered. Prompts beyond it are run again. If CUDA has too little
        memory for so many, fewer prompts are answered at a time.
    device : str, default="auto"
        Torch device; "auto" selects CUDA, else MPS, else the CPU.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision; "auto" is bfloat16 on GPUs that support it and float32 otherwise. On
        CPUs that multiply bfloat16 natively (AMX or AVX512-BF16), it is also bfloat16
        for weights that are saved as bfloat16 or quantised in a GGUF file. Features of
        :class:`~sklearn_adaalloc.HiddenStateFeaturizer` stay in float32 there, so one
        pass over the prompts serves both only if both get the same `dtype`.
    revision : str, default=None
        Branch, tag or commit of a model on the hub.
    random_state : int, default=0
        Seed of all samples.
    progress : bool, default=False
        Whether to show a progress bar.

    See Also
    --------
    ValueAugmentedSampler : Uses a value model at every token.

    Notes
    -----
    Only the end tokens of the model's generation config are used. Tokens have the
    positions that the model assigns by default. `generate` always starts at position 0.
    The two differ for some models, such as decoders of the RoBERTa family.

    Usage counts the tokens that were run through the model. A prompt counts at each of
    its passes; there is more than one only because of `cache_tokens`. An answer counts
    every new token, including its end token. If an answer reaches neither an end token
    nor a stop string within `max_new_tokens` or the model's positions, it was cut off.

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
            Index of the first sample of each prompt, usually the number of samples that
            it already has. None for 0.
        return_features : bool, default=False
            Whether to also return the prompts' hidden states.
        return_usage : bool, default=False
            Whether to also return the tokens paid for.

        Returns
        -------
        answers : list of n_prompts lists of str
            ``budgets[i]`` answers to prompt i.
        features : ndarray of shape (n_prompts, n_layers * hidden_size), float32
            Only with `return_features`. Equal to the output of a
            `HiddenStateFeaturizer` with the same settings.
        usage : TokenUsage
            Only with `return_usage`.

        Raises
        ------
        ValueError
            If a prompt, a budget or a parameter is not accepted, or if the model cannot
            be loaded or is not a causal language model.
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
        """Run prompts through the model, to answer them later.

        Parameters
        ----------
        prompts : sequence of n_prompts str or lists of dict
            Texts, or lists of messages with "role" and "content".

        Returns
        -------
        prefilled : PrefilledPrompts
            Has `features`, (n_prompts, n_layers * hidden_size), and ``decode(budgets,
            first_sample=None, return_usage=False)``, which may be called several times.
            Together they give the results of :meth:`sample`.

        Raises
        ------
        ValueError
            If a prompt or a parameter is not accepted, or if the model cannot be loaded
            or is not a causal language model.
        """
        prompts, _, _ = check_request(prompts, 0)
        prefilled = self._start(prompts)
        prefilled.run_all()
        return prefilled

    @property
    def settings(self):
        """Everything that an answer depends on besides prompt and index, as a dict."""
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
            "dtype": self._precision(),
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
            True for a :class:`~sklearn_adaalloc.HiddenStateFeaturizer` with the same
            model, layers, pooling, length limit, template and precision.
        """
        settings = getattr(featurizer, "settings", None)  # none before fit
        return settings is not None and settings == self._featurizer().settings

    def _start(self, prompts):
        """Check parameters, load the model and tokenize prompts; run nothing."""
        self._check_parameters()
        config = load_config(self.model, revision=self.revision)
        if not has_language_model_head(config):
            raise ValueError(
                f"model={str(self.model)!r} is not a causal language model: its "
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
        """A fitted featurizer with the same settings; checks shared parameters."""
        shared = HiddenStateFeaturizer._get_param_names()
        parameters = {name: getattr(self, name) for name in shared if name != "cache"}
        parameters["dtype"] = self._precision()
        return HiddenStateFeaturizer(**parameters).fit([""])

    def _precision(self):
        return sampling_dtype(
            self.model, revision=self.revision, device=self.device, dtype=self.dtype
        )

    def _load(self):
        language_model = load_language_model(
            self.model,
            revision=self.revision,
            device=self.device,
            dtype=self._precision(),
        )
        network = language_model.model
        kinds = getattr(network.config.get_text_config(), "layer_types", None) or ()
        if network._is_stateful or not set(kinds) <= ATTENTION:
            raise ValueError(
                f"model={str(self.model)!r} keeps a recurrent state besides keys and "
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
        """The rule that chooses the next tokens from the logits."""
        from sklearn_adaalloc.sampling._local.generation import TokenChoice

        return TokenChoice(float(self.temperature), float(self.top_p))
