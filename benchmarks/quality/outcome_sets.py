"""The real outcome sets: graded answers, texts and features, in one shape each."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils import Bunch

DEFAULT_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MATH_MODELS = (
    "qwen2_1p5b_instruct_t0p6",
    "qwen2p5_math_1p5b_t1p0",
    "qwen2p5_7b_instruct_t1p0",
)


def add_data_option(parser):
    """Let the command line say where the outcome sets are."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("ADAALLOC_DATA", DEFAULT_DATA)),
        help="folder of the outcome sets (default: $ADAALLOC_DATA or ../shared/data)",
    )


def two_folds(texts, seed=0):
    """Two ways to split queries into halves, equal texts always on the same side.

    Where no text repeats this is the permutation that the data's README prescribes.
    """
    numbers = {}
    group = np.array([numbers.setdefault(text, len(numbers)) for text in texts])
    order = np.random.default_rng(seed).permutation(len(numbers))
    in_first = np.isin(group, order[: len(order) // 2])
    first, second = np.flatnonzero(in_first), np.flatnonzero(~in_first)
    return (first, second), (second, first)


def best_of_k_sets(data):
    """Yield the sets with several samples of one model: rewards, texts, features."""
    texts = _texts(data / "math5000/queries.jsonl")
    minilm = np.load(data / "math5000/minilm.npy").astype(np.float64)
    for model in MATH_MODELS:
        arrays = np.load(data / f"math5000/{model}.npz")
        probe = arrays["probe_prediction"].astype(np.float64)[:, None]
        yield Bunch(
            name=f"math5000/{model}",
            rewards=arrays["rewards"].astype(np.float64),
            texts=texts,
            features={
                "probe": probe,
                "minilm": minilm,
                "both": np.hstack([probe, minilm]),
            },
            min_budget=0,
        )
    for name, min_budget in (
        ("svamp_pot_codex", 0),
        ("humaneval_codegen16b", 0),
        ("creative_writing_gpt4_io", 1),
    ):
        texts = _texts(data / f"{name}.queries.jsonl")
        yield Bunch(
            name=name,
            rewards=np.load(data / f"{name}.npz")["rewards"].astype(np.float64),
            texts=texts,
            features=_text_features(data / f"{name}.minilm.npy", texts),
            min_budget=min_budget,
        )


def routing_sets(data):
    """Yield the sets with one answer of a weak and a strong model each."""
    gsm8k = np.load(data / "routellm_gsm8k.npz")
    texts = _texts(data / "routellm_gsm8k.queries.jsonl")
    features = _text_features(data / "routellm_gsm8k.minilm.npy", texts)
    yield _routing_set("gsm8k", gsm8k["rewards_regraded"], texts, features)
    kept = gsm8k["decontaminated"]
    yield _routing_set(
        "gsm8k, original labels",
        gsm8k["rewards"][kept],
        [text for text, keep in zip(texts, kept, strict=True) if keep],
        {name: array[kept] for name, array in features.items()},
    )
    texts = _texts(data / "mmlupro_llama31.queries.jsonl.gz")
    rewards = np.load(data / "mmlupro_llama31.npz")["rewards"]
    yield _routing_set("mmlupro", rewards, texts, _text_features(None, texts))
    alpaca = np.load(data / "alpacaeval2_pref.npz")
    texts = _texts(data / "alpacaeval2_pref.queries.jsonl")
    names = alpaca["models"].tolist()
    pair = [names.index("FuseChat-Llama-3.2-1B-Instruct")]
    pair.append(names.index("FuseChat-Gemma-2-9B-Instruct"))
    features = _text_features(None, texts)
    yield _routing_set("alpacaeval", alpaca["rewards"][:, pair], texts, features)


def _routing_set(name, rewards, texts, features):
    table = rewards.astype(np.float64)[:, :, None]
    return Bunch(name=name, rewards=table, texts=texts, features=features)


def _texts(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def _text_features(minilm, texts):
    """Embeddings where they are stored, else words; and the length in any case."""
    length = text_lengths(texts)
    if minilm is not None and minilm.exists():
        return {"minilm": np.load(minilm).astype(np.float64), "length": length}
    # No rewards are seen here, so one vocabulary for both folds leaks nothing.
    words = TfidfVectorizer(sublinear_tf=True, max_features=2000).fit_transform(texts)
    return {"tfidf": words, "length": length}


def text_lengths(texts):
    """Characters and words of each text, on a log scale."""
    return np.log1p([[len(text), len(text.split())] for text in texts])
