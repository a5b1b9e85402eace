"""From text to graded answers: what the table promised, and what decoding delivers.

    python -m benchmarks.quality.end_to_end [--budget 4] [--output DIR]

The test queries of the embedded math and code tasks are read, given budgets, answered
by the embedded LM and graded, all live. `promised` is the replay of the same policy on
the graded table, `z` how many standard errors of the live mean lie between the two;
`uniform` is what uniform allocation is expected to reach at the spend of the policy.
Features come from the sampler's own pass over the prompts. Writes `end_to_end.csv`.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    HiddenStateFeaturizer,
    MLPRewardRegressor,
    SequentialAllocator,
)
from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
from sklearn_adaalloc.decoding import BestOfK
from sklearn_adaalloc.metrics import expected_reward_score
from sklearn_adaalloc.sampling import TransformersSampler


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=4)
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    rows = [row for task in ("math", "code") for row in task_rows(task, options.budget)]
    print_table(rows)
    write_csv(rows, options.output / "end_to_end.csv")


def task_rows(task, budget):
    """Yield one row per policy."""
    data = load_arithmetic(task)
    featurizer = HiddenStateFeaturizer().fit(data.queries_train)
    X = featurizer.transform(data.queries_train)
    regressor = FrozenEstimator(
        MLPRewardRegressor(random_state=0).fit(X, data.rewards_train)
    )
    # A seed of its own: the answers are not those of the table.
    sampler = TransformersSampler(max_new_tokens=24, random_state=1)
    for name, allocator in {
        "online": AdaptiveAllocator(regressor, budget=budget),
        "offline": BinnedAllocator(regressor, budget=budget, random_state=0),
        "4 rounds": SequentialAllocator(regressor, budget=budget),
        "one by one": SequentialAllocator(regressor, budget=budget, n_rounds=None),
    }.items():
        policy = make_pipeline(featurizer, allocator.fit(X, data.rewards_train))
        decoded = BestOfK(policy, sampler, grade_arithmetic).decode(data.queries_test)
        solved = np.nan_to_num(decoded.rewards)
        promised = policy.score(data.queries_test, data.rewards_test)
        error = solved.std() / np.sqrt(len(solved))
        spend = decoded.budgets.mean()
        yield {
            "task": task,
            "policy": name,
            "budget": budget,
            "spend": float(spend),
            "delivered": float(solved.mean()),
            "promised": promised,
            "z": float((solved.mean() - promised) / error),
            "uniform": expected_reward_score(data.rewards_test, spend),
            "rounds": decoded.rounds_taken,
            "prompt_tokens": int(decoded.usage.prompt.sum()),
            "answer_tokens": int(sum(row.sum() for row in decoded.usage.answers)),
        }


if __name__ == "__main__":
    main()
