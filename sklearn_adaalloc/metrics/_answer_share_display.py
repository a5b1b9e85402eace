"""Display of a policy over several decoders: who answers at each budget."""

import numpy as np

from sklearn_adaalloc._utils.parameters import check_choice
from sklearn_adaalloc.metrics._cost_curve import cost_curve, cost_curve_of_budgets
from sklearn_adaalloc.metrics._fixed_cascades import as_menu, decoder_names
from sklearn_adaalloc.metrics._plotting import new_axes, spend_label

# Colours that colour-blind readers can distinguish (Okabe and Ito), then grey levels.
DECODER_COLORS = (
    "#56b4e9",
    "#d55e00",
    "#009e73",
    "#e69f00",
    "#0072b2",
    "#cc79a7",
    "#f0e442",
    "0.25",
    "0.45",
    "0.65",
    "0.8",
)


class AnswerShareDisplay:
    """Share of each decoder in the answers, against mean cost: stacked areas.

    Create the display with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    spend : ndarray of shape (n_points,)
        Mean cost per query, increasing.
    answers : ndarray of shape (n_points, n_decoders)
        Mean number of answers of each decoder per query.
    costs : ndarray of shape (n_points, n_decoders)
        Mean cost of these answers per query.
    decoders : list of str
        Names of the decoders.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure of the drawing.
    artists_ : list of matplotlib PolyCollection
        One area per decoder, in the order of the table.

    See Also
    --------
    CostCurveDisplay : What these answers earn.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.metrics import AnswerShareDisplay
    >>> table = RewardTable([[[0, 1], [1, 1]]] * 2, costs=[1.0, 5.0])
    >>> budgets = [[[1, 0], [1, 0]], [[1, 0], [0, 1]]]
    >>> AnswerShareDisplay.from_predictions(table, budgets).shares()
    array([[1. , 0. ],
           [0.5, 0.5]])
    """

    def __init__(self, *, spend, answers, costs, decoders):
        self.spend = spend
        self.answers = answers
        self.costs = costs
        self.decoders = decoders

    def shares(self, of="answers"):
        """Share of each decoder at each point.

        Parameters
        ----------
        of : {"answers", "cost"}, default="answers"
            What is shared.

        Returns
        -------
        shares : ndarray of shape (n_points, n_decoders)
            Each row sums to 1.

        Raises
        ------
        ValueError
            If `of` is neither "answers" nor "cost".
        """
        parts = {"answers": self.answers, "cost": self.costs}
        parts = parts[check_choice(of, "of", parts)]
        return parts / parts.sum(axis=1, keepdims=True)

    def plot(self, ax=None, *, of="answers"):
        """Draw the shares.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        of : {"answers", "cost"}, default="answers"
            What is shared: the number of answers, or what they cost.

        Returns
        -------
        self : AnswerShareDisplay

        Raises
        ------
        ValueError
            If `of` is neither "answers" nor "cost".
        """
        shares = self.shares(of)
        ax = self.ax_ = new_axes(ax)
        self.figure_ = ax.figure
        n_decoders = shares.shape[1]
        self.artists_ = ax.stackplot(
            self.spend,
            shares.T,
            labels=self.decoders,
            colors=[DECODER_COLORS[d % len(DECODER_COLORS)] for d in range(n_decoders)],
            edgecolor="white",
            linewidth=0.5,
        )
        what = {"answers": "all answers", "cost": "the cost"}[of]
        ax.set(ylabel=f"share of {what}", ylim=(0, 1))
        ax.set_xlabel(spend_label(False, "cost"))
        ax.margins(x=0)
        handles, labels = ax.get_legend_handles_labels()  # from top to bottom
        ax.legend(
            handles[::-1],
            labels[::-1],
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
        )
        return self

    @classmethod
    def from_predictions(cls, rewards, budgets, *, ax=None, **plot_kwargs):
        """Draw the shares of budgets that were decided before decoding.

        Parameters
        ----------
        rewards : array-like or RewardTable of shape (n_queries, n_decoders, n_samples)
            Reward table; its costs and the names of its decoders are used.
        budgets : sequence of n_points array-like of shape (n_queries, n_decoders)
            Budgets at each point.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **plot_kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : AnswerShareDisplay

        Raises
        ------
        ValueError
            If the table has no axis of decoders, or budgets do not fit it.
        """
        curve = cost_curve_of_budgets(rewards, budgets, n_bootstrap=1)
        return cls._of(curve, rewards).plot(ax, **plot_kwargs)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        rewards,
        budgets,
        *,
        random_state=None,
        ax=None,
        **plot_kwargs,
    ):
        """Draw the shares of a fitted allocator at several budgets.

        Parameters
        ----------
        estimator : estimator
            Fitted allocator, or a pipeline that ends in one. One that works in rounds
            is replayed on the table.
        X : array-like of shape (n_queries, ...)
            Queries in a form that the estimator accepts.
        rewards : array-like or RewardTable of shape (n_queries, n_decoders, n_samples)
            Reward table of the same queries.
        budgets : array-like of shape (n_points,)
            Values of the estimator's parameter `budget`.
        random_state : int, RandomState instance or None, default=None
            Seed of the order of the samples in a replay.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **plot_kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : AnswerShareDisplay

        Raises
        ------
        ValueError
            As in :func:`cost_curve`.
        """
        options = {"n_bootstrap": 1, "random_state": random_state}
        curve = cost_curve(estimator, X, rewards, budgets, **options)
        return cls._of(curve, rewards).plot(ax, **plot_kwargs)

    @classmethod
    def _of(cls, curve, rewards):
        """Display of a curve, without points at which nothing is spent."""
        order = np.argsort(curve.spend, kind="stable")
        order = order[curve.spend[order] > 0]
        return cls(
            spend=curve.spend[order],
            answers=curve.answers[order],
            costs=curve.costs[order],
            decoders=decoder_names(as_menu(rewards)),
        )
