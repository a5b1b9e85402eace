"""Rounds of sampling and grading, by one decoder or several.

Everything here has an axis of decoders; one decoder is a menu of one.
"""

import warnings
from copy import copy
from functools import partial
from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._utils.budgets import limit_samples
from sklearn_adaalloc._utils.grading import check_graded
from sklearn_adaalloc.decoding._bill import Bill
from sklearn_adaalloc.decoding._gathering import Gathered, raise_if_all_failed


class Answering:
    """A batch of queries that decoders answer, and what is known of the answers so far.

    Parameters
    ----------
    queries : list of n_queries str or lists of dict
        Checked queries.
    reward : callable
        Grades answers.
    allocator : estimator
        Gives the budgets. Its `budget`, `unit` and `binary_` are read, if it has them.
    samplers : list of n_decoders CheckedSampler
        Samplers of the decoders.
    prices : list of n_decoders Price
        What their samples cost.

    Attributes
    ----------
    gathered : list of n_decoders Gathered
        Answers, tokens and errors of each decoder.
    """

    def __init__(self, queries, reward, allocator, samplers, prices):
        self._queries = queries
        self._reward = reward
        self._samplers = samplers
        self._budget = getattr(allocator, "budget", None)
        self._counts_costs = getattr(allocator, "unit", "samples") == "cost"
        self._binary = getattr(allocator, "binary_", False)
        self._verdicts = [[[] for _ in queries] for _ in samplers]
        self.gathered = [Gathered(queries) for _ in samplers]
        self._bills = [
            Bill(*each) for each in zip(self.gathered, samplers, prices, strict=True)
        ]
        if self._counts_costs:
            for bill in self._bills:
                bill.check_sampler()
        self._paid_for_reading = self._bill_reading() if self._counts_costs else 0.0

    @property
    def budgets(self):
        """Number of answers, ndarray of shape (n_queries, n_decoders)."""
        return np.column_stack([each.n_answers for each in self.gathered])

    @property
    def costs(self):
        """What was paid (n_queries, n_decoders); NaN where it is not known."""
        return np.column_stack([bill.costs for bill in self._bills])

    @property
    def budget_share(self):
        """Share of the budget that is spent; NaN if there is no budget."""
        if not self._budget:
            return np.nan
        spent = self.costs if self._counts_costs else self.budgets
        return float(spent.sum(axis=1).mean() / self._budget)

    def afford(self, allocator):
        """The allocator, with what is left of its budget once prompts were read."""
        if self._budget is None or not self._paid_for_reading:
            return allocator
        left = self._budget - self._paid_for_reading / len(self._queries)
        return copy(allocator).set_params(budget=max(left, 0.0))

    def charge_reading(self, session):
        """Charge a session with what was paid before it."""
        if self._paid_for_reading:
            session.charge(self._paid_for_reading)

    def finish(self, session, result):
        """Run a session to its end.

        Parameters
        ----------
        session : object
            Its budgets have an axis of decoders.
        result : callable
            Makes the result of what is known so far. If anything raises, the exception
            has it as its attribute `partial`.

        Returns
        -------
        result : object
        """
        try:
            self.charge_reading(session)
            while (asked := session.ask()) is not None:
                self._take_round(session, asked)
            raise_if_all_failed(*self.gathered)
        except BaseException as error:
            error.partial = result()
            raise
        for each in self.gathered:
            each.warn(stacklevel=3)
        self._warn_ungraded(stacklevel=3)
        return result()

    def best(self, default_answer):
        """The best of the answers to each query so far.

        Returns
        -------
        answers : list of n_queries str
            The first answer if none is graded.
        rewards : ndarray of shape (n_queries,)
            NaN if there is none, or if it is not graded.
        decoders : ndarray of shape (n_queries,), int
            Which decoder gave the answer; -1 for none.
        """
        n_queries = len(self._queries)
        answers = [default_answer] * n_queries
        rewards, decoders = np.full(n_queries, np.nan), np.full(n_queries, -1)
        for row in range(n_queries):
            found = [
                (decoder, each.answer)
                for decoder, gathered in enumerate(self.gathered)
                for each in gathered.rows[row]
            ]
            graded = np.concatenate(
                [
                    # Answers of a round that was interrupted have no rewards.
                    given[row] + [np.nan] * (len(gathered.rows[row]) - len(given[row]))
                    for given, gathered in zip(
                        self._verdicts, self.gathered, strict=True
                    )
                ]
            )
            if found:
                known = np.isfinite(graded).any()
                best = int(np.nanargmax(graded)) if known else self._first_choice()
                decoders[row], answers[row] = found[best]
                rewards[row] = graded[best]
        return answers, rewards, decoders

    def _first_choice(self):
        """Index of the answer that is taken where none is graded."""
        return 0

    def _take_round(self, session, asked):
        """Sample and grade what a session asked for, and tell it the results."""
        orders = self.orders(session, asked)
        samples = [
            gathered.ask(*order)
            for gathered, order in zip(self.gathered, orders, strict=True)
        ]
        self.tell(session, asked, self.grade(samples))

    def orders(self, session, asked):
        """What each decoder is asked for in a round, as arguments of `Gathered.ask`.

        Returns
        -------
        orders : list of n_decoders tuples
            The sampler, the budgets, the first samples, and a function that says
            whether the decoder may go.
        """
        first_sample = session.budgets
        return [
            (
                self._samplers[decoder],
                np.where(gathered.refused, 0, asked[:, decoder]),
                first_sample[:, decoder],
                partial(self._is_not_last, gathered),
            )
            for decoder, gathered in enumerate(self.gathered)
        ]

    def tell(self, session, asked, graded):
        """Keep the rewards of a round, and tell the session of them.

        Parameters
        ----------
        session : object
            The session.
        asked : ndarray of shape (n_queries, n_decoders), int
            What it asked for.
        graded : list of n_decoders lists of n_queries ndarrays
            What :meth:`grade` returned.
        """
        for verdicts, new in zip(self._verdicts, graded, strict=True):
            for row, rewards in zip(verdicts, new, strict=True):
                row.extend(rewards)
        told = self._as_told(graded, asked)
        if self._counts_costs:
            costs, saved = self._news(session, asked)
            session.tell(told, costs)
            session.charge(float(costs[asked == 0].sum()))
            session.refund(saved)
        else:
            session.tell(told)
            if n_lost := self._n_lost(asked, graded):
                session.refund(n_lost)
        if any(each.errors or each.is_gone for each in self.gathered):
            session.withdraw(np.column_stack([each.refused for each in self.gathered]))

    def _n_lost(self, asked, graded):
        """Samples that were asked of decoders that are gone."""
        return sum(
            int(n_asked.sum()) - sum(map(len, new))
            for gathered, n_asked, new in zip(
                self.gathered, asked.T, graded, strict=True
            )
            if gathered.is_gone
        )

    def _is_not_last(self, gathered):
        """Whether another decoder still answers."""
        others = (each for each in self.gathered if each is not gathered)
        return not all(each.is_gone for each in others)

    def _bill_reading(self):
        """What prompts cost that samplers have run already, for their features."""
        none = np.zeros(len(self._queries), dtype=np.int64)
        for sampler, gathered in zip(self._samplers, self.gathered, strict=True):
            if sampler.has_read:
                gathered.ask(sampler, none, none)
        return float(sum(bill.news(none, none)[0].sum() for bill in self._bills))

    def _news(self, session, asked):
        """Costs of the round (n_queries, n_decoders), and what is counted in excess."""
        predicted = session.predicted_costs
        costs, saved = zip(
            *(
                bill.news(asked[:, decoder], predicted[:, decoder])
                for decoder, bill in enumerate(self._bills)
            ),
            strict=True,
        )
        return np.column_stack(costs), sum(saved)

    def grade(self, samples):
        """Rewards of one round, an array per query of each decoder.

        All answers to a query are graded together, whichever decoder gave them.

        Parameters
        ----------
        samples : list of n_decoders lists of n_queries lists of str
            New answers.

        Returns
        -------
        graded : list of n_decoders lists of n_queries ndarrays
        """
        verdicts = [[np.zeros(0)] * len(self._queries) for _ in samples]
        together = [
            [text for texts in row for text in texts]
            for row in zip(*samples, strict=True)
        ]
        rows = [row for row, texts in enumerate(together) if texts]
        asked = [self._queries[row] for row in rows]
        answers = [together[row] for row in rows]
        if rows:
            graded = self._check_graded(self._reward(asked, answers), asked, answers)
            for row, rewards in zip(rows, graded, strict=True):
                ends = np.cumsum([len(each[row]) for each in samples])
                starts = [0, *ends[:-1]]
                for decoder, ends_at in enumerate(ends):
                    verdicts[decoder][row] = rewards[starts[decoder] : ends_at]
        return verdicts

    def _check_graded(self, rewards, queries, answers):
        """Check what the reward function returned: one sequence for each query."""
        return check_graded(rewards, queries, answers)

    def _as_told(self, graded, asked):
        """What a session is told of a round."""
        return _as_told(graded, asked, binary=self._binary)

    def _warn_ungraded(self, *, stacklevel):
        ungraded = [
            sum(int(np.isnan(verdicts[row]).sum()) for verdicts in self._verdicts)
            for row in range(len(self._queries))
        ]
        if any(ungraded):
            query = self._queries[np.flatnonzero(ungraded)[0]]
            warnings.warn(
                f"{sum(ungraded)} answers could not be graded (the reward function "
                f"returned NaN), the first of them to query {short_repr(query)}.",
                UserWarning,
                stacklevel=stacklevel + 1,
            )


