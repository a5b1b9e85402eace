"""
===============================
A value function at every token
===============================

A strong decoder need not be a larger model. Value-augmented sampling predicts at every
token the expected score of the whole answer. It then prefers tokens with a high
prediction. This example builds such a value function from the hidden states of a reward
model, and measures its gain and its cost.
"""

# %%
# The beginnings of answers
# -------------------------
#
# A reward model scores whole answers, and its scores of incomplete answers are poor. So
# we train a regressor on the reward model's hidden state at each token of sampled
# answers. It predicts the score of the whole answer. Answers are sampled at temperature
# 1, so that the regressor also sees unlikely tokens.

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from sklearn_adaalloc import HiddenStateFeaturizer
from sklearn_adaalloc.datasets import load_arithmetic
from sklearn_adaalloc.rewards import RewardModel
from sklearn_adaalloc.sampling import TransformersSampler

data = load_arithmetic("chat")
reward = RewardModel(data.reward_model)
queries = data.queries_train[:500]
sampler = TransformersSampler(temperature=1, max_new_tokens=12, random_state=1)
answers = sampler.sample(queries, 4)
values = {
    query + answer[:end]: score
    for query, row, scores in zip(
        queries, answers, reward(queries, answers), strict=True
    )
    for answer, score in zip(row, scores, strict=True)
    for end in range(len(answer) + 1)
}
featurizer = HiddenStateFeaturizer(data.reward_model).fit(queries)
regressor = HistGradientBoostingRegressor(random_state=0).fit(
    featurizer.transform(list(values)), list(values.values())
)
print(f"{len(values)} beginnings of answers to {len(queries)} queries")

# %%
# The decoder
# -----------
#
# The decoder weighs the five likeliest tokens by their probability times exp(beta ·
# value). A value function takes lists of token ids. A trained value network can be used
# in its place.

from transformers import AutoTokenizer

from sklearn_adaalloc.sampling import ValueAugmentedSampler

tokenizer = AutoTokenizer.from_pretrained(data.model)


def value(token_ids):
    """Predict the score of answers that begin with these tokens."""
    texts = tokenizer.batch_decode(token_ids, skip_special_tokens=True)
    return regressor.predict(featurizer.transform(texts))


test = data.queries_test[:150]
ordinary = TransformersSampler(max_new_tokens=12)
scores = np.stack(reward(test, ordinary.sample(test, 3)))
betas = [0, 2, 4, 8]
gains = []
for beta in betas:
    strong = ValueAugmentedSampler(
        "embedded", value, top_k=5, beta=beta, max_new_tokens=12
    )
    augmented = np.stack(reward(test, strong.sample(test, 3)))
    gains.append(augmented.mean(axis=1) - scores.mean(axis=1))

# %%
# The plot shows the gain in the mean score of one answer over ordinary sampling of the
# same model, with 95 % intervals over queries. Beta 0 samples from the five likeliest
# tokens without values. A larger beta adds less and less, and intervals become wider:
# the predicted values are then trusted more than they deserve.
#
# The dotted line is the best of two ordinary samples, selected by the reward model. It
# costs two samples, while value-augmented sampling costs six. So if a reward model can
# select answers at serving time, try best-of-k first. A strong decoder helps if only
# one answer can be drawn, or as the expensive decoder of a
# :class:`~sklearn_adaalloc.decoding.Router`.

import matplotlib.pyplot as plt

from sklearn_adaalloc.metrics import expected_reward_score

gain = np.mean(gains, axis=1)
error = 1.96 * np.std(gains, axis=1) / np.sqrt(len(test))
best_of_two = expected_reward_score(scores, 2) - scores.mean()
_, ax = plt.subplots(layout="constrained")
ax.errorbar(betas, gain, error, fmt="o-", capsize=4, label="value-augmented, 1 answer")
ax.axhline(best_of_two, color="black", linestyle=":", label="ordinary, best of 2")
ax.axhline(0, color="0.45", linestyle="--", label="ordinary, 1 answer")
ax.set_xticks(betas)
ax.set(
    title="150 test queries",
    xlabel="beta, the weight of values",
    ylabel="gain in score (95 % interval)",
    ylim=(-0.15, None),
)
_ = ax.legend(frameon=False, loc="lower right")
print(f"cost of a token: {strong.cost:g} times that of an ordinary one")
