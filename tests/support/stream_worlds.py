"""Queries of streams, and how a server would serve many of them at once."""

import numpy as np


def mixed_world(n_queries, *, seed=0, hard=0.5):
    """Features and samples of queries with true rates of two kinds."""
    rng = np.random.default_rng(seed)
    rates = np.where(rng.random(n_queries) < hard, 0.05, 0.5)
    rewards = (rng.random((n_queries, 20)) < rates[:, None]).astype(float)
    return rng.normal(np.log(rates)[:, None], 0.5), rewards


def serve_many(stream, X, rewards, *, n_open, seed=0):
    """Samples of each query, with many open that are served in random order."""
    rng = np.random.default_rng(seed)
    waiting, active = list(range(len(X)))[::-1], []
    budgets = np.zeros(len(X), dtype=int)
    while waiting or active:
        while waiting and len(active) < n_open:
            row = waiting.pop()
            active.append((row, stream.start(X[row])))
        place = rng.integers(len(active))
        active[place], active[-1] = active[-1], active[place]
        row, session = active[-1]
        if (asked := session.ask()) is None:
            budgets[row] = session.budgets[0]
            session.close()
            active.pop()
        else:
            taken = int(session.budgets[0])
            session.tell([rewards[row, taken : taken + asked[0]]])
    return budgets
