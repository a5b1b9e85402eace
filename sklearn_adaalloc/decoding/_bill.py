"""What the answers of a decoder cost, and what of it a session is told."""

import numpy as np


class Bill:
    """Costs of the answers of one decoder.

    Parameters
    ----------
    gathered : Gathered
        Answers so far.
    sampler : CheckedSampler
        Its name, for messages.
    price : Price
        What samples cost.
    """

    def __init__(self, gathered, sampler, price):
        self._gathered = gathered
        self._sampler = sampler
        self._price = price
        self._told = np.zeros(len(gathered.rows))
        self._n_told = gathered.n_answers

    @property
    def costs(self):
        """What each query cost so far (n_queries,); NaN where it is not known."""
        usage = self._gathered.usage
        answer_tokens = np.array([tokens.sum() for tokens in usage.answers])
        n_answers = self._gathered.n_answers
        return self._price.of(n_answers, usage.prompt, answer_tokens)

    def check_sampler(self):
        """Raise if tokens have a price and the sampler has no way to report them."""
        if self._price.counts_tokens and not self._sampler.can_count_tokens:
            self._raise_no_tokens()

    def news(self, asked, predicted):
        """What each query cost since the last time (n_queries,).

        It is positive where samples were asked for. A sample that failed for good
        counts with its predicted cost. Prompts that were run for their features alone
        cost something, too. A prompt that several samples share counts for each of
        them, as it does in predictions.

        Parameters
        ----------
        asked : ndarray of shape (n_queries,), int
            Number of samples that a session asked for.
        predicted : ndarray of shape (n_queries,)
            What it expected one to cost.

        Returns
        -------
        news : ndarray of shape (n_queries,)
        saved : float
            What is counted in excess: prompts that samples shared, and samples that a
            sampler did not take because it is gone.
        """
        costs, n_answers = self.costs, self._gathered.n_answers
        new, n_new = costs - self._told, n_answers - self._n_told
        if np.isnan(new[n_new > 0]).any():
            self._raise_no_tokens()
        shared = self._shared_prompts()
        self._told, self._n_told = np.nan_to_num(costs), n_answers
        failed = np.where(n_new < asked, (asked - n_new) * predicted, 0.0)
        news = np.nan_to_num(new) + shared + failed
        news = np.where(asked > 0, np.maximum(news, self._price.least), news)
        lost = failed.sum() if self._gathered.is_gone else 0.0
        return news, float(shared.sum() + lost)

    def _shared_prompts(self):
        """What the new samples would have paid more if each had its own request."""
        if not self._price.prompt_token:
            return np.zeros(len(self._told))
        prompts = [
            [each.prompt_tokens for each in row[n_told:]]
            for row, n_told in zip(self._gathered.rows, self._n_told, strict=True)
        ]
        shared = [len(row) * max(row, default=0.0) - sum(row) for row in prompts]
        return self._price.prompt_token * np.array(shared)

    def _raise_no_tokens(self):
        raise ValueError(
            f"{self._sampler.name} reports no tokens, but the budget of the policy "
            "counts costs, and the price of this decoder is one of tokens. Expected a "
            "sampler whose sample has a parameter return_usage and returns a "
            "TokenUsage of known counts. Give such a sampler, or one number as the "
            "price of an answer, or fit the policy with unit='samples'."
        )
