"""Displays of policies: reward against compute, and who gets it."""

import numpy as np

from sklearn_adaalloc._curves import success_rates
from sklearn_adaalloc._parameters import check_choice
from sklearn_adaalloc._validation import check_rewards
from sklearn_adaalloc.metrics._budget_curve import check_policy
from sklearn_adaalloc.metrics._plotting import (
    UNIFORM_STYLE,
    new_axes,
    policy_name,
    predict_marginals,
    spend_label,
    thin,
)
from sklearn_adaalloc.metrics._policy_curves import (
    bought_steps,
    oracle_curve,
    policy_curve,
    uniform_curve,
)


class BudgetCurveDisplay:
    """Expected reward against compute: policies beside uniform and oracle.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    curves : dict of str to BudgetCurve
        Curve of each policy, by the name it gets in the legend.
    uniform : BudgetCurve
        Curve of equal budgets.
    oracle : BudgetCurve
        Curve of the allocation that knows the observed marginals.
    routing : bool, default=False
        Whether spend is the share of calls to the strong decoder.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn.
    lines_ : dict of str to matplotlib Line2D
        The lines by name, "uniform" and "oracle" among them if drawn.

    Examples
    --------
    >>> from sklearn_adaalloc.metrics import BudgetCurveDisplay
    >>> rewards = [[0, 0], [0, 1], [1, 1]]
    >>> marginals = [[0.1, 0.1], [0.4, 0.3], [0.9, 0.1]]
    >>> display = BudgetCurveDisplay.from_predictions(rewards, marginals)
    >>> sorted(display.lines_)
    ['oracle', 'policy', 'uniform']
    """

    def __init__(self, *, curves, uniform, oracle, routing=False):
        self.curves = curves
        self.uniform = uniform
        self.oracle = oracle
        self.routing = routing

    def plot(self, ax=None, *, plot_uniform=True, plot_oracle=True, line_kwargs=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        plot_uniform, plot_oracle : bool, default=True
            Whether to draw the two references.
        line_kwargs : dict, default=None
            Keywords for the policies' ``Axes.plot``.

        Returns
        -------
        self : BudgetCurveDisplay
        """
        ax = self.ax_ = new_axes(ax)
        self.figure_ = ax.figure
        self.lines_ = {}
        if plot_oracle:
            self.lines_["oracle"] = _draw(ax, self.oracle, "oracle", _ORACLE_STYLE)
        for name, curve in self.curves.items():
            self.lines_[name] = _draw(ax, curve, name, line_kwargs or {})
        if plot_uniform:
            self.lines_["uniform"] = _draw(ax, self.uniform, "uniform", UNIFORM_STYLE)
        ax.set(xlabel=spend_label(self.routing), ylabel="expected reward per query")
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
            Predicted marginal rewards; a dict holds several policies by name, all with
            the same max_budget.
        name : str, default="policy"
            Name of a single policy.
        min_budget, empty_reward
            As in :func:`budget_curve`.
        ax, **plot_kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : BudgetCurveDisplay

        Raises
        ------
        ValueError
            As in :func:`budget_curve`, or if policies differ in max_budget.
        """
        policies = marginals if isinstance(marginals, dict) else {name: marginals}
        curves, widths = {}, set()
        for policy, values in policies.items():
            observed, values, min_budget = check_policy(
                rewards, values, min_budget, empty_reward
            )
            curves[policy] = policy_curve(observed, values, min_budget)
            widths.add(values.shape[1])
        if len(widths) != 1:
            raise ValueError(
                f"marginals have max_budget {sorted(widths)}. Give at least one "
                "policy, and the same number of steps for all: there is one oracle."
            )
        display = cls(
            curves=curves,
            uniform=uniform_curve(observed, min_budget),
            oracle=oracle_curve(observed, min_budget),
            routing=np.ndim(rewards) == 3,
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
            Fitted estimator with ``predict_marginals``, or a pipeline that ends in one;
            a dict holds several by name.
        X : array-like of shape (n_queries, ...)
            Queries as the estimator takes them.
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table of the same queries.
        max_budget : int, default=None
            Largest budget of one query, for estimators that do not fix it themselves;
            None takes n_samples, and 1 in routing.
        name : str, default=None
            Name of a single policy; None takes the class's.
        **kwargs
            Passed to :meth:`from_predictions`.

        Returns
        -------
        display : BudgetCurveDisplay
        """
        if isinstance(estimator, dict):
            marginals = {
                label: predict_marginals(each, X, rewards, max_budget)
                for label, each in estimator.items()
            }
        else:
            marginals = predict_marginals(estimator, X, rewards, max_budget)
            name = name or policy_name(estimator)
        return cls.from_predictions(rewards, marginals, name=name, **kwargs)


class AllocationDisplay:
    """Mean budget of easy, medium and hard queries against the mean over all.

    Queries are ranked by their observed mean reward (in routing, the weak decoder's)
    and cut into three groups of equal size. Make it with :meth:`from_estimator` or
    :meth:`from_predictions`.

    Parameters
    ----------
    spend : ndarray of shape (n_points,)
        Mean budget per query.
    budgets : dict of str to ndarray of shape (n_points,)
        Mean budget of each group at each spend.
    group_shares : dict of str to float
        Share of the queries in each group.
    routing : bool, default=False
        Whether budgets are shares of calls to the strong decoder.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn.
    artists_ : list of matplotlib Line2D or PolyCollection
        One for each group, easy first.

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

    def __init__(self, *, spend, budgets, group_shares, routing=False):
        self.spend = spend
        self.budgets = budgets
        self.group_shares = group_shares
        self.routing = routing

    def plot(self, ax=None, *, kind="lines"):
        """Draw the budgets.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        kind : {"lines", "stacked"}, default="lines"
            "lines" draws each group's mean budget beside uniform; "stacked" draws each
            group's share of all samples.

        Returns
        -------
        self : AllocationDisplay

        Raises
        ------
        ValueError
            If `kind` is not one of the two.
        """
        draw = {"lines": self._plot_lines, "stacked": self._plot_stacked}
        draw = draw[check_choice(kind, "kind", draw)]
        ax = self.ax_ = new_axes(ax)
        self.figure_ = ax.figure
        draw(ax, "strong calls" if self.routing else "samples")
        ax.set_xlabel(spend_label(self.routing))
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
        ax.legend(loc="lower right")

    @classmethod
    def from_predictions(cls, rewards, marginals, *, min_budget=0, ax=None, **kwargs):
        """Draw the allocation that predicted marginal rewards lead to.

        Parameters
        ----------
        rewards : array-like of shape (n_queries, n_samples) or \
                (n_queries, 2, n_samples)
            Reward table; NaN marks a missing sample. At least three queries.
        marginals : array-like of shape (n_queries, max_budget)
            Predicted marginal rewards.
        min_budget : int, default=0
            Samples that every query gets first.
        ax, **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : AllocationDisplay

        Raises
        ------
        ValueError
            As in :func:`budget_curve`, or if there are fewer than three queries.
        """
        _, marginals, min_budget = check_policy(rewards, marginals, min_budget, 0.0)
        groups = _difficulty_groups(check_rewards(rewards))
        queries, _ = bought_steps(marginals, min_budget)
        points = thin(len(queries) + 1)
        budgets = {
            name: min_budget
            + np.concatenate([[0], np.cumsum(members[queries])])[points] / members.sum()
            for name, members in groups.items()
        }
        display = cls(
            spend=(min_budget * len(marginals) + points) / len(marginals),
            budgets=budgets,
            group_shares={name: float(group.mean()) for name, group in groups.items()},
            routing=np.ndim(rewards) == 3,
        )
        return display.plot(ax, **kwargs)

    @classmethod
    def from_estimator(cls, estimator, X, rewards, *, max_budget=None, **kwargs):
        """Draw the allocation of a fitted allocator or reward regressor.

        Parameters
        ----------
        estimator, X, rewards, max_budget
            As in :meth:`BudgetCurveDisplay.from_estimator`, one estimator only.
        **kwargs
            Passed to :meth:`from_predictions`.

        Returns
        -------
        display : AllocationDisplay
        """
        marginals = predict_marginals(estimator, X, rewards, max_budget)
        return cls.from_predictions(rewards, marginals, **kwargs)


_ORACLE_STYLE = {"color": "black", "linestyle": ":", "linewidth": 1.2}
_GROUP_COLORS = {"easy": "tab:green", "medium": "tab:orange", "hard": "tab:red"}


def _draw(ax, curve, name, style):
    points = thin(len(curve.spend))
    return ax.plot(curve.spend[points], curve.reward[points], label=name, **style)[0]


def _difficulty_groups(rewards):
    """Masks of the easy, medium and hard third by observed mean reward."""
    if len(rewards) < 3:
        raise ValueError(
            f"rewards has {len(rewards)} queries. Give at least three, one for each of "
            "the groups easy, medium and hard."
        )
    mean_rewards = success_rates(rewards[:, 0] if rewards.ndim == 3 else rewards)
    thirds = np.array_split(np.argsort(-mean_rewards, kind="stable"), 3)
    rows = np.arange(len(rewards))
    return {
        name: np.isin(rows, third)
        for name, third in zip(_GROUP_COLORS, thirds, strict=True)
    }
