"""Preferences between two decoders."""

from itertools import product

import numpy as np
from numpy.testing import assert_allclose
from scipy.special import expit

from sklearn_adaalloc.curves import preferences

NAN = np.nan


def test_preferences_by_hand():
    rewards = np.array([[[0.0, 0.0], [1.0, 1.0]], [[2.0, 2.0], [2.0, 2.0]]])
    assert_allclose(preferences(rewards), [expit(1.0), 0.5])


def test_preferences_are_the_mean_over_all_pairs_that_exist():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(6, 2, 4))
    rewards[0, 0, 1:] = rewards[1, 1, :3] = rewards[2, :, 0] = NAN
    enumerated = [
        np.nanmean([expit(strong - weak) for weak, strong in product(*query)])
        for query in rewards
    ]
    assert_allclose(preferences(rewards), enumerated)


def test_swapping_the_decoders_swaps_the_preference():
    rewards = np.random.default_rng(0).normal(size=(6, 2, 3))
    assert_allclose(preferences(rewards) + preferences(rewards[:, ::-1]), 1.0)
