"""Keys and values of rows that go on together, against plain concatenation."""

import pytest
import torch

from sklearn_adaalloc.sampling._local.rows import RowLayer

N_HEADS, SIZE = 2, 3
LENGTHS = [5, 2]


@pytest.fixture
def random():
    """Function that draws a tensor of a shape."""
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator)


@pytest.fixture
def rows(random):
    """Keys of two rows, (n_heads, length, head_size)."""
    return [random(N_HEADS, length, SIZE) for length in LENGTHS]


def test_rows_are_aligned_on_the_right_with_finite_padding(rows):
    layer = RowLayer(rows, rows)
    assert layer.keys.shape == (2, N_HEADS, 5, SIZE)
    torch.testing.assert_close(layer.keys[0], rows[0])
    torch.testing.assert_close(layer.keys[1, :, 3:], rows[1])
    assert (layer.keys[1, :, :3] == 0).all()


def test_tokens_beyond_the_room_are_appended_too(rows, random):
    layer = RowLayer(rows, [2 * row for row in rows])
    before = layer.keys.clone()
    tokens = random(2, N_HEADS, 200, SIZE)
    for token in tokens.split(1, dim=2):
        keys, values = layer.update(token, 2 * token)
    torch.testing.assert_close(keys, torch.cat([before, tokens], dim=2))
    torch.testing.assert_close(values, 2 * keys)
    assert layer.get_seq_length() == 205


def test_a_row_that_is_kept_goes_on_as_before(rows, random):
    layer = RowLayer(rows, rows)
    layer.batch_select_indices(torch.tensor([1]))
    tokens = random(1, N_HEADS, 100, SIZE)
    keys, _ = layer.update(tokens, tokens)
    torch.testing.assert_close(keys[0, :, 3:], torch.cat([rows[1], tokens[0]], dim=1))


def test_one_candidate_of_each_row_is_kept(rows, random):
    layer = RowLayer(rows, rows)
    candidates = random(2, N_HEADS, 4, SIZE)
    layer.update(candidates, candidates)
    layer.keep_one(torch.tensor([3, 0]), n_candidates=4)
    assert layer.get_seq_length() == 6
    torch.testing.assert_close(layer.keys[0, :, -1], candidates[0, :, 3])
    torch.testing.assert_close(layer.keys[1, :, -1], candidates[1, :, 0])
    torch.testing.assert_close(layer.keys[0, :, :5], rows[0])
