"""Routing: each query to the weak decoder or to the strong one."""

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_adaalloc._documentation import DocumentationLinkMixin
from sklearn_adaalloc._grading import check_sampled
from sklearn_adaalloc._queries import check_queries
from sklearn_adaalloc._validation import check_budgets
from sklearn_adaalloc.decoding._reading import read_policy
from sklearn_adaalloc.sampling import TokenUsage


class RoutedAnswers(NamedTuple):
    """What :meth:`Router.decode` returns.

    Attributes
    ----------
    answers : list of n_queries str
        Answer to each query.
    budgets : ndarray of shape (n_queries,), int64
        0 = the weak decoder answered, 1 = the strong one.
    weak_usage, strong_usage : TokenUsage
        Tokens that each decoder was paid for.
    """

    answers: list
    budgets: np.ndarray
    weak_usage: TokenUsage
    strong_usage: TokenUsage


class Router(DocumentationLinkMixin, BaseEstimator):
    """Answer each query once, with the decoder that a policy chooses.

    Parameters
    ----------
    policy : estimator
        An allocator fitted on a routing table (n_queries, 2, n_samples), or a pipeline
        from queries to one; its budget is the share that the strong decoder may get.
    weak : object
        Sampler with a method ``sample(prompts, budgets, *, return_usage)``, such as
        those of :mod:`sklearn_adaalloc.sampling`.
    strong : object
        Sampler of the strong decoder, alike.

    See Also
    --------
    BestOfK : The best of several samples of one decoder.

    Notes
    -----
    Where the policy reads the hidden states of the weak model, its own pass over the
    prompt hands them out, as for :class:`BestOfK`.

    References
    ----------
    Damani, Shenfeld, Peng, Bobu, Andreas, "Learning How Hard to Think: Input-Adaptive
    Allocation of LM Computation", ICLR 2025, section 3.3.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_adaalloc import AdaptiveAllocator, HiddenStateFeaturizer
    >>> from sklearn_adaalloc.datasets import embedded_model_path, load_arithmetic
    >>> from sklearn_adaalloc.decoding import Router
    >>> from sklearn_adaalloc.sampling import TransformersSampler
    >>> data = load_arithmetic("routing")
    >>> policy = make_pipeline(
    ...     HiddenStateFeaturizer(device="cpu"),
    ...     AdaptiveAllocator(budget=0.5, random_state=0),
    ... )
    >>> policy = policy.fit(data.queries_train[:300], data.rewards_train[:300])
    >>> weak = TransformersSampler(max_new_tokens=24, device="cpu")
    >>> strong = TransformersSampler(
    ...     embedded_model_path("strong"), max_new_tokens=24, device="cpu"
    ... )
    >>> decoded = Router(policy, weak, strong).decode(["2+3=", "max 3 41 7="])
    >>> int(decoded.budgets.sum())  # half of the queries at most
    1
    """

    def __init__(self, policy, weak, strong):
        self.policy = policy
        self.weak = weak
        self.strong = strong

    def decode(self, queries):
        """Answer queries.

        Parameters
        ----------
        queries : sequence of n_queries str or lists of dict
            Texts, or lists of messages with "role" and "content".

        Returns
        -------
        decoded : RoutedAnswers
            Answers, who gave them, and tokens.

        Raises
        ------
        ValueError
            If a query is neither text nor chat, or the policy was not fitted on a
            routing table.
        """
        queries = check_queries(queries)
        allocator, X, draw = read_policy(self.policy, self.weak, queries)
        budgets = check_budgets(allocator.predict(X), n_queries=len(queries))
        if budgets.max(initial=0) > 1:
            raise ValueError(
                f"policy gives budgets up to {budgets.max()}. Expected 0 (weak) or 1 "
                "(strong): fit it on a routing table (n_queries, 2, n_samples), weak "
                "decoder first."
            )
        returned = draw(1 - budgets, return_usage=True)
        weak, weak_usage = check_sampled(self.weak, returned, queries, 1 - budgets)
        returned = self.strong.sample(queries, budgets, return_usage=True)
        strong, strong_usage = check_sampled(self.strong, returned, queries, budgets)
        answers = [a[0] if a else b[0] for a, b in zip(weak, strong, strict=True)]
        return RoutedAnswers(answers, budgets, weak_usage, strong_usage)
