"""Rounds of sampling on one batch: ask, sample, grade, tell, and ask again."""

import numpy as np

from sklearn_adaalloc._utils.moved import warn_renamed
from sklearn_adaalloc._utils.numbers import LARGEST
from sklearn_adaalloc._utils.parameters import check_in_interval
from sklearn_adaalloc.allocators._session_checks import (
    check_told_answers,
    check_verdicts,
    compact,
)
from sklearn_adaalloc.planning._money import SampleMoney
from sklearn_adaalloc.planning._rounds import MOST_ROUNDS


class SequentialSession:
    """Rounds of sampling on one batch: ask, sample, grade, tell, and ask again.

    :meth:`~sklearn_adaalloc.SequentialAllocator.start` opens a session. The session
    does not decode: you sample and grade. `joblib.dump` can save it at any point.

    Parameters
    ----------
    belief : object
        Holds what is known about the queries and plans the rounds.
    budget : float
        Mean number of samples per query; with `money` not used.
    n_rounds : int or None
        Largest number of rounds. None means one sample of a query at a time.
    min_budget : int, default=0
        Smallest number of samples that every query gets in the first round.
    empty_reward : float, default=0.0
        Reward of a query without a sample.
    money : object, default=None
        Money of another unit than samples. None counts `budget` in samples.

    Attributes
    ----------
    rounds_taken : int
        Number of rounds whose rewards the session has received.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc import RewardRegressor, SequentialAllocator
    >>> X, rewards = [[0.0], [1.0], [2.0]], [[1, 1], [1, 0], [0, 0]]
    >>> policy = SequentialAllocator(RewardRegressor(Ridge()), budget=1.5, n_rounds=2)
    >>> session = policy.fit(X, rewards).start([[0.5], [0.8]])
    >>> session.ask()
    array([1, 1])
    >>> session.tell([[1], [0]])
    >>> session.ask()  # the first is solved
    array([0, 1])
    >>> session.tell([[], [0]])
    >>> session.ask() is None  # a mean budget of 1.5 is spent
    True
    """

    def __init__(
        self, belief, *, budget, n_rounds, min_budget=0, empty_reward=0.0, money=None
    ):
        self._belief = belief
        if money is None:
            money = SampleMoney.of_budget(budget, len(belief.budgets))
        self._money = money
        self._rounds_left = n_rounds
        self._min_budget = min_budget
        self._empty_reward = empty_reward
        self._asked = None
        self.rounds_taken = 0

    def __setstate__(self, state):
        # Earlier versions stored the number of rounds taken under another name.
        if "n_rounds" in state:
            state = state | {"rounds_taken": state["n_rounds"]}
            del state["n_rounds"]
        vars(self).update(state)
        if isinstance(self._money, int):  # earlier versions counted samples only
            self._money = SampleMoney(self._money, self._belief.budgets)

    @property
    def n_rounds(self):
        """Old name of `rounds_taken`; `n_rounds` is now only the limit on rounds."""
        warn_renamed("n_rounds", "rounds_taken")
        return self.rounds_taken

    @property
    def budgets(self):
        """Number of samples of each query so far, ndarray of shape (n_queries,)."""
        return self._belief.budgets.copy()

    @property
    def costs(self):
        """What was paid for each query so far, ndarray of shape (n_queries,).

        If the budget counts samples, each costs 1.
        """
        return self._money.paid.copy()

    @property
    def predicted_costs(self):
        """Expected cost of the next sample of each query, ndarray (n_queries,).

        What was paid has corrected it. None if the budget counts samples.
        """
        return self._money.predicted

    @property
    def money_left(self):
        """What may still be spent on all queries together, in the unit of the budget.

        It is negative if samples cost more than could be expected.
        """
        return self._money.left

    @property
    def best_rewards(self):
        """Best reward of each query so far, ndarray of shape (n_queries,)."""
        best = self._belief.best
        return np.where(np.isneginf(best), self._empty_reward, best)

    def ask(self):
        """Return the number of samples wanted of each query in this round.

        If it is called again before `tell`, it returns the same answer.

        Returns
        -------
        budgets : ndarray of shape (n_queries,), dtype int64, or None
            None ends the session: no round or no budget is left, or no further sample
            is expected to improve a reward.
        """
        if self._asked is None:
            self._asked = self._plan()
        return None if self._asked is None else self._asked.copy()

    def tell(self, rewards, costs=None):
        """Give the session the rewards of the samples that it asked for.

        Parameters
        ----------
        rewards : sequence of n_queries sequences, or array-like of shape \
                (n_queries, n_samples)
            For each query, as many rewards as `ask` returned. If that is 0, give an
            empty sequence or only NaN. Sessions of other kinds are told scores or
            answers.
        costs : array-like of the shape of `rewards` or (n_queries,), default=None
            What each of these samples cost, or all samples of each query together.
            Required if the budget counts costs.

        Raises
        ------
        ValueError
            If `ask` was not called, if the number of rewards does not fit, if a reward
            is infinite, or if it is neither 0 nor 1 although the allocator was fitted
            on 0/1 rewards. Also if costs are missing, of another shape, or not positive
            where there is a reward. The session then stays unchanged.
        """
        if self._asked is None:
            raise ValueError(
                "tell was called before ask: there is no round that the rewards belong "
                "to. Call ask first, then call tell once for each answer that is not "
                "None."
            )
        table = self._read(rewards)
        paid = self._money.read(costs, self._marks(rewards), self._asked)
        self._belief.update(table)
        self._money.pay(paid, self._asked)
        self._min_budget = 0
        self._asked = None
        self.rounds_taken += 1
        if self._rounds_left is not None:
            self._rounds_left -= 1

    def charge(self, cost):
        """Take from the money left what was paid for something else than samples.

        Such as prompts that a model has read, and from which it gave no answer.

        Parameters
        ----------
        cost : float
            What it cost, in the unit of the budget.

        Raises
        ------
        ValueError
            If it is negative or not finite, or a round was asked for but not told.
        """
        self._money.left -= self._check_charge(cost, "charge")

    def refund(self, cost):
        """Give back to the money left what samples were told to cost too much.

        Costs are best told as if each sample were asked for alone, because they are
        predicted so. If several share a prompt that is paid once, give back the rest.

        Parameters
        ----------
        cost : float
            What was not paid, in the unit of the budget.

        Raises
        ------
        ValueError
            If it is negative or not finite, or a round was asked for but not told.
        """
        self._money.left += self._check_charge(cost, "refund")

    def withdraw(self, gone):
        """Ask for no more samples where no further answer can be had.

        Parameters
        ----------
        gone : ndarray of bool
            Which queries are gone, (n_queries,). With several decoders: which decoders
            are gone for which queries, (n_queries, n_decoders).

        Raises
        ------
        ValueError
            If it has another shape or type, or a round was asked for but not told.
        """
        gone, shape = np.asarray(gone), self.budgets.shape
        if gone.shape != shape or gone.dtype != bool:
            raise ValueError(
                f"gone has shape {gone.shape} and type {gone.dtype}. Expected one True "
                f"or False for each query, or decoder of a query, shape {shape}."
            )
        self._check_closed("withdraw")
        self._belief.withdraw(gone.ravel())

    def _check_charge(self, cost, name):
        """Check a change of the money left between rounds."""
        cost = check_in_interval(cost, "cost", 0, LARGEST, closed="both")
        self._check_closed(name)
        return cost

    def _check_closed(self, name):
        """Raise if a round was asked for but not told."""
        if self._asked is not None:
            raise ValueError(
                f"{name} was called between ask and tell. Expected no open round: call "
                "tell first."
            )

    def _read(self, rewards):
        """Check what was told of one round, and return it as the belief takes it."""
        return check_verdicts(rewards, self._asked, binary=self._belief.binary)

    def _marks(self, rewards):
        """What was told, or other numbers, with NaN where no sample is."""
        return rewards

    def _plan(self):
        """Plan the next round that has samples (n_queries,); None if there is none."""
        while self._money.left > 0 and self._rounds_left != 0:
            budgets = self._money.plan(
                self._belief, self._rounds_left, self._min_budget
            )
            if budgets.any():
                return budgets
            if self._rounds_left is None:
                return None
            # The plan defers all samples: use one round less. Beyond MOST_ROUNDS,
            # plans do not depend on their number.
            self._rounds_left = min(self._rounds_left, MOST_ROUNDS) - 1
        return None


