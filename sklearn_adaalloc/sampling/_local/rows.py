"""Rows of a batch that a network continues together, and their keys and values.

This module imports torch, so samplers import it inside their methods.
"""

import torch
from transformers.cache_utils import Cache, DynamicLayer

_ROOM = 64  # tokens; buffers grow in steps of this size


class RowLayer(DynamicLayer):
    """Keys and values of one layer, aligned on the right, with room for more tokens.

    The layers of transformers copy all keys and values at every token. Copying takes
    longer than reading. `keys` and `values` are lists of n_rows Tensors of shape
    (n_heads, length, head_size), which rows may share.
    """

    def __init__(self, keys, values):
        super().__init__()
        self.dtype, self.device = keys[0].dtype, keys[0].device
        self.is_initialized = True
        self._buffers = [aligned(keys), aligned(values)]
        self._show(max(part.shape[1] for part in keys))

    def update(self, key_states, value_states, *args, **kwargs):
        """Append (n_rows, n_heads, n_new, head_size); returns all keys and values."""
        start = self.get_seq_length()
        end = start + key_states.shape[2]
        for i, states in enumerate((key_states, value_states)):
            if end > self._buffers[i].shape[2]:
                self._buffers[i] = with_room(self._buffers[i][:, :, :start], end)
            self._buffers[i][:, :, start:end] = states
        self._show(end)
        return self.keys, self.values

    def keep_one(self, picked, n_candidates):
        """Keep one of the last tokens of each row; `picked`: (n_rows,)."""
        length = self.get_seq_length() - n_candidates
        rows = torch.arange(len(picked), device=picked.device)
        for buffer in self._buffers:
            buffer[:, :, length] = buffer[rows, :, length + picked]
        self._show(length + 1)

    def batch_select_indices(self, indices):
        """Keep some rows only."""
        length = self.get_seq_length()
        self._buffers = [
            with_room(buffer[indices, :, :length], length) for buffer in self._buffers
        ]
        self._show(length)

    def _show(self, length):
        # The names that transformers reads.
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)


def aligned(parts):
    """Copy the (n_heads, length, head_size) of each row, aligned on the right."""
    longest = max(part.shape[1] for part in parts)
    n_heads, _, size = parts[0].shape
    # Padding is masked, but it must be finite.
    buffer = parts[0].new_zeros(len(parts), n_heads, longest + _ROOM, size)
    for row, part in zip(buffer, parts, strict=True):
        row[:, longest - part.shape[1] : longest] = part
    return buffer


def with_room(states, length):
    """Copy (n_rows, n_heads, n_tokens, head_size) into a buffer for more tokens."""
    buffer = states.new_empty(*states.shape[:2], length + _ROOM, states.shape[3])
    buffer[:, :, : states.shape[2]] = states
    return buffer


class Rows:
    """Rows that a network continues together.

    Parameters
    ----------
    network : PreTrainedModel
        With or without head.
    caches : list of n_rows lists of pairs of Tensor
        Keys and values of each row, (n_heads, length, head_size), layer by layer.
    first_position : int
        Position that the network gave the first token of each row.
    """

    def __init__(self, network, caches, first_position):
        self.network = network
        self.first_position = first_position
        layers = [zip(*pairs, strict=True) for pairs in zip(*caches, strict=True)]
        self.cache = Cache(layers=[RowLayer(*map(list, pairs)) for pairs in layers])
        lengths = [layers[0][0].shape[1] for layers in caches]
        self.lengths = torch.tensor(lengths, device=network.device)  # (n_rows,)
        columns = torch.arange(max(lengths), device=network.device)
        # (n_rows, longest): 0 on padding, 1 on tokens.
        self.mask = (columns >= max(lengths) - self.lengths[:, None]).long()

    def run(self, tokens):
        """Run one more token of each row, (n_rows,); returns the network's output."""
        positions = self._next_positions()
        self._append_token()
        return self.network(
            input_ids=tokens[:, None],
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
        )

    def run_apart(self, candidates):
        """Run several next tokens of each row, none of which sees another.

        `candidates` is a Tensor of shape (n_rows, n_candidates). Returns the network's
        output for these tokens. Call :meth:`keep_one` afterwards.
        """
        n_rows, n_candidates = candidates.shape
        past = self.mask[:, None, :].expand(-1, n_candidates, -1)
        itself = torch.eye(n_candidates, dtype=torch.long, device=self.mask.device)
        seen = torch.cat([past, itself.expand(n_rows, -1, -1)], dim=2)
        # (n_rows, 1, n_candidates, length + n_candidates), added to attention scores.
        mask = torch.zeros(seen.shape, dtype=self.network.dtype, device=seen.device)
        mask = mask.masked_fill(seen == 0, torch.finfo(mask.dtype).min)[:, None]
        return self.network(
            input_ids=candidates,
            attention_mask=mask,
            position_ids=self._next_positions().expand(-1, n_candidates),
            past_key_values=self.cache,
        )

    def keep_one(self, picked, n_candidates):
        """Keep one of the candidates just run; `picked`: Tensor of shape (n_rows,)."""
        for layer in self.cache.layers:
            layer.keep_one(picked, n_candidates)
        self._append_token()

    def select(self, rows):
        """Keep some rows only; `rows` is a Tensor of positions."""
        self.cache.batch_select_indices(rows)
        self.mask, self.lengths = self.mask[rows], self.lengths[rows]

    def _next_positions(self):
        return self.first_position + self.lengths[:, None]  # (n_rows, 1)

    def _append_token(self):
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        self.lengths = self.lengths + 1
