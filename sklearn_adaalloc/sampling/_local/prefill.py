"""Prompts that were run through a model once, ready for decoding."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from sklearn_adaalloc._utils.queries import query_keys
from sklearn_adaalloc.language_models._options import takes_input, warn_truncated
from sklearn_adaalloc.sampling._local.streams import stream_key, uniform_stream
from sklearn_adaalloc.sampling._protocol import TokenUsage
from sklearn_adaalloc.sampling._requests import (
    check_first_sample,
    check_sample_budgets,
)


@dataclass(frozen=True)
class PrefillOptions:
    """Parameters of a sampler at the time when the prompts were run.

    Attributes
    ----------
    model : str
        Name of the language model, for messages.
    layers : tuple of int
        Hidden states used as features, counted from 0.
    pooling : str
        How the states of a prompt become one vector.
    max_length : int or None
        Most tokens of a prompt.
    chat_template : bool
        Whether texts are put into the chat template.
    batch_tokens : int
        Most tokens of a batch, padding included.
    cache_tokens : int
        Most tokens of prompts whose keys and values are kept.
    max_new_tokens : int
        Most tokens of an answer.
    random_state : int
        Seed of the streams of random numbers.
    progress : bool
        Whether to show a bar.
    ending : Ending
        Where an answer ends.
    new_choice : callable
        Makes the TokenChoice of one batch.
    """

    model: str
    layers: tuple
    pooling: str
    max_length: int | None
    chat_template: bool
    batch_tokens: int
    cache_tokens: int
    max_new_tokens: int
    random_state: int
    progress: bool
    ending: object
    new_choice: Callable


class PrefilledPrompts:
    """What :meth:`TransformersSampler.prefill` returns.

    Equal prompts are run once. Keys and values of a prompt are kept until
    :meth:`decode`, up to `cache_tokens` tokens of prompts in total. A prompt beyond
    that is run again before it is answered.

    Parameters
    ----------
    language_model : LanguageModel
        Causal language model.
    prompts : list of n_prompts str or lists of dict
        Checked prompts.
    options : PrefillOptions
        How they are run and answered.
    """

    def __init__(self, language_model, prompts, options):
        self.language_model = language_model
        self.options = options
        keys = query_keys(prompts)
        position = {key: row for row, key in enumerate(dict.fromkeys(keys))}
        self._distinct = np.array([position[key] for key in keys])  # (n_prompts,)
        distinct = dict(zip(keys, prompts, strict=True))
        self._token_ids, truncated = self.language_model.encode(
            list(distinct.values()),
            max_length=options.max_length,
            chat_template=options.chat_template,
        )
        warn_truncated(truncated[self._distinct], options.max_length)
        self._lengths = np.array([len(ids) for ids in self._token_ids])
        self._kept = {}  # index of a distinct prompt -> Prompt
        self._features = [None] * len(distinct)
        self._unreported = np.zeros(len(distinct), dtype=np.int64)  # tokens run

    @property
    def features(self):
        """Pooled hidden states, (n_prompts, n_layers * hidden_size), float32."""
        return np.stack([self._features[row] for row in self._distinct])

    def decode(self, budgets, *, first_sample=None, return_usage=False):
        """Answer the prompts. May be called again for further samples.

        Parameters
        ----------
        budgets : int or array-like of shape (n_prompts,)
            Number of samples of each prompt.
        first_sample : array-like of shape (n_prompts,), default=None
            Index of the first sample of each prompt, usually the number of samples that
            it already has. None for 0.
        return_usage : bool, default=False
            Whether to also return the tokens paid for.

        Returns
        -------
        answers : list of n_prompts lists of str
            ``budgets[i]`` answers to prompt i.
        usage : TokenUsage
            Only with `return_usage`. A prompt counts when it is first reported. An
            answer is cut off if `max_new_tokens` or the model's positions end it.

        Raises
        ------
        ValueError
            If there is not one budget per prompt, or one is not an integer of at least
            0.
        """
        n_prompts = len(self._distinct)
        budgets = check_sample_budgets(budgets, n_prompts)
        first_sample = check_first_sample(first_sample, n_prompts)
        tokens = self.decode_tokens(budgets, first_sample)
        return self.as_answers(tokens, budgets, return_usage)

    def run_all(self):
        """Run every prompt for its features; keep as many as `cache_tokens` allows."""

        def keep(chunk):
            n_kept = self._lengths[list(self._kept)].sum()
            for row, prompt in self._run(chunk).items():
                if n_kept + self._lengths[row] <= self.options.cache_tokens:
                    self._kept[row] = prompt
                    n_kept += self._lengths[row]

        self._in_chunks(keep, np.arange(len(self._token_ids)))

    def decode_tokens(self, budgets, first_sample, *, features=False):
        """New tokens of every answer, prompt after prompt.

        With `features`, prompts without a budget are run too.
        """
        budgets, first_sample = np.asarray(budgets), np.asarray(first_sample)
        within = np.arange(budgets.sum()) - np.repeat(
            np.cumsum(budgets) - budgets, budgets
        )
        # (n_answers, 2): distinct prompt and index of the sample. Equal prompts share
        # their samples, so each pair is drawn once.
        wanted = np.column_stack(
            [
                np.repeat(self._distinct, budgets),
                np.repeat(first_sample, budgets) + within,
            ]
        )
        pairs, pair_of = np.unique(wanted, axis=0, return_inverse=True)
        pair_of = pair_of.ravel()  # NumPy 2.0 gives it the axis back
        to_run = np.arange(len(self._token_ids)) if features else np.unique(pairs[:, 0])
        tokens = [None] * len(pairs)
        with tqdm(
            total=len(pairs),
            desc="samples",
            unit=" answers",
            disable=not self.options.progress,
        ) as progress:

            def answer(chunk):
                missing = np.setdiff1d(chunk, list(self._kept))
                passes = self._kept | self._run(missing)
                rows = np.flatnonzero(np.isin(pairs[:, 0], chunk))
                for batch, answers in self._decoded(pairs[rows], passes):
                    for row, answer in zip(rows[batch], answers, strict=True):
                        progress.update(tokens[row] is None)
                        tokens[row] = answer

            self._in_chunks(answer, to_run)
        self._warn_out_of_positions(pairs, tokens)
        return [tokens[pair] for pair in pair_of]

    def as_answers(self, tokens, budgets, return_usage):
        """Texts of each prompt, with their TokenUsage if `return_usage`."""
        ending = self.options.ending
        ends = np.cumsum(budgets)
        spans = [slice(end - n, end) for end, n in zip(ends, budgets, strict=True)]
        texts = [ending.text(answer) for answer in tokens]
        answers = [texts[span] for span in spans]
        if not return_usage:
            return answers
        counts = np.array([len(answer) for answer in tokens], dtype=np.float64)
        # An answer that did not end by itself was ended by its limit.
        cut_off = np.array([not ending.reached(answer) for answer in tokens], bool)
        n_prompt = np.zeros(len(budgets), dtype=np.float64)
        first = np.unique(self._distinct, return_index=True)[1]
        n_prompt[first] = self._unreported
        self._unreported[:] = 0
        usage = TokenUsage(
            n_prompt,
            [counts[span] for span in spans],
            cut_off=[cut_off[span] for span in spans],
        )
        return answers, usage

    def _in_chunks(self, run, prompts):
        """Call a function on chunks of prompts.

        The keys and values of a chunk are in memory together. If CUDA has too little
        memory for them, the chunk is halved. Answers that it had are drawn again; they
        are the same.
        """
        import torch

        waiting = [*self._chunks(prompts)][::-1]
        while waiting:
            chunk = waiting.pop()
            try:
                run(chunk)
            except torch.cuda.OutOfMemoryError:
                if len(chunk) == 1:
                    raise
                waiting += np.array_split(chunk, 2)[::-1]

    def _chunks(self, prompts):
        """Split prompts, sorted by length, into chunks of at most `cache_tokens`."""
        chunk, n_tokens = [], 0
        for row in prompts[np.argsort(-self._lengths[prompts], kind="stable")]:
            if chunk and n_tokens + self._lengths[row] > self.options.cache_tokens:
                yield np.array(chunk)
                chunk, n_tokens = [], 0
            chunk.append(row)
            n_tokens += self._lengths[row]
        if chunk:
            yield np.array(chunk)

    def _run(self, prompts):
        """Run prompts and store their features; index of distinct prompt -> Prompt."""
        from sklearn_adaalloc.language_models._batches import (
            CPU_BATCH_TOKENS,
            token_batches,
        )
        from sklearn_adaalloc.sampling._local.generation import prefill

        on_cpu = self.language_model.device.type == "cpu"
        batch_tokens = min(
            self.options.batch_tokens, CPU_BATCH_TOKENS if on_cpu else np.inf
        )

        def run(rows):
            return prefill(
                self.language_model,
                [self._token_ids[row] for row in prompts[rows]],
                layers=self.options.layers,
                pooling=self.options.pooling,
            )

        passes = {}
        for rows, (done, features) in token_batches(
            run, self._lengths[prompts], batch_tokens
        ):
            passes.update(zip(prompts[rows].tolist(), done, strict=True))
            for row, values in zip(prompts[rows], features, strict=True):
                self._features[row] = values
        self._unreported[prompts] += self._lengths[prompts]
        return passes

    def _decoded(self, pairs, passes):
        """Yield rows of `pairs` and their new tokens, batch by batch."""
        from sklearn_adaalloc.language_models._batches import token_batches
        from sklearn_adaalloc.sampling._local.generation import decode

        options, ending = self.options, self.options.ending
        limits = self._limits()
        keys = {
            row: stream_key(options.random_state, self._token_ids[row])
            for row in np.unique(pairs[:, 0])
        }

        def run(batch):
            return decode(
                self.language_model,
                [passes[row] for row in batch[:, 0]],
                np.stack(
                    [
                        uniform_stream(keys[row], sample, options.max_new_tokens)
                        for row, sample in batch
                    ]
                ),
                limits[batch[:, 0]],
                choice=options.new_choice(),
                ended=ending.reached,
            )

        longest = (self._lengths + limits)[pairs[:, 0]]
        for group in self._decodable_together(pairs):
            for rows, answers in token_batches(
                lambda rows, group=group: run(pairs[group[rows]]),
                longest[group],
                options.batch_tokens,
            ):
                yield group[rows], answers

    def _decodable_together(self, pairs):
        """Rows of `pairs` that may share batches: all, or those of each length.

        Some models take no positions as input. They use those of the longest row for
        all rows.
        """
        if takes_input(self.language_model.model, "position_ids"):
            return [np.arange(len(pairs))]
        lengths = self._lengths[pairs[:, 0]]
        return [np.flatnonzero(lengths == length) for length in np.unique(lengths)]

    def _limits(self):
        """Largest number of new tokens of each distinct prompt, by positions left."""
        positions = min(self.language_model.positions, 2**31)
        # The last new token is not run through the model.
        return np.minimum(
            self.options.max_new_tokens, positions - self._lengths + 1
        ).astype(np.int64)

    def _warn_out_of_positions(self, pairs, tokens):
        """Warn once about answers that were cut off by the model's positions."""
        ending = self.options.ending
        limits = self._limits()[pairs[:, 0]]
        n_cut = sum(
            len(answer) == limit < self.options.max_new_tokens
            and not ending.reached(answer)
            for answer, limit in zip(tokens, limits, strict=True)
        )
        if n_cut:
            warnings.warn(
                f"{n_cut} of {len(tokens)} answers were cut off where the positions of "
                f"model={self.options.model!r} end, before max_new_tokens="
                f"{self.options.max_new_tokens!r}. Shorten the prompts with max_length,"
                " or take a model with more positions.",
                UserWarning,
                stacklevel=4,
            )
