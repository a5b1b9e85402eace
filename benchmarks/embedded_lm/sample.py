"""Fill the reward tables: graded samples of a language model on the queries of a mix.

    python sample.py --model-folder DIR --mix math --output FILE.npz

64 samples per query at temperature 0.7, seeded. A prompt is prefilled once, prompts of
one length together (no padding), and its cache is fanned out to the samples. Finished
batches are kept beside the output, so a second call goes on where the first stopped.
"""

import argparse
import itertools
import zlib
from pathlib import Path

import numpy as np
import torch
from tasks import table_queries
from tokenizer import EOS
from transformers import AutoModelForCausalLM, AutoTokenizer

from sklearn_adaalloc.datasets._arithmetic import grade_arithmetic

SEED = 0
N_TRAIN, N_TEST = 2000, 1000
N_SAMPLES = 64
TEMPERATURE = 0.7
MAX_NEW_TOKENS = 24
QUERIES_PER_BATCH = 32


def sample_tokens(model, prompts, n_samples, generator):
    """Answers to prompts of one length.

    Parameters
    ----------
    prompts : tensor of shape (n_queries, prompt_length)

    Returns
    -------
    tensor of shape (n_queries * n_samples, MAX_NEW_TOKENS)
        The samples of a query stand together; ``EOS`` fills the rest of a row.
    """
    output = model(input_ids=prompts, use_cache=True)
    cache = output.past_key_values
    cache.batch_repeat_interleave(n_samples)
    logits = output.logits[:, -1].repeat_interleave(n_samples, dim=0)
    answers = torch.full((len(logits), MAX_NEW_TOKENS), EOS)
    alive = torch.arange(len(logits))
    for position in range(MAX_NEW_TOKENS):
        probabilities = (logits / TEMPERATURE).softmax(dim=-1)
        tokens = torch.multinomial(probabilities, 1, generator=generator)
        answers[alive, position] = tokens[:, 0]
        going_on = (tokens[:, 0] != EOS).nonzero()[:, 0]
        if len(going_on) == 0:
            break
        alive = alive[going_on]
        cache.batch_select_indices(going_on)
        logits = model(input_ids=tokens[going_on], past_key_values=cache).logits[:, -1]
    return answers


def length_batches(prompts):
    """Yield indices of prompts of one length, at most `QUERIES_PER_BATCH` together."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for _, group in itertools.groupby(order, key=lambda i: len(prompts[i])):
        group = list(group)
        for start in range(0, len(group), QUERIES_PER_BATCH):
            yield group[start : start + QUERIES_PER_BATCH]


@torch.inference_mode()
def sample_answers(model, tokenizer, queries, n_samples, parts):
    """Sample answers: one list of `n_samples` strings per query."""
    parts.mkdir(parents=True, exist_ok=True)
    prompts = tokenizer(queries)["input_ids"]
    answers = [None] * len(queries)
    for number, batch in enumerate(length_batches(prompts)):
        # The checksum keeps a batch of other queries from being taken for this one.
        checksum = zlib.crc32("\n".join(queries[i] for i in batch).encode())
        part = parts / f"{number}-{checksum}.npy"
        if not part.exists():
            generator = torch.Generator().manual_seed(SEED + number)
            rows = torch.tensor([prompts[i] for i in batch])
            tokens = sample_tokens(model, rows, n_samples, generator)
            np.save(part.with_suffix(".partial.npy"), tokens.numpy())
            part.with_suffix(".partial.npy").replace(part)
        texts = tokenizer.batch_decode(np.load(part), skip_special_tokens=True)
        for j, i in enumerate(batch):
            answers[i] = texts[j * n_samples : (j + 1) * n_samples]
    return answers


def print_histogram(name, rewards):
    """Shares of queries by success rate: none, the ten tenths between, all."""
    rates = rewards.mean(axis=1)
    inner = rates[(rates > 0) & (rates < 1)]
    tenths = np.histogram(inner, bins=np.linspace(0, 1, 11))[0]
    counts = [np.sum(rates == 0), *tenths, np.sum(rates == 1)]
    shares = " ".join(f"{count / len(rates):.3f}" for count in counts)
    print(f"{name} mean {rates.mean():.3f}: {shares}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-folder", type=Path, required=True)
    parser.add_argument("--mix", choices=["math", "code"], required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model_folder)
    model = AutoModelForCausalLM.from_pretrained(
        arguments.model_folder, dtype=torch.float32
    )
    queries = table_queries(arguments.mix, N_TRAIN + N_TEST, SEED)
    parts = arguments.output.with_suffix(".parts")
    answers = sample_answers(model, tokenizer, queries, N_SAMPLES, parts)
    rewards = np.array(grade_arithmetic(queries, answers), dtype=np.uint8)
    np.savez(arguments.output, rewards=rewards)
    print_histogram(f"{arguments.output.stem}", rewards)


if __name__ == "__main__":
    main()
