"""Decoders of requests, some of which nobody can judge."""

from functools import partial

import numpy as np

from sklearn_adaalloc._utils.numbers import as_json
from sklearn_adaalloc.allocators._unjudged import UnjudgedSession
from sklearn_adaalloc.decoding import BestOfK, Cascade
from sklearn_adaalloc.decoding._rounds import Answering, WithDecoderAxis
from sklearn_adaalloc.decoding._votes import Voting, leader
from sklearn_adaalloc.serving._current import CURRENT
from sklearn_adaalloc.serving._verdicts import final_labels

_MOST_UNGRADED = 3
"""Samples of which none could be graded, before a request counts as unjudged."""


class Judging(Answering):
    """The answers to a request, of which a judge may be able to grade none.

    If it can grade none of three, no more are drawn: nobody could choose among them.
    If answers may vote, these do. The stream learns nothing from them.
    """

    _labels = ()  # of the answers so far, as long as none is graded

    def grade(self, samples):
        """Rewards of a round, an array for each query of each decoder."""
        graded = super().grade(samples)
        may_vote = CURRENT.get().may_vote and len(samples) == 1
        if may_vote and np.isnan(graded[0][0]).all():
            [labels] = final_labels(self._queries, samples[0])
            self._labels = [*self._labels, *labels]
        return graded

    def tell(self, session, asked, graded):
        """Keep the rewards of a round, and tell the session whether to go on."""
        super().tell(session, asked, graded)
        rewards = [reward for [given] in self._verdicts for reward in given]
        if len(rewards) >= _MOST_UNGRADED and np.isnan(rewards).all():
            session.withdraw(np.ones(asked.shape, dtype=bool))
            if hasattr(session, "disregard"):
                session.disregard()

    def _first_choice(self):
        return leader(self._labels, None)


class _OfRequests:
    """Mixin of decoders that look up whether the current request can be judged.

    A request that nobody can judge gets as many samples as the budget pays for, if
    answers may vote, and otherwise one. What is predicted of each is kept with the
    request.
    """

    _answering = Judging

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
