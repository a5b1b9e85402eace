"""Pictures of a report, for light and for dark pages; needs matplotlib."""

import io
from functools import partial
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.rewards import is_binary
from sklearn_adaalloc.command_line.report.evaluation import IN_ROUNDS
from sklearn_adaalloc.command_line.report.intervals import CONFIDENCE, N_BOOTSTRAP
from sklearn_adaalloc.command_line.report.menus import ONE_PLAN
from sklearn_adaalloc.metrics import (
    AllocationDisplay,
    AnswerShareDisplay,
    BudgetCurveDisplay,
    CostCurveDisplay,
    RewardCalibrationDisplay,
    SuccessRateDisplay,
)
from sklearn_adaalloc.metrics._bootstrap import mean_interval
from sklearn_adaalloc.metrics._cost_curve import CostCurve
from sklearn_adaalloc.metrics._policy_curves import (
    BudgetCurve,
    oracle_curve,
    uniform_curve,
)

_SIZE = (4.8, 3.5)
_LINE = 0.2  # height of a line of a legend below the axes
_LINES = ("-", "--", "-.", (0, (1, 1.2)))  # of policies over several decoders
_STOPPED = "stopped when right"
_MOST_SHOWN = 7  # decoders with a colour of their own; the others share the last
_INK = {"light": "#1c2024", "dark": "#e4e7ea"}
_COLORS = {  # of lines and bars, which stand out from the ground
    "light": ("#1f6fb0", "#d9660a", "#238a3b", "#b0302f", "#7d55b3"),
    "dark": ("#6db3f2", "#ffa657", "#6fd08c", "#ff8f8a", "#c3a3f0"),
}
_BLACK = "#000000"  # of displays; it is drawn in the colour of the text
_LONGEST = 22  # letters of a name in a legend
_LEAST_SAMPLES = 4  # with fewer, shares right are too few values for a histogram


class Picture(NamedTuple):
    """A caption, and a drawing as SVG for light and for dark pages."""

    caption: str
    light: str
    dark: str


