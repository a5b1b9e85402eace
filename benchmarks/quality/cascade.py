"""A cheap model and a dear one, from text to graded answers: promised and delivered.

    python -m benchmarks.quality.cascade [--queries N] [--samples N] [--stores DIR]

The weak and the strong embedded LM answer the training queries of the routing task; the
store makes a table of it, with tokens times prices as costs. A token of the strong
model costs five times that of the weak one. Policies learn from that table and are
carried out on test queries, all live. `spend` is what that cost, in tokens of the weak
model, and `share` its share of the budget; `by_weak` and `by_strong` say whose answers
were chosen. `promised` is the replay of the same policy on graded samples of the test
queries, in several orders; `z` says how many standard errors of the live mean lie
between the two. `weak`, `strong` and `router` are replays, too: of the same kind of
policy on one decoder, and of the best router, at the cost that the replay of the
cascade had. `gain` is over the best of the three, `error` its standard error over
queries, paired. Writes `benchmarks/results/quality/cascade.csv`.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import (
    AdaptiveAllocator,
    HiddenStateFeaturizer,
    MLPRewardRegressor,
    RewardTable,
    SequentialAllocator,
    collect_rewards,
)
from sklearn_adaalloc.allocators._menu_session import replay_menu
from sklearn_adaalloc.allocators._session import replay
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.curves._menus import expected_menu_rewards
from sklearn_adaalloc.curves._reward_curves import expected_rewards
from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
from sklearn_adaalloc.decoding import Cascade
from sklearn_adaalloc.sampling import TransformersSampler

NAMES = ["weak", "strong"]
PRICES = {"weak": (0, 1.0), "strong": (0, 5.0)}
POLICIES = {
    "one-shot": (AdaptiveAllocator, {}),
    "4 rounds": (SequentialAllocator, {"n_rounds": 4}),
    "one by one": (SequentialAllocator, {"n_rounds": None}),
}
BUDGETS = (6, 12, 24)  # an answer of the strong model costs about 24
N_ORDERS = 5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=800, help="of each half")
    parser.add_argument("--samples", type=int, default=8, help="of each decoder")
    parser.add_argument("--stores", type=Path, help="folder to keep answers in")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.stores or Path(temporary)
        world = make_world(collect(options.queries, options.samples, folder))
    rows = [policy_row(world, name, budget) for name in POLICIES for budget in BUDGETS]
    print_table(rows)
    write_csv(rows, options.output / "cascade.csv")


def make_samplers(seed):
    """The two embedded models."""
    models = {"weak": "embedded", "strong": load_arithmetic("routing").strong_model}
    return {
        name: TransformersSampler(models[name], max_new_tokens=24, random_state=seed)
        for name in NAMES
    }


def collect(n_queries, n_samples, folder):
    """Queries and table of the training half, then of the test half."""
    data = load_arithmetic("routing")
    halves = {"train": data.queries_train, "test": data.queries_test}
    for half, queries in halves.items():
        path = folder / f"cascade_{half}.sqlite"
        samplers = make_samplers(0)
        collect_rewards(
            queries[:n_queries], samplers, grade_arithmetic, n_samples, store=path
        )
        with RewardStore(path) as store:
            yield store.to_table(decoders=samplers, prices=PRICES)


def make_world(halves):
    """Tables, features, and policies that learnt from the training half."""
    queries, tables = zip(*halves, strict=True)
    featurizer = HiddenStateFeaturizer().fit(queries[0])
    X_train, X_test = map(featurizer.transform, queries)
    profiles = MLPRewardRegressor(target="rate_profiles", random_state=0)
    profiles = FrozenEstimator(profiles.fit(X_train, tables[0]))
    cascades = {
        policy: allocator(profiles, unit="cost", **parameters).fit(X_train, tables[0])
        for policy, (allocator, parameters) in POLICIES.items()
    }
    singles = {}
    for decoder in range(2):
        table = one_decoder(tables[0], decoder)
        rates = FrozenEstimator(MLPRewardRegressor(random_state=0).fit(X_train, table))
        for policy, (allocator, parameters) in POLICIES.items():
            single = allocator(rates, unit="cost", **parameters)
            singles[policy, decoder] = single.fit(X_train, table)
    router = AdaptiveAllocator(
        MLPRewardRegressor(target="preference", random_state=0), budget=0.5
    )
    return Bunch(
        featurizer=featurizer,
        queries=queries[1],
        X=X_test,
        table=tables[1],
        cascades=cascades,
        singles=singles,
        router=router.fit(X_train, tables[0].rewards),
    )


def one_decoder(table, decoder):
    return RewardTable(table.rewards[:, decoder], costs=table.costs[:, decoder])


def policy_row(world, name, budget):
    """A policy at one budget: live, replayed, and others at the same cost."""
    allocator = world.cascades[name].set_params(budget=budget)
    cascade = Cascade(
        make_pipeline(world.featurizer, allocator),
        make_samplers(1),  # a seed of its own: other answers than those of the table
        grade_arithmetic,
        prices=PRICES,
    )
    decoded = cascade.decode(world.queries)
    solved = np.nan_to_num(decoded.rewards)
    promised, cost = replay_rewards(allocator, world.X, world.table)
    others = {
        decoder_name: single_rewards(world, name, decoder, cost)
        for decoder, decoder_name in enumerate(NAMES)
    }
    others["router"] = router_rewards(world, cost)
    best = max(others.values(), key=np.mean)
    error = standard_error(solved)
    return {
        "policy": name,
        "budget": budget,
        "spend": float(decoded.costs.sum(axis=1).mean()),
        "share": decoded.budget_share,
        "by_weak": float((decoded.decoders == 0).mean()),
        "by_strong": float((decoded.decoders == 1).mean()),
        "delivered": float(solved.mean()),
        "promised": float(promised.mean()),
        "z": float((solved.mean() - promised.mean()) / error),
        "promised_cost": float(cost),
        **{other: float(rewards.mean()) for other, rewards in others.items()},
        "gain": float((promised - best).mean()),
        "error": standard_error(promised - best),
    }


def standard_error(values):
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def replay_rewards(allocator, X, table):
    """Reward of each query and mean cost, the mean over orders of the samples."""
    several = table.rewards.ndim == 3
    if isinstance(allocator, AdaptiveAllocator):
        budgets = allocator.predict(X)
        spent = budgets * table.costs.mean(axis=-1)
        expected = expected_menu_rewards if several else expected_rewards
        return expected(table.rewards, budgets), spent.sum() / len(X)
    rewards, costs = [], []
    for order in range(N_ORDERS):
        random = np.random.default_rng(order)
        drawn = np.argsort(random.random(table.shape), axis=-1)
        session = allocator.start(X)
        (replay_menu if several else replay)(
            session,
            np.take_along_axis(table.rewards, drawn, axis=-1),
            np.take_along_axis(table.costs, drawn, axis=-1),
        )
        rewards.append(session.best_rewards)
        costs.append(session.costs.sum() / len(X))
    return np.mean(rewards, axis=0), np.mean(costs)


def single_rewards(world, name, decoder, cost):
    """Rewards of one decoder alone at a budget of that cost."""
    single = world.singles[name, decoder].set_params(budget=cost)
    rewards, _ = replay_rewards(single, world.X, one_decoder(world.table, decoder))
    return rewards


def router_rewards(world, cost):
    """Rewards of the router with the most calls of the strong model for that cost."""
    means, costs = world.table.rewards.mean(axis=2), world.table.costs.mean(axis=2)
    rows = np.arange(len(means))
    best = np.zeros(len(means))
    for share in np.linspace(0, 1, 51):
        calls = world.router.set_params(budget=share).predict(world.X)
        if costs[rows, calls].mean() <= cost:
            best = max(best, means[rows, calls], key=np.mean)
    return best


if __name__ == "__main__":
    main()
