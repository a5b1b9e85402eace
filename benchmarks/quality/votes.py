"""Votes in rounds on real answers: against equal votes and a stopping rule.

    python -m benchmarks.quality.votes [--data DIR] [--sets PART ...] [--draws N]
    python -m benchmarks.quality.votes --same equivalent --sets math500 --draws 2

The second counts answers that are the same in mathematics together.

Two-fold: fitted on one half of the queries, votes taken on the other, both ways, in
`--draws` seeded orders of the samples of every query. The policies are

- equal: as many votes on every query, exact;
- Beta rule: a query stops once its leader is the more frequent one of two with a
  probability of at least a threshold (Adaptive-Consistency). The threshold is the same
  for all queries and is chosen on the very queries that it is measured on, such that
  the votes come to the budget, two neighbouring ones being mixed;
- ours: `SequentialAllocator(selection="vote")`, one by one and in four rounds, with no
  features, with three probes and with MiniLM embeddings.

Writes to `benchmarks/results/quality` (with `_equivalent` in the names of the second)

- `votes.csv`: votes and tokens spent and the accuracy, with the difference from the
  Beta rule at the same budget and its 95 % interval over queries. The last rows are
  the means of all sets, and of those with features;
- `votes_saved.csv`: the fewest votes with which each policy is as accurate as 32 equal
  votes, and the tokens that they take.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from benchmarks.quality.outcome_sets import MATH_MODELS, add_data_option, two_folds
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import RewardRegressor, RewardTable, SequentialAllocator
from sklearn_adaalloc.curves import MostVotes, expected_rewards, reward_curves
from sklearn_adaalloc.planning._votes import lead_doubt
from sklearn_adaalloc.rewards import MathEquivalence

BUDGETS = (1.5, 2, 3, 4, 6, 8, 12)
MANY = 32
THRESHOLDS = np.unique(
    np.concatenate([np.linspace(0.5, 0.99, 99), 1 - np.geomspace(1e-2, 1e-9, 71)])
)
SAME = {  # when two answers are the same
    "exact": MostVotes(),
    "equivalent": MostVotes(key=MathEquivalence(n_jobs=1)),
}
POLICIES = {
    "ours": ("none", None),
    "ours, probes": ("probes", None),
    "ours, MiniLM": ("minilm", None),
    "ours, 4 rounds": ("none", 4),
    "ours, probes, 4 rounds": ("probes", 4),
}
BASELINES = ("equal", "Beta rule")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--sets", nargs="*", default=[""], help="parts of set names")
    parser.add_argument("--draws", type=int, default=4, help="orders of the samples")
    parser.add_argument("--same", default="exact", choices=list(SAME))
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    same, rows, saved, played = options.same, [], [], {}
    for polls in vote_sets(options.data, SAME[same]):
        if any(part in polls.name for part in options.sets):
            played[polls.name] = play_all(polls, options.draws)
            rows += result_rows(polls.name, same, [played[polls.name]])
            saved += saved_rows(polls, same, played[polls.name])
            print_table([row for row in rows if row["set"] == polls.name])
    featured = [name for name in played if "ours, probes" in played[name]]
    for name, part in (("mean of all sets", played), ("mean of MATH", featured)):
        if part:
            means = result_rows(name, same, [played[each] for each in part])
            print_table(means)
            rows += means
    print_table(saved)
    name = "votes" if same == "exact" else f"votes_{same}"
    write_csv(rows, options.output / f"{name}.csv")
    write_csv(saved, options.output / f"{name}_saved.csv")


# --- the sets --------------------------------------------------------------------


def vote_sets(data, rule):
    """Yield the sets: a table with answers and tokens, and features by name."""
    with open(data / "votes/math500/queries.jsonl", encoding="utf-8") as lines:
        math_rows = [json.loads(line)["math5000_row"] for line in lines]
    probes = [
        np.load(data / f"math5000/{model}.npz")["probe_prediction"][math_rows]
        for model in MATH_MODELS
    ]
    minilm = np.load(data / "math5000/minilm.npy")[math_rows].astype(np.float64)
    features = {"probes": np.stack(probes, axis=1), "minilm": minilm}
    for path in sorted((data / "votes").glob("*/*.npz")):
        arrays, n_queries = np.load(path), len(np.load(path)["answers"])
        table = RewardTable(
            arrays["rewards"].astype(np.float64),
            answers=read_answers(path, arrays["answers"]),
            costs=np.maximum(arrays["tokens"], 1).astype(np.float64),
        )
        own = features if path.parent.name == "math500" else {}
        yield Bunch(
            name=f"{path.parent.name}/{path.stem}",
            # Letters are equivalent only where they are equal.
            table=table.with_keys(rule.key) if own and rule.key else table,
            features={"none": np.zeros((n_queries, 1)), **own},
        )


def read_answers(path, codes):
    """Answers as they were written, where that is known, and None for none."""
    texts = path.with_suffix(".answers.json")
    if not texts.exists():
        return codes
    known = [row["answers"] for row in json.loads(texts.read_text("utf-8"))]
    answers = np.full(codes.shape, None, dtype=object)
    for row, column in np.argwhere(codes >= 0):
        answers[row, column] = known[row][codes[row, column]]
    return answers


# --- policies --------------------------------------------------------------------


def play_all(polls, n_draws):
    """Votes, tokens and accuracy by policy, each of shape (n_budgets, n_queries, 3)."""
    played = {"equal": play_equal(polls.table)}
    names = [name for name in POLICIES if POLICIES[name][0] in polls.features]
    for name in ("Beta rule", *names):
        played[name] = np.empty_like(played["equal"])
    for train, test in two_folds(range(len(polls.table))):
        rngs = map(np.random.default_rng, range(n_draws))
        tables = [shuffled(polls.table[test], rng) for rng in rngs]
        running = [run_of(table) for table in tables]
        played["Beta rule"][:, test] = play_beta(tables, running)
        for name in names:
            took = play_ours(polls, train, test, tables, *POLICIES[name])
            played[name][:, test] = mean_outcome(took, running)
    return played


def shuffled(table, rng):
    """The table with the samples of each query in another order."""
    order = np.argsort(rng.random(table.shape), axis=1)
    codes, rewards, costs = (
        np.take_along_axis(array, order, axis=1)
        for array in (table.codes, table.rewards, table.costs)
    )
    return RewardTable(rewards, answers=codes, costs=costs)


def play_equal(table, budgets=BUDGETS):
    """Equal votes, exact; fractional budgets mix two whole ones."""
    curves = reward_curves(table, int(max(budgets)), selection="vote")
    tokens = table.costs.mean(axis=1)
    return np.stack(
        [
            np.stack([np.full(len(table), b), b * tokens, at(curves, b)], axis=1)
            for b in budgets
        ]
    )


def at(curves, b):
    """Curves at a budget that may be fractional (n_queries,)."""
    low = int(b)
    high = min(low + 1, curves.shape[1] - 1)
    return curves[:, low] + (b - low) * (curves[:, high] - curves[:, low])


def run_of(table):
    """Votes, tokens and reward after each number of votes, (n + 1, n_queries, 3)."""
    n_queries, n_samples = table.shape
    runs = np.zeros((n_samples + 1, n_queries, 3))
    for n in range(1, n_samples + 1):
        budgets = np.full(n_queries, n)
        runs[n, :, 0] = n
        runs[n, :, 1] = table.costs[:, :n].sum(axis=1)
        runs[n, :, 2] = expected_rewards(table.head(budgets), budgets, selection="vote")
    return runs


def mean_outcome(took, running):
    """Mean over draws at the votes taken; `took` (n_draws, n_policies, n_queries)."""
    queries = np.arange(took.shape[-1])
    runs = zip(took, running, strict=True)
    return np.mean([run[votes, queries] for votes, run in runs], axis=0)


def play_ours(polls, train, test, tables, features, n_rounds, budgets=BUDGETS):
    """Votes taken (n_draws, n_budgets, n_queries)."""
    X = polls.features[features]
    policy = SequentialAllocator(
        difficulty_model(features), n_rounds=n_rounds, selection="vote"
    )
    policy.fit(X[train], polls.table[train])
    took = np.empty((len(tables), len(budgets), len(test)), dtype=np.int64)
    for k, budget in enumerate(budgets):
        policy.set_params(budget=budget)
        for draw, table in enumerate(tables):
            took[draw, k] = take_votes(policy.start(X[test]), table.codes)
    return took


def difficulty_model(features):
    """Ridge with a penalty chosen by leave-one-out; the mean without features."""
    if features == "none":
        return RewardRegressor(DummyRegressor(), selection="vote")
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.geomspace(1, 1e5, 11)))
    return RewardRegressor(ridge, selection="vote")


def take_votes(session, codes):
    """Samples that a session takes of each query, told its answers in row order."""
    while (budgets := session.ask()) is not None:
        rounds = zip(codes, session.budgets, budgets, strict=True)
        session.tell([row[b : b + n] for row, b, n in rounds])
    return session.budgets


def play_beta(tables, running, budgets=BUDGETS):
    """The Beta rule at every threshold, mixed such that the mean votes are a budget."""
    took = np.stack([stop_at_thresholds(table.codes).T for table in tables])
    runs = mean_outcome(took, running)
    spend = runs[:, :, 0].mean(axis=1)
    played = []
    for budget in budgets:
        high = int(np.searchsorted(spend, budget).clip(1, len(spend) - 1))
        share = (budget - spend[high - 1]) / max(spend[high] - spend[high - 1], 1e-12)
        share = np.clip(share, 0, 1)
        played.append((1 - share) * runs[high - 1] + share * runs[high])
    return np.stack(played)


def stop_at_thresholds(codes):
    """Votes at which the Beta rule stops (n_queries, n_thresholds)."""
    n_queries, n_samples = codes.shape
    counts = np.zeros((n_queries, max(codes.max() + 1, 2)), dtype=np.int64)
    certainty = np.empty((n_queries, n_samples))
    for column in range(n_samples):
        voting = np.flatnonzero(codes[:, column] >= 0)
        counts[voting, codes[voting, column]] += 1
        second, first = np.partition(counts, -2, axis=1)[:, -2:].T
        certainty[:, column] = 1 - lead_doubt(first, second)
    reached = np.maximum.accumulate(certainty, axis=1)
    stops = (reached[:, :, None] < THRESHOLDS).sum(axis=1) + 1
    return np.minimum(stops, n_samples)


# --- results ---------------------------------------------------------------------


def result_rows(name, same, sets):
    """One row per policy and budget: means over queries, then over sets."""
    rows = []
    for policy in (*BASELINES, *POLICIES):
        if not all(policy in played for played in sets):
            continue
        for k, budget in enumerate(BUDGETS):
            votes, tokens, accuracy = np.mean(
                [played[policy][k].mean(axis=0) for played in sets], axis=0
            )
            gains = [
                played[policy][k][:, 2] - played["Beta rule"][k][:, 2]
                for played in sets
            ]
            gain, low, high = mean_interval(gains)
            rows.append(
                {
                    "set": name,
                    "same": same,
                    "policy": policy,
                    "budget": float(budget),
                    "votes": float(votes),
                    "tokens": float(tokens),
                    "accuracy": float(accuracy),
                    "above_beta": gain,
                    "low": low,
                    "high": high,
                }
            )
    return rows


def mean_interval(sets, n_bootstrap=1000):
    """Mean over sets of means over queries, and its 95 % interval over queries."""
    rng = np.random.default_rng(0)
    means = np.mean(
        [
            gains[rng.integers(len(gains), size=(n_bootstrap, len(gains)))].mean(axis=1)
            for gains in sets
        ],
        axis=0,
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.mean([gains.mean() for gains in sets])), float(low), float(high)


def saved_rows(polls, same, played):
    """Fewest votes for the accuracy of many equal ones, between two budgets linear."""
    votes, tokens, goal = play_equal(polls.table, (MANY,))[0].mean(axis=0)
    for policy in (*BASELINES, *POLICIES):
        if policy not in played:
            continue
        least = least_spend(played[policy].mean(axis=1), goal)
        yield {
            "set": polls.name,
            "same": same,
            "policy": policy,
            "accuracy": float(goal),
            "votes": float(least[0]),
            "share_of_votes": float(least[0] / votes),
            "share_of_tokens": float(least[1] / tokens),
        }


def least_spend(reached, goal):
    """Votes and tokens at which the accuracy first reaches a goal; NaN if never.

    `reached` (n_budgets, 3) holds votes, tokens and the accuracy.
    """
    good = np.flatnonzero(reached[:, 2] >= goal)
    if good.size == 0:
        return np.full(2, np.nan)
    k = good[0]
    if k == 0:
        return reached[0, :2]
    below, above = reached[k - 1], reached[k]
    share = (goal - below[2]) / (above[2] - below[2])
    return (below + share * (above - below))[:2]


if __name__ == "__main__":
    main()
