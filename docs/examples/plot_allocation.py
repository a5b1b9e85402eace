"""
===================
Who gets the budget
===================

Should hard queries get more samples, because they need them? Or easy queries, because
their samples succeed? Neither. What counts is how much the next sample adds, and this
favours different queries at different budgets. This example shows who gets the samples
(Fig. 6 of the paper).
"""

# %%
# The "code" task sorts, reverses, shifts and converts strings and numbers. It has 64
# answers of a small language model to each query, graded 0 or 1.

from sklearn_adaalloc import AdaptiveAllocator, HiddenStateFeaturizer
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("code")
featurizer = HiddenStateFeaturizer("embedded")
X_train = featurizer.fit_transform(data.queries_train)
X_test = featurizer.transform(data.queries_test)
allocator = AdaptiveAllocator(random_state=0).fit(X_train, data.rewards_train)

# %%
# Test queries are divided into thirds by their observed success rates, which the policy
# has not seen. Half of the queries were never solved in 64 attempts. These are the
# whole hard third and about half of the medium one.
#
# The first samples go to the easy third. One sample each solves most of them. The
# medium third comes next and gets most of the samples, because there further samples
# still add something. The hard third gets less than with equal budgets (dashed), until
# nothing better is left to buy.

from sklearn_adaalloc.metrics import AllocationDisplay

display = AllocationDisplay.from_estimator(allocator, X_test, data.rewards_test)
_ = display.ax_.set(title="Mean budget of each third", xlim=(0, 32), ylim=(0, 50))

# %%
# The same data, as shares of all samples:

display = AllocationDisplay.from_estimator(
    allocator, X_test, data.rewards_test, kind="stacked"
)
_ = display.ax_.set(title="Who gets the samples", xlim=(None, 32))

# %%
# One query at a time
# -------------------
#
# The plot shows budgets, four samples on average, against observed success rates. Each
# point is a query. Clearly hopeless queries get nothing, easy ones two or three
# samples, and queries with a fair success rate a dozen. Most samples go to queries
# whose success rate seems low. The mistakes are also at the left edge: some queries got
# many samples because they only looked hard.

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
