"""Prices of samples: of their tokens, or of an answer as a whole."""

from collections.abc import Mapping
from reprlib import repr as short_repr
from typing import NamedTuple

import numpy as np

from sklearn_adaalloc._utils.numbers import LARGEST, check_numbers

_PRICE = (
    "the price of a token of a prompt and that of a token of an answer, or one number, "
    "the price of an answer"
)


class Price(NamedTuple):
    """What a sample costs.

    Attributes
    ----------
    prompt_token, answer_token : float
        Price of a token.
    answer : float
        Price of an answer, however long.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.prices import Price
    >>> Price(0.5, 2.0, 0.0).of(n_answers=1, prompt_tokens=10, answer_tokens=3)
    11.0
    """

    prompt_token: float
    answer_token: float
    answer: float

    def of(self, n_answers, prompt_tokens, answer_tokens):
        """What so many answers and tokens cost; numbers, or arrays of one shape.

        Tokens may be NaN where they have no price: then they need not be known.
        """
        costs = self.answer * n_answers
        if self.answer_token:
            costs = costs + self.answer_token * answer_tokens
        if self.prompt_token:
            costs = costs + self.prompt_token * prompt_tokens
        return costs

    @property
    def counts_tokens(self):
        """Whether tokens have a price."""
        return self.answer_token > 0

    @property
    def least(self):
        """Price of an answer of one token; an answer without a token still is one."""
        return self.answer + self.answer_token


def check_price(price, name="price"):
    """Check the price of samples; None counts the tokens of answers.

    Parameters
    ----------
    price : tuple of two float, float or None
        Price of a token of a prompt and of a token of an answer, or of an answer.
    name : str, default="price"
        Name of the parameter, for the message.

    Returns
    -------
    price : Price

    Raises
    ------
    ValueError
        If it is none of these, if it is negative, or if answers cost nothing.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.prices import check_price
    >>> check_price(None)
    Price(prompt_token=0.0, answer_token=1.0, answer=0.0)
    >>> check_price(2.5)
    Price(prompt_token=0.0, answer_token=0.0, answer=2.5)
    """
    if price is None:
        return Price(0.0, 1.0, 0.0)
    prices = check_numbers(price, name, _PRICE).astype(np.float64)
    per_answer = prices.shape == ()
    fine = per_answer or prices.shape == (2,)
    fine = fine and (prices >= 0).all() and (prices <= LARGEST).all()
    if not fine or prices.flat[-1] == 0:
        raise ValueError(
            f"{name}={price!r} is not accepted. Expected {_PRICE}. None may be "
            "negative, and answers must have a price."
        )
    prices = prices.tolist()
    return Price(0.0, 0.0, prices) if per_answer else Price(*prices, 0.0)


def check_prices(prices, names):
    """Check the prices of several decoders.

    Parameters
    ----------
    prices : dict, sequence of n_decoders prices, or None
        Price of each decoder, by name or in their order, as :func:`check_price` accepts
        it. None counts the tokens of answers of all.
    names : list of n_decoders str or int
        Names of the decoders.

    Returns
    -------
    prices : list of n_decoders Price

    Raises
    ------
    ValueError
        If a decoder has no price, or if there are others.

    Examples
    --------
    >>> from sklearn_adaalloc._utils.prices import check_prices
    >>> check_prices({"dear": 5, "cheap": 1}, ["cheap", "dear"])[0].answer
    1.0
    """
    if prices is None:
        return [check_price(None)] * len(names)
    if isinstance(prices, Mapping):
        if set(prices) != set(names):
            raise ValueError(
                f"prices are those of {list(prices)}, but the decoders are {names}. "
                "Expected one price for each decoder."
            )
        return [check_price(prices[name], f"prices[{name!r}]") for name in names]
    if not isinstance(prices, list | tuple) or len(prices) != len(names):
        raise ValueError(
            f"prices={short_repr(prices)} is not accepted. Expected a dict or a list "
            f"with one price for each of {len(names)} decoders."
        )
    return [check_price(price, f"prices[{i}]") for i, price in enumerate(prices)]
