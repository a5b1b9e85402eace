"""Table 1 on real models: how well success rates are predicted, and from what.

``python -m benchmarks.real_lm prediction``. Code: MBPP, one half from the other, and
HumanEval from MBPP. Math: GSM8K test from train. As in the paper, Code is predicted by
an MLP on hidden states, and Math by the LoRA of the model, from predictions that
``benchmarks.real_lm.lora`` made on a GPU; "not measured" where there are none. Hidden
states stand there by layer and pooling, and beside them as controls a sentence
embedding (MiniLM), words (TF-IDF), and the length. `share` is the share of the
reducible loss that is explained, with its 95 % interval over test problems;
`over_minilm` is what it is above that of MiniLM. Everything is a mean over nets of
different seeds. Writes ``results/real_lm/prediction.csv``.
"""

import numpy as np
from scipy.special import xlogy
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from benchmarks.paper.settings import SETTINGS, paper_share
from benchmarks.quality.outcome_sets import text_lengths
from benchmarks.real_lm.experiments import (
    LAYERS,
    PARTS,
    load_experiment,
    rows_tested,
    sentence_features,
)
from benchmarks.real_lm.outcomes import FOLDER, MODELS, load_lora
from benchmarks.report import print_table, write_csv
from sklearn_adaalloc import MLPRewardRegressor
from sklearn_adaalloc.metrics import prediction_report

N_BOOTSTRAP = 1000
FIGURES = ("ours", "avg", "opt", "acc")
LORA = {"LoRA": "single", "LoRA, average of 5": "average"}


def measure(experiment, n_seeds=2):
    """Yield one row per kind of features.

    Parameters
    ----------
    experiment : Bunch
        As of ``load_experiment``.
    n_seeds : int
        Nets of different seeds for each kind.
    """
    tested = rows_tested(experiment)
    observed = np.nanmean(experiment.table.rewards[tested], axis=1)
    predictions = {
        name: [predicted(experiment, sides, seed) for seed in range(n_seeds)]
        for name, sides in candidates(experiment).items()
    }
    predictions |= {name: [r] for name, r in lora_rates(experiment).items()}
    losses = {
        name: np.mean([cross_entropies(observed, rates) for rates in each], axis=0)
        for name, each in predictions.items()
    }
    setting = "math" if experiment.name == "gsm8k" else "code"
    paper = SETTINGS[setting].paper | {"share": paper_share(SETTINGS[setting].paper)}
    described = {
        "set": experiment.name,
        "model": experiment.model,
        "n_train": int(np.mean([len(train) for train, _ in experiment.folds])),
        "n_test": len(tested),
    }
    for name, each in predictions.items():
        reports = [prediction_report(observed, rates) for rates in each]
        shares = bootstrapped_shares(observed, losses[name])
        above = shares - bootstrapped_shares(observed, losses["MiniLM"])
        yield {
            **described,
            "features": name,
            **{key: float(np.mean([r[key] for r in reports])) for key in FIGURES},
            **with_interval("share", shares),
            **with_interval("over_minilm", above),
            **{f"paper_{key}": paper[key] for key in (*FIGURES, "share")},
        }
    if setting == "math" and "LoRA" not in predictions:
        yield {**described, "features": "LoRA", "ours": "not measured"}


def candidates(experiment):
    """Features by name, one pair (training, test) for each fold."""
    features, texts = experiment.features, np.array(experiment.texts, dtype=object)
    fixed = {f"layer {key[0]}, {key[1]}": values for key, values in features.items()}
    fixed["MiniLM"] = sentence_features(experiment.texts)
    fixed["length"] = text_lengths(experiment.texts)
    together = [experiment.X, fixed["MiniLM"]]
    fixed[f"layer {LAYERS[experiment.model]}, last, and MiniLM"] = np.hstack(together)
    sides = {
        name: [(X[train], X[test]) for train, test in experiment.folds]
        for name, X in fixed.items()
    }
    sides["TF-IDF"] = [
        word_features(texts[train], texts[test]) for train, test in experiment.folds
    ]
    return sides


def word_features(train, test, n_components=128):
    """Components of TF-IDF, of the training texts."""
    words = TfidfVectorizer(sublinear_tf=True)
    n_words = words.fit_transform(train).shape[1]
    reduce = TruncatedSVD(min(n_components, n_words - 1), random_state=0)
    tfidf = make_pipeline(words, reduce)
    return tfidf.fit_transform(train), tfidf.transform(test)


def predicted(experiment, sides, seed):
    """Success rates of the test problems, fold after fold."""
    rates = []
    for (train, _), (X, X_test) in zip(experiment.folds, sides, strict=True):
        regressor = MLPRewardRegressor(random_state=seed)
        regressor.fit(np.float32(X), experiment.table.rewards[train])
        rates.append(regressor.predict(np.float32(X_test)))
    return np.clip(np.concatenate(rates), 0, 1)


def lora_rates(experiment, folder=FOLDER):
    """Success rates of the test problems that each LoRA predicts, by its name.

    One training on all training problems, and the average of those of the folds.
    Empty where it was not measured.
    """
    if not (folder / f"lora_{experiment.model}.npz").exists():
        return {}
    kept = load_lora(experiment.model, folder=folder)
    tested = kept.get(PARTS[experiment.name][-1])
    if tested is None:
        return {}
    wanted = experiment.rows[rows_tested(experiment)]
    order = np.argsort(tested.rows)
    found = order[np.searchsorted(tested.rows, wanted, sorter=order)]
    return {
        name: np.clip(tested[how][found] @ kept.rates, 0, 1)
        for name, how in LORA.items()
    }


def cross_entropies(observed, rates, least=1e-15):
    """Cross-entropy of each problem."""
    rates = np.clip(rates, least, 1 - least)
    return -xlogy(observed, rates) - xlogy(1 - observed, 1 - rates)


def bootstrapped_shares(observed, losses):
    """Share explained on all problems, and then on each of their bootstrap samples."""
    n = len(observed)
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), N_BOOTSTRAP)
    weights = np.vstack([np.ones(n), counts])
    average = cross_entropies(observed, np.full(n, observed.mean()))
    best = cross_entropies(observed, observed)
    return weights @ (average - losses) / (weights @ (average - best))


def with_interval(name, values):
    """A figure, the first value, and the ends of its interval, from the others."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return {
        name: float(values[0]),
        f"{name}_low": float(low),
        f"{name}_high": float(high),
    }


def run(data, output, limit=None, n_seeds=2):
    """Print the table and write it."""
    rows = []
    for model in MODELS:
        for name in PARTS:
            rows += measure(load_experiment(name, model, data, limit), n_seeds)
    print_table(rows)
    write_csv(rows, output / "prediction.csv")
