"""A report as text, and its tables for text and page alike."""

from sklearn_adaalloc.command_line._layout import aligned, paragraph, printable
from sklearn_adaalloc.command_line.report.sentences import Numbers, without_policy


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
        told = "stopped at its first right answer" if figures["binary"] else "its best"
        made.append((f"Each decoder alone, {told}", rows))
    for row in figures["rows"]:
        title = f"At {numbers.spend_with_unit(row['budget'])} per query"
        if "decoders" in row["equal"]:
            title += f"; without a policy, by {without_policy(row['equal'])}"
        made.append((title, _budget_rows(row, numbers)))
    return made


def _budget_rows(row, numbers):
    heading = ["policy", "spent", "reward", "at equal cost", "gain (95 %)", "saved"]
    equal = row["equal"]
    name = "without a policy" if "decoders" in equal else "equal budgets"
    spent = equal.get("spend", row["budget"])
    rows = [heading, _without(name, spent, equal["reward"], numbers)]
    for name, policy in row["policies"].items():
        gain, low, high = numbers.gain_ends(policy)
        rows.append(
            [
                name,
                numbers.spend(policy["spend"]),
                numbers.reward(policy["reward"]),
                numbers.reward(policy["equal_at_spend"]),
                f"{gain} [{low}, {high}]",
                _saved(policy, numbers),
            ]
        )
    for name, key in (
        ("equal limits, stopped when right", "stopped"),
        ("best fixed cascade", "cascade"),
    ):
        if (own := row.get(key)) is not None:
            rows.append(_without(name, own["spend"], own["reward"], numbers))
    for name, key in (
        ("known in advance, up front", "oracle_up_front"),
        ("known in advance, one answer", "oracle_one_answer"),
        ("known in advance, verdicts", "oracle_with_verdicts"),
    ):
        if (value := row.get(key)) is not None:
            rows.append(_without(name, row["budget"], value, numbers))
    return rows


def _without(name, spend, reward, numbers):
    """The row of what is no policy."""
    return [name, numbers.spend(spend), numbers.reward(reward), *[""] * 3]


def _saved(policy, numbers):
    """The share saved with its interval; a dash where it is not known."""
    if None in (policy[name] for name in ("saved", "saved_low", "saved_high")):
        return "–"
    return "{} % [{}, {}]".format(*numbers.saving_ends(policy))


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
        parts += ["", paragraph(title), aligned(rows)]
    parts += ["", *[paragraph(text) for text in report["notes"]]]
    return printable("\n".join(parts))
