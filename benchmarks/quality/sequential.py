"""Sequential allocation on real graded outcomes: rounds against deciding up front.

    python -m benchmarks.quality.sequential [--data DIR] [--sets PART ...] [--draws N]

Two-fold: fitted on one half of the queries, replayed on the other, both ways. Samples
are exchangeable, and one order of them alone moves a success rate by 0.004 or so. Each
figure is therefore a mean over `--draws` seeded permutations of every row, less what
uniform allocation gained by luck in the same orders (a control variate). Writes to
`benchmarks/results/quality`

- `sequential.csv`, `sequential.png`: every policy at every budget, with paired 95 %
  intervals over queries against uniform at equal realised spend, the compute saved at
  uniform's success rate, and the rounds it took;
- `sequential_rules.csv`: how to spend over four rounds, three rules;
- `sequential_reference.csv`: the cells of the data's README on MATH. That table is one
  random order; `luck` is what its own no-features column differs by from the mean here,
  and `adjusted` what ours would be in an order as lucky, by regression over the draws.
  `bound` is the most that any policy in four rounds can expect that sees the probe as
  one of 25 bins, even with those bins' true curves;
- `sequential_shift.csv`: priors fitted on the train rows of MATH.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.utils import Bunch

from benchmarks.quality.one_shot import least_spend
from benchmarks.quality.outcome_sets import (
    add_data_option,
    best_of_k_sets,
    two_folds,
)
from benchmarks.quality.sequential_rules import rounds_bound, rule_rows
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import MLPRewardRegressor, RewardRegressor
from sklearn_adaalloc.allocators._session import SequentialSession, replay
from sklearn_adaalloc.curves._rates import rate_marginals
from sklearn_adaalloc.curves._reward_curves import expected_rewards, reward_curves
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.metrics import oracle_budgets
from sklearn_adaalloc.metrics._bootstrap import difference_from_gains
from sklearn_adaalloc.planning._beliefs import RewardBelief, SuccessBelief
from sklearn_adaalloc.planning._solvers import allocate

GRID = np.r_[0.25:1:0.25, 1:4.1, 6:9:2, 12:17:4, 24:33:8]
EVERY = np.arange(1, 33)
PRINTED = (1, 2, 4, 8, 16, 32)
ROUNDS = {"2 rounds": 2, "4 rounds": 4, "8 rounds": 8, "one by one": None}
COLORS = {
    "one-shot": "C0",
    "no features, 4 rounds": "0.6",
    "2 rounds": "C2",
    "4 rounds": "C1",
    "one by one": "C3",
    "one-shot oracle": "C4",
    "known rates": "0.2",
}
# The data's README: no features (4 rounds, one by one), price (4 rounds), one by one.
REFERENCE = {
    ("qwen2_1p5b_instruct_t0p6", 2): (0.3318, 0.3318, 0.3830, 0.3864),
    ("qwen2_1p5b_instruct_t0p6", 4): (0.4402, 0.4422, 0.4662, 0.4762),
    ("qwen2_1p5b_instruct_t0p6", 8): (0.5368, 0.5448, 0.5510, 0.5666),
    ("qwen2p5_math_1p5b_t1p0", 2): (0.6014, 0.6018, 0.6380, 0.6464),
    ("qwen2p5_math_1p5b_t1p0", 4): (0.7660, 0.7770, 0.7708, 0.7884),
    ("qwen2p5_math_1p5b_t1p0", 8): (0.8524, 0.8746, 0.8564, 0.8712),
    ("qwen2p5_7b_instruct_t1p0", 2): (0.8326, 0.8384, 0.8378, 0.8398),
    ("qwen2p5_7b_instruct_t1p0", 4): (0.8886, 0.8942, 0.8882, 0.8948),
    ("qwen2p5_7b_instruct_t1p0", 8): (0.9174, 0.9198, 0.9196, 0.9198),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--sets", nargs="*", default=[""], help="parts of set names")
    parser.add_argument("--draws", type=int, default=2, help="orders of the samples")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()
    parts = {"sequential": [], "rules": [], "reference": [], "shift": []}
    for outcomes in outcome_sets(options.data):
        if not any(part in outcomes.name for part in options.sets):
            continue
        print(f"{outcomes.name}, {len(outcomes.rewards)} queries")
        worlds = list(fitted_folds(outcomes, options.draws))
        rows = policy_rows(outcomes, worlds)
        print_table([row for row in rows if row["budget"] in PRINTED])
        parts["sequential"] += rows
        if outcomes.binary:
            parts["rules"] += rule_rows(outcomes, worlds)
        if "shifted" in worlds[0].priors:
            parts["reference"] += reference_rows(outcomes, options.draws)
            parts["shift"] += shift_rows(outcomes, worlds)
    print_table(list(worst_rows(parts["sequential"])))
    for name in ("rules", "reference", "shift"):
        if parts[name]:
            print_table(parts[name])
            write_csv(parts[name], options.output / f"sequential_{name}.csv")
    write_csv(parts["sequential"], options.output / "sequential.csv")
    plot(parts["sequential"], options.output / "sequential.png")


# --- the sets and their priors ---------------------------------------------------


def outcome_sets(data):
    """Yield the real sets with one choice of features each, and three made ones."""
    for outcomes in best_of_k_sets(data):
        X = outcomes.features.get("probe", next(iter(outcomes.features.values())))
        binary = bool(np.isin(outcomes.rewards, [0, 1]).all())
        shifted = None
        if "probe" in outcomes.features:
            arrays = np.load(data / f"{outcomes.name}.npz")
            n_samples = int(arrays["train_n_samples"])
            right = np.arange(n_samples) < arrays["train_successes"][:, None]
            shifted = arrays["train_probe_prediction"][:, None], right.astype(float)
        yield Bunch(
            name=outcomes.name,
            X=X,
            rewards=outcomes.rewards,
            binary=binary,
            shifted=shifted,
            groups=outcomes.texts,
            min_budget=outcomes.min_budget,
        )
    for profile in ("math", "code", "chat"):
        table = make_reward_table(2000, 64, profile=profile, random_state=0)
        yield Bunch(
            name=f"make_reward_table/{profile}",
            X=table.data,
            rewards=table.rewards,
            binary=profile != "chat",
            shifted=None,
            groups=range(2000),
            min_budget=int(profile == "chat"),
        )


def fitted_folds(outcomes, n_draws):
    """One world per fold: held-out tables in several orders, and priors for them."""
    X, rewards = outcomes.X, outcomes.rewards
    n_samples = rewards.shape[1]
    # More orders where queries are few.
    n_draws *= min(8, -(-5000 // len(rewards)))
    for fold, (train, test) in enumerate(two_folds(list(outcomes.groups))):
        empty = 0.0 if outcomes.binary else float(np.nanmin(rewards[train]))
        target = "rate_distribution" if outcomes.binary else "marginal_rewards"
        net = MLPRewardRegressor(empty_reward=empty, random_state=0)
        average = RewardRegressor(DummyRegressor(), target, empty_reward=empty)
        fits = {
            "features": (net, X[train], rewards[train]),
            "no features": (average, X[train], rewards[train]),
        }
        if outcomes.shifted is not None:
            fits["shifted"] = (net, *outcomes.shifted)
        rng = np.random.default_rng(fold)
        yield Bunch(
            test=test,
            tables=[rng.permuted(rewards[test], axis=1) for _ in range(n_draws)],
            priors={
                name: regressor.fit(features, table).predict_marginals(
                    X[test], n_samples
                )
                for name, (regressor, features, table) in fits.items()
            },
            empty=empty,
            highest=float(np.nanmax(rewards[train])),
        )


def play(outcomes, world, prior, budget, n_rounds, table, *, corrected=True):
    """Best rewards, spend and rounds of one session on one order of the samples."""
    limits = np.full(len(prior), prior.shape[1])
    if outcomes.binary:
        belief = SuccessBelief(prior, limits, corrected=corrected)
    else:
        options = {"empty_reward": world.empty, "highest": world.highest}
        belief = RewardBelief(prior, limits, **options)
    session = SequentialSession(
        belief,
        budget=budget,
        n_rounds=n_rounds,
        min_budget=min(outcomes.min_budget, int(budget)),
        empty_reward=world.empty,
    )
    return replay(session, table), session.budgets, session.rounds_taken


# --- all policies at all budgets -------------------------------------------------


def policy_rows(outcomes, worlds):
    """One row per policy and budget."""
    n_samples = outcomes.rewards.shape[1]
    curves = reward_curves(outcomes.rewards, n_samples)
    rows = []
    for name, (policy, grid) in policies(outcomes).items():
        grid = grid[(grid <= n_samples) & (grid >= outcomes.min_budget)]
        played = [play_folds(outcomes, worlds, policy, budget) for budget in grid]
        spend = np.array([budgets.mean() for _, budgets, _ in played])
        reached = np.array([best.mean() for best, _, _ in played])
        for budget, at, (best, _, n_rounds) in zip(grid, spend, played, strict=True):
            even = uniform_rewards(curves, at)
            gain = difference_from_gains(best - even, n_bootstrap=1000, random_state=0)
            goal = uniform_rewards(curves, budget).mean()
            saved = 1 - least_spend(goal, reached, spend) / budget
            rows.append(
                {
                    "set": outcomes.name,
                    "policy": name,
                    "budget": float(budget),
                    "spend": float(at),
                    "reward": float(best.mean()),
                    "uniform": float(even.mean()),
                    "gain": gain.difference,
                    "low": gain.low,
                    "high": gain.high,
                    "saved": float(saved),
                    "rounds": float(n_rounds),
                }
            )
    return rows


def policies(outcomes):
    """Policies by name, each with the budgets at which it is played."""
    all_budgets = np.union1d(GRID, EVERY)
    table = {"one-shot": (one_shot, GRID)}
    for name, n_rounds in ROUNDS.items():
        budgets = all_budgets if n_rounds == 4 else GRID
        policy = partial(play_all, prior="features", n_rounds=n_rounds)
        table[name] = (policy, budgets)
        if n_rounds in (4, None):
            policy = partial(play_all, prior="no features", n_rounds=n_rounds)
            table[f"no features, {name}"] = (policy, budgets)
    table["one-shot oracle"] = (oracle, GRID)
    if outcomes.binary:
        table["known rates"] = (known_rates, GRID)
    return table


def play_folds(outcomes, worlds, policy, budget):
    """Mean best reward and spend of each query, over draws; and the rounds taken."""
    best, budgets = np.empty((2, len(outcomes.rewards)))
    rounds = []
    for world in worlds:
        best[world.test], budgets[world.test], n_rounds = policy(
            outcomes, world, budget
        )
        rounds.append(n_rounds)
    return best, budgets, np.mean(rounds)


def play_all(outcomes, world, budget, *, prior, n_rounds, corrected=True):
    """Play every order of the samples with one prior, and take uniform's luck out."""
    marginals = prior if isinstance(prior, np.ndarray) else world.priors[prior]
    runs = [
        play(outcomes, world, marginals, budget, n_rounds, table, corrected=corrected)
        for table in world.tables
    ]
    best, budgets, rounds = (np.mean(part, axis=0) for part in zip(*runs, strict=True))
    drawn = [drawn_curves(table, world.empty) for table in world.tables]
    exact = reward_curves(
        outcomes.rewards[world.test], drawn[0].shape[1] - 1, empty_reward=world.empty
    )
    luck = uniform_rewards(np.mean(drawn, axis=0) - exact, budget)
    slope = np.cov(best, luck)[0, 1] / max(luck.var(ddof=1), 1e-12)
    return best - slope * luck, budgets, rounds


