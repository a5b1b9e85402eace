"""Tiny random models of many families, as their checkpoints lie on the hub."""

import torch
import transformers as hf

N_POSITIONS, WIDTH, N_LAYERS, VOCABULARY = 40, 32, 3, 49
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WIDE = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 4,
    "max_position_embeddings": N_POSITIONS,
    **TOKENS,
}
FEW_KEYS = {**WIDE, "num_key_value_heads": 2}
GROUPED = {**FEW_KEYS, "head_dim": 8}
SLIDING = {**GROUPED, "sliding_window": 8}
GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": WIDTH,
    "n_layer": N_LAYERS,
    "n_head": 4,
    "n_positions": N_POSITIONS,
    **TOKENS,
}
BART = {
    "vocab_size": VOCABULARY,
    "d_model": WIDTH,
    "encoder_layers": N_LAYERS,
    "decoder_layers": N_LAYERS,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": N_POSITIONS,
    "forced_eos_token_id": None,
    **TOKENS,
}
# As many layers as the part for texts, which must not be mistaken for it.
PICTURES = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
GEMMA_3N = {
    **SLIDING,
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 4,
    "num_kv_shared_layers": 0,
    "layer_types": ["sliding_attention"] * 2 + ["full_attention"],
}


def _gemma_3():
    return hf.Gemma3ForConditionalGeneration(
        hf.Gemma3Config(
            text_config=SLIDING, vision_config=PICTURES, mm_tokens_per_image=4
        )
    )


def _gemma_3n_text():
    config = {
        **GEMMA_3N,
        "altup_num_inputs": 2,
        "laurel_rank": 4,
        "activation_sparsity_pattern": [0.0] * N_LAYERS,
    }
    return hf.Gemma3nForCausalLM(hf.Gemma3nTextConfig(**config))


def _gemma_4():
    config = hf.Gemma4Config(
        text_config={**GEMMA_3N, "global_head_dim": 8},
        vision_config=None,
        audio_config=None,
    )
    return hf.Gemma4ForConditionalGeneration(config)


def _llama_4():
    experts = {"num_local_experts": 2, "num_experts_per_tok": 1}
    sizes = ("vision_output_dim", "projector_input_dim", "projector_output_dim")
    pictures = {**PICTURES, "intermediate_size": 64, **dict.fromkeys(sizes, 16)}
    config = hf.Llama4Config(
        text_config={**GROUPED, **experts, "intermediate_size_mlp": 64},
        vision_config=pictures,
    )
    return hf.Llama4ForConditionalGeneration(config)


def _qwen_2_vl():
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    pictures = {"depth": N_LAYERS, "embed_dim": 16, "hidden_size": WIDTH}
    config = hf.Qwen2VLConfig(
        text_config={**FEW_KEYS, "rope_parameters": rope},
        vision_config={**pictures, "num_heads": 2, "mlp_ratio": 2, "patch_size": 4},
    )
    return hf.Qwen2VLForConditionalGeneration(config)


def _t5():
    sizes = {"d_model": WIDTH, "d_ff": 64, "d_kv": 8, "num_heads": 4}
    tokens = {**TOKENS, "decoder_start_token_id": 0}
    config = hf.T5Config(vocab_size=VOCABULARY, num_layers=N_LAYERS, **sizes, **tokens)
    return hf.T5ForConditionalGeneration(config)


def _opt():
    config = {**WIDE, "ffn_dim": 64, "word_embed_proj_dim": WIDTH}
    return hf.OPTForCausalLM(hf.OPTConfig(**config))


def _bloom():
    sizes = {"hidden_size": WIDTH, "n_layer": N_LAYERS, "n_head": 4}
    config = hf.BloomConfig(vocab_size=VOCABULARY, **sizes, **TOKENS)
    return hf.BloomForCausalLM(config)


def _mpt():
    sizes = {"d_model": WIDTH, "n_layers": N_LAYERS, "n_heads": 4}
    config = hf.MptConfig(vocab_size=VOCABULARY, max_seq_len=N_POSITIONS, **sizes)
    return hf.MptForCausalLM(config)


def _llava():
    config = hf.LlavaConfig(
        text_config=hf.LlamaConfig(**WIDE),
        vision_config=hf.CLIPVisionConfig(**PICTURES),
    )
    return hf.LlavaForConditionalGeneration(config)


def _xglm():
    sizes = {"d_model": WIDTH, "ffn_dim": 64, "num_layers": N_LAYERS}
    config = hf.XGLMConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=N_POSITIONS,
        attention_heads=4,
        **sizes,
        **TOKENS,
    )
    return hf.XGLMForCausalLM(config)


def _xmod():
    languages = {"languages": ["en_XX"], "default_language": "en_XX"}
    return hf.XmodForCausalLM(hf.XmodConfig(**WRITING, **languages))


