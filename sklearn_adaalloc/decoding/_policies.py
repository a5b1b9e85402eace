"""How a decoder uses a policy: the input of its allocator, and its samplers."""

from sklearn.utils import get_tags
from sklearn.utils._set_output import _wrap_data_with_container

from sklearn_adaalloc._utils.estimators import transform_by, unwrap
from sklearn_adaalloc.allocators import Stream
from sklearn_adaalloc.sampling._protocol import CheckedSampler, as_sampler

_BUDGETS = {
    "samples": "numbers of samples of one decoder: its table was (n_queries, "
    "n_samples)",
    "routing": "a choice between two decoders: its table was (n_queries, 2, n_samples)",
    "cascade": "numbers of samples of each of several decoders: its table was "
    "(n_queries, n_decoders, n_samples)",
}


def read_policy(policy, samplers, queries, *, kind, instead, names=None):
    """Transform queries into the input of the policy's allocator.

    If the policy needs the hidden states that a sampler computes in its own pass over
    the prompts, they are taken from there. Then no prompt is run twice.

    Parameters
    ----------
    policy : estimator or Stream
        A fitted allocator, or a pipeline or search that contains one. In place of an
        allocator there may be a stream that it opened.
    samplers : list of n_decoders callables or objects
        Samplers, see :mod:`sklearn_adaalloc.sampling`.
    queries : list of n_queries str or lists of dict
        Checked queries.
    kind : {"samples", "routing", "cascade"}
        What the budgets of the policy must mean.
    instead : str
        Advice for a policy of another kind, for the message.
    names : list of n_decoders str, default=None
        Names of the samplers in messages; None for those of the functions or classes.

    Returns
    -------
    allocator : estimator
        The allocator of the policy, also if that is a stream.
    X : array-like of n_queries
        Input of its `predict`.
    samplers : list of n_decoders CheckedSampler

    Raises
    ------
    NotFittedError
        If the policy is a search that is not fitted.
    ValueError
        If the policy is not an allocator, or if its budgets have another meaning.
    """
    before, allocator = unwrap_allocator(policy)
    check_allocator(allocator, kind, instead)
    names = names or [None] * len(samplers)
    checked = [as_sampler(*pair) for pair in zip(samplers, names, strict=True)]
    X = queries
    for i, sampler in enumerate(samplers):
        X, rest, prefilled = _prefill(before, sampler, queries)
        if prefilled is not None:
            own = _Prefilled(prefilled)
            checked[i] = CheckedSampler(own, checked[i].name, has_read=True)
            before = rest
            break
    return allocator, transform_by(before, X), checked


def unwrap_allocator(policy):
    """Unwrap a policy down to its allocator, also if that has opened a stream.

    Parameters
    ----------
    policy : estimator or Stream
        As for :func:`read_policy`.

    Returns
    -------
    before : list of Pipeline
    allocator : estimator
    """
    before, decider = unwrap(policy)
    return before, decider.policy if isinstance(decider, Stream) else decider


def check_allocator(allocator, kind, instead):
    """Check what the budgets of an allocator mean; other classes are accepted.

    Parameters
    ----------
    allocator : estimator
        What the policy ends in.
    kind, instead : str
        As for :func:`read_policy`.

    Raises
    ------
    ValueError
        If it is not an allocator, or if its budgets have another meaning.
    """
    found = _kind(allocator)
    if found is None:
        _check_foreign(allocator)
    elif found != kind:
        raise ValueError(
            f"policy gives budgets that are {_BUDGETS[found]}. Expected "
            f"{_BUDGETS[kind]}. {instead}"
        )


def _check_foreign(allocator):
    """Raise if an estimator of another package is plainly no allocator."""
    try:
        estimator_type = get_tags(allocator).estimator_type
    except (AttributeError, TypeError):  # not a scikit-learn estimator
        estimator_type = None
    decides = hasattr(allocator, "predict") or hasattr(allocator, "start")
    if estimator_type in ("classifier", "regressor", "clusterer") or not decides:
        what = "not an allocator"
        if estimator_type is not None:
            what = f"a {estimator_type}, {what}"
        raise ValueError(
            f"policy ends in {allocator!r}, which is {what}. Expected one that "
            "predicts budgets, such as AdaptiveAllocator(RewardRegressor(...))."
        )


def _kind(allocator):
    """What the budgets of an allocator of this package mean; None if it is another."""
    if getattr(allocator, "_n_decoders", None):
        return "cascade"
    return {2: "samples", 3: "routing"}.get(getattr(allocator, "_n_axes", None))


def _prefill(before, sampler, queries):
    """Features from the sampler's own pass, if the first step computes the same.

    Returns the data so far, the steps that remain, and the prefilled prompts or None.
    """
    shares = getattr(sampler, "shares_prefill_with", None)
    if shares is None or not before:
        return queries, before, None
    steps = [step for _, step in before[0].steps]
    first = next((i for i, step in enumerate(steps) if not _passes(step)), None)
    if first is None or not shares(steps[first]):
        return queries, before, None
    prefilled = sampler.prefill(queries)
    # In the output format of the step, for example a data frame.
    X = _wrap_data_with_container(
        "transform", prefilled.features, queries, steps[first]
    )
    rest = [before[0][first + 1 :]] if first + 1 < len(steps) else []
    return X, rest + before[1:], prefilled


def _passes(step):
    return step is None or step == "passthrough"


class _Prefilled:
    """Sampler of prompts that were already run through the model."""

    def __init__(self, prefilled):
        self._prefilled = prefilled

    def sample(self, prompts, budgets, *, first_sample, return_usage):
        return self._prefilled.decode(
            budgets, first_sample=first_sample, return_usage=return_usage
        )