def drawn_curves(table, empty):
    """Best of the first b samples of each row, b = 0, 1, ..."""
    first = np.full((len(table), 1), empty)
    best = np.maximum.accumulate(table, axis=1)
    return np.hstack([first, best])


def one_shot(outcomes, world, budget):
    """Play the same prior with everything decided up front."""
    prior, least = world.priors["features"], min(outcomes.min_budget, int(budget))
    budgets, _ = allocate(prior, budget, min_budget=least)
    return expected(outcomes, world, budgets), budgets, 1


def oracle(outcomes, world, budget):
    """Decide up front, with the true curves."""
    least = min(outcomes.min_budget, int(budget))
    budgets = oracle_budgets(outcomes.rewards[world.test], budget, min_budget=least)
    return expected(outcomes, world, budgets), budgets, 1


def known_rates(outcomes, world, budget):
    """One by one with each query's own success rate: the bound."""
    rewards = outcomes.rewards[world.test]
    prior = rate_marginals(rewards.mean(axis=1), rewards.shape[1])
    return play_all(
        outcomes, world, budget, prior=prior, n_rounds=None, corrected=False
    )


def expected(outcomes, world, budgets):
    rewards = outcomes.rewards[world.test]
    return expected_rewards(rewards, budgets, empty_reward=world.empty)


