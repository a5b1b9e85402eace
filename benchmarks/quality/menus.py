"""Several models on real graded answers: who answers, what it costs, what it earns.

    python -m benchmarks.quality.menus [--data DIR] [--parts PART ...] [--orders N]

Two-fold: fitted on one half of the queries, played on the other, both ways. Policies
see verdicts and decide one sample at a time, if nothing else is said. Replays are means
over `--orders` random orders of the samples; everything else is an exact expectation
over orders. Writes to `benchmarks/results/quality`

- `menus_math.csv`: three models on 5,000 MATH problems, 1.5, 1.5 and 7.6 billion
  parameters, with somebody's probe of each as features;
- `menus_mbpp.csv`: seven models of 7 to 8 billion parameters on MBPP, features from the
  texts, with costs of 1 and in parameters; in five orders;
- `menus_routerbench.csv`: RouterBench's MBPP and ARC, eleven models, dollars, without
  verdicts (one answer for each query) and with them;
- `menus_tokens.csv`: four reasoning models on MATH-500, tokens.

Each row is a method at a mean cost. `gain` is the reward of the `menu` at that cost
less the reward of the method at the cost that the menu had, with a 95 % interval over
queries. All methods see the same orders. A single model in sequence is asked again
until its first success, at most so often that the budget is spent; "with features"
allocates its tries by the features that the menu has. "best single" is the best of all
these in hindsight. The fixed cascade is the best of all orders of up to three models
and all numbers of tries, on the queries to learn from.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.utils import Bunch, check_random_state

from benchmarks.quality.costs import token_sets
from benchmarks.quality.from_text import minilm
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
from sklearn_adaalloc.metrics import (
    best_fixed_cascades,
    cascade_cost_curve,
    oracle_cost_curve,
    routing_report,
)
from sklearn_adaalloc.metrics._bootstrap import difference_from_gains
from sklearn_adaalloc.metrics._cost_curve import sample_orders
from sklearn_adaalloc.metrics._fixed_cascades import failures_and_costs, query_cascades
from sklearn_adaalloc.metrics._policy_curves import BudgetCurve, first_crossing

PARTS = ("math", "mbpp", "routerbench", "tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--orders", type=int, default=2, help="orders of the samples")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    for part in options.parts:
        rows = PART_ROWS[part](options.data, options.orders)
        print_table(rows)
        write_csv(rows, options.output / f"menus_{part}.csv")


# --- what a method costs and earns on each query ---------------------------------


class Line(NamedTuple):
    """Costs and rewards of a method on each query, at points of increasing cost."""

    costs: np.ndarray  # (n_points, n_queries)
    rewards: np.ndarray  # (n_points, n_queries)

    def at(self, spend):
        """Rewards (n_queries,) at a mean cost: two neighbouring points are mixed."""
        spends = self.costs.mean(axis=1)
        after = int(np.searchsorted(spends, spend))
        if after in (0, len(spends)):
            return self.rewards[min(after, len(spends) - 1)]
        low, high = spends[after - 1], spends[after]
        share = (spend - low) / (high - low)
        return (1 - share) * self.rewards[after - 1] + share * self.rewards[after]

    def curve(self):
        """Mean reward against mean cost."""
        return BudgetCurve(self.costs.mean(axis=1), self.rewards.mean(axis=1))


def join(lines):
    """The line of all queries, from those of the folds."""
    return Line(*(np.concatenate(part, axis=1) for part in zip(*lines, strict=True)))


def played(policy, X, tables, budgets):
    """Line of a policy that sees verdicts, a mean over tables in different orders."""
    points = []
    for budget in budgets:
        policy.set_params(budget=budget)
        points.append(np.mean([_play(policy, X, table) for table in tables], axis=0))
    return Line(*np.array(points).swapaxes(0, 1))


def _play(policy, X, table):
    """Costs and rewards (n_queries,) of a session that takes the samples in order."""
    session = policy.start(X)
    step_by_step = replay_menu if len(table.shape) == 3 else replay
    rewards = step_by_step(session, table.rewards, table.costs)
    return session.costs.reshape(len(table), -1).sum(axis=1), rewards


def alone(table, decoder):
    """Line of one model in sequence, with the same largest number of tries for all."""
    failing, spent = failures_and_costs(table.rewards, table.costs)
    return Line(spent[:, decoder].T, 1 - failing[:, decoder].T)


def fixed_cascades(train, test, budgets, max_tries):
    """Line of the cascades that are best for each budget on `train`, on `test`."""
    cascades = best_fixed_cascades(train, max_tries=max_tries)
    spends = cascade_cost_curve(train, cascades).spend
    costs, rewards = query_cascades(test, cascades)
    place = np.interp(budgets, spends, np.arange(len(spends)))
    before = np.minimum(place.astype(int), len(spends) - 2)
    share = (place - before)[:, None]
    return Line(
        *(
            (1 - share) * part[before] + share * part[before + 1]
            for part in (costs, rewards)
        )
    )


def compare(name, menu, others, budgets, **known):
    """One row per method and budget; `menu` is a line with one point per budget."""
    for point, budget in enumerate(budgets):
        spend, own = menu.costs[point].mean(), menu.rewards[point]
        shared = {"set": name, **known, "budget": float(budget)}
        yield {**shared, "method": "menu", "spend": float(spend)} | {
            "reward": float(own.mean()),
            **dict.fromkeys(("gain", "low", "high"), ""),
        }
        for method, line in others.items():
            theirs = line.at(spend)
            difference = difference_from_gains(own - theirs, random_state=0)
            yield {**shared, "method": method, "spend": float(spend)} | {
                "reward": float(theirs.mean()),
                "gain": difference.difference,
                "low": difference.low,
                "high": difference.high,
            }


def best_of(lines, budgets, n_points=100):
    """Line of the method that is best in hindsight at each cost."""
    spends = np.geomspace(0.9 * min(budgets), 1.1 * max(budgets), n_points)
    best = [max((line.at(s) for line in lines.values()), key=np.mean) for s in spends]
    return Line(np.repeat(spends[:, None], len(best[0]), axis=1), np.array(best))


def oracle_line(tables, n_points=400):
    """Mean costs and rewards of the oracle, as those of every query."""
    curve = oracle_cost_curve(tables)
    spend = np.linspace(0, curve.spend[-1], n_points)
    n_queries = len(tables)
    parts = spend, np.interp(spend, *curve)
    return Line(*(np.repeat(part[:, None], n_queries, axis=1) for part in parts))


# --- three models on MATH --------------------------------------------------------


def math_menu(data):
    """Table of the three models, and their probes as features."""
    rewards, probes = [], []
    for model in MATH_MODELS:
        arrays = np.load(data / f"math5000/{model}.npz")
        rewards.append(arrays["rewards"])
        probes.append(arrays["probe_prediction"])
    table = RewardTable(
        np.stack(rewards, axis=1).astype(float),
        costs=[1.5, 1.5, 7.6],
        decoders=list(MATH_MODELS),
    )
    return table, np.column_stack(probes).astype(float)


def math_rows(data, n_orders, budgets=(4, 8, 16)):
    table, X = math_menu(data)
    return sequence_rows(
        "math5000",
        table,
        X,
        two_folds(range(len(X))),
        budgets,
        n_orders,
        feature_names="probes",
    )


def sequence_rows(
    name, table, X, folds, budgets, n_orders, *, feature_names, max_tries=None
):
    """All methods that see verdicts, one by one, with and without features."""
    lines = {}
    for train, test in folds:
        fitted = partial(_fit, X=X[train], table=table[train], max_budget=max_tries)
        orders = _orders(table[test], n_orders)
        grid = np.geomspace(min(budgets) / 2, max(budgets) * 2, 80)
        new = {
            "menu": played(
                fitted(MLPRewardRegressor(target="rate_profiles", random_state=0)),
                *(X[test], orders, budgets),
            ),
            "menu, no features": played(
                fitted(RewardRegressor(DummyRegressor(), target="rate_profiles")),
                *(X[test], orders, budgets),
            ),
            "fixed cascade": fixed_cascades(table[train], table[test], grid, max_tries),
        }
        for decoder, model in enumerate(table.decoders):
            new[model] = alone(table[test], decoder)
            policy = _fit(
                MLPRewardRegressor(random_state=0),
                *(X[train], _one(table[train], decoder), max_tries),
            )
            new[f"{model}, with features"] = played(
                policy, X[test], [_one(each, decoder) for each in orders], budgets
            )
        for method, line in new.items():
            lines.setdefault(method, []).append(line)
    lines = {method: join(folds) for method, folds in lines.items()}
    order = np.concatenate([test for _, test in folds])
    menu, plain = lines.pop("menu"), lines.pop("menu, no features")
    cascade = lines.pop("fixed cascade")
    others = {"menu, no features": plain, "fixed cascade": cascade}
    plain_lines = {model: lines[model] for model in table.decoders}
    others["best single, no features"] = best_of(plain_lines, budgets)
    others["best single"] = best_of(lines, budgets)
    others |= lines | {"oracle": oracle_line(table[order])}
    return list(compare(name, menu, others, budgets, features=feature_names))


def _fit(regressor, X, table, max_budget=None):
    policy = SequentialAllocator(
        regressor, unit="cost", n_rounds=None, max_budget=max_budget
    )
    return policy.fit(X, table)


def _orders(table, n_orders):
    """The table with its samples in several random orders, shared by all methods."""
    return list(sample_orders(table, n_orders, check_random_state(0)))


def _one(table, decoder):
    return RewardTable(table.rewards[:, decoder], costs=table.costs[:, decoder])


# --- seven models on MBPP, from the text -----------------------------------------


def text_features(texts):
    """Features of texts. No rewards are seen here, so both folds share them."""
    states = np.asarray(minilm(None).fit_transform(texts), dtype=np.float64)
    words = TfidfVectorizer(sublinear_tf=True, max_features=2000).fit_transform(texts)
    return {
        "none": None,
        "MiniLM": states,
        "TF-IDF": words.toarray(),
        "both": np.hstack([states, words.toarray()]),
    }


def profile_forest():
    """Weights of rate profiles by a forest: with few queries it is hard to overfit."""
    forest = RandomForestRegressor(
        300, min_samples_leaf=5, max_features=0.1, random_state=0
    )
    return RewardRegressor(forest, target="rate_profiles")


def text_policy(X, table):
    if X is None:
        regressor = RewardRegressor(DummyRegressor(), target="rate_profiles")
        return _fit(regressor, np.zeros((len(table), 1)), table)
    return _fit(profile_forest(), X, table)


def mbpp_menus(data):
    """Tables of the seven models by the unit of their costs, and the texts."""
    arrays = np.load(data / "menus/mbpp_7_models.npz")
    texts = _texts(data / "menus/mbpp_7_models.queries.jsonl")
    n_samples = int(arrays["n_samples"])
    n_right = np.rint(arrays["rates"] * n_samples)[:, :, None]
    rewards = (np.arange(n_samples) < n_right).astype(float)
    names = [name.split("/")[-1] for name in arrays["decoders"].tolist()]
    units = {"answers": np.ones(7), "parameters": arrays["billions"]}
    tables = {
        unit: RewardTable(rewards, costs=costs, decoders=names)
        for unit, costs in units.items()
    }
    return tables, texts


def mbpp_rows(data, n_orders, budgets=(1, 1.5, 2, 3)):
    tables, texts = mbpp_menus(data)
    features = text_features(texts)
    rows = []
    for unit, table in tables.items():
        spends = np.multiply(budgets, table.costs[0, :, 0].mean())
        kinds = features if unit == "answers" else {"MiniLM": features["MiniLM"]}
        for name, X in kinds.items():
            rows += _text_rows(unit, name, X, table, texts, spends, 5)
    return rows


def _text_rows(unit, name, X, table, texts, budgets, n_orders):
    folds, others, tests = [], {}, []
    for train, test in two_folds(texts):
        policy = text_policy(None if X is None else X[train], table[train])
        queries = np.zeros((len(test), 1)) if X is None else X[test]
        folds.append(played(policy, queries, _orders(table[test], n_orders), budgets))
        grid = np.geomspace(min(budgets) / 2, max(budgets) * 2, 80)
        new = {"fixed cascade": fixed_cascades(table[train], table[test], grid, None)}
        for decoder, model in enumerate(table.decoders):
            new[model] = alone(table[test], decoder)
        for method, line in new.items():
            others.setdefault(method, []).append(line)
        tests.append(test)
    lines = {method: join(each) for method, each in others.items()}
    cascade = lines.pop("fixed cascade")
    methods = {"fixed cascade": cascade, "best single": best_of(lines, budgets)}
    methods["oracle"] = oracle_line(table[np.concatenate(tests)])
    rows = compare("mbpp_7_models", join(folds), methods, budgets, features=name)
    return [{"set": row.pop("set"), "cost": unit, **row} for row in rows]


# --- RouterBench -----------------------------------------------------------------


def routerbench_rows(data, n_orders):
    rows = []
    for name in ("mbpp_train", "arc_challenge_train"):
        arrays = np.load(data / f"menus/{name}.npz")
        texts = _texts(data / f"menus/{name}.queries.jsonl")
        table = RewardTable(
            arrays["rewards"].astype(float)[:, :, None],
            costs=arrays["dollars"][:, :, None],
            decoders=arrays["decoders"].tolist(),
        )
        rows += router_rows(name, table, text_features(texts), texts)
    return rows


def router_rows(name, table, features, texts):
    """Routers to one answer, and sequences, against the best single model."""
    regressors = {
        "profiles, MiniLM": ("MiniLM", profile_forest()),
        "profiles, both": ("both", profile_forest()),
        "kNN (RouterBench), MiniLM": ("MiniLM", KNeighborsRegressor(40)),
        "Ridge on TF-IDF": ("TF-IDF", RidgeCV(np.geomspace(0.01, 100, 9))),
    }
    dollars = table.costs.mean(axis=(0, 2))
    budgets = np.geomspace(dollars.min(), 1.5 * dollars.max(), 12)
    lines, tests = {}, []
    for train, test in two_folds(texts):
        paid = table[train].costs.mean(axis=(0, 2))
        for method, (kind, regressor) in regressors.items():
            X = features[kind]
            rates = table[train].rewards[:, :, 0]
            target = table[train] if method.startswith("profiles") else rates
            predicted = regressor.fit(X[train], target).predict(X[test])
            line = routed(predicted, paid, table[test])
            lines.setdefault(f"router: {method}", []).append(line)
        for kind in ("none", "MiniLM"):
            X = features[kind]
            policy = text_policy(None if X is None else X[train], table[train])
            queries = np.zeros((len(test), 1)) if X is None else X[test]
            line = played(policy, queries, [table[test]], budgets)
            lines.setdefault(f"sequence: profiles, {kind}", []).append(line)
        line = fixed_cascades(table[train], table[test], budgets, None)
        lines.setdefault("sequence: fixed cascade", []).append(line)
        tests.append(test)
    table = table[np.concatenate(tests)]
    return list(
        _router_figures(name, table, {m: join(each) for m, each in lines.items()})
    )


def routed(predicted, paid, table):
    """Line of a router: at each price, the model with the best net prediction."""
    prices = np.r_[np.geomspace(1e5, 1, 60), 0.0]
    rows = np.arange(len(table))
    chosen = [(predicted - price * paid).argmax(axis=1) for price in prices]
    return Line(
        np.array([table.costs[rows, each, 0] for each in chosen]),
        np.array([table.rewards[rows, each, 0] for each in chosen]),
    )


def _router_figures(name, table, lines):
    """RouterBench's and RouteLLM's figures of each method, against the best single."""
    costs, rewards = table.costs[:, :, 0], table.rewards[:, :, 0]
    means = np.column_stack([costs.mean(axis=0), rewards.mean(axis=0)])
    best, weak = means[:, 1].argmax(), means[:, 0].argmin()
    curves = {method: line.curve() for method, line in lines.items()}
    curves["router: oracle"] = oracle_cost_curve(table, sequential=False)
    curves["sequence: oracle"] = oracle_cost_curve(table)
    for model, (cost, reward) in zip(table.decoders, means.tolist(), strict=True):
        curves[model] = BudgetCurve(np.array([cost]), np.array([reward]))
    for method, curve in curves.items():
        single = len(curve.spend) == 1
        spend = float(curve.spend[0]) if single else float(means[best, 0])
        row = {"set": name, "method": method, "spend": spend}
        row["reward"] = float(np.interp(spend, *curve))
        row |= dict.fromkeys(("gain", "low", "high"), "")
        if method in lines:
            gains = lines[method].at(spend) - rewards[:, best]
            gained = difference_from_gains(gains, random_state=0)
            row |= {"gain": gained.difference, "low": gained.low, "high": gained.high}
        row |= dict.fromkeys(("cost_of_best", "AIQ", "APGR", "CPT"), "")
        if not single:
            report = routing_report(*curve, weak=means[weak], strong=means[best])
            names = ("AIQ", "APGR", "CPT")
            row["cost_of_best"] = first_crossing(curve, means[best, 1])
            row |= dict(zip(names, report, strict=True))
        yield row


# --- four reasoning models on MATH-500, in tokens --------------------------------


def token_rows(data, n_orders, multiples=(0.5, 1.0, 1.5)):
    sets = list(token_sets(data))
    n_samples = min(outcomes.rewards.shape[1] for outcomes in sets)
    rewards, tokens = (
        np.stack([outcomes[part][:, :n_samples] for outcomes in sets], axis=1)
        for part in ("rewards", "tokens")
    )
    table = RewardTable(rewards, costs=tokens, decoders=[o.name for o in sets])
    cheapest = np.nanmean(tokens, axis=(0, 2)).min()
    budgets = np.round(np.multiply(multiples, cheapest))
    first: Bunch = sets[0]
    return sequence_rows(
        "math500, tokens",
        table,
        first.X,
        two_folds(list(first.texts)),
        budgets,
        n_orders,
        feature_names="probes",
        max_tries=16,
    )


def _texts(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


PART_ROWS = dict(
    zip(PARTS, (math_rows, mbpp_rows, routerbench_rows, token_rows), strict=True)
)

if __name__ == "__main__":
    main()
