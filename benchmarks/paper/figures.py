"""The paper's figures, drawn from the CSV files of a run and from nothing else."""

import csv

import numpy as np

from benchmarks.paper.settings import SETTINGS

STYLES = {
    "oracle": {"color": "black", "linestyle": ":"},
    "online": {"color": "C0"},
    "offline": {"color": "C1"},
    "online, plug-in": {"color": "C3", "linestyle": "--"},
    "offline, plug-in": {"color": "C4", "linestyle": "--"},
    "4 rounds, verdicts seen": {"color": "C2", "marker": ".", "markersize": 5},
    "best-of-k": {"color": "0.45", "linestyle": "--"},
    "random": {"color": "0.45", "linestyle": "--"},
}
TARGET_NAMES = {
    "rate_distribution": "rate distribution, mean",
    "success_rate": "success rate",
    "marginal_rewards": "marginal rewards, first",
    "preference": "preference",
}
QUANTITIES = {
    "binary": "success rate λ",
    "chat": "mean reward",
    "routing": "preference for strong",
}
GAINS = ("gain", "gain_low", "gain_high")
SPENDS = {
    "binary": "mean samples per query",
    "chat": "mean samples per query",
    "routing": "share of queries sent to the strong decoder",
}


def read(folder, name):
    """Rows of a table: dicts, numbers where they are numbers, None where empty."""
    with open(folder / f"{name}.csv", newline="", encoding="utf-8") as file:
        return [
            {key: _value(text) for key, text in row.items()}
            for row in csv.DictReader(file)
        ]


def _value(text):
    try:
        return float(text) if text else None
    except ValueError:
        return text


def settings_of(folder):
    """Names of the settings that a run has tables of, in the paper's order."""
    names = sorted(path.parent.name for path in folder.glob("*/table1.csv"))
    return sorted(names, key=lambda name: [*SETTINGS, name].index(name))


def described(folder):
    """Folder, kind and title of each setting of a run, kind after kind."""
    runs = []
    for name in settings_of(folder):
        first = read(folder / name, "table1")[0]
        runs.append((folder / name, first["kind"], first["title"]))
    return sorted(runs, key=lambda run: list(QUANTITIES).index(run[1]))


def draw(folder):
    """Draw every figure that the run has settings for."""
    import matplotlib

    matplotlib.use("Agg")
    runs = described(folder)
    chats = [run for run in runs if run[1] == "chat"]
    draw_overview([run for run in runs if run[1] == "binary"], folder / "figure_3.png")
    draw_row(chats, plot_curves, folder / "figure_4.png")
    draw_overview([run for run in runs if run[1] == "routing"], folder / "figure_5.png")
    draw_overview(chats[:1], folder / "chat_prediction.png")
    allocated = [run for run in runs if (run[0] / "allocation.csv").exists()]
    draw_row(allocated, plot_allocation, folder / "figure_6.png")
    draw_row(runs, plot_gains, folder / "gains.png")


def draw_overview(runs, path):
    """A row per setting: distribution, predicted against true, performance."""
    import matplotlib.pyplot as plt

    if not runs:
        return
    figure, axes = plt.subplots(
        len(runs), 3, figsize=(13, 3.9 * len(runs)), layout="constrained", squeeze=False
    )
    for row, run in zip(axes, runs, strict=True):
        plot_distribution(row[0], *run)
        plot_calibration(row[1], *run)
        plot_curves(row[2], *run)
    save(figure, path)


def draw_row(runs, plot, path):
    """A panel per setting, three in a row."""
    import matplotlib.pyplot as plt

    if not runs:
        return
    n_columns = min(3, len(runs))
    n_rows = -(-len(runs) // n_columns)
    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=(4.6 * n_columns, 3.9 * n_rows),
        layout="constrained",
        squeeze=False,
    )
    for ax in axes.flat[len(runs) :]:
        ax.set_axis_off()
    for ax, run in zip(axes.flat, runs, strict=False):
        plot(ax, *run)
    save(figure, path)


def save(figure, path):
    """Write a picture that is the same for the same CSV files."""
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)
    print(f"wrote {path}")


# --- panels ----------------------------------------------------------------------