def uniform_rewards(curves, spend):
    """Expected reward of each query where all get `spend`, floor and ceil mixed."""
    low = int(spend)
    high = min(low + 1, curves.shape[1] - 1)
    return curves[:, low] + (spend - low) * (curves[:, high] - curves[:, low])


def worst_rows(rows):
    """Where each set is furthest below uniform, and below the same without features."""
    reward = {(r["set"], r["policy"], r["budget"]): r["reward"] for r in rows}
    for name in dict.fromkeys(row["set"] for row in rows):
        worst = {"set": name}
        for policy in ("4 rounds", "one by one"):
            here = [
                r
                for r in rows
                if (r["set"], r["policy"]) == (name, policy) and r["budget"] in EVERY
            ]
            low = min(here, key=lambda r: r["gain"])
            gaps = [
                (r["reward"] - reward[name, f"no features, {policy}", r["budget"]], r)
                for r in here
            ]
            gap, at = min(gaps, key=lambda pair: pair[0])
            worst[f"{policy}: least gain"] = low["gain"]
            worst[f"{policy}: at B"] = low["budget"]
            worst[f"{policy}: least over no features"] = gap
            worst[f"{policy}: at B "] = at["budget"]
        yield worst


# --- the data's reference figures, and the shifted prior -------------------------


