"""Run each prompt once, then decode any number of answers from it.

A prompt is run without visible padding. Keys and values of its tokens are kept, and
copied for every row that continues it. This module imports torch, so samplers import it
inside their methods.
"""

from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache, TopPLogitsWarper

from sklearn_adaalloc.language_models._forward import kept_states
from sklearn_adaalloc.language_models._pooling import POOLINGS
from sklearn_adaalloc.sampling._local.rows import Rows


@dataclass(frozen=True)
class Prompt:
    """A prompt after its pass.

    Attributes
    ----------
    token_ids : list of int
    logits : Tensor of shape (n_tokens,), float32
        Logits of the first new token.
    cache : list of n_layers pairs of Tensor of shape (n_heads, length, head_size)
        Keys and values.
    """

    token_ids: list
    logits: torch.Tensor
    cache: list


@torch.inference_mode()
def prefill(language_model, token_ids, *, layers, pooling):
    """Run a batch of prompts, each once.

    Parameters
    ----------
    language_model : LanguageModel
    token_ids : list of n_prompts lists of int
    layers : sequence of int
        Hidden states to pool.
    pooling : str
        Key of ``POOLINGS``.

    Returns
    -------
    prompts : list of n_prompts Prompt
    features : ndarray of shape (n_prompts, n_layers * hidden_size), float32
    """
    input_ids, attention_mask = language_model.pad(token_ids)
    # (n_prompts,): logits are computed only where some prompt ends.
    ends, end_of = (attention_mask.sum(dim=1) - 1).unique(return_inverse=True)
    cache = DynamicCache()
    with (
        language_model.lock,
        kept_states(language_model.backbone, layers) as states,
    ):
        # Padding on the right needs no mask, because a causal model never sees it.
        logits = language_model.model(
            input_ids=input_ids, past_key_values=cache, logits_to_keep=ends
        ).logits
    # (n_prompts, n_tokens); some models compute the logits of all tokens anyway.
    column = end_of if logits.shape[1] == len(ends) else ends[end_of]
    logits = logits[torch.arange(len(logits), device=logits.device), column].float()
    prompts = [
        Prompt(ids, logits[row], cache_of(cache, row, len(ids)))
        for row, ids in enumerate(token_ids)
    ]
    pooled = [POOLINGS[pooling](states[k].float(), attention_mask) for k in layers]
    return prompts, torch.cat(pooled, dim=1).cpu().numpy()


def cache_of(cache, row, length):
    """Keys and values of one row, without its padding on the right."""
    return [
        (layer.keys[row, :, :length], layer.values[row, :, :length])
        for layer in cache.layers
    ]


_COLDEST = 1e-30  # argmax below it, because logits / temperature would overflow
# Rows that have ended leave their batch when they are this share of it: each time, the
# keys and values of all others are copied.
_SHARE_ENDED = 1 / 8


class TokenChoice:
    """Ordinary sampling: chooses the next tokens from logits.

    The next token is where the cumulative distribution passes the row's uniform number.
    So it does not depend on the other rows of the batch.

    Parameters
    ----------
    temperature : float
        Logits are divided by it; 0 takes the most likely token.
    top_p : float
        The least likely tokens with a total of at most 1 − `top_p` are excluded.
    """

    def __init__(self, temperature, top_p):
        self.temperature = temperature
        self.top_p = top_p

    def start(self, prompts):
        """Prepare for rows that continue `prompts`, a list of n_rows Prompt."""

    def choose(self, logits, uniforms):
        """Next token of each row.

        Parameters
        ----------
        logits : Tensor of shape (n_rows, n_tokens)
        uniforms : Tensor of shape (n_rows,), float64
            In [0, 1).

        Returns
        -------
        tokens : Tensor of shape (n_rows,)
        """
        if self.temperature < _COLDEST:
            return logits.argmax(dim=-1)
        scores = logits.float() / self.temperature
        if self.top_p < 1:
            scores = TopPLogitsWarper(self.top_p)(None, scores)
        cumulative = scores.softmax(dim=-1).to(uniforms.dtype).cumsum(dim=-1)
        reached = uniforms[:, None] * cumulative[:, -1:]
        return torch.searchsorted(cumulative, reached, right=True)[:, 0]

    def select(self, rows):
        """Keep some rows only; `rows` is a Tensor of positions."""


@torch.inference_mode()
def decode(language_model, prompts, uniforms, limits, *, choice, ended):
    """Continue prompts token by token; rows that have ended leave the batch.

    Parameters
    ----------
    language_model : LanguageModel
    prompts : list of n_rows Prompt
        Prompt of each row; rows may share one.
    uniforms : ndarray of shape (n_rows, max_new_tokens)
        Random numbers of each row.
    limits : sequence of n_rows int
        Largest number of new tokens of each row, at least 1.
    choice : TokenChoice
    ended : callable
        Whether an answer, a list of new tokens, is complete.

    Returns
    -------
    answers : list of n_rows lists of int
    """
    device = language_model.device
    # (max_new_tokens, n_rows); MPS has no float64.
    dtype = torch.float32 if device.type == "mps" else torch.float64
    uniforms = torch.from_numpy(uniforms.T.copy()).to(device, dtype)
    logits = torch.stack([prompt.logits for prompt in prompts])
    answers = [[] for _ in prompts]
    in_batch = torch.arange(len(prompts), device=device)
    with language_model.lock:
        rows = Rows(
            language_model.model,
            [prompt.cache for prompt in prompts],
            language_model.first_position,
        )
        choice.start(prompts)
        going_on = [True] * len(prompts)  # of each row in the batch
        for n_tokens, uniform in enumerate(uniforms, start=1):
            tokens = choice.choose(logits, uniform[in_batch])  # (n_rows_in_batch,)
            full = False  # whether a row that has ended has no position left
            for i, (row, token) in enumerate(
                zip(in_batch.tolist(), tokens.tolist(), strict=True)
            ):
                if going_on[i]:
                    answers[row].append(token)
                    going_on[i] = n_tokens < limits[row] and not ended(answers[row])
                full = full or (n_tokens >= limits[row] and not going_on[i])
            if not any(going_on):
                break
            if full or going_on.count(False) >= _SHARE_ENDED * len(going_on):
                kept = torch.tensor(np.flatnonzero(going_on), device=device)
                in_batch, tokens = in_batch[kept], tokens[kept]
                going_on = [True] * len(kept)
                rows.select(kept)
                choice.select(kept)
            logits = rows.run(tokens).logits[:, -1]
    return answers
