"""
===============================
When the score is not the truth
===============================

A reward model scores answers, and the one with the highest score is taken. If the score
can be fooled, then among many answers there is one that fools it. This example makes
such a score, and shows the curve that falls, and a policy that stops in time.
"""

# %%
# A score that can be fooled
# --------------------------
#
# The score follows the truth, with some noise. But a share of the answers to each query
# is wrong and looks perfect. How many these are differs between queries, and a feature
# tells something about it.

import numpy as np

from sklearn_adaalloc import RewardTable
from sklearn_adaalloc.datasets import make_reward_table

X, rewards = make_reward_table(3000, 32, random_state=0, return_X_y=True)
rng = np.random.default_rng(0)
fooling = rng.choice([0.0, 0.02, 0.1], size=len(rewards))
X = np.column_stack([X, 20 * fooling + rng.normal(0, 0.3, len(rewards))])
scores = rewards + rng.normal(0, 0.3, rewards.shape)
fools = rng.random(rewards.shape) < fooling[:, None]
rewards[fools], scores[fools] = 0, 9
table = RewardTable(rewards, scores=scores)

# %%
# The curve that falls
# --------------------
#
# With a perfect score, the chosen answer is the best, and more samples never hurt. With
# this one they do, the sooner the more often it is fooled.

import matplotlib.pyplot as plt

from sklearn_adaalloc.curves import reward_curves

chosen = reward_curves(table, 32, selection="score")
best = reward_curves(table, 32)
_, ax = plt.subplots(layout="constrained")
for share in (0.0, 0.02, 0.1):
    mean = chosen[fooling == share].mean(axis=0)
    ax.plot(range(1, 33), mean[1:], label=f"{share:.0%} of answers")
ax.plot(range(1, 33), best.mean(axis=0)[1:], "--", color="0.45", label="the best one")
ax.set_xscale("log", base=2)
ax.set_xticks([1, 2, 4, 8, 16, 32], [1, 2, 4, 8, 16, 32])
ax.set(
    title="The answer with the highest score",
    xlabel="samples per query",
    ylabel="share of right answers",
)
_ = ax.legend(title="answers that fool the score")

# %%
# A policy that stops in time
# ---------------------------
#
# A policy that is told ``selection="score"`` learns these curves and stops each query
# where more samples do harm. One that believes the best answer is chosen spends all.

from sklearn_adaalloc import AdaptiveAllocator
from sklearn_adaalloc.metrics import expected_reward_score

train, test = slice(0, 2000), slice(2000, None)
policies = {
    "told of the score": AdaptiveAllocator(selection="score", random_state=0),
    "believes in the best": AdaptiveAllocator(random_state=0),
}
budgets = [1, 2, 4, 8, 16, 32]
_, ax = plt.subplots(layout="constrained")
for name, policy in policies.items():
    policy.set_params(max_budget=32).fit(X[train], table[train])
    rows = [policy.set_params(budget=budget).predict(X[test]) for budget in budgets]
    earned = [
        expected_reward_score(table[test], each, selection="score") for each in rows
    ]
    spent = [each.mean() for each in rows]
    ax.plot(spent, earned, marker="o", label=name)
    print(f"{name:22} spends {spent[-1]:4.1f} of 32, earns {earned[-1]:.3f}")
equal = [expected_reward_score(table[test], b, selection="score") for b in budgets]
ax.plot(budgets, equal, "--", color="0.45", label="equal budgets")
ax.set_xscale("log", base=2)
ax.set_xticks(budgets, budgets)
ax.set(
    title="What the chosen answers earn, 1,000 test queries",
    xlabel="samples per query that were spent",
    ylabel="share of right answers",
)
_ = ax.legend(loc="lower center")

# %%
# The curve of the first policy ends where it stops buying. Its last budget costs less
# than it might, and earns as much as its best.
