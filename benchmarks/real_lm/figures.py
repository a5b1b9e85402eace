"""The paper's figures 3, 5 and 6 on two real models.

``python -m benchmarks.real_lm figures``. The code is that of ``benchmarks.paper``; the
predictor is an MLP on hidden states. Routing is between the two models, by the hidden
states of the smaller one. Where problems have more answers than others, as many are
used as all have. Writes tables, and figures from them, to ``results/real_lm/paper``.
"""

import numpy as np
from sklearn.utils import Bunch

from benchmarks.paper import figures
from benchmarks.paper.__main__ import run as write_tables
from benchmarks.paper.pipeline import predict
from benchmarks.paper.settings import SETTINGS, Setting
from benchmarks.paper.sources import with_calibration
from benchmarks.real_lm.experiments import (
    PARTS,
    TITLES,
    load_experiment,
    load_menu,
)
from benchmarks.real_lm.outcomes import MODELS

LIKE = {"mbpp": "code", "humaneval": "code", "gsm8k": "math"}


def settings(data, limit=None):
    """Yield settings and sources, as ``benchmarks.paper`` takes them."""
    for name in PARTS:
        for model in MODELS:
            experiment = load_experiment(name, model, data, limit)
            title = f"{TITLES[name]}, {model.upper()}"
            yield with_source(experiment, f"{name}-{model}", title, LIKE[name])
    for name in PARTS:
        menu = load_menu(name, data, limit)
        title = f"{TITLES[name]}, 0.5B or 1.5B"
        yield with_source(menu, f"{name}-routing", title, "routing-size")


def with_source(experiment, name, title, like):
    """A setting like one of the paper's, and its source."""
    rewards = experiment.table.rewards
    n_samples = int(np.isfinite(rewards).sum(axis=-1).min())
    routing = rewards.ndim == 3
    setting = Setting(
        name=name,
        title=title,
        figure=f"as {SETTINGS[like].figure}",
        kind="routing" if routing else "binary",
        task="real",
        predictor="mlp",
        n_samples=n_samples,
        max_budget=1 if routing else n_samples,
        paper=SETTINGS[like].paper,
    )
    source = Bunch(
        queries=experiment.texts,
        X=np.float32(experiment.X),
        rewards=rewards[..., :n_samples],
        folds=[(*with_calibration(train), test) for train, test in experiment.folds],
    )
    return setting, source


def run(data, output, limit=None):
    """Write the tables, then the figures and the page from them."""
    folder = output / "paper"
    for setting, source in settings(data, limit):
        write_tables(setting, source, predict(setting, source), folder / setting.name)
    figures.draw(folder)
