"""Several decoders with verdicts: one by one, against single models and cascades.

    python -m benchmarks.quality.menus [--data DIR] [--draws N] [--sets NAME ...]

- `math`: three models on 5,000 MATH problems, 1.5, 1.5 and 7.6 a sample (billions of
  parameters), three probes as features.
- `math pair`: the first and the third of them, on the 7,500 training problems.
- `mbpp`: seven models on 500 problems, 1 a sample, ten graded samples each; features
  are texts, as 32 directions of TF-IDF.

Two-fold: fitted on one half, played on the other, both ways, in several seeded orders
of the samples. `menu` has features, `menu_none` has none. `single` is the best of the
single models in sequence at that budget, each with the same features. `cascade` is the
best fixed cascade: at most n_1 samples of one model, then n_2 of the next, and so on,
for all orders of up to three models. Order and numbers are chosen on the half to learn
from (a mixture of two on its upper hull), and `cascade_cost` is what it costs on the
other. `gain` is `menu` minus `single`, with a 95 % interval over queries.

Writes `benchmarks/results/quality/menus.csv`.
"""

import argparse
import json
from itertools import combinations, permutations, product
from pathlib import Path

import numpy as np
from scipy.special import gammaln
from sklearn.decomposition import TruncatedSVD
from sklearn.dummy import DummyRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from benchmarks.quality.outcome_sets import MATH_MODELS, add_data_option, two_folds
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import (
    MLPRewardRegressor,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
)
from sklearn_adaalloc.allocators._menu_session import replay_menu
from sklearn_adaalloc.allocators._session import replay

TRIES = np.array([0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 50])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--draws", type=int, default=2, help="orders of the samples")
    parser.add_argument("--sets", nargs="*", default=["math", "math pair", "mbpp"])
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    rows = []
    for outcomes in menu_sets(options.data):
        if outcomes.name in options.sets:
            new = list(set_rows(outcomes, options.draws))
            print_table(new)
            rows += new
    write_csv(rows, options.output / "menus.csv")


