"""What closes how much of the gap of the predictor for value-augmented sampling.

    python -m benchmarks.paper.vas_predictors [--output DIR] [--limit N]

The setting is routing-vas at the embedded scale, whose labels are noisy. Compared are
4 and 16 samples per training query; LoRA with its default batch size, and with the one
of least loss on the queries that it holds out of training; and an MLP on hidden states
of the language model, alone or beside those of the value model, which reads the query
before the strong decoder's first token. All see the same training queries. Each is
scored on the test queries, by the paper's 4 samples and by all 16; `cap` is the share
of the labels' variance that is not noise, about as much as any predictor can explain.
Writes routing-vas/predictors.csv. What is collected stays in DIR/embedded/collected,
and a second run takes less.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.paper import sources
from benchmarks.paper.settings import SETTINGS
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import (
    HiddenStateFeaturizer,
    LoRARewardRegressor,
    MLPRewardRegressor,
)
from sklearn_adaalloc._curves import preferences
from sklearn_adaalloc.metrics import (
    oracle_budgets,
    paired_difference,
    prediction_report,
)

N_SAMPLES = (4, 16)
BATCH_SIZES = (16, 64, 256)  # the first is the default of LoRARewardRegressor


def main(arguments=None):
    """Collect, compare, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper.vas_predictors",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "paper")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="queries of each part, to try it out")
    options = parser.parse_args(arguments)
    folder = options.output / "embedded"
    collected = folder / "collected" / "vas"
    data = sources.embedded_vas(collected, options.limit, max(N_SAMPLES))
    models = {"language model": [data.model]}
    models["both models"] = [data.model, str(collected / sources.VALUE_MODEL)]
    features = {
        name: np.hstack([hidden_states(model, data.queries) for model in paths])
        for name, paths in models.items()
    }
    rows = list(predictor_rows(data, features, options.seed))
    print_table(rows)
    write_csv(rows, folder / "routing-vas" / "predictors.csv")


def hidden_states(model, queries):
    """Features of queries, as the package reads them by default."""
    return HiddenStateFeaturizer(model, device="cpu").fit_transform(queries)


def predictor_rows(data, features, seed=0):
    """One row per predictor and number of samples of each training query."""
    ((train, _, test),) = data.folds
    for n_samples in N_SAMPLES:
        rewards = data.rewards[train][..., :n_samples]
        for name, regressor, X in fitted(data, features, train, rewards, seed):
            yield {
                "predictor": name,
                "n_samples": n_samples,
                "batch_size": regressor.batch_size,
                "n_epochs": stopped(regressor)["epoch"],
                "held_out_loss": held_out_loss(regressor),
                **scores(data.rewards[test], regressor.predict(rows_of(X, test))),
            }


def fitted(data, features, train, rewards, seed):
    """Yield the name of each predictor, the fitted regressor and what it reads."""
    tried = [
        LoRARewardRegressor(
            data.model,
            "preference",
            batch_size=batch_size,
            random_state=seed,  # the same queries are held out each time
            **data.model_options,
        ).fit(rows_of(data.queries, train), rewards)
        for batch_size in BATCH_SIZES
    ]
    yield "LoRA", tried[0], data.queries
    best = min(tried, key=held_out_loss)
    yield "LoRA, batch size by held-out loss", best, data.queries
    for name, X in features.items():
        regressor = MLPRewardRegressor("preference", random_state=seed)
        yield f"MLP, {name}", regressor.fit(X[train], rewards), X


def rows_of(values, rows):
    """Rows of an array, or of a list."""
    return values[rows] if hasattr(values, "shape") else [values[row] for row in rows]


def held_out_loss(regressor):
    """Loss on queries left out of training, where it stopped."""
    return stopped(regressor)["loss"]


def stopped(regressor):
    """Epoch and loss of the least loss on queries left out of training."""
    losses = [
        row["held_out_loss" if "held_out_loss" in row else "out_of_fold_loss"]
        for row in regressor.history_
    ]
    epoch = int(np.argmin(losses))
    return {"epoch": epoch + 1, "loss": losses[epoch]}


def scores(rewards, predicted):
    """Share explained of the paper's and of all test samples, and what routing gains.

    `gain` is that of calling the strong decoder for the half of the queries that are
    predicted to need it most, over calling it for a random half.
    """
    row = {}
    for n_samples in N_SAMPLES:
        observed = rewards[..., :n_samples]
        report = prediction_report(observed, predicted)
        row |= {
            f"share_{n_samples}": float(report.share_explained),
            f"cap_{n_samples}": signal_share(rewards, n_samples),
        }
        if n_samples == N_SAMPLES[0]:
            row |= {name: report[name] for name in ("ours", "avg", "opt", "acc")}
    rank = np.argsort(np.argsort(predicted, kind="stable"), kind="stable")
    budgets = (rank >= len(rank) / 2).astype(int)
    gain = paired_difference(rewards, budgets, budgets.mean(), random_state=0)
    oracle = oracle_budgets(rewards, budgets.mean())
    best = paired_difference(rewards, oracle, budgets.mean(), random_state=0)
    return row | {
        "gain": float(gain[0]),
        "gain_low": float(gain[1]),
        "gain_high": float(gain[2]),
        "oracle_gain": float(best[0]),
    }


def signal_share(rewards, n_samples):
    """Share of the variance of preferences from so many samples that is not noise.

    Halves of a query's samples have independent noise, so that their preferences covary
    by the signal alone. All samples are used for that, however many the labels have.
    """
    half = rewards.shape[-1] // 2
    first, second = preferences(rewards[..., :half]), preferences(rewards[..., half:])
    signal = np.cov(first, second)[0, 1]
    return float(signal / preferences(rewards[..., :n_samples]).var(ddof=1))


if __name__ == "__main__":
    main()
