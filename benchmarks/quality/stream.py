"""Streams on real graded outcomes: each query alone, against a batch in step.

    python -m benchmarks.quality.stream [--data DIR] [--sets ...] [--parts ...]

Two-fold on the MATH sets with their probe as the feature: fitted on one half of the
queries, the other half arrives one query after another in random order, both ways
(halves and order are the permutation of the data's README). All policies have
the predictions of one `StreamAllocator` with default parameters, and take the samples
of each row in the same order. Writes to `benchmarks/results/quality`

- `stream.csv`: success and spend of streams and of the joint rule of
  `SequentialAllocator` on the whole batch, one by one and in four rounds. `least` and
  `most` are the spends of the two folds. The last rows are the means of all cells.

One sample at a time on menus of several models, in cost, with ten queries arriving
together, writes `stream_menus.csv`: the three
models on MATH with their probes, and seven models on MBPP from the text (MiniLM and a
forest), whose samples are in a random order. The price follows what is spent, or stays
at that of `fit`.

It also prints the median time of a decision, the prediction included. For streams that
change, see `benchmarks.quality.stream_drift`.
"""

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch

from benchmarks.quality.menus import (
    math_menu,
    mbpp_menus,
    profile_forest,
    text_features,
)
from benchmarks.quality.outcome_sets import (
    add_data_option,
    best_of_k_sets,
    two_folds,
)
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import (
    MLPRewardRegressor,
    RewardTable,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.allocators._menu_session import replay_menu

PARTS = ("models", "menus")
TOGETHER = 10  # queries of menus
BUDGETS = (2, 4, 8)
POLICIES = {  # whether it is a stream, and its parameters
    "joint, one by one": (False, {"n_rounds": None}),
    "stream, one by one": (True, {"n_rounds": None}),
    "joint, 4 rounds": (False, {"n_rounds": 4}),
    "stream, 4 rounds": (True, {"n_rounds": 4}),
}
MENU_POLICIES = {
    "joint, one by one": (False, {"n_rounds": None}),
    "stream, price followed": (True, {"n_rounds": None, "adapt": True}),
    "stream, price fixed": (True, {"n_rounds": None, "adapt": False}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--sets", nargs="*", default=[""], help="parts of set names")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    options = parser.parse_args()
    if "menus" in options.parts:
        rows = [
            row
            for name, read in MENUS.items()
            if any(part in name for part in options.sets)
            for menu in read(options.data)
            for row in menu_rows(menu)
        ]
        print_table(rows)
        write_csv(rows, options.output / "stream_menus.csv")
    if "models" in options.parts:
        one_model(options)


def one_model(options):
    rows = []
    for outcomes in best_of_k_sets(options.data):
        if "probe" not in outcomes.features:
            continue
        if not any(part in outcomes.name for part in options.sets):
            continue
        folds = list(fitted_folds(outcomes))
        rows += cell_rows(outcomes.name, folds)
        print(f"{outcomes.name}: a decision takes {decision_time(folds[0]):.2f} ms")
    rows += list(mean_rows(rows))
    print_table(rows)
    write_csv(rows, options.output / "stream.csv")


def fitted_folds(outcomes):
    """Yield a fitted stream, a joint rule with its regressor, and the other half."""
    X, rewards = outcomes.features["probe"], outcomes.rewards
    order = np.random.default_rng(0).permutation(len(X))
    first, second = np.array_split(order, 2)
    for train, test in ((first, second), (second, first)):
        stream = StreamAllocator(budget=BUDGETS[0], random_state=0)
        stream.fit(X[train], rewards[train])
        joint = SequentialAllocator(FrozenEstimator(stream.regressor_))
        joint.fit(X[train], rewards[train])
        yield stream, joint, X[test], rewards[test]


def cell_rows(name, folds):
    """One row per budget and policy: means over both folds."""
    rows = []
    for budget in BUDGETS:
        for policy, (is_stream, params) in POLICIES.items():
            played = [
                play(stream if is_stream else joint, budget, X, rewards, **params)
                for stream, joint, X, rewards in folds
            ]
            spends = [budgets.mean() for _, budgets in played]
            rows.append(
                {
                    "set": name,
                    "budget": budget,
                    "policy": policy,
                    "success": float(np.mean([right.mean() for right, _ in played])),
                    "spend": float(np.mean(spends)),
                    "least": float(min(spends)),
                    "most": float(max(spends)),
                }
            )
    return rows


def play(policy, budget, X, rewards, **params):
    """Whether each query is solved, and its samples (n_queries,)."""
    policy.set_params(budget=budget, **params)
    played = policy._replay(X, rewards)
    budgets = played[0] if isinstance(policy, StreamAllocator) else played.budgets
    drawn = np.maximum.accumulate(np.pad(rewards, ((0, 0), (1, 0))), axis=1)
    return drawn[np.arange(len(drawn)), budgets], budgets


def mean_rows(rows):
    """Mean success and spend of each policy over all cells."""
    for policy in POLICIES:
        cells = [row for row in rows if row["policy"] == policy]
        means = {
            part: float(np.mean([cell[part] for cell in cells]))
            for part in ("success", "spend")
        }
        yield {"set": "mean", "budget": "", "policy": policy, **means}


# --- several models --------------------------------------------------------------


def math_models(data):
    """Yield a menu: a table with costs, features, texts, budgets and a regressor."""
    table, X = math_menu(data)
    yield Bunch(
        name="math5000, 3 models",
        table=table,
        X=X,
        texts=list(range(len(X))),
        budgets=(4, 8, 16),
        regressor=MLPRewardRegressor(target="rate_profiles", random_state=0),
    )


def mbpp_models(data):
    """Yield menus whose samples cost 1, or as many units as the model is large."""
    tables, texts = mbpp_menus(data)
    X = text_features(texts)["MiniLM"]
    for unit, table in tables.items():
        order = np.random.default_rng(0).random(table.shape).argsort(axis=2)
        mixed = np.take_along_axis(table.rewards, order, axis=2)
        yield Bunch(
            name=f"mbpp, 7 models, {unit}",
            table=RewardTable(mixed, costs=table.costs, decoders=table.decoders),
            X=X,
            texts=texts,
            budgets=np.multiply((1, 1.5, 2, 3), table.costs[0, :, 0].mean()),
            regressor=profile_forest(),
        )


MENUS = {"math5000": math_models, "mbpp": mbpp_models}


def menu_rows(menu):
    """One row per budget and policy: means over both folds."""
    folds = []
    for train, test in two_folds(menu.texts):
        known = menu.X[train], menu.table[train]
        options = {"unit": "cost", "budget": menu.budgets[0]}
        stream = StreamAllocator(menu.regressor, random_state=0, **options).fit(*known)
        joint = SequentialAllocator(FrozenEstimator(stream.regressor_), **options)
        order = np.random.default_rng(0).permutation(test)
        folds.append((stream, joint.fit(*known), menu.X[order], menu.table[order]))
        print(f"{menu.name}: a decision takes {decision_time(folds[-1]):.2f} ms")
    for budget in menu.budgets:
        for policy, (is_stream, params) in MENU_POLICIES.items():
            played = [
                play_menu(stream if is_stream else joint, budget, X, table, params)
                for stream, joint, X, table in folds
            ]
            spends = [spent.mean() for _, spent in played]
            yield {
                "set": menu.name,
                "budget": float(budget),
                "policy": policy,
                "success": float(np.mean([right.mean() for right, _ in played])),
                "spend": float(np.mean(spends)),
                "least": float(min(spends)),
                "most": float(max(spends)),
            }


def play_menu(policy, budget, X, table, params):
    """Whether each query is solved, and its cost (n_queries,)."""
    policy.set_params(budget=budget, **params)
    if not isinstance(policy, StreamAllocator):
        played = policy._replay(X, table)
        return played.best_rewards, played.costs.sum(axis=1)
    right, spent = [], []
    with policy.open() as stream:
        for first in range(0, len(table), TOGETHER):
            part = slice(first, first + TOGETHER)
            with stream.start(X[part]) as session:
                right.append(
                    replay_menu(session, table.rewards[part], table.costs[part])
                )
            spent.append(session.costs.sum(axis=1))
    return np.concatenate(right), np.concatenate(spent)


def decision_time(fold):
    """Median time of the first decision on a query, in milliseconds."""
    stream, _, X, _ = fold
    times = []
    with stream.open() as opened:
        for x in X[:500]:
            start = perf_counter()
            session = opened.start(x)
            session.ask()
            times.append(perf_counter() - start)
            session.close()
    return 1000 * float(np.median(times))


if __name__ == "__main__":
    main()
