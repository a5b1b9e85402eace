"""Where the queries and graded answers of an experiment come from.

Each source returns a Bunch: `queries`, `rewards` (n_queries, n_samples) or
(n_queries, 2, n_samples), `folds`, a list of (train, validation, test) rows, `X` (None
where the predictor reads texts), and the `model` that it reads them with.
"""

from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from benchmarks.paper.settings import SETTINGS, Setting
from benchmarks.quality.outcome_sets import best_of_k_sets, routing_sets, two_folds
from sklearn_adaalloc import collect_rewards, datasets
from sklearn_adaalloc.datasets import embedded_model_path, load_arithmetic
from sklearn_adaalloc.rewards import CodeVerifier, MathVerifier, RewardModel
from sklearn_adaalloc.sampling import TransformersSampler, ValueAugmentedSampler

CALIBRATION = 0.2  # of the training queries, where a set has no validation queries
# The paper's numbers of training queries, of samples and of candidate tokens.
VAS_QUERIES, VAS_SAMPLES, VAS_TOP_K = 8000, 4, 10
# Chosen on training queries: benchmarks/results/quality/value_augmented.csv.
VAS_BETA = 8.0
VALUE_MODEL = "value-model"  # folder that it is kept in, beside the samples


def joined(train, validation, test, rewards, **more):
    """One fold from the sizes of the parts, which follow each other in `rewards`."""
    sizes = [train, validation, test]
    if not validation:
        sizes[1] = round(CALIBRATION * train)
        sizes[0] -= sizes[1]
    folds = [tuple(np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]))]
    return Bunch(rewards=rewards, folds=folds, **({"X": None} | more))


def with_calibration(known):
    """Rows to learn from, and a random part of them to calibrate on."""
    known = np.random.default_rng(0).permutation(known)
    cut = round(CALIBRATION * len(known))
    return known[cut:], known[:cut]


# --- embedded --------------------------------------------------------------------


def embedded(setting, folder, limit=None):
    """The embedded tables; that of value-augmented sampling is collected live."""
    if setting.task == "vas":
        return embedded_vas(folder, limit)
    table = load_arithmetic(setting.task)
    train, test = table.queries_train[:limit], table.queries_test[:limit]
    rewards = np.concatenate([table.rewards_train[:limit], table.rewards_test[:limit]])
    return joined(len(train), 0, len(test), rewards, queries=[*train, *test], **weak())


def weak():
    """The model that embedded predictors read queries with."""
    return {"model": embedded_model_path("weak"), "model_options": {"device": "cpu"}}


def embedded_vas(folder, limit=None):
    """Ordinary and value-augmented answers of the embedded LM, scored by its judge.

    The table has 2,000 training queries, the paper 8,000. These are drawn afresh, none
    of them in the table or seen by the value model.
    """
    # Imports torch, as the other sources need not.
    from benchmarks.quality.value_augmented import N_VALUE_QUERIES, fresh_queries

    drawn = fresh_queries(N_VALUE_QUERIES + 2 * VAS_QUERIES)
    seen = set(drawn[:N_VALUE_QUERIES])
    train = [query for query in dict.fromkeys(drawn) if query not in seen]
    train = train[:VAS_QUERIES][:limit]
    test = load_arithmetic("chat").queries_test[:limit]
    queries = [*train, *test]
    rewards = collected_vas(queries, VAS_SAMPLES, folder)
    return joined(len(train), 0, len(test), rewards, queries=queries, **weak())


def collected_vas(queries, n_samples, folder):
    """Reward table of both decoders; the value model is trained if there is none."""
    from benchmarks.quality.value_augmented import train_value_model

    table = load_arithmetic("chat")
    value_model = folder / VALUE_MODEL
    if not (value_model / "config.json").exists():
        import torch

        torch.manual_seed(0)
        train_value_model(table, value_model)
    sampling = {"max_new_tokens": 12, "device": "cpu"}
    samplers = (
        TransformersSampler("embedded", random_state=0, **sampling),
        ValueAugmentedSampler(
            "embedded",
            str(value_model),
            top_k=VAS_TOP_K,
            beta=VAS_BETA,
            random_state=1,
            **sampling,
        ),
    )
    judge = RewardModel(table.reward_model, device="cpu")
    return collected(queries, samplers, judge, n_samples, folder)


