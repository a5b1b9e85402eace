"""
=================
Choosing a budget
=================

More samples never make the best answer worse. So a search for the budget with the
highest reward always returns the largest budget. The real question is what a right
answer is worth. This example sets a price for a sample. A grid search then finds the
budget with the highest net reward.
"""

# %%
# The difficulty model does not depend on the budget. It is fitted once, on half of the
# training queries, and then frozen. So the search costs very little. It uses the other
# half.

from sklearn.frozen import FrozenEstimator

from sklearn_adaalloc import (
    AdaptiveAllocator,
    DummyAllocator,
    HiddenStateFeaturizer,
    MLPRewardRegressor,
)
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("math")
featurizer = HiddenStateFeaturizer("embedded")
X_train = featurizer.fit_transform(data.queries_train)
X_test = featurizer.transform(data.queries_test)
regressor = MLPRewardRegressor(random_state=0).fit(
    X_train[:1000], data.rewards_train[:1000]
)
X_search, rewards_search = X_train[1000:], data.rewards_train[1000:]

# %%
# The search
# ----------
#
# At a price of 0.01, a right answer is worth a hundred samples. The search records
# reward and spend besides the net reward, because an allocator may spend less than its
# budget.

from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV

from sklearn_adaalloc.metrics import (
    expected_reward_score,
    mean_budget_score,
    net_reward_score,
)

price = 0.01
searches = {
    name: GridSearchCV(
        allocator,
        {"budget": [0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32]},
        scoring={
            "net": make_scorer(net_reward_score, price=price),
            "reward": make_scorer(expected_reward_score),
            "spend": make_scorer(mean_budget_score),
        },
        refit="net",
    ).fit(X_search, rewards_search)
    for name, allocator in {
        "adaptive": AdaptiveAllocator(FrozenEstimator(regressor)),
        "equal budgets": DummyAllocator("uniform"),
    }.items()
}

# %%
# The plot shows net reward against the budget, as the mean over five folds. Circles
# mark the chosen budgets. The curves are flat at the top, so a budget that is slightly
# wrong costs little.

import matplotlib.pyplot as plt

_, ax = plt.subplots(layout="constrained")
for (name, search), style in zip(searches.items(), ["o-", "s--"], strict=True):
    spend = search.cv_results_["mean_test_spend"]
    net = search.cv_results_["mean_test_net"]
    (line,) = ax.plot(spend, net, style, markersize=4, label=name)
    best = search.best_index_
    ax.plot(
        spend[best],
        net[best],
        "o",
        color=line.get_color(),
        markersize=12,
        fillstyle="none",
    )
ax.set_xscale("log", base=2)
ticks = [0.5, 1, 2, 4, 8, 16, 32]
ax.set_xticks(ticks, ticks)
ax.set(
    title=f"A sample costs {price} of a right answer; circles: chosen",
    xlabel="mean budget (samples per query)",
    ylabel="net reward per query",
)
_ = ax.legend(frameon=False)

# %%
# On queries that neither the fit nor the search has seen
# -------------------------------------------------------
#
# Both searches chose the same budget and spend it. So the difference in net reward
# equals the difference in success rate. Its interval comes from a bootstrap over
# queries.

from sklearn_adaalloc.metrics import paired_difference

budgets = {name: search.predict(X_test) for name, search in searches.items()}
for name, given in budgets.items():
    reward = expected_reward_score(data.rewards_test, given)
    net = net_reward_score(data.rewards_test, given, price=price)
    print(
        f"{name:14} {given.mean():5.2f} samples   success {reward:.3f}   net {net:.3f}"
    )
gain = paired_difference(data.rewards_test, *budgets.values(), random_state=0)
print("difference     {:+.3f} [{:+.3f}, {:+.3f}]".format(*gain[:3]))
