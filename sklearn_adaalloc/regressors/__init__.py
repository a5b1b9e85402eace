"""Regressors that predict marginal rewards from features or texts."""

from sklearn_adaalloc.regressors._cost import CostRegressor
from sklearn_adaalloc.regressors._lora import LoRARewardRegressor
from sklearn_adaalloc.regressors._mlp import MLPRewardRegressor
from sklearn_adaalloc.regressors._wrapped import RewardRegressor

__all__ = [
    "CostRegressor",
    "LoRARewardRegressor",
    "MLPRewardRegressor",
    "RewardRegressor",
]
