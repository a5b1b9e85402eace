"""Success at equal budgets on real models, one model at a time.

``python -m benchmarks.real_lm savings``. Policies see hidden states of the prompts, at
two thirds of the depth. Up front, all samples are decided before the first; in rounds,
one by one and in a stream, verdicts are seen. "unlearned" policies know nothing before
the first verdict. Those that see verdicts are means over several orders of the samples.

`gain` is success above equal budgets at the same number of samples, with its 95 %
interval over problems; `learnt` is success above the unlearned policy in as many
rounds. `samples_saved` and `tokens_saved` are the shares of samples, and of tokens of
answers, that the success of equal budgets would not have needed, again with intervals;
nothing where a policy does not get there. Writes ``results/real_lm/savings.csv``.
"""

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.frozen import FrozenEstimator

from benchmarks.quality.menus import Line
from benchmarks.quality.sequential import uniform_rewards
from benchmarks.quality.stream import play
from benchmarks.quality.votes import least_spend, mean_outcome
from benchmarks.real_lm.experiments import PARTS, load_experiment, rows_tested
from benchmarks.real_lm.outcomes import MODELS
from benchmarks.report import print_table, write_csv
from sklearn_adaalloc import (
    AdaptiveAllocator,
    MLPRewardRegressor,
    RewardRegressor,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.curves import expected_rewards, reward_curves
from sklearn_adaalloc.metrics import oracle_budgets
from sklearn_adaalloc.metrics._bootstrap import difference_from_gains

BUDGETS = (2, 4, 8)
GRID = (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16)
N_BOOTSTRAP = 1000
N_PLAYS = 4000  # queries times orders of their samples, at least
ROUNDS = {"4 rounds": 4, "one by one": None}


def measure(experiment, n_plays=N_PLAYS):
    """One row per policy and budget of one set with one model."""
    table = experiment.table[rows_tested(experiment)]
    grid = [b for b in GRID if b <= table.shape[1]]
    equal = play_equal(table)
    folds = [play_fold(experiment, fold, grid, n_plays) for fold in experiment.folds]
    outcomes = {
        policy: np.concatenate([fold[policy] for fold in folds], axis=1)
        for policy in folds[0]
    }
    rows = []
    for policy, outcome in outcomes.items():
        unlearned = outcomes.get(f"unlearned, {policy}")
        for row in policy_rows(policy, outcome, equal, grid, unlearned):
            rows.append({"set": experiment.name, "model": experiment.model, **row})
    return rows


# --- samples, tokens and success of each policy, (n_budgets, n_queries, 3) -------


def play_equal(table):
    """Equal budgets 0, 1, ..., exact."""
    curves = reward_curves(table, table.shape[1])
    return decided(table, np.indices(curves.shape)[1].T, curves.T)


def decided(table, budgets, rewards):
    """Budgets that are decided up front, with their expected rewards."""
    tokens = budgets * table.costs.mean(axis=1)
    return np.stack([budgets, tokens, rewards], axis=-1).astype(float)


def play_fold(experiment, fold, grid, n_plays):
    """Policies by name, on the test problems of one fold."""
    train, test = fold
    X, table = np.float32(experiment.X), experiment.table[test]
    known = X[train], experiment.table[train].rewards
    learnt = FrozenEstimator(MLPRewardRegressor(random_state=0).fit(*known))
    average = RewardRegressor(DummyRegressor(), target="rate_distribution")
    up_front = AdaptiveAllocator(learnt).fit(*known)
    budgets = [up_front.set_params(budget=b).predict(X[test]) for b in grid]
    played = {
        "up front": decided_at(table, budgets),
        "up front, oracle": decided_at(
            table, [oracle_budgets(table.rewards, b) for b in grid]
        ),
    }
    rng, n_orders = np.random.default_rng(0), -(-n_plays // len(test))
    orders = [
        table._in_order(rng.random(table.shape).argsort(axis=1))
        for _ in range(n_orders)
    ]
    for name, regressor in (("", learnt), ("unlearned, ", average)):
        policy = SequentialAllocator(regressor).fit(*known)
        for rounds, n_rounds in ROUNDS.items():
            played[name + rounds] = play_all(policy, X[test], orders, grid, n_rounds)
    stream = StreamAllocator(random_state=0).fit(*known)
    # Each query is a session of its own, which takes longer: fewer orders do.
    few = orders[: max(1, len(orders) // 4)]
    played["stream"] = play_all(stream, X[test], few, grid, None)
    return played


def decided_at(table, budgets):
    """The same from budgets alone (n_budgets, n_queries)."""
    rewards = [expected_rewards(table.rewards, each) for each in budgets]
    return decided(table, np.array(budgets), np.array(rewards))


def play_all(policy, X, orders, grid, n_rounds):
    """Play a policy that sees verdicts, and take the mean over orders."""
    took = [
        [play(policy, b, X, table.rewards, n_rounds=n_rounds)[1] for b in grid]
        for table in orders
    ]
    return mean_outcome(np.array(took), [run_of(table) for table in orders])


def run_of(table):
    """Samples, tokens and best reward after each number of samples."""
    n_queries, n_samples = table.shape
    runs = np.zeros((n_samples + 1, n_queries, 3))
    runs[:, :, 0] = np.arange(n_samples + 1)[:, None]
    runs[1:, :, 1] = np.cumsum(table.costs, axis=1).T
    runs[1:, :, 2] = np.maximum.accumulate(table.rewards, axis=1).T
    return runs


# --- results ---------------------------------------------------------------------


def policy_rows(policy, outcome, equal, grid, unlearned=None, budgets=BUDGETS):
    """One row per budget, against equal budgets and the unlearned policy.

    Parameters
    ----------
    policy : str
    outcome : ndarray of shape (n_budgets, n_queries, 3)
        At each budget of `grid`.
    equal : ndarray of shape (n_samples + 1, n_queries, 3)
        At each whole budget.
    unlearned : ndarray of shape (n_budgets, n_queries, 3), default=None
        The policy that knows nothing before the first verdict, if there is one.
    """
    curves = equal[:, :, 2].T
    weights = bootstrap_weights(curves.shape[0])
    means = np.tensordot(weights, outcome, axes=(1, 1))  # (1 + n_bootstrap, grid, 3)
    equals = np.tensordot(weights, equal, axes=(1, 1))
    for budget in budgets:
        if budget >= len(equal) - 1:
            continue  # all samples there are: nothing to decide
        samples, tokens, rewards = outcome[grid.index(budget)].T
        even = uniform_rewards(curves, samples.mean())
        gain = difference_from_gains(rewards - even, random_state=0)
        learnt = dict.fromkeys(("learnt", "learnt_low", "learnt_high"), "")
        if unlearned is not None:
            plain = Line(unlearned[:, :, 0], unlearned[:, :, 2]).at(samples.mean())
            above = difference_from_gains(rewards - plain, random_state=0)
            learnt = dict(zip(learnt, above[:3], strict=True))
        saved = [
            saved_shares(*each, budget) for each in zip(means, equals, strict=True)
        ]
        yield {
            "policy": policy,
            "budget": budget,
            "samples": float(samples.mean()),
            "tokens": float(tokens.mean()),
            "success": float(rewards.mean()),
            "equal": float(even.mean()),
            "gain": gain.difference,
            "low": gain.low,
            "high": gain.high,
            **learnt,
            **with_intervals(("samples_saved", "tokens_saved"), saved),
        }


def bootstrap_weights(n_queries):
    """Weights of the queries: all alike, and then in bootstrap samples of them."""
    even = np.full(n_queries, 1 / n_queries)
    counts = np.random.default_rng(0).multinomial(n_queries, even, N_BOOTSTRAP)
    return np.vstack([even, counts / n_queries])


def saved_shares(means, equals, budget):
    """Shares of samples and of tokens saved at the success of an equal budget."""
    return 1 - least_spend(means, equals[budget, 2]) / equals[budget, :2]


def with_intervals(names, values):
    """Figures and their 95 % intervals; the first values are those of all queries."""
    row = {}
    for name, each in zip(names, np.transpose(values), strict=True):
        # A sample in which a policy does not get there counts as the least saving.
        each = np.where(np.isnan(each), -np.inf, each)
        low, high = np.quantile(each[1:], [0.025, 0.975], method="nearest")
        ends = {name: each[0], f"{name}_low": low, f"{name}_high": high}
        row |= {key: float(v) if np.isfinite(v) else "" for key, v in ends.items()}
    return row


def run(data, output, limit=None, n_plays=N_PLAYS):
    """Print the table and write it."""
    rows = []
    for name in PARTS:
        for model in MODELS:
            new = measure(load_experiment(name, model, data, limit), n_plays)
            print_table(new)
            rows += new
    write_csv(rows, output / "savings.csv")
