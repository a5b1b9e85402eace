"""Made the files beside it, with the package as it was before commits were kept.

Run it there, `python make_earlier.py FOLDER`, to make them again.
"""

import pickle
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    HiddenStateFeaturizer,
    LoRARewardRegressor,
    PricedAllocator,
    RewardRegressor,
)
from sklearn_adaalloc.persistence import save_policy

TEXTS = ["1+1=", "23*41=", "gcd 84 30=", "9-4=", "748*963=", "max 3 41 7=", "8*7="]
REWARDS = np.array([[1, 1], [0, 0], [0, 1], [1, 1], [0, 0], [1, 0], [1, 1]])

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    policy = make_pipeline(
        HiddenStateFeaturizer(device="cpu", layer=0),
        AdaptiveAllocator(RewardRegressor(Ridge()), budget=1.5),
    ).fit(TEXTS, REWARDS)
    save_policy(policy, folder / "featurizer")
    featurizer = HiddenStateFeaturizer(device="cpu", layer=1).fit(TEXTS)
    (folder / "featurizer.pickle").write_bytes(pickle.dumps(featurizer, 5))
    lora = LoRARewardRegressor(
        max_epochs=1,
        r=1,
        layer=1,
        target_modules=["q_proj"],
        random_state=0,
        device="cpu",
    ).fit(TEXTS, REWARDS)
    save_policy(lora, folder / "lora")
    X = np.linspace(0, 1, 60)[:, None]
    rewards = (np.random.default_rng(0).random((60, 8)) < X).astype(float)
    alone = {}
    for kind in (BinnedAllocator, PricedAllocator):
        ridge = RewardRegressor(Ridge(), target="success_rate")
        alone[kind.__name__] = kind(ridge, budget=2.3, random_state=0).fit(X, rewards)
        save_policy(alone[kind.__name__], folder / kind.__name__)
    np.savez(
        folder / "expected.npz",
        budgets=policy.predict(TEXTS),
        features=featurizer.transform(TEXTS)[:, :8],
        lora=lora.predict(TEXTS),
        **{name: policy.predict(X) for name, policy in alone.items()},
    )
