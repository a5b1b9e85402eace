"""
====================
In front of a stream
====================

Queries come one after another, and each is decided alone. A price says when a further
sample is worth it. This example looks at the price and the spend along a stream in
which queries become harder, and then asks what has changed after the model was
replaced.
"""

# %%
# The difficulty model is learnt from 64 graded answers to each of 2,000 arithmetic
# queries. `fit` also finds the price at which held-out queries spend three samples on
# average.

from sklearn_adaalloc import HiddenStateFeaturizer, StreamAllocator
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("math")
featurizer = HiddenStateFeaturizer("embedded")
X_train = featurizer.fit_transform(data.queries_train)
policy = StreamAllocator(budget=3, random_state=0).fit(X_train, data.rewards_train)
print(f"price {policy.price_:.3f}, spend {policy.realised_budget_:.2f}")

# %%
# A stream that becomes harder
# ----------------------------
#
# In the first half of the stream, three of four queries have a success rate above the
# median. In the second half, one of four has.

import numpy as np

rng = np.random.default_rng(0)
rates = data.rewards_test.mean(axis=1)
easy, hard = (
    rng.permutation(rows)
    for rows in np.split(np.argsort(-rates, kind="stable"), [len(rates) // 2])
)
first = rng.permutation(np.r_[easy[:300], hard[:100]])
second = rng.permutation(np.r_[easy[300:400], hard[100:400]])
rows = np.r_[first, second]
X = featurizer.transform([data.queries_test[row] for row in rows])


# %%
# A session asks for samples of its query and is told their rewards. Here they come from
# the table; in production, :class:`~sklearn_adaalloc.decoding.BestOfK` samples and
# grades.


def serve(stream, X, rewards):
    """Samples, best reward and price after each query."""
    history = []
    for x, graded in zip(X, rewards, strict=True):
        with stream.start(x) as session:
            while (asked := session.ask()) is not None:
                used = session.budgets[0]
                session.tell([graded[used : used + asked[0]]])
        history.append((session.budgets[0], session.best_rewards[0], stream.price))
    return np.array(history, dtype=float).T


rewards = data.rewards_test[rows]
histories = {}
for name, adapt in {"price follows the spend": True, "price of fit": False}.items():
    with policy.set_params(adapt=adapt).open() as stream:
        histories[name] = serve(stream, X, rewards)
    spent, solved, _ = histories[name]
    print(
        f"{name}: {spent[:400].mean():.2f} samples, then {spent[400:].mean():.2f}; "
        f"solved {solved.mean():.3f}"
    )

# %%
# With the price of `fit`, easy queries leave a part of the budget and hard ones take
# more. The other price falls as long as too little is spent, rises when the hard
# queries come, and pays back what they spent too much at first.

import matplotlib.pyplot as plt

_, axes = plt.subplots(2, sharex=True, layout="constrained")
window = 100
for name, (spent, _, price) in histories.items():
    mean = np.convolve(spent, np.ones(window) / window, mode="valid")
    axes[0].plot(np.arange(window, len(spent) + 1), mean, label=name)
    axes[1].plot(np.arange(1, len(price) + 1), price, label=name)
axes[0].axhline(3, color="0.45", linestyle=":", label="budget")
axes[0].set(
    ylabel="samples per query", title=f"Mean spend of {window} queries", ylim=(0, None)
)
axes[0].legend(frameon=False, loc="lower left")
axes[1].set(xlabel="queries of the stream", ylabel="price", ylim=(0, None))
for ax in axes:
    ax.axvline(400, color="black", linewidth=0.8)

# %%
# What has changed?
# -----------------
#
# The report of a stream compares the latest queries with those of calibration. Of the
# second half it says that the queries are others. They were chosen by their success
# rates, and are harder than they look, which it also says:

with policy.set_params(adapt=True).open() as stream:
    serve(stream, X[400:], rewards[400:])
    print(stream.drift_report())

# %%
# Now the queries are those of calibration, but the model was replaced by one that fails
# twice as often as before. That is in the answers:

order = rng.permutation(len(rates))[:400]
worse = data.rewards_test[order] * (rng.random((400, 64)) < 0.5)
with policy.open() as stream:
    serve(
        stream, featurizer.transform([data.queries_test[row] for row in order]), worse
    )
    print(stream.drift_report())
