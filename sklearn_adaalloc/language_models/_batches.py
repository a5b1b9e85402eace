"""Batches of rows of similar length that fit into memory.

This module imports torch at the top. Estimators therefore import it inside methods.
"""

import numpy as np
import torch

CPU_BATCH_TOKENS = 512  # the states of such a batch fit into the caches of a core


def token_batches(run, lengths, batch_tokens):
    """Call a function on batches of rows of similar length, the longest rows first.

    If CUDA has too little memory for a batch, this and all later batches are halved.

    Parameters
    ----------
    run : callable
        Function of the positions of the rows of a batch.
    lengths : sequence of n_rows int
        Number of tokens of each row.
    batch_tokens : int
        Largest number of tokens of a batch, including padding. A batch of one row can
        have more.

    Yields
    ------
    rows : ndarray of shape (n_batch_rows,)
        Positions of the rows of a batch.
    result : object
        What `run` returned for these rows.
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
