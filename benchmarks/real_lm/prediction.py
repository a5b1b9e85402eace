"""Table 1 on real models: how well success rates are predicted, and from what.

``python -m benchmarks.real_lm.prediction``. Trained on one set, evaluated on another:
MBPP and HumanEval (Code), GSM8K train and test (Math); for Code also one half of MBPP
and the other. Features are hidden states of the model itself, by layer and pooling,
and as controls TF-IDF and the length of the question. Writes
``results/real_lm/prediction.csv``.
"""

import argparse

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from benchmarks.quality.outcome_sets import add_data_option
from benchmarks.real_lm.outcomes import MODELS, load_outcomes
from benchmarks.real_lm.problems import chat, read_problems
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import MLPRewardRegressor
from sklearn_adaalloc.metrics import prediction_report


def splits(model, data):
    """Yield name, and rewards, texts and features of training and of test queries."""
    for name, train, test in (
        ("Math", "gsm8k_train", "gsm8k_test"),
        ("Code, new set", "mbpp", "humaneval"),
    ):
        yield name, _side(train, model, data), _side(test, model, data)
    mbpp = _side("mbpp", model, data)
    order = np.random.default_rng(0).permutation(len(mbpp[0]))
    half = len(order) // 2
    for name, fit, held in (
        ("Code, half a", order[:half], order[half:]),
        ("Code, half b", order[half:], order[:half]),
    ):
        yield name, _rows(mbpp, fit), _rows(mbpp, held)


def _side(name, model, data):
    kept = load_outcomes(name, model)
    problems = read_problems(data, name)
    texts = [chat(name, problems[row])[-1]["content"] for row in kept.rows]
    rewards = kept.table.rewards
    graded = np.isfinite(rewards).any(axis=1)
    return _rows((rewards, np.array(texts, dtype=object), kept.features), graded)


def _rows(side, rows):
    rewards, texts, features = side
    return rewards[rows], texts[rows], {k: v[rows] for k, v in features.items()}


def candidates(train, test):
    """Yield name and features of training and of test queries."""
    for key in train[2]:
        yield f"layer {key[0]}, {key[1]}", train[2][key], test[2][key]
    tfidf = make_pipeline(
        TfidfVectorizer(sublinear_tf=True), TruncatedSVD(128, random_state=0)
    )
    yield "TF-IDF", tfidf.fit_transform(train[1]), tfidf.transform(test[1])
    lengths = ([[np.log(len(t))] for t in side[1]] for side in (train, test))
    yield "length", *map(np.array, lengths)


def measure(model, data):
    """Yield one row per split and kind of features."""
    for split, train, test in splits(model, data):
        for name, X, X_test in candidates(train, test):
            regressor = MLPRewardRegressor(random_state=0, device="cpu")
            regressor.fit(X, train[0])
            rates = np.nanmean(test[0], axis=1)
            report = prediction_report(rates, np.clip(regressor.predict(X_test), 0, 1))
            yield {
                "model": model,
                "split": split,
                "features": name,
                "n_train": len(X),
                "n_test": len(X_test),
                **report,
            }


def main():
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_data_option(parser)
    args = parser.parse_args()
    rows = [row for model in MODELS for row in measure(model, args.data)]
    print_table(rows)
    write_csv(rows, RESULTS / "real_lm" / "prediction.csv")


if __name__ == "__main__":
    main()
