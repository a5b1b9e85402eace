"""
=============================================
Routing between a weak model and a strong one
=============================================

Calling the large model for every query is expensive, and for many queries the small one
is as good. Routing is a budget problem with two steps: every query gets the weak
decoder, and some queries get the strong one instead. This example learns which ones,
from the hidden states of the weak model.
"""

# %%
# A routing table has three axes: queries, decoders (weak first), graded samples. Here
# two language models of 0.9 and 1.3 million parameters have answered 4,000 arithmetic
# and string queries, 64 times each. This example learns from half of these queries,
# which is enough here.

from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import AdaptiveAllocator, HiddenStateFeaturizer
from sklearn_adaalloc.datasets import load_arithmetic

data = load_arithmetic("routing")
print("rewards:", data.rewards_train.shape)
print("weak, strong:", data.rewards_test.mean(axis=(0, 2)).round(3))

policy = make_pipeline(
    HiddenStateFeaturizer("embedded"), AdaptiveAllocator(budget=0.5, random_state=0)
)
policy.fit(data.queries_train[:2000], data.rewards_train[:2000])

# %%
# Reward against the share of strong calls
# ----------------------------------------
#
# "Uniform" routes at random. The curve of the policy ends where the policy expects the
# weak model to be better. There, a call to the strong model is not worth it even if it
# costs nothing.

from sklearn_adaalloc.metrics import BudgetCurveDisplay

X_test = policy[:-1].transform(data.queries_test)
display = BudgetCurveDisplay.from_estimator(
    policy[-1], X_test, data.rewards_test, name="routed"
)
_ = display.ax_.set(title="2,000 test queries", ylabel="success rate")

# %%
# In numbers
# ----------
#
# RouteLLM uses two numbers. APGR is the average share of the gap between the models
# that is recovered (random routing: 0.5). CPT(50 %) is the share of strong calls that
# recovers half of the gap (random: 0.5). The last line is the gain over random routing
# at a share of one half, with its 95 % interval.

from sklearn_adaalloc.metrics import (
    average_gap_recovered,
    cost_to_recover,
    paired_difference,
)

preferences = policy[-1].regressor_.predict(X_test)
print(f"APGR      {average_gap_recovered(data.rewards_test, preferences):.2f}")
print(f"CPT(50 %) {cost_to_recover(data.rewards_test, preferences):.2f}")
calls = policy[-1].predict(X_test)
gain = paired_difference(data.rewards_test, calls, calls.mean(), random_state=0)
print(f"strong calls {calls.mean():.2f}")
print("gain over random routing {:+.3f} [{:+.3f}, {:+.3f}]".format(*gain[:3]))

# %%
# Live
# ----
#
# A router answers each query once, with the decoder that the policy chose. If the
# policy reads the weak model's own hidden states, they come from its pass over the
# prompt, at no extra cost.

from sklearn_adaalloc.datasets import grade_arithmetic
from sklearn_adaalloc.decoding import Router
from sklearn_adaalloc.sampling import TransformersSampler

weak, strong = (
    TransformersSampler(model, max_new_tokens=24)
    for model in ("embedded", data.strong_model)
)
queries = data.queries_test[:12]
decoded = Router(policy, weak, strong).decode(queries)
right = grade_arithmetic(queries, [[answer] for answer in decoded.answers])
for query, model, answer, grade in zip(
    queries, decoded.budgets, decoded.answers, right, strict=True
):
    name = ["weak", "strong"][model]
    print(f"{name:6}  {query}{answer}  {'right' if grade[0] else 'wrong'}")
