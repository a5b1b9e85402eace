"""
=========================
A policy from a log alone
=========================

An evaluation leaves a file behind: each answer, and whether it was right. Where the
queries were answered more than once, that file is all that a policy needs. This example
reads one, learns from it, and asks how many answers to each query a log should have.
"""

# %%
# The log
# -------
#
# One line per answer, as many tools and scripts write them. Here the lines are made
# from a table that comes with the package: 16 graded answers of its small language
# model to each of 2,000 queries, and to 1,000 others to measure on.

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from sklearn_adaalloc.datasets import load_arithmetic, read_samples

data = load_arithmetic("math")
folder = TemporaryDirectory()


def write_log(name, queries, rewards):
    """Write one line per query and sample."""
    path = Path(folder.name, name)
    with path.open("w") as file:
        for query, row in zip(queries, rewards, strict=True):
            for correct in row:
                sample = {"input": {"prompt": query}, "correct": bool(correct)}
                file.write(json.dumps(sample) + "\n")
    return path


log = write_log("train.jsonl", data.queries_train, data.rewards_train[:, :16])
test_log = write_log("test.jsonl", data.queries_test, data.rewards_test)
print(*log.read_text().splitlines()[:2], sep="\n")

# %%
# Names of fields are all that a reader has to be told. A dot leads into what a field
# holds.

queries, table = read_samples(log, query="input.prompt", reward="correct")
test_queries, test_table = read_samples(
    test_log, query="input.prompt", reward="correct"
)
folder.cleanup()
print(table)

# %%
# The policy
# ----------
#
# The queries and the table go where any queries and rewards go.

from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import AdaptiveAllocator, HiddenStateFeaturizer
from sklearn_adaalloc.metrics import BudgetCurveDisplay

policy = make_pipeline(
    HiddenStateFeaturizer("embedded"), AdaptiveAllocator(budget=4, random_state=0)
)
policy.fit(queries, table)
display = BudgetCurveDisplay.from_estimator(
    policy, test_queries, test_table, name="from the log"
)
_ = display.ax_.set(title="A policy learnt from a log", xlim=(0, 32))

# %%
# How many answers to each query?
# -------------------------------
#
# Many logs have one epoch, or four. So fit on the first few answers to each query, and
# measure on the same test queries: 0 is no better than equal budgets, 1 is the oracle.

import matplotlib.pyplot as plt

from sklearn_adaalloc import MLPRewardRegressor
from sklearn_adaalloc.metrics import gap_recovered_score

X, X_test = (policy[:-1].transform(texts) for texts in (queries, test_queries))
epochs = [1, 4, 16]
scores = []
for n_epochs in epochs:
    regressor = MLPRewardRegressor(random_state=0).fit(X, table.rewards[:, :n_epochs])
    marginals = regressor.predict_marginals(X_test, 64)
    scores.append(gap_recovered_score(test_table, marginals))
    print(f"{n_epochs:2d} epochs: {scores[-1]:.2f} of the gap recovered")

# %%
_, ax = plt.subplots(layout="constrained")
ax.plot(epochs, scores, marker="o")
ax.set_xscale("log", base=2)
ax.set_xticks(epochs, epochs)
_ = ax.set(
    title="What a log of 2,000 queries teaches",
    xlabel="answers to each query (epochs)",
    ylabel="share of the gap to the oracle",
    ylim=(0, 1),
)

# %%
# A log with few answers to many queries already teaches most of what this model can
# learn. Where it falls short, log more queries first: one answer to a new query says
# more than another answer to an old one. To *measure* a policy, as on the test queries
# here, more answers to each query help.
