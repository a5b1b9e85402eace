"""Demonstration of the package: from texts to budgets, a table and plots."""

import joblib
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch
from tqdm import tqdm

from sklearn_adaalloc.allocators import AdaptiveAllocator, BinnedAllocator
from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
from sklearn_adaalloc.features import HiddenStateFeaturizer
from sklearn_adaalloc.metrics import (
    AllocationDisplay,
    BudgetCurveDisplay,
    RewardCalibrationDisplay,
    SuccessRateDisplay,
    compute_saved,
    expected_reward_score,
    oracle_budgets,
    paired_difference,
)
from sklearn_adaalloc.sampling import TransformersSampler

# Mean budgets in the printed table. In routing, shares of queries for the strong model.
BUDGETS = {
    "math": (2, 4, 8, 16),
    "code": (2, 4, 8, 16),
    "chat": (2, 4, 8),
    "routing": (0.25, 0.5, 0.75),
}
# File name, display, and the tasks for which the display is not useful.
PICTURES = (
    ("success_rates.png", SuccessRateDisplay, ("chat", "routing")),
    ("calibration.png", RewardCalibrationDisplay, ()),
    ("budget_curves.png", BudgetCurveDisplay, ()),
    ("allocation.png", AllocationDisplay, ("routing",)),
)
LIVE_QUERIES, LIVE_BUDGET = 12, 4
NEXT_STEPS = """\
Your own model and table:

    policy = make_pipeline(
        HiddenStateFeaturizer("Qwen/Qwen2.5-0.5B"),  # a name on the hub or a folder
        AdaptiveAllocator(budget=8),
    )
    policy.fit(queries, rewards)          # rewards: (n_queries, n_samples), graded once
    budgets = policy.predict(new_queries) # samples for each, at most 8 on average

Rewards are 0/1 or real numbers; NaN marks a sample that you do not have."""


def demonstrate(output, seed):
    """Run the demonstration.

    Parameters
    ----------
    output : path
        Folder for pictures and a policy; made if it does not exist.
    seed : int
        Seed of everything.
    """
    output.mkdir(parents=True, exist_ok=True)
    fitted = {}
    with tqdm(
        total=2 * len(BUDGETS), desc="hidden states and policies", disable=None
    ) as progress:
        featurizer = HiddenStateFeaturizer("embedded")
        for task in BUDGETS:
            fitted[task] = fit_task(task, featurizer, seed, progress)
    for task, policies in fitted.items():
        print_table(task, table_rows(policies, BUDGETS[task]))
    draw_pictures(fitted, output)
    path = output / "policy.joblib"
    joblib.dump(make_pipeline(featurizer, fitted["math"].online), path)
    print(f"Pictures and the policy for math are in {output}/.\n")
    answer_live(joblib.load(path), seed)
    print(f"\n{NEXT_STEPS}")


def fit_task(task, featurizer, seed, progress):
    """Compute features, fit both policies, and return them with the test data."""
    data = load_arithmetic(task)
    X_train = featurizer.fit_transform(data.queries_train)
    X_test = featurizer.transform(data.queries_test)
    progress.update()
    options = {"min_budget": int(task == "chat"), "random_state": seed}
    options["budget"] = min(BUDGETS[task])
    online = AdaptiveAllocator(**options).fit(X_train, data.rewards_train)
    offline = BinnedAllocator(**options).fit(X_train, data.rewards_train)
    progress.update()
    return Bunch(X=X_test, rewards=data.rewards_test, online=online, offline=offline)


