"""How long a session deliberates: all of its ask and tell together.

    python -m benchmarks.speed.sequential [--quick] [--output DIR]

Queries of `make_reward_table` with their true rate distributions, budget 8, verdicts
from the table, one thread. CPU seconds of the process; beside them the same in units of
what cannot be avoided: a one-shot `allocate` of the same table, and for rounds the
verdicts themselves, read once. `--quick` takes a tenth of the queries.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc.allocators._session import SequentialSession
from sklearn_adaalloc.curves._rates import mixture_marginals
from sklearn_adaalloc.planning._beliefs import SuccessBelief
from sklearn_adaalloc.planning._solvers import allocate

BUDGET, MAX_BUDGET, N_RATES = 8, 64, 33
CASES = (
    ("4 rounds", 100_000, 4, "< 2 s"),
    ("8 rounds", 100_000, 8, ""),
    ("one by one", 10_000, None, "< 2 s"),
    ("one by one", 100_000, None, ""),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the queries")
    parser.add_argument("--output", type=Path, default=RESULTS / "speed")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    rows = [
        row(name, n_queries // scale, n_rounds, asked)
        for name, n_queries, n_rounds, asked in CASES
    ]
    print_table(rows)
    write_csv(rows, options.output / "sequential.csv")


def row(name, n_queries, n_rounds, asked):
    """Time one session."""
    marginals, rewards = make_world(n_queries)
    start = time.process_time()
    allocate(marginals, BUDGET)
    once = time.process_time() - start
    start = time.process_time()
    belief = SuccessBelief(
        marginals,
        np.full(n_queries, MAX_BUDGET),
        share_plans=n_rounds is not None,
    )
    session = SequentialSession(belief, budget=BUDGET, n_rounds=n_rounds)
    deliberated = time.process_time() - start
    while True:
        start = time.process_time()
        budgets = session.ask()
        deliberated += time.process_time() - start
        if budgets is None:
            break
        told = next_verdicts(rewards, session.budgets, budgets)
        start = time.process_time()
        session.tell(told)
        deliberated += time.process_time() - start
    return {
        "session": name,
        "n_queries": n_queries,
        "asked": asked,
        "seconds": deliberated,
        "rounds": session.rounds_taken,
        "one-shot allocations": deliberated / once,
        "solved": float((session.best_rewards == 1).mean()),
        "spend": float(session.budgets.mean()),
    }


def make_world(n_queries):
    """Distinct predictions (n_queries, MAX_BUDGET), and verdicts that bear them out."""
    rng = np.random.default_rng(0)
    rates = np.r_[0.0, 1 / (1 + np.exp(-np.linspace(-6, 6, N_RATES - 2))), 1.0]
    weights = rng.dirichlet(np.full(N_RATES, 0.2), size=n_queries)
    marginals = mixture_marginals(weights, rates, MAX_BUDGET)
    above = rng.random(n_queries)[:, None] > np.cumsum(weights, axis=1)
    own = rates[np.minimum(above.sum(axis=1), N_RATES - 1)]
    return marginals, rng.random((n_queries, MAX_BUDGET)) < own[:, None]


def next_verdicts(rewards, taken, budgets):
    """Rewards of the samples asked for, in row order, NaN last."""
    columns = np.arange(budgets.max())
    places = np.minimum(taken[:, None] + columns, MAX_BUDGET - 1)
    told = np.take_along_axis(rewards, places, axis=1).astype(np.float64)
    return np.where(columns < budgets[:, None], told, np.nan)


if __name__ == "__main__":
    main()
