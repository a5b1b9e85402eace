"""Streams that change half-way: what becomes of the budget and of success.

    python -m benchmarks.quality.stream_drift [--data DIR]

On the MATH sets with their probe as the feature: a `StreamAllocator` with default
parameters is fitted on one half of the queries, and the other half arrives one query
after another. Five things happen to the stream:

- "harder" and "easier": in one half of the stream, three of four queries have a success
  rate above the median; in the other half, one of four;
- "slowly harder": the same shares change little by little;
- "model swapped": in the second half, another model answers, of which the policy knows
  nothing: that of the next set;
- "verifier lies": in the second half, it flips one verdict in five.

Writes to `benchmarks/results/quality`

- `stream_drift.csv`: `whole` is what the stream spent too much. `window` is the largest
  deviation in any 500 successive queries that begin 300 or more after the start or the
  change. Both are relative to the budget. `success` is that of the whole stream, with
  its standard error, and `second` that of its second half. `p queries` and `p answers`
  are p-values of the drift report at the end. `joint` and `joint second` are the
  success of `SequentialAllocator(n_rounds=None)` on each half as a batch, with the same
  budget. `fixed` is what chance alone gives: the median of `window` over orders of the
  queries of a half, at the fixed price that spends the budget on it. `most` is what the
  half that takes less can spend at all, by the budget;
- `stream_drift.png`: price, spend and success over the stream, of one set.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.quality.outcome_sets import add_data_option, best_of_k_sets
from benchmarks.quality.stream import fitted_folds
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc.planning._success import next_chances

WINDOW, SETTLING = 500, 300
POLICIES = {  # parameters of the stream, and how it is drawn, the last on top
    "fixed price": ({"correct": False, "adapt": False}, {"color": "0.6"}),
    "no correction": ({"correct": False}, {"color": "#0072b2", "linewidth": 2.5}),
    "stream": ({}, {"color": "#d55e00", "linewidth": 1.0}),
}
CHANGES = ("harder", "easier", "slowly harder", "model swapped", "verifier lies")
BUDGETS = (2, 4)
RUNS = [(BUDGETS[0], "stream"), *((BUDGETS[1], policy) for policy in POLICIES)]
LIES = 0.2
DRAWN = "math5000/qwen2p5_math_1p5b_t1p0"
SMOOTHED = 250  # queries of a moving average


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    sets = [each for each in best_of_k_sets(options.data) if "probe" in each.features]
    folds = {each.name: next(fitted_folds(each)) for each in sets}
    rows = []
    for name in folds:
        part, played = set_rows(name, folds)
        rows += part
        write_csv(rows, options.output / "stream_drift.csv")
        if name == DRAWN:
            draw(played, options.output / "stream_drift.png")
    print_table(rows)


def set_rows(name, folds):
    """Rows of the table for one set, and what its streams did at the last budget."""
    names = list(folds)
    fold = folds[name]
    other = folds[names[(names.index(name) + 1) % len(names)]][3]
    rows, drawn = [], {}
    for change in CHANGES:
        X, right, told = changed(change, fold, other)
        known = {
            budget: without_stream(fold, X, right, told, budget) for budget in BUDGETS
        }
        for budget, policy in RUNS:
            played = play(fold[0], X, told, budget=budget, **POLICIES[policy][0])
            played["solved"] = solves(right, told, played["budgets"])
            drawn[change, policy] = played
            row = {"set": name, "change": change, "budget": budget, "policy": policy}
            rows.append(row | measures(change, budget, played) | known[budget])
        print(f"{name}: {change}")
    return rows, drawn


def changed(change, fold, other):
    """Features, true rewards and verdicts of a stream that changes half-way."""
    _, _, X, rewards = fold
    rng = np.random.default_rng(0)
    order = np.argsort(-rewards.mean(axis=1), kind="stable")
    above, below = (rng.permutation(half) for half in np.array_split(order, 2))
    few = len(order) // 8
    easy = rng.permutation(np.concatenate([above[few:], below[:few]]))
    hard = rng.permutation(np.concatenate([below[few:], above[:few]]))
    rows = {
        "harder": np.concatenate([easy, hard]),
        "easier": np.concatenate([hard, easy]),
        "slowly harder": slowly(easy, hard, rng),
    }.get(change, rng.permutation(len(order)))
    right = rewards[rows].copy()
    second = slice(len(rows) // 2, None)
    if change == "model swapped":
        right[second] = other[rows][second]
    told = right.copy()
    if change == "verifier lies":
        lies = rng.random(right[second].shape) < LIES
        told[second] = np.where(lies, 1 - right[second], right[second])
    return X[rows], right, told


def slowly(easy, hard, rng):
    """Rows of which ever more are from `hard`."""
    places = np.arange(len(easy) + len(hard)) / (len(easy) + len(hard))
    is_late = np.concatenate([np.zeros(len(easy)), np.ones(len(hard))])
    # A query of the late kind has a place with a density that rises linearly.
    uniform = rng.permutation(places)
    places = np.where(is_late == 1, np.sqrt(uniform), 1 - np.sqrt(1 - uniform))
    return np.concatenate([easy, hard])[np.argsort(places, kind="stable")]


def play(policy, X, told, **params):
    """Samples of each query (n_queries,), prices, and p-values at the end."""
    policy.set_params(**({"correct": True, "adapt": True, "n_rounds": None} | params))
    budgets, prices = np.zeros(len(X), dtype=int), np.zeros(len(X))
    with policy.open() as stream:
        for row, verdicts in enumerate(told):
            prices[row] = stream.price
            with stream.start(X[row : row + 1]) as session:
                while (asked := session.ask()) is not None:
                    taken = int(session.budgets[0])
                    session.tell([verdicts[taken : taken + asked[0]]])
            budgets[row] = session.budgets[0]
        report = stream.drift_report()
    return {"budgets": budgets, "prices": prices, "report": report}


def solves(right, told, budgets):
    """Whether the answer taken is right: the first that is told to be right."""
    taken = np.arange(told.shape[1]) < budgets[:, None]
    chosen = np.where(taken, told, 0).argmax(axis=1)
    rows = np.arange(len(told))
    is_told = taken[rows, chosen] & (told[rows, chosen] == 1)
    return np.where(is_told, right[rows, chosen], 0)


def measures(change, budget, played):
    """What a row of the table says of a stream."""
    budgets, solved, report = (played[key] for key in ("budgets", "solved", "report"))
    half = len(budgets) // 2
    parts = [budgets] if change == "slowly harder" else np.split(budgets, [half])
    return {
        "whole": float(budgets.mean() / budget - 1),
        "window": max(worst_window(part[SETTLING:], budget) for part in parts),
        "success": float(solved.mean()),
        "error": float(solved.std() / np.sqrt(len(solved))),
        "second": float(solved[half:].mean()),
        "p queries": report.queries_p_value,
        "p answers": report.answers_p_value,
    }


def without_stream(fold, X, right, told, budget):
    """What batches and fixed prices do on each half."""
    stream, joint = fold[:2]
    joint.set_params(budget=budget, n_rounds=None)
    batches, most, fixed = [], [], []
    for half in np.array_split(np.arange(len(X)), 2):
        budgets = joint._replay(X[half], told[half]).budgets
        batches.append(float(solves(right[half], told[half], budgets).mean()))
        spends = spends_at_prices(stream, X[half], told[half])
        most.append(float(spends[0].mean() / budget))
        fixed.append(chance(min(spends, key=lambda each: abs(each.mean() - budget))))
    return {
        "joint": float(np.mean(batches)),
        "joint second": batches[1],
        "fixed": max(fixed),
        "most": min(most),
    }


def spends_at_prices(policy, X, told):
    """Samples of each query (n_queries,) at each of many fixed prices from 0."""
    chances = next_chances(policy._predicted(X))
    first = np.where(told.any(axis=1), told.argmax(axis=1) + 1, told.shape[1])
    prices = np.r_[0.0, np.geomspace(1e-4, 1.0, 200)]
    return [np.minimum((chances > price).sum(axis=1), first) for price in prices]


def worst_window(budgets, budget):
    """Largest relative deviation of the mean of 500 successive queries."""
    means = np.convolve(budgets, np.full(WINDOW, 1 / WINDOW), mode="valid")
    return float(np.abs(means / budget - 1).max())


def chance(spends):
    """Median over orders of the worst window of spends that are on budget."""
    rng = np.random.default_rng(0)
    orders = (rng.permutation(spends)[SETTLING:] for _ in range(100))
    return float(np.median([worst_window(each, spends.mean()) for each in orders]))


def draw(drawn, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        3, len(CHANGES), figsize=(13, 6.5), sharex=True, sharey="row"
    )
    for column, change in zip(axes.T, CHANGES, strict=True):
        for policy, (_, style) in POLICIES.items():
            played = drawn[change, policy]
            end = np.arange(SMOOTHED, len(played["prices"]) + 1)
            lines = (
                played["prices"][SMOOTHED - 1 :],
                *(
                    np.convolve(played[part], np.full(SMOOTHED, 1 / SMOOTHED), "valid")
                    for part in ("budgets", "solved")
                ),
            )
            for ax, line in zip(column, lines, strict=True):
                ax.plot(end, line, label=policy, **style)
        for ax in column:
            if change != "slowly harder":
                ax.axvline(len(played["prices"]) / 2, color="0.4", linewidth=0.8)
            ax.spines[["top", "right"]].set_visible(False)
            ax.grid(alpha=0.25)
        column[0].set_title(change, fontsize=11)
        column[1].axhline(BUDGETS[-1], color="0.4", linestyle="--", linewidth=0.8)
    axes[0, 0].set_yscale("log")
    axes[0, 0].yaxis.set_minor_formatter("")
    labels = ("price", "samples per query", "share solved")
    for ax, label in zip(axes[:, 0], labels, strict=True):
        ax.set_ylabel(label)
    figure.supxlabel(f"queries (means of the last {SMOOTHED})", fontsize="medium")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper center", ncols=len(POLICIES), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
