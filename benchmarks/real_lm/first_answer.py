"""What the first answer tells beyond its verdict, and what that gains.

``python -m benchmarks.real_lm first_answer``. Every problem gets one sample. Those that
it does not solve share the rest of the budget, one sample at a time, by what is then
believed of them:

- ``verdict``: the prediction from the prompt, after a failure, as the package has it;
- ``corrected``: the same, corrected by a net that has learnt from training problems
  whose first answer failed; it sees the chance of ``verdict`` and nothing else, so it
  is the control of the others;
- ``+ log-probability``, ``+ length``: it also sees the mean log-probability of the
  failed answer, or its length and whether the limit cut it off; ``+ both``;
- ``+ state``: the hidden state at its end, known of the first answers of one model.

`loss` is the cross-entropy of the next sample over problems whose first answer failed,
`gain` the success above that of ``corrected`` at equal spend, with its 95 % interval
over problems, `over_verdict` that above ``verdict``. Means over several first answers;
those with ``of first`` in the name over the same single one. Writes
``results/real_lm/first_answer.csv``.
"""

import numpy as np
from scipy.special import logit
from sklearn.model_selection import KFold

from benchmarks.real_lm.experiments import PARTS, load_experiment, rows_tested
from benchmarks.real_lm.outcomes import FOLDER, MODELS, load_features
from benchmarks.real_lm.prediction import cross_entropies
from benchmarks.report import print_table, write_csv
from sklearn_adaalloc import MLPRewardRegressor
from sklearn_adaalloc.allocators._session import SequentialSession, replay
from sklearn_adaalloc.metrics._bootstrap import difference_from_gains
from sklearn_adaalloc.planning._beliefs import SuccessBelief

BUDGETS = (2, 4, 8)
N_PLAYS = 4000  # queries times first answers, at least
N_NETS = 3  # each learns from other first answers
ARMS = {
    "verdict": None,
    "corrected": (),
    "+ log-probability": ("log_probability",),
    "+ length": ("length",),
    "+ both": ("log_probability", "length"),
}
STATES = {  # only of the first answer of all
    "corrected, of first": (),
    "+ both, of first": ("log_probability", "length"),
    "+ state, of first": ("state",),
    "+ state and both, of first": ("state", "log_probability", "length"),
}


def measure(experiment, n_plays=N_PLAYS):
    """One row per belief and budget of one set with one model."""
    known = evidence(experiment)
    kinds = {"any": ARMS} | ({"first": STATES} if "state" in known else {})
    rows = []
    for kind, arms in kinds.items():
        folds = [
            play_fold(experiment, known, fold, kind, arms, n_plays)
            for fold in experiment.folds
        ]
        joined = {
            arm: [np.concatenate(part, axis=-1) for part in zip(*each, strict=True)]
            for arm in arms
            for each in [[fold[arm] for fold in folds]]
        }
        rows += result_rows(experiment, joined)
    return rows


def evidence(experiment):
    """What is known of each answer, by name: (n_problems, n_samples, n_values)."""
    tokens = experiment.table.costs
    known = {
        "log_probability": experiment.log_probability[:, :, None],
        "length": np.stack([np.log(tokens), experiment.cut_off], axis=-1),
    }
    file = f"{experiment.model}_answers"
    if (FOLDER / f"hidden_{file}.npz").exists():
        first = [
            load_features(part, file, rows)
            for part, rows in zip(
                PARTS[experiment.name], experiment.part_rows, strict=True
            )
        ]
        states = np.concatenate([np.hstack(list(each.values())) for each in first])
        known["state"] = states[:, None]
    return known


