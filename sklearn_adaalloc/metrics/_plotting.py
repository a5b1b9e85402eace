"""Axes, styles and labels that the Displays share."""

import numpy as np

from sklearn_adaalloc._utils.optional import import_optional

UNIFORM_STYLE = {"color": "0.45", "linestyle": "--", "linewidth": 1.2}
ORACLE_STYLE = {"color": "black", "linestyle": ":", "linewidth": 1.2}


def new_axes(ax):
    """Return `ax`, or the axes of a new figure if it is None.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._plotting import new_axes
    >>> ax = new_axes(None)
    >>> new_axes(ax) is ax
    True
    """
    pyplot = import_optional("matplotlib.pyplot", extra="plot")
    if ax is None:
        _, ax = pyplot.subplots(layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def spend_label(routing, unit="samples"):
    """Label of an axis that shows spend; in routing, spend is a share of calls.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._plotting import spend_label
    >>> spend_label(False)
    'mean budget (samples per query)'
    """
    if routing:
        return "mean budget (share of queries sent to the strong decoder)"
    if unit == "cost":
        return "mean cost (per query)"
    return "mean budget (samples per query)"


def thin(n_points, at_most=1000):
    """Pick at most `at_most` evenly spaced indices, including the first and the last.

    More points on one line only make drawing slower.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._plotting import thin
    >>> thin(9, at_most=3)
    array([0, 4, 8])
    """
    return np.linspace(0, n_points - 1, min(n_points, at_most)).round().astype(np.intp)
