import gc
import weakref

import numpy as np
import pytest
import torch
from transformers import AlbertConfig, AutoModel, T5Config

from sklearn_adaalloc.language_models import _pooling, load_language_model
from sklearn_adaalloc.language_models._batches import CPU_BATCH_TOKENS
from sklearn_adaalloc.language_models._forward import layer_stack, read_hidden_states
from sklearn_adaalloc.language_models._model import LanguageModel
from sklearn_adaalloc.language_models._pooling import POOLINGS, pooled_batches

TEXTS = ["27+48=", "gcd 84 30=", "a", "max 3 41 7=", "(3*17)%5=", "b"]


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("last", [[3, 30], [4, 40]]),
        ("first", [[1, 10], [4, 40]]),
        ("mean", [[2, 20], [4, 40]]),
    ],
)
def test_pooling_leaves_padding_out(pooling, expected):
    hidden = torch.tensor(
        [[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]], [[4.0, 40.0], [9.0, 9.0], [9.0, 9.0]]]
    )
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    assert POOLINGS[pooling](hidden, mask).tolist() == expected


class TestReadHiddenStates:
    @pytest.fixture
    def batch(self, tiny_model):
        language_model = load_language_model(tiny_model, device="cpu")
        token_ids, _ = language_model.encode(TEXTS)
        return language_model.backbone, *language_model.pad(token_ids)

    def test_states_are_those_that_transformers_hands_out(self, batch):
        backbone, input_ids, attention_mask = batch
        with torch.inference_mode():
            expected = backbone(
                input_ids=input_ids,
                attention_mask=attention_mask,
                output_hidden_states=True,
            ).hidden_states
            for layers in ([0, 1, 2, 3], [2], [3, 1]):
                states = read_hidden_states(backbone, layers, *batch[1:])
                for layer, state in zip(layers, states, strict=True):
                    assert torch.equal(state, expected[layer])

    @pytest.mark.parametrize(("layers", "n_run"), [([0], 0), ([1, 0], 1), ([3], 3)])
    def test_no_layer_beyond_the_highest_is_run(self, batch, layers, n_run):
        backbone, input_ids, attention_mask = batch
        run = []
        handles = [
            layer.register_forward_hook(lambda *args: run.append(args[0]))
            for layer in layer_stack(backbone)
        ]
        read_hidden_states(backbone, layers, input_ids, attention_mask)
        for handle in handles:
            handle.remove()
        assert len(run) == n_run

    def test_the_model_is_left_as_it_was(self, batch):
        backbone = batch[0]
        read_hidden_states(backbone, [1], *batch[1:])
        hooks = [layer._forward_pre_hooks for layer in layer_stack(backbone)]
        assert not any(hooks)

    def test_layers_with_shared_weights(self):
        config = AlbertConfig(
            vocab_size=50,
            embedding_size=8,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
        )
        torch.manual_seed(0)
        backbone = AutoModel.from_config(config).eval()
        ids = torch.arange(8).reshape(2, 4)
        mask = torch.ones_like(ids)
        with torch.inference_mode():
            last = backbone(input_ids=ids, attention_mask=mask).last_hidden_state
            states = read_hidden_states(backbone, [1, 3], ids, mask)
        assert torch.equal(states[1], last)
        assert not torch.equal(states[0], last)

    def test_an_encoder_decoder_is_read_by_its_encoder(self):
        config = T5Config(
            vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=3, num_heads=2
        )
        torch.manual_seed(0)
        model = AutoModel.from_config(config).eval()
        ids = torch.arange(8).reshape(2, 4)
        mask = torch.ones_like(ids)
        backbone = LanguageModel(model, tokenizer=None, name="t5").backbone
        with torch.inference_mode():
            expected = model.encoder(
                input_ids=ids, attention_mask=mask, output_hidden_states=True
            ).hidden_states
            states = read_hidden_states(backbone, [1, 3], ids, mask)
        assert torch.equal(states[0], expected[1])
        assert torch.equal(states[1], expected[3])


class TestPooledBatches:
    @pytest.fixture
    def language_model(self, tiny_models):
        return load_language_model(tiny_models["llama"], device="cpu")

    @pytest.fixture
    def padded(self, monkeypatch):
        """Shapes of the batches that were run."""
        shapes = []
        pad = LanguageModel.pad

        def recorded(self, token_ids):
            tensors = pad(self, token_ids)
            shapes.append(tuple(tensors[0].shape))
            return tensors

        monkeypatch.setattr(LanguageModel, "pad", recorded)
        return shapes

    def test_batches_go_from_long_to_short_within_the_token_budget(
        self, language_model, padded
    ):
        token_ids = [[5] * length for length in (2, 9, 4, 4, 1, 20)]
        batches = pooled_batches(
            language_model, token_ids, layers=[1], pooling="last", batch_tokens=16
        )
        rows = [rows.tolist() for rows, _ in batches]
        assert padded == [(1, 20), (1, 9), (4, 4)]
        assert rows == [[5], [1], [2, 3, 0, 4]]

    def test_on_a_cpu_batches_stay_small(self, language_model, padded):
        token_ids = [[5] * 40] * 50
        list(
            pooled_batches(
                language_model, token_ids, layers=[0], pooling="last", batch_tokens=9999
            )
        )
        assert max(rows * length for rows, length in padded) <= CPU_BATCH_TOKENS
        assert sum(rows for rows, _ in padded) == 50

    def test_out_of_memory_halves_this_batch_and_the_next(
        self, language_model, monkeypatch, padded
    ):
        token_ids = [[5 + i] * 4 for i in range(16)]
        run = _pooling._pooled_batch

        def with_little_memory(language_model, batch, *args):
            if len(batch) > 3:
                padded.append("out of memory")
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return run(language_model, batch, *args)

        options = {"layers": [2], "pooling": "mean", "batch_tokens": 64}
        expected = gather(pooled_batches(language_model, token_ids, **options))
        padded.clear()
        monkeypatch.setattr(_pooling, "_pooled_batch", with_little_memory)
        features = gather(pooled_batches(language_model, token_ids, **options))
        assert padded == ["out of memory"] * 3 + [(2, 4)] * 8
        np.testing.assert_allclose(features, expected, atol=2e-6)

    def test_what_ran_out_of_memory_is_gone_before_the_next_try(self, tiny_models):
        """A state that lived on would take the memory that half a batch needs."""

        def fail_at_first(module, args, output):
            earlier.append([each() is None for each in states])
            states.append(weakref.ref(output))
            if len(states) == 1:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")

        states, earlier = [], []
        language_model = load_language_model(tiny_models["llama"], device="cpu")
        layer = layer_stack(language_model.backbone)[1]
        handle = layer.mlp.register_forward_hook(fail_at_first)
        gc.disable()  # references must do: a cycle would live on until a collection
        try:
            batches = pooled_batches(
                language_model,
                [[5, 6]] * 4,
                layers=[3],
                pooling="last",
                batch_tokens=99,
            )
            assert sum(len(rows) for rows, _ in batches) == 4
        finally:
            gc.enable()
            handle.remove()
        assert earlier[:2] == [[], [True]]

    def test_out_of_memory_for_one_query_is_raised(self, language_model, monkeypatch):
        def without_memory(*args):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(_pooling, "_pooled_batch", without_memory)
        batches = pooled_batches(
            language_model, [[5], [6, 7]], layers=[1], pooling="last", batch_tokens=64
        )
        with pytest.raises(torch.cuda.OutOfMemoryError, match="out of memory"):
            next(batches)


def gather(batches):
    rows, features = zip(*batches, strict=True)
    return np.concatenate(features)[np.argsort(np.concatenate(rows))]
