"""Votes on real models without a verifier: GSM8K, final answers.

``python -m benchmarks.real_lm votes``. The most frequent answer is taken. Learnt on
GSM8K train, votes taken on GSM8K test, means over several orders of the samples. The
policies are those of ``benchmarks.quality.votes``: equal votes; the Beta rule
(Adaptive-Consistency) with its threshold chosen in hindsight; ours, with the hidden
states of the prompts or without features. `gain` is accuracy above equal votes, and
`over_beta` above the Beta rule, at the same budget, with 95 % intervals over problems;
`votes_saved` and `tokens_saved` are the shares that the accuracy of equal votes would
not have needed. Writes ``results/real_lm/votes.csv``.
"""

import numpy as np
from sklearn.utils import Bunch

from benchmarks.quality.votes import (
    mean_outcome,
    play_beta,
    play_equal,
    play_ours,
    run_of,
    shuffled,
)
from benchmarks.real_lm.experiments import load_experiment
from benchmarks.real_lm.outcomes import MODELS
from benchmarks.real_lm.savings import (
    bootstrap_weights,
    saved_shares,
    with_intervals,
)
from benchmarks.report import print_table, write_csv
from sklearn_adaalloc.metrics._bootstrap import difference_from_gains

BUDGETS = (2, 4, 8)
GRID = (1, 1.5, 2, 3, 4, 6, 8, 12)
POLICIES = {  # features, and rounds
    "one by one": ("hidden", None),
    "4 rounds": ("hidden", 4),
    "unlearned, one by one": ("none", None),
    "unlearned, 4 rounds": ("none", 4),
}


def measure(model, data, limit=None, n_draws=2):
    """Yield one row per policy and budget."""
    experiment = load_experiment("gsm8k", model, data, limit)
    ((train, test),) = experiment.folds
    polls = Bunch(
        table=experiment.table,
        features={
            "none": np.zeros((len(experiment.X), 1)),
            "hidden": np.float64(experiment.X),
        },
    )
    table = polls.table[test]
    grid = [b for b in GRID if b <= table.shape[1]]
    tables = [shuffled(table, np.random.default_rng(draw)) for draw in range(n_draws)]
    running = [run_of(each) for each in tables]
    played = {
        "equal": play_equal(table, grid),
        "Beta rule": play_beta(tables, running, grid),
    }
    for policy, (features, n_rounds) in POLICIES.items():
        took = play_ours(polls, train, test, tables, features, n_rounds, grid)
        played[policy] = mean_outcome(took, running)
    equal = play_equal(table, range(table.shape[1] + 1))
    weights = bootstrap_weights(len(table))
    equals = np.tensordot(weights, equal, axes=(1, 1))
    for policy, outcome in played.items():
        means = np.tensordot(weights, outcome, axes=(1, 1))
        for budget in BUDGETS:
            if budget >= table.shape[1]:
                continue
            votes, tokens, accuracy = outcome[grid.index(budget)].T
            row = {
                "set": "gsm8k",
                "model": model,
                "policy": policy,
                "budget": budget,
                "votes": float(votes.mean()),
                "tokens": float(tokens.mean()),
                "accuracy": float(accuracy.mean()),
            }
            for name, other in (("gain", "equal"), ("over_beta", "Beta rule")):
                against = played[other][grid.index(budget)][:, 2]
                above = difference_from_gains(accuracy - against, random_state=0)
                ends = (name, f"{name}_low", f"{name}_high")
                row |= dict(zip(ends, above[:3], strict=True))
            pairs = zip(means, equals, strict=True)
            saved = [saved_shares(*each, budget) for each in pairs]
            yield row | with_intervals(("votes_saved", "tokens_saved"), saved)


def run(data, output, limit=None, n_draws=2):
    """Print the table and write it."""
    rows = [row for model in MODELS for row in measure(model, data, limit, n_draws)]
    print_table(rows)
    write_csv(rows, output / "votes.csv")
