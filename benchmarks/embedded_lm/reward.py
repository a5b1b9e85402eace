"""Train the reward model and score the answers of the "chat" task with it.

    python reward.py --model-folder WEAK --start STRONG --output DIR --scores FILE.npz

The reward model reads a query and an answer and predicts how many leading digits of the
answer are right (`right_digits`). It starts from the weights of the strong language
model, and learns from the weak one's answers to queries that may be in the training
stream, so the queries of the tables are new to it as well. With each query's samples it
sees the right answer and one that is far off.
"""

import argparse
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
from sample import N_TEST, N_TRAIN, SEED, sample_answers
from tasks import draw_query, is_held_out, table_queries
from tokenizer import PAD
from train import save
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from sklearn_adaalloc.datasets._arithmetic import arithmetic_answer

N_QUERIES, N_ANSWERS = 16_000, 4  # to learn from
N_SAMPLES = 16
N_EPOCHS = 3
BATCH_SIZE = 128
LEARNING_RATE = 5e-4


def right_digits(query, answer):
    """Leading digits of the answer that are right: −log10 of its relative error.

    From 0 (off by the truth itself or more, or not a number) to 3 (by a thousandth or
    less).
    """
    truth = int(arithmetic_answer(query))
    if not answer.removeprefix("-").isdigit():
        return 0.0
    error = abs(int(answer) - truth) / max(abs(truth), 1)
    return -math.log10(min(max(error, 1e-3), 1.0))


def training_queries(n_queries, seed):
    """Draw queries like those of the table, none of which can be in it."""
    rng = random.Random(f"{seed}/reward")
    drawn = (draw_query(rng, "chat") for _ in iter(int, 1))
    kept = (query for query in drawn if not is_held_out(query))
    return [next(kept) for _ in range(n_queries)]


def with_known_answers(pairs, seed):
    """Add the right answer and a far one, once for each sampled pair's query."""
    rng = random.Random(f"{seed}/known")
    known = []
    for query in dict.fromkeys(query for query, _ in pairs):
        truth = arithmetic_answer(query)
        far = round(int(truth) * 10 ** rng.uniform(-1, 1)) + rng.randint(-9, 9)
        known += [(query, truth), (query, str(far))]
    return pairs + known


def tokenize(tokenizer, pairs):
    """Right-padded tokens of (query, answer) pairs, and their mask."""
    batch = tokenizer(
        [query for query, _ in pairs],
        [answer for _, answer in pairs],
        padding=True,
        padding_side="right",
        return_tensors="pt",
    )
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


def train(model, tokenizer, pairs):
    """Fit by squared error, Adam and a linearly falling rate, in place."""
    targets = torch.tensor([right_digits(*pair) for pair in pairs])
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    n_steps = N_EPOCHS * (len(pairs) // BATCH_SIZE)
    order = torch.cat([torch.randperm(len(pairs)) for _ in range(N_EPOCHS)])
    for step in range(n_steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / n_steps)
        rows = order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE].tolist()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(**tokenize(tokenizer, [pairs[i] for i in rows]))
        scores = output.logits[:, 0].float()
        loss = torch.nn.functional.mse_loss(scores, targets[rows])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 250 == 0:
            print(f"step {step + 1} of {n_steps}, loss {loss.item():.3f}", flush=True)


@torch.inference_mode()
def score(model, tokenizer, pairs):
    """Scores of (query, answer) pairs, each distinct pair once."""
    distinct = sorted(set(pairs), key=lambda pair: len("".join(pair)))
    scores = {}
    for start in range(0, len(distinct), 512):
        batch = distinct[start : start + 512]
        logits = model(**tokenize(tokenizer, batch)).logits[:, 0]
        scores.update(zip(batch, logits.tolist(), strict=True))
    return np.array([scores[pair] for pair in pairs])


def load_reward_model(folder):
    """Load a language model with a fresh scalar head, in float32."""
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1, pad_token_id=PAD, dtype=torch.float32
    )
    model.config._attn_implementation = "eager"
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-folder", type=Path, required=True)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model_folder)
    language_model = AutoModelForCausalLM.from_pretrained(
        arguments.model_folder, dtype=torch.float32
    )

    def sampled_pairs(queries, n_samples, name):
        parts = arguments.scores.with_suffix(f".{name}.parts")
        rows = sample_answers(language_model, tokenizer, queries, n_samples, parts)
        return [(q, a) for q, row in zip(queries, rows, strict=True) for a in row]

    pairs = sampled_pairs(training_queries(N_QUERIES, SEED), N_ANSWERS, "train")
    pairs = with_known_answers(pairs, SEED)
    model = load_reward_model(arguments.start)
    started = time.process_time()
    train(model, tokenizer, pairs)
    print(f"{(time.process_time() - started) / 60:.1f} CPU min")
    save(model, arguments.output)

    # Score with what is shipped: the weights after rounding to float16.
    model = load_reward_model(arguments.output).eval()
    queries = table_queries("chat", N_TRAIN + N_TEST, SEED)
    pairs = sampled_pairs(queries, N_SAMPLES, "table")
    scores = score(model, tokenizer, pairs)
    truth = np.array([right_digits(*pair) for pair in pairs])
    print(f"correlation with the right digits {np.corrcoef(scores, truth)[0, 1]:.3f}")
    rewards = scores.reshape(len(queries), N_SAMPLES)
    deciles = np.percentile(rewards.std(axis=1), range(0, 101, 10)).round(2)
    print(f"mean {rewards.mean():.3f}, deciles of the spread of a query {deciles}")
    np.savez(arguments.scores, rewards=rewards.astype(np.float16))


if __name__ == "__main__":
    main()
