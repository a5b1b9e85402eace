"""One static page of a run: every picture and table, with nothing to load."""

import base64
from html import escape

from benchmarks.paper.figures import read, settings_of

FIGURES = {
    "figure_3.png": "Figure 3: distribution of success rates; predicted against "
    "observed, with means in ten bins; expected success rate against samples.",
    "figure_4.png": "Figure 4: chat, all test queries and the tranches of lowest and "
    "highest reward variance.",
    "chat_prediction.png": "Chat: mean rewards, their prediction, performance.",
    "figure_5.png": "Figure 5: distribution of preferences; predicted against "
    "observed; reward against the share of queries sent to the strong decoder.",
    "figure_6.png": "Figure 6: what the easy, the medium and the hard third of the "
    "queries get, online.",
    "gains.png": "Gain over best-of-k, or over random routing, at equal spend, with "
    "paired 95 % intervals over queries.",
}
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1180px; margin: 2em auto;
       padding: 0 1em; color: #222 }
img { max-width: 100%; height: auto }
figure { margin: 1.5em 0 }
figcaption { color: #555 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px;
        margin: .5em 0 1.5em }
th, td { padding: 2px 9px; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
"""
SHOWN = {"binary": (1, 2, 4, 8, 16, 32, 64), "chat": (1, 2, 4, 8, 16)}
ROUTING_SHOWN = (0.1, 0.3, 0.5, 0.7, 0.9, 1)


def write(folder, scale):
    """Write index.html from the CSV and PNG files of a run."""
    title = f"Learning How Hard to Think, reproduced: {scale}"
    parts = [f"<h1>{escape(title)}</h1>", INTRODUCTION, "<h2>Table 1</h2>"]
    names = settings_of(folder)
    first = [row for name in names for row in read(folder / name, "table1")]
    parts.append(table([table1_cells(row) for row in first]))
    for name, caption in FIGURES.items():
        if (folder / name).exists():
            parts.append(picture(folder / name, caption))
    for name in names:
        described = read(folder / name, "table1")[0]
        parts.append(f"<h2>{escape(described['title'])}</h2>")
        shown = SHOWN.get(described["kind"], ROUTING_SHOWN)
        rows = read(folder / name, "curves")
        parts.append(table([curve_cells(r) for r in rows if r["budget"] in shown]))
        if (folder / name / "predictors.csv").exists():
            compared = read(folder / name, "predictors")
            parts.append(table([predictor_cells(row) for row in compared]))
    body = "\n".join(parts)
    html = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )
    (folder / "index.html").write_text(html, encoding="utf-8")
    print(f"wrote {folder / 'index.html'}")


INTRODUCTION = """<p>The experiments of Damani, Shenfeld, Peng, Bobu and Andreas (ICLR
2025), made by <code>python -m benchmarks.paper</code>. Online: the budget is split over
the batch by predicted marginal rewards. Offline: each query gets the budget of its bin
of predicted difficulty. Plug-in: a predicted success rate is taken at its word, as in
the paper; otherwise a distribution over success rates is predicted. Oracle: the
observed marginal rewards are known. Gains compare with the baseline at the same
realised spend; brackets hold 95 % of a bootstrap over test queries.</p>"""


def table1_cells(row):
    """Cells of Table 1."""
    cells = {"setting": row["setting"], "target": row["target"].replace("_", " ")}
    for name in ("ours", "avg", "opt", "acc", "share"):
        cells[name] = number(row[name])
        cells[f"paper: {name}"] = number(row[f"paper_{name}"], 2)
    return cells


def predictor_cells(row):
    """Cells of one predictor, of those that are compared for a setting."""
    return {
        "predictor": row["predictor"],
        "training queries": f"{row['n_queries']:g}",
        "samples": f"{row['n_samples']:g}",
        "batch size": f"{row['batch_size']:g}",
        "share": number(row["share"], 2),
        "not noise": number(row["cap"], 2),
        "gain at half the calls (95 %)": interval(
            row["gain"], row["gain_low"], row["gain_high"]
        ),
    }


def curve_cells(row):
    """Cells of one method at one budget."""
    saved = "" if row["saved"] is None else f"{row['saved']:.0%}"
    cells = {
        "method": row["method"],
        "B": f"{row['budget']:g}",
        "spend": number(row["spend"], 2),
        "reward": number(row["reward"]),
        "gain (95 %)": interval(row["gain"], row["gain_low"], row["gain_high"]),
        "saved": saved,
    }
    if "over_strong" in row:
        over = interval(row["over_strong"], row["over_low"], row["over_high"])
        cells["over always-strong (95 %)"] = over
    return cells


def interval(difference, low, high):
    """A difference and the ends of its interval."""
    return f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]"


def number(value, digits=3):
    """A number with so many digits, nothing for none."""
    return "" if value is None else f"{value:.{digits}f}"


def table(rows):
    """HTML of dicts."""
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    lines = (
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(lines) + "\n</table>"


def picture(path, caption):
    """HTML of a picture that is part of the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    source = f"data:image/png;base64,{data}"
    return (
        f'<figure><img src="{source}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
