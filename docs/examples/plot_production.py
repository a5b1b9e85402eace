"""
===========================================
One query at a time, and when queries drift
===========================================

A policy that splits a budget over a batch needs the whole batch. In production, queries
arrive one by one, and their mix changes. This example serves a stream with rules that
decide each query alone. It detects that the queries have changed, and calibrates again
without training.
"""

# %%
# Two rules
# ---------
#
# Both rules learn from most of the graded queries and calibrate on the rest.
# :class:`~sklearn_adaalloc.BinnedAllocator` divides queries into bins by predicted
# difficulty and gives each bin one budget, based on what was observed in it (the
# paper's offline method). :class:`~sklearn_adaalloc.PricedAllocator` buys every sample
# whose predicted value is at least a price. The budgets of the bins and the price are
# set to spend four samples per query on average.

from sklearn_adaalloc import BinnedAllocator, HiddenStateFeaturizer, PricedAllocator
from sklearn_adaalloc.datasets import load_arithmetic

strings, arithmetic = load_arithmetic("code"), load_arithmetic("math")
featurizer = HiddenStateFeaturizer("embedded")
X_train = featurizer.fit_transform(strings.queries_train)
rules = {
    "binned": BinnedAllocator(budget=4, random_state=0),
    "priced": PricedAllocator(budget=4, random_state=0),
}
for rule in rules.values():
    rule.fit(X_train, strings.rewards_train)
print("budgets of the bins:", rules["binned"].bin_budgets_)
print(f"price of a sample: {rules['priced'].price_:.3f}")

# %%
# A stream
# --------
#
# The stream has twelve hundred queries that the rules have not seen. The first six
# hundred are about strings, as in the calibration: sort, reverse, convert. Then users
# ask for arithmetic. A :class:`~sklearn_adaalloc.allocators.DriftReport` needs only
# queries, and no graded answers. Here it is for both rules, before and after the
# change:

from textwrap import fill

import numpy as np

X_stream = featurizer.transform(
    strings.queries_test[:600] + arithmetic.queries_test[:600]
)
hours = np.split(X_stream, 12)  # a hundred queries an hour
for name, rule in rules.items():
    for hour in [6, 7]:
        print(fill(f"{name}, hour {hour}: {rule.drift_report(hours[hour - 1])}", 80))

# %%
# Calibrate again
# ---------------
#
# After hour nine, answers to three hundred of the new queries have been graded. This is
# little for training, but enough for calibration. The regressor stays as it is. All
# three hundred queries set the new budgets of the bins, and the new price.

from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

X_new = featurizer.transform(arithmetic.queries_train[:300])
renewed = {
    name: clone(rule)
    .set_params(regressor=FrozenEstimator(rule.regressor_))
    .fit(X_new, arithmetic.rewards_train[:300])
    for name, rule in rules.items()
}

# %%
# The plot shows the spend of each hour. Up to hour six it varies around the promised
# value, because a mean over a hundred queries varies. Then it doubles, because more
# samples of the new queries seem to be worth their price.

import matplotlib.pyplot as plt

_, ax = plt.subplots(layout="constrained")
for name, style in {"binned": "o-", "priced": "s--"}.items():
    spend = [
        (rules if hour < 9 else renewed)[name].predict(X).mean()
        for hour, X in enumerate(hours)
    ]
    ax.plot(range(1, 13), spend, style, label=name)
ax.axhline(4, color="0.45", linestyle=":", label="promised")
for hour, event in {6.5: "other queries", 9.5: "calibrated again"}.items():
    ax.axvline(hour, color="black", linewidth=0.8)
    ax.text(hour + 0.1, 0.3, event)
ax.set(
    title="Mean budget in each hour",
    xlabel="hour (100 queries each)",
    ylabel="samples per query",
    ylim=(0, None),
)
_ = ax.legend(frameon=False, loc="upper left")

# %%
# Calibrated is not retrained
# ---------------------------
#
# Calibration corrects the spend. Does it also correct the split? We compare with equal
# budgets at the same realised spend, on all test queries of arithmetic, with 95 %
# intervals:

from sklearn_adaalloc.metrics import paired_difference

X_test = featurizer.transform(arithmetic.queries_test)
for name, rule in renewed.items():
    budgets = rule.predict(X_test)
    gain = paired_difference(
        arithmetic.rewards_test, budgets, budgets.mean(), random_state=0
    )
    print(
        f"{name} {budgets.mean():.2f} samples",
        "{:+.3f} [{:+.3f}, {:+.3f}]".format(*gain[:3]),
    )

# %%
# The regressor has never seen arithmetic. Budgets of bins follow what was observed in
# each bin, and are as good as equal budgets. The price relies on the predicted gains,
# and here it is worse than equal budgets. After such a large change, calibrate at once,
# and train again when there are enough answers.
