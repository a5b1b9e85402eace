"""Early stopping for inspect_ai: as many epochs of each sample as it needs."""

from copy import copy
from functools import cache
from reprlib import repr as short_repr
from weakref import WeakValueDictionary

import numpy as np

from sklearn_adaalloc._utils.estimators import unwrap
from sklearn_adaalloc._utils.numbers import LARGEST
from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.parameters import check_in_interval
from sklearn_adaalloc._utils.queries import text_of
from sklearn_adaalloc.decoding._policies import check_allocator
from sklearn_adaalloc.planning._precision import budgets_for_precision

_OF_THE_MEAN = {"mean", "pass_at_1", "pass_k_1"}
_OF_THE_BEST = {"max", "at_least_1"}


class AdaptiveEpochs:
    """Run fewer epochs of an inspect_ai task, for a score of the same precision.

    It is an early stopping manager: ``Task(..., epochs=10,
    early_stopping=AdaptiveEpochs(policy))``. What the task makes of the epochs of a
    sample decides how it works.

    - Their mean, which is inspect_ai's default: samples whose outcome varies get more
      epochs than those that are always right or always wrong. The policy's predictions
      decide this before the first epoch. Outcomes are not used: to stop at a success
      would bias the mean. The expected standard error of the score is at most that of
      all epochs, times 1 + `tolerance`.
    - Their best, ``Epochs(10, "max")`` or ``"at_least_1"``: a session of the policy
      decides in rounds, an epoch each. All samples are run once. One that is solved is
      not run again, and the policy's budget is the mean number of epochs that may be
      run, at least 1.

    It needs the extra ``inspect``.

    Parameters
    ----------
    policy : estimator
        A fitted :class:`~sklearn_adaalloc.SequentialAllocator` on texts, or a pipeline
        or search that ends in one. Fit it on logs of earlier evaluations, see
        :doc:`/logs`.
    tolerance : float, default=0.05
        By how much the standard error of a mean may exceed that of all epochs.
    score : str, default=None
        Name of the score to go by. None means the first.
    query : callable, default=None
        ``query(sample)`` returns what the policy reads. None takes the text of the
        input.

    Raises
    ------
    ValueError
        If the policy is not one for rounds and samples of one decoder, or if
        `tolerance` is negative.

    Notes
    -----
    Epochs of one round run at the same time, as inspect_ai's limits allow. Between
    rounds, it waits for the last of them. A sample that ends in an error counts as not
    solved, also if it is tried again: inspect_ai does that last. Each task needs a
    manager of its own.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_adaalloc import RewardRegressor, SequentialAllocator
    >>> from sklearn_adaalloc.datasets import load_arithmetic
    >>> from sklearn_adaalloc.integrations import AdaptiveEpochs
    >>> data = load_arithmetic("math")
    >>> policy = make_pipeline(
    ...     TfidfVectorizer(analyzer="char"),
    ...     SequentialAllocator(RewardRegressor(Ridge()), budget=4),
    ... ).fit(data.queries_train[:300], data.rewards_train[:300])
    >>> manager = AdaptiveEpochs(policy, tolerance=0.02)
    """

    def __init__(self, policy, *, tolerance=0.05, score=None, query=None):
        _, self._allocator = unwrap(policy)
        instead = "Expected a SequentialAllocator."
        check_allocator(self._allocator, "samples", instead)
        unit = getattr(self._allocator, "unit", "samples")
        selection = getattr(self._allocator, "selection", "reward")
        fits = hasattr(self._allocator, "start") and unit == "samples"
        if not fits or selection != "reward":
            raise ValueError(
                f"policy ends in {short_repr(self._allocator)}, which does not decide "
                "by verdicts in rounds of samples. Expected a SequentialAllocator with "
                "unit='samples' and selection='reward'."
            )
        self.policy = policy
        self.tolerance = check_in_interval(
            tolerance, "tolerance", 0, LARGEST, closed="both"
        )
        self.score = score
        self.query = query or _text_of_input
        self._plan = None

    async def start_task(self, task, samples, epochs):
        """Plan the epochs of a task; inspect_ai calls it.

        Parameters
        ----------
        task : inspect_ai.log.EvalSpec
            What is run.
        samples : list of inspect_ai.dataset.Sample
            Its samples.
        epochs : int
            Largest number of epochs.

        Returns
        -------
        name : str
            Name of this manager in the log.

        Raises
        ------
        ValueError
            If the task reduces epochs in a way other than above, or if this manager is
            that of another task which has not completed.
        """
        reducers = set(task.config.epochs_reducer or ["mean"])
        if self._plan is not None:
            raise ValueError(
                "early_stopping is a manager that another task runs with, or that a "
                "task ended with in an error. Expected a new AdaptiveEpochs for each."
            )
        if not (reducers <= _OF_THE_MEAN or reducers <= _OF_THE_BEST):
            raise ValueError(
                f"the task reduces its epochs by {sorted(reducers)}. Expected only "
                f"ways among {sorted(_OF_THE_MEAN)}, or only among "
                f"{sorted(_OF_THE_BEST)}: which epochs can be left out depends on it."
            )
        rows = {sample.id: row for row, sample in enumerate(samples)}
        X = [self.query(sample) for sample in samples]
        before, _ = unwrap(self.policy)
        for steps in before:
            X = steps.transform(X)
        if reducers <= _OF_THE_MEAN:
            self._plan = _UpFront(rows, self._allocator, X, epochs, self.tolerance)
        else:
            self._plan = _InRounds(rows, self._allocator, X, epochs)
            _plans()[task.eval_id] = self._plan
        return "adaalloc"

    async def schedule_sample(self, id, epoch):
        """Decide whether an epoch of a sample is run; inspect_ai calls it.

        Parameters
        ----------
        id : str or int
            Of the sample.
        epoch : int
            Which epoch, from 1.

        Returns
        -------
        stop : inspect_ai.util.EarlyStop or None
            None if it is run.
        """
        reason = await self._plan.schedule(id, epoch)
        if reason is None:
            return None
        util = import_optional("inspect_ai.util", "inspect")
        return util.EarlyStop(id=id, epoch=epoch, reason=reason)

    async def complete_sample(self, id, epoch, scores):
        """Take the outcome of an epoch of a sample; inspect_ai calls it.

        Parameters
        ----------
        id : str or int
            Of the sample.
        epoch : int
            Which epoch, from 1.
        scores : dict
            Name of a score -> inspect_ai.scorer.SampleScore.

        Raises
        ------
        ValueError
            If there is no score of the name `score`.
        """
        if self.score is not None and self.score not in scores:
            raise ValueError(
                f"score={self.score!r} is not a score of this task. Expected one of "
                f"{sorted(scores)}, or None for the first."
            )
        found = scores.get(self.score) or next(iter(scores.values()), None)
        self._plan.complete(id, epoch, None if found is None else _number(found.score))

    async def complete_task(self):
        """Say what was run; inspect_ai calls it and keeps it in the log.

        Returns
        -------
        summary : dict
            The number of epochs that were run. Of a mean, those that were planned and
            the expected standard errors; in rounds, the rounds and the solved samples.
        """
        plan, self._plan = self._plan, None
        return plan.summary()


