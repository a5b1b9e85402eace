"""
===================
Who gets the budget
===================

Should the hard queries get more samples, because they need them, or the easy ones,
because they use them? Neither: what counts is how much the next sample adds, and whom
that favours changes with the budget. This example shows who gets the samples (Fig. 6 of
the paper).
"""

# %%
# The "code" task: sorting, reversing, shifting and converting strings and numbers, with
# 64 answers of a small language model to each query, graded 0 or 1.

from sklearn_adaalloc import AdaptiveAllocator, HiddenStateFeaturizer
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("code")
featurizer = HiddenStateFeaturizer("embedded")
X_train = featurizer.fit_transform(data.queries_train)
X_test = featurizer.transform(data.queries_test)
allocator = AdaptiveAllocator(random_state=0).fit(X_train, data.rewards_train)

# %%
# Test queries are cut into thirds by how often they were solved, which the policy has
# not seen. Half of the queries were not solved in any of 64 attempts: all of the hard
# third, and about half of the medium one.
#
# The first samples go to the easy third: one each, and most of them are done. The
# medium third comes next and takes most of the samples, as that is where further ones
# still add something. The hard third gets less than equal budgets, dashed, would give
# it, until there is nothing better left to buy.

from sklearn_adaalloc.metrics import AllocationDisplay

display = AllocationDisplay.from_estimator(allocator, X_test, data.rewards_test)
_ = display.ax_.set(title="Mean budget of each third", xlim=(0, 32), ylim=(0, 50))

# %%
# The same as shares of all samples.

display = AllocationDisplay.from_estimator(
    allocator, X_test, data.rewards_test, kind="stacked"
)
_ = display.ax_.set(title="Who gets the samples", xlim=(None, 32))

# %%
# One query at a time
# -------------------
#
# Budgets at a mean of four samples, against observed success rates; each point is a
# query. Nothing is spent on surely hopeless ones, two or three samples on the easy, a
# dozen where chances are fair, most where they are thought to be slim. The mistakes are
# at the left edge, too: queries with many samples that looked merely hard.

import matplotlib.pyplot as plt

budgets = allocator.set_params(budget=4).predict(X_test)
rates = data.rewards_test.mean(axis=1)
print(f"mean budget, never solved: {budgets[rates == 0].mean():.1f}")
print(f"mean budget, all others:   {budgets[rates > 0].mean():.1f}")

_, ax = plt.subplots(layout="constrained")
ax.plot(rates, budgets, "o", alpha=0.3, markeredgewidth=0)
_ = ax.set(
    title=f"A mean budget of {budgets.mean():g}",
    xlabel="observed success rate of a query",
    ylabel="budget (samples)",
)
