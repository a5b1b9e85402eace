"""
========================================
Which regressor knows what is difficult?
========================================

Any scikit-learn regressor can be the difficulty model. This example compares some of
them with the default, and with a language model that is adapted with LoRA. The measure
is the reward of the resulting policy.
"""

# %%
# All but two use the same features, hidden states of the language model that answers
# the queries. One uses only the number of characters. LoRA uses the texts themselves.
# To save time, it is trained here for only three passes over the thousand queries.

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_adaalloc import (
    HiddenStateFeaturizer,
    LoRARewardRegressor,
    MLPRewardRegressor,
    RewardRegressor,
)
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("code")
featurizer = HiddenStateFeaturizer("embedded")
lengths = FunctionTransformer(lambda queries: np.array([[len(q)] for q in queries]))
ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 9)))
forest = ExtraTreesRegressor(50, min_samples_leaf=5, max_features=0.3, random_state=0)
candidates = {
    "length, Ridge": (lengths, RewardRegressor(ridge)),
    "extra trees": (featurizer, RewardRegressor(forest)),
    "neighbours": (featurizer, RewardRegressor(KNeighborsRegressor(15))),
    "Ridge": (featurizer, RewardRegressor(ridge)),
    "MLP, default": (featurizer, MLPRewardRegressor(random_state=0)),
    "LoRA, short": (
        FunctionTransformer(),
        LoRARewardRegressor(
            max_epochs=3, batch_size=32, learning_rate=0.002, random_state=0
        ),
    ),
}

# %%
# The table has two numbers for each regressor. The first is the share of the gap
# between equal budgets (0) and the oracle (1) that its predictions recover over all
# budgets. The second is the gain over equal budgets at the same spend, four samples per
# query, with its 95 % interval.

from sklearn_adaalloc import AdaptiveAllocator
from sklearn_adaalloc.metrics import gap_recovered_score, paired_difference

gains = {}
print("                gap recovered   gain at 4 samples")
for name, (reader, regressor) in candidates.items():
    policy = make_pipeline(reader, AdaptiveAllocator(regressor, budget=4))
    policy.fit(data.queries_train[:1000], data.rewards_train[:1000])
    X_test = policy[:-1].transform(data.queries_test)
    gap = gap_recovered_score(data.rewards_test, policy[-1].predict_marginals(X_test))
    budgets = policy[-1].predict(X_test)
    gain = paired_difference(data.rewards_test, budgets, budgets.mean(), random_state=0)
    print(f"{name:15} {gap:13.2f}", "  {:+.3f} [{:+.3f}, {:+.3f}]".format(*gain[:3]))
    gains[name] = gain

# %%
import matplotlib.pyplot as plt

gain, low, high, _ = np.transpose(list(gains.values()))
_, ax = plt.subplots(layout="constrained")
ax.errorbar(gain, list(gains), xerr=[gain - low, high - gain], fmt="o", capsize=4)
ax.axvline(0, color="0.45", linestyle="--", linewidth=1.2)
_ = ax.set(
    title="Gain over equal budgets, 4 samples per query",
    xlabel="gain in success rate (95 % interval)",
)

# %%
# The information in the features matters more than the regressor. The number of
# characters is far behind. The other candidates are close, and their intervals overlap.
# All policies are compared on the same queries, so ``paired_difference`` between two of
# them would give narrower intervals.
