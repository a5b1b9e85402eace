"""Random numbers of a sample, independent of all other samples in the batch."""

import hashlib

import numpy as np


def stream_key(seed, token_ids):
    """Key of a prompt's random streams, 128 bits; `token_ids` is a list of int."""
    content = np.array([seed, *token_ids], dtype="<i8").tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=16).digest(), "little")


def uniform_stream(key, sample, length):
    """Uniform numbers of one sample, (length,), multiples of 2^-48 in [0, 1).

    They depend only on the arguments: the key of :func:`stream_key` and the index of
    the sample. A longer stream begins like a shorter one. Philox is a counter-based
    generator, and the sample is part of the counter. So samples of a prompt share no
    numbers, and a sample can be drawn without those before it.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._local.streams import stream_key, uniform_stream
    >>> key = stream_key(0, [1, 17, 4])
    >>> uniform_stream(key, 5, 3)[:2] == uniform_stream(key, 5, 2)
    array([ True,  True])
    """
    # A stream has 2^64 blocks of four numbers before the next sample's stream begins.
    bits = np.random.Philox(key=key, counter=int(sample) << 64).random_raw(length)
    return (bits >> np.uint64(16)) * 2.0**-48
