"""
======================================
Adaptive budgets against equal budgets
======================================

The same number of samples can be split in two ways: equally over all queries
(best-of-k), or by a policy. The policy decides from the text of each query, before any
answer is drawn. This example measures the difference on queries that the policy has not
seen.
"""

# %%
# A policy in three lines
# -----------------------
#
# The "math" task has 3,000 arithmetic queries and, for each, 64 graded answers of the
# small language model that comes with the package. The policy reads the hidden states
# of that model. From 2,000 graded queries it learns how much each further sample is
# worth. It gives at most four samples per query on average.

from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import AdaptiveAllocator, HiddenStateFeaturizer
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("math")
policy = make_pipeline(
    HiddenStateFeaturizer("embedded"), AdaptiveAllocator(budget=4, random_state=0)
)
policy.fit(data.queries_train, data.rewards_train)

# %%
budgets = policy.predict(data.queries_test)
for query, budget in zip(data.queries_test[:6], budgets, strict=False):
    print(f"{query:16} {budget:2d} samples")
print(f"{'mean':16} {budgets.mean():5.2f}")

# %%
# Every budget at once
# --------------------
#
# One sort of all predicted gains gives the whole curve of reward against compute. The
# oracle knows the observed gains of every test query. No policy can reach it, but it
# shows how much there is to gain.

from sklearn_adaalloc.metrics import BudgetCurveDisplay

display = BudgetCurveDisplay.from_estimator(
    policy, data.queries_test, data.rewards_test, name="adaptive"
)
_ = display.ax_.set(title="Arithmetic, 1,000 test queries", xlim=(0, 32))

# %%
# Is that more than luck?
# -----------------------
#
# The table shows five budgets. "Gain" is the gain over equal budgets at the same
# realised spend, with its 95 % interval from a bootstrap over queries. "Shuffled" is
# the gain of a control, which permutes the policy's own budgets. It is negative: an
# uneven split alone does harm, so the gain comes from giving samples to the right
# queries. "Saved" is the share of the samples of equal budgets that the policy does not
# need for the same success rate.

import numpy as np

from sklearn_adaalloc.metrics import compute_saved, paired_difference

rewards = data.rewards_test
X_test = policy[:-1].transform(data.queries_test)  # hidden states, read once
allocator = policy[-1]
marginals = allocator.predict_marginals(X_test)
rng = np.random.default_rng(0)
spends = [1, 2, 4, 8, 16]
gains = []
print("  B     gain          95 %         shuffled   saved")
for budget in spends:
    budgets = allocator.set_params(budget=budget).predict(X_test)
    spend = budgets.mean()
    gain = paired_difference(rewards, budgets, spend, random_state=0)
    control = paired_difference(
        rewards, rng.permutation(budgets), spend, random_state=0
    )
    saved = compute_saved(rewards, marginals, budget)
    print(
        f"{budget:3d}   {gain.difference:+.3f}   [{gain.low:+.3f}, {gain.high:+.3f}]"
        f"   {control.difference:+.3f}   {saved:5.0%}"
    )
    gains.append(gain)

# %%
import matplotlib.pyplot as plt

difference, low, high, _ = np.transpose(gains)
_, ax = plt.subplots(layout="constrained")
ax.axhline(0, color="0.45", linestyle="--", linewidth=1.2)
ax.errorbar(
    spends, difference, [difference - low, high - difference], marker="o", capsize=4
)
ax.set_xscale("log", base=2)
ax.set_xticks(spends, spends)
_ = ax.set(
    title="Gain over equal budgets at the same spend",
    xlabel="mean budget (samples per query)",
    ylabel="gain in success rate (95 % interval)",
)

# %%
# The intervals show what another set of test queries would change. They do not show
# what another set of training queries, or another task, would change.
