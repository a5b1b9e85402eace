"""Both models together on real outcomes: who answers, at what cost in tokens.

``python -m benchmarks.real_lm menu``. One sample at a time, with verdicts; the features
are hidden states of the smaller model. A mean budget of B buys B answers of the smaller
model. Costs are the tokens of the answers, or tokens times billions of parameters,
which is what a machine computes. The methods and columns are those of
``benchmarks.quality.menus``: `gain` is that of the menu over the method that the row
names, at equal cost. `saved` is the share of that cost which the menu would not have
needed to be as good; nothing where it is not. Writes ``results/real_lm/menu.csv``.
"""

import numpy as np

from benchmarks.quality.menus import sequence_rows
from benchmarks.real_lm.experiments import PARTS, load_menu
from benchmarks.report import print_table, write_csv
from sklearn_adaalloc.metrics._policy_curves import BudgetCurve, first_crossing

BUDGETS = (2, 4, 8)
GRID = (0.5, 1, 1.5, 2, 3, 4, 6, 8)  # to read off what is saved
N_PLAYS = 4000  # queries times orders of their samples, at least


def measure(name, data, limit=None, n_plays=N_PLAYS):
    """Yield one row per unit, method and budget of a set."""
    for unit, per_parameter in (("tokens", False), ("tokens x parameters", True)):
        menu = load_menu(name, data, limit, per_parameter=per_parameter)
        answer = menu.table.costs[menu.folds[0][0], 0].mean()  # of the smaller model
        n_tested = sum(len(test) for _, test in menu.folds)
        rows = sequence_rows(
            name,
            menu.table,
            menu.X.astype("float32"),
            menu.folds,
            np.multiply(GRID, answer),
            -(-n_plays // n_tested),
            feature_names="hidden states",
        )
        points = [(r["spend"], r["reward"]) for r in rows if r["method"] == "menu"]
        curve = BudgetCurve(*np.array(points).T)
        for row in rows:
            answers = row["budget"] / answer
            if np.isclose(answers, BUDGETS).any():
                saved = 1 - first_crossing(curve, row["reward"]) / row["spend"]
                row["saved"] = "" if np.isnan(saved) else float(saved)
                shared = {"set": row.pop("set"), "cost": unit}
                yield shared | {"answers": round(answers)} | row


def run(data, output, limit=None, n_plays=N_PLAYS):
    """Print the table and write it."""
    rows = [row for name in PARTS for row in measure(name, data, limit, n_plays)]
    print_table(rows)
    write_csv(rows, output / "menu.csv")
