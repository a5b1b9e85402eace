"""Decoders of requests, some of which nobody can judge."""

from functools import partial

import numpy as np

from sklearn_adaalloc._utils.numbers import as_json
from sklearn_adaalloc.allocators._unjudged import UnjudgedSession
from sklearn_adaalloc.decoding import BestOfK, Cascade
from sklearn_adaalloc.decoding._rounds import Answering, WithDecoderAxis
from sklearn_adaalloc.decoding._votes import Voting
from sklearn_adaalloc.serving._current import CURRENT
from sklearn_adaalloc.serving._verdicts import final_labels


class _OfRequests:
    """Mixin of decoders that look up whether the current request can be judged.

    A request that nobody can judge gets as many samples as the budget pays for, if
    answers may vote, and otherwise one. What is predicted of each is kept with the
    request.
    """

    def _start(self, queries, max_samples, allocator, X, rest):
        current = CURRENT.get()
        current.features = X
        begin = super()._start if current.is_judged else self._start_unjudged
        answering, session = begin(queries, max_samples, allocator, X, rest)
        if getattr(allocator, "_binary", False):
            current.predict = partial(_predicted_success, allocator, X, session)
        return answering, session

    def _start_unjudged(self, queries, max_samples, allocator, X, rest):
        _, samplers, _ = rest
        votes = CURRENT.get().may_vote and len(samplers) == 1
        starter = self.stream or allocator
        if hasattr(starter, "_start_unjudged"):
            session = starter._start_unjudged(X, votes=votes, max_samples=max_samples)
        else:  # an allocator of another package
            session = UnjudgedSession(range(len(samplers)), 1, (1, len(samplers)))
        if session.budgets.ndim == 1:
            session = WithDecoderAxis(session)
        if votes:
            return Voting(queries, final_labels, None, *rest), session
        return Answering(queries, _no_verdict, *rest), session


class BestOfRequests(_OfRequests, BestOfK):
    """`BestOfK` for the request that is being answered."""


class CascadeOfRequests(_OfRequests, Cascade):
    """`Cascade` for the request that is being answered."""


def _no_verdict(queries, answers):
    return [np.full(len(row), np.nan) for row in answers]


def _predicted_success(allocator, X, session):
    """Chance that the only query is solved; None if the policy predicts none."""
    expected = getattr(session, "expected_rewards", None)
    if expected is None and hasattr(allocator, "_expected_of"):
        expected = allocator._expected_of(X)
    return None if expected is None else as_json(float(expected[0]))