def start(starter, X, max_samples=None):
    """Open a session of a policy or stream.

    Parameters
    ----------
    starter : object
        Has a method ``start``.
    X : array-like of n_queries
        Input of the allocator.
    max_samples : int, default=None
        Largest number of samples of a query, which only a stream can limit.

    Returns
    -------
    session : object
    """
    limits = {} if max_samples is None else {"max_samples": max_samples}
    return starter.start(X, **limits)


class OneRound:
    """The session of a policy that decides everything up front.

    Parameters
    ----------
    budgets : ndarray of shape (n_queries, n_decoders), int
        All samples.
    max_samples : int, default=None
        Largest number of samples of a query. None sets no limit.
    """

    def __init__(self, budgets, max_samples=None):
        if max_samples is not None:
            budgets = limit_samples(budgets, np.full(len(budgets), max_samples))
        self._asked = budgets
        self.budgets = np.zeros_like(budgets)
        self.predicted_costs = np.zeros(budgets.shape)  # nothing is planned with them
        self.rounds_taken = 0

    def ask(self):
        """Budgets of the only round, then None."""
        return None if self.rounds_taken else self._asked

    def tell(self, rewards, costs=None):
        """End the round."""
        self.budgets, self.rounds_taken = self._asked, 1

    def charge(self, cost):
        """Nothing: there is no further round."""

    def refund(self, cost):
        """Nothing: there is no further round."""

    def withdraw(self, gone):
        """Nothing: there is no further round."""


