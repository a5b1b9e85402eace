"""Display of the distribution of success rates, observed and predicted."""

import numpy as np

from sklearn_adaalloc._utils.numbers import check_numbers
from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc._utils.rewards import check_marginals, check_rewards
from sklearn_adaalloc.curves._decoders import observed_rates
from sklearn_adaalloc.metrics._estimators import (
    policy_name,
    predict_first_step,
    predicted_quantity,
)
from sklearn_adaalloc.metrics._plotting import new_axes


class SuccessRateDisplay:
    """Histogram of success rates: the distribution of difficulty over queries.

    For real-valued rewards it shows mean rewards, and for routing tables preferences.
    Create the display with :meth:`from_rewards`. To show predictions too, use
    :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    observed : ndarray of shape (n_queries,)
        Observed value of each query.
    predicted : ndarray of shape (n_queries,), default=None
        Predicted value of each query.
    name : str, default=None
        Name of the predictions in the legend.
    quantity : str, default="success rate"
        What the values are, for the label of the axis.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure of the drawing.
    observed_ : matplotlib StepPatch
        The filled histogram.
    predicted_ : matplotlib StepPatch or None
        The outlined histogram of the predictions.

    References
    ----------
    Damani et al., "Learning How Hard to Think: Input-Adaptive Allocation of LM
    Computation", ICLR 2025, Fig. 3 (left).

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import SuccessRateDisplay
    >>> display = SuccessRateDisplay.from_rewards([[0, 0], [0, 1], [0, 0]], n_bins=2)
    >>> display.observed_.get_data().values.round(2)
    array([0.67, 0.33])
    """

    def __init__(self, *, observed, predicted=None, name=None, quantity="success rate"):
        self.observed = observed
        self.predicted = predicted
        self.name = name
        self.quantity = quantity

    def plot(self, ax=None, *, n_bins=20, **kwargs):
        """Draw the histogram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        n_bins : int, default=20
            Number of bins of equal width.
        **kwargs
            Keyword arguments of ``Axes.stairs`` for the observations.

        Returns
        -------
        self : SuccessRateDisplay

        Raises
        ------
        ValueError
            If `n_bins` is not an integer of at least 1.
        """
        n_bins = check_whole(n_bins, "n_bins", least=1)
        ax = self.ax_ = new_axes(ax)
        self.figure_ = ax.figure
        edges = self._edges(n_bins)
        style = {"fill": True, "alpha": 0.6, "label": "observed", **kwargs}
        self.observed_ = ax.stairs(_shares(self.observed, edges), edges, **style)
        self.predicted_ = None
        if self.predicted is not None:
            self.predicted_ = ax.stairs(
                _shares(self.predicted, edges),
                edges,
                color="black",
                label=self.name or "predicted",
            )
        ax.set(
            xlabel=f"{self.quantity} of a query",
            ylabel="share of queries",
            xlim=(edges[0], edges[-1]),
        )
        if self.predicted is not None:
            ax.legend(frameon=False)
        return self

    def _edges(self, n_bins):
        """Edges that cover all values; for rates and preferences also all of [0, 1]."""
        values = [self.observed]
        if self.predicted is not None:
            values.append(self.predicted)
        if self.quantity != "mean reward":
            values.append([0.0, 1.0])
        return np.histogram_bin_edges(np.concatenate(values), n_bins)

    @classmethod
    def from_rewards(cls, rewards, *, ax=None, **kwargs):
        """Draw the observed values of a reward table.

        Parameters
        ----------
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table; NaN marks a missing sample.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : SuccessRateDisplay

        Raises
        ------
        ValueError
            If the table is invalid.
        """
        rewards = check_rewards(rewards)
        display = cls(
            observed=observed_rates(rewards), quantity=predicted_quantity(rewards)
        )
        return display.plot(ax, **kwargs)

    @classmethod
    def from_predictions(cls, rewards, pred, *, name=None, ax=None, **kwargs):
        """Draw the observed values of a reward table and predictions of them.

        Parameters
        ----------
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table; NaN marks a missing sample.
        pred : array-like of shape (n_queries,) or (n_queries, max_budget)
            Success rates, preferences, or marginal rewards, of which the first is used.
        name : str, default=None
            Name of the predictions in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : SuccessRateDisplay

        Raises
        ------
        ValueError
            If an array is invalid, or the numbers of queries differ.
        """
        rewards = check_rewards(rewards)
        pred = check_numbers(pred, "pred", "one row, or one number, per query")
        pred = check_marginals(pred[:, None] if pred.ndim == 1 else pred)[:, 0]
        if len(pred) != len(rewards):
            raise ValueError(
                f"rewards and pred have inconsistent numbers of queries: "
                f"{len(rewards)} and {len(pred)}. Give one prediction per query."
            )
        display = cls(
            observed=observed_rates(rewards),
            predicted=pred,
            name=name,
            quantity=predicted_quantity(rewards),
        )
        return display.plot(ax, **kwargs)

    @classmethod
    def from_estimator(cls, estimator, X, rewards, *, name=None, **kwargs):
        """Draw the observed values and the predictions of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted estimator with ``predict_marginals``, or a pipeline that ends in one.
        X : array-like of shape (n_queries, ...)
            Queries in a form that the estimator accepts.
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table of the same queries.
        name : str, default=None
            Name in the legend. None means the name of the class.
        **kwargs
            Passed to :meth:`from_predictions`.

        Returns
        -------
        display : SuccessRateDisplay
        """
        pred = predict_first_step(estimator, X, rewards)
        name = name or policy_name(estimator)
        return cls.from_predictions(rewards, pred, name=name, **kwargs)


def _shares(values, edges):
    return np.histogram(values, edges)[0] / len(values)
