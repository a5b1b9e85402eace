"""Value-augmented sampling against ordinary sampling, and routing between the two.

    python -m benchmarks.quality.value_augmented [--value-model DIR] [--output DIR]

On the embedded "chat" task, whose rewards are the reward model's scores of whole
answers. On fresh queries, which cannot be in the table, the reward model is trained
further, into a value model: at every token of sampled answers it predicts the reward of
the whole. On the training queries the weight beta is chosen and a router is fitted,
from the weak model's hidden states to the preference for the value-augmented answer.
All that is reported is measured on the test queries. Writes `value_augmented.csv` and
`value_augmented_routing.csv`. Takes four to five minutes of one CPU core; with
`--value-model`, a folder that is made if it is not there, a second run takes less.
"""

import argparse
import random
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.embedded_lm.tasks import TABLE_PICK, draw_query, is_held_out
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import AdaptiveAllocator, MLPRewardRegressor
from sklearn_adaalloc.datasets import load_arithmetic
from sklearn_adaalloc.metrics import (
    average_gap_recovered,
    expected_reward_score,
    oracle_budgets,
    paired_difference,
)
from sklearn_adaalloc.sampling import TransformersSampler, ValueAugmentedSampler

OPTIONS = {"max_new_tokens": 12, "device": "cpu"}
N_VALUE_QUERIES, N_VALUE_SAMPLES = 6000, 4
N_EPOCHS, BATCH_SIZE, LEARNING_RATE = 3, 128, 5e-4
BETAS = (0, 2, 4, 8)
N_BETA_QUERIES, N_SAMPLES = 200, 8
FRACTIONS = np.linspace(0.1, 0.9, 9)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--value-model", type=Path, help="folder to keep it in")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    start = time.process_time()
    data = load_arithmetic("chat")
    with TemporaryDirectory() as temporary:
        folder = options.value_model or Path(temporary)
        if not (folder / "config.json").exists():
            train_value_model(data, folder)
        rows, beta = decoder_rows(data, folder)
        print_table(rows)
        write_csv(rows, options.output / "value_augmented.csv")
        rows = list(routing_rows(data, folder, beta))
        print_table(rows)
        write_csv(rows, options.output / "value_augmented_routing.csv")
    print(f"{(time.process_time() - start) / 60:.1f} CPU minutes")