def menu_sets(data):
    """Yield each set: rewards of all decoders, features of each fold, costs."""
    files = [np.load(data / f"math5000/{model}.npz") for model in MATH_MODELS]
    yield Bunch(
        name="math",
        rewards=np.stack([file["rewards"] for file in files], axis=1) * 1.0,
        folds=two_folds(range(5000)),
        features=_fixed(np.stack([file["probe_prediction"] for file in files], axis=1)),
        costs=np.array([1.5, 1.5, 7.6]),
        budgets=(4, 8, 16),
    )
    pair = [files[0], files[2]]
    yield Bunch(
        name="math pair",
        rewards=_samples(np.stack([file["train_successes"] for file in pair], 1), 50),
        folds=two_folds(range(7500)),
        features=_fixed(
            np.stack([file["train_probe_prediction"] for file in pair], axis=1)
        ),
        costs=np.array([1.5, 7.6]),
        budgets=(4, 8, 16),
    )
    with open(data / "menus/mbpp_7_models.queries.jsonl", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    rates = np.load(data / "menus/mbpp_7_models.npz")["rates"]
    yield Bunch(
        name="mbpp",
        rewards=_samples(np.rint(10 * rates), 10),
        folds=two_folds(texts),
        features=_from_texts(texts),
        costs=np.ones(7),
        budgets=(1, 1.5, 2, 3),
    )


def _samples(successes, n_samples):
    return (np.arange(n_samples) < successes[:, :, None]) * 1.0


def _fixed(X):
    return lambda train: np.asarray(X, dtype=np.float64)


def _from_texts(texts):
    def features(train):
        words = TfidfVectorizer(sublinear_tf=True, min_df=2)
        reader = make_pipeline(words, TruncatedSVD(32, random_state=0))
        reader.fit([texts[row] for row in train])
        return reader.transform(texts)

    return features


def set_rows(outcomes, n_draws):
    """One row per budget, from what each policy solves in both folds."""
    n_decoders = outcomes.rewards.shape[1]
    folds = [play_fold(outcomes, *fold, n_draws) for fold in outcomes.folds]
    for budget in outcomes.budgets:
        solved = {
            name: np.concatenate([fold.solved[name, budget] for fold in folds])
            for name in ["menu", "menu_none", *range(n_decoders)]
        }
        best = max(range(n_decoders), key=lambda decoder: solved[decoder].mean())
        differences = solved["menu"] - solved[best]
        gain = differences.mean()
        error = 1.96 * differences.std(ddof=1) / np.sqrt(len(differences))
        cascade = np.mean([fold.cascades[budget] for fold in folds], axis=0)
        yield {
            "set": outcomes.name,
            "budget": budget,
            "menu": float(solved["menu"].mean()),
            "menu_none": float(solved["menu_none"].mean()),
            "single": float(solved[best].mean()),
            "which": best,
            "cascade": float(cascade[0]),
            "cascade_cost": float(cascade[1]),
            "gain": float(gain),
            "low": float(gain - error),
            "high": float(gain + error),
            "spent": float(np.mean([fold.spent[budget] for fold in folds])),
        }


def play_fold(outcomes, train, test, n_draws):
    """What each policy solves at each budget on the other half (n_test,)."""
    X, rewards, costs = outcomes.features(train), outcomes.rewards, outcomes.costs
    table = RewardTable(rewards[train], costs=costs)
    rng = np.random.default_rng(0)
    orders = [np.argsort(rng.random(rewards[test].shape), 2) for _ in range(n_draws)]
    played = [np.take_along_axis(rewards[test], order, axis=2) for order in orders]
    solved, spent = {}, {}
    regressors = {
        "menu": MLPRewardRegressor("rate_profiles", random_state=0),
        "menu_none": RewardRegressor(DummyRegressor(), "rate_profiles"),
    }
    for name, regressor in regressors.items():
        frozen = FrozenEstimator(regressor.fit(X[train], table))
        policy = SequentialAllocator(frozen, unit="cost", n_rounds=None)
        policy.fit(X[train], table)
        for budget in outcomes.budgets:
            sessions = [policy.set_params(budget=budget).start(X[test]) for _ in played]
            paid = np.broadcast_to(costs[:, None], rewards[test].shape)
            best = [
                replay_menu(session, each, paid)
                for session, each in zip(sessions, played, strict=True)
            ]
            solved[name, budget] = np.mean(best, axis=0)
            total = [session.costs.sum(axis=1).mean() for session in sessions]
            spent[budget] = np.mean(total) if name == "menu" else spent[budget]
    for decoder, cost in enumerate(costs):
        own = rewards[train][:, decoder]
        policy = SequentialAllocator(
            MLPRewardRegressor(random_state=0), n_rounds=None, budget=1
        ).fit(X[train], own)
        for budget in outcomes.budgets:
            policy.set_params(budget=min(budget / cost, own.shape[1]))
            best = [replay(policy.start(X[test]), each[:, decoder]) for each in played]
            solved[decoder, budget] = np.mean(best, axis=0)
    cascades = {
        budget: best_cascade(rewards[train], rewards[test], costs, budget)
        for budget in outcomes.budgets
    }
    return Bunch(solved=solved, spent=spent, cascades=cascades)


def best_cascade(train, test, costs, budget):
    """Reward and cost, on the test half, of the cascade that is best on the other."""
    learnt, true = (cascade_table(rewards, costs) for rewards in (train, test))
    order = np.lexsort((-learnt[0], learnt[1]))
    hull = []
    for each in order:  # upper hull of reward over cost
        if hull and learnt[0, each] <= learnt[0, hull[-1]]:
            continue
        while len(hull) > 1 and _slope(learnt, hull[-1], each) >= _slope(
            learnt, hull[-2], hull[-1]
        ):
            hull.pop()
        hull.append(each)
    spent = learnt[1, hull]
    above = np.searchsorted(spent, budget)
    if above == len(hull):
        return true[:, hull[-1]]
    share = (budget - spent[above - 1]) / (spent[above] - spent[above - 1])
    return (1 - share) * true[:, hull[above - 1]] + share * true[:, hull[above]]


def _slope(table, first, second):
    (low, high), (cheap, dear) = table[:, [first, second]]
    return (high - low) / max(dear - cheap, 1e-12)


def cascade_table(rewards, costs):
    """Mean reward and cost of all cascades (2, n_cascades), up to three models."""
    n_samples = rewards.shape[2]
    wrong = n_samples - rewards.sum(axis=2)[:, :, None]
    counts = np.arange(n_samples + 1)
    rest = np.maximum(wrong - counts, 0)
    log_chance = gammaln(wrong + 1) - gammaln(rest + 1)
    log_chance -= gammaln(n_samples + 1) - gammaln(n_samples - counts + 1)
    failing = np.where(counts <= wrong, np.exp(log_chance), 0.0)
    taken = np.zeros_like(failing)
    np.cumsum(failing[..., :-1], axis=2, out=taken[..., 1:])
    tries = TRIES[n_samples >= TRIES]
    failing, taken = failing[..., tries], taken[..., tries] * costs[:, None]
    n_models = min(3, rewards.shape[1])
    parts = []
    for models in combinations(range(rewards.shape[1]), n_models):
        for order in permutations(models):
            parts.append(_ordered(failing[:, order], taken[:, order]))
    return np.concatenate(parts, axis=1)


def _ordered(failing, taken):
    """Mean reward and cost (2, n_cascades) of one order, for all numbers of tries."""
    n_queries, n_models, n_tries = failing.shape
    rows = []
    for counts in product(range(n_tries), repeat=n_models - 1):
        left, cost = np.ones(n_queries), np.zeros(n_queries)
        for model, count in enumerate(counts):
            cost += left * taken[:, model, count]
            left = left * failing[:, model, count]
        rows.append(
            [
                1 - left @ failing[:, -1] / n_queries,
                cost.mean() + left @ taken[:, -1] / n_queries,
            ]
        )
    return np.concatenate(rows, axis=1)


if __name__ == "__main__":
    main()
