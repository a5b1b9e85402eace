"""Checks on requests to a sampler: prompts, budgets and indices of samples."""

from numbers import Integral

import numpy as np

from sklearn_adaalloc._utils.budgets import check_budgets
from sklearn_adaalloc._utils.numbers import check_numbers
from sklearn_adaalloc._utils.parameters import MOST
from sklearn_adaalloc._utils.queries import check_queries


def check_sample_budgets(budgets, n_prompts):
    """Check the number of samples of each prompt.

    Parameters
    ----------
    budgets : int or array-like of shape (n_prompts,)
        One number for all prompts, or one number per prompt.
    n_prompts : int
        Number of prompts.

    Returns
    -------
    budgets : ndarray of shape (n_prompts,), int64

    Raises
    ------
    ValueError
        If a budget is negative or not a whole number, or if the number of budgets is
        not the number of prompts.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._requests import check_sample_budgets
    >>> check_sample_budgets(4, 3)
    array([4, 4, 4])
    """
    if isinstance(budgets, Integral) and not isinstance(budgets, bool):
        budgets = [budgets] * n_prompts
    return _one_per_prompt(budgets, "budgets", n_prompts)


def check_first_sample(first_sample, n_prompts):
    """Check the index of the first sample of each prompt; None means 0.

    Parameters
    ----------
    first_sample : int or array-like of shape (n_prompts,), or None
        Index of the first sample to draw.
    n_prompts : int
        Number of prompts.

    Returns
    -------
    first_sample : ndarray of shape (n_prompts,), int64

    Raises
    ------
    ValueError
        As for :func:`check_sample_budgets`.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._requests import check_first_sample
    >>> check_first_sample(None, 2)
    array([0, 0])
    """
    if first_sample is None:
        return np.zeros(n_prompts, dtype=np.int64)
    if isinstance(first_sample, Integral) and not isinstance(first_sample, bool):
        first_sample = [first_sample] * n_prompts
    return _one_per_prompt(first_sample, "first_sample", n_prompts)


def check_request(prompts, budgets, first_sample=None):
    """Check the arguments of `sample`.

    Parameters
    ----------
    prompts : sequence of n_prompts str or lists of dict
        Texts, or lists of messages.
    budgets : int or array-like of shape (n_prompts,)
        Number of samples of each.
    first_sample : int or array-like of shape (n_prompts,), default=None
        Index of the first sample of each; None for 0.

    Returns
    -------
    prompts : list of str or lists of dict
    budgets, first_sample : ndarrays of shape (n_prompts,), int64

    Raises
    ------
    ValueError
        If any of them is not accepted.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._requests import check_request
    >>> check_request(["27+48=", "gcd 84 30="], [2, 0])
    (['27+48=', 'gcd 84 30='], array([2, 0]), array([0, 0]))
    """
    prompts = check_queries(prompts)
    return (
        prompts,
        check_sample_budgets(budgets, len(prompts)),
        check_first_sample(first_sample, len(prompts)),
    )


def _one_per_prompt(values, name, n_prompts):
    if isinstance(values, list) and all(map(_is_usual, values)):
        values = np.array(values, dtype=np.int64)  # of a decoder: sure, and quick
        if len(values) == n_prompts:
            return values
    expected = "one whole number per prompt, or a single one for all"
    shape = check_numbers(values, name, expected).shape
    if shape != (n_prompts,):
        raise ValueError(
            f"{name} has shape {shape} for {n_prompts} prompts. Give one "
            "whole number per prompt, or a single one for all."
        )
    return check_budgets(values, name=name)


def _is_usual(value):
    return type(value) is int and 0 <= value <= MOST


def stop_strings(stop):
    """Check stop strings and return them as a list.

    Parameters
    ----------
    stop : str or list of str, default=None
        The parameter of the sampler.

    Returns
    -------
    stop : list of str

    Raises
    ------
    ValueError
        If it is anything else, or if a string is empty.

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._requests import stop_strings
    >>> stop_strings("END")
    ['END']
    """
    strings = [] if stop is None else [stop] if isinstance(stop, str) else stop
    valid = isinstance(strings, (list, tuple))
    if not (valid and all(isinstance(each, str) and each for each in strings)):
        raise ValueError(
            f"stop={stop!r} is not accepted. Expected None, a str, or a list of str, "
            "none of them empty."
        )
    return list(strings)


def cut_before(text, stop):
    """The part of a text before the first stop string.

    Parameters
    ----------
    text : str
        An answer.
    stop : list of str
        Stop strings.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from sklearn_adaalloc.sampling._requests import cut_before
    >>> cut_before("It is 5. END Q: 3+3=", ["Q:", " END"])
    'It is 5.'
    """
    return text[: min([text.index(s) for s in stop if s in text] or [None])]
