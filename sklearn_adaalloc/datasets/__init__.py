"""Reward tables to learn and to measure on."""

from sklearn_adaalloc.datasets._synthetic import make_reward_table

__all__ = ["make_reward_table"]
