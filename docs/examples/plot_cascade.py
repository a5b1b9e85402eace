"""
====================================
A cheap model, and a dear one behind
====================================

Two language models can answer; the better one costs five times as much. This example
has both answer some queries, learns from their grades who solves what, and replays the
policy at many budgets: which model is next, for which query, and when to stop. Then it
answers new queries with it.
"""

# %%
# From two samplers to one table
# ------------------------------
#
# The models have 0.9 and 1.3 million parameters and came with the package. What their
# answers cost is made up: 1 and 5. Costs may also be tokens or dollars, see
# :doc:`/menus`.

import tempfile
from pathlib import Path

from sklearn_adaalloc import collect_rewards
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
from sklearn_adaalloc.sampling import TransformersSampler

data = load_arithmetic("routing")
samplers = {
    "weak": TransformersSampler("embedded", max_new_tokens=24),
    "strong": TransformersSampler(data.strong_model, max_new_tokens=24),
}
prices = {"weak": 1, "strong": 5}
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "rewards.sqlite"
    collect_rewards(
        data.queries_train[:400],
        samplers,
        grade_arithmetic,
        n_samples=4,
        store=path,
        progress=False,
    )
    with RewardStore(path) as store:
        queries, table = store.to_table(decoders=samplers, prices=prices)
print(table)
print("weak, strong:", table.rewards.mean(axis=(0, 2)).round(2))

# %%
# A policy
# --------
#
# It learns how likely each model is to solve a query, and what the failure of one says
# about the other. Two more policies know one of the models only.

from sklearn_adaalloc import HiddenStateFeaturizer, RewardTable, SequentialAllocator

featurizer = HiddenStateFeaturizer("embedded")
X_train = featurizer.fit_transform(queries)
X_test = featurizer.transform(data.queries_test[:1000])
tested = RewardTable(data.rewards_test[:1000], costs=[1, 5], decoders=list(samplers))


def only(table, decoder):
    """The part of a table that one decoder has."""
    return RewardTable(table.rewards[:, decoder], costs=table.costs[:, decoder])


def in_rounds():
    """Four rounds, with a budget in cost."""
    return SequentialAllocator(unit="cost", budget=4, n_rounds=4, random_state=0)


cascade = in_rounds().fit(X_train, table)
alone = [in_rounds().fit(X_train, only(table, decoder)) for decoder in range(2)]

# %%
# What it saves
# -------------
#
# All curves are replays on the test queries, which have 64 graded answers of each
# model. A router gives every query one answer, of one of the models.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_adaalloc import AdaptiveAllocator

budgets = np.array([1, 1.5, 2, 3, 4, 5, 6, 8, 10])
curves = {
    "cascade": [
        cascade.set_params(budget=budget).score(X_test, tested) for budget in budgets
    ]
}
for decoder, name in enumerate(samplers):
    curves[f"{name} model alone"] = [
        alone[decoder].set_params(budget=budget).score(X_test, only(tested, decoder))
        for budget in budgets
    ]
router = AdaptiveAllocator(random_state=0).fit(X_train, table.rewards)
routed = []
for share in np.linspace(0, 1, 11):
    router.set_params(budget=share)
    strong_calls = router.predict(X_test).mean()
    routed.append((1 + 4 * strong_calls, router.score(X_test, tested.rewards)))

_, ax = plt.subplots(layout="constrained")
for name, curve in curves.items():
    ax.plot(budgets, curve, marker="o", label=name)
ax.plot(*np.transpose(routed), linestyle="--", color="black", label="router")
ax.set(xlabel="mean cost per query", ylabel="success rate")
_ = ax.legend()

# %%
# Who answers
# -----------
#
# With little money the weak model takes all samples that are likely to be right. The
# more money there is, the more queries that it failed on go to the strong one.

from sklearn.pipeline import make_pipeline

from sklearn_adaalloc.decoding import Cascade

policy = make_pipeline(featurizer, cascade)
decoder = Cascade(policy, samplers, grade_arithmetic, prices=prices)
new_queries = data.queries_test[1000:1200]
who = []
for budget in (1.5, 3, 6):
    cascade.set_params(budget=budget)
    decoded = decoder.decode(new_queries)
    solved = decoded.rewards == 1
    who.append([(solved & (decoded.decoders == each)).mean() for each in (0, 1)])
    print(
        f"budget {budget:3}: paid {decoded.costs.sum(axis=1).mean():.2f}, "
        f"samples {decoded.budgets.mean(axis=0).round(2)}, solved {solved.mean():.2f}"
    )

_, ax = plt.subplots(layout="constrained")
labels = ["1.5", "3", "6"]
weak, strong = np.transpose(who)
ax.bar(labels, weak, label="by the weak model")
ax.bar(labels, strong, bottom=weak, label="by the strong model")
ax.set(
    xlabel="budget: mean cost per query",
    ylabel="share of queries solved",
    ylim=(0, 0.85),
)
_ = ax.legend()

# %%
# The answers themselves, at the largest of these budgets:

for query, answer, index, reward in list(
    zip(new_queries, decoded.answers, decoded.decoders, decoded.rewards, strict=True)
)[:10]:
    name = decoded.names[index] if index >= 0 else "nobody"
    print(f"{name:6}  {query}{answer}  {'right' if reward == 1 else 'wrong'}")
