"""What answers cost when every prompt is run once, as ratios within one run.

    python -m benchmarks.speed.decoding [--quick] [--output DIR]

Prompts of 64 to 400 tokens (log-uniform) get budgets from a policy: an allocator fitted
on the embedded "code" task, at 4 samples per query on average and 64 at most. A random
model of Llama's shape (float32, one thread) answers with 24 tokens each, no more and no
less, sampled at temperature 0.7:

- `TransformersSampler`: prefill, features, policy, decode;
- a probe pass by `HiddenStateFeaturizer`, then `generate` on each prompt as often as
  its budget says, in batches of rows of about one length;
- the same, with `num_return_sequences` = budget, one prompt at a time;
- no policy in between: `generate` with `num_return_sequences` = the largest budget, and
  what is not wanted thrown away; timed on some of the prompts, in proportion to all.

What the policy itself takes is the same everywhere and left out. CPU seconds are those
of the process, so that busy neighbours count on neither side; each is the least of
two runs in turns. Beside the ratio stands the one of operations, which is what the
ratio would be if every operation took equally long. Writes `decoding.csv`. `--quick`
takes a few prompts and a small model, to see that all works.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

from benchmarks.report import RESULTS, print_table, write_csv
from benchmarks.speed.featurizer import matmul_rate, processor
from sklearn_adaalloc import AdaptiveAllocator, HiddenStateFeaturizer
from sklearn_adaalloc.datasets import load_arithmetic
from sklearn_adaalloc.sampling import TransformersSampler

BUDGET, MAX_BUDGET, NEW_TOKENS, TEMPERATURE = 4, 64, 24, 0.7
N_WORDS = 2048


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="8 prompts, a small model")
    parser.add_argument("--output", type=Path, default=RESULTS / "speed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    n_prompts, n_layers, width = (8, 2, 64) if options.quick else (32, 6, 512)
    prompts, budgets = make_prompts(n_prompts), policy_budgets(n_prompts)
    print(
        f"{n_prompts} prompts of {min(map(count, prompts))} to "
        f"{max(map(count, prompts))} tokens; budgets: mean {budgets.mean():.2f}, "
        f"{np.mean(budgets == 0):.0%} zeros, largest {budgets.max()}"
    )
    with tempfile.TemporaryDirectory() as folder:
        config = save_random_model(folder, n_layers, width)
        rows = list(ratios(folder, config, prompts, budgets, options.quick))
    print_table(rows)
    write_csv(rows, options.output / "decoding.csv")


def ratios(folder, config, prompts, budgets, quick):
    """Yield one row per way to answer: its CPU time and operations against ours."""
    ways = {
        "ours": (ours(folder), ""),
        "probe pass + generate on repeated prompts": (repeated(folder), ">= 3"),
        "probe pass + generate, num_return_sequences = budget": (
            one_by_one(folder),
            "",
        ),
        "generate, num_return_sequences = largest": (as_many(folder), ">= 1.5"),
    }
    for way, _ in ways.values():
        way(prompts[:2], np.array([1, 2]))  # what a first call sets up
    seconds = {name: [] for name in ways}
    for _ in range(1 if quick else 2):
        for name, (way, _) in ways.items():
            start = time.process_time()
            share = way(prompts, budgets)
            seconds[name].append((time.process_time() - start) / share)
    lengths = np.array([count(prompt) for prompt in prompts])
    work = operations(config, lengths, budgets)
    least, rate = min(seconds["ours"]), matmul_rate("cpu")
    for name, (_, asked) in ways.items():
        yield {
            "what": f"{name} / ours",
            "asked": asked,
            "measured": min(seconds[name]) / least,
            "ratio_of_operations": work[name] / work["ours"],
            "seconds": min(seconds[name]),
            "share_of_matmul_rate": work[name] / min(seconds[name]) / rate,
            "device": processor(),
        }


def operations(config, lengths, budgets):
    """Floating-point operations of each way: two per weight and token, and attention.

    The probe pass stops before the last layer; the head is run where a token is chosen.
    """
    layer = (
        4 * config.hidden_size**2 + 3 * config.hidden_size * config.intermediate_size
    )
    n_layers, width = config.num_hidden_layers, config.hidden_size
    head = 2 * width * config.vocab_size

    def passes(start, end, layers=n_layers):  # positions start..end of one sequence
        attention = 4 * width * (end**2 - start**2) / 2
        return layers * (2 * layer * (end - start) + attention)

    prompt = passes(0, lengths) + head
    answer = passes(lengths, lengths + NEW_TOKENS - 1) + head * (NEW_TOKENS - 1)
    probe = passes(0, lengths, n_layers - 1).sum()
    repeated = probe + (budgets * (prompt + answer)).sum()
    return {
        "ours": (prompt + budgets * answer).sum(),
        "probe pass + generate on repeated prompts": repeated,
        "probe pass + generate, num_return_sequences = budget": repeated,
        "generate, num_return_sequences = largest": (prompt + answer).sum()
        * budgets.max(),
    }


def ours(folder):
    """Load the sampler's model; return the function to time."""
    sampler = TransformersSampler(
        folder, temperature=TEMPERATURE, max_new_tokens=NEW_TOKENS, device="cpu"
    )

    def run(prompts, budgets):
        prefilled = sampler.prefill(prompts)
        assert len(prefilled.features) == len(prompts)  # a policy reads them here
        answers = prefilled.decode(budgets)
        assert [len(row) for row in answers] == budgets.tolist()
        return 1.0

    return run


