"""Queries whose answers are voted on, of which none is known to be right."""

from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc.decoding._rounds import Answering


class Voting(Answering):
    """Queries that one decoder answers, and the votes of the answers so far.

    Parameters
    ----------
    queries : list of n_queries str or lists of dict
        Checked queries.
    label : callable or None
        ``label(queries, answers)`` returns what each answer votes for, a list of labels
        per query. None takes the answers themselves.
    key : callable or None
        Which labels are the same, as of :class:`~sklearn_adaalloc.curves.MostVotes`.
    allocator, samplers, prices
        As for :class:`Answering`.
    """

    def __init__(self, queries, label, key, allocator, samplers, prices):
        super().__init__(queries, label or _themselves, allocator, samplers, prices)
        self._key = key

    def best(self, default_answer):
        """The first answer that has the most frequent label, of each query.

        Returns
        -------
        answers : list of n_queries str
            The first answer if none has a vote.
        rewards : ndarray of shape (n_queries,)
            NaN: they are not known.
        decoders : ndarray of shape (n_queries,), int
            0, or -1 where there is no answer.
        """
        [gathered], [labels] = self.gathered, self._verdicts
        answers = [
            row[leader(given, self._key)].answer if row else default_answer
            for row, given in zip(gathered.rows, labels, strict=True)
        ]
        decoders = np.array([0 if row else -1 for row in gathered.rows])
        return answers, np.full(len(answers), np.nan), decoders

    def _check_graded(self, labels, queries, answers):
        rows = [list(row) for row in labels]
        for query, row, given in zip(queries, rows, answers, strict=True):
            if len(row) != len(given):
                raise ValueError(
                    f"the labels of {len(given)} answers to query {short_repr(query)} "
                    f"are {short_repr(row)}. Expected a label for each answer, None "
                    "for one without a vote."
                )
        return rows

    def _as_told(self, graded, asked):
        """Labels (n_queries, 1), a list in each cell: None for a missing answer."""
        [labels] = graded
        told = np.empty((len(labels), 1), dtype=object)
        for row, given in enumerate(labels):
            told[row, 0] = list(given) + [None] * (int(asked[row, 0]) - len(given))
        return told

    def _warn_ungraded(self, *, stacklevel):
        """Nothing: answers without a vote are usual."""


def _themselves(queries, answers):
    return answers


def leader(labels, key):
    """Find the first answer with the most votes.

    Parameters
    ----------
    labels : list of str or int
        What each answer votes for. None, "" and -1 are no vote.
    key : callable or None
        As for :class:`Voting`.

    Returns
    -------
    index : int
        0 if there is no vote.

    Examples
    --------
    >>> from sklearn_adaalloc.decoding._votes import leader
    >>> leader([None, "7", "8", "8"], None)
    2
    """
    distinct = [each for each in dict.fromkeys(labels) if each not in (None, "", -1)]
    keys = distinct if key is None else key(distinct)
    classes = dict(zip(distinct, keys, strict=True))
    voted = [classes.get(label) for label in labels]
    votes = [each for each in voted if each is not None]
    return voted.index(max(votes, key=votes.count)) if votes else 0
