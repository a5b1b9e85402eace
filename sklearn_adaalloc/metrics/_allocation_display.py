"""Display of a policy: which queries get the budget."""

import numpy as np

from sklearn_adaalloc._utils.parameters import check_choice
from sklearn_adaalloc._utils.rewards import check_rewards, has_decoders
from sklearn_adaalloc.curves._decoders import first_decoder
from sklearn_adaalloc.curves._rates import success_rates
from sklearn_adaalloc.metrics._budget_curve import check_policy
from sklearn_adaalloc.metrics._estimators import predict_costs, predict_marginals
from sklearn_adaalloc.metrics._plotting import (
    UNIFORM_STYLE,
    new_axes,
    spend_label,
    thin,
)
from sklearn_adaalloc.metrics._policy_curves import (
    bought_steps,
)

# Colours that colour-blind readers can distinguish (Okabe and Ito).
_GROUP_COLORS = {"easy": "#56b4e9", "medium": "#e69f00", "hard": "#d55e00"}


class AllocationDisplay:
    """Mean budget of easy, medium and hard queries against mean budget of all queries.

    Queries are ranked by their observed mean reward (in routing, that of the weak
    decoder) and divided into three groups of equal size. Create the display with
    :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    spend : ndarray of shape (n_points,)
        Mean budget per query, or mean cost.
    budgets : dict of str to ndarray of shape (n_points,)
        Mean budget, or cost, of each group at each spend.
    group_shares : dict of str to float
        Share of the queries in each group.
    routing : bool, default=False
        Whether a budget is the share of calls to the strong decoder.
    unit : {"samples", "cost"}, default="samples"
        What budgets count.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure of the drawing.
    artists_ : list of matplotlib Line2D or PolyCollection
        One artist per group, easy first.

    References
    ----------
    Damani et al., "Learning How Hard to Think: Input-Adaptive Allocation of LM
    Computation", ICLR 2025, Fig. 6.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import AllocationDisplay
    >>> rewards = [[0, 0], [0, 1], [1, 1]]
    >>> marginals = [[0.1, 0.1], [0.4, 0.3], [0.9, 0.0]]
    >>> display = AllocationDisplay.from_predictions(rewards, marginals)
    >>> {name: float(budgets[-1]) for name, budgets in display.budgets.items()}
    {'easy': 1.0, 'medium': 2.0, 'hard': 2.0}
    """

    unit = "samples"  # of displays pickled by earlier versions

    def __init__(self, *, spend, budgets, group_shares, routing=False, unit="samples"):
        self.spend = spend
        self.budgets = budgets
        self.group_shares = group_shares
        self.routing = routing
        self.unit = unit

    def plot(self, ax=None, *, kind="lines"):
        """Draw the budgets.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        kind : {"lines", "stacked"}, default="lines"
            "lines" draws the mean budget of each group and of uniform. "stacked" draws
            each group's share of all samples.

        Returns
        -------
        self : AllocationDisplay

        Raises
        ------
        ValueError
            If `kind` is not "lines" or "stacked".
        """
        draw = {"lines": self._plot_lines, "stacked": self._plot_stacked}
        draw = draw[check_choice(kind, "kind", draw)]
        ax = self.ax_ = new_axes(ax)
        self.figure_ = ax.figure
        draw(ax, "strong calls" if self.routing else self.unit)
        ax.set_xlabel(spend_label(self.routing, self.unit))
        ax.margins(x=0)
        return self

    def _plot_lines(self, ax, unit):
        self.artists_ = [
            ax.plot(self.spend, budgets, label=name, color=_GROUP_COLORS[name])[0]
            for name, budgets in self.budgets.items()
        ]
        ax.plot(self.spend, self.spend, label="uniform", **UNIFORM_STYLE)
        ax.set(ylabel=f"mean {unit} per query of the group", ylim=(0, None))
        ax.legend(loc="upper left", frameon=False)

    def _plot_stacked(self, ax, unit):
        spent = self.spend > 0  # nothing to share before the first sample
        shares = [
            self.group_shares[name] * budgets[spent] / self.spend[spent]
            for name, budgets in self.budgets.items()
        ]
        self.artists_ = ax.stackplot(
            self.spend[spent],
            shares,
            labels=list(self.budgets),
            colors=[_GROUP_COLORS[name] for name in self.budgets],
            alpha=0.85,
        )
        ax.set(ylabel=f"share of all {unit}", ylim=(0, 1))
        ax.legend(loc="lower right", framealpha=0.9)

    @classmethod
    def from_predictions(
        cls,
        rewards,
        marginals,
        *,
        min_budget=0,
        unit="samples",
        costs=None,
        ax=None,
        **kwargs,
    ):
        """Draw the allocation that follows from predicted marginal rewards.

        Parameters
        ----------
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table; NaN marks a missing sample. At least three queries.
        marginals : array-like of shape (n_queries, max_budget)
            Predicted marginal rewards.
        min_budget : int, default=0
            Number of samples that every query gets first.
        unit : {"samples", "cost"}, default="samples"
            What is spent. "cost" needs a :class:`~sklearn_adaalloc.RewardTable` with
            costs; a sample of a query then costs the mean of the query's samples, and
            uniform spends the same on each query.
        costs : array-like of shape (n_queries,), default=None
            Predicted cost of a sample of each query, by which the policy divides
            marginal rewards. None means that it does not know costs.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : AllocationDisplay

        Raises
        ------
        ValueError
            As in :func:`budget_curve`, or if there are fewer than three queries.
        """
        _, marginals, min_budget, paid = check_policy(
            rewards, marginals, min_budget, 0.0, unit=unit, costs=costs
        )
        groups = _difficulty_groups(check_rewards(rewards))
        queries, _ = bought_steps(marginals, min_budget)
        points = thin(len(queries) + 1)
        paid = np.ones(len(marginals)) if paid is None else paid

        def mean_spend(members):
            steps = np.where(members, paid, 0.0)
            total = np.cumsum([min_budget * steps.sum(), *steps[queries]])
            return total[points] / members.sum()

        display = cls(
            spend=mean_spend(np.ones(len(marginals), dtype=bool)),
            budgets={name: mean_spend(members) for name, members in groups.items()},
            group_shares={name: float(group.mean()) for name, group in groups.items()},
            routing=has_decoders(rewards),
            unit=unit,
        )
        return display.plot(ax, **kwargs)

    @classmethod
    def from_estimator(cls, estimator, X, rewards, *, max_budget=None, **kwargs):
        """Draw the allocation of a fitted allocator or reward regressor.

        Parameters
        ----------
        estimator : estimator
            Fitted estimator with ``predict_marginals``, or a pipeline that ends in one.
        X : array-like of shape (n_queries, ...)
            Queries in a form that the estimator accepts.
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table of the same queries.
        max_budget : int, default=None
            Largest budget of one query, for estimators that have no such bound of their
            own. None means n_samples, or 1 in routing.
        **kwargs
            Passed to :meth:`from_predictions`. With ``unit="cost"``, `costs` are
            predicted by the estimator, if its own budget counts costs.

        Returns
        -------
        display : AllocationDisplay
        """
        marginals = predict_marginals(estimator, X, rewards, max_budget)
        if kwargs.get("unit", "samples") == "cost":
            kwargs.setdefault("costs", predict_costs(estimator, X))
        return cls.from_predictions(rewards, marginals, **kwargs)


def _difficulty_groups(rewards):
    """Masks (n_queries,) of the easy, medium and hard third by observed mean reward."""
    if len(rewards) < 3:
        raise ValueError(
            f"rewards has {len(rewards)} queries. Give at least three, one for each of "
            "the groups easy, medium and hard."
        )
    mean_rewards = success_rates(first_decoder(rewards))
    thirds = np.array_split(np.argsort(-mean_rewards, kind="stable"), 3)
    rows = np.arange(len(rewards))
    return {
        name: np.isin(rows, third)
        for name, third in zip(_GROUP_COLORS, thirds, strict=True)
    }
