"""Scores and plots of budgets and of predictions, with confidence intervals."""

from sklearn_adaalloc.metrics._allocation_display import AllocationDisplay
from sklearn_adaalloc.metrics._answer_share_display import AnswerShareDisplay
from sklearn_adaalloc.metrics._bootstrap import (
    bootstrap_scorer,
    expected_reward_interval,
    paired_difference,
)
from sklearn_adaalloc.metrics._budget_curve import (
    budget_curve,
    compute_saved,
    gap_recovered_score,
    oracle_budgets,
)
from sklearn_adaalloc.metrics._budget_curve_display import BudgetCurveDisplay
from sklearn_adaalloc.metrics._calibration_display import RewardCalibrationDisplay
from sklearn_adaalloc.metrics._cost_curve import cost_curve
from sklearn_adaalloc.metrics._cost_curve_display import CostCurveDisplay
from sklearn_adaalloc.metrics._expected_reward import (
    cost_report,
    expected_reward_score,
    mean_budget_score,
    net_reward_score,
)
from sklearn_adaalloc.metrics._fixed_cascades import (
    best_fixed_cascades,
    cascade_cost_curve,
    decoder_cost_curves,
    oracle_cost_curve,
)
from sklearn_adaalloc.metrics._prediction import calibration_table, prediction_report
from sklearn_adaalloc.metrics._routing import (
    average_gap_recovered,
    cost_to_recover,
    routing_report,
)
from sklearn_adaalloc.metrics._smallest_budget import smallest_budget
from sklearn_adaalloc.metrics._success_rate_display import SuccessRateDisplay

__all__ = [
    "AllocationDisplay",
    "AnswerShareDisplay",
    "BudgetCurveDisplay",
    "CostCurveDisplay",
    "RewardCalibrationDisplay",
    "SuccessRateDisplay",
    "average_gap_recovered",
    "best_fixed_cascades",
    "bootstrap_scorer",
    "budget_curve",
    "calibration_table",
    "cascade_cost_curve",
    "compute_saved",
    "cost_curve",
    "cost_report",
    "cost_to_recover",
    "decoder_cost_curves",
    "expected_reward_interval",
    "expected_reward_score",
    "gap_recovered_score",
    "mean_budget_score",
    "net_reward_score",
    "oracle_budgets",
    "oracle_cost_curve",
    "paired_difference",
    "prediction_report",
    "routing_report",
    "smallest_budget",
]
