"""The embedded model as a GGUF file, for a llama.cpp server."""

import json

import numpy as np
from safetensors.numpy import load_file

# Tensors of a layer: their names in the file, and in the checkpoint.
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def write_gguf(folder, path):
    """Write a Llama checkpoint with a tokenizer of characters as one GGUF file."""
    import gguf

    config = json.loads((folder / "config.json").read_text())
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    tensors = load_file(folder / "model.safetensors")
    n_heads = config["num_attention_heads"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_heads)
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(len(vocabulary))
    _add_tokenizer(writer, gguf.TokenType, vocabulary)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())
    writer.add_tensor("token_embd.weight", tensors["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", _wide(tensors["model.norm.weight"]))
    for layer in range(config["num_hidden_layers"]):
        for name, source in _LAYER.items():
            tensor = tensors[f"model.layers.{layer}.{source}.weight"]
            if name in ("attn_q", "attn_k"):
                tensor = _interleaved(tensor, n_heads)
            tensor = _wide(tensor) if tensor.ndim == 1 else tensor
            writer.add_tensor(f"blk.{layer}.{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer, kinds, vocabulary):
    special = {"<pad>": kinds.CONTROL, "<bos>": kinds.CONTROL, "<eos>": kinds.CONTROL}
    special["<unk>"] = kinds.UNKNOWN
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token.replace(" ", "\u2581") for token in vocabulary])
    writer.add_token_scores([0.0] * len(vocabulary))
    writer.add_token_types([special.get(each, kinds.NORMAL) for each in vocabulary])
    writer.add_bos_token_id(vocabulary["<bos>"])
    writer.add_eos_token_id(vocabulary["<eos>"])
    writer.add_unk_token_id(vocabulary["<unk>"])
    writer.add_pad_token_id(vocabulary["<pad>"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _wide(tensor):
    return tensor.astype(np.float32)


def _interleaved(tensor, n_heads):
    """Rows of a projection in llama.cpp's order: the halves of each head in turn."""
    halves = tensor.reshape(n_heads, 2, -1, tensor.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(tensor.shape))


def write_qwen2(path, folder, *, n_layers=3, seed=0):
    """Write a random Qwen2 model in 8-bit blocks, and the same numbers as a folder.

    The folder is written without the file: gguf's own arithmetic dequantises, and the
    tokenizer of bytes, with one merge, is built by tokenizers.
    """
    import gguf
    import torch
    from gguf.quants import dequantize, quantize
    from transformers import Qwen2Config, Qwen2ForCausalLM

    kind = gguf.GGMLQuantizationType.Q8_0
    tokens, merges = _bytes_and_a_merge()
    config = Qwen2Config(
        vocab_size=len(tokens),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.1,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokens["<end>"],
        pad_token_id=tokens["<pad>"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    names["lm_head"] = "output"
    for layer in range(n_layers):
        for name, source in _LAYER.items():
            names[f"model.layers.{layer}.{source}"] = f"blk.{layer}.{name}"
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(list(tokens))
    writer.add_token_types(
        [gguf.TokenType.CONTROL if t[0] == "<" and t[1:] else 1 for t in tokens]
    )
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_eos_token_id(tokens["<end>"])
    writer.add_pad_token_id(tokens["<pad>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(_TEMPLATE)
    for name, weight in model.named_parameters():
        source, _, part = name.rpartition(".")
        numbers = weight.detach().numpy()
        if numbers.ndim == 1:
            writer.add_tensor(f"{names[source]}.{part}", numbers)
            continue
        packed = quantize(numbers, kind)
        writer.add_tensor(f"{names[source]}.{part}", packed, raw_dtype=kind)
        weight.data = torch.from_numpy(dequantize(packed, kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model.save_pretrained(folder)
    _tokenizer(tokens, merges).save_pretrained(folder)


_TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def _bytes_and_a_merge():
    from tokenizers.pre_tokenizers import ByteLevel

    merges = [("t", "h")]
    tokens = [*sorted(ByteLevel.alphabet()), *map("".join, merges), "<pad>", "<end>"]
    return {token: i for i, token in enumerate(tokens)}, merges


def _tokenizer(tokens, merges):
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True) for t in ("<pad>", "<end>")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<end>",
        chat_template=_TEMPLATE,
    )
