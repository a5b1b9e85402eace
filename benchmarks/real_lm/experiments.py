"""The kept outcomes as experiments: problems to learn from, and others to test on.

``mbpp`` is learnt on one half and tested on the other, both ways; ``humaneval`` is
learnt on MBPP and ``gsm8k`` on its train set. A problem with an answer whose grade is
unknown is left out: 1 of MBPP, 3 of GSM8K train.
"""

import warnings

import numpy as np
from sklearn.utils import Bunch

from benchmarks.quality.from_text import minilm
from benchmarks.quality.outcome_sets import two_folds
from benchmarks.real_lm.outcomes import load_outcomes
from benchmarks.real_lm.problems import is_math, read_problems, split_prompt
from sklearn_adaalloc import RewardTable

PARTS = {  # sets to learn from and to test on; both ways in halves where there is one
    "mbpp": ("mbpp",),
    "humaneval": ("mbpp", "humaneval"),
    "gsm8k": ("gsm8k_train", "gsm8k_test"),
}
TITLES = {"mbpp": "MBPP", "humaneval": "HumanEval", "gsm8k": "GSM8K"}
MODEL_TITLES = {"0.5b": "Qwen2.5-Coder-0.5B", "1.5b": "Qwen2.5-Coder-1.5B"}
LAYERS = {"0.5b": 16, "1.5b": 19}  # at two thirds of the depth, of 24 and of 28
BILLIONS = {"0.5b": 0.49, "1.5b": 1.54}  # parameters
_EMBEDDED = {}  # texts, and their embeddings


def load_experiment(name, model, data, limit=None):
    """One set with one model.

    Parameters
    ----------
    name : str
        One of `PARTS`.
    model : str
        One of ``outcomes.MODELS``.
    data : path
        Folder of the outcome sets, for the texts of the problems.
    limit : int, default=None
        Problems of each part, to try it out.

    Returns
    -------
    experiment : Bunch
        name, model : str
        table : RewardTable
            0/1 rewards with tokens as costs, those of all parts; answers of GSM8K.
        features : dict of (layer, pooling) to ndarray
            Hidden states of the prompts.
        X : ndarray
            Those at the last token, two thirds of the way up.
        texts : list of str
        folds : list of (train, test) rows
        log_probability, cut_off : ndarray of the shape of `table`
            Of each answer, as of ``load_outcomes``.
        rows : ndarray of shape (n_problems,)
            Index of each problem in its set.
        part_rows : list of ndarray
            The same for each set.
    """
    parts = [_part(part, model, data, limit) for part in PARTS[name]]
    return _joined(name, parts, model=model)


def load_menu(name, data, limit=None, *, per_parameter=False):
    """The same for both models together, with the features of the smaller one.

    The table has an axis of models. Costs are tokens, with `per_parameter` times the
    billions of parameters. Only problems that both have answered are kept, and of each
    model as many answers as there are of all problems.
    """
    pairs = [
        [_part(part, model, data, limit) for model in LAYERS] for part in PARTS[name]
    ]
    width = min(side.table.shape[1] for pair in pairs for side in pair)
    weights = list(BILLIONS.values()) if per_parameter else [1.0, 1.0]
    parts = []
    for small, large in pairs:
        rows = np.intersect1d(small.rows, large.rows)
        kept = np.searchsorted(small.rows, rows)
        tables = [small.table[kept], large.table[np.searchsorted(large.rows, rows)]]
        costs = [w * t.costs for w, t in zip(weights, tables, strict=True)]
        table = RewardTable(
            np.stack([table.rewards[:, :width] for table in tables], axis=1),
            costs=np.stack([each[:, :width] for each in costs], axis=1),
            decoders=[MODEL_TITLES[model] for model in LAYERS],
        )
        features = {key: values[kept] for key, values in small.features.items()}
        texts = [small.texts[row] for row in kept]
        parts.append(Bunch(table=table, features=features, texts=texts))
    return _joined(name, parts, model="0.5b")


def _part(name, model, data, limit):
    """Problems of one set whose grades are all known, their rows ascending."""
    kept = load_outcomes(name, model)
    known = np.flatnonzero(np.isfinite(kept.table.rewards).all(axis=1))[:limit]
    problems = read_problems(data, name)
    rows = kept.rows[known]
    return Bunch(
        rows=rows,
        table=kept.table[known],
        log_probability=kept.log_probability[known],
        cut_off=kept.cut_off[known].astype(float),
        features={key: values[known] for key, values in kept.features.items()},
        texts=[problem_text(name, problems[row]) for row in rows],
    )


def problem_text(name, problem):
    """What a problem asks, without the instructions that all prompts share."""
    if is_math(name):
        return problem["question"].strip()
    return "\n".join(split_prompt(problem["prompt"]))


def _joined(name, parts, *, model):
    """One experiment from its parts, which follow each other in all arrays."""
    features = {
        key: np.concatenate([part.features[key] for part in parts])
        for key in parts[0].features
    }
    texts = [text for part in parts for text in part.texts]
    folds = two_folds(texts)
    if len(parts) > 1:
        n_train = len(parts[0].texts)
        folds = [np.split(np.arange(len(texts)), [n_train])]
    experiment = Bunch(
        name=name,
        model=model,
        table=_concatenated([part.table for part in parts]),
        features=features,
        X=features[LAYERS[model], "last"],
        texts=texts,
        folds=[tuple(fold) for fold in folds],
    )
    if "rows" in parts[0]:  # of one model
        width = experiment.table.shape[-1]
        for key in ("log_probability", "cut_off"):
            columns = [_padded(part[key], width) for part in parts]
            experiment[key] = np.concatenate(columns)
        experiment.part_rows = [part.rows for part in parts]
        experiment.rows = np.concatenate(experiment.part_rows)
    return experiment


def _concatenated(tables):
    width = max(table.shape[-1] for table in tables)
    answers = None
    if tables[0].answers is not None:
        answers = np.concatenate([_padded(t.answers, width, None) for t in tables])
    return RewardTable(
        np.concatenate([_padded(table.rewards, width) for table in tables]),
        costs=np.concatenate([_padded(table.costs, width) for table in tables]),
        answers=answers,
        decoders=tables[0].decoders,
    )


def _padded(array, width, filler=np.nan):
    """Columns without a sample up to a width."""
    pads = [(0, 0)] * (array.ndim - 1) + [(0, width - array.shape[-1])]
    return np.pad(array, pads, constant_values=filler)


def rows_tested(experiment):
    """Rows of the problems that are tested, fold after fold."""
    return np.concatenate([test for _, test in experiment.folds])


def sentence_features(texts):
    """MiniLM embeddings of texts (n_texts, 384); a process computes each text once."""
    new = [text for text in dict.fromkeys(texts) if text not in _EMBEDDED]
    if new:
        with warnings.catch_warnings():  # long ones are cut off, as this model does
            warnings.filterwarnings("ignore", "[0-9]+ of [0-9]+ queries have more")
            _EMBEDDED.update(zip(new, minilm(None).fit_transform(new), strict=True))
    return np.stack([_EMBEDDED[text] for text in texts])
