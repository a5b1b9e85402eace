"""Budgets in tokens on real answers: what is spent of them, and what they earn.

    python -m benchmarks.quality.costs [--data DIR] [--draws N]

Four reasoning models on MATH-500. Tokens of each answer are its cost; samples without a
count of tokens are left out. Features are three probes of small models that read the
same problems. Two-fold: fitted on one half of the problems, played on the other, both
ways, in several seeded orders of each problem's samples. A budget is a multiple of the
mean tokens of an answer in the half to learn from. Nearly all problems are solved by
their first or second answer, so that in rounds larger budgets cannot be spent.

Writes `benchmarks/results/quality/costs.csv`: `share` is the realised mean tokens
divided by the budget, `lowest` and `highest` that of single batches of 250 problems,
`above` how many of all `batches` cost more than the budget. `by_samples` is the reward
of the same policy with its budget in samples at the same tokens, and `gain` the
difference. The row `all models` has the means.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch

from benchmarks.quality.outcome_sets import MATH_MODELS, add_data_option, two_folds
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import (
    AdaptiveAllocator,
    MLPRewardRegressor,
    RewardTable,
    SequentialAllocator,
)
from sklearn_adaalloc.allocators._session import replay
from sklearn_adaalloc.curves._reward_curves import expected_rewards

POLICIES = {
    "one-shot": (AdaptiveAllocator, {}, (0.5, 1.0, 2.0)),
    "4 rounds": (SequentialAllocator, {"n_rounds": 4}, (0.5, 0.75, 1.0)),
    "one by one": (SequentialAllocator, {"n_rounds": None}, (0.5, 0.75, 1.0)),
}
RATIOS = np.geomspace(0.5, 2.0, 13)  # budgets in samples that are played, relative


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--draws", type=int, default=6, help="orders of the samples")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    rows = []
    for outcomes in token_sets(options.data):
        worlds = list(fitted_folds(outcomes, options.draws))
        new = [
            policy_row(outcomes, worlds, name, multiple)
            for name, (_, _, multiples) in POLICIES.items()
            for multiple in multiples
        ]
        print_table(new)
        rows += new
    rows += mean_rows(rows)
    print_table([row for row in rows if row["set"] == "all models"])
    write_csv(rows, options.output / "costs.csv")


def token_sets(data):
    """Yield rewards and tokens of each model, with the probes as features."""
    folder = data / "votes/math500"
    with open(folder / "queries.jsonl", encoding="utf-8") as lines:
        queries = [json.loads(line) for line in lines]
    rows = [query["math5000_row"] for query in queries]
    probes = [
        np.load(data / f"math5000/{model}.npz")["probe_prediction"][rows]
        for model in MATH_MODELS
    ]
    for path in sorted(folder.glob("*.npz")):
        arrays = np.load(path)
        counted = arrays["tokens"] > 0
        yield Bunch(
            name=path.stem,
            X=np.column_stack(probes).astype(np.float64),
            rewards=np.where(counted, arrays["rewards"], np.nan),
            tokens=np.where(counted, arrays["tokens"], np.nan),
            texts=[query["text"] for query in queries],
        )


def fitted_folds(outcomes, n_draws):
    """One world per fold: fitted policies of both units, and tables in some orders."""
    for fold, (train, test) in enumerate(two_folds(outcomes.texts)):
        X, tokens = outcomes.X, outcomes.tokens
        table = RewardTable(outcomes.rewards[train], costs=tokens[train])
        regressor = MLPRewardRegressor(random_state=0).fit(X[train], table)
        frozen = FrozenEstimator(regressor)
        policies = {
            (name, unit): allocator(frozen, unit=unit, **parameters).fit(
                X[train], table
            )
            for name, (allocator, parameters, _) in POLICIES.items()
            for unit in ("samples", "cost")
        }
        rng = np.random.default_rng(fold)
        orders = [
            np.argsort(rng.random((len(test), tokens.shape[1])), axis=1)
            for _ in range(n_draws)
        ]
        yield Bunch(
            X=X[test],
            rewards=outcomes.rewards[test],
            tokens=tokens[test],
            policies=policies,
            orders=orders,
            mean_tokens=float(np.nanmean(tokens[train])),
        )


def play(world, policy):
    """Mean reward and mean tokens of each batch: one per order of the samples."""
    if not isinstance(policy, SequentialAllocator):
        budgets = policy.predict(world.X)
        tokens = (budgets * np.nanmean(world.tokens, axis=1)).mean()
        return np.array([[expected_rewards(world.rewards, budgets).mean(), tokens]])
    return np.array([play_rounds(world, policy, order) for order in world.orders])


def play_rounds(world, policy, order):
    rewards, tokens = (
        np.take_along_axis(array, order, axis=1)
        for array in (world.rewards, world.tokens)
    )
    session = policy.start(world.X)
    if policy.unit == "cost":
        replay(session, rewards, tokens)
        return session.best_rewards.mean(), session.costs.mean()
    replay(session, rewards)
    given = np.take_along_axis(  # missing samples last, as in the replay
        tokens, np.argsort(np.isnan(tokens), axis=1, kind="stable"), axis=1
    )
    taken = np.arange(given.shape[1]) < session.budgets[:, None]
    spent = np.where(taken, given, 0).sum(axis=1)
    return session.best_rewards.mean(), spent.mean()


def policy_row(outcomes, worlds, name, multiple):
    """What one policy spends and earns at one budget, over folds and orders."""
    shares, rewards, by_samples, budgets = [], [], [], []
    for world in worlds:
        budget = multiple * world.mean_tokens
        policy = world.policies[name, "cost"].set_params(budget=budget)
        reward, tokens = play(world, policy).T
        shares += (tokens / budget).tolist()
        rewards.append(reward.mean())
        by_samples.append(at_equal_tokens(world, name, multiple, tokens.mean()))
        budgets.append(budget)
    shares = np.array(shares)
    return {
        "set": outcomes.name,
        "policy": name,
        "multiple": multiple,
        "budget": float(np.mean(budgets)),
        "share": float(shares.mean()),
        "lowest": float(shares.min()),
        "highest": float(shares.max()),
        "above": int((shares > 1).sum()),
        "batches": len(shares),
        "reward": float(np.mean(rewards)),
        "by_samples": float(np.mean(by_samples)),
        "gain": float(np.mean(rewards) - np.mean(by_samples)),
    }


def at_equal_tokens(world, name, multiple, tokens):
    """Reward of the policy with its budget in samples, at the same mean tokens."""
    policy = world.policies[name, "samples"]
    played = []
    for budget in multiple * RATIOS:
        played.append(play(world, policy.set_params(budget=budget)).mean(axis=0))
        if played[-1][1] > tokens:
            break
    reward, spent = np.array(played).T
    return np.interp(tokens, spent, reward)


def mean_rows(rows):
    """The mean over models, for each policy and multiple."""
    for key in dict.fromkeys((row["policy"], row["multiple"]) for row in rows):
        same = [row for row in rows if (row["policy"], row["multiple"]) == key]
        means = {
            name: float(np.mean([row[name] for row in same]))
            for name in ("budget", "share", "reward", "by_samples", "gain")
        }
        yield {
            **dict.fromkeys(same[0], ""),
            "set": "all models",
            "policy": key[0],
            "multiple": key[1],
            **means,
            "lowest": min(row["lowest"] for row in same),
            "highest": max(row["highest"] for row in same),
            "above": sum(row["above"] for row in same),
            "batches": sum(row["batches"] for row in same),
        }


if __name__ == "__main__":
    main()