def plot_distribution(ax, folder, kind, title):
    """Histogram of what was observed, and of what was predicted."""
    rows = read(folder, "distribution")
    edges = [row["low"] for row in rows] + [rows[-1]["high"]]
    for name in [name for name in rows[0] if name not in ("low", "high")]:
        shares = [row[name] for row in rows]
        style = {"fill": True, "alpha": 0.5, "color": "C0"}
        if name != "observed":
            color = "C3" if name == "success_rate" else "black"
            style = {"color": color, "linewidth": 1.2}
        ax.stairs(shares, edges, label=TARGET_NAMES.get(name, name), **style)
    ax.set(xlabel=QUANTITIES[kind], ylabel="share of queries", title=title)
    ax.legend(frameon=False, fontsize=8)


def plot_calibration(ax, folder, kind, title):
    """Observed against predicted, dots as large as queries are many; means in bins."""
    rows = read(folder, "density")
    bins = read(folder, "calibration")
    targets = list(dict.fromkeys(row["target"] for row in bins))
    observed = [row["observed"] for row in rows]
    predicted = [row["predicted"] for row in rows]
    areas = [2 + 2000 * row["share"] for row in rows]
    ax.scatter(predicted, observed, s=areas, color="0.8", linewidths=0)
    for target, color in zip(targets, ("C0", "C3"), strict=False):
        part = [row for row in bins if row["target"] == target]
        x, y, error = (
            [row[column] for row in part]
            for column in ("predicted", "observed", "standard_error")
        )
        ax.errorbar(
            x, y, error, color=color, marker="o", ms=4, label=TARGET_NAMES[target]
        )
    ends = [min(predicted), max(predicted)]
    ax.plot(ends, ends, color="0.3", linestyle="--", linewidth=1)
    name = QUANTITIES[kind]
    ax.set(xlabel=f"predicted {name}", ylabel=f"observed {name}", title=title)
    ax.legend(frameon=False, fontsize=8)


def plot_curves(ax, folder, kind, title):
    """Expected reward against spend, with the 95 % band of the online policy."""
    curves = lines(read(folder, "curves"), kind)
    for method, line in curves.items():
        # The oracle leaves unspent what gains nothing: its reward stays.
        spend = line["budget" if method == "oracle" else "spend"]
        label = "oracle (true Δ known)" if method == "oracle" else method
        ax.plot(spend, line["reward"], label=label, **STYLES[method])
        if method == "online":
            ax.fill_between(
                spend,
                line["low"],
                line["high"],
                color=STYLES[method]["color"],
                alpha=0.1,
                linewidth=0,
            )
    if kind == "routing":
        strong = curves["random"]["reward"][-1]
        ax.axhline(strong, color="C5", linewidth=1, label="always strong")
    ylabel = "expected success rate" if kind == "binary" else "expected reward"
    scale_spend(ax, kind)
    ax.set(xlabel=SPENDS[kind], ylabel=ylabel, title=title)
    ax.legend(frameon=False, fontsize=8, loc="lower right")


def plot_gains(ax, folder, kind, title):
    """Gain over the baseline at equal spend, with its paired 95 % interval."""
    for method, line in lines(read(folder, "curves"), kind).items():
        if method not in ("oracle", "best-of-k", "random"):
            ax.plot(line["spend"], line["gain"], label=method, **STYLES[method])
            ax.fill_between(
                line["spend"],
                line["gain_low"],
                line["gain_high"],
                color=STYLES[method]["color"],
                alpha=0.15,
                linewidth=0,
            )
    baseline = "random" if kind == "routing" else "best-of-k"
    ax.axhline(0, color="0.3", linewidth=0.8)
    scale_spend(ax, kind)
    ax.set(xlabel=SPENDS[kind], ylabel=f"gain over {baseline}", title=title)
    ax.legend(frameon=False, fontsize=8)


def plot_allocation(ax, folder, kind, title):
    """Mean budget of the easy, medium and hard third against the mean budget."""
    from sklearn_adaalloc.metrics import AllocationDisplay

    rows = read(folder, "allocation")
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    spend = columns.pop("spend")
    AllocationDisplay(
        spend=spend,
        budgets=columns,
        group_shares=dict.fromkeys(columns, 1 / 3),
        routing=kind == "routing",
    ).plot(ax)
    ax.set(xlabel=SPENDS[kind], title=title)


def lines(rows, kind):
    """Columns of each method's rows, in the order of `STYLES`."""
    rows = [row for row in rows if kind == "routing" or row["budget"] >= 1]
    return {
        method: {
            name: np.array([row[name] for row in rows if row["method"] == method])
            for name in ("budget", "spend", "reward", "low", "high", *GAINS)
        }
        for method in STYLES
        if any(row["method"] == method for row in rows)
    }


def scale_spend(ax, kind):
    """Powers of two where budgets run over many, as they do for samples."""
    if kind != "routing":
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:g}")
