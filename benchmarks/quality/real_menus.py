"""Several models whose answers get real-valued rewards: what each cost buys.

    python -m benchmarks.quality.real_menus [--data DIR] [--output DIR]

- `real_menus_alpaca.csv`: five models on AlpacaEval 2's 805 prompts, one answer each,
  rewarded with the probability that a judge prefers it to that of a sixth. A model's
  price is its number of parameters. Features are words (TF-IDF);
- `real_menus_synthetic.csv`: three made-up models whose mean rewards are normal, with a
  known correlation, four answers each.

Two-fold: fitted on one half of the queries, played on the other, both ways. Policies in
rounds see the rewards of earlier rounds. "best single" is the best mixture of models
(and no answer) and "best set" the best mixture of sets of models whose best answer
counts, both in hindsight, and both the same for all queries. "without correlation" is
the same policy with all covariances of different models set to 0. `gain` is the reward
less that of the best set, with a 95 % interval over queries.
"""

import argparse
from itertools import combinations, product
from pathlib import Path

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import RidgeCV
from sklearn.utils import Bunch

from benchmarks.quality.outcome_sets import (
    _text_features,
    _texts,
    add_data_option,
    two_folds,
)
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import RewardRegressor, RewardTable, SequentialAllocator
from sklearn_adaalloc.curves._menus import expected_menu_rewards

ALPACA = {  # billions of parameters
    "FuseChat-Llama-3.2-1B-Instruct": 1.0,
    "FuseChat-Llama-3.2-3B-Instruct": 3.0,
    "FuseChat-Qwen-2.5-7B-Instruct": 7.0,
    "FuseChat-Llama-3.1-8B-Instruct": 8.0,
    "FuseChat-Gemma-2-9B-Instruct": 9.0,
}
ROUNDS = (1, 2, 4, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    for world in (alpaca(options.data), *synthetic()):
        rows = list(compared(world))
        print_table(rows)
        write_csv(rows, options.output / f"real_menus_{world.name}.csv")


def alpaca(data):
    """Five models of one family on AlpacaEval 2."""
    stored = np.load(data / "alpacaeval2_pref.npz")
    columns = [stored["models"].tolist().index(name) for name in ALPACA]
    texts = _texts(data / "alpacaeval2_pref.queries.jsonl")
    return Bunch(
        name="alpaca",
        texts=texts,
        X=_text_features(None, texts)["tfidf"],
        rewards=stored["rewards"][:, columns, None].astype(np.float64),
        costs=np.array(list(ALPACA.values())),
        budgets=(2.0, 4.0, 8.0, 12.0),
        empty_reward=0.0,
        most=1,
    )


def synthetic(n_queries=2000):
    """Models whose means share a part that no feature shows."""
    for correlation in (0.2, 0.8, 0.95):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n_queries, 3))
        covariance = correlation + (1 - correlation) * np.eye(3)
        means = rng.multivariate_normal([-0.5, 0.0, 0.8], covariance, size=n_queries)
        noise = rng.normal(size=(n_queries, 3, 4)) * [[0.7], [0.6], [0.4]]
        yield Bunch(
            name=f"synthetic_{correlation}",
            texts=range(n_queries),
            X=X,
            rewards=(means + 0.7 * X[:, :1])[:, :, None] + noise,
            costs=np.array([1.0, 2.0, 8.0]),
            budgets=(2.0, 6.0, 12.0),
            empty_reward=-2.0,
            most=2,
        )


def compared(world):
    """Rows of each method at each budget."""
    table = RewardTable(world.rewards, costs=world.costs)
    for budget in world.budgets:
        played = {}
        for training, test in two_folds(world.texts):
            fold = table[training], table[test]
            for name, got in methods(world, training, test, *fold, budget):
                played.setdefault(name, []).append(got)
        pooled = {name: np.concatenate(parts) for name, parts in played.items()}
        for name, got in pooled.items():
            gains = got - pooled["best set"]
            error = 1.96 * gains.std() / np.sqrt(len(gains))
            yield {
                "budget": budget,
                "method": name,
                "reward": got.mean(),
                "gain": gains.mean(),
                "gain_low": gains.mean() - error,
                "gain_high": gains.mean() + error,
            }


def methods(world, training, test, table, tested, budget):
    """Name and rewards (n_queries,) of each method on the test queries."""
    n_decoders = len(world.costs)
    counts = range(world.most + 1)
    alone = [count * row for row in np.eye(n_decoders, dtype=int) for count in counts]
    every = map(np.array, product(counts, repeat=n_decoders))
    yield "best single", best_mixture(tested, alone, world, budget)
    yield "best set", best_mixture(tested, every, world, budget)
    for features, regressor, X in (
        ("words" if world.name == "alpaca" else "features", ridge(), world.X),
        ("no features", DummyRegressor(), np.zeros((world.X.shape[0], 1))),
    ):
        policy = SequentialAllocator(
            RewardRegressor(regressor),
            unit="cost",
            budget=budget,
            empty_reward=world.empty_reward,
        )
        policy.fit(X[training], table)
        for n_rounds in ROUNDS:
            policy.set_params(n_rounds=n_rounds)
            session = policy._replay(X[test], tested)
            assert session.costs.sum() <= budget * len(test) * (1 + 1e-9)
            yield f"{features}, {n_rounds or 'all'} rounds", session.best_rewards
        variances = np.diag(np.diag(policy.regressor_.covariance_))
        policy.regressor_.covariance_ = variances
        name = f"{features}, all rounds, without correlation"
        yield name, policy._replay(X[test], tested).best_rewards


def ridge():
    return RidgeCV(np.logspace(-1, 3, 9))


def best_mixture(table, plans, world, budget):
    """Rewards (n_queries,) of the best mixture of two plans at a budget."""
    points = []
    for plan in plans:
        counts = np.tile(plan, (len(table), 1))
        options = {"empty_reward": world.empty_reward}
        got = expected_menu_rewards(table.rewards, counts, **options)
        points.append((plan @ world.costs, got))
    mixtures = []
    for (cost, got), (more, better) in combinations(points, 2):
        if min(cost, more) <= budget <= max(cost, more) and cost != more:
            share = (budget - cost) / (more - cost)
            mixtures.append((1 - share) * got + share * better)
    # Where all answers of one model cost less than the budget, it is not used up.
    mixtures += [got for cost, got in points if cost <= budget]
    return max(mixtures, key=np.mean)


if __name__ == "__main__":
    main()
