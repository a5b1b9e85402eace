"""Regressors of the saved policies, and helpers for the folders they lie in."""

import json
import os
import subprocess
import sys
from pathlib import Path

from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge

import sklearn_adaalloc
from sklearn_adaalloc import MLPRewardRegressor, RewardRegressor

RIDGE = RewardRegressor(Ridge())
BOOSTING = RewardRegressor(
    HistGradientBoostingRegressor(max_iter=2, max_leaf_nodes=4, min_samples_leaf=5)
)
MLP = MLPRewardRegressor(hidden_units=4, n_members=2, max_epochs=2, random_state=0)


def data_file(folder, kind):
    return (
        folder
        / json.loads((folder / "manifest.json").read_text())["files"][kind]["name"]
    )


def run(script, folder, *arguments):
    package = Path(sklearn_adaalloc.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
