"""Value-augmented sampling: a value model influences the choice of every token."""

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
    """Sample from a causal language model, guided by a value model.

    At every step, the `top_k` likeliest tokens of the language model get a score, log p
    + β · value. The value of a token is the reward that the value model predicts for
    the answer so far with this token. The next token is sampled from the softmax of the
    scores over `temperature`. This maximises the expected value minus 1/β times the
    divergence from the language model. The language model itself does not change. With
    ordinary sampling as the weak decoder, this is the strong decoder of a
    :class:`~sklearn_adaalloc.decoding.Router`.

    Each of the two models runs the prompt once, and the value model keeps its own keys
    and values. So a step costs one token of the language model and `top_k` tokens of
    the value model.

    Parameters
    ----------
    model : str or path, default="embedded"
        Name on the Hugging Face hub, folder or .gguf file of a causal language model.
    value_model : str, path or callable, default=None
        Required. Either the name or folder of a sequence classifier with one output, or
        a function. The classifier is a decoder with the same tokens as the language
        model. Its output at a token is the value of the sequence up to there. If a
        reward model was trained only on complete answers, it is a poor value model.
        Train it further on beginnings of sampled answers to predict the reward of the
        complete answer, as in `benchmarks/quality/value_augmented.py`. A function is
        ``values(token_ids) -> ndarray of shape (n,)``, where token_ids are n lists of
        token ids, including the prompt. `settings` says how a function is identified.
    top_k : int, default=10
        Candidates per step.
    beta : float, default=1.0
        Weight of the value. 0 samples from the `top_k` likeliest tokens without values.
    temperature : float, default=0.7
        Scores are divided by it before the softmax. 0 takes the best candidate.
    top_p : float, default=1.0
        Sample from the best candidates that together reach this probability.
    max_new_tokens : int, default=256
        Largest number of tokens of an answer.
    stop : str or list of str, default=None
        An answer ends before the first of these strings, or at the model's end token.
    layer : "auto", int or list of int, default="auto"
        Hidden state used for features, as for :class:`TransformersSampler`.
    pooling : {"last", "mean", "first"}, default="last"
        How the hidden state is pooled over tokens.
    max_length : int, default=None
        Largest number of tokens of a prompt. Longer prompts lose their first tokens,
        with a warning.
    chat_template : bool, default=False
        Whether a text becomes a user's message.
    batch_tokens : int, default=16384
        Largest number of tokens in a batch, as for :class:`TransformersSampler`.
    cache_tokens : int, default=32768
        Largest number of prompt tokens whose keys and values are kept.
    device : str, default="auto"
        Torch device of both models; "auto" selects CUDA, else MPS, else the CPU.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision of both models; "auto" as for :class:`TransformersSampler`.
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
    Usage counts only the tokens of the language model, as for
    :class:`TransformersSampler`. `cost` is the cost of a new token with the value
    model's tokens.

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

    A function that prefers short answers:

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
        """Compute per new token, relative to ordinary sampling of the language model.

        It is 1 + `top_k` · (parameters of the value model) / (parameters of the
        language model). Assumption: a token takes two operations per parameter. For a
        function, the size is unknown and the cost is 1 + `top_k`.
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
        """Everything that an answer depends on besides prompt and index, as a dict.

        If the value model is a function with an attribute `settings`, a dict, this
        identifies it. Otherwise its source and everything it depends on do.
        """
        return super().settings | {
            "value_model": self._value_identity(),
            "top_k": int(self.top_k),
            "beta": float(self.beta),
        }

    def _value_identity(self):
        """Identity of the value model."""
        if not callable(self.value_model):
            return fingerprint(self.value_model)
        settings = getattr(self.value_model, "settings", None)
        if settings is not None:
            return settings
        try:
            return function_identity(self.value_model)
        except ValueError as error:
            raise ValueError(
                f"value_model={short_repr(self.value_model)} cannot be identified by "
                f"its source text ({error}), and answers depend on it. Give it an "
                "attribute settings, a dict of everything that its values depend on."
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
        """The value model. It must have the same tokens as the language model."""
        values = load_language_model(
            self.value_model,
            device=self.device,
            dtype=self._precision(),
            classifier=True,
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
