import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import AdaptiveAllocator, HiddenStateFeaturizer
from sklearn_adaalloc.datasets import embedded_model_path, load_arithmetic
from sklearn_adaalloc.decoding import Router
from sklearn_adaalloc.sampling import TokenUsage, TransformersSampler

QUERIES = ["a", "b", "c", "d"]


def test_each_query_is_answered_once_by_the_decoder_chosen(given, make_sampler):
    weak, strong = make_sampler(), make_sampler()
    decoded = Router(given([0, 1, 1, 0]), weak, strong).decode(QUERIES)
    assert decoded.answers == ["a:0", "b:0", "c:0", "d:0"]
    assert weak.asked[0][0] == [1, 0, 0, 1]
    assert strong.asked[0][0] == [0, 1, 1, 0]
    assert [row.sum() for row in decoded.weak_usage.answers] == [3, 0, 0, 3]
    assert [row.sum() for row in decoded.strong_usage.answers] == [0, 3, 3, 0]


def test_a_policy_of_best_of_k(given, sampler):
    with pytest.raises(ValueError, match=r"budgets up to 3.*fit it on a routing table"):
        Router(given([0, 1, 3, 0]), sampler, sampler).decode(QUERIES)


def test_the_budget_is_the_share_of_the_strong_model(monkeypatch):
    data = load_arithmetic("routing")
    policy = make_pipeline(
        HiddenStateFeaturizer(device="cpu"),
        AdaptiveAllocator(budget=0.25, random_state=0),
    ).fit(data.queries_train[:300], data.rewards_train[:300])
    weak = TransformersSampler(max_new_tokens=24, device="cpu")
    strong = TransformersSampler(
        embedded_model_path("strong"), max_new_tokens=24, device="cpu"
    )
    queries = data.queries_test[:40]
    budgets = policy.predict(queries)
    # The weak model's own pass over the prompts hands out the features.
    monkeypatch.setattr(
        HiddenStateFeaturizer, "transform", lambda self, X: pytest.fail("ran twice")
    )
    decoded = Router(policy, weak, strong).decode(queries)
    np.testing.assert_array_equal(decoded.budgets, budgets)
    assert decoded.budgets.sum() <= 10
    expected = [
        (strong if budget else weak).sample([query], 1)[0][0]
        for query, budget in zip(queries, budgets, strict=True)
    ]
    assert decoded.answers == expected


class Wrong:
    """Sampler that returns what it was given."""

    def __init__(self, returned):
        self.returned = returned

    def sample(self, prompts, budgets, **options):
        return self.returned


RIGHT = TokenUsage(np.ones(2), [np.ones(1), np.ones(0)])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (3, "sampler Wrong returned 3. Expected two things"),
        ([["x"], []], r"returned \[\['x'\], \[\]\]. Expected two things"),
        (([["x"]], RIGHT), r"to 2 queries. Expected one list"),
        (("xy", RIGHT), r"returned 'xy' to 2 queries"),
        (([["x", "y"], []], RIGHT), r"to query 'a'. Expected 1 answers"),
        (([["x"], ["y"]], RIGHT), r"to query 'b'. Expected 0 answers"),
        (([[75], []], RIGHT), r"returned \[75\] to query 'a'"),
        (([["x"], []], None), r"usage=None. Expected a TokenUsage"),
        (([["x"], []], TokenUsage([1], [[1], []])), "usage=TokenUsage"),
        (([["x"], []], TokenUsage([1, 1], [[1, 1], []])), "usage=TokenUsage"),
        (([["x"], []], TokenUsage([1, np.inf], [[1], []])), "usage=TokenUsage"),
        (([["x"], []], TokenUsage([1, 1], [[-1], []])), "usage=TokenUsage"),
        (([["x"], []], TokenUsage([1, 1], [[1], []], [1])), "usage=TokenUsage"),
        (([["x"], []], TokenUsage([1, 1], [[1], []], None, [[]])), "usage=TokenUsage"),
    ],
)
def test_a_sampler_that_does_not_give_what_was_asked_for(returned, message, given):
    strong = Wrong(([[], ["y"]], TokenUsage(np.ones(2), [np.ones(0), np.ones(1)])))
    router = Router(given([0, 1]), Wrong(returned), strong)
    with pytest.raises(ValueError, match=message):
        router.decode(["a", "b"])


@pytest.mark.parametrize("budgets", [[0.5, 1], [1], "01", [[0], [1, 1]]])
def test_a_policy_that_gives_no_budgets(budgets, sampler):
    class Odd(BaseEstimator):
        def predict(self, X):
            return budgets

    with pytest.raises(ValueError, match="budgets"):
        Router(Odd(), sampler, sampler).decode(["a", "b"])