def table_rows(fitted, budgets):
    """Yield one row per budget: uniform, online, offline and oracle on test queries."""
    rewards = fitted.rewards
    marginals = fitted.online.predict_marginals(fitted.X)
    min_budget = fitted.online.min_budget
    for budget in budgets:
        online = fitted.online.set_params(budget=budget).predict(fitted.X)
        offline = fitted.offline.set_params(budget=budget).predict(fitted.X)
        oracle = oracle_budgets(rewards, budget, min_budget=min_budget)
        gain = paired_difference(rewards, online, online.mean(), random_state=0)
        saved = compute_saved(rewards, marginals, budget, min_budget=min_budget)
        yield {
            "B": f"{budget:g}",
            "uniform": f"{expected_reward_score(rewards, budget):.3f}",
            "online": f"{expected_reward_score(rewards, online):.3f}",
            "spend": f"{online.mean():.2f}",
            "gain (95 %)": "{:+.3f} [{:+.3f}, {:+.3f}]".format(*gain[:3]),
            "saved": f"{saved:.0%}",
            "offline": f"{expected_reward_score(rewards, offline):.3f}",
            "its spend": f"{offline.mean():.2f}",
            "oracle": f"{expected_reward_score(rewards, oracle):.3f}",
        }


def print_table(task, rows):
    """Print dicts as aligned columns under the name of the task."""
    rows = list(rows)
    lines = [list(rows[0])] + [list(row.values()) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n{task}: {HEADINGS[task]}")
    for line in lines:
        cells = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print("  " + "  ".join(cells))


HEADINGS = {
    "math": "expected success rate at a mean of B samples per query",
    "code": "expected success rate at a mean of B samples per query",
    "chat": "expected reward of the best answer, at a mean of B answers per query and "
    "at least one",
    "routing": "expected success rate if a share B of the queries goes to the strong "
    "model (uniform: a random share)",
}


def draw_pictures(fitted, folder):
    """Save plots of difficulty, calibration, reward against compute, and allocation."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for name, display, left_out in PICTURES:
        tasks = [task for task in fitted if task not in left_out]
        size = (4.5 * len(tasks), 3.8)
        figure, axes = plt.subplots(
            1, len(tasks), figsize=size, layout="constrained", squeeze=False
        )
        for ax, task in zip(axes.flat, tasks, strict=True):
            own = fitted[task]
            options = {"ax": ax}
            if display in (BudgetCurveDisplay, AllocationDisplay):
                options["min_budget"] = own.online.min_budget
            display.from_estimator(own.online, own.X, own.rewards, **options)
            ax.set_title(task)
        figure.savefig(folder / name, dpi=110)
        plt.close(figure)


def answer_live(policy, seed):
    """Answer twelve queries with the budgets of the policy and with equal budgets."""
    data = load_arithmetic("math")
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(data.queries_test), LIVE_QUERIES, replace=False)
    queries = [data.queries_test[i] for i in chosen]
    policy.set_params(adaptiveallocator__budget=LIVE_BUDGET)
    budgets = policy.predict(queries)
    print(
        f"Live: {LIVE_QUERIES} queries that no policy has seen, {LIVE_BUDGET} samples"
    )
    print(
        f"each, or {budgets.sum()} of {LIVE_QUERIES * LIVE_BUDGET} where they help.\n"
    )
    sampler = TransformersSampler("embedded", max_new_tokens=24, random_state=seed)
    answers = sampler.sample(queries, np.maximum(budgets, LIVE_BUDGET))
    solved = np.zeros((2, LIVE_QUERIES), dtype=bool)
    for i, grades in enumerate(grade_arithmetic(queries, answers)):
        solved[:, i] = grades[:LIVE_BUDGET].any(), grades[: budgets[i]].any()
    print(f"  {'query':24}  uniform          adaptive")
    for query, budget, (equal, adaptive) in zip(
        queries, budgets, solved.T, strict=True
    ):
        left = f"{LIVE_BUDGET:2d} samples {'✓' if equal else '✗'}"
        right = f"{budget:2d} samples {'✓' if adaptive else '✗'}"
        print(f"  {query:24}  {left}     {right}")
    print(f"  {'solved':24}  {solved[0].sum():12d}     {solved[1].sum():12d}")
