"""Made `before_rooms`, with the package as it was before its modules had rooms.

Run it there, `PYTHONPATH=.:tests/support python make_before_rooms.py FOLDER`, to make
the files again.
"""

import pickle
import sys
from pathlib import Path

import faulty_server as faulty
import numpy as np
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    DummyAllocator,
    MLPRewardRegressor,
    RewardRegressor,
    SequentialAllocator,
    save_policy,
)
from sklearn_adaalloc.datasets import grade_arithmetic, make_reward_table
from sklearn_adaalloc.decoding import BestOfK, Router
from sklearn_adaalloc.sampling import OpenAISampler, TransformersSampler

QUERIES = ["1+1=", "23*41=", "9-4="]
TABLES = {
    target: make_reward_table(
        60, 6, n_features=3, profile=profile, random_state=0, return_X_y=True
    )
    for target, profile in {
        "rate_distribution": "math",
        "success_rate": "math",
        "marginal_rewards": "chat",
        "preference": "routing",
    }.items()
}

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    expected = {}

    def keep(name, thing):
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(thing, 5))

    # Regressors of each target, and what allocates by them
    for target, (X, rewards) in TABLES.items():
        regressor = RewardRegressor(Ridge(), target).fit(X, rewards)
        keep(target, regressor)
        expected[target] = regressor.predict(X)
        expected[f"{target}_marginals"] = regressor.predict_marginals(X)
    X, rewards = TABLES["rate_distribution"]
    net = MLPRewardRegressor(hidden_units=4, n_members=1, max_epochs=2, random_state=0)
    policy = AdaptiveAllocator(net, budget=2).fit(X, rewards)
    keep("mlp", policy)
    save_policy(policy, folder / "mlp")
    expected["mlp"] = policy.predict(X)
    expected["mlp_marginals"] = policy.predict_marginals(X)

    # Sessions in the middle of their rounds
    for name, target in {
        "verdicts": "rate_distribution",
        "values": "marginal_rewards",
    }.items():
        X, rewards = TABLES[target]
        policy = SequentialAllocator(
            RewardRegressor(Ridge(), target), budget=2, n_rounds=3
        )
        policy.fit(X, rewards)
        session = policy.start(X)
        first = session.ask()
        session.tell([row[:n] for row, n in zip(rewards, first, strict=True)])
        keep(name, (policy, session))
        expected[f"{name}_first"] = first
        expected[f"{name}_second"] = session.ask()
        expected[f"{name}_score"] = policy.score(X, rewards)
        expected[f"{name}_predict"] = policy.predict(X)

    # What carries policies out
    sampler = TransformersSampler(max_new_tokens=6, random_state=0, device="cpu")
    given = DummyAllocator(budget=2).fit(QUERIES, [[1, 0]] * 3)
    best_of_k = BestOfK(given, sampler, grade_arithmetic)
    decoded = best_of_k.decode(QUERIES)
    always = DummyAllocator(budget=1).fit(QUERIES, [[[0], [1]]] * 3)
    router = Router(always, sampler, sampler)
    keep("sampler", sampler)
    keep("best_of_k", best_of_k)
    keep("router", router)
    keep("answers", decoded)
    expected["sampled"] = np.array(sampler.sample(QUERIES, 2))
    expected["decoded"] = np.array(decoded.answers)
    expected["routed"] = np.array(router.decode(QUERIES).answers)
    with faulty.serving() as server:
        served = OpenAISampler(server.base_url, "m")
        expected["served"] = np.array(served.sample(QUERIES, 2))
        keep("openai", served)
    np.savez_compressed(folder / "expected.npz", **expected)
