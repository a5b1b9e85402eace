"""How a decoder reads a policy: what the allocator sees, and how to draw samples."""

from functools import partial

from sklearn.pipeline import Pipeline


def read_policy(policy, sampler, queries):
    """Bring queries to the point where the allocator decides.

    Where the policy reads the very hidden states that the sampler's own pass over the
    prompts hands out, they are taken from there, and no prompt is run twice.

    Parameters
    ----------
    policy : estimator
        A fitted allocator, or a pipeline that ends in one.
    sampler : object
        Sampler, see :mod:`sklearn_adaalloc.sampling`.
    queries : list of n_queries str or lists of dict
        Checked queries.

    Returns
    -------
    allocator : estimator
        Last step of the policy.
    X : array-like of n_queries
        What it takes.
    draw : callable
        ``draw(budgets, first_sample=..., return_usage=True)`` samples answers.
    """
    if not isinstance(policy, Pipeline):
        return policy, queries, partial(sampler.sample, queries)
    shares = getattr(sampler, "shares_prefill_with", None)
    if shares is not None and shares(policy[0]):
        prefilled = sampler.prefill(queries)
        X, steps, draw = prefilled.features, policy[1:-1], prefilled.decode
    else:
        X, steps, draw = queries, policy[:-1], partial(sampler.sample, queries)
    for step in steps:
        X = step.transform(X)
    return policy[-1], X, draw
