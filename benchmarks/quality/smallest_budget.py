"""Whether `smallest_budget` keeps its promise, where the truth is known.

    python -m benchmarks.quality.smallest_budget [--repetitions 1000] [--output DIR]

In each of five made worlds a policy is fitted once, on 1,000 queries. 8,000 others are
the population. Their true success rates give the true reward of the policy at every
budget, and so the smallest budget that is enough. In each repetition, 2,000 queries are
drawn from the population, with replacement and with fresh rewards. `broken` is the
share of repetitions in which the true reward at the budget that is named is below the
target, `error` its standard error. `mean_excess` and `p90_excess` say by how much, as a
share, that budget exceeds the smallest that is enough; `within_15` is the share of
repetitions within 15 %. Writes `smallest_budget.csv`.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge

from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import PricedAllocator, RewardRegressor
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import smallest_budget

N_WORLDS, N_FIT, N_POPULATION, N_CALIBRATION, N_SAMPLES = 5, 1000, 8000, 2000, 16
BUDGETS = 4.5 / 1.03 ** np.arange(30)
TARGETS = ["best-of-4", 0.6]  # samples of every query, or a reward


class Decided(BaseEstimator):
    """A policy whose decisions are known: X holds rows of the population."""

    def __init__(self, decisions, budget=1.0):
        self.decisions = decisions
        self.budget = budget

    def predict(self, X):
        """Budgets of rows, as decided at the current mean budget."""
        return self.decisions[self.budget][X]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    n_repetitions = options.repetitions // N_WORLDS
    worlds = [repeat(seed, n_repetitions) for seed in range(N_WORLDS)]
    rows = list(summaries(np.concatenate(worlds, axis=1)))
    print_table(rows)
    write_csv(rows, options.output / "smallest_budget.csv")


def repeat(seed, n_repetitions):
    """Find budgets again and again, (n_targets, n_repetitions, 3).

    The last axis holds the budget that is named, the true reward there minus the
    target, and the smallest budget that is enough.
    """
    decided, rates = decide(seed)
    truth = {
        budget: float(np.mean(1 - (1 - rates) ** budgets))
        for budget, budgets in decided.decisions.items()
    }
    targets = [true_target(target, rates) for target in TARGETS]
    ascending = np.array(list(truth.values()))[::-1]
    enough = np.interp(targets, ascending, BUDGETS[::-1])
    rng = np.random.default_rng(seed)
    found = np.empty((len(TARGETS), n_repetitions, 3))
    for repetition in range(n_repetitions):
        rows = rng.integers(len(rates), size=N_CALIBRATION)
        rewards = rng.random((N_CALIBRATION, N_SAMPLES)) < rates[rows, None]
        for place, reward in enumerate(TARGETS):
            named = smallest_budget(
                decided, rows, rewards.astype(float), reward=reward, budgets=BUDGETS
            ).budget
            gain = truth.get(named, np.nan) - targets[place]
            found[place, repetition] = named, gain, enough[place]
    return found


def decide(seed):
    """Decisions of a fitted policy for a population, and the true success rates."""
    made = make_reward_table(N_FIT + N_POPULATION, N_SAMPLES, random_state=seed)
    policy = PricedAllocator(RewardRegressor(Ridge()), random_state=0)
    policy = policy.fit(made.data[:N_FIT], made.rewards[:N_FIT])
    decisions = {
        float(budget): policy.set_params(budget=budget).predict(made.data[N_FIT:])
        for budget in BUDGETS
    }
    return Decided(decisions), made.rates[N_FIT:]


def true_target(target, rates):
    """Reward that is asked for, over the whole population."""
    if isinstance(target, float):
        return target
    return float(np.mean(1 - (1 - rates) ** int(target.rpartition("-")[2])))


def summaries(found):
    """Yield one row per target."""
    columns = found.transpose(0, 2, 1)
    for target, (named, gain, enough) in zip(TARGETS, columns, strict=True):
        broken = gain < 0
        excess = named / enough - 1
        yield {
            "target": target,
            "repetitions": len(gain),
            "unanswered": int(np.isnan(named).sum()),
            "broken": float(broken.mean()),
            "error": float(broken.std() / np.sqrt(len(broken))),
            "enough": float(enough.mean()),
            "named": float(np.nanmean(named)),
            "mean_excess": float(np.nanmean(excess)),
            "p90_excess": float(np.nanquantile(excess, 0.9)),
            "within_15": float(np.mean(np.abs(excess) <= 0.15)),
        }


if __name__ == "__main__":
    main()
