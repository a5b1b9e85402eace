"""
==================
Without a verifier
==================

Where nothing can tell right answers from wrong ones, the most frequent of several
answers is taken. This example shows what votes gain on which queries, and how a policy
splits them.
"""

# %%
# Answers beside rewards
# ----------------------
#
# The success rates and features here are made. Each wrong answer is one of three, and
# on half of the queries one of these is popular. The rewards only serve to learn and to
# measure: the vote does not see them.

import numpy as np

from sklearn_adaalloc import RewardTable
from sklearn_adaalloc.datasets import make_reward_table

X, rewards = make_reward_table(3000, 16, n_features=16, random_state=0, return_X_y=True)
rng = np.random.default_rng(0)
popular = rng.random((len(rewards), 1)) < 0.5
draws = rng.random(rewards.shape)
wrong = np.where(draws < np.where(popular, 0.8, 1 / 3), "11", "12")
wrong = np.where(draws > np.where(popular, 0.9, 2 / 3), "13", wrong)
answers = np.where(rewards == 1, "7", wrong)
table = RewardTable(rewards, answers=answers)
undecided = np.abs(rewards.mean(axis=1) - 0.4) < 0.2
print(*answers[undecided][:3, :8], sep="\n")

# %%
# Votes help, or harm
# -------------------
#
# A curve is the expected reward of the most frequent of b answers. Where most answers
# are right, a few votes are as good as many. Where right answers are frequent but no
# majority, it depends on the wrong ones: if these agree, more votes make it worse.

import matplotlib.pyplot as plt

from sklearn_adaalloc.curves import reward_curves

curves = reward_curves(table, 16, selection="vote")
rates = rewards.mean(axis=1)
groups = {
    "above 0.6": rates > 0.6,
    "0.35 to 0.6": (rates > 0.35) & (rates <= 0.6),
    "0.1 to 0.35": (rates > 0.1) & (rates <= 0.35),
}
fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
for ax, agree in zip(axes, (False, True), strict=True):
    for name, rows in groups.items():
        mean = curves[rows & (popular[:, 0] == agree)].mean(axis=0)
        ax.plot(range(1, 17), mean[1:], label=name)
    ax.set(
        title=f"Wrong answers {'agree' if agree else 'differ'}",
        xlabel="votes per query",
    )
axes[0].set(ylabel="share of right answers", ylim=(0, 1))
_ = axes[1].legend(title="success rate")

# %%
# Votes where they count
# ----------------------
#
# The policy is told how answers are chosen. It learns curves of this kind and splits
# the votes by them.

from sklearn_adaalloc import AdaptiveAllocator
from sklearn_adaalloc.metrics import BudgetCurveDisplay

policy = AdaptiveAllocator(budget=4, selection="vote", random_state=0)
policy = policy.fit(X[:2000], table[:2000])
display = BudgetCurveDisplay.from_estimator(
    policy, X[2000:], table[2000:], selection="vote", name="adaptive"
)
_ = display.ax_.set(title="Votes for 1,000 test queries", ylim=(0.35, 0.55))

# %%
# Beyond some budget the curve of the policy is flat: further votes are not expected to
# help, and it leaves them unspent. The sentences of `explain` say so, query by query.

frame = policy.set_params(budget=8).explain(X[2000:])
for budget in (0, 1, frame.budget.max()):
    print(frame.why[frame.budget == budget].iloc[0])

# %%
# Are two answers the same?
# -------------------------
#
# Votes are counted by equal texts unless a `key` says otherwise. For mathematics there
# is :class:`~sklearn_adaalloc.rewards.MathEquivalence`.

from sklearn_adaalloc.curves import MostVotes
from sklearn_adaalloc.rewards import MathEquivalence

halves = RewardTable([[1, 1, 0, 0]], answers=[["1/2", "0.5", "2", "3"]])
for rule in ("vote", MostVotes(key=MathEquivalence(n_jobs=1))):
    print(reward_curves(halves, 4, selection=rule)[0].round(2))