class ScoreSession(SequentialSession):
    """A session that is told scores: the answer with the highest is taken.

    :meth:`~sklearn_adaalloc.SequentialAllocator.start` opens it if the allocator has
    ``selection="score"``. :meth:`tell` takes scores where that of a `SequentialSession`
    takes rewards. The rewards of answers are never known: there are no `best_rewards`.

    Parameters
    ----------
    belief : object
        Holds what is known about the queries and plans the rounds.
    budget : float
        Mean number of samples per query; with `money` not used.
    n_rounds : int or None
        Largest number of rounds. None means one sample of a query at a time.
    min_budget : int, default=0
        Smallest number of samples that every query gets in the first round.
    empty_reward : float, default=0.0
        Reward of a query without a sample.
    money : object, default=None
        Money of another unit than samples. None counts `budget` in samples.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc import RewardRegressor, RewardTable, SequentialAllocator
    >>> X, rewards, scores = [[0.0], [1.0]], [[1, 0], [0, 1]], [[0.9, 0.1], [0.4, 0.6]]
    >>> policy = SequentialAllocator(
    ...     RewardRegressor(Ridge(), selection="score"), budget=2, selection="score"
    ... )
    >>> policy = policy.fit(X, RewardTable(rewards, scores=scores))
    >>> session = policy.start([[0.5], [0.8]])
    >>> session.ask()
    array([1, 1])
    >>> session.tell([[0.9], [0.2]])
    >>> session.ask()  # no score promises more than 0.9 does
    array([0, 1])
    >>> session.best_scores
    array([0.9, 0.2])
    """

    @property
    def best_scores(self):
        """Highest score of each query so far (n_queries,), -inf without a sample."""
        return self._belief.best_scores.copy()

    @property
    def best_rewards(self):
        raise AttributeError(
            "a session with selection='score' is told no rewards. See best_scores."
        )

    def _read(self, scores):
        return check_verdicts(scores, self._asked, binary=False, name="scores")


