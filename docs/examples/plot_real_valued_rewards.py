"""
===========================
Rewards from a reward model
===========================

Answers in a chat are not right or wrong, but better or worse, and a reward model scores
them. Every query gets an answer. The question is which queries get the best of several.
This example allocates with real-valued rewards.
"""

# %%
# The table has a reward model's scores of 16 answers to each query. Scores are real
# numbers, so the regressor predicts how much each further sample raises the best score.
# With ``min_budget=1``, every query first gets one answer.

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
# The plot shows reward against compute. It starts at one answer per query.

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
# Further samples do not go to queries with low scores, but to queries whose scores
# vary. If all answers are equally good, or equally bad, the first one is enough. Each
# point is a test query. Points are shifted a little at random, because budgets are
# whole numbers.

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
# The reward model that scored the table also selects the best of the new answers. Its
# scores lie roughly between 0 and 3. They are no proof that an answer is right: nearly
# right answers also score well.

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
