"""
==================
Tokens and dollars
==================

Hard queries get long answers. A policy that gives them more samples therefore spends
more tokens than its number of samples says. This example counts tokens instead: in the
table, in the budget, and on the axis of the figure.
"""

# %%
# A table with costs
# ------------------
#
# The embedded arithmetic queries were answered by a small language model. Their tokens
# are not stored, so we make some up: the longer the query and the less often its
# answers are right, the longer they are. With logs of your own, see :doc:`/logs`.

import numpy as np

from sklearn_adaalloc import HiddenStateFeaturizer, RewardTable
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("math")
random = np.random.default_rng(0)


def add_tokens(queries, rewards):
    """A table in which hard queries have long answers."""
    length = np.array([len(query) for query in queries])[:, None]
    tokens = 8 * length * (3 - 2.5 * rewards.mean(axis=1, keepdims=True))
    return RewardTable(rewards, costs=tokens * random.lognormal(0, 0.3, rewards.shape))


train = add_tokens(data.queries_train, data.rewards_train)
test = add_tokens(data.queries_test, data.rewards_test)
tokens = test.costs.mean(axis=1)
print(f"tokens of an answer: {np.quantile(tokens, [0.1, 0.5, 0.9]).round()}")

# %%
# A budget in tokens
# ------------------
#
# With ``unit="cost"`` an allocator also learns what the samples of a query will cost.
# It buys the samples with the highest marginal reward per token.

from sklearn.frozen import FrozenEstimator

from sklearn_adaalloc import AdaptiveAllocator
from sklearn_adaalloc.metrics import cost_report

featurizer = HiddenStateFeaturizer("embedded")
X_train = featurizer.fit_transform(data.queries_train)
X_test = featurizer.transform(data.queries_test)
by_tokens = AdaptiveAllocator(unit="cost", budget=600, random_state=0)
by_tokens.fit(X_train, train)
report = cost_report(test, by_tokens.predict(X_test), budget=600)
print(f"mean tokens {report.mean_cost:.0f}, {report.share:.1%} of the budget")
print(f"standard deviation over queries {report.spread:.0f}")

# %%
# Reward against tokens
# ---------------------
#
# All policies are compared at equal cost. The policy that ranks by reward per token is
# a little above the one that ranks by reward alone, which buys from hard and dear
# queries. More important is the bill: a budget in samples does not say what it costs.

import matplotlib.pyplot as plt

from sklearn_adaalloc.metrics import BudgetCurveDisplay

by_samples = AdaptiveAllocator(FrozenEstimator(by_tokens.regressor_))
by_samples.fit(X_train, train)
_, ax = plt.subplots(layout="constrained")
display = BudgetCurveDisplay.from_estimator(
    {"budget in tokens": by_tokens, "budget in samples": by_samples},
    X_test,
    test,
    unit="cost",
    ax=ax,
)
ax.set(xlabel="mean tokens per query", ylabel="success rate")
_ = ax.set(xlim=(0, 1500), ylim=(0.2, 0.75))

# %%
# Rounds
# ------
#
# A :class:`~sklearn_adaalloc.SequentialAllocator` is told what its samples really cost.
# It corrects its predictions by that, and no round starts that the money left cannot be
# expected to pay. So a batch costs slightly less than its budget.

from sklearn_adaalloc import SequentialAllocator

in_rounds = SequentialAllocator(
    FrozenEstimator(by_tokens.regressor_), unit="cost", budget=600
)
session = in_rounds.fit(X_train, train).start(X_test)
print("round  samples  share of the budget  solved")
while (budgets := session.ask()) is not None:
    columns = session.budgets[:, None] + np.arange(budgets.max())
    columns = np.minimum(columns, test.shape[1] - 1)
    wanted = np.arange(budgets.max()) < budgets[:, None]
    rewards, costs = (
        np.where(wanted, np.take_along_axis(values, columns, axis=1), np.nan)
        for values in (test.rewards, test.costs)
    )
    session.tell(rewards, costs)
    share = session.costs.mean() / 600
    solved = int(session.best_rewards.sum())
    print(f"{session.rounds_taken:5}  {budgets.sum():7}  {share:19.1%}  {solved:6}")

# %%
# In one round, the same tokens solve fewer queries:

print(f"one-shot {by_tokens.score(X_test, test):.3f}")
print(f"rounds   {session.best_rewards.mean():.3f}")
