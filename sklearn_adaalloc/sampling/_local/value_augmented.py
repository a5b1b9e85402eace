"""Value-augmented sampling: a value model has a say at every token."""

from numbers import Real
from pathlib import Path
from reprlib import repr as short_repr

from sklearn.utils._param_validation import Interval

from sklearn_adaalloc._utils.identity import function_identity
from sklearn_adaalloc._utils.parameters import (
    POSITIVE_COUNT,
)
from sklearn_adaalloc.language_models._checkpoints import fingerprint
from sklearn_adaalloc.language_models._model import load_language_model
from sklearn_adaalloc.sampling._local.sampler import TransformersSampler


class ValueAugmentedSampler(TransformersSampler):
    """Sample from a causal language model as a value model would have it.

    At every step the `top_k` likeliest tokens of the language model are scored by
    log p + β · value, where the value of a token is what the value model expects of the
    answer that begins with it; the next token is sampled from the softmax of these
    scores over `temperature`. That maximises the expected value less 1/β times the
    divergence from the language model, which is itself unchanged: this is the strong
    decoder beside ordinary sampling as the weak one, see
    :class:`~sklearn_adaalloc.decoding.Router`.

    The prompt goes through either model once, and the value model keeps its own keys
    and values: a step costs one token of the language model and `top_k` tokens of the
    value model.

    Parameters
    ----------
    model : str or path, default="embedded"
        Name on the Hugging Face hub or folder of a causal language model.
    value_model : str, path or callable, default=None
        To be given: name or folder of a sequence classifier with one output, on a
        decoder with the language model's tokens: its output at a token is the value of
        the sequence up to there. A reward model that was trained on whole answers only
        is a poor one: train it further on beginnings of sampled answers, to predict the
        reward of the whole, as in `benchmarks/quality/value_augmented.py`. Or a
        function ``values(token_ids) -> ndarray of shape (n,)`` of n lists of token ids,
        prompts included; see `settings` for how it is told from another.
    top_k : int, default=10
        Candidates per step.
    beta : float, default=1.0
        Weight of the value; 0 samples from the language model's `top_k` likeliest.
    temperature : float, default=0.7
        Scores are divided by it before the softmax; 0 takes the best candidate.
    top_p : float, default=1.0
        Sample from the best candidates that together reach this probability.
    max_new_tokens : int, default=256
        Most tokens of an answer.
    stop : str or list of str, default=None
        An answer ends before the first of these, or at the model's end token.
    layer : "auto", int or list of int, default="auto"
        Hidden state of the features, as for :class:`TransformersSampler`.
    pooling : {"last", "mean", "first"}, default="last"
        How it is pooled over tokens.
    max_length : int, default=None
        Most tokens of a prompt; longer ones lose their first tokens, with a warning.
    chat_template : bool, default=False
        Whether texts are put to the model as a user's message.
    batch_tokens : int, default=16384
        Most tokens in a batch, as for :class:`TransformersSampler`.
    cache_tokens : int, default=32768
        Most prompt tokens whose keys and values are kept.
    device : str, default="auto"
        Torch device of both models; "auto" takes CUDA, else MPS, else the CPU.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision of both models.
    revision : str, default=None
        Branch, tag or commit of the language model on the hub.
    random_state : int, default=0
        Seed of all samples.
    progress : bool, default=False
        Whether to show a progress bar.

    See Also
    --------
    TransformersSampler : Ordinary sampling.

    Notes
    -----
    Usage counts the language model's tokens alone, as for :class:`TransformersSampler`;
    `cost` says what each new token costs with the value model's share.

    References
    ----------
    Han, Shenfeld, Srivastava, Kim, Agrawal, "Value Augmented Sampling for Language
    Model Alignment and Personalization", 2024, arXiv 2405.06639.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets import embedded_model_path
    >>> from sklearn_adaalloc.sampling import ValueAugmentedSampler
    >>> sampler = ValueAugmentedSampler(
    ...     "embedded", embedded_model_path("reward"), beta=0.5, device="cpu"
    ... )
    >>> sampler.sample(["max 3 41 7="], budgets=[2])
    [['41', '41']]
    >>> round(sampler.cost)  # ten tokens of the reward model, which is the larger one
    16

    A function that would have short answers:

    >>> sampler.set_params(value_model=lambda token_ids: [-len(i) for i in token_ids])
    ValueAugmentedSampler(...)
    >>> sampler.sample(["digits 123="], budgets=[3])
    [['6', '7', '6']]
    """

    _parameter_constraints = TransformersSampler._parameter_constraints | {
        "top_k": POSITIVE_COUNT,
        "beta": [Interval(Real, -1e6, 1e6, closed="neither")],  # times a value: finite
    }

    def __init__(
        self,
        model="embedded",
        value_model=None,
        *,
        top_k=10,
        beta=1.0,
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
        super().__init__(
            model=model,
            temperature=temperature,
            top_p=top_p,
            max_new_tokens=max_new_tokens,
            stop=stop,
            layer=layer,
            pooling=pooling,
            max_length=max_length,
            chat_template=chat_template,
            batch_tokens=batch_tokens,
            cache_tokens=cache_tokens,
            device=device,
            dtype=dtype,
            revision=revision,
            random_state=random_state,
            progress=progress,
        )
        self.value_model = value_model
        self.top_k = top_k
        self.beta = beta

    @property
    def cost(self):
        """Compute per new token, ordinary sampling of the same language model being 1.

        1 + `top_k` · (parameters of the value model) / (parameters of the language
        model), each of which takes two operations per token; 1 + `top_k` for a
        function, of which no size is known.
        """
        self._check_parameters()
        if callable(self.value_model):
            return 1.0 + self.top_k
        sizes = [
            sum(parameter.numel() for parameter in each.model.parameters())
            for each in (self._load_values(), self._load())
        ]
        return 1 + self.top_k * sizes[0] / sizes[1]

    @property
    def settings(self):
        """All that an answer depends on beside prompt and sample, as a dict.

        A function of values is told by its attribute `settings`, a dict, if it has one,
        and else by its source and what it depends on.
        """
        return super().settings | {
            "value_model": self._value_identity(),
            "top_k": int(self.top_k),
            "beta": float(self.beta),
        }

    def _value_identity(self):
        """What tells the value model from any other."""
        if not callable(self.value_model):
            return fingerprint(self.value_model)
        settings = getattr(self.value_model, "settings", None)
        if settings is not None:
            return settings
        try:
            return function_identity(self.value_model)
        except ValueError as error:
            raise ValueError(
                f"value_model={short_repr(self.value_model)} cannot be told from "
                f"another function by what it is ({error}), and answers depend on it. "
                "Give it an attribute settings, a dict of what its values depend on."
            ) from None

    def _check_parameters(self):
        super()._check_parameters()
        if not (
            callable(self.value_model) or isinstance(self.value_model, (str, Path))
        ):
            raise ValueError(
                f"value_model={self.value_model!r} is not accepted. Expected the name "
                "or folder of a sequence classifier with one output, or a function of "
                "lists of token ids."
            )

    def _load_values(self):
        """The value model, which has to read the language model's tokens."""
        values = load_language_model(
            self.value_model, device=self.device, dtype=self.dtype, classifier=True
        )
        n_outputs = values.model.config.num_labels
        if n_outputs != 1 or not hasattr(values.model, "score"):
            raise ValueError(
                f"value_model={str(self.value_model)!r} is a "
                f"{type(values.model).__name__} with {n_outputs} outputs. Expected a "
                "decoder's sequence classifier with one output, such as a reward model."
            )
        if values.tokenizer.get_vocab() != self._load().tokenizer.get_vocab():
            raise ValueError(
                f"value_model={str(self.value_model)!r} has other tokens than model="
                f"{str(self.model)!r}. Expected a value model with the same tokenizer."
            )
        return values

    def _new_choice(self):
        from sklearn_adaalloc.sampling._local.values import (
            CalledValues,
            NetworkValues,
            ValueAugmentedChoice,
        )

        values = (
            CalledValues(self.value_model)
            if callable(self.value_model)
            else NetworkValues(self._load_values())
        )
        return ValueAugmentedChoice(
            float(self.temperature),
            float(self.top_p),
            values=values,
            top_k=int(self.top_k),
            beta=float(self.beta),
        )
