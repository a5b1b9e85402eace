"""
===========================
With a verifier in the loop
===========================

If an answer can be checked at once, you need not split a budget up front. You can draw
a few samples, look at the verdicts, stop at solved queries, and spend on the others.
This example shows how much this adds, and how few rounds it needs.
"""

# %%
# The difficulty model is learnt as before, from 0/1 rewards of 64 answers to each of
# 2,000 arithmetic queries. It predicts a distribution over success rates. So it can
# also predict the chance of success after a number of failures.

from sklearn_adaalloc import HiddenStateFeaturizer, SequentialAllocator
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("math")
featurizer = HiddenStateFeaturizer("embedded")
X_train = featurizer.fit_transform(data.queries_train)
X_test = featurizer.transform(data.queries_test)
allocator = SequentialAllocator(budget=4, n_rounds=4, random_state=0)
allocator.fit(X_train, data.rewards_train)

# %%
# One session
# -----------
#
# A :class:`~sklearn_adaalloc.allocators.SequentialSession` asks for samples of each
# query and is told their rewards. In production, a sampler and a verifier run in its
# loop, and :class:`~sklearn_adaalloc.decoding.BestOfK` does this for you. Here the
# rewards come from the table, in their order.

session = allocator.start(X_test)
print("round  asked  solved")
while (budgets := session.ask()) is not None:
    used = session.budgets
    session.tell(
        [
            row[start : start + budget]
            for row, start, budget in zip(data.rewards_test, used, budgets, strict=True)
        ]
    )
    solved = int(session.best_rewards.sum())
    print(f"{session.rounds_taken:5}  {budgets.sum():5}  {solved:6}")
print(f"mean budget {session.budgets.mean():.2f}, at most {session.budgets.max()}")

# %%
# Reward against rounds
# ---------------------
#
# ``score`` simulates such a session on a table. With one round, everything is decided
# up front. With ``n_rounds=None``, one sample is drawn at a time, always where the
# chance of success is highest. Dashed lines are equal budgets at the same spend.

import matplotlib.pyplot as plt

from sklearn_adaalloc.metrics import expected_reward_score

rounds = [1, 2, 4, 8, None]
_, ax = plt.subplots(layout="constrained")
for budget, marker in zip([2, 4, 8], "os^", strict=True):
    allocator.set_params(budget=budget)
    scores = [
        allocator.set_params(n_rounds=n_rounds).score(X_test, data.rewards_test)
        for n_rounds in rounds
    ]
    (line,) = ax.plot(scores, marker=marker, label=f"{budget} samples per query")
    uniform = expected_reward_score(data.rewards_test, budget)
    ax.axhline(uniform, color=line.get_color(), linestyle="--", linewidth=1.2)
ax.set_xticks(range(len(rounds)), ["1", "2", "4", "8", "one by one"])
ax.set(
    title="Dashed: equal budgets at the same spend",
    xlabel="rounds",
    ylabel="success rate",
    ylim=(0.35, None),
)
_ = ax.legend(frameon=False, loc="lower right")

# %%
# Two rounds give more than half of the gain that rounds can give, and four rounds about
# four fifths.
#
# How certain is this?
# --------------------
#
# A simulated session uses one order of the samples, so its score is noisy, unlike an
# exact score. We compare the session above with the first four samples of every query,
# from the same rows:

import numpy as np

gain = session.best_rewards - data.rewards_test[:, :4].max(axis=1)
error = 1.96 * gain.std() / np.sqrt(len(gain))
print(f"gain of four rounds over equal budgets: {gain.mean():+.3f} ± {error:.3f}")
