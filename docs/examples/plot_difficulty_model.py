"""
==============================
Is the difficulty model right?
==============================

A policy is as good as what it believes about each query. This example looks at the
beliefs alone, before any budget is handed out: are predicted success rates right on
average, how much of the difference between queries do they explain, and how sure is the
model of a single query?
"""

# %%
# The features are hidden states of the small language model that answers the queries,
# the difficulty model is a small perceptron, and the table holds 64 graded answers of
# each of 2,000 arithmetic queries.

from sklearn_adaalloc import HiddenStateFeaturizer, MLPRewardRegressor
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("math")
featurizer = HiddenStateFeaturizer("embedded")
X_train = featurizer.fit_transform(data.queries_train)
X_test = featurizer.transform(data.queries_test)
regressor = MLPRewardRegressor(random_state=0).fit(X_train, data.rewards_train)

# %%
# Right on average
# ----------------
#
# Test queries in ten bins of predicted success rate. A point on the diagonal is a bin
# whose mean prediction holds. This says nothing about how far single queries in a bin
# lie from its mean.

from sklearn_adaalloc.metrics import RewardCalibrationDisplay

predicted = regressor.predict(X_test)
display = RewardCalibrationDisplay.from_predictions(
    data.rewards_test, predicted, name="MLPRewardRegressor"
)
_ = display.ax_.set(title="Calibration on 1,000 test queries")

# %%
# How much is explained
# ---------------------
#
# Table 1 of the paper: the cross-entropy of the predictions lies between that of the
# average rate for everybody (avg) and that of each query's own observed rate (opt). The
# share is (avg - ours) / (avg - opt), and acc is how often the model knows which side
# of the median a query is on.

from sklearn_adaalloc.metrics import prediction_report

report = prediction_report(data.rewards_test, predicted)
for name in ["ours", "avg", "opt", "acc", "share_explained"]:
    print(f"{name:15} {report[name]:.3f}")

# %%
# Observed rates crowd at 0 and 1. Predicted means do so less: the model is not sure,
# and a mean of what might be is never as extreme as what is.

from sklearn_adaalloc.metrics import SuccessRateDisplay

display = SuccessRateDisplay.from_predictions(
    data.rewards_test, predicted, name="predicted mean"
)
_ = display.ax_.set(title="Success rates of 1,000 test queries")

# %%
# How sure of one query
# ---------------------
#
# What is learnt is a distribution over success rates, not their mean alone. Here are
# three test queries: where the model thinks their rate lies, as a cumulative
# distribution, and the rate observed in 64 answers.

import matplotlib.pyplot as plt

queries = ["63*56=", "gcd 43 15=", "digits 50="]
rows = [data.queries_test.index(query) for query in queries]
weights = regressor.predict_rate_distribution(X_test[rows])
observed = data.rewards_test[rows].mean(axis=1)

_, ax = plt.subplots(layout="constrained")
for row, distribution, rate, style in zip(
    rows, weights, observed, ["-", "--", ":"], strict=True
):
    label = f"{data.queries_test[row]}  observed: {rate:.2f}"
    ax.step(regressor.rates_, distribution.cumsum(), style, where="post", label=label)
ax.set(
    title="Belief about three queries",
    xlabel="success rate",
    ylabel="chance that the rate is at most this",
    xlim=(0, 1),
    ylim=(0, 1),
)
_ = ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.45, 0.95))

# %%
# Of the product the model is sure. Of the greatest common divisor it is not: the rate
# may be anything, and the first failures will tell. The mean of such a belief, about a
# half, would be a poor summary of it.
