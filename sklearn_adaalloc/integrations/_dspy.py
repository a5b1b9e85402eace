"""Best of N rollouts of a DSPy module, N decided by a policy."""

from functools import partial
from math import inf, isfinite
from reprlib import repr as short_repr
from typing import NamedTuple

from sklearn_adaalloc._utils.optional import import_optional, optional_base
from sklearn_adaalloc._utils.parameters import check_in_interval, check_whole
from sklearn_adaalloc.integrations._one_query import OneQueryPolicy


class AdaptiveBestOfN(optional_base("dspy", "Module", extra="dspy")):
    """Run a DSPy module as often as a policy gives the input, and keep the best.

    It takes the place of ``dspy.BestOfN`` in a program. There, every input may have the
    same number of rollouts. Here, a policy decides, either up front or with the rewards
    of the rollouts so far. It needs the extra ``dspy``.

    Parameters
    ----------
    module : dspy.Module
        What is run.
    policy : estimator
        A fitted policy on texts that decides each query alone. A
        :class:`~sklearn_adaalloc.StreamAllocator` sees the rewards, and its stream
        keeps the mean number of rollouts at the policy's budget. A
        :class:`~sklearn_adaalloc.BinnedAllocator` or
        :class:`~sklearn_adaalloc.PricedAllocator` decides up front.
    reward_fn : callable
        ``reward_fn(inputs, prediction)`` returns a number, as for ``dspy.BestOfN``.
    threshold : float
        A rollout with at least this reward ends the search. A policy that was fitted on
        0/1 rewards is told whether a rollout reached it, others are told the rewards.
    fail_count : int, default=None
        How many rollouts of an input may raise. The next error is raised again. None
        allows all to fail but one.
    N : int, default=None
        Largest number of rollouts of an input. None leaves that to the policy.
    query : callable, default=None
        ``query(inputs)`` returns what the policy reads, a text or a list of messages.
        None takes the values of the inputs, a line each.

    Raises
    ------
    ImportError
        If DSPy is not installed.
    ValueError
        If the policy decides for a batch, votes, counts costs or has several decoders.
        Also if `threshold` is no number.

    Notes
    -----
    Rollouts have a temperature of 1 and rollout ids of their own, so that DSPy's cache
    does not return the same one twice. At least one rollout is run, also if the policy
    gives an input none; it counts as spent. Failed rollouts do, too.

    Copies, such as those that optimizers make, share the stream of the policy. A
    program that is saved with its code and loaded again starts a new one.

    Examples
    --------
    >>> import dspy
    >>> from sklearn_adaalloc import StreamAllocator, RewardRegressor
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_adaalloc.datasets import load_arithmetic
    >>> from sklearn_adaalloc.integrations import AdaptiveBestOfN
    >>> data = load_arithmetic("math")
    >>> policy = make_pipeline(
    ...     TfidfVectorizer(analyzer="char"),
    ...     StreamAllocator(RewardRegressor(Ridge()), budget=3, random_state=0),
    ... ).fit(data.queries_train[:300], data.rewards_train[:300])
    >>> def is_short(inputs, prediction):
    ...     return float(len(prediction.answer) < 8)
    >>> program = AdaptiveBestOfN(
    ...     dspy.Predict("question -> answer"), policy, is_short, threshold=1.0
    ... )
    >>> lm = dspy.utils.DummyLM([{"answer": "twenty-three"}, {"answer": "23"}])
    >>> with dspy.context(lm=lm):
    ...     program(question="17+6=").answer
    '23'
    >>> program.mean_rollouts
    2.0
    """

    def __init__(
        self,
        module,
        policy,
        reward_fn,
        threshold,
        fail_count=None,
        N=None,
        query=None,
    ):
        super().__init__()
        self.module = module
        self.reward_fn = partial(reward_fn)  # a module here would become a parameter
        self.threshold = check_in_interval(threshold, "threshold", -inf, inf)
        self.fail_count = _checked(fail_count, "fail_count", least=0)
        self.N = _checked(N, "N", least=1)
        self.query = partial(query or _lines)
        self.deciding = OneQueryPolicy(policy)
        if self.deciding.is_vote:
            raise ValueError(
                "policy has selection='vote', but rollouts are told rewards here. "
                "Expected a policy with selection='reward' or 'score'."
            )

    @property
    def stream(self):
        """The stream of the policy; None if it decides up front."""
        return self.deciding.stream

    @property
    def mean_rollouts(self):
        """Mean number of rollouts of the inputs so far, float."""
        return self.deciding.mean_samples

    def forward(self, **inputs):
        """Run the rollouts of an input.

        Parameters
        ----------
        **inputs : object
            Inputs of the module.

        Returns
        -------
        prediction : dspy.Prediction
            The one with the highest reward, the first of several.

        Raises
        ------
        Exception
            That of a rollout, if more than `fail_count` failed, or all of them.
        """
        rollouts, errors = [], []
        with self.deciding.start(self.query(inputs), self.N) as rounds:
            while not self._is_done(rollouts) and (n_wanted := rounds.ask()):
                told = []
                while len(told) < n_wanted and not self._is_done(rollouts):
                    try:
                        i = rounds.n_samples + len(told)
                        rollouts.append(self._roll_out(inputs, i))
                        told.append(self._as_told(rollouts[-1].reward))
                    except Exception as error:
                        errors.append(error)
                        told.append(None)
                        if self.fail_count is not None:
                            _check_failures(errors, self.fail_count)
                rounds.tell(told)
        if not rollouts:
            raise errors[-1]
        best = max(rollouts, key=lambda rollout: rollout.reward)
        trace = import_optional("dspy", "dspy").settings.trace
        if trace is not None:
            trace.extend(best.trace)
        return best.prediction

    def _is_done(self, rollouts):
        return bool(rollouts) and rollouts[-1].reward >= self.threshold

    def _roll_out(self, inputs, i):
        dspy = import_optional("dspy", "dspy")
        lm = self.module.get_lm() or dspy.settings.lm
        first = lm.kwargs.get("rollout_id") or 0
        module = self.module.deepcopy()
        module.set_lm(lm.copy(rollout_id=first + i, temperature=1.0))
        with dspy.context(trace=[]):
            prediction = module(**inputs)
            trace = list(dspy.settings.trace)  # without that of the reward
            reward = float(self.reward_fn(inputs, prediction))
        if not isfinite(reward):
            raise ValueError(
                f"reward_fn returned {reward!r} for {short_repr(prediction)}. Expected "
                "a finite number."
            )
        return _Rollout(reward, prediction, trace)

    def _as_told(self, reward):
        return float(reward >= self.threshold) if self.deciding.is_binary else reward


class _Rollout(NamedTuple):
    reward: float
    prediction: object
    trace: list


def _checked(number, name, *, least):
    return None if number is None else check_whole(number, name, least=least)


def _check_failures(errors, allowed):
    if len(errors) > allowed:
        raise errors[-1]


def _lines(inputs):
    return "\n".join(str(value) for value in inputs.values())
