"""The rows of every table of one experiment."""

import numpy as np
from sklearn.frozen import FrozenEstimator

from benchmarks.paper.pipeline import (
    GivenMarginals,
    all_budgets,
    budget_grid,
    steps,
    test_rewards,
    test_rows,
)
from benchmarks.paper.settings import paper_share
from sklearn_adaalloc import SequentialAllocator
from sklearn_adaalloc.metrics import (
    AllocationDisplay,
    SuccessRateDisplay,
    calibration_table,
    expected_reward_interval,
    expected_reward_score,
    paired_difference,
    prediction_report,
)

N_BOOTSTRAP = 1000
N_ORDERS = 4  # in which the samples are played to the sequential policy
ROUNDS_GRID = (0.25, 0.5, 1, 2, 4, 8, 16, 32)


def table1_rows(setting, data, predictions):
    """Table 1: the loss of each predictor between average and optimum."""
    rewards, rows = test_rewards(data), test_rows(data)
    for target in setting.targets:
        report = prediction_report(rewards, predictions[target].native[rows])
        own = {
            "ours": report.ours,
            "avg": report.avg,
            "opt": report.opt,
            "acc": report.acc,
            "share": float(report.share_explained),
        }
        paper = setting.paper | {"share": paper_share(setting.paper)}
        yield {
            "setting": setting.name,
            "title": setting.title,
            "kind": setting.kind,
            "predictor": setting.predictor,
            "target": target,
            "loss": report.loss,
            **own,
            **{f"paper_{name}": paper.get(name) for name in own},
        }


def distribution_rows(setting, data, predictions):
    """Histograms of what was observed and of what was predicted."""
    columns = observed_and_predicted(setting, data, predictions)
    yield from distribution(columns, setting.kind)


def density_rows(setting, data, predictions):
    """How many queries have which prediction and which observation."""
    columns = observed_and_predicted(setting, data, predictions)
    yield from density(columns[setting.targets[0]], columns["observed"])


def observed_and_predicted(setting, data, predictions):
    """One value per test query: observed, and predicted by each target."""
    rewards, rows = test_rewards(data), test_rows(data)
    columns = {}
    for target in setting.targets:
        display = SuccessRateDisplay.from_predictions(
            rewards, predictions[target].native[rows]
        )
        columns |= {"observed": display.observed, target: display.predicted}
        close(display)
    return columns


def distribution(columns, kind, n_bins=20):
    """Shares of each column in equal bins, over [0, 1] unless rewards are real.

    Queries themselves are not listed: outcome sets are not ours to copy.
    """
    bounds = None if kind == "chat" else (0, 1)
    edges = np.histogram_bin_edges([*columns.values()], n_bins, bounds)
    shares = {
        name: np.histogram(column, edges)[0] / len(column)
        for name, column in columns.items()
    }
    for i in range(n_bins):
        row = {"low": float(edges[i]), "high": float(edges[i + 1])}
        yield row | {name: float(share[i]) for name, share in shares.items()}


def density(predicted, observed, n_bins=40):
    """Shares of queries in the cells of a grid, cells without any left out."""
    counts, x_edges, y_edges = np.histogram2d(predicted, observed, n_bins)
    x, y = ((edges[1:] + edges[:-1]) / 2 for edges in (x_edges, y_edges))
    for i, j in zip(*np.nonzero(counts), strict=True):
        yield {
            "predicted": float(x[i]),
            "observed": float(y[j]),
            "share": float(counts[i, j] / len(predicted)),
        }


def calibration_rows(setting, data, predictions):
    """Observed against predicted values, in ten bins of queries."""
    rewards, rows = test_rewards(data), test_rows(data)
    for target in setting.targets:
        table = calibration_table(rewards, predictions[target].native[rows])
        for values in zip(*table.values(), strict=True):
            numbers = dict(zip(table, map(float, values), strict=True))
            yield {"target": target, **numbers}


def curve_rows(setting, data, predictions):
    """One row per method and budget: reward, and gain over the baseline at its spend.

    Intervals hold 95 % of a bootstrap over queries, paired for the gain. `saved` is the
    share of the budget that the baseline's reward would not have needed. In routing,
    `over_strong` is the gain over calling the strong decoder every time.
    """
    rewards, grid = test_rewards(data), budget_grid(setting, data)
    methods = {setting.baseline: np.array(grid, dtype=float)[:, None]}
    methods |= all_budgets(setting, data, predictions)
    even = [expected_reward_score(rewards, float(b)) for b in grid]
    options = {"n_bootstrap": N_BOOTSTRAP, "random_state": 0}
    for method, table in methods.items():
        rows = []
        for budget, budgets in zip(grid, table, strict=True):
            spend = float(budgets.mean())
            budgets = budgets if len(budgets) > 1 else spend
            reward = expected_reward_interval(rewards, budgets, **options)
            gain = paired_difference(rewards, budgets, spend, **options)
            row = curve_row(method, budget, spend, reward, gain)
            if setting.kind == "routing":
                over = paired_difference(rewards, budgets, 1, **options)
                row["over_strong"], row["over_low"], row["over_high"] = over[:3]
            rows.append(row)
        yield from with_saved(rows, even)
    if setting.kind == "binary":
        yield from with_saved(list(rounds_rows(data, predictions, options)), None)


