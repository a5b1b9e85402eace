"""Routing: send each query to the weak or to the strong decoder."""

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_adaalloc._utils.budgets import check_budgets
from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.queries import check_queries
from sklearn_adaalloc.decoding._gathering import Gathered, raise_if_all_failed
from sklearn_adaalloc.decoding._policies import read_policy
from sklearn_adaalloc.sampling import TokenUsage


class RoutedAnswers(NamedTuple):
    """What :meth:`Router.decode` returns.

    Attributes
    ----------
    answers : list of n_queries str
        Answer to each query. The default answer if the sample failed for good.
    budgets : ndarray of shape (n_queries,), int64
        0 = the weak decoder was used, 1 = the strong one.
    weak_usage, strong_usage : TokenUsage
        Tokens paid for at each decoder.
    errors : dict
        Row of a query -> exception, the reason for a missing answer.
    """

    answers: list
    budgets: np.ndarray
    weak_usage: TokenUsage
    strong_usage: TokenUsage
    errors: dict


class Router(DocumentationLinkMixin, BaseEstimator):
    """Answer each query once, with the decoder that a policy chooses.

    Parameters
    ----------
    policy : estimator
        An allocator fitted on a routing table (n_queries, 2, n_samples), a pipeline
        that ends in one, or a fitted search over either. Its budget is the share of
        queries that the strong decoder may get.
    weak : callable or object
        Sampler of the weak decoder, as for :class:`BestOfK`: a function of prompts and
        budgets that returns
        lists of str, or a sampler of :mod:`sklearn_adaalloc.sampling`.
    strong : callable or object
        Sampler of the strong decoder, of the same kinds.
    default_answer : str, default="I don't know."
        Answer to a query whose sample failed for good.

    See Also
    --------
    BestOfK : The best of several samples of one decoder.
    Cascade : The best of several samples of several decoders.

    Notes
    -----
    If the policy uses hidden states of the weak model, they come from the weak
    sampler's own pass over the prompts, as for :class:`BestOfK`. Answers that were paid
    for are also kept as there. If a sampler raises, the exception has an attribute
    `partial`, the `RoutedAnswers` so far.

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

    def __init__(self, policy, weak, strong, *, default_answer="I don't know."):
        self.policy = policy
        self.weak = weak
        self.strong = strong
        self.default_answer = default_answer

    def decode(self, queries):
        """Answer queries.

        Parameters
        ----------
        queries : sequence of n_queries str or lists of dict
            Texts, or lists of messages with "role" and "content".

        Returns
        -------
        decoded : RoutedAnswers
            Answers, the decoder of each, and tokens.

        Raises
        ------
        NotFittedError
            If the policy is not fitted.
        ValueError
            If a query is neither a text nor a chat, if the policy was not fitted on a
            routing table, or if a sampler does not return one answer when it should. If
            all samples failed, the first of their errors.

        Warns
        -----
        UserWarning
            If samples failed, or if at least one answer in a hundred of a decoder was
            cut off at the token limit.
        """
        queries = check_queries(queries)
        allocator, X, (weak_sampler, strong_sampler) = read_policy(
            self.policy,
            [self.weak, self.strong],
            queries,
            kind="routing",
            instead="Give it to BestOfK or Cascade, or fit it on a routing table, weak "
            "decoder first.",
        )
        budgets = check_budgets(allocator.predict(X), n_queries=len(queries))
        if budgets.max(initial=0) > 1:
            raise ValueError(
                f"policy gives budgets up to {budgets.max()}. Expected 0 (weak) or 1 "
                "(strong): fit it on a routing table (n_queries, 2, n_samples), weak "
                "decoder first."
            )
        weak, strong = Gathered(queries), Gathered(queries)
        first_sample = np.zeros_like(budgets)
        try:
            weak.ask(weak_sampler, 1 - budgets, first_sample)
            strong.ask(strong_sampler, budgets, first_sample)
            raise_if_all_failed(weak, strong)
        except BaseException as error:
            error.partial = self._decoded(weak, strong, budgets)
            raise
        weak.warn(stacklevel=2)
        strong.warn(stacklevel=2)
        return self._decoded(weak, strong, budgets)

    def _decoded(self, weak, strong, budgets):
        """The answers so far."""
        rows = [a or b for a, b in zip(weak.rows, strong.rows, strict=True)]
        return RoutedAnswers(
            [row[0].answer if row else self.default_answer for row in rows],
            budgets,
            weak.usage,
            strong.usage,
            weak.errors | strong.errors,
        )
