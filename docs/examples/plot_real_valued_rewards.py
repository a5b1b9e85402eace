"""
===========================
Rewards from a reward model
===========================

Answers in a chat are not right or wrong but better or worse, and a reward model scores
them. Everybody gets an answer, so the question is who gets the best of several. This
example allocates real-valued rewards.
"""

# %%
# The table holds a reward model's scores of 16 answers to each query. Scores are
# real-valued, so the regressor predicts how much each further sample raises the best
# score. ``min_budget=1`` gives every query its answer first.

from sklearn_adaalloc import AdaptiveAllocator, HiddenStateFeaturizer
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("chat")
featurizer = HiddenStateFeaturizer("embedded")
X_train = featurizer.fit_transform(data.queries_train[:1000])
X_test = featurizer.transform(data.queries_test)
allocator = AdaptiveAllocator(budget=2, min_budget=1, random_state=0)
allocator.fit(X_train, data.rewards_train[:1000])
print("predicts:", allocator.regressor_.target_)

# %%
# Reward against compute, from one answer each.

from sklearn_adaalloc.metrics import BudgetCurveDisplay, paired_difference

display = BudgetCurveDisplay.from_estimator(
    allocator, X_test, data.rewards_test, name="adaptive", min_budget=1
)
_ = display.ax_.set(title="1,000 test queries", ylabel="best score per query")

budgets = allocator.predict(X_test)
gain = paired_difference(data.rewards_test, budgets, budgets.mean(), random_state=0)
print(f"mean budget {budgets.mean():.2f}")
print("gain over equal budgets {:+.3f} [{:+.3f}, {:+.3f}]".format(*gain[:3]))

# %%
# Who gets more than one
# ----------------------
#
# Not who has a low score, but whose scores vary: where all answers are equally good,
# or equally bad, the first will do. Each point is a test query; points are shifted a
# little at random, as budgets are whole numbers.

import matplotlib.pyplot as plt
import numpy as np

spread = data.rewards_test.std(axis=1)
shift = np.random.default_rng(0).uniform(-0.3, 0.3, len(budgets))
_, ax = plt.subplots(layout="constrained")
ax.plot(spread, budgets + shift, "o", markersize=4, alpha=0.4, markeredgewidth=0)
ax.set_yticks([1, 2, 3])
_ = ax.set(
    title="Budgets of single queries, 2 on average",
    xlabel="standard deviation of a query's 16 scores",
    ylabel="budget (samples)",
)

# %%
# Live
# ----
#
# The reward model that scored the table picks the best of the new answers, too. Its
# scores lie about between 0 and 3, and are no proof: near misses score well.

from sklearn.pipeline import make_pipeline

from sklearn_adaalloc.decoding import BestOfK
from sklearn_adaalloc.rewards import RewardModel
from sklearn_adaalloc.sampling import TransformersSampler

policy = make_pipeline(featurizer, allocator)
sampler = TransformersSampler("embedded", max_new_tokens=12)
decoder = BestOfK(policy, sampler, RewardModel(data.reward_model))
decoded = decoder.decode(data.queries_test[:12])
for query, answer, reward, budget in zip(
    data.queries_test, decoded.answers, decoded.rewards, decoded.budgets, strict=False
):
    print(f"best of {budget}: {query + answer:16} score {reward:.1f}")
