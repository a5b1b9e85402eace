"""The kept outcomes: what everything after the collection reads.

Each file ``SET_MODEL.npz`` has one row per problem and one column per answer. Texts
are in ``SET_MODEL.texts.json.xz``. ``hidden_MODEL.npz`` has the hidden states of the
prompts: their first principal components, as whole numbers of one byte and a scale.
``lora_MODEL.npz`` has the success rates that the adapted model itself predicts.
"""

import json
import lzma
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from sklearn_adaalloc import RewardTable

FOLDER = Path(__file__).resolve().parent / "outcomes"
MODELS = ("0.5b", "1.5b")
SETS = ("mbpp", "humaneval", "gsm8k_train", "gsm8k_test")


def load_outcomes(name, model, *, folder=FOLDER, texts=False):
    """Graded answers of a model to a set.

    Parameters
    ----------
    name : str
        One of `SETS`.
    model : str
        One of `MODELS`.
    folder : path
        Where the files are.
    texts : bool, default=False
        Whether to read the texts of the answers.

    Returns
    -------
    outcomes : Bunch
        rows : ndarray of shape (n_problems,)
            Index of each problem in its set.
        table : RewardTable
            0/1 rewards, with the tokens of each answer as costs and, for GSM8K, the
            final answers as labels.
        cut_off : ndarray of shape (n_problems, n_samples), bool
            Whether the token limit ended an answer.
        log_probability : ndarray of shape (n_problems, n_samples)
            Mean over the tokens of an answer, at temperature 1.
        features : dict of (layer, pooling) to ndarray of shape (n_problems, n)
            Components of the hidden states of the prompts.
        texts : list of n_problems lists of str
            Only with `texts`.
    """
    with np.load(Path(folder) / f"{name}_{model}.npz") as file:
        kept = dict(file)
    rewards = np.where(kept["rewards"] < 0, np.nan, kept["rewards"].astype(float))
    answers = None
    if "codes" in kept:
        labels = np.append(kept["labels"].astype(object), None)  # -1 is no answer
        answers = labels[np.where(np.isnan(rewards), -1, kept["codes"])]
    outcomes = Bunch(
        rows=kept["rows"].astype(int),
        table=RewardTable(rewards, costs=kept["tokens"].astype(float), answers=answers),
        cut_off=kept["cut_off"],
        log_probability=kept["log_probability"].astype(np.float64),
        features=load_features(name, model, kept["rows"], folder=folder),
    )
    if texts:
        with lzma.open(Path(folder) / f"{name}_{model}.texts.json.xz", "rt") as file:
            outcomes.texts = json.load(file)
    return outcomes


def load_features(name, model, rows, *, folder=FOLDER):
    """Components of hidden states of the prompts, (layer, pooling) -> (n_rows, n)."""
    with np.load(Path(folder) / f"hidden_{model}.npz") as file:
        here = file["sets"] == SETS.index(name)
        position = {row: i for i, row in enumerate(file["rows"][here])}
        picked = np.flatnonzero(here)[[position[row] for row in rows]]
        features = {}
        for key in file.files:
            if key.startswith("states_"):
                _, pooling, layer = key.split("_")
                scale = file[f"scale_{pooling}_{layer}"]
                features[int(layer), pooling] = file[key][picked] * scale
    return features


def save_outcomes(
    name,
    model,
    *,
    rows,
    rewards,
    tokens,
    cut_off,
    logs,
    texts,
    labels=None,
    folder=FOLDER,
):
    """Write the files that :func:`load_outcomes` reads; arrays as described there."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    arrays = {
        "rows": np.asarray(rows, np.int16),
        "rewards": np.where(np.isnan(rewards), -1, rewards).astype(np.int8),
        "tokens": np.asarray(tokens, np.int16),
        "cut_off": np.asarray(cut_off, bool),
        "log_probability": np.asarray(logs, np.float16),
    }
    if labels is not None:
        flat = [label or "" for row in labels for label in row]
        names, codes = np.unique(flat, return_inverse=True)
        codes = codes.reshape(np.shape(rewards))
        if names[0] == "":
            names, codes = names[1:], codes - 1
        arrays["labels"], arrays["codes"] = names, codes.astype(np.int16)
    np.savez_compressed(Path(folder) / f"{name}_{model}.npz", **arrays)
    with lzma.open(
        Path(folder) / f"{name}_{model}.texts.json.xz", "wt", preset=9
    ) as file:
        json.dump(texts, file, ensure_ascii=False)


def save_features(model, states, sets, rows, *, fitted, n_components, folder=FOLDER):
    """Write principal components of hidden states.

    Parameters
    ----------
    model : str
    states : dict of (layer, pooling) to ndarray of shape (n_prompts, hidden_size)
    sets, rows : array-like of shape (n_prompts,)
        Index in `SETS`, and of the problem in its set.
    fitted : array of shape (n_prompts,), bool
        Prompts that the components are fitted on: those of training sets.
    n_components : int
    """
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    arrays = {"sets": np.asarray(sets, np.int8), "rows": np.asarray(rows, np.int16)}
    for (layer, pooling), values in states.items():
        values = np.asarray(values, np.float32)
        reduce = make_pipeline(
            StandardScaler(), PCA(n_components, svd_solver="randomized", random_state=0)
        )
        components = reduce.fit(values[fitted]).transform(values)
        scale = np.maximum(np.abs(components).max(axis=0), 1e-6) / 127
        arrays[f"states_{pooling}_{layer}"] = np.round(components / scale).astype(
            np.int8
        )
        arrays[f"scale_{pooling}_{layer}"] = scale.astype(np.float32)
    np.savez_compressed(Path(folder) / f"hidden_{model}.npz", **arrays)


def load_lora(model, *, folder=FOLDER):
    """Success rates that the model itself, adapted by LoRA, predicts for its answers.

    Parameters
    ----------
    model : str
        One of `MODELS`.
    folder : path
        Where the file is.

    Returns
    -------
    predictions : Bunch
        rates : ndarray of shape (n_rates,)
            Grid of success rates.
        Name of a set : Bunch
            rows : ndarray of shape (n_problems,)
                Index of each problem in its set.
            Name of a training : ndarray of shape (n_problems, n_rates)
                Predicted distribution over the grid. For the training set
                "out_of_fold": by a model trained without the problem. For the test
                set "single", by the model trained on all training problems, and
                "average", over the models of the folds.
    """
    predictions = Bunch()
    with np.load(Path(folder) / f"lora_{model}.npz") as file:
        for key in file.files:
            if key == "rates":
                predictions.rates = file[key]
                continue
            name, how = key.split(":")
            kept = predictions.setdefault(name, Bunch())
            if how == "rows":
                kept.rows = file[key].astype(int)
            else:
                weights = file[key].astype(float)
                kept[how] = weights / weights.sum(axis=1, keepdims=True)
    return predictions


def save_lora(model, predictions, *, folder=FOLDER):
    """Write the file that :func:`load_lora` reads.

    `predictions` maps "rates" to the grid and the name of each set to its rows and a
    dict of predicted distributions. Weights are kept as half precision numbers.
    """
    arrays = {"rates": predictions["rates"]}
    for name in set(predictions) - {"rates"}:
        rows, distributions = predictions[name]
        arrays[f"{name}:rows"] = np.asarray(rows, np.int16)
        for how, weights in distributions.items():
            arrays[f"{name}:{how}"] = np.asarray(weights, np.float16)
    np.savez_compressed(Path(folder) / f"lora_{model}.npz", **arrays)
