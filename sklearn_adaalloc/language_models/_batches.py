"""Rows of about the same length in batches that fit the memory.

This module imports torch at the top. Estimators therefore import it inside methods.
"""

import numpy as np
import torch

CPU_BATCH_TOKENS = 512  # what a batch computes then stays within a core's caches


def token_batches(run, lengths, batch_tokens):
    """Call a function on rows of about the same length, the longest first.

    Where CUDA has too little memory for a batch, it and all further ones are halved.

    Parameters
    ----------
    run : callable
        Takes the positions of a batch's rows.
    lengths : sequence of n_rows int
        Tokens of each row.
    batch_tokens : int
        Most tokens of a batch, padding included; one row may have more.

    Yields
    ------
    rows : ndarray of shape (n_batch_rows,)
        Which rows.
    result : object
        What `run` returned for them.
    """
    lengths = np.asarray(lengths)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = lengths[order[start]]
        rows = order[start : start + max(1, batch_tokens // longest)]
        try:
            result = run(rows)
        except torch.cuda.OutOfMemoryError:
            if len(rows) == 1:
                raise
            batch_tokens = longest * (len(rows) // 2)
        else:
            start += len(rows)
            yield rows, result
