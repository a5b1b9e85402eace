"""
==============================
Is the difficulty model right?
==============================

A policy is only as good as its predictions. This example examines the predictions
alone, before any budget is allocated. Are predicted success rates right on average? How
much of the difference between queries do they explain? And how certain is the model
about a single query?
"""

# %%
# The features are hidden states of the small language model that answers the queries.
# The difficulty model is a small perceptron. The table has 64 graded answers to each of
# 2,000 arithmetic queries.

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
# Test queries are divided into ten bins by predicted success rate. Each point is a bin.
# On the diagonal, the mean prediction equals the observed mean. This does not show how
# far single queries lie from the mean of their bin.

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
# This is Table 1 of the paper. "Ours" is the cross-entropy of the predictions. "Avg" is
# that of predicting the average rate for every query, and "opt" that of each query's
# own observed rate. The share explained is (avg - ours) / (avg - opt). "Acc" is how
# often the model predicts the right side of the median.

from sklearn_adaalloc.metrics import prediction_report

report = prediction_report(data.rewards_test, predicted)
for name in ["ours", "avg", "opt", "acc", "share_explained"]:
    print(f"{name:15} {report[name]:.3f}")

# %%
# Many observed rates are 0 or 1. Predicted means are less extreme: the model is
# uncertain, and a mean over several possible rates is never as extreme as a single one.

from sklearn_adaalloc.metrics import SuccessRateDisplay

display = SuccessRateDisplay.from_predictions(
    data.rewards_test, predicted, name="predicted mean"
)
_ = display.ax_.set(title="Success rates of 1,000 test queries")

# %%
# How sure of one query
# ---------------------
#
# The model learns a distribution over success rates, and not only its mean. The plot
# shows the predicted cumulative distribution for three test queries. The legend gives
# the rate observed in 64 answers.

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
# The model is certain about the product. It is uncertain about the greatest common
# divisor: the rate may be anything, and the first few failures will tell more. The mean
# of this distribution, about a half, would describe it badly.
