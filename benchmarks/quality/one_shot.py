"""One-shot allocation and routing on real graded outcomes.

    python -m benchmarks.quality.one_shot [--data DIR] [--sets PART ...]

Two-fold: fitted on one half of the queries, evaluated on the other, both ways. Each
method is compared with uniform allocation at equal realised spend, by paired bootstrap
over queries. Prints a table per set and writes `one_shot.csv` (every budget),
`one_shot.png` and `routing.csv`.
"""

import argparse
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils import _safe_indexing

from benchmarks.quality.outcome_sets import (
    add_data_option,
    best_of_k_sets,
    routing_sets,
    two_folds,
)
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    MLPRewardRegressor,
    RewardRegressor,
)
from sklearn_adaalloc.metrics import (
    average_gap_recovered,
    cost_to_recover,
    expected_reward_score,
    oracle_budgets,
    paired_difference,
)

LARGEST = 32
PRINTED = (1, 2, 4, 8, 16, 32)
COLORS = {
    "rate distribution": "C0",
    "binned": "C1",
    "plug-in rate": "C3",
    "marginal rewards": "C2",
    "shuffled": "0.6",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--sets", nargs="*", default=[""], help="parts of set names")
    parser.add_argument("--jobs", type=int, default=1, help="sets at a time")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()

    def wanted(outcomes):
        return any(part in outcomes.name for part in options.sets)

    run = Parallel(n_jobs=options.jobs, return_as="generator")
    tasks = [
        (outcomes, features)
        for outcomes in filter(wanted, best_of_k_sets(options.data))
        for features in outcomes.features
    ]
    rows = []
    for table in run(delayed(best_of_k_rows)(*task) for task in tasks):
        print_table([row for row in table if row["budget"] in PRINTED])
        rows += table
    if rows:
        print("Furthest below uniform at equal spend, over B = 1..32:")
        print_table(furthest_below_uniform(rows))
        write_csv(rows, options.output / "one_shot.csv")
        plot(rows, options.output / "one_shot.png")
    tasks = filter(wanted, routing_sets(options.data))
    tables = run(delayed(routing_rows)(outcomes) for outcomes in tasks)
    rows = [row for table in tables for row in table]
    if rows:
        print_table(rows)
        write_csv(rows, options.output / "routing.csv")


def best_of_k_rows(outcomes, features):
    """One row per method and budget, for one set with one choice of features."""
    methods = regressor_methods(outcomes)
    rows = policy_rows(outcomes, features, outcomes.features[features], methods)
    return list(rows)


def policy_rows(outcomes, features, X, methods):
    """One row per policy and budget; policies are pipelines ending in an allocator."""
    rewards = outcomes.rewards
    # Finer where curves are steep, because saved compute is read off between points.
    grid = np.r_[0.25:2:0.25, 2:8:0.5, 8 : LARGEST + 1]
    grid = grid[(grid >= outcomes.min_budget) & (grid <= rewards.shape[1])]
    uniform = np.array([expected_reward_score(rewards, b) for b in grid])
    budgets = held_out_budgets(outcomes, X, methods, grid)
    oracle = reached_rewards(rewards, budgets["oracle"], grid)
    oracle_gap = np.trapezoid(oracle - uniform, grid)
    for method, table in budgets.items():
        reached = reached_rewards(rewards, table, grid)
        for i in np.flatnonzero(grid % 1 == 0):
            spend = table[i].mean()
            gain = paired_difference(
                rewards, table[i], spend, n_bootstrap=1000, random_state=0
            )
            yield {
                "set": outcomes.name,
                "features": features,
                "method": method,
                "budget": int(grid[i]),
                "spend": float(spend),
                "reward": expected_reward_score(rewards, table[i]),
                "uniform": float(uniform[i]),
                "gain": gain.difference,
                "low": gain.low,
                "high": gain.high,
                "saved": float(1 - least_spend(uniform[i], reached, grid) / grid[i]),
                "gap": float(np.trapezoid(reached - uniform, grid) / oracle_gap),
            }


def reached_rewards(rewards, table, grid):
    """Reward of a method at each spend of the grid, linear between its own spends."""
    scores = [expected_reward_score(rewards, budgets) for budgets in table]
    return np.interp(grid, table.mean(axis=1), scores)


def least_spend(reward, reached, grid):
    """The least spend at which a method reaches a reward, NaN if it never does."""
    highest = np.maximum.accumulate(reached)
    return np.interp(reward, highest, grid, right=np.nan)


def regressor_methods(outcomes):
    """The targets, each with its allocator; the last one is the package's default."""
    options = {"min_budget": outcomes.min_budget, "random_state": 0}
    vector = MLPRewardRegressor("marginal_rewards", random_state=0)
    methods = {
        "binned": BinnedAllocator(**options),
        "marginal rewards": AdaptiveAllocator(vector, **options),
    }
    if np.isin(outcomes.rewards, [0, 1]).all():
        plug_in = MLPRewardRegressor("success_rate", random_state=0)
        methods["plug-in rate"] = AdaptiveAllocator(plug_in, **options)
        methods["rate distribution"] = AdaptiveAllocator(**options)
    return {
        name: make_pipeline("passthrough", method) for name, method in methods.items()
    }


def held_out_budgets(outcomes, X, methods, grid):
    """Budgets of every query from the fold that has not seen it: method -> (B, n)."""
    rewards = outcomes.rewards
    names = [*methods, "shuffled", "oracle"]
    budgets = {name: np.empty((len(grid), len(rewards)), dtype=int) for name in names}
    rng = np.random.default_rng(0)
    last = budgets[list(methods)[-1]]
    for train, test in two_folds(outcomes.texts):
        for name, method in methods.items():
            method.fit(_safe_indexing(X, train), rewards[train])
            held_out = method[:-1].transform(_safe_indexing(X, test))
            for i, budget in enumerate(grid):
                method[-1].set_params(budget=budget)
                budgets[name][i, test] = method[-1].predict(held_out)
        for i, budget in enumerate(grid):
            budgets["shuffled"][i, test] = rng.permutation(last[i, test])
            budgets["oracle"][i, test] = oracle_budgets(
                rewards[test], budget, min_budget=outcomes.min_budget
            )
    return budgets


def furthest_below_uniform(rows):
    """The budget at which each method does worst, and the worst significant loss."""
    worst = {}
    for row in rows:
        key = row["set"], row["features"], row["method"]
        seen = worst.setdefault(key, {"gain": np.inf, "n_significant": 0})
        seen["n_significant"] += row["high"] < 0
        if row["gain"] < seen["gain"]:
            seen.update(gain=row["gain"], budget=row["budget"], high=row["high"])
    names = ("set", "features", "method")
    return [dict(zip(names, key, strict=True)) | seen for key, seen in worst.items()]


def routing_rows(outcomes):
    """One row per router for one set."""
    words = make_pipeline(TfidfVectorizer(), RewardRegressor(Ridge()))
    routers = {
        "length": (outcomes.features["length"], RewardRegressor(Ridge())),
        "TF-IDF + Ridge": (outcomes.texts, words),
    }
    for name, X in outcomes.features.items():
        routers[f"MLP on {name}"] = (X, MLPRewardRegressor(random_state=0))
    return list(router_rows(outcomes, routers))


def router_rows(outcomes, routers):
    """RouteLLM's figures for routers, name -> (X, regressor), on held-out queries."""
    rewards = outcomes.rewards
    weak, strong = rewards[:, 0, 0], rewards[:, 1, 0]
    scores = {"random": np.zeros(len(rewards)), "oracle": strong - weak}
    for name, (X, regressor) in routers.items():
        scores[name] = np.empty(len(rewards))
        for train, test in two_folds(outcomes.texts):
            regressor.fit(_safe_indexing(X, train), rewards[train])
            scores[name][test] = regressor.predict(_safe_indexing(X, test))
    for name, score in scores.items():
        yield {
            "set": outcomes.name,
            "router": name,
            "weak": float(weak.mean()),
            "strong": float(strong.mean()),
            "APGR": average_gap_recovered(rewards, score),
            "CPT(50%)": cost_to_recover(rewards, score, share=0.5),
            "CPT(80%)": cost_to_recover(rewards, score, share=0.8),
            "APGR exact": average_gap_recovered(rewards, score, n_thresholds=None),
        }


def plot(rows, path):
    """Gain over uniform against spend: a panel per set, with its first features."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = dict(reversed([(row["set"], row["features"]) for row in rows]))
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.5), layout="constrained")
    panels = zip(axes.flat, reversed(panels.items()), strict=False)
    for ax, (name, features) in panels:
        for method, color in COLORS.items():
            line = [
                (row["spend"], row["gain"], row["low"], row["high"])
                for row in rows
                if (row["set"], row["features"]) == (name, features)
                and row["method"] == method
            ]
            if line:
                spend, gain, low, high = np.array(line).T
                ax.plot(spend, gain, color=color, label=method)
                ax.fill_between(spend, low, high, color=color, alpha=0.15, linewidth=0)
        ax.axhline(0, color="0.4", linewidth=0.8)
        ax.set_xscale("log", base=2)
        ax.set_title(f"{name.removeprefix('math5000/')}\n{features}", fontsize=10)
    axes[0, 0].legend(fontsize=8, frameon=False)
    figure.supxlabel("mean samples per query")
    figure.supylabel("expected reward above uniform at equal spend (95 % band)")
    figure.savefig(path, dpi=110)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
