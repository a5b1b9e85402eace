"""Fixtures that several test files share."""

import os
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before anything imports the hub's client

DATA = Path(
    os.environ.get(
        "ADAALLOC_DATA", Path(__file__).resolve().parents[1] / "../shared/data"
    )
)


@pytest.fixture(scope="session")
def real_data():
    """Folder of real graded outcomes, read-only.

    They are no part of the project, and whoever has none cannot measure on them: their
    tests are then skipped. Where a folder is named, as CI does, it has to be there.
    """
    if not (DATA / "math5000").is_dir():
        missing = f"no real outcomes at {DATA}: name their folder in ADAALLOC_DATA"
        end = pytest.fail if "ADAALLOC_DATA" in os.environ else pytest.skip
        end(missing)
    return DATA


# Shapes of the tiny models.
WIDTH, N_LAYERS, N_POSITIONS = 32, 3, 48
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789 +-*/%=()?."
TINY_MODELS = ("llama", "gpt2", "qwen2", "bert")


def save_tiny_model(name, folder, seed=0):
    """Save a small random model of a family, with a tokenizer over characters."""
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        AutoModel,
        AutoModelForCausalLM,
        BertConfig,
        GPT2Config,
        LlamaConfig,
        PreTrainedTokenizerFast,
        Qwen2Config,
    )

    vocabulary = {"<pad>": 0, "<bos>": 1, "<eos>": 2, "<unk>": 3}
    vocabulary |= {c: i for i, c in enumerate(CHARACTERS, start=4)}
    common = {"vocab_size": len(vocabulary), "initializer_range": 0.1}
    common |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    wide = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": N_POSITIONS,
    }
    gpt2 = {
        "n_embd": WIDTH,
        "n_layer": N_LAYERS,
        "n_head": 4,
        "n_positions": N_POSITIONS,
    }
    auto, config, before, after = {
        "llama": (AutoModelForCausalLM, LlamaConfig(**common, **wide), "<bos> ", ""),
        "gpt2": (AutoModelForCausalLM, GPT2Config(**common, **gpt2), "", ""),
        "qwen2": (
            AutoModelForCausalLM,
            Qwen2Config(**common, **wide, num_key_value_heads=2),
            "",
            "",
        ),
        "bert": (AutoModel, BertConfig(**common, **wide), "<bos> ", " <eos>"),
    }[name]
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{before}$A{after}", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token=None if name == "gpt2" else "<pad>",
        padding_side="left",
    )
    if name == "qwen2":
        wrapped.chat_template = (
            "{{ bos_token }}{% for m in messages %}({{ m['content'] }}){% endfor %}"
            "{% if add_generation_prompt %}={% endif %}"
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = auto.from_config(config)
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """Folder of a small random model of each family."""
    root = tmp_path_factory.mktemp("tiny_models")
    return {name: save_tiny_model(name, root / name) for name in TINY_MODELS}


@pytest.fixture(params=TINY_MODELS)
def tiny_model(request, tiny_models):
    """Folder of a small random model, one family after the other."""
    return tiny_models[request.param]


@pytest.fixture
def make_tiny_model():
    """Function that saves a small random model: family, folder, seed -> folder."""
    return save_tiny_model
