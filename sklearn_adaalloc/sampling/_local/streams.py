"""Random numbers that belong to a sample, whatever is drawn beside it."""

import hashlib

import numpy as np


def stream_key(seed, token_ids):
    """Key of a prompt's random streams.

    Parameters
    ----------
    seed : int
        Seed of the sampler.
    token_ids : list of int
        The prompt.

    Returns
    -------
    key : int
        128 bits.
    """
    content = np.array([seed, *token_ids], dtype="<i8").tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=16).digest(), "little")


def uniform_stream(key, sample, length):
    """Uniform numbers of one sample: a function of their arguments alone.

    Philox is a counter-based generator: the sample is part of the counter, so samples
    of a prompt never share numbers and none has to be drawn to reach another.

    Parameters
    ----------
    key : int
        From :func:`stream_key`.
    sample : int
        Index of the sample.
    length : int
        How many numbers; a longer stream begins as a shorter one does.

    Returns
    -------
    uniforms : ndarray of shape (length,), float64
        Multiples of 2^-48 in [0, 1).

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._local.streams import stream_key, uniform_stream
    >>> key = stream_key(0, [1, 17, 4])
    >>> uniform_stream(key, 5, 3)[:2] == uniform_stream(key, 5, 2)
    array([ True,  True])
    """
    # A stream has 2^64 blocks of four numbers before it meets the next sample's.
    bits = np.random.Philox(key=key, counter=int(sample) << 64).random_raw(length)
    return (bits >> np.uint64(16)) * 2.0**-48