class _UpFront:
    """Epochs of each sample for a mean, decided before the first."""

    def __init__(self, rows, allocator, X, epochs, tolerance):
        marginals = allocator.predict_marginals(X)
        if marginals.shape[1] < 2:
            raise ValueError(
                "policy was fitted on one sample of each query, which says nothing of "
                "how outcomes vary. Expected at least two."
            )
        self._rows = rows
        rates, variances = np.clip(marginals[:, :2], 0, 1).T
        self._budgets, self._errors = budgets_for_precision(
            rates, variances, epochs, tolerance=tolerance
        )
        self._n_run = 0

    async def schedule(self, id, epoch):
        row = self._rows.get(id)
        if row is None or epoch <= self._budgets[row]:
            self._n_run += 1
            return None
        return f"{self._budgets[row]} epochs are enough for the mean"

    def complete(self, id, epoch, reward):
        """Nothing: outcomes do not decide."""

    def summary(self):
        planned, of_all = self._errors
        return {
            "epochs_run": self._n_run,
            "epochs_planned": int(self._budgets.sum()),
            "expected_standard_error": planned,
            "expected_standard_error_of_all_epochs": of_all,
        }


class _InRounds:
    """Epochs of each sample for its best outcome, decided by those that were run."""

    def __init__(self, rows, allocator, X, epochs):
        self._rows = rows
        self._binary = allocator.binary_
        # inspect_ai goes through the samples once per epoch: a round each. A sample
        # without any epoch would be missing from the score.
        limits = {
            "n_rounds": epochs,
            "min_budget": max(allocator.min_budget, 1),
            "max_budget": min(epochs, allocator.max_budget or allocator.n_steps_),
        }
        self._session = copy(allocator).set_params(**limits).start(X)
        self._running, self._run = set(), set()
        self._begin_round()

    def _begin_round(self):
        self._asked = self._session.ask()
        self._started = np.zeros(len(self._rows), dtype=np.int64)
        self._told = [[] for _ in self._rows]
        self._end = import_optional("anyio", "inspect").Event()

    async def schedule(self, id, epoch):
        """Why an epoch is not run; None if it is.

        It waits only for epochs that have started and hold a place among those that
        inspect_ai runs at a time, so it never waits for ever.
        """
        row = self._rows.get(id)
        while row is not None and (id, epoch) not in self._run:
            if self._asked is None:
                return "no further epoch is worth its place in the budget"
            if self._started[row] < self._asked[row]:
                self._start(id, epoch)
            elif (self._started < self._asked).any():
                return "solved, or others come first in this round"
            else:
                await self._end.wait()
        return None

    def _start(self, id, epoch):
        self._started[self._rows[id]] += 1
        self._run.add((id, epoch))
        self._running.add((id, epoch))

    def complete(self, id, epoch, reward):
        row = self._rows.get(id)
        if row is None or self._asked is None:
            return
        if (id, epoch) not in self._running:
            if self._started[row] >= self._asked[row]:
                return  # it has failed before, and was counted then
            self._start(id, epoch)  # taken from an earlier log, without being scheduled
        self._running.remove((id, epoch))
        if reward is None:
            reward = 0.0
        self._told[row].append(float(reward >= 1) if self._binary else reward)
        if sum(map(len, self._told)) == self._asked.sum():
            self._session.tell(self._told)
            end = self._end
            self._begin_round()
            end.set()

    def summary(self):
        return {
            "epochs_run": len(self._run),
            "rounds": self._session.rounds_taken,
            "solved": int((self._session.best_rewards >= 1).sum()),
        }


@cache
def _plans():
    """Plans in rounds by the id of what is run, told of attempts without a score.

    inspect_ai's protocol for managers says nothing of those.
    """
    hooks = import_optional("inspect_ai.hooks", "inspect")
    plans = WeakValueDictionary()

    @hooks.hooks(name="adaalloc_epochs", description="Attempts without a score")
    class Attempts(hooks.Hooks):
        async def on_sample_attempt_end(self, data):
            plan = plans.get(data.eval_id)
            # What is tried again waits behind all other epochs: no round can wait.
            if plan is not None and data.will_retry:
                plan.complete(data.summary.id, data.summary.epoch, None)

        async def on_sample_end(self, data):
            plan = plans.get(data.eval_id)
            if plan is not None and not data.sample.scores:
                plan.complete(data.sample.id, data.sample.epoch, None)

    return plans


def _number(score):
    """A score as a number; None where there is none."""
    scorer = import_optional("inspect_ai.scorer", "inspect")
    number = scorer.value_to_float()(score.value)
    return number if np.isfinite(number) else None


def _text_of_input(sample):
    if isinstance(sample.input, str):
        return sample.input
    return text_of([{"content": message.text} for message in sample.input])
