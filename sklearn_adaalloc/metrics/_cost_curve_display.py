"""Display of policies over several decoders: reward against mean cost."""

import numpy as np

from sklearn_adaalloc._utils.rewards import is_binary
from sklearn_adaalloc.metrics._answer_share_display import DECODER_COLORS
from sklearn_adaalloc.metrics._cost_curve import cost_curve, cost_curve_of_budgets
from sklearn_adaalloc.metrics._estimators import policy_name
from sklearn_adaalloc.metrics._fixed_cascades import (
    as_menu,
    best_fixed_cascades,
    cascade_cost_curve,
    decoder_cost_curves,
    oracle_cost_curve,
)
from sklearn_adaalloc.metrics._plotting import ORACLE_STYLE, new_axes, spend_label
from sklearn_adaalloc.metrics._policy_curves import BudgetCurve


class CostCurveDisplay:
    """Reward against mean cost: policies, each decoder, fixed cascades and an oracle.

    Create the display with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    curves : dict of str to CostCurve
        Curve of each policy, by its name in the legend.
    decoders : dict of str to BudgetCurve
        Curve of each decoder alone.
    cascades : BudgetCurve, default=None
        Curve of the best fixed cascades.
    oracle : BudgetCurve, default=None
        Curve of who knows the success rates.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure of the drawing.
    lines_ : dict of str to matplotlib Line2D
        The lines by name.
    bands_ : dict of str to matplotlib PolyCollection
        The intervals of the policies by name.

    See Also
    --------
    AnswerShareDisplay : Who answers at each budget.

    Examples
    --------
    >>> from sklearn_adaalloc import RewardTable
    >>> from sklearn_adaalloc.metrics import CostCurveDisplay
    >>> table = RewardTable([[[0, 1], [1, 1]]] * 2, costs=[1.0, 5.0])
    >>> budgets = [[[1, 0], [1, 0]], [[1, 0], [0, 1]]]
    >>> display = CostCurveDisplay.from_predictions(table, budgets, random_state=0)
    >>> list(display.lines_)
    ['oracle', 'decoder 0', 'decoder 1', 'policy']
    """

    def __init__(self, *, curves, decoders, cascades=None, oracle=None):
        self.curves = curves
        self.decoders = decoders
        self.cascades = cascades
        self.oracle = oracle

    def plot(self, ax=None, *, line_kwargs=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        line_kwargs : dict, default=None
            Keyword arguments of ``Axes.plot`` for the policies.

        Returns
        -------
        self : CostCurveDisplay
        """
        ax = self.ax_ = new_axes(ax)
        self.figure_ = ax.figure
        self.lines_, self.bands_ = {}, {}
        most = max(curve.spend.max() for curve in self.curves.values())
        if self.oracle is not None:
            level = np.append(self.oracle.spend, max(most, self.oracle.spend[-1]))
            reward = np.append(self.oracle.reward, self.oracle.reward[-1])
            self._draw("oracle", BudgetCurve(level, reward), ORACLE_STYLE)
        for number, (name, curve) in enumerate(self.decoders.items()):
            color = DECODER_COLORS[number % len(DECODER_COLORS)]
            self._draw(name, curve, {"color": color, "linewidth": 1.0})
        if self.cascades is not None:
            style = {"color": "0.45", "linestyle": "--", "linewidth": 1.2}
            self._draw("best fixed cascade", self.cascades, style)
        for number, (name, curve) in enumerate(self.curves.items()):
            style = {"color": "black", "marker": "os^Dv"[number % 5], "markersize": 3.5}
            line = self._draw(name, curve, style | (line_kwargs or {}))
            self.bands_[name] = ax.fill_between(
                curve.spend,
                curve.low,
                curve.high,
                color=line.get_color(),
                alpha=0.15,
                linewidth=0,
            )
        ax.set_xlabel(spend_label(False, "cost"))
        ax.set_ylabel("reward per query")
        ax.set_xlim(0, most)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        return self

    def _draw(self, name, curve, style):
        line = self.ax_.plot(curve.spend, curve.reward, label=name, **style)[0]
        self.lines_[name] = line
        return line

    @classmethod
    def from_predictions(
        cls,
        rewards,
        budgets,
        *,
        name="policy",
        empty_reward=0.0,
        confidence=0.95,
        n_bootstrap=1000,
        random_state=None,
        ax=None,
        **plot_kwargs,
    ):
        """Draw the curve of budgets that were decided before decoding.

        The curves of the decoders are those of equal budgets. The oracle sees verdicts
        if rewards are 0/1, and chooses one answer otherwise.

        Parameters
        ----------
        rewards : array-like or RewardTable of shape (n_queries, n_decoders, n_samples)
            Reward table. Without costs, each sample costs 1.
        budgets : sequence of n_points array-like of shape (n_queries, n_decoders), \
                or dict
            Budgets at each point. A dict holds several policies by name.
        name : str, default="policy"
            Name of a single policy.
        empty_reward : float, default=0.0
            Reward of a query that gets no sample.
        confidence : float, default=0.95
            Coverage of the intervals, between 0 and 1.
        n_bootstrap : int, default=1000
            Number of resamples of the queries.
        random_state : int, RandomState instance or None, default=None
            Seed of the resamples.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **plot_kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : CostCurveDisplay

        Raises
        ------
        ValueError
            If the table has no axis of decoders, or budgets do not fit it.
        """
        options = {"empty_reward": empty_reward, "confidence": confidence}
        options |= {"n_bootstrap": n_bootstrap, "random_state": random_state}
        policies = budgets if isinstance(budgets, dict) else {name: budgets}
        curves = {
            label: cost_curve_of_budgets(rewards, own, **options)
            for label, own in policies.items()
        }
        binary = is_binary(as_menu(rewards).rewards)
        display = cls(
            curves=curves,
            decoders=decoder_cost_curves(rewards, sequential=False),
            oracle=oracle_cost_curve(rewards, sequential=binary),
        )
        return display.plot(ax, **plot_kwargs)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        rewards,
        budgets,
        *,
        name=None,
        train_rewards=None,
        empty_reward=0.0,
        n_orders=1,
        confidence=0.95,
        n_bootstrap=1000,
        random_state=None,
        ax=None,
        **plot_kwargs,
    ):
        """Draw the curves of fitted allocators.

        If rewards are 0/1, the decoders alone stop at the first success of a query.

        Parameters
        ----------
        estimator : estimator or dict
            Fitted allocator, or a pipeline that ends in one. A dict holds several by
            name. Those that work in rounds are replayed on the table.
        X : array-like of shape (n_queries, ...)
            Queries in a form that the estimator accepts.
        rewards : array-like or RewardTable of shape (n_queries, n_decoders, n_samples)
            Reward table of the same queries. Without costs, each sample costs 1.
        budgets : array-like of shape (n_points,)
            Values of the estimator's parameter `budget`.
        name : str, default=None
            Name of a single policy. None means the name of its class.
        train_rewards : array-like or RewardTable, default=None
            Table of 0 and 1 of other queries, on which the best fixed cascades are
            chosen. None draws none.
        empty_reward : float, default=0.0
            Reward of a query that gets no sample.
        n_orders : int, default=1
            Number of random orders of the samples in which rounds are replayed.
        confidence : float, default=0.95
            Coverage of the intervals, between 0 and 1.
        n_bootstrap : int, default=1000
            Number of resamples of the queries.
        random_state : int, RandomState instance or None, default=None
            Seed of the orders and of the resamples.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **plot_kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : CostCurveDisplay

        Raises
        ------
        ValueError
            As in :func:`cost_curve` and :func:`best_fixed_cascades`.
        """
        if not isinstance(estimator, dict):
            estimator = {name or policy_name(estimator): estimator}
        options = {"empty_reward": empty_reward, "n_orders": n_orders}
        options |= {"confidence": confidence, "n_bootstrap": n_bootstrap}
        curves = {
            label: cost_curve(
                each, X, rewards, budgets, random_state=random_state, **options
            )
            for label, each in estimator.items()
        }
        binary = is_binary(as_menu(rewards).rewards)
        cascades = None
        if train_rewards is not None:
            chosen = best_fixed_cascades(train_rewards)
            cascades = cascade_cost_curve(rewards, chosen)
        display = cls(
            curves=curves,
            decoders=decoder_cost_curves(rewards, sequential=binary),
            cascades=cascades,
            oracle=oracle_cost_curve(rewards, sequential=binary),
        )
        return display.plot(ax, **plot_kwargs)
