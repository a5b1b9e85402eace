"""Whether `smallest_budget` keeps its promise, where the truth is known.

    python -m benchmarks.quality.smallest_budget [--repetitions 1000] [--output DIR]

In each of ten made worlds a policy is fitted once, on 1,000 queries. 100,000 others are
the population: their true success rates give the true reward of the policy at every
budget, and so the smallest budget that is enough. In each repetition, 2,000 queries of
the population and fresh rewards serve as calibration queries. `broken` is the share of
repetitions in which the true reward at the budget named is below the target, `error`
its standard error. `mean_excess` and `p90_excess` say by how much, as a share, that
budget exceeds the smallest that is enough; `within_15` is the share within 15 %.
Writes `smallest_budget.csv`.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge

from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import PricedAllocator, RewardRegressor
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import smallest_budget

N_WORLDS, N_FIT, N_POPULATION, N_CALIBRATION, N_SAMPLES = 10, 1000, 100_000, 2000, 16
# Name of a test, its options, and the target: a reward or samples of every query.
SETTINGS = [
    ("t-test", {}, "best-of-4"),
    ("t-test", {}, 0.6),
    ("betting", {"distribution_free": True}, "best-of-4"),
    ("betting", {"distribution_free": True}, 0.6),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    per_world = options.repetitions // N_WORLDS
    worlds = [results(seed, per_world) for seed in range(N_WORLDS)]
    rows = list(summaries(np.concatenate(worlds, axis=1)))
    print_table(rows)
    write_csv(rows, options.output / "smallest_budget.csv")


def results(seed, n_repetitions):
    """Budgets named and their truth, (n_settings, n_repetitions, 3).

    The last axis holds the true reward minus the target, the budget that was named and
    the smallest that is enough.
    """
    made = make_reward_table(
        N_FIT + N_POPULATION, N_SAMPLES, profile="math", random_state=seed
    )
    policy = PricedAllocator(RewardRegressor(Ridge()), random_state=0)
    policy = policy.fit(made.data[:N_FIT], made.rewards[:N_FIT])
    X, rates = made.data[N_FIT:], made.rates[N_FIT:]
    rng = np.random.default_rng(seed)
    found = np.empty((len(SETTINGS), n_repetitions, 3))
    targets = [true_target(target, rates) for _, _, target in SETTINGS]
    enough = [least_enough(policy, X, rates, target) for target in targets]
    for repetition in range(n_repetitions):
        rows = rng.choice(len(X), N_CALIBRATION, replace=False)
        graded = rng.random((N_CALIBRATION, N_SAMPLES)) < rates[rows, None]
        for setting, (_, options, reward) in enumerate(SETTINGS):
            result = smallest_budget(
                policy, X[rows], graded.astype(float), reward=reward, **options
            )
            truth = true_reward(policy, result.budget, X, rates)
            found[setting, repetition] = (
                truth - targets[setting],
                result.budget,
                enough[setting],
            )
    return found


def true_target(target, rates):
    """Reward that is asked for, over the whole population."""
    if isinstance(target, float):
        return target
    return float(np.mean(1 - (1 - rates) ** int(target.rpartition("-")[2])))


def true_reward(policy, budget, X, rates):
    """True reward of the policy at a mean budget; NaN if there is no such budget."""
    if np.isnan(budget):
        return np.nan
    budgets = policy.set_params(budget=budget).predict(X)
    return float(np.mean(1 - (1 - rates) ** budgets))


def least_enough(policy, X, rates, target):
    """Smallest budget whose true reward reaches the target, by bisection."""
    low, high = 0.0, float(N_SAMPLES)
    while high - low > 0.005:
        middle = (low + high) / 2
        reached = true_reward(policy, middle, X, rates) >= target
        low, high = (low, middle) if reached else (middle, high)
    return high


def summaries(found):
    """Yield one row per test and target."""
    for (test, _, target), (gain, named, enough) in zip(
        SETTINGS, found.transpose(0, 2, 1), strict=True
    ):
        broken = gain < 0
        excess = named / enough - 1
        yield {
            "test": test,
            "target": target,
            "repetitions": len(gain),
            "broken": float(broken.mean()),
            "error": float(broken.std() / np.sqrt(len(broken))),
            "unanswered": float(np.isnan(named).mean()),
            "enough": float(enough.mean()),
            "named": float(np.nanmean(named)),
            "mean_excess": float(np.nanmean(excess)),
            "p90_excess": float(np.nanquantile(excess, 0.9)),
            "within_15": float(np.mean(np.abs(excess) <= 0.15)),
        }


if __name__ == "__main__":
    main()