def play_fold(experiment, known, fold, kind, arms, n_plays):
    """Loss (n_test,) and success (n_budgets, n_test) of each belief, on one fold."""
    train, test = fold
    X, rewards = np.float32(experiment.X), experiment.table.rewards
    prior = first_beliefs(X, rewards, train, test)
    rng = np.random.default_rng(0)
    n_orders = -(-n_plays // len(test))
    n_tested = np.isfinite(rewards[test]).sum(axis=1).min()
    if kind == "first":
        firsts = [0] * n_orders
        learnt_from = [np.zeros(len(train), dtype=int)]
    else:
        firsts = [order % n_tested for order in range(n_orders)]
        most = np.isfinite(rewards[train]).sum(axis=1)
        learnt_from = [rng.integers(most) for _ in range(N_NETS)]
    orders = []
    for first in firsts:
        rest = rng.permutation(np.delete(np.arange(n_tested), first))
        orders.append(np.r_[first, rest])
    played = {}
    for arm, names in arms.items():
        believe = believer(prior, known, names, rewards, train, test, learnt_from)
        runs = [play(believe, rewards[test], order) for order in orders]
        losses, successes = zip(*runs, strict=True)
        played[arm] = mean_where_known(losses), np.mean(successes, axis=0)
    return played


def mean_where_known(rows):
    """Mean of each column over the rows where it is not NaN, NaN if it is nowhere."""
    known = np.isfinite(rows)
    totals = np.where(known, rows, 0).sum(axis=0)
    counts = known.sum(axis=0)
    return np.where(counts, totals / np.maximum(counts, 1), np.nan)


def first_beliefs(X, rewards, train, test):
    """Marginal rewards by the prompt; each problem by nets that have not seen it."""
    prior = np.full(rewards.shape, np.nan)

    def predict(known, unknown):
        regressor = MLPRewardRegressor(random_state=0).fit(X[known], rewards[known])
        prior[unknown] = regressor.predict_marginals(X[unknown], rewards.shape[1])

    for kept, left in KFold(5, shuffle=True, random_state=0).split(train):
        predict(train[kept], train[left])
    predict(train, test)
    return prior


def believer(prior, known, names, rewards, train, test, learnt_from):
    """A function from the column of the first answer to marginals after its failure."""
    # Marginals after one failure, (n_problems, n_samples - 1).
    after = prior[:, 1:] / (1 - prior[:, :1])
    if names is None:
        return lambda first: after[test]
    chance = logit(np.clip(after[:, :1], 1e-3, 1 - 1e-3))

    def features(rows, columns):
        parts = [known[name][rows, columns] for name in names]
        return np.float32(np.hstack([chance[rows], *parts]))

    nets = []
    for columns in learnt_from:
        failed = rewards[train, columns] == 0
        rows, columns = train[failed], columns[failed]
        others = rewards[rows].copy()
        others[np.arange(len(rows)), columns] = np.nan
        # A problem with one sample has no other.
        some = np.isfinite(others).any(axis=1)
        net = MLPRewardRegressor(random_state=0)
        nets.append(net.fit(features(rows, columns)[some], others[some]))

    def believe(first):
        X = features(test, np.full(len(test), first))
        width = rewards.shape[1] - 1
        return np.mean([net.predict_marginals(X, width) for net in nets], axis=0)

    return believe


def play(believe, rewards, order):
    """Loss of the next sample, NaN where the first solved; success at each budget."""
    marginals = believe(order[0])
    first, rest = rewards[:, order[0]], rewards[:, order[1:]]
    unsolved = np.flatnonzero(first == 0)
    losses = np.full(len(first), np.nan)
    chances = np.clip(marginals[unsolved, 0], 0, 1)
    losses[unsolved] = cross_entropies(rest[unsolved].mean(axis=1), chances)
    success = []
    for budget in BUDGETS:
        money = (budget - 1) * len(first) / len(unsolved)
        limits = np.full(len(unsolved), rest.shape[1])
        session = SequentialSession(
            SuccessBelief(marginals[unsolved], limits), budget=money, n_rounds=None
        )
        solved = first.copy()
        solved[unsolved] = replay(session, rest[unsolved])
        success.append(solved)
    return losses, np.array(success)


def result_rows(experiment, played):
    """Rows of all beliefs that were played on the same answers."""
    names = list(played)
    control = next(name for name in names if name.startswith("corrected"))
    for name in names:
        losses, success = played[name]
        for k, budget in enumerate(BUDGETS):
            if (
                budget
                >= np.isfinite(experiment.table.rewards[rows_tested(experiment)])
                .sum(axis=1)
                .min()
            ):
                continue
            row = {
                "set": experiment.name,
                "model": experiment.model,
                "belief": name,
                "loss": float(np.nanmean(losses)),
                "budget": budget,
                "success": float(success[k].mean()),
            }
            for key, other in (("gain", control), ("over_verdict", "verdict")):
                ends = (key, f"{key}_low", f"{key}_high")
                row |= dict.fromkeys(ends, "")
                if other in played:
                    gains = success[k] - played[other][1][k]
                    above = difference_from_gains(gains, random_state=0)
                    row |= dict(zip(ends, above[:3], strict=True))
            yield row


def run(data, output, limit=None, n_plays=N_PLAYS):
    """Print the table and write it."""
    rows = []
    for model in MODELS:
        for name in PARTS:
            rows += measure(load_experiment(name, model, data, limit), n_plays)
    print_table(rows)
    write_csv(rows, output / "first_answer.csv")
