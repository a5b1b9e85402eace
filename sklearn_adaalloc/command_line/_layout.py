"""Text for the terminal: aligned columns, sentences in lines."""

import textwrap


def aligned(rows):
    """Lay out rows as aligned columns.

    Parameters
    ----------
    rows : sequence of sequences of str
        The first holds the headings.

    Returns
    -------
    text : str
        The first column is aligned to the left, all others to the right.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._layout import aligned
    >>> print(aligned([["policy", "spend"], ["equal", "4"], ["in rounds", "3.9"]]))
    policy     spend
    equal          4
    in rounds    3.9
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def paragraph(text, *, bullet=""):
    """Break a text into lines, with a bullet before the first.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._layout import paragraph
    >>> paragraph("Take rounds.", bullet="- ")
    '- Take rounds.'
    """
    kept = text.replace(" %", "\u00a0%")  # a number and its sign stay together
    filled = textwrap.fill(
        kept,
        79,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_on_hyphens=False,  # names of models stay whole
    )
    return filled.replace("\u00a0", " ")


def printable(text):
    r"""A text in which control characters cannot steer a terminal.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line._layout import printable
    >>> printable("a\x1b[31mb")
    'a�[31mb'
    """
    return "".join(c if c.isprintable() or c in " \n" else "\ufffd" for c in text)
