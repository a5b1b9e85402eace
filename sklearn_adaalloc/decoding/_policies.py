"""How a decoder uses a policy: the input of its allocator, and a sampler."""

from sklearn.utils import get_tags
from sklearn.utils._set_output import _wrap_data_with_container

from sklearn_adaalloc._utils.estimators import unwrap
from sklearn_adaalloc.sampling._protocol import as_sampler

_BUDGETS = {
    2: "numbers of samples of one decoder: its table was (n_queries, n_samples)",
    3: "a choice between two decoders: its table was (n_queries, 2, n_samples)",
}


def read_policy(policy, sampler, queries, *, n_axes, instead):
    """Transform queries into the input of the policy's allocator.

    If the policy needs the hidden states that the sampler computes in its own pass over
    the prompts, they are taken from there. Then no prompt is run twice.

    Parameters
    ----------
    policy : estimator
        A fitted allocator, or a pipeline or search that contains one.
    sampler : callable or object
        Sampler, see :mod:`sklearn_adaalloc.sampling`.
    queries : list of n_queries str or lists of dict
        Checked queries.
    n_axes : {2, 3}
        Number of axes of reward tables for this decoder.
    instead : str
        Advice for a policy of the other kind, for the message.

    Returns
    -------
    allocator : estimator
        The allocator of the policy.
    X : array-like of n_queries
        Input of its `predict`.
    sampler : CheckedSampler

    Raises
    ------
    NotFittedError
        If the policy is a search that is not fitted.
    ValueError
        If the policy is not an allocator, or if its budgets have another meaning.
    """
    before, allocator = unwrap(policy)
    _check_allocator(allocator, n_axes, instead)
    checked = as_sampler(sampler)
    X, before, prefilled = _prefill(before, sampler, queries)
    if prefilled is not None:
        checked = as_sampler(_Prefilled(prefilled), type(sampler).__name__)
    for steps in before:
        X = steps.transform(X)
    return allocator, X, checked


def _check_allocator(allocator, n_axes, instead):
    """Check what the budgets of an allocator mean; other classes are accepted."""
    try:
        kind = get_tags(allocator).estimator_type
    except (AttributeError, TypeError):  # not a scikit-learn estimator
        kind = None
    decides = hasattr(allocator, "predict") or hasattr(allocator, "start")
    if kind in ("classifier", "regressor", "clusterer") or not decides:
        what = "not an allocator" if kind is None else f"a {kind}, not an allocator"
        raise ValueError(
            f"policy ends in {allocator!r}, which is {what}. Expected one that "
            "predicts budgets, such as AdaptiveAllocator(RewardRegressor(...))."
        )
    fitted_on = getattr(allocator, "_n_axes", n_axes)
    if fitted_on != n_axes:
        raise ValueError(
            f"policy gives budgets that are {_BUDGETS[fitted_on]}. Expected "
            f"{_BUDGETS[n_axes]}. {instead}"
        )


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
