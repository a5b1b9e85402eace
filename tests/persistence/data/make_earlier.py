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
    HiddenStateFeaturizer,
    LoRARewardRegressor,
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
    np.savez(
        folder / "expected.npz",
        budgets=policy.predict(TEXTS),
        features=featurizer.transform(TEXTS)[:, :8],
        lora=lora.predict(TEXTS),
    )
