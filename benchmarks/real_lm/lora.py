"""Table 1 on real models, as in the paper: LoRA of the model that answered.

    python -m benchmarks.real_lm.lora weights/qwen2.5-coder-0.5b.gguf

The model reads the prompts that it answered and is adapted to predict its success
rates: once on all queries of the training set, and once without each of `--folds`
parts of it. The parts together give out-of-fold predictions of the training set, and
their average one more prediction of the test set. ``--parts`` runs some of these
trainings, so that several processes can share a GPU; what is done is not done again.
``--keep`` adds the predictions to the outcomes. Every call writes
``results/real_lm/lora.csv`` for all trainings under `--output`.

The learning rate is far below the default of `LoRARewardRegressor`, which was chosen
on a model of a million parameters: see the table.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.quality.outcome_sets import add_data_option
from benchmarks.real_lm.outcomes import load_lora, load_outcomes, save_lora
from benchmarks.real_lm.problems import chat, read_problems
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import LoRARewardRegressor
from sklearn_adaalloc.metrics import prediction_report

SETTINGS = (
    *("name", "train", "test", "layer", "dtype", "learning_rate", "seed"),
    *("limit", "folds"),
)


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
        max_length=options.max_length,
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
    settings = {key: getattr(options, key) for key in SETTINGS}
    (file.parent / "settings.json").write_text(json.dumps(settings))
    np.savez_compressed(file, **arrays)
    print_table([report_row(y_test, arrays["test"], regressor.rates_)])


def part_file(part, options):
    """Where the predictions of one training are kept."""
    name = "-".join(str(getattr(options, key)) for key in SETTINGS)
    return options.output / name / f"part-{part}.npz"


def report_row(rewards, distribution, rates):
    """Table 1's row for a predicted distribution over success rates."""
    observed = np.nanmean(rewards, axis=1)
    report = prediction_report(observed, np.clip(distribution @ rates, 0, 1))
    return {"n_queries": len(rewards), **report}


def gather(folder, data):
    """Settings, predictions by set and training, and reports of one folder.

    Out-of-fold predictions and the average of the folds are left out if a fold is
    missing.
    """
    settings = json.loads((folder / "settings.json").read_text())
    parts = {}
    for file in sorted(folder.glob("part-*.npz")):
        with np.load(file) as arrays:
            parts[int(file.stem.removeprefix("part-"))] = dict(arrays)
    rates = next(iter(parts.values()))["rates"]
    known = {name: {} for name in (settings["train"], settings["test"])}
    if 0 in parts:
        known[settings["test"]]["single"] = parts[0]["test"]
    folds = range(1, settings["folds"] + 1)
    sides = {
        name: queries_of(name, settings["name"], data, settings["limit"])
        for name in known
    }
    if all(part in parts for part in folds):
        fold = fold_of(len(sides[settings["train"]][0]), settings["folds"])
        out_of_fold = np.empty((len(fold), len(rates)))
        for part in folds:
            out_of_fold[fold == part] = parts[part]["held_out"]
        known[settings["train"]]["out_of_fold"] = out_of_fold
        average = np.mean([parts[part]["test"] for part in folds], axis=0)
        known[settings["test"]]["average"] = average
    described = {
        key: settings[key] for key in SETTINGS if key not in ("limit", "folds")
    }
    reports = [
        described
        | {"set": name, "prediction": how}
        | report_row(sides[name][2], p, rates)
        for name, predictions in known.items()
        for how, p in predictions.items()
    ]
    kept = {name: (sides[name][0], predictions) for name, predictions in known.items()}
    return kept | {"rates": rates}, reports


def keep(model, predictions):
    """Add predictions to those beside the outcomes; sets that were there stay."""
    try:
        earlier = load_lora(model)
    except FileNotFoundError:
        earlier = {"rates": predictions["rates"]}
    for name in set(earlier) - {"rates"}:
        rows = earlier[name].pop("rows")
        earlier[name] = (rows, dict(earlier[name]))
    found = {k: v for k, v in predictions.items() if k == "rates" or v[1]}
    save_lora(model, dict(earlier) | found)


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
    parser.add_argument("--learning-rate", type=float, default=3e-5)
    parser.add_argument("--max-epochs", type=int, default=20)
    parser.add_argument("--max-length", type=int, help="tokens of a prompt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--parts", type=int, nargs="*", help="0: on all (default: all)")
    parser.add_argument("--limit", type=int, help="only so many queries of each set")
    parser.add_argument("--output", type=Path, default=Path("lora"))
    parser.add_argument("--results", type=Path, default=RESULTS / "real_lm")
    parser.add_argument("--keep", action="store_true", help="write to the outcomes")
    add_data_option(parser)
    options = parser.parse_args()
    options.layer = options.layer if options.layer == "auto" else int(options.layer)
    parts = range(options.folds + 1) if options.parts is None else options.parts
    for part in parts:
        train(part, options)
    if options.keep:
        keep(options.name, gather(part_file(0, options).parent, options.data)[0])
    folders = sorted(file.parent for file in options.output.glob("*/settings.json"))
    rows = [row for folder in folders for row in gather(folder, options.data)[1]]
    print_table(rows)
    write_csv(rows, options.results / "lora.csv")


if __name__ == "__main__":
    main()
