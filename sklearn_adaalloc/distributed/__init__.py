"""Beyond one machine: policies on data sets of a Ray cluster."""

from sklearn_adaalloc.distributed._budgets import predict_budgets

__all__ = ["predict_budgets"]