class WithDecoderAxis:
    """A session of one decoder, with an axis of decoders.

    Parameters
    ----------
    session : SequentialSession
        The session.
    """

    def __init__(self, session):
        self._session = session

    @property
    def budgets(self):
        """Samples so far, ndarray of shape (n_queries, 1)."""
        return self._session.budgets[:, None]

    @property
    def predicted_costs(self):
        """Expected cost of the next sample, ndarray of shape (n_queries, 1)."""
        return self._session.predicted_costs[:, None]

    @property
    def rounds_taken(self):
        """Number of rounds so far."""
        return self._session.rounds_taken

    @property
    def expected_rewards(self):
        """Predicted reward (n_queries,); None if the session does not know it."""
        return getattr(self._session, "expected_rewards", None)

    def ask(self):
        """Samples wanted in this round (n_queries, 1), or None."""
        asked = self._session.ask()
        return None if asked is None else asked[:, None]

    def tell(self, rewards, costs=None):
        """Pass on rewards (n_queries, 1, n_new) and costs (n_queries, 1)."""
        costs = {} if costs is None else {"costs": costs[:, 0]}
        self._session.tell(rewards[:, 0], **costs)

    def charge(self, cost):
        """Pass on a cost that is not one of samples."""
        self._session.charge(cost)

    def refund(self, cost):
        """Pass on what was told too much."""
        self._session.refund(cost)

    def withdraw(self, gone):
        """Pass on which queries are gone (n_queries, 1)."""
        self._session.withdraw(gone[:, 0])

    def disregard(self):
        """Pass on that nothing is to be learnt, if the session is one of a stream."""
        if hasattr(self._session, "disregard"):
            self._session.disregard()

    def close(self):
        """Close the session if it is one of a stream."""
        if hasattr(self._session, "close"):
            self._session.close()


def _as_told(graded, asked, *, binary):
    """One reward for each sample that a session requested, even if it has none.

    A sample without a reward counts with the lowest reward of this decoder for the
    query in this round. If there is no such reward, it counts as a failure, or with the
    lowest of all rewards.

    Parameters
    ----------
    graded : list of n_decoders lists of n_queries ndarrays
        New rewards.
    asked : ndarray of shape (n_queries, n_decoders), int
        Number of samples requested.
    binary : bool
        Whether rewards are 0 and 1.

    Returns
    -------
    told : ndarray of shape (n_queries, n_decoders, n_new)
        NaN where nothing was requested.
    """
    finite = [[rewards[np.isfinite(rewards)] for rewards in each] for each in graded]
    everything = [rewards for each in finite for rewards in each]
    lowest = 0.0 if binary else min(np.concatenate([*everything, []]), default=0.0)
    told = np.full((*asked.shape, asked.max(initial=0)), np.nan)
    for row, decoder in np.argwhere(asked):
        rewards = finite[decoder][row]
        told[row, decoder, : asked[row, decoder]] = min(rewards, default=lowest)
        told[row, decoder, : len(rewards)] = rewards
    return told
