"""
===========================
With a verifier in the loop
===========================

Where an answer can be checked as soon as it is there, a budget need not be split up
front: sample a little, look at the verdicts, stop where a query is solved, and spend on
the others. This example shows how much that adds, and how few rounds it takes.
"""

# %%
# The difficulty model is learnt as ever, from 0/1 rewards of 64 answers to each of
# 2,000 arithmetic queries. It predicts a distribution over success rates, so that it
# also says how much hope is left after a number of failures.

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
# query and is told their rewards. In production a sampler and a verifier stand in its
# loop, which is what :class:`~sklearn_adaalloc.decoding.BestOfK` does; here the graded
# answers of the table are given out in their order.

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
# ``score`` plays such a session on a table. One round is a decision up front; with
# ``n_rounds=None`` a single sample is drawn at a time, wherever the chance is highest.
# Dashed lines are equal budgets, at the same spend.

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
# Two rounds bring more than half of what rounds can bring, four about four fifths.
#
# How sure is that?
# -----------------
#
# A replay sees one order of the samples, so its score has noise that exact scores have
# not. The session above against the first four samples of every query, from the same
# rows:

import numpy as np

gain = session.best_rewards - data.rewards_test[:, :4].max(axis=1)
error = 1.96 * gain.std() / np.sqrt(len(gain))
print(f"gain of four rounds over equal budgets: {gain.mean():+.3f} ± {error:.3f}")