def reference_rows(outcomes, n_draws):
    """The nine cells of the data's README, in expectation and adjusted for luck."""
    model = outcomes.name.removeprefix("math5000/")
    worlds = list(fitted_folds(outcomes, 4 * n_draws))
    # 25 equal bins of the probe, a feature of these sets' one column.
    order = outcomes.X[:, 0].argsort().argsort()
    bins = order * 25 // len(order)
    curves = reward_curves(outcomes.rewards, outcomes.rewards.shape[1])
    rows = []
    for budget in (2, 4, 8):
        plain_4, plain_1, price, single = REFERENCE[model, budget]
        row = {"model": model, "budget": budget}
        row["4 rounds: bound"] = rounds_bound(curves, bins, budget, 4)
        for name, n_rounds, asked, plain in (
            ("4 rounds", 4, price, plain_4),
            ("one by one", None, single, plain_1),
        ):
            ours, without = (
                success_by_draw(outcomes, worlds, prior, budget, n_rounds)
                for prior in ("features", "no features")
            )
            slope = np.cov(ours, without)[0, 1] / max(without.var(ddof=1), 1e-12)
            luck = plain - without.mean()
            row |= {
                f"{name}: reference": asked,
                f"{name}: ours": ours.mean(),
                f"{name}: sd of one order": ours.std(ddof=1),
                f"{name}: luck": luck,
                f"{name}: adjusted": ours.mean() + slope * luck,
            }
        rows.append(row)
    return rows


def success_by_draw(outcomes, worlds, prior, budget, n_rounds):
    """Success rate over both folds, one number per order of the samples."""
    totals = [
        [
            play(outcomes, world, world.priors[prior], budget, n_rounds, table)[0].sum()
            for table in world.tables
        ]
        for world in worlds
    ]
    return np.sum(totals, axis=0) / len(outcomes.rewards)


def shift_rows(outcomes, worlds):
    """Four rounds with the prior of other queries, corrected by verdicts or not."""
    rows = []
    for budget in (1, 2, 4, 8, 16, 32):
        row = {"set": outcomes.name, "budget": budget}
        for prior in ("features", "shifted"):
            for corrected in (False, True):
                policy = partial(play_all, prior=prior, n_rounds=4, corrected=corrected)
                best, _, _ = play_folds(outcomes, worlds, policy, budget)
                row[f"{prior}{', corrected' * corrected}"] = best.mean()
        rows.append(row)
    return rows


def plot(rows, path):
    """Gain over uniform against spend, a panel per set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["set"] for row in rows))
    n_rows = -(-len(names) // 3)
    figure, axes = plt.subplots(
        n_rows, 3, figsize=(12, 3.2 * n_rows), layout="constrained", squeeze=False
    )
    for ax, name in zip(axes.flat, names, strict=False):
        for policy, color in COLORS.items():
            line = [
                (row["spend"], row["gain"], row["low"], row["high"])
                for row in rows
                if (row["set"], row["policy"]) == (name, policy)
            ]
            if line:
                spend, gain, low, high = np.array(line).T
                ax.plot(spend, gain, color=color, label=policy)
                ax.fill_between(spend, low, high, color=color, alpha=0.15, linewidth=0)
        ax.axhline(0, color="0.4", linewidth=0.8)
        ax.set_xscale("log", base=2)
        ax.set_title(name.removeprefix("math5000/"), fontsize=10)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=7, frameon=False)
    figure.supxlabel("mean samples per query")
    figure.supylabel("reward above uniform at equal spend (95 % band over queries)")
    figure.savefig(path, dpi=110)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
