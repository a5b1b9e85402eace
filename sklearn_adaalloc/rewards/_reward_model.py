"""Rewards from a reward model, which is a language model that scores answers."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions

from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.parameters import (
    OPTIONAL_COUNT,
    POSITIVE_COUNT,
    check_parameters,
)
from sklearn_adaalloc._utils.queries import check_answers, query_keys
from sklearn_adaalloc.language_models._checkpoints import fingerprint, load_config
from sklearn_adaalloc.language_models._gguf import is_gguf
from sklearn_adaalloc.language_models._model import load_language_model
from sklearn_adaalloc.language_models._options import (
    DTYPES,
    resolve_device,
    resolve_dtype,
    warn_truncated,
)
from sklearn_adaalloc.rewards._references import assign_grades


class RewardModel(DocumentationLinkMixin, BaseEstimator):
    """Score answers with a sequence classifier of transformers with one output.

    The score is the classifier's logit for a pair of query and answer. It does not
    depend on the other pairs of a batch: batches are padded on the right with the
    model's own padding token, and contain pairs of similar length. Each distinct pair
    is scored once. The model is loaded when it is first needed. Objects with the same
    model share it, and pickles do not contain it.

    Parameters
    ----------
    model : str or path
        Name on the Hugging Face hub or folder of a sequence classifier with one output,
        such as ``embedded_model_path("reward")`` of
        :mod:`sklearn_adaalloc.datasets`.
    chat_template : "auto" or bool, default="auto"
        Whether a text and its answer become a user's message and an assistant's
        message. Otherwise they are encoded as a pair of texts. "auto" uses the
        tokenizer's chat template if there is one. Lists of messages always need the
        template.
    max_length : int, default=None
        Largest number of tokens of a pair. Longer pairs lose their first tokens, with a
        warning. None for as many as the model accepts.
    batch_tokens : int, default=16384
        Largest number of tokens of a batch, including padding. On a CPU, it is at most
        512. If CUDA has too little memory for a batch, the batch is halved.
    device : str, default="auto"
        Torch device; "auto" selects CUDA, else MPS, else the CPU.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision; "auto" is bfloat16 on GPUs that support it and float32 otherwise.
    revision : str, default=None
        Branch, tag or commit of a model on the hub.

    See Also
    --------
    MathVerifier : Grades against right answers, 0 or 1.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets import embedded_model_path
    >>> from sklearn_adaalloc.rewards import RewardModel
    >>> reward = RewardModel(embedded_model_path("reward"), device="cpu")
    >>> right, wrong = reward(["27+48="], [["75", "912"]])[0]
    >>> bool(right > wrong)
    True
    """

    _parameter_constraints = {
        "dtype": [StrOptions(set(DTYPES))],
        "batch_tokens": POSITIVE_COUNT,
        "max_length": OPTIONAL_COUNT,
    }

    def __init__(
        self,
        model,
        *,
        chat_template="auto",
        max_length=None,
        batch_tokens=16384,
        device="auto",
        dtype="auto",
        revision=None,
    ):
        self.model = model
        self.chat_template = chat_template
        self.max_length = max_length
        self.batch_tokens = batch_tokens
        self.device = device
        self.dtype = dtype
        self.revision = revision

    def __call__(self, queries, answers):
        """Score answers.

        Parameters
        ----------
        queries : sequence of n_queries str or lists of dict
            Texts or chats.
        answers : sequence of n_queries sequences of str
            Any number of answers to each query.

        Returns
        -------
        rewards : list of n_queries ndarrays of shape (n_answers,)
            Scores, float64.

        Raises
        ------
        ValueError
            If a parameter or an answer is not accepted, if the model cannot be loaded
            or has more than one output, or if a query is a chat and there is no
            template.
        """
        queries, answers = check_answers(queries, answers)
        self._check_parameters()
        pairs = [
            [(key, answer) for answer in row]
            for key, row in zip(query_keys(queries), answers, strict=True)
        ]
        distinct = dict.fromkeys(pair for row in pairs for pair in row)
        by_key = dict(zip(query_keys(queries), queries, strict=True))
        scores = self._score([(by_key[key], answer) for key, answer in distinct])
        return assign_grades(dict(zip(distinct, scores, strict=True)), pairs)

    @property
    def settings(self):
        """Everything that a score depends on besides query and answer, as a dict."""
        self._check_parameters()
        return {
            "reward": type(self).__name__,
            "model": fingerprint(self.model, revision=self.revision),
            "chat_template": self.chat_template,
            "max_length": self.max_length,
            "dtype": resolve_dtype(self.dtype, resolve_device(self.device)),
        }

    def _check_parameters(self):
        flag = isinstance(self.chat_template, bool | str)
        if not flag or self.chat_template not in ("auto", True, False):
            raise ValueError(
                f"chat_template={self.chat_template!r} is not accepted. Expected "
                "'auto', True or False."
            )
        check_parameters(self)

    def _score(self, pairs):
        """Scores of distinct pairs of a query and an answer, (n_pairs,)."""
        from sklearn_adaalloc.rewards._scoring import encode_pairs, score_batches

        scores = np.empty(len(pairs))
        if not pairs:
            return scores
        language_model = self._load()
        template = language_model.tokenizer.chat_template is not None
        chat_template = template if self.chat_template == "auto" else self.chat_template
        if not template and (
            chat_template or not all(isinstance(query, str) for query, _ in pairs)
        ):
            raise ValueError(
                f"model={str(self.model)!r} has no chat template, so it takes neither "
                f"chats nor chat_template={self.chat_template!r}. Give texts with "
                "chat_template=False, or a model made for chat."
            )
        encoded, truncated = encode_pairs(
            language_model,
            pairs,
            chat_template=chat_template,
            max_length=self.max_length,
        )
        warn_truncated(truncated, self.max_length)
        for rows, values in score_batches(
            language_model, encoded, batch_tokens=self.batch_tokens
        ):
            scores[rows] = values
        return scores

    def _load(self):
        if is_gguf(self.model):
            raise ValueError(
                f"model={str(self.model)!r} is a .gguf file, and transformers reads no "
                "head of a classifier from one. Expected the name or folder of a "
                "sequence classifier with one output."
            )
        config = load_config(self.model, revision=self.revision)
        if config.num_labels != 1:
            raise ValueError(
                f"model={str(self.model)!r} has {config.num_labels} outputs. Expected "
                "a sequence classifier with one output, the score (num_labels=1 in its "
                "config.json)."
            )
        return load_language_model(
            self.model,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            classifier=True,
        )
