"""Display of policies: reward against compute."""

from sklearn_adaalloc._utils.rewards import has_decoders
from sklearn_adaalloc.metrics._budget_curve import check_policy
from sklearn_adaalloc.metrics._estimators import (
    policy_name,
    predict_costs,
    predict_marginals,
    shared_selection,
)
from sklearn_adaalloc.metrics._plotting import (
    ORACLE_STYLE,
    UNIFORM_STYLE,
    new_axes,
    spend_label,
    thin,
)
from sklearn_adaalloc.metrics._policy_curves import (
    oracle_curve,
    policy_curve,
    uniform_curve,
)


class BudgetCurveDisplay:
    """Expected reward against compute: policies, uniform and oracle.

    Create the display with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    curves : dict of str to BudgetCurve
        Curve of each policy, by its name in the legend.
    uniform : BudgetCurve
        Curve of equal budgets.
    oracle : BudgetCurve
        Curve of the allocation that knows the observed marginals.
    routing : bool, default=False
        Whether spend is the share of calls to the strong decoder.
    unit : {"samples", "cost"}, default="samples"
        What spend counts.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure of the drawing.
    lines_ : dict of str to matplotlib Line2D
        The lines by name. They include "uniform" and "oracle" if these are drawn.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import BudgetCurveDisplay
    >>> rewards = [[0, 0], [0, 1], [1, 1]]
    >>> marginals = [[0.1, 0.1], [0.4, 0.3], [0.9, 0.1]]
    >>> display = BudgetCurveDisplay.from_predictions(rewards, marginals)
    >>> sorted(display.lines_)
    ['oracle', 'policy', 'uniform']
    """

    unit = "samples"  # of displays pickled by earlier versions

    def __init__(self, *, curves, uniform, oracle, routing=False, unit="samples"):
        self.curves = curves
        self.uniform = uniform
        self.oracle = oracle
        self.routing = routing
        self.unit = unit

    def plot(self, ax=None, *, plot_uniform=True, plot_oracle=True, line_kwargs=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        plot_uniform, plot_oracle : bool, default=True
            Whether to draw the curves of uniform and oracle.
        line_kwargs : dict, default=None
            Keyword arguments of ``Axes.plot`` for the policies.

        Returns
        -------
        self : BudgetCurveDisplay
        """
        ax = self.ax_ = new_axes(ax)
        self.figure_ = ax.figure
        self.lines_ = {}
        if plot_oracle:
            self.lines_["oracle"] = _draw(ax, self.oracle, "oracle", ORACLE_STYLE)
        for name, curve in self.curves.items():
            self.lines_[name] = _draw(ax, curve, name, line_kwargs or {})
        if plot_uniform:
            self.lines_["uniform"] = _draw(ax, self.uniform, "uniform", UNIFORM_STYLE)
        ax.set_xlabel(spend_label(self.routing, self.unit))
        ax.set_ylabel("expected reward per query")
        ax.margins(x=0)
        ax.legend(loc="lower right", frameon=False)
        return self

    @classmethod
    def from_predictions(
        cls,
        rewards,
        marginals,
        *,
        name="policy",
        min_budget=0,
        empty_reward=0.0,
        selection="reward",
        unit="samples",
        costs=None,
        ax=None,
        **plot_kwargs,
    ):
        """Draw the curves of predicted marginal rewards.

        Parameters
        ----------
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table; NaN marks a missing sample.
        marginals : array-like of shape (n_queries, max_budget) or dict
            Predicted marginal rewards. A dict holds several policies by name, which
            must have the same max_budget.
        name : str, default="policy"
            Name of a single policy.
        min_budget : int, default=0
            Number of samples that every query gets before the rest is allocated.
        empty_reward : float, default=0.0
            Reward of a query that gets no sample. Not used in routing.
        selection : {"reward", "score", "vote"} or Selection, default="reward"
            How an answer is chosen among the samples. "score" needs a
            :class:`~sklearn_adaalloc.RewardTable` with scores, "vote" one with answers.
            Not used in routing.
        unit : {"samples", "cost"}, default="samples"
            What spend counts. "cost" needs a :class:`~sklearn_adaalloc.RewardTable`
            with costs. All curves then show observed costs.
        costs : array-like of shape (n_queries,) or dict, default=None
            Predicted cost of a sample of each query: a policy buys the largest
            marginals per cost. A dict holds those of several policies by name. None, or
            a policy that the dict does not name, ranks by marginals alone.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **plot_kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : BudgetCurveDisplay

        Raises
        ------
        ValueError
            As in :func:`budget_curve`, or if the policies differ in max_budget.
        """
        policies = marginals if isinstance(marginals, dict) else {name: marginals}
        curves, widths = {}, set()
        for policy, values in policies.items():
            own = costs.get(policy) if isinstance(costs, dict) else costs
            observed, values, min_budget, paid = check_policy(
                rewards, values, min_budget, empty_reward, selection, unit, own
            )
            curves[policy] = policy_curve(observed, values, min_budget, paid)
            widths.add(values.shape[1])
        if len(widths) != 1:
            raise ValueError(
                f"marginals have max_budget {sorted(widths)}. Expected at least one "
                "policy, and the same max_budget for all, because they share one "
                "oracle. Predict the same number of steps with each policy."
            )
        display = cls(
            curves=curves,
            uniform=uniform_curve(observed, min_budget, paid),
            oracle=oracle_curve(observed, min_budget, paid),
            routing=has_decoders(rewards),
            unit=unit,
        )
        return display.plot(ax, **plot_kwargs)

    @classmethod
    def from_estimator(
        cls, estimator, X, rewards, *, max_budget=None, name=None, **kwargs
    ):
        """Draw the curve of a fitted allocator or reward regressor.

        Parameters
        ----------
        estimator : estimator or dict
            Fitted estimator with ``predict_marginals``, or a pipeline that ends in one.
            A dict holds several by name.
        X : array-like of shape (n_queries, ...)
            Queries in a form that the estimator accepts.
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table of the same queries.
        max_budget : int, default=None
            Largest budget of one query, for estimators that have no such bound of their
            own. None means n_samples, or 1 in routing.
        name : str, default=None
            Name of a single policy. None means the name of its class.
        **kwargs
            Passed to :meth:`from_predictions`. `selection` is that of the estimators
            unless it is given. With ``unit="cost"``, policies whose budget counts costs
            rank by their own predictions of them.

        Returns
        -------
        display : BudgetCurveDisplay

        Raises
        ------
        ValueError
            As in :meth:`from_predictions`, or if the estimators differ in `selection`.
        """
        if not isinstance(estimator, dict):
            estimator = {name or policy_name(estimator): estimator}
        marginals = {
            label: predict_marginals(each, X, rewards, max_budget)
            for label, each in estimator.items()
        }
        if "selection" not in kwargs:
            kwargs["selection"] = shared_selection(estimator)
        if kwargs.get("unit", "samples") == "cost":
            kwargs.setdefault("costs", _predicted_costs(estimator, X))
        return cls.from_predictions(rewards, marginals, **kwargs)


def _predicted_costs(estimators, X):
    """Costs by name, of the policies that predict them."""
    costs = {label: predict_costs(each, X) for label, each in estimators.items()}
    return {label: own for label, own in costs.items() if own is not None}


def _draw(ax, curve, name, style):
    points = thin(len(curve.spend))
    return ax.plot(curve.spend[points], curve.reward[points], label=name, **style)[0]
