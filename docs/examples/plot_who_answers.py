"""
==============================
Who answers, and what it saves
==============================

With a cheap model, a dear one and a verifier, there are many ways to spend: the cheap
one only, the dear one only, first one and then the other, or what a policy decides for
each query. This example draws all of them against mean cost.
"""

# %%
# A table with an axis of decoders
# --------------------------------
#
# Two language models have answered the same arithmetic and string queries. We say that
# an answer of the strong one costs four times as much.

from sklearn_adaalloc import HiddenStateFeaturizer, RewardTable
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("routing")
costs, names = [1.0, 4.0], ["weak", "strong"]
train, test = (
    RewardTable(rewards[:1000, :, :16], costs=costs, decoders=names)
    for rewards in (data.rewards_train, data.rewards_test)
)
featurizer = HiddenStateFeaturizer("embedded")  # the weak model reads the queries
X_train = featurizer.fit_transform(data.queries_train[:1000])
X_test = featurizer.transform(data.queries_test[:1000])

# %%
# Reward against cost
# -------------------
#
# One policy sees the verdicts and decides sample by sample, the other one decides
# before decoding. The lines of the models alone stop at the first success, too. The
# best fixed cascade is chosen among all numbers of tries of both models in both orders,
# on the queries to learn from. The oracle knows the success rates.

from sklearn.frozen import FrozenEstimator

from sklearn_adaalloc import AdaptiveAllocator, SequentialAllocator
from sklearn_adaalloc.metrics import CostCurveDisplay

in_sequence = SequentialAllocator(unit="cost", n_rounds=None, random_state=0)
in_sequence.fit(X_train, train)
one_shot = AdaptiveAllocator(FrozenEstimator(in_sequence.regressor_), unit="cost")
one_shot.fit(X_train, train)
policies = {"in sequence": in_sequence, "one-shot": one_shot}
budgets = [1, 2, 4, 8, 16]
display = CostCurveDisplay.from_estimator(
    policies, X_test, test, budgets, train_rewards=train, random_state=0
)
_ = display.ax_.set(xlabel="mean cost per query", ylabel="success rate")

# %%
# Who answers
# -----------

from sklearn_adaalloc.metrics import AnswerShareDisplay

display = AnswerShareDisplay.from_estimator(
    in_sequence, X_test, test, budgets, random_state=0
)
_ = display.ax_.set_xlabel("mean cost per query")

# %%
# The figures of RouterBench and RouteLLM
# ---------------------------------------
#
# They summarise a curve between one answer of the weak model and one of the strong one.

from sklearn_adaalloc.metrics import cost_curve, routing_report

curve = cost_curve(in_sequence, X_test, test, [1, 1.5, 2, 3, 4], random_state=0)
weak, strong = zip(costs, test.rewards.mean(axis=(0, 2)), strict=True)
report = routing_report(curve.spend, curve.reward, weak=weak, strong=strong)
print(f"average improvement in quality (AIQ)    {report.improvement_in_quality:.3f}")
print(f"average performance gap recovered       {report.gap_recovered:.3f}")
print(f"share of the cost to recover half of it {report.cost_to_recover:.3f}")
