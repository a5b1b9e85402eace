"""Days of the year in words and numbers."""

import re

_MONTHS = [
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
]
_MONTH = rf"({'|'.join(f'{m[:3]}(?:{m[3:]})?' for m in _MONTHS)}|sept)\b\.?"
_DAY = r"(\d{1,2})(?:\s?(?:st|nd|rd|th))?"
_DATE = re.compile(
    rf"(?:{_MONTH}\s+(?:the\s+)?{_DAY}|(?:the\s+)?{_DAY}\s+(?:of\s+)?{_MONTH})"
    r"(?:(?:\s*,\s*|\s+)(\d{4}))?(?!\w|\s*[-+*/^.:]?\s*\d)",
    re.I,
)


def find_date(text, *, whole=False):
    r"""Find a day in a text.

    Parameters
    ----------
    text : str
        What may be a date, such as "June 20th", "20 June" or "the 20th of June, 2024".
    whole : bool, default=False
        Whether it must be all of the text.

    Returns
    -------
    date : tuple of (match, day, unit) or None
        Last date, its day as digits, its month and year as a unit for
        :func:`~sklearn_adaalloc.rewards._mathematics.units.conversions`.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._mathematics.dates import find_date
    >>> find_date("20 June 2024", whole=True)[1:]
    ('20', 'date june 2024')
    """
    matches = [_DATE.fullmatch(text)] if whole else list(_DATE.finditer(text))
    if not matches or matches[-1] is None:
        return None
    month, day, other_day, other_month, year = matches[-1].groups()
    month = (month or other_month).casefold()[:3]
    month = next(name for name in _MONTHS if name.startswith(month))
    day = str(int(day or other_day))
    return matches[-1], day, " ".join(filter(None, ["date", month, year]))
