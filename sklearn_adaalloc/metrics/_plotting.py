"""What the Displays share: axes, styles, and asking an estimator for marginals."""

import numpy as np

from sklearn_adaalloc._utils.optional import import_optional

UNIFORM_STYLE = {"color": "0.45", "linestyle": "--", "linewidth": 1.2}


def new_axes(ax):
    """Return `ax`, or the axes of a new figure.

    Parameters
    ----------
    ax : matplotlib Axes or None
        Axes that the user gave.

    Returns
    -------
    ax : matplotlib Axes

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


def spend_label(routing):
    """Label of an axis that shows mean spend.

    Parameters
    ----------
    routing : bool
        Whether spend is a share of calls.

    Returns
    -------
    str

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._plotting import spend_label
    >>> spend_label(False)
    'mean budget (samples per query)'
    """
    if routing:
        return "mean budget (share of queries sent to the strong decoder)"
    return "mean budget (samples per query)"


def thin(n_points, at_most=1000):
    """Pick indices of evenly spread points, both ends among them.

    More points on one line only slow the renderer down.

    Parameters
    ----------
    n_points : int
        Number of points there are.
    at_most : int, default=1000
        Number of points to keep.

    Returns
    -------
    indices : ndarray of shape (n_kept,)

    Examples
    --------
    >>> from sklearn_adaalloc.metrics._plotting import thin
    >>> thin(9, at_most=3)
    array([0, 4, 8])
    """
    return np.linspace(0, n_points - 1, min(n_points, at_most)).round().astype(np.intp)
