"""Which hidden state of the embedded LM says most about how hard a query is for it.

    python -m benchmarks.quality.layers [--tasks math code] [--seeds 3] [--lora]

Layer by layer and pooling by pooling, the default `MLPRewardRegressor` on the features.
`share_in_training` is the share of the reducible loss that it explains in five-fold
cross-validation on the training queries: by that the default layer was chosen. The
other figures are those of the test queries, means over seeds: the cross-entropy of its
success rates (the paper's Table 1), the share explained, and the accuracy at the
median. Beside them MiniLM, the words and the length of the text; with `--lora` also
`LoRARewardRegressor`; the average predictor and the oracle. Prints a table and writes
`layers.csv`.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import KFold, cross_val_score
from sklearn.preprocessing import FunctionTransformer

from benchmarks.quality.from_text import minilm
from benchmarks.quality.outcome_sets import text_lengths
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import MLPRewardRegressor
from sklearn_adaalloc.datasets import load_arithmetic
from sklearn_adaalloc.features import HiddenStateFeaturizer
from sklearn_adaalloc.metrics import prediction_report
from sklearn_adaalloc.regressors import LoRARewardRegressor

LAYERS = {"1": 1, "2": 2, "3 (-2)": -2, "4, normed (-1)": -1, "3 and 4": [-2, -1]}
POOLINGS = ("last", "mean")
FIGURES = ("ours", "avg", "opt", "acc", "share_explained")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=["math", "code"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lora", action="store_true", help="minutes per task and seed")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    rows = []
    for task in options.tasks:
        of_task = list(task_rows(task, options.seeds, options.lora))
        print_table(of_task)
        rows += of_task
    write_csv(rows, options.output / "layers.csv")


def task_rows(task, n_seeds, lora):
    """Yield one row per way to look at the queries of a task."""
    queries, queries_test, rewards, rewards_test = load_arithmetic(
        task, return_X_y=True
    )
    for features, pooling, transformer in transformers():
        X, X_test = (
            transformer.fit_transform(queries),
            transformer.transform(queries_test),
        )
        in_training = cross_val_score(
            MLPRewardRegressor(random_state=0),
            X,
            rewards,
            cv=KFold(5, shuffle=True, random_state=0),
        )
        report, seconds = mean_report(
            MLPRewardRegressor(), X, rewards, X_test, rewards_test, n_seeds
        )
        share = float(in_training.mean())
        yield row(task, features, pooling, report, seconds, share)
    if lora:
        adapted, seconds = mean_report(
            LoRARewardRegressor(), queries, rewards, queries_test, rewards_test, n_seeds
        )
        yield row(task, "LoRA", "last", adapted, seconds)
    yield row(task, "average predictor", "", {"ours": report["avg"]}, 0.0)
    yield row(task, "oracle", "", {"ours": report["opt"]}, 0.0)


def transformers():
    """Ways to turn texts into features: a name, a pooling and a transformer each."""
    for name, layer in LAYERS.items():
        for pooling in POOLINGS:
            yield (
                f"layer {name}",
                pooling,
                HiddenStateFeaturizer(layer=layer, pooling=pooling),
            )
    yield "MiniLM", "mean", minilm(cache=None)
    characters = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), min_df=20)
    yield "TF-IDF of characters", "", characters
    yield "length of the text", "", FunctionTransformer(text_lengths)


def mean_report(regressor, X, rewards, X_test, rewards_test, n_seeds):
    """Mean of the prediction reports over seeds, and CPU seconds per fit."""
    reports, seconds = [], 0.0
    for seed in range(n_seeds):
        start = time.process_time()
        fitted = clone(regressor).set_params(random_state=seed).fit(X, rewards)
        seconds += time.process_time() - start
        reports.append(prediction_report(rewards_test, fitted.predict(X_test)))
    return {
        key: np.mean([r[key] for r in reports]) for key in FIGURES
    }, seconds / n_seeds


def row(task, features, pooling, report, seconds, share_in_training=np.nan):
    """Make one line of the table."""
    return {
        "task": task,
        "features": features,
        "pooling": pooling,
        "share_in_training": share_in_training,
        "cross_entropy": float(report["ours"]),
        "share_explained": float(report.get("share_explained", np.nan)),
        "accuracy_at_median": float(report.get("acc", np.nan)),
        "cpu_seconds_to_fit": seconds,
    }


if __name__ == "__main__":
    main()
