"""What a decoder call costs, and what of it a session is told."""

from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._utils.numbers import LARGEST, check_numbers


class Bill:
    """Costs of the answers that were gathered, in tokens or in their price.

    Parameters
    ----------
    gathered : Gathered
        Answers so far.
    allocator : estimator
        Its `unit` says whether its budget counts costs.
    sampler : callable or object
        The user's sampler, for messages.
    price : tuple of two float
        Checked price of a token of a prompt and of a token of an answer.
    """

    def __init__(self, gathered, allocator, sampler, price):
        self._gathered = gathered
        self._budget = getattr(allocator, "budget", None)
        self._sampler = sampler
        self._price = price
        self._told = np.zeros(len(gathered.rows))
        self._n_told = gathered.n_answers
        self.counts_costs = getattr(allocator, "unit", "samples") == "cost"

    @property
    def costs(self):
        """What each query cost so far (n_queries,); NaN where it is not known."""
        usage = self._gathered.usage
        costs = np.array([tokens.sum() for tokens in usage.answers]) * self._price[1]
        # Where prompts cost nothing, their tokens need not be known.
        return costs + self._price[0] * usage.prompt if self._price[0] else costs

    @property
    def budget_share(self):
        """Share of the budget that is spent; NaN if there is no budget."""
        if not self._budget:
            return np.nan
        spent = self.costs if self.counts_costs else self._gathered.n_answers
        return float(np.mean(spent) / self._budget)

    def check_sampler(self, sampler):
        """Raise if costs count and a checked sampler has no way to report them."""
        if self.counts_costs and not sampler.can_count_tokens:
            self._raise_no_tokens()

    def news(self, session, asked):
        """What a session is told of a round besides rewards, as keyword arguments.

        A sample that failed for good counts with its predicted cost.
        """
        if not self.counts_costs:
            return {}
        costs, n_answers = self.costs, self._gathered.n_answers
        new, n_new = costs - self._told, n_answers - self._n_told
        if np.isnan(new[n_new > 0]).any():
            self._raise_no_tokens()
        self._told, self._n_told = np.nan_to_num(costs), n_answers
        failed = np.where(n_new < asked, (asked - n_new) * session.predicted_costs, 0.0)
        # An answer without a token still is one: costs are positive.
        return {"costs": np.maximum(np.nan_to_num(new) + failed, self._price[1])}

    def _raise_no_tokens(self):
        raise ValueError(
            f"sampler={short_repr(self._sampler)} reports no tokens, but the budget of "
            "the policy counts costs. Expected one whose sample has a parameter "
            "return_usage and returns a TokenUsage of known counts. Give such a "
            "sampler, or fit the policy with unit='samples'."
        )


def check_price(price):
    """Check the price of a token of a prompt and of an answer; None counts tokens.

    Examples
    --------
    >>> from sklearn_adaalloc.decoding._bill import check_price
    >>> check_price(None)
    (0.0, 1.0)
    """
    if price is None:
        return 0.0, 1.0
    expected = "two numbers: the price of a token of a prompt, and of one of an answer"
    prices = check_numbers(price, "price", expected)
    fine = prices.shape == (2,) and (prices >= 0).all() and (prices <= LARGEST).all()
    if not fine or prices[1] == 0:
        raise ValueError(
            f"price={price!r} is not accepted. Expected {expected}. Neither may be "
            "negative, and tokens of answers must have a price."
        )
    return tuple(prices.tolist())
