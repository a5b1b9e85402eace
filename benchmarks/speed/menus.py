"""How long a session over several decoders deliberates, and what memory it takes.

    python -m benchmarks.speed.menus [--quick] [--output DIR]

Queries with weights over 32 rate profiles of three decoders, whose samples cost 1, 3
and 10, budget 12 in cost, verdicts from the profile of each query, one thread. All of
a session's `ask` and `tell`, in CPU seconds of the process. `memory` is the largest
amount allocated in between, per query: it does not grow with their number. `bound` is
the time of a table of the same verdicts, read once. `--quick` takes a tenth of the
queries. Writes `benchmarks/results/speed/menus.csv`.
"""

import argparse
import time
import tracemalloc
from pathlib import Path

import numpy as np

from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc.allocators._menu_session import MenuSession
from sklearn_adaalloc.allocators._menus import open_menu
from sklearn_adaalloc.allocators._prospects import RateProspects
from sklearn_adaalloc.planning._menu_money import MenuMoney
from sklearn_adaalloc.planning._money import CostSpread

COSTS, BUDGET, MAX_BUDGET, N_PROFILES = np.array([1.0, 3.0, 10.0]), 12.0, 16, 32
CASES = (
    ("4 rounds", 100_000, 4, "< 8 s"),
    ("4 rounds", 10_000, 4, ""),
    ("one by one", 10_000, None, "< 8 s"),
    ("one by one", 1_000, None, ""),
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
    write_csv(rows, options.output / "menus.csv")


def row(name, n_queries, n_rounds, asked):
    """Time one session, and play it again to measure its memory."""
    known, rewards = make_world(n_queries)
    start = time.process_time()
    np.isnan(rewards).sum()
    bound = time.process_time() - start
    session, seconds = play(known, rewards, n_rounds)
    tracemalloc.start()
    play(known, rewards, n_rounds)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        "session": name,
        "n_queries": n_queries,
        "asked": asked,
        "seconds": seconds,
        "bound": bound,
        "memory": most / n_queries,
        "rounds": session.rounds_taken,
        "solved": float((session.best_rewards == 1).mean()),
        "spend": float(session.costs.sum() / n_queries),
    }


def play(known, rewards, n_rounds):
    """Play a session to its end; the session, and how long it deliberated."""
    n_queries = len(rewards)
    start = time.process_time()
    costs = np.tile(COSTS, (n_queries, 1))
    menu = open_menu(known, costs, (0, 0, 0), (MAX_BUDGET,) * 3)
    money = MenuMoney(BUDGET, costs, [CostSpread(0, 0, 0, 0, 0)] * 3)
    session = MenuSession(
        menu.belief(), costs.shape, budget=None, n_rounds=n_rounds, money=money
    )
    seconds = time.process_time() - start
    while True:
        start = time.process_time()
        asked = session.ask()
        seconds += time.process_time() - start
        if asked is None:
            return session, seconds
        told = next_verdicts(rewards, session.budgets, asked)
        paid = np.where(np.isfinite(told), COSTS[:, None], np.nan)
        start = time.process_time()
        session.tell(told, paid)
        seconds += time.process_time() - start


def make_world(n_queries):
    """Distinct predictions, and verdicts that bear them out."""
    rng = np.random.default_rng(0)
    hardness = rng.normal(2, 4, size=(N_PROFILES, 1))
    logits = np.array([-1.0, 0.5, 2.0]) - hardness + rng.normal(size=(N_PROFILES, 3))
    profiles = 1 / (1 + np.exp(-logits))
    weights = rng.dirichlet(np.full(N_PROFILES, 0.2), size=n_queries)
    above = rng.random(n_queries)[:, None] > np.cumsum(weights, axis=1)
    own = profiles[np.minimum(above.sum(axis=1), N_PROFILES - 1)]
    rewards = rng.random((n_queries, 3, MAX_BUDGET)) < own[:, :, None]
    return RateProspects(weights, profiles), rewards.astype(np.float64)


def next_verdicts(rewards, taken, asked):
    """Rewards of the samples asked for, in their order, NaN last."""
    columns = np.arange(asked.max())
    places = np.minimum(taken[:, :, None] + columns, MAX_BUDGET - 1)
    told = np.take_along_axis(rewards, places, axis=2)
    return np.where(columns < asked[:, :, None], told, np.nan)


if __name__ == "__main__":
    main()
