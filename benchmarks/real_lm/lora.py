"""Table 1 on real models, as in the paper: LoRA of the model that answered.

    python -m benchmarks.real_lm.lora weights/qwen2.5-coder-0.5b.gguf

The model reads the prompts that it answered and is adapted to predict its success
rates: once on all queries of the training set, and once without each of `--folds`
parts of it. The parts together give out-of-fold predictions of the training set, and
their average one more prediction of the test set. ``--parts`` runs some of these
trainings, so that several processes can share a GPU; what is done is not done again.
When all are there, ``--keep`` writes the predictions beside the outcomes.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.quality.outcome_sets import add_data_option
from benchmarks.real_lm.outcomes import load_outcomes, save_lora
from benchmarks.real_lm.problems import chat, read_problems
from benchmarks.report import print_table
from sklearn_adaalloc import LoRARewardRegressor
from sklearn_adaalloc.metrics import prediction_report


def queries_of(name, model, data, limit=None):
    """Rows, chats and rewards of the graded problems of a set, the first `limit`."""
    kept = load_outcomes(name, model)
    problems = read_problems(data, name)
    rewards = kept.table.rewards
    graded = np.flatnonzero(np.isfinite(rewards).any(axis=1))[:limit]
    rows = kept.rows[graded]
    return rows, [chat(name, problems[row]) for row in rows], rewards[graded]


def fold_of(n_queries, n_folds):
    """Part of each training query, from 1 to `n_folds`; shape (n_queries,)."""
    order = np.random.default_rng(0).permutation(n_queries)
    folds = np.empty(n_queries, dtype=int)
    folds[order] = np.arange(n_queries) % n_folds + 1
    return folds


def train(part, options):
    """Train without one part of the queries, or (0) on all; write predictions."""
    file = part_file(part, options)
    if file.exists():
        return
    limit = options.limit
    _, X, y = queries_of(options.train, options.name, options.data, limit)
    _, X_test, y_test = queries_of(options.test, options.name, options.data, limit)
    held = fold_of(len(X), options.folds) == part  # nothing for part 0
    regressor = LoRARewardRegressor(
        options.model,
        layer=options.layer,
        learning_rate=options.learning_rate,
        max_epochs=options.max_epochs,
        device=options.device,
        dtype=options.dtype,
        random_state=options.seed + part,
        verbose=True,
    )
    start = time.perf_counter()
    regressor.fit([X[row] for row in np.flatnonzero(~held)], y[~held])
    seconds = time.perf_counter() - start
    arrays = {
        "rates": regressor.rates_,
        "test": regressor.predict_rate_distribution(X_test),
        "history": json.dumps(regressor.history_),
        "seconds": seconds,
    }
    if held.any():
        held_out = [X[row] for row in np.flatnonzero(held)]
        arrays["held_out"] = regressor.predict_rate_distribution(held_out)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **arrays)
    print_table([report_row(f"part {part}", y_test, arrays["test"], regressor.rates_)])


def part_file(part, options):
    """Where the predictions of one training are kept."""
    name = (
        f"{options.name}-{options.train}-{options.test}-layer_{options.layer}-"
        f"{options.dtype}-{options.learning_rate:g}-{options.seed}"
    )
    return options.output / name / f"part-{part}.npz"


def report_row(name, rewards, distribution, rates):
    """Table 1's row for a predicted distribution over success rates."""
    observed = np.nanmean(rewards, axis=1)
    report = prediction_report(observed, np.clip(distribution @ rates, 0, 1))
    return {"prediction": name, "n_test": len(rewards), **report}


def gather(options):
    """Print the report of every training and return what is kept of them."""
    limit = options.limit
    rows, _, y = queries_of(options.train, options.name, options.data, limit)
    test_rows, _, y_test = queries_of(options.test, options.name, options.data, limit)
    parts = []
    for part in range(options.folds + 1):
        with np.load(part_file(part, options)) as file:
            parts.append(dict(file))
    rates = parts[0]["rates"]
    folds = fold_of(len(rows), options.folds)
    out_of_fold = np.empty((len(rows), len(rates)))
    for part, arrays in enumerate(parts[1:], start=1):
        out_of_fold[folds == part] = arrays["held_out"]
    average = np.mean([arrays["test"] for arrays in parts[1:]], axis=0)
    reports = [
        report_row("one training on all", y_test, parts[0]["test"], rates),
        report_row(f"average of {options.folds}", y_test, average, rates),
        report_row("out of fold, training set", y, out_of_fold, rates),
    ]
    print_table(reports)
    for part, arrays in enumerate(parts):
        epochs = json.loads(str(arrays["history"]))
        losses = [round(epoch["held_out_loss"], 4) for epoch in epochs]
        print(f"part {part}: {float(arrays['seconds']):.0f} s, held-out loss {losses}")
    return {
        "rates": rates,
        options.train: (rows, {"out_of_fold": out_of_fold}),
        options.test: (test_rows, {"single": parts[0]["test"], "average": average}),
    }


def main():
    """Run the trainings asked for, then gather them if all are there."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("model", help="the model: a .gguf file, a folder or a name")
    parser.add_argument("--name", default="0.5b", help="whose outcomes to predict")
    parser.add_argument("--train", default="gsm8k_train", help="set to train on")
    parser.add_argument("--test", default="gsm8k_test", help="set to predict")
    parser.add_argument("--layer", default="auto", help="hidden state of the head")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--max-epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--parts", type=int, nargs="*", help="0: on all (default: all)")
    parser.add_argument("--limit", type=int, help="only so many queries of each set")
    parser.add_argument("--output", type=Path, default=Path("lora"))
    parser.add_argument("--keep", action="store_true", help="write to the outcomes")
    add_data_option(parser)
    options = parser.parse_args()
    options.layer = options.layer if options.layer == "auto" else int(options.layer)
    everything = range(options.folds + 1)
    for part in everything if options.parts is None else options.parts:
        train(part, options)
    if all(part_file(part, options).exists() for part in everything):
        kept = gather(options)
        if options.keep:
            save_lora(options.name, kept)


if __name__ == "__main__":
    main()
