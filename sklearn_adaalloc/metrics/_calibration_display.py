"""Display of the calibration of predictions."""

import numpy as np

from sklearn_adaalloc._utils.rewards import check_rewards
from sklearn_adaalloc.metrics._estimators import (
    policy_name,
    predict_first_step,
    predicted_quantity,
    shared_selection,
)
from sklearn_adaalloc.metrics._plotting import UNIFORM_STYLE, new_axes
from sklearn_adaalloc.metrics._prediction import calibration_table


class RewardCalibrationDisplay:
    """Observed against predicted value of the first sample, in bins of queries.

    For 0/1 rewards the value is the success rate. In routing it is the preference.
    Create the display with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    predicted, observed, standard_error : ndarrays of shape (n_bins,)
        Columns of :func:`calibration_table`.
    name : str, default=None
        Name in the legend.
    quantity : str, default="first marginal reward"
        What is predicted, for the labels of the axes.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure of the drawing.
    errorbar_ : matplotlib ErrorbarContainer
        The points, with one standard error in both directions.
    diagonal_ : matplotlib Line2D
        The line on which predictions equal observations.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import RewardCalibrationDisplay
    >>> rewards = [[0, 0], [0, 1], [0, 1], [1, 1]]
    >>> display = RewardCalibrationDisplay.from_predictions(
    ...     rewards, [0.1, 0.3, 0.6, 0.8], n_bins=2
    ... )
    >>> display.observed
    array([0.25, 0.75])
    """

    def __init__(
        self,
        *,
        predicted,
        observed,
        standard_error,
        name=None,
        quantity="first marginal reward",
    ):
        self.predicted = predicted
        self.observed = observed
        self.standard_error = standard_error
        self.name = name
        self.quantity = quantity

    def plot(self, ax=None, **kwargs):
        """Draw the bins and the diagonal.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs
            Keyword arguments of ``Axes.errorbar``.

        Returns
        -------
        self : RewardCalibrationDisplay
        """
        ax = self.ax_ = new_axes(ax)
        self.figure_ = ax.figure
        ends = [
            min(self.predicted.min(), self.observed.min()),
            max(self.predicted.max(), self.observed.max()),
        ]
        (self.diagonal_,) = ax.plot(ends, ends, label="calibrated", **UNIFORM_STYLE)
        style = {"marker": "o", "linewidth": 1.2, "markersize": 4, **kwargs}
        self.errorbar_ = ax.errorbar(
            self.predicted,
            self.observed,
            yerr=self.standard_error,
            label=self.name or "policy",
            **style,
        )
        ax.set(
            xlabel=f"predicted {self.quantity} (mean of bin)",
            ylabel=f"observed {self.quantity} (± standard error)",
        )
        ax.legend(loc="upper left", frameon=False)
        return self

    @classmethod
    def from_predictions(
        cls,
        rewards,
        pred,
        *,
        n_bins=10,
        empty_reward=0.0,
        selection="reward",
        name=None,
        ax=None,
        **kwargs,
    ):
        """Draw the calibration of predictions.

        Parameters
        ----------
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table; NaN marks a missing sample.
        pred : array-like of shape (n_queries,) or (n_queries, max_budget)
            Success rates, preferences, or marginal rewards.
        n_bins : int, default=10
            Number of bins. Their edges are quantiles of the predictions.
        empty_reward : float, default=0.0
            Reward of a query that gets no sample. Used for marginal rewards only.
        selection : {"reward", "score", "vote"} or Selection, default="reward"
            How an answer is chosen among the samples. "score" needs a
            :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
            Not used in routing.
        name : str, default=None
            Name in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : RewardCalibrationDisplay

        Raises
        ------
        ValueError
            As in :func:`calibration_table`.
        """
        table = calibration_table(
            rewards, pred, n_bins, empty_reward=empty_reward, selection=selection
        )
        quantity = "first marginal reward"
        if np.ndim(pred) == 1:
            quantity = predicted_quantity(check_rewards(rewards))
        del table["n_queries"]
        return cls(**table, name=name, quantity=quantity).plot(ax, **kwargs)

    @classmethod
    def from_estimator(cls, estimator, X, rewards, *, name=None, **kwargs):
        """Draw the calibration of a fitted allocator or reward regressor.

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
            Passed to :meth:`from_predictions`. `selection` is that of the estimator
            unless it is given.

        Returns
        -------
        display : RewardCalibrationDisplay
        """
        pred = predict_first_step(estimator, X, rewards)
        if "selection" not in kwargs:
            kwargs["selection"] = shared_selection({name: estimator})
        name = name or policy_name(estimator)
        return cls.from_predictions(rewards, pred, name=name, **kwargs)
