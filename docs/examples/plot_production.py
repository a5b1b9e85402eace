"""
===========================================
One query at a time, and when queries drift
===========================================

A policy that splits a budget over a batch needs the batch. In production queries come
one by one, and their mix changes. This example serves a stream with rules that decide
each query alone, notices that the queries have changed, and calibrates again without
training.
"""

# %%
# Two rules
# ---------
#
# Both learn on most of the graded queries and calibrate on the rest.
# :class:`~sklearn_adaalloc.BinnedAllocator` gives one budget to each bin of predicted
# difficulty, from what was observed in that bin (the paper's offline method).
# :class:`~sklearn_adaalloc.PricedAllocator` buys every sample that is
# predicted to be worth a price. Budgets of bins and the price are set such that four
# samples per query are spent on average.

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
# Twelve hundred queries that the rules have not seen. The first six hundred are about
# strings, as in the calibration: sort, reverse, convert. Then users turn to arithmetic.
# A :class:`~sklearn_adaalloc.allocators.DriftReport` needs no graded answers, only
# queries. Here it is for either rule, before and after:

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
# After hour nine, answers to three hundred of the new queries have been graded. That is
# few to train on, but enough to calibrate: the regressor stays as it is, and all three
# hundred set the budgets of the bins, and the price.

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
# The spend of each hour. Up to hour six it moves around the promise, as means of a
# hundred queries do. Then it doubles: the new queries look as if more samples were
# worth their price.

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
# The spend is mended. Is the split? Against equal budgets at the same realised spend,
# on all test queries of arithmetic, with 95 % intervals:

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
# The regressor has never seen arithmetic. Bins follow what was observed in them, and
# break even; a price takes the predicted gains at their word, and here loses to equal
# budgets. After a change as large as this one, calibrate at once, and train again when
# there are answers enough.
