"""The front page's picture, from the table that `benchmarks.quality.sequential` wrote.

    python -m benchmarks.quality.picture

Success against samples for three models on MATH. Draws only: it measures nothing.
Writes `savings.png`.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from benchmarks.report import RESULTS

MODELS = {
    "math5000/qwen2_1p5b_instruct_t0p6": "Qwen2-1.5B-Instruct",
    "math5000/qwen2p5_math_1p5b_t1p0": "Qwen2.5-Math-1.5B",
    "math5000/qwen2p5_7b_instruct_t1p0": "Qwen2.5-7B-Instruct",
}
# Colours that stay apart for the colour-blind and in grey.
POLICIES = {
    "4 rounds": ("in 4 rounds, verdicts seen", "#d55e00", "-"),
    "no features, 4 rounds": ("the same, nothing known before", "#d55e00", ":"),
    "one-shot": ("decided up front", "#0072b2", "-"),
}
EQUAL = {"label": "equal budgets", "color": "0.45", "linestyle": "--"}
MARKED = 8  # equal budget whose saving is marked
LARGEST = 32


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS / "quality")
    results = parser.parse_args().results
    with open(results / "sequential.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    draw(rows, results / "savings.png")


def draw(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.7), layout="constrained")
    for ax, (name, title) in zip(axes, MODELS.items(), strict=True):
        for policy, (label, color, style) in POLICIES.items():
            spend, uniform, gain, low, high = columns(
                rows, name, policy, ["spend", "uniform", "gain", "low", "high"]
            )
            ax.plot(spend, uniform + gain, style, color=color, label=label)
            ax.fill_between(
                spend, uniform + low, uniform + high, color=color, alpha=0.2, lw=0
            )
        ax.plot(*columns(rows, name, "one-shot", ["spend", "uniform"]), **EQUAL)
        mark_saving(ax, rows, name)
        ax.set_xscale("log", base=2)
        ax.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
        ax.set_xlim(1, LARGEST)
        ax.set_title(title, fontsize=11)
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of problems solved")
    figure.supxlabel("mean samples per query", fontsize="medium")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")


def mark_saving(ax, rows, name):
    """Arrow from equal budgets to four rounds at the same success, with its length."""
    spend, uniform = columns(rows, name, "one-shot", ["spend", "uniform"])
    height = np.interp(MARKED, spend, uniform)
    budgets, shares = columns(rows, name, "4 rounds", ["budget", "saved"])
    saved = shares[budgets == MARKED][0]
    color = POLICIES["4 rounds"][1]
    arrow = {"arrowstyle": "->", "color": color, "shrinkA": 0, "shrinkB": 0}
    ends = {"xy": (MARKED * (1 - saved), height), "xytext": (MARKED, height)}
    ax.annotate("", **ends, arrowprops=arrow)
    label = f"−{saved:.0%} samples"
    ax.text(1.15 * MARKED, height, label, color=color, fontsize=9, va="top")


def columns(rows, name, policy, names):
    """Columns of one line over the budgets drawn, (len(names), n_budgets)."""
    chosen = [
        [float(row[column]) for column in names]
        for row in rows
        if (row["set"], row["policy"]) == (name, policy)
        and 1 <= float(row["budget"]) <= LARGEST
    ]
    return np.array(chosen).T


if __name__ == "__main__":
    main()