# Those that number the tokens of a text from the one after that of padding.
WRITING = {**WIDE, "is_decoder": True}
COUNTED_BEHIND_PADDING = {
    "RoBERTa as decoder": lambda: hf.RobertaForCausalLM(hf.RobertaConfig(**WRITING)),
    "XLM-R as decoder": lambda: hf.XLMRobertaForCausalLM(
        hf.XLMRobertaConfig(**WRITING)
    ),
    "XLM-R XL as decoder": lambda: hf.XLMRobertaXLForCausalLM(
        hf.XLMRobertaXLConfig(**WRITING)
    ),
    "CamemBERT as decoder": lambda: hf.CamembertForCausalLM(
        hf.CamembertConfig(**WRITING)
    ),
    "Data2Vec as decoder": lambda: hf.Data2VecTextForCausalLM(
        hf.Data2VecTextConfig(**WRITING)
    ),
    "X-MOD as decoder": _xmod,
}
# Checkpoints with an LM head, and the most tokens that each takes; None for any number.
DECODERS = {
    "GPT-2": (lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2)), N_POSITIONS),
    "OPT": (_opt, N_POSITIONS),
    "GPT-NeoX": (lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**WIDE)), N_POSITIONS),
    "Llama": (lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**WIDE)), N_POSITIONS),
    "Mistral": (
        lambda: hf.MistralForCausalLM(hf.MistralConfig(**SLIDING)),
        N_POSITIONS,
    ),
    "Qwen2": (lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**FEW_KEYS)), N_POSITIONS),
    "Phi": (lambda: hf.PhiForCausalLM(hf.PhiConfig(**WIDE)), N_POSITIONS),
    "BioGPT": (lambda: hf.BioGptForCausalLM(hf.BioGptConfig(**WIDE)), N_POSITIONS),
    "BERT as decoder": (
        lambda: hf.BertLMHeadModel(hf.BertConfig(**WIDE, is_decoder=True)),
        N_POSITIONS,
    ),
    "BART's decoder": (lambda: hf.BartForCausalLM(hf.BartConfig(**BART)), N_POSITIONS),
    "Pegasus's decoder": (
        lambda: hf.PegasusForCausalLM(hf.PegasusConfig(**BART)),
        N_POSITIONS,
    ),
    "XGLM": (_xglm, N_POSITIONS),
    **{name: (make, N_POSITIONS - 1) for name, make in COUNTED_BEHIND_PADDING.items()},
    "Bloom": (_bloom, None),
    "MPT": (_mpt, N_POSITIONS),
    "Gemma 3": (_gemma_3, N_POSITIONS),
    "Gemma 3 text": (
        lambda: hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**SLIDING)),
        N_POSITIONS,
    ),
    "Gemma 3n text": (_gemma_3n_text, N_POSITIONS),
    "Gemma 4": (_gemma_4, N_POSITIONS),
    "Llama 4": (_llama_4, N_POSITIONS),
    "Qwen2-VL": (_qwen_2_vl, N_POSITIONS),
    "LLaVA": (_llava, N_POSITIONS),
}
# Those without: features only. RoBERTa's first positions are for padding.
ENCODERS = {
    "BERT": (lambda: hf.BertModel(hf.BertConfig(**WIDE)), N_POSITIONS),
    "BERT for masks": (lambda: hf.BertForMaskedLM(hf.BertConfig(**WIDE)), N_POSITIONS),
    "BERT, no decoder": (
        lambda: hf.BertLMHeadModel(hf.BertConfig(**WIDE)),
        N_POSITIONS,
    ),
    "RoBERTa": (
        lambda: hf.RobertaModel(hf.RobertaConfig(**{**WIDE, "pad_token_id": 1})),
        N_POSITIONS - 2,
    ),
    "RoBERTa, padding 0": (
        lambda: hf.RobertaModel(hf.RobertaConfig(**WIDE)),
        N_POSITIONS - 1,
    ),
    "MPNet": (
        lambda: hf.MPNetModel(hf.MPNetConfig(**{**WIDE, "pad_token_id": 1})),
        N_POSITIONS - 2,
    ),
    "ModernBERT": (
        lambda: hf.ModernBertModel(
            hf.ModernBertConfig(**WIDE, cls_token_id=1, sep_token_id=2)
        ),
        N_POSITIONS,
    ),
    "T5": (_t5, None),
    "BART": (
        lambda: hf.BartForConditionalGeneration(hf.BartConfig(**BART)),
        N_POSITIONS,
    ),
    "GPT-2 without head": (lambda: hf.GPT2Model(hf.GPT2Config(**GPT2)), N_POSITIONS),
    "Llama without head": (lambda: hf.LlamaModel(hf.LlamaConfig(**WIDE)), N_POSITIONS),
}
LIMITS = {name: limit for name, (_, limit) in {**DECODERS, **ENCODERS}.items()}


def _xlnet():
    sizes = {"d_model": WIDTH, "n_layer": N_LAYERS, "n_head": 4, "d_inner": 64}
    return hf.XLNetLMHeadModel(hf.XLNetConfig(vocab_size=VOCABULARY, **sizes, **TOKENS))


# Models that sampling refuses: without keys and values, or with memories.
REFUSED = {
    "GPT": lambda: hf.OpenAIGPTLMHeadModel(hf.OpenAIGPTConfig(**GPT2)),
    "XLNet": _xlnet,
}


def save_architecture(name, tokenizer, folder):
    """Save a tiny random model with a tokenizer that names no limit of its own."""
    made = {name: make for name, (make, _) in {**DECODERS, **ENCODERS}.items()}
    make = {**made, **REFUSED}[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make().eval().save_pretrained(folder)
    tokenizer.model_max_length = int(1e30)
    tokenizer.save_pretrained(folder)
    return str(folder)
