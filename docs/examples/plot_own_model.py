"""
===========================
Your own model and verifier
===========================

This example starts with a list of questions and their right answers. It collects graded
answers, learns a policy, and gets better answers for the same number of tokens. A small
language model takes the place of yours.
"""

# %%
# Collect a reward table
# ----------------------
#
# A sampler draws answers from the model, and a verifier grades them. Answers and grades
# are stored on disk. If you interrupt the collection, call it again and it continues.
# The second call below finds everything done.

import tempfile
import time
from pathlib import Path

from sklearn_adaalloc import collect_rewards
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.datasets import load_arithmetic
from sklearn_adaalloc.rewards import MathVerifier
from sklearn_adaalloc.sampling import TransformersSampler

data = load_arithmetic("math")
queries, new_queries = data.queries_train[:400], data.queries_test[:300]
references = dict(zip(queries, data.answers_train, strict=False))
references |= dict(zip(new_queries, data.answers_test, strict=False))

sampler = TransformersSampler("embedded", max_new_tokens=24)
verifier = MathVerifier(references, n_jobs=2)
folder = tempfile.TemporaryDirectory()
store = Path(folder.name) / "rewards.sqlite"
for call in ["first", "second"]:
    start = time.perf_counter()
    rewards = collect_rewards(
        queries, sampler, verifier, n_samples=8, store=store, progress=False
    )
    print(f"{call} call: {time.perf_counter() - start:.1f} s, table {rewards.shape}")

# %%
# The store holds every question, answer, grade and cost.

with RewardStore(store) as file:
    frame = file.to_frame()
frame.head()

# %%
# Learn a policy
# --------------
#
# The policy reads hidden states of the same model. The sampler computes these anyway,
# so they cost nothing at serving time. This policy spends its budget in four rounds and
# uses the verdicts of the verifier between them.

from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import DummyAllocator, HiddenStateFeaturizer, SequentialAllocator

policy = make_pipeline(
    HiddenStateFeaturizer("embedded"), SequentialAllocator(random_state=0)
)
policy.fit(queries, rewards)

# %%
# Answer new queries
# ------------------
#
# :class:`~sklearn_adaalloc.decoding.BestOfK` samples, grades and returns the best
# answer. We compare it with equal budgets. Sample j of a query is the same in both, so
# they differ only in how many samples they draw.

import numpy as np

from sklearn_adaalloc.decoding import BestOfK

equal = DummyAllocator("uniform").fit(queries, rewards)
decoded = {"adaptive, 4 rounds": [], "equal budgets": []}
for budget in [1, 2, 4]:
    policy[-1].set_params(budget=budget)
    equal.set_params(budget=budget)
    for name, each in zip(decoded, [policy, equal], strict=True):
        decoded[name].append(BestOfK(each, sampler, verifier).decode(new_queries))

for name, runs in decoded.items():
    print(name)
    for run in runs:
        solved = int(np.nansum(run.rewards))
        print(f"  {run.budgets.mean():5.2f} samples per query, {solved} solved")

# %%
# The cost is the number of tokens, of prompts and of answers. It is in the ``usage`` of
# each run, a :class:`~sklearn_adaalloc.sampling.TokenUsage`.

import matplotlib.pyplot as plt

_, ax = plt.subplots(layout="constrained")
for (name, runs), style in zip(decoded.items(), ["o-", "s--"], strict=True):
    tokens = [
        (run.usage.prompt.sum() + np.concatenate(run.usage.answers).sum())
        / len(new_queries)
        for run in runs
    ]
    ax.plot(tokens, [np.nansum(run.rewards) / 300 for run in runs], style, label=name)
ax.set(
    title="300 new queries, answered live",
    xlabel="tokens per query, prompt included",
    ylabel="solved",
)
_ = ax.legend(frameon=False, loc="lower right")

# %%
# This compares the runs with four samples, query by query. The interval shows what
# other new queries would change. Another seed of the sampler would add a little to
# that.

gain = np.nan_to_num(decoded["adaptive, 4 rounds"][2].rewards) - np.nan_to_num(
    decoded["equal budgets"][2].rewards
)
print(f"gain {gain.mean():+.3f} ± {1.96 * gain.std() / np.sqrt(len(gain)):.3f}")

# %%
# Save it for production
# ----------------------
#
# A saved policy is a folder without pickle, so it is safe to load. The language model
# stays where it is. Its fingerprint is checked.

from sklearn_adaalloc import load_policy, save_policy

save_policy(policy, f"{folder.name}/policy")
loaded = load_policy(f"{folder.name}/policy")
print((loaded.predict(new_queries) == policy.predict(new_queries)).all())
print(sorted(path.name for path in Path(folder.name, "policy").rglob("*")))
folder.cleanup()