def curve_row(method, budget, spend, reward, gain):
    """One row of `curve_rows`."""
    return {
        "method": method,
        "budget": float(budget),
        "spend": spend,
        "reward": reward.score,
        "low": reward.low,
        "high": reward.high,
        "gain": gain.difference,
        "gain_low": gain.low,
        "gain_high": gain.high,
    }


def with_saved(rows, even):
    """Add the saved share of compute, read off between the method's own points."""
    spend, reached = np.array([(row["spend"], row["reward"]) for row in rows]).T
    even = [row["reward"] - row["gain"] for row in rows] if even is None else even
    spend, reached = spend[np.argsort(spend)], reached[np.argsort(spend)]
    highest = np.maximum.accumulate(reached)
    first = np.flatnonzero(np.r_[True, np.diff(highest) > 0])  # of each level
    for row, goal in zip(rows, even, strict=True):
        if not highest[0] <= goal <= highest[-1] + 1e-9 or row["budget"] == 0:
            saved = None  # the method's points do not reach there
        else:
            needed = np.interp(goal - 1e-12, highest[first], spend[first])
            saved = float(1 - needed / row["budget"])
        yield row | {"saved": saved}


def rounds_rows(data, predictions, options):
    """The sequential policy in four rounds, played in several orders of the samples."""
    rewards = test_rewards(data)
    grid = [b for b in ROUNDS_GRID if b <= steps(rewards)]
    for budget in grid:
        best, spent = [], []
        for fold, (_, validation, test) in enumerate(data.folds):
            policy = SequentialAllocator(
                FrozenEstimator(GivenMarginals()), budget=budget, n_rounds=4
            ).fit(
                predictions["validation"]["rate_distribution"][fold],
                data.rewards[validation],
            )
            marginals = predictions["rate_distribution"].marginals[test]
            rng = np.random.default_rng(fold)
            played = [
                play(policy.start(marginals), rng.permuted(data.rewards[test], axis=1))
                for _ in range(N_ORDERS)
            ]
            best.append(np.mean([reward for reward, _ in played], axis=0))
            spent.append(np.mean([budgets for _, budgets in played], axis=0))
        best, spend = np.concatenate(best), float(np.concatenate(spent).mean())
        # Two policies are a weak and a strong decoder of one sample each.
        pair = np.stack([equal_rewards(rewards, spend), best], axis=1)[:, :, None]
        reward = expected_reward_interval(best[:, None], 1, **options)
        gain = paired_difference(pair, 1, 0, **options)
        yield curve_row("4 rounds, verdicts seen", budget, spend, reward, gain)


def play(session, rewards):
    """Best reward and budget of each query after a session on graded samples."""
    used = np.zeros(len(rewards), dtype=int)
    while (asked := session.ask()) is not None:
        given = [
            row[at : at + n] for row, at, n in zip(rewards, used, asked, strict=True)
        ]
        session.tell(given)
        used += asked
    best = [row[:n].max(initial=0.0) for row, n in zip(rewards, used, strict=True)]
    return np.array(best), used


def equal_rewards(rewards, spend):
    """Expected best reward of each query where all get the same, floor and ceil mixed.

    Rows with the same rewards in another order are computed once.
    """
    rows, row_of = np.unique(np.sort(rewards, axis=1), axis=0, return_inverse=True)
    values = np.array([expected_reward_score(row[None], spend) for row in rows])
    return values[row_of.ravel()]


def allocation_rows(setting, data, predictions):
    """Mean budget of the easy, medium and hard third at each mean budget, online.

    None where one graded answer per query says too little about which third it is in.
    """
    if data.rewards.shape[-1] == 1:
        return
    marginals = predictions[setting.targets[0]].marginals[test_rows(data)]
    display = AllocationDisplay.from_predictions(
        test_rewards(data), marginals, min_budget=setting.min_budget
    )
    close(display)
    points = np.linspace(0, len(display.spend) - 1, 100).round().astype(int)
    for point in np.unique(points):
        yield {"spend": float(display.spend[point])} | {
            name: float(budgets[point]) for name, budgets in display.budgets.items()
        }


def close(display):
    """Forget the figure of a display of which only the arrays are wanted."""
    import matplotlib.pyplot as plt

    plt.close(display.figure_)


TABLES = {
    "table1": table1_rows,
    "distribution": distribution_rows,
    "density": density_rows,
    "calibration": calibration_rows,
    "curves": curve_rows,
    "allocation": allocation_rows,
}