class VoteSession(SequentialSession):
    """A session that is told answers: the one with most votes is taken.

    :meth:`~sklearn_adaalloc.SequentialAllocator.start` opens it if the allocator has
    ``selection="vote"``. :meth:`tell` takes answers, str or int, where that of a
    `SequentialSession` takes rewards. None, "" and -1 stand for no answer. The rewards
    of answers are never known: there are no `best_rewards`.

    Parameters
    ----------
    belief : object
        Holds what is known about the queries and plans the rounds.
    budget : float
        Mean number of samples per query; with `money` not used.
    n_rounds : int or None
        Largest number of rounds. None means one sample of a query at a time.
    min_budget : int, default=0
        Smallest number of samples that every query gets in the first round.
    empty_reward : float, default=0.0
        Reward of a query without a sample.
    money : object, default=None
        Money of another unit than samples. None counts `budget` in samples.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_adaalloc import RewardRegressor, RewardTable, SequentialAllocator
    >>> X, rewards, answers = [[0.0], [1.0]], [[1, 1, 0]] * 2, [["7", "7", "8"]] * 2
    >>> policy = SequentialAllocator(
    ...     RewardRegressor(Ridge(), selection="vote"), budget=2, selection="vote"
    ... )
    >>> policy = policy.fit(X, RewardTable(rewards, answers=answers))
    >>> session = policy.start([[0.5], [0.8]])
    >>> session.ask()
    array([2, 1])
    >>> session.tell([["7", "8"], ["5"]])
    >>> session.ask()  # the tie
    array([1, 0])
    >>> session.tell([["7"], []])
    >>> session.answers
    ['7', '5']
    >>> session.counts[0]
    {'7': 2, '8': 1}
    """

    @property
    def answers(self):
        """Answer with most votes of each query so far, a list of n_queries.

        The first of several with as many; None where there is no answer.
        """
        return self._belief.leaders

    @property
    def counts(self):
        """Votes of each answer so far, a list of n_queries dict."""
        return [dict(votes) for votes in self._belief.counts]

    @property
    def best_rewards(self):
        raise AttributeError(
            "a session with selection='vote' is told no rewards. See answers and "
            "counts."
        )

    def _read(self, answers):
        return check_told_answers(answers, self._asked)

    def _marks(self, answers):
        told = np.arange(self._asked.max()) < self._asked[:, None]
        return np.where(told, 0.0, np.nan)


def replay(session, rewards, costs=None):
    """Simulate a session to its end on graded samples, taken in row order.

    Parameters
    ----------
    session : SequentialSession
        A new session whose queries are the rows of the table.
    rewards : ndarray of shape (n_queries, n_samples)
        Reward table. Each row needs as many samples as the session may ask for.
    costs : ndarray of shape (n_queries, n_samples), default=None
        What each sample costs, for a session whose budget counts that.

    Returns
    -------
    best_rewards : ndarray of shape (n_queries,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc.planning._beliefs import SuccessBelief
    >>> from sklearn_adaalloc.allocators._session import SequentialSession, replay
    >>> belief = SuccessBelief(np.array([[0.5, 0.2], [0.3, 0.1]]), np.array([2, 2]))
    >>> session = SequentialSession(belief, budget=1.5, n_rounds=2)
    >>> replay(session, np.array([[1.0, 0.0], [0.0, 1.0]]))
    array([1., 1.])
    """
    known = [compact(rewards)] + ([] if costs is None else [compact(costs)])
    while (budgets := session.ask()) is not None:
        taken = session.budgets[:, None]
        columns = taken + np.arange(budgets.max())
        wanted = columns < taken + budgets[:, None]
        columns = np.minimum(columns, rewards.shape[1] - 1)
        told = [np.take_along_axis(table, columns, axis=1) for table in known]
        session.tell(*(np.where(wanted, table, np.nan) for table in told))
    return getattr(session, "best_rewards", None)  # a vote knows no rewards
