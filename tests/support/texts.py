"""Random texts for the tiny models."""

import numpy as np

ALPHABET = list("abcdefghijklmnopqrstuvwxyz0123456789 +-*/%=()")


def random_texts(n_texts, longest=24, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest, n_texts)
    return ["".join(rng.choice(ALPHABET, length)) for length in lengths]
