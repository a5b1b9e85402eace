"""Beyond one machine: policies on data sets of a Ray cluster, and its samplers."""

from sklearn_adaalloc.distributed._budgets import predict_budgets
from sklearn_adaalloc.distributed._collect import collect_parts

__all__ = ["collect_parts", "predict_budgets"]
