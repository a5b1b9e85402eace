"""A report as one HTML page that needs nothing else."""

import base64
import re
from html import escape

from sklearn_adaalloc.command_line.report.text import tables

_CODE = re.compile(r"`([^`]+)`|(?<!\S)(--[\w-]*\w)")  # commands, and bare options
_STYLE = """\
:root { color-scheme: light dark; --ink: #1c2024; --paper: #fdfdfc; --line: #d5d9dd;
  --soft: #f1f3f5; --accent: #14568f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --paper: #16191d; --line: #3a4149; --soft: #20252b;
    --accent: #7db7ec; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.55 system-ui, sans-serif;
  overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; color: var(--accent); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
ul { padding-left: 1.25rem; }
li { margin: .35rem 0; max-width: 46rem; }
code { font-size: .9em; white-space: nowrap; }
.advice { background: var(--soft); border-left: 4px solid var(--accent);
  padding: .25rem 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem; border-bottom: 1px solid var(--line);
  text-align: right; white-space: nowrap; }
tbody th { font-weight: normal; }
tr > :first-child { text-align: left; padding-left: 0; white-space: normal;
  min-width: 9rem; }
@media (max-width: 24rem) { code { white-space: normal; } }
@media (max-width: 40rem) {
  table, tbody, tr, td, tbody th { display: block; }
  thead { display: block; position: absolute; width: 1px; height: 1px;
    overflow: hidden; clip-path: inset(50%); }
  tr { border-bottom: 1px solid var(--line); padding: .4rem 0; }
  td, tbody th { border: 0; padding: .1rem 0; }
  td { display: flex; justify-content: space-between; gap: 1rem; }
  td::before { content: attr(data-label); opacity: .85; }
  td:empty { display: none; }
  tbody th { font-weight: 600; } }
.pictures { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
figure { margin: 0; }
figure img { width: 100%; height: auto; display: block; }
figcaption, footer { font-size: .875rem; opacity: .85; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); }
"""


def as_page(report, pictures):
    """Write a report as an HTML page.

    Parameters
    ----------
    report : dict
        As ``--json`` prints it. Its texts are escaped.
    pictures : list of Picture
        What to show.

    Returns
    -------
    html : str
        A page without scripts that loads nothing from elsewhere. It follows the light
        or dark setting of the browser.
    """
    title = escape(report["title"])
    notes = "".join(f"<p>{escape(text)}</p>" for text in report["notes"])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{_STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{_list(report["findings"])}
<h2>What to do</h2>
<div class="advice">
{_list(report["advice"])}
</div>
<h2>Pictures</h2>
<div class="pictures">
{"".join(map(_picture, pictures))}</div>
<h2>Figures</h2>
{"".join(_table(*table) for table in tables(report))}</main>
<footer>
{notes}
</footer>
</body>
</html>
"""


def _list(texts):
    items = "".join(f"<li>{_text(text)}</li>\n" for text in texts)
    return f"<ul>\n{items}</ul>"


def _text(text):
    """A sentence, its commands and options as code, its numbers kept with their %."""
    found = _CODE.sub(lambda code: f"<code>{code[1] or code[2]}</code>", escape(text))
    return found.replace(" %", "&nbsp;%")


def _table(title, rows):
    """A table; where there is little room, each cell names its column."""
    head, *body = ([escape(cell) for cell in row] for row in rows)
    headings = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = []
    for first, *others in body:
        cells = "".join(
            f'<td data-label="{name}">{cell}</td>'
            for name, cell in zip(head[1:], others, strict=True)
        )
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>\n')
    return (
        f'<h3>{escape(title)}</h3>\n<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(title)}"><table>\n<thead><tr>{headings}</tr></thead>\n'
        f"<tbody>\n{''.join(lines)}</tbody>\n</table></div>\n"
    )


def _picture(picture):
    light, dark = (
        "data:image/svg+xml;base64," + base64.b64encode(drawn.encode()).decode()
        for drawn in (picture.light, picture.dark)
    )
    return (
        "<figure>\n<picture>\n"
        f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">\n'
        f'<img src="{light}" alt="{escape(picture.caption)}">\n</picture>\n'
        f"<figcaption>{escape(picture.caption)}</figcaption>\n</figure>\n"
    )
