"""Calls of samplers: their arguments, and the samples that they are to bring."""

from inspect import Parameter, iscoroutinefunction, signature
from typing import NamedTuple


class SampleCall(NamedTuple):
    """Arguments of one call of a sampler.

    Attributes
    ----------
    rows : list of int
        Rows of the batch that the call is about. The other lists have one entry for
        each of them.
    prompts : list of str or lists of dict
        Prompts.
    budgets, first_sample : list of int
        Number of samples of each, and the index of the first.
    """

    rows: list
    prompts: list
    budgets: list
    first_sample: list

    @property
    def arguments(self):
        """What every sampler takes."""
        return self.prompts, self.budgets

    def options(self, names):
        """Those of the further arguments that a sampler takes, as a dict."""
        options = {"first_sample": self.first_sample, "return_usage": True}
        return {name: options[name] for name in names}


def option_names(sample, *, expand):
    """Options that a function takes; with `expand`, also by ``**`` parameters.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._calls import option_names
    >>> option_names(lambda prompts, budgets, first_sample: [], expand=False)
    ['first_sample']
    """
    try:
        parameters = signature(sample).parameters.values()
    except (TypeError, ValueError):  # some built-in functions have none
        return []
    named = {each.name for each in parameters if each.kind is not Parameter.VAR_KEYWORD}
    takes_all = expand and any(
        each.kind is Parameter.VAR_KEYWORD for each in parameters
    )
    extras = ("first_sample", "return_usage")
    return [extra for extra in extras if takes_all or extra in named]


def missing_samples(budgets, first_sample):
    """The samples that are to arrive, a set of (row, sample).

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._calls import missing_samples
    >>> sorted(missing_samples([2, 0, 1], [0, 0, 5]))
    [(0, 0), (0, 1), (2, 5)]
    """
    return {
        (row, sample)
        for row, (budget, first) in enumerate(zip(budgets, first_sample, strict=True))
        for sample in range(first, first + budget)
    }


def is_coroutine_function(function):
    """Whether a function, or an object that is called like one, is to be awaited."""
    return iscoroutinefunction(function) or iscoroutinefunction(
        type(function).__call__ if callable(function) else None
    )