def repeated(folder):
    """Probe pass, then rows of about one length, as many at once as in our batches."""
    featurizer, generate = load(folder)

    def run(prompts, budgets):
        assert len(featurizer.transform(prompts)) == len(prompts)
        rows = [p for p, b in zip(prompts, budgets, strict=True) for _ in range(b)]
        rows.sort(key=count, reverse=True)
        n_done = 0
        while n_done < len(rows):
            n_rows = 16384 // (count(rows[n_done]) + NEW_TOKENS)
            n_done += len(generate(rows[n_done : n_done + n_rows], 1))
        return 1.0

    return run


def one_by_one(folder):
    """Probe pass, then each prompt with its number of returned sequences."""
    featurizer, generate = load(folder)

    def run(prompts, budgets):
        assert len(featurizer.transform(prompts)) == len(prompts)
        for prompt, budget in zip(prompts, budgets, strict=True):
            if budget:
                assert len(generate([prompt], int(budget))) == budget
        return 1.0

    return run


def as_many(folder):
    """The largest budget for a few prompts spread over the lengths."""
    _, generate = load(folder)

    def run(prompts, budgets):
        some = sorted(prompts, key=count)[:: max(len(prompts) // 4, 1)]
        for prompt in some:
            assert len(generate([prompt], int(budgets.max()))) == budgets.max()
        return sum(map(count, some)) / sum(map(count, prompts))

    return run


def load(folder):
    """A featurizer and what one writes with transformers' `generate`."""
    featurizer = HiddenStateFeaturizer(folder, device="cpu").fit([""])
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()

    def generate(prompts, n_samples):
        inputs = tokenizer(prompts, padding=True, return_tensors="pt")
        tokens = model.generate(
            **inputs,
            do_sample=True,
            temperature=TEMPERATURE,
            top_k=0,
            max_new_tokens=NEW_TOKENS,
            num_return_sequences=n_samples,
            pad_token_id=0,
        )
        new = tokens[:, inputs["input_ids"].shape[1] :]
        assert new.shape[1] == NEW_TOKENS
        return tokenizer.batch_decode(new)

    return featurizer, generate


def policy_budgets(n_prompts):
    """Budgets that a policy gives to queries of the embedded "code" task."""
    data = load_arithmetic("code")
    featurizer = HiddenStateFeaturizer("embedded", device="cpu")
    X = featurizer.fit_transform(data.queries_train)
    policy = AdaptiveAllocator(budget=BUDGET, max_budget=MAX_BUDGET, random_state=0)
    policy.fit(X, data.rewards_train)
    return policy.predict(featurizer.transform(data.queries_test[:n_prompts]))


def make_prompts(n_prompts):
    """Draw prompts of 64 to 400 words, log-uniform."""
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.uniform(np.log(64), np.log(401), n_prompts)).astype(int)
    return [
        " ".join(f"w{word}" for word in rng.integers(1, N_WORDS, length))
        for length in lengths
    ]


def count(prompt):
    """Count the tokens of a prompt: one per word."""
    return prompt.count(" ") + 1


def save_random_model(folder, n_layers, width):
    """Save a random model of Llama's shape with a tokenizer over words."""
    config = LlamaConfig(
        vocab_size=N_WORDS,
        hidden_size=width,
        intermediate_size=width * 8 // 3 // 32 * 32,
        num_hidden_layers=n_layers,
        num_attention_heads=width // 64,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=None,  # an answer ends after `NEW_TOKENS`
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    vocabulary = {"<unk>": 0} | {f"w{word}": word for word in range(1, N_WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<unk>"
    ).save_pretrained(folder)
    return config


if __name__ == "__main__":
    main()
