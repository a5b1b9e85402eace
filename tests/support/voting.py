"""A policy that votes, and samplers whose answers differ."""

from answering import EqualCurves
from sklearn.frozen import FrozenEstimator

from sklearn_adaalloc import RewardTable, StreamAllocator


def voting_policy(**parameters):
    """Takes up to 5 samples, each right half of the time, and stops at a clear lead."""
    rewards = [[1, 0, 1, 1, 0]] * 40
    answers = [["7", "8", "7", "7", "9"]] * 40
    regressor = FrozenEstimator(EqualCurves().fit(["a"], [0.0]))
    parameters = {"target": "price", "price": 0.001, **parameters}
    policy = StreamAllocator(regressor, selection="vote", random_state=0, **parameters)
    texts = [f"q{i}" for i in range(40)]
    return policy.fit(texts, RewardTable(rewards, answers=answers))