def token_batches(tokenizer, pairs, size):
    """Yield positions of (query, answer) pairs, their tokens and mask, by length."""
    token_ids = [tokenizer(*pair)["input_ids"] for pair in pairs]
    order = np.argsort([len(ids) for ids in token_ids], kind="stable")
    for rows in np.array_split(order, max(len(order) // size, 1)):
        longest = max(len(token_ids[row]) for row in rows)
        tokens = np.full((len(rows), longest), tokenizer.pad_token_id)
        for i, row in enumerate(rows):
            tokens[i, : len(token_ids[row])] = token_ids[row]
        tokens = torch.from_numpy(tokens)
        yield rows, tokens, tokens != tokenizer.pad_token_id


@torch.inference_mode()
def score(folder, queries, answers):
    """Rewards of answers, (n_queries, n_answers): the reward model's scores."""
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pairs = [(q, a) for q, row in zip(queries, answers, strict=True) for a in row]
    distinct = list(dict.fromkeys(pairs))
    scores = {}
    for rows, tokens, mask in token_batches(tokenizer, distinct, 256):
        logits = model(input_ids=tokens, attention_mask=mask.long()).logits[:, 0]
        scores.update(
            zip([distinct[row] for row in rows], logits.tolist(), strict=True)
        )
    return np.array([scores[pair] for pair in pairs]).reshape(len(queries), -1)


def fresh_queries(n_queries):
    """Draw queries like those of the task, none of which can be in it."""
    rng = random.Random("value")
    drawn = (draw_query(rng, "chat", *TABLE_PICK["chat"]) for _ in iter(int, 1))
    return list(islice((q for q in drawn if not is_held_out(q)), n_queries))


def train_value_model(data, folder):
    """Train the reward model further, to predict the reward from an answer's beginning.

    Each token of an answer, the prompt's last one too, is a beginning, and the reward
    of the whole its target (squared error). The answers are sampled at temperature 1,
    so that unlikely tokens are seen as well.
    """
    sampler = TransformersSampler(
        "embedded", temperature=1.0, random_state=1, **OPTIONS
    )
    queries = fresh_queries(N_VALUE_QUERIES)
    answers = sampler.sample(queries, N_VALUE_SAMPLES)
    rewards = score(data.reward_model, queries, answers)
    targets = {
        (query, answer): reward
        for query, row, values in zip(queries, answers, rewards, strict=True)
        for answer, reward in zip(row, values, strict=True)
    }
    pairs = list(targets)
    targets = torch.tensor(list(targets.values()), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(data.reward_model)
    starts = torch.tensor([len(tokenizer(query)["input_ids"]) for query, _ in pairs])
    model = AutoModelForSequenceClassification.from_pretrained(
        data.reward_model, dtype=torch.float32, attn_implementation="eager"
    )
    batches = list(token_batches(tokenizer, pairs, BATCH_SIZE))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    n_steps = N_EPOCHS * len(batches)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
    begin = time.process_time()
    for step in range(n_steps):
        if step % len(batches) == 0:
            order, total = torch.randperm(len(batches)).tolist(), 0.0
        rows, tokens, mask = batches[order[step % len(batches)]]
        columns = torch.arange(tokens.shape[1])
        counted = mask & (columns >= starts[rows][:, None] - 1)  # (n_rows, length)
        hidden = model.base_model(tokens).last_hidden_state
        values = model.score(hidden)[..., 0]  # (n_rows, length)
        loss = (values - targets[rows][:, None])[counted].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item() / len(batches)
        if (step + 1) % len(batches) == 0:
            seconds = time.process_time() - begin
            print(f"value model: squared error {total:.3f}, {seconds:.0f} s")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def decoder_rows(data, folder):
    """One row per decoder on the test queries, and the beta chosen on others."""
    few, test = data.queries_train[:N_BETA_QUERIES], data.queries_test
    samplers = {
        "ordinary": TransformersSampler("embedded", **OPTIONS),
        "greedy": TransformersSampler("embedded", temperature=0, **OPTIONS),
        "reward model as value, beta 2": ValueAugmentedSampler(
            "embedded", data.reward_model, beta=2, **OPTIONS
        ),
    }
    chosen, best = None, -np.inf
    for beta in BETAS:
        sampler = ValueAugmentedSampler("embedded", str(folder), beta=beta, **OPTIONS)
        samplers[f"value model, beta {beta}"] = sampler
        reward = score(data.reward_model, few, sampler.sample(few, 4)).mean()
        if reward > best:
            chosen, best = beta, reward
    ordinary, rows = None, []
    for name, sampler in samplers.items():
        is_chosen = name == f"value model, beta {chosen}"
        n_samples = 1 if name == "greedy" else 4
        start = time.process_time()
        answers = sampler.sample(test, n_samples)
        seconds = time.process_time() - start
        rewards = score(data.reward_model, test, answers).mean(axis=1)
        ordinary = rewards if ordinary is None else ordinary
        gain = rewards - ordinary
        rows.append(
            {
                "decoder": name + (" (chosen)" if is_chosen else ""),
                "mean_reward": float(rewards.mean()),
                "gain": float(gain.mean()),
                "standard_error": float(gain.std() / np.sqrt(len(gain))),
                "cost": float(getattr(sampler, "cost", 1.0)),
                "ms_per_sample": 1000 * seconds / (len(test) * n_samples),
            }
        )
    return rows, chosen


def routing_rows(data, folder, beta):
    """One row per fraction of test queries for the value-augmented decoder."""
    weak = TransformersSampler("embedded", **OPTIONS)
    strong = ValueAugmentedSampler("embedded", str(folder), beta=beta, **OPTIONS)
    tables = []
    for part in (data.queries_train, data.queries_test):
        n_samples = N_SAMPLES * len(data.queries_test) // len(part)
        answers, X = weak.sample(part, n_samples, return_features=True)
        pair = (answers, strong.sample(part, n_samples))
        rewards = [score(data.reward_model, part, each) for each in pair]
        tables.append((X, np.stack(rewards, axis=1)))  # (n_queries, 2, n_samples)
    (X_train, rewards_train), (X, rewards) = tables
    allocator = AdaptiveAllocator(
        MLPRewardRegressor(random_state=0), budget=0.5, max_budget=1
    )
    router = make_pipeline(allocator).fit(X_train, rewards_train)
    preferences = router[-1].regressor_.predict(X)
    print(f"APGR {average_gap_recovered(rewards, preferences, n_thresholds=None):.3f}")
    for fraction in FRACTIONS:
        budgets = router.set_params(adaptiveallocator__budget=fraction).predict(X)
        gain = paired_difference(rewards, budgets, budgets.mean(), random_state=0)
        oracle = oracle_budgets(rewards, fraction)
        yield {
            "fraction": float(budgets.mean()),
            "random": float(expected_reward_score(rewards, budgets.mean())),
            "routed": float(expected_reward_score(rewards, budgets)),
            "oracle": float(expected_reward_score(rewards, oracle)),
            "gain": float(gain[0]),
            "low": float(gain[1]),
            "high": float(gain[2]),
        }


if __name__ == "__main__":
    main()
