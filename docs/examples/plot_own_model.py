"""
===========================
Your own model and verifier
===========================

From a list of questions with right answers to graded answers, a policy, and better
answers for the same number of tokens. This example is the whole way, with a small
language model that stands for yours.
"""

# %%
# Collect a reward table
# ----------------------
#
# A sampler asks the model, a verifier grades. Both the answers and their grades go into
# a store on disk: interrupt it at any point and call it again, and it goes on. The
# second call below finds everything done.

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
# The store holds what was asked, answered, graded and paid.

with RewardStore(store) as file:
    frame = file.to_frame()
frame.head()

# %%
# Learn a policy
# --------------
#
# The policy reads hidden states of the same model. The sampler computes those anyway,
# so that at serving time they cost nothing. This policy spends its budget in four
# rounds, as the verifier's verdicts come in.

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
# :class:`~sklearn_adaalloc.decoding.BestOfK` samples, grades and keeps the best answer.
# Beside it, the same with equal budgets. Sample j of a query is the same in both, so
# that they differ in nothing but how many of them are drawn.

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
# What is paid for is tokens, of prompts and of answers: the ``usage`` of each run, a
# :class:`~sklearn_adaalloc.sampling.TokenUsage`.

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
# The four-sample runs, query by query. The interval says what other new queries would
# change; another seed of the sampler would change a little more.

gain = np.nan_to_num(decoded["adaptive, 4 rounds"][2].rewards) - np.nan_to_num(
    decoded["equal budgets"][2].rewards
)
print(f"gain {gain.mean():+.3f} ± {1.96 * gain.std() / np.sqrt(len(gain)):.3f}")

# %%
# Save it for production
# ----------------------
#
# A saved policy is a folder without pickle, safe to load. The language model stays
# where it is; its fingerprint is checked.

from sklearn_adaalloc import load_policy, save_policy

save_policy(policy, f"{folder.name}/policy")
loaded = load_policy(f"{folder.name}/policy")
print((loaded.predict(new_queries) == policy.predict(new_queries)).all())
print(sorted(path.name for path in Path(folder.name, "policy").rglob("*")))
folder.cleanup()
