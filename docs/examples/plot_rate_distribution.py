"""
===================================================
Why a distribution over success rates beats a point
===================================================

Suppose that one sample in fifty of a query seems to be right. The query may be hard, so
that fifty samples solve it. Or it may be hopeless, so that no number of samples does. A
single predicted success rate cannot distinguish the two. This example shows what that
costs, on a table whose true rates are known: 40 % of its queries are hopeless, with a
success rate of exactly 0.
"""

# %%
# Two policies use the same features and the same net, but different targets. One target
# is a single number per query, its success rate. The other is a set of weights on a
# grid of success rates that includes 0 and 1. This is the default for 0/1 rewards. As
# in practice, the features contain a lot of noise.

from sklearn_adaalloc import AdaptiveAllocator, MLPRewardRegressor
from sklearn_adaalloc.datasets import make_reward_table

table = make_reward_table(3000, profile="code", noise=1.0, random_state=0)
X_train, X_test = table.data[:1500], table.data[1500:]
rewards_train, rewards_test = table.rewards[:1500], table.rewards[1500:]

policies = {
    name: AdaptiveAllocator(MLPRewardRegressor(target, random_state=0)).fit(
        X_train, rewards_train
    )
    for name, target in {
        "distribution": "rate_distribution",
        "point": "success_rate",
    }.items()
}

# %%
# One query that looks hopeless
# -----------------------------
#
# This is the test query with the lowest predicted rate. The distribution has most of
# its weight at 0. So the predicted value of a further sample falls fast after a few
# failures. The single rate predicts almost the same small value for every further
# sample.

import matplotlib.pyplot as plt
import numpy as np

marginals = {
    name: policy.predict_marginals(X_test) for name, policy in policies.items()
}
row = marginals["distribution"][:, 0].argmin()
weights = policies["distribution"].regressor_.predict_rate_distribution(X_test)[row]
print(f"chance that the success rate is exactly 0: {weights[0]:.2f}")
print(f"true success rate: {table.rates[1500:][row]:.2f}")

_, ax = plt.subplots(layout="constrained")
for (name, values), style in zip(marginals.items(), ["-", "--"], strict=True):
    ax.plot(np.arange(1, 65), values[row], style, label=name)
ax.set(
    title="What each sample of one query is thought to be worth",
    xlabel="sample",
    ylabel="predicted marginal reward",
    ylim=(0, None),
)
_ = ax.legend(frameon=False)

# %%
# Who gets the money, and what it buys
# ------------------------------------
#
# With a large budget, the single rate sends up to half of all samples to queries that
# no number of samples solves. Equal budgets send 40 % there.

hopeless = table.rates[1500:] == 0
spends = [1, 2, 4, 8, 16, 32]
budgets = {
    name: [policy.set_params(budget=budget).predict(X_test) for budget in spends]
    for name, policy in policies.items()
}

_, ax = plt.subplots(layout="constrained")
for (name, given), style in zip(budgets.items(), ["o-", "s--"], strict=True):
    shares = [each[hopeless].sum() / each.sum() for each in given]
    ax.plot(spends, shares, style, label=name)
ax.axhline(0.4, color="0.45", linestyle=":", label="equal budgets")
ax.set_xscale("log", base=2)
ax.set_xticks(spends, spends)
ax.set(
    title="Spent on hopeless queries",
    xlabel="mean budget (samples per query)",
    ylabel="share of all samples",
    ylim=(0, 0.6),
)
_ = ax.legend(frameon=False, loc="lower right")

# %%
# So the single rate ("point") is worse than equal budgets where the budget is large.
# The distribution stays better. Bars are 95 % intervals of the difference from equal
# budgets at the same realised spend, from a bootstrap over queries.

from sklearn_adaalloc.metrics import paired_difference

_, ax = plt.subplots(layout="constrained")
ax.axhline(0, color="0.45", linestyle=":", label="equal budgets")
for (name, given), style in zip(budgets.items(), ["o-", "s--"], strict=True):
    gain, low, high, _ = np.transpose(
        [
            paired_difference(rewards_test, each, each.mean(), random_state=0)
            for each in given
        ]
    )
    ax.errorbar(
        spends, gain, [gain - low, high - gain], fmt=style, capsize=4, label=name
    )
ax.set_xscale("log", base=2)
ax.set_xticks(spends, spends)
ax.set(
    title="Gain over equal budgets at the same spend",
    xlabel="mean budget (samples per query)",
    ylabel="gain in success rate (95 % interval)",
)
_ = ax.legend(frameon=False)

# %%
# The size of the effect depends on how many queries are hopeless and on how well the
# features show it. If no query is hopeless, the two targets are about equally good.
