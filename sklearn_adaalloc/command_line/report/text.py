"""A report as text, and its tables for text and page alike."""

from sklearn_adaalloc.command_line._layout import aligned, paragraph, printable
from sklearn_adaalloc.command_line.report.sentences import Numbers, without_policy, zero


def tables(report):
    """The tables of a report.

    Parameters
    ----------
    report : dict
        As ``--json`` prints it.

    Returns
    -------
    tables : list of (str, list of list of str)
        A title and rows of cells, of which the first holds the headings.
    """
    figures, numbers = report["figures"], Numbers(report)
    made = []
    if "decoders" in figures:
        rows = [["decoder", "one answer", "its cost", "all answers", "their cost"]]
        for decoder in figures["decoders"]:
            rows.append(
                [
                    decoder["name"],
                    numbers.reward(decoder["one_answer"]),
                    numbers.spend(decoder["cost_of_an_answer"]),
                    numbers.reward(decoder["all_answers"]),
                    numbers.spend(decoder["all_spend"]),
                ]
            )
        made.append(("Each decoder alone, stopped at its first right answer", rows))
    for row in figures["rows"]:
        made.append(
            (
                f"At {numbers.spend_with_unit(row['budget'])} per query",
                _budget_rows(row, numbers),
            )
        )
    return made


def _budget_rows(row, numbers):
    heading = ["policy", "spent", "reward", "at equal cost", "gain (95 %)", "saved"]
    equal = row["equal"]
    name = without_policy(equal) if "decoders" in equal else "equal budgets"
    rows = [
        heading,
        [
            name,
            numbers.spend(equal.get("spend", row["budget"])),
            numbers.reward(equal["reward"]),
            "",
            "",
            "",
        ],
    ]
    for name, policy in row["policies"].items():
        rows.append(
            [
                name,
                numbers.spend(policy["spend"]),
                numbers.reward(policy["reward"]),
                numbers.reward(policy["equal_at_spend"]),
                _gain(policy, numbers),
                _saved(policy),
            ]
        )
    bounds = {
        "known in advance, up front": row.get("oracle_up_front"),
        "known in advance, verdicts": row["oracle_with_verdicts"],
    }
    for name, value in bounds.items():
        if value is not None:
            rows.append(
                [
                    name,
                    numbers.spend(row["budget"]),
                    numbers.reward(value),
                    *[""] * 3,
                ]
            )
    return rows


def _gain(policy, numbers):
    scale, digits = (100, ".1f") if numbers.binary else (1, ".3g")
    ends = (zero(policy[name]) * scale for name in ("gain", "gain_low", "gain_high"))
    return "{} [{}, {}]".format(*(format(value, f"+{digits}") for value in ends))


def _saved(policy):
    """The share saved with its interval; a dash where it is not known."""
    ends = [policy[name] for name in ("saved", "saved_low", "saved_high")]
    if None in ends:
        return "–"
    return "{} % [{}, {}]".format(*(round(100 * value) for value in ends))


def as_text(report):
    """Write a report for a terminal.

    Parameters
    ----------
    report : dict
        As ``--json`` prints it.

    Returns
    -------
    text : str
        Control characters of the table's own texts are replaced.
    """
    parts = [report["title"], ""]
    parts += [paragraph(text, bullet="- ") for text in report["findings"]]
    parts += ["", "What to do"]
    parts += [paragraph(text, bullet="- ") for text in report["advice"]]
    for title, rows in tables(report):
        parts += ["", title, aligned(rows)]
    parts += ["", *[paragraph(text) for text in report["notes"]]]
    return printable("\n".join(parts))
