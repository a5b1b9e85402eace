"""Displays of predictions: calibration, and the distribution of success rates."""

import numpy as np

from sklearn_adaalloc._curves import preferences, success_rates
from sklearn_adaalloc._parameters import check_whole
from sklearn_adaalloc._validation import check_marginals, check_rewards, is_binary
from sklearn_adaalloc.metrics._plotting import (
    UNIFORM_STYLE,
    new_axes,
    policy_name,
    predict_marginals,
)
from sklearn_adaalloc.metrics._prediction import calibration_table


class RewardCalibrationDisplay:
    """Observed against predicted value of the first sample, in bins of queries.

    For 0/1 rewards that value is the success rate; in routing it is the preference.
    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    predicted, observed, standard_error : ndarrays of shape (n_bins,)
        Columns of :func:`calibration_table`.
    name : str, default=None
        Name for the legend.
    quantity : str, default="first marginal reward"
        What is predicted, for the axes.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn.
    errorbar_ : matplotlib ErrorbarContainer
        The points, with one standard error to either side.
    diagonal_ : matplotlib Line2D
        Where predictions equal observations.

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
            Where to draw; None makes a new figure.
        **kwargs
            Keywords for ``Axes.errorbar``.

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
        n_bins, empty_reward
            As in :func:`calibration_table`.
        name : str, default=None
            Name for the legend.
        ax, **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : RewardCalibrationDisplay

        Raises
        ------
        ValueError
            As in :func:`calibration_table`.
        """
        pred = np.asarray(pred)
        table = calibration_table(rewards, pred, n_bins, empty_reward=empty_reward)
        quantity = "first marginal reward"
        if pred.ndim == 1:
            quantity = _quantity(check_rewards(rewards))
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
            Queries as the estimator takes them.
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table of the same queries.
        name : str, default=None
            Name for the legend; None takes the class's.
        **kwargs
            Passed to :meth:`from_predictions`.

        Returns
        -------
        display : RewardCalibrationDisplay
        """
        pred = _predict_first_step(estimator, X, rewards)
        name = name or policy_name(estimator)
        return cls.from_predictions(rewards, pred, name=name, **kwargs)


class SuccessRateDisplay:
    """Histogram of success rates: how difficulty is spread over queries.

    Real-valued tables show mean rewards, routing tables preferences. Make it with
    :meth:`from_rewards`, or with predictions beside the observations with
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
        What the values are, for the axis.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn.
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
            Where to draw; None makes a new figure.
        n_bins : int, default=20
            Number of bins of equal width.
        **kwargs
            Keywords for the ``Axes.stairs`` of the observations.

        Returns
        -------
        self : SuccessRateDisplay

        Raises
        ------
        ValueError
            If `n_bins` is not a whole number of at least 1.
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
        """Edges over all values, and over [0, 1] at least unless rewards are real."""
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
        ax, **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : SuccessRateDisplay

        Raises
        ------
        ValueError
            If the table is not acceptable.
        """
        rewards = check_rewards(rewards)
        display = cls(observed=_observed(rewards), quantity=_quantity(rewards))
        return display.plot(ax, **kwargs)

    @classmethod
    def from_predictions(cls, rewards, pred, *, name=None, ax=None, **kwargs):
        """Draw the observed values of a reward table and predictions for it.

        Parameters
        ----------
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table; NaN marks a missing sample.
        pred : array-like of shape (n_queries,) or (n_queries, max_budget)
            Success rates, preferences, or marginal rewards, whose first step counts.
        name : str, default=None
            Name of the predictions in the legend.
        ax, **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : SuccessRateDisplay

        Raises
        ------
        ValueError
            If an array is not acceptable, or the numbers of queries differ.
        """
        rewards = check_rewards(rewards)
        pred = np.asarray(pred)
        pred = check_marginals(pred[:, None] if pred.ndim == 1 else pred)[:, 0]
        if len(pred) != len(rewards):
            raise ValueError(
                f"rewards and pred have inconsistent numbers of queries: "
                f"{len(rewards)} and {len(pred)}. Give one prediction per query."
            )
        display = cls(
            observed=_observed(rewards),
            predicted=pred,
            name=name,
            quantity=_quantity(rewards),
        )
        return display.plot(ax, **kwargs)

    @classmethod
    def from_estimator(cls, estimator, X, rewards, *, name=None, **kwargs):
        """Draw the observed values and what a fitted estimator predicts.

        Parameters
        ----------
        estimator, X, rewards, name
            As in :meth:`RewardCalibrationDisplay.from_estimator`.
        **kwargs
            Passed to :meth:`from_predictions`.

        Returns
        -------
        display : SuccessRateDisplay
        """
        pred = _predict_first_step(estimator, X, rewards)
        name = name or policy_name(estimator)
        return cls.from_predictions(rewards, pred, name=name, **kwargs)


def _predict_first_step(estimator, X, rewards):
    """Ask an estimator for the first marginal reward, in routing for the preference."""
    marginals = np.asarray(predict_marginals(estimator, X, rewards, max_budget=1))
    if np.ndim(rewards) == 3:
        return marginals[:, 0] + 0.5  # the one step of routing is worth p - 1/2
    return marginals[:, :1]


def _observed(rewards):
    return preferences(rewards) if rewards.ndim == 3 else success_rates(rewards)


def _quantity(rewards):
    if rewards.ndim == 3:
        return "preference for strong"
    return "success rate" if is_binary(rewards) else "mean reward"


def _shares(values, edges):
    return np.histogram(values, edges)[0] / len(values)
