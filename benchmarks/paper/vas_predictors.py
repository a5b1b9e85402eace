"""What closes how much of the gap of the predictor for value-augmented sampling.

    python -m benchmarks.paper.vas_predictors [--output DIR] [--limit N]

The setting is routing-vas at the embedded scale, whose labels are noisy. Compared are

- training queries: those of routing-vas with their 4 samples of each decoder, and a
  part of them with 4 and with 16;
- LoRA with its default batch size, and with the one of least loss on the queries that
  LoRA holds out of training to know when to stop;
- an MLP on hidden states of the language model, alone or beside those of the value
  model, which reads the query before the strong decoder's first token.

Test queries are those of routing-vas, and nothing is chosen by them. Writes
routing-vas/predictors.csv. What is collected stays in DIR/embedded/collected, shared
with `python -m benchmarks.paper routing-vas`, and a second run takes less.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.paper import sources
from benchmarks.paper.pipeline import test_rewards
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import (
    HiddenStateFeaturizer,
    LoRARewardRegressor,
    MLPRewardRegressor,
)
from sklearn_adaalloc.curves._decoders import preferences
from sklearn_adaalloc.metrics import (
    oracle_budgets,
    paired_difference,
    prediction_report,
)

N_PART, MANY_SAMPLES = 2000, 16  # training queries with many samples, and how many
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
    data = sources.embedded_vas(collected, options.limit)
    tables = training_tables(data, collected)
    own, value = (
        hidden_states(model, data.queries)
        for model in (data.model, collected / sources.VALUE_MODEL)
    )
    features = {"LM": own, "LM and value model": np.hstack([own, value])}
    rows = list(predictor_rows(data, tables, features, options.seed))
    print_table(rows)
    write_csv(rows, folder / "routing-vas" / "predictors.csv")


def training_tables(data, collected):
    """Reward tables of the first training queries, as many as each has rows."""
    ((train, _, _),) = data.folds
    few = data.rewards[train]
    n_part = min(N_PART, len(few))
    many = sources.collected_vas(data.queries[:n_part], MANY_SAMPLES, collected)
    return few, few[:n_part], many


def hidden_states(model, queries):
    """Features of queries, as the package reads them by default."""
    return HiddenStateFeaturizer(model, device="cpu").fit_transform(queries)


def predictor_rows(data, tables, features, seed=0):
    """One row per training table and predictor."""
    ((_, _, test),) = data.folds
    for rewards in tables:
        n_queries, _, n_samples = rewards.shape
        for name, regressor, X in fitted(data, features, rewards, seed):
            X_test = X[test] if isinstance(X, np.ndarray) else [X[row] for row in test]
            yield {
                "n_queries": n_queries,
                "n_samples": n_samples,
                "predictor": name,
                "batch_size": regressor.batch_size,
                **stopped(regressor),
                **scores(test_rewards(data), regressor.predict(X_test)),
            }


def fitted(data, features, rewards, seed):
    """Yield the name of each predictor, the fitted regressor and what it reads."""
    n_queries = len(rewards)
    tried = [
        LoRARewardRegressor(
            data.model,
            "preference",
            batch_size=batch_size,
            random_state=seed,  # the same queries are held out each time
            **data.model_options,
        ).fit(data.queries[:n_queries], rewards)
        for batch_size in BATCH_SIZES
    ]
    yield "LoRA", tried[0], data.queries
    best = min(tried, key=lambda regressor: stopped(regressor)["held_out_loss"])
    yield "LoRA, batch size by held-out loss", best, data.queries
    for name, X in features.items():
        regressor = MLPRewardRegressor("preference", random_state=seed)
        yield f"MLP, {name}", regressor.fit(X[:n_queries], rewards), X


def stopped(regressor):
    """The epoch of least loss on queries left out of training, and that loss."""
    losses = [
        row["held_out_loss" if "held_out_loss" in row else "out_of_fold_loss"]
        for row in regressor.history_
    ]
    best = int(np.argmin(losses))
    return {"n_epochs": best + 1, "held_out_loss": float(losses[best])}


def scores(rewards, predicted):
    """Table 1, what of it could be explained, and what routing half the queries gains.

    `gain` is that of calling the strong decoder for the half of the queries that are
    predicted to need it most, over calling it for a random half.
    """
    report = prediction_report(rewards, predicted)
    order = np.argsort(predicted, kind="stable")
    budgets = np.zeros(len(order), dtype=int)
    budgets[order[len(order) // 2 :]] = 1
    even = budgets.mean()
    gain, oracle = (
        paired_difference(rewards, each, even, random_state=0)
        for each in (budgets, oracle_budgets(rewards, even))
    )
    return {
        **{name: report[name] for name in ("ours", "avg", "opt", "acc")},
        "share": float(report.share_explained),
        "cap": signal_share(rewards),
        "gain": float(gain[0]),
        "gain_low": float(gain[1]),
        "gain_high": float(gain[2]),
        "oracle_gain": float(oracle[0]),
    }


def signal_share(rewards):
    """Share of the variance of preferences over queries that is not noise.

    No predictor can be expected to explain more. Halves of a query's samples have
    independent noise: their preferences covary by the signal alone.
    """
    half = rewards.shape[-1] // 2
    first, second = preferences(rewards[..., :half]), preferences(rewards[..., half:])
    return float(np.cov(first, second)[0, 1] / preferences(rewards).var(ddof=1))


if __name__ == "__main__":
    main()