def collected(queries, samplers, reward, n_samples, folder):
    """Reward table of one sampler, or of a weak and a strong one; resumable."""
    store = folder / "rewards.sqlite"
    store.parent.mkdir(parents=True, exist_ok=True)
    tables = [
        collect_rewards(queries, sampler, reward, n_samples, store=store)
        for sampler in samplers
    ]
    return tables[0] if len(tables) == 1 else np.stack(tables, axis=1)


# --- full ------------------------------------------------------------------------


def full(setting, folder, limit=None, value_model=None):
    """The real models on the real set; what is collected stays under `folder`."""
    recipe = setting.full
    vas = setting.task == "vas"
    if vas and value_model is None:
        raise ValueError(
            "routing-vas at full scale needs a value model that reads "
            f"{recipe.model}'s tokens, and none is published: give --value-model, a "
            "folder made as in benchmarks/quality/value_augmented.py."
        )
    table = getattr(datasets, recipe.fetch)()
    parts = [
        list(table[f"queries_{part}"])[:limit]
        for part in ("train", "validation", "test")
    ]
    queries = [query for part in parts for query in part]
    options = {
        "temperature": recipe.temperature,
        "max_new_tokens": recipe.max_new_tokens,
        "stop": list(recipe.stop) or None,
        "chat_template": recipe.chat_template,
    }
    samplers = [TransformersSampler(recipe.model, **options)]
    if recipe.strong_model:
        samplers.append(TransformersSampler(recipe.strong_model, **options))
    if vas:
        samplers.append(
            ValueAugmentedSampler(
                recipe.model, value_model, top_k=VAS_TOP_K, random_state=1, **options
            )
        )
    reward = new_reward(recipe.reward, table)
    rewards = collected(queries, samplers, reward, setting.n_samples, folder)
    return joined(
        *map(len, parts),
        rewards,
        queries=queries,
        model=recipe.model,
        model_options={"chat_template": recipe.chat_template},
    )


def new_reward(name, table):
    """A verifier for the set's answers or tests, or a reward model."""
    if name == "math":
        return MathVerifier(table.references)
    return CodeVerifier(table.tests) if name == "code" else RewardModel(name)


# --- real outcomes ---------------------------------------------------------------


def real(data, limit=None):
    """Yield settings and sources of the graded answers in a folder of outcome sets.

    Two folds, as the folder's README prescribes: every query is tested once.
    """
    papers = {"math5000": "math", "svamp": "math", "humaneval": "code"}
    for outcomes in best_of_k_sets(Path(data)):
        if outcomes.min_budget:
            continue  # real-valued rewards of a hundred stories: no setting of these
        like = next(papers[part] for part in papers if outcomes.name.startswith(part))
        features = next(iter(outcomes.features))
        n_samples = outcomes.rewards.shape[1]
        yield real_setting(outcomes, features, "binary", like, n_samples, limit)
    for outcomes in routing_sets(Path(data)):
        if "original" not in outcomes.name:
            features = next(iter(outcomes.features))
            yield real_setting(outcomes, features, "routing", "routing-size", 1, limit)


def real_setting(outcomes, features, kind, like, n_samples, limit):
    """A setting without a language model: its features are given."""
    setting = Setting(
        name=outcomes.name.replace("math5000/", "math5000-"),
        title=f"{outcomes.name.removeprefix('math5000/')}, {features}",
        figure=f"as {SETTINGS[like].figure}",
        kind=kind,
        task="real",
        predictor="mlp",
        n_samples=n_samples,
        max_budget=n_samples,
        paper=SETTINGS[like].paper,
    )
    folds = []
    for known, test in two_folds(outcomes.texts):
        folds.append((*with_calibration(known[:limit]), test[:limit]))
    source = Bunch(
        queries=outcomes.texts,
        X=outcomes.features[features],
        rewards=outcomes.rewards,
        folds=folds,
    )
    return setting, source
