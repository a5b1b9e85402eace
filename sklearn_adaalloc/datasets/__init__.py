"""Reward tables to learn and to measure on."""

from sklearn_adaalloc.datasets._arithmetic import (
    embedded_model_path,
    grade_arithmetic,
    load_arithmetic,
)
from sklearn_adaalloc.datasets._synthetic import make_reward_table

__all__ = [
    "embedded_model_path",
    "grade_arithmetic",
    "load_arithmetic",
    "make_reward_table",
]
