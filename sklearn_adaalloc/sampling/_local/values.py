"""Values of candidate tokens, and sampling by them.

This module imports torch, so samplers import it inside their methods.
"""

import numpy as np
import torch
from transformers import DynamicCache

from sklearn_adaalloc._utils.numbers import LARGEST, check_numbers
from sklearn_adaalloc.sampling._local.generation import TokenChoice, cache_of
from sklearn_adaalloc.sampling._local.rows import Rows


class ValueAugmentedChoice(TokenChoice):
    """Sample from the likeliest tokens by log p + β · value.

    Parameters
    ----------
    temperature, top_p : float
        As for :class:`TokenChoice`, applied to log p + β · value.
    values : NetworkValues or CalledValues
        Computes the value of each candidate.
    top_k : int
        Number of candidates.
    beta : float
        Weight of the value.
    """

    def __init__(self, temperature, top_p, *, values, top_k, beta):
        super().__init__(temperature, top_p)
        self.values = values
        self.top_k = top_k
        self.beta = beta

    def start(self, prompts):
        """Prepare for rows that continue `prompts`, a list of n_rows Prompt."""
        self.values.start([prompt.token_ids for prompt in prompts])

    def choose(self, logits, uniforms):
        """Next token of each row, see :meth:`TokenChoice.choose`."""
        top_k = min(self.top_k, logits.shape[-1])
        # (n_rows, top_k); in vocabulary order, which does not depend on rounding.
        candidates = logits.topk(top_k).indices.sort(dim=-1).values
        log_p = logits.float().log_softmax(dim=-1).gather(1, candidates)
        scores = log_p + self.beta * self.values.of(candidates)
        picked = super().choose(scores, uniforms)  # (n_rows,)
        self.values.append(candidates, picked)
        return candidates.gather(1, picked[:, None])[:, 0]

    def select(self, rows):
        """Keep some rows only; `rows` is a Tensor of positions."""
        self.values.select(rows)


class NetworkValues:
    """Values by a sequence classifier, which keeps its own keys and values.

    All candidates of a row are run together. Each one sees the row and itself, but no
    other candidate. The keys and values of the chosen token are kept.

    Parameters
    ----------
    classifier : LanguageModel
        Decoder with one output per token, such as a reward model.
    """

    def __init__(self, classifier):
        self.classifier = classifier

    def start(self, token_ids):
        """Run each distinct prompt once; `token_ids` is n_rows lists of int."""
        distinct = {id(ids): ids for ids in token_ids}
        input_ids, _ = self.classifier.pad(list(distinct.values()))
        cache = DynamicCache()
        with self.classifier.lock:
            self.classifier.backbone(input_ids=input_ids, past_key_values=cache)
        caches = {
            key: cache_of(cache, row, len(ids))
            for row, (key, ids) in enumerate(distinct.items())
        }
        self.rows = Rows(
            self.classifier.backbone,
            [caches[id(ids)] for ids in token_ids],
            self.classifier.first_position,
        )

    def of(self, candidates):
        """Value of each row with each candidate added, (n_rows, top_k), float32."""
        with self.classifier.lock:
            hidden = self.rows.run_apart(candidates).last_hidden_state
            return self.classifier.model.score(hidden)[..., 0].float()

    def append(self, candidates, picked):
        """Go on with one candidate per row; `picked`: Tensor of shape (n_rows,)."""
        self.rows.keep_one(picked, candidates.shape[1])

    def select(self, rows):
        """Keep some rows only; `rows` is a Tensor of positions."""
        self.rows.select(rows)


class CalledValues:
    """Values by a function of complete token sequences.

    Parameters
    ----------
    function : callable
        Takes n lists of token ids, including the prompt, and returns n numbers.
    """

    def __init__(self, function):
        self.function = function

    def start(self, token_ids):
        """Begin with prompts, n_rows lists of int."""
        self.sequences = [list(ids) for ids in token_ids]

    def of(self, candidates):
        """Value of each row with each candidate added, (n_rows, top_k), float32."""
        sequences = [
            [*ids, token]
            for ids, row in zip(self.sequences, candidates.tolist(), strict=True)
            for token in row
        ]
        expected = f"one finite number for each of {len(sequences)} sequences of tokens"
        values = self.function(sequences)
        values = check_numbers(values, "what value_model returned", expected)
        fits = values.shape == (len(sequences),) and (np.abs(values) <= LARGEST).all()
        if not fits:
            raise ValueError(
                f"value_model returned values of shape {values.shape} for "
                f"{len(sequences)} sequences of tokens, or some that are not finite, "
                f"or above {LARGEST:g}. Expected {expected}."
            )
        values = values.astype(np.float32)
        return torch.from_numpy(values).view(candidates.shape).to(candidates.device)

    def append(self, candidates, picked):
        """Go on with one candidate per row; `picked`: Tensor of shape (n_rows,)."""
        tokens = candidates.gather(1, picked[:, None])[:, 0].tolist()
        for ids, token in zip(self.sequences, tokens, strict=True):
            ids.append(token)

    def select(self, rows):
        """Keep some rows only; `rows` is a Tensor of positions."""
        self.sequences = [self.sequences[row] for row in rows.tolist()]