def require_matplotlib():
    """Import what draws, or say how to install it.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    import_optional("matplotlib.pyplot", extra="plot")


def draw(report, table, drawn):
    """Draw the pictures of a report.

    Parameters
    ----------
    report : dict
        As ``--json`` prints it.
    table : RewardTable
        What was evaluated.
    drawn : dict
        Arrays from the evaluation.

    Returns
    -------
    pictures : list of Picture
    """
    plans = _menu_plans if "decoders" in report["figures"] else _plans
    pictures = []
    for caption, plot in plans(report, table, drawn):
        own = {scheme: _svg(plot, scheme) for scheme in _INK}
        pictures.append(Picture(caption, **own))
    return pictures


def _plans(report, table, drawn):
    """Captions, and functions that draw on axes."""
    unit, stopped = report["unit"], drawn["stopped"]
    counted = drawn["costs"] if unit == "cost" else None
    shown = {name: _decided(own) for name, own in drawn["played"].items()}
    display = BudgetCurveDisplay(
        curves=shown,
        uniform=uniform_curve(drawn["curves"], drawn["min_budget"], counted),
        oracle=oracle_curve(drawn["curves"], drawn["min_budget"], counted),
        unit=unit,
    )
    limit = 1.5 * report["figures"]["rows"][-1]["budget"]

    def curves(ax):
        display.plot(ax, line_kwargs={"marker": "o", "markersize": 3.5})
        if stopped is not None:
            ax.plot(*_means(stopped), color="0.5", linestyle="-.", label=_STOPPED)
        ax.legend(loc="best", frameon=False)
        ax.set_xlim(0, min(limit, display.uniform.spend[-1]))

    alone = "" if stopped is None else f"equal limits ({_STOPPED}), "
    yield (
        "Reward against mean spend: policies on held-out queries, equal budgets "
        f"(uniform), {alone}and the best that can be decided up front (oracle), which "
        "verdicts can beat.",
        curves,
    )
    if is_binary(table.rewards) and table.shape[1] >= _LEAST_SAMPLES:
        yield (
            "How hard the queries are: the share of right answers of each.",
            partial(_on, SuccessRateDisplay.from_rewards, table),
        )
    if report["selection"] == "reward" and report["features"] != "none":
        predicted = drawn["marginals"][:, 0]
        yield (
            "Whether predictions hold: observed against predicted rewards of one "
            "answer, on held-out queries.",
            partial(_on, RewardCalibrationDisplay.from_predictions, table, predicted),
        )
        yield (
            "Who gets how much up front: mean budgets of easy, middling and hard "
            "queries.",
            partial(
                _on,
                AllocationDisplay.from_predictions,
                table,
                drawn["marginals"],
                min_budget=drawn["min_budget"],
            ),
        )


def _menu_plans(report, table, drawn):
    rows = report["figures"]["rows"]
    named = _shown_decoders(drawn, rows)
    labels = short_names(named)
    shown = {
        name: CostCurve(
            own.spend.mean(axis=1),
            own.reward.mean(axis=1),
            *_bands(own.reward, report["random_state"]),
            *drawn["shares"][name],
        )
        for name, own in drawn["played"].items()
    }
    alone = [drawn["alone"][name] for name in named]
    display = CostCurveDisplay(
        curves=shown,
        decoders={name: _means(own) for name, own in zip(labels, alone, strict=True)},
        cascades=_means(drawn["fixed"]),
        oracle=drawn["oracle"],
    )
    binary = report["figures"]["binary"]
    label = "best fixed cascade" if binary else ONE_PLAN
    fixed = f"the {label}" if binary else label

    def curves(ax):
        display.plot(ax)
        display.lines_["best fixed cascade"].set_label(label)
        for name, line in zip(shown, _LINES, strict=False):
            display.lines_[name].set_linestyle(line)
            if name != IN_ROUNDS:  # several bands would hide the lines
                display.bands_[name].remove()
        ax.set_xlim(0, 1.3 * rows[-1]["budget"])
        _legend_below(ax)

    n_decoders = len(drawn["alone"])
    some = f"the best {len(named)} of {n_decoders} decoders alone"
    yield (
        f"{'Success' if binary else 'Reward'} against mean cost: policies on held-out "
        "queries (the band is the 95 % interval of the rounds), "
        f"{'each decoder alone' if len(named) == n_decoders else some}, {fixed} by "
        "hindsight, and who knew "
        f"{'all' if binary else 'the best decoder of each query'} in advance (oracle).",
        curves,
    )
    rounds = shown[IN_ROUNDS]
    paid = rounds.spend > 0
    shares = AnswerShareDisplay(
        spend=rounds.spend[paid],
        answers=_of_named(rounds.answers[paid], drawn["chosen"], named),
        costs=_of_named(rounds.costs[paid], drawn["chosen"], named),
        decoders=labels + ["others"] * (not set(drawn["chosen"]) <= set(named)),
    )

    def who(ax):
        shares.plot(ax)
        _legend_below(ax)

    yield "Who answers, in rounds, at each mean cost.", who


def _shown_decoders(drawn, rows):
    """Decoders that are drawn: those asked most in rounds, and the best alone."""
    asked, alone = rows[-1]["policies"][IN_ROUNDS]["answers"], rows[-1]["alone"]
    order = sorted(
        drawn["alone"], key=lambda name: (-asked.get(name, 0.0), -alone[name])
    )
    n_shown = _MOST_SHOWN - (len(order) > _MOST_SHOWN)
    return [name for name in drawn["alone"] if name in order[:n_shown]]


def _of_named(parts, chosen, named):
    """Columns of the decoders that are drawn, and of all others together."""
    columns = [
        parts[:, chosen.index(name)] if name in chosen else np.zeros(len(parts))
        for name in named
    ]
    if not set(chosen) <= set(named):
        columns.append(parts.sum(axis=1) - np.sum(columns, axis=0))
    return np.column_stack(columns)


def _legend_below(ax):
    """Put the legend below the axes, and make the figure higher by as much."""
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(-0.1, -0.18),
        ncols=2,
        frameon=False,
        fontsize="small",
        columnspacing=1.0,
    )
    width, height = _SIZE
    ax.figure.set_size_inches(width, height + _LINE * -(-len(labels) // 2))


def _decided(played):
    """The curve of a policy, not from nothing on: no budget between was played."""
    curve = _means(played)
    first = int(played.budgets[0] == 0)
    return BudgetCurve(curve.spend[first:], curve.reward[first:])


def _means(played):
    return BudgetCurve(played.spend.mean(axis=1), played.reward.mean(axis=1))


def _bands(rewards, random_state):
    """Ends of the intervals of means over queries, each (n_points,)."""
    ends = [
        mean_interval(own, CONFIDENCE, N_BOOTSTRAP, random_state) for own in rewards
    ]
    return np.array(ends).T


def _on(plot, *arguments, ax, **options):
    plot(*arguments, ax=ax, **options)
    if ax.get_legend() is not None:
        ax.legend(loc="best", frameon=False)


def short_names(names):
    """Names for a legend, all different.

    Matplotlib leaves out labels that begin with "_", and reads what stands between
    dollars as mathematics.

    Parameters
    ----------
    names : list of str
        Names of decoders.

    Returns
    -------
    short : list of str

    Examples
    --------
    >>> from sklearn_adaalloc.command_line.report.pictures import short_names
    >>> short_names(["a/small-model", "b/small-model", "large"])
    ['1: small-model', '2: small-model', 'large']
    """
    cut = [name.rstrip("/").rpartition("/")[2].lstrip("_") for name in names]
    cut = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..." for name in cut]
    numbered = [
        f"{place}: {name}" if cut.count(name) > 1 or not name else name
        for place, name in enumerate(cut, start=1)
    ]
    return [name.replace("$", r"\$") for name in numbered]


def _svg(plot, scheme):
    """Draw on a transparent ground, axes and texts in one colour."""
    ink = _INK[scheme]
    cycler = import_optional("cycler", extra="plot").cycler
    styles = import_optional("matplotlib.style", extra="plot")
    figures = import_optional("matplotlib.figure", extra="plot")
    to_hex = import_optional("matplotlib.colors", extra="plot").to_hex
    style = {
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color"), ink
        ),
        **{"ytick.color": ink, "axes.titlecolor": ink, "lines.color": ink},
        **{"axes.facecolor": "none", "figure.facecolor": "none"},
        **{"savefig.facecolor": "none", "legend.labelcolor": ink},
        **{"axes.prop_cycle": cycler(color=_COLORS[scheme])},
        **{"axes.spines.top": False, "axes.spines.right": False},
        **{"svg.hashsalt": "adaalloc", "svg.fonttype": "path", "font.size": 10.0},
    }
    with styles.context(["default", style]):
        figure = figures.Figure(figsize=_SIZE, layout="constrained")
        ax = figure.add_subplot()
        plot(ax=ax)
        legend = ax.get_legend()
        for line in [*ax.get_lines(), *(legend.get_lines() if legend else ())]:
            if to_hex(line.get_color()) == _BLACK:
                line.set_color(ink)
        for area in ax.collections:
            if [to_hex(color) for color in area.get_facecolor()] == [_BLACK]:
                area.set_facecolor(ink)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return written.getvalue()
