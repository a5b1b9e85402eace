"""Which policies a decoder carries out, and which it refuses."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    DummyAllocator,
    HiddenStateFeaturizer,
    PricedAllocator,
    RewardRegressor,
    SequentialAllocator,
)
from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
from sklearn_adaalloc.decoding import BestOfK, Router
from sklearn_adaalloc.sampling import TransformersSampler

QUERIES = [f"{i}+{j}=" for i in range(10) for j in range(6)]
RATES = np.random.default_rng(0).random(60)
DRAWN = np.random.default_rng(1).random((60, 2, 8))
SAMPLES = (DRAWN[:, 0] < RATES[:, None]).astype(float)
ROUTES = (np.stack([RATES / 2, RATES], 1)[:, :, None] > DRAWN).astype(float)
WORDS = TfidfVectorizer(analyzer="char")


def regressor():
    return RewardRegressor(Ridge())


def rounds(**options):
    return SequentialAllocator(regressor(), budget=3, **options)


def wrong(queries, answers):
    return [np.zeros(len(row)) for row in answers]


def search(estimator, kind=GridSearchCV, **options):
    return kind(estimator, {}, cv=2, **options)


IN_ROUNDS = {
    "pipeline": make_pipeline(WORDS, rounds()),
    "search": search(make_pipeline(WORDS, rounds())),
    "random search": search(
        make_pipeline(WORDS, rounds()), RandomizedSearchCV, n_iter=1
    ),
    "search as last step": make_pipeline(WORDS, search(rounds())),
    "nested pipelines": make_pipeline(WORDS, make_pipeline("passthrough", rounds())),
    "passthrough": make_pipeline("passthrough", WORDS, "passthrough", rounds()),
    "none": Pipeline([("off", None), ("words", WORDS), ("allocator", rounds())]),
    "union": make_pipeline(FeatureUnion([("words", WORDS)]), rounds()),
    "cached": lambda folder: make_pipeline(WORDS, rounds(), memory=str(folder)),
}


@pytest.mark.parametrize("policy", IN_ROUNDS.values(), ids=IN_ROUNDS)
def test_rounds_are_carried_out_in_rounds(policy, make_sampler, tmp_path):
    policy = policy(tmp_path) if not isinstance(policy, BaseEstimator) else policy
    policy = policy.fit(QUERIES, SAMPLES)
    for each in (policy, FrozenEstimator(policy)):
        decoded = BestOfK(each, make_sampler(), wrong).decode(QUERIES[:20])
        assert decoded.rounds_taken > 1
        assert decoded.budgets.sum() <= 3 * 20


@pytest.mark.parametrize("kind", [AdaptiveAllocator, BinnedAllocator, PricedAllocator])
def test_a_search_gives_the_budgets_that_it_predicts(kind, sampler):
    policy = search(make_pipeline(WORDS, kind(regressor(), budget=2)))
    policy = policy.fit(QUERIES, SAMPLES)
    decoded = BestOfK(policy, sampler, wrong).decode(QUERIES)
    np.testing.assert_array_equal(decoded.budgets, policy.predict(QUERIES))
    assert decoded.rounds_taken == 1


def allocators(**options):
    return {
        "adaptive": AdaptiveAllocator(regressor(), **options),
        "binned": BinnedAllocator(regressor(), **options),
        "priced": PricedAllocator(regressor(), **options),
        "uniform": DummyAllocator(**options),
        "shuffled": DummyAllocator(
            "shuffled", allocator=AdaptiveAllocator(regressor()), **options
        ),
    }


@pytest.mark.parametrize("wrap", [lambda policy: policy, search])
@pytest.mark.parametrize("name", allocators())
def test_best_of_k_refuses_policies_of_routing(name, wrap, sampler):
    policy = wrap(make_pipeline(WORDS, allocators(budget=0.5)[name]))
    policy = policy.fit(QUERIES, ROUTES)
    with pytest.raises(ValueError, match=r"choice between two decoders.*to Router"):
        BestOfK(policy, sampler, wrong).decode(QUERIES)
    assert sampler.asked == []
    decoded = Router(policy, sampler, sampler).decode(QUERIES)
    assert decoded.budgets.sum() == decoded.budgets.clip(0, 1).sum()


@pytest.mark.parametrize("wrap", [lambda policy: policy, search])
@pytest.mark.parametrize("name", [*allocators(), "rounds"])
def test_the_router_refuses_policies_of_samples(name, wrap, sampler):
    # Budgets of 0 and 1 sample look like those of routing.
    allocator = (allocators(budget=0.5, max_budget=1) | {"rounds": rounds()})[name]
    policy = wrap(make_pipeline(WORDS, allocator)).fit(QUERIES, SAMPLES)
    with pytest.raises(ValueError, match=r"numbers of samples.*Give it to BestOfK"):
        Router(policy, sampler, sampler).decode(QUERIES)
    assert sampler.asked == []


UNFITTED = {
    "allocator": make_pipeline(WORDS, AdaptiveAllocator(regressor())),
    "rounds": make_pipeline(WORDS, rounds()),
    "search": search(make_pipeline(WORDS, rounds())),
    "baseline": make_pipeline("passthrough", DummyAllocator()),
    "alone": rounds(),
}


@pytest.mark.parametrize("policy", UNFITTED.values(), ids=UNFITTED)
@pytest.mark.filterwarnings("ignore:This Pipeline instance is not fitted yet")
def test_policies_that_are_not_fitted(policy, sampler):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        BestOfK(policy, sampler, wrong).decode(QUERIES)
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        Router(policy, sampler, sampler).decode(QUERIES)


NO_ALLOCATORS = {
    "classifier": (LogisticRegression(), "a classifier, not an allocator"),
    "regressor": (Ridge(), "a regressor, not an allocator"),
    "reward regressor": (regressor(), "a regressor, not an allocator"),
    "transformer": (StandardScaler(), "not an allocator"),
    "text": ("uniform", "not an allocator"),
    "nothing": (None, "not an allocator"),
    "number": (3, "not an allocator"),
}


@pytest.mark.parametrize(("policy", "match"), NO_ALLOCATORS.values(), ids=NO_ALLOCATORS)
def test_what_is_no_allocator(policy, match, sampler):
    match = rf"policy ends in .*which is {match}.*predicts budgets"
    with pytest.raises(ValueError, match=match):
        BestOfK(policy, sampler, wrong).decode(QUERIES)
    with pytest.raises(ValueError, match=match):
        Router(policy, sampler, sampler).decode(QUERIES)


@pytest.fixture(scope="module")
def data():
    return load_arithmetic("math")


def scaled(pattern):
    selector = make_column_selector(pattern=pattern)
    return ColumnTransformer([("scaled", StandardScaler(), selector)])


FRAMES = {
    "columns by name": [scaled("^layer3_")],
    "after a scaler": [StandardScaler(), scaled("^layer3_1")],
    "passthrough": ["passthrough", scaled("^layer3_")],
    "nothing after": [],
    "nested": [make_pipeline(scaled("^layer3_2"), "passthrough")],
}


@pytest.mark.parametrize("leading", [[], ["passthrough"]])
@pytest.mark.parametrize("steps", FRAMES.values(), ids=FRAMES)
def test_frames_are_handed_on_as_in_predict(steps, leading, data, monkeypatch):
    pytest.importorskip("pandas")
    queries = data.queries_test[:6]
    policy = make_pipeline(
        *leading,
        HiddenStateFeaturizer(device="cpu"),
        *steps,
        AdaptiveAllocator(regressor(), budget=2),
    ).set_output(transform="pandas")
    policy = policy.fit(data.queries_train[:60], data.rewards_train[:60])
    budgets = policy.predict(queries)
    monkeypatch.setattr(
        HiddenStateFeaturizer, "transform", lambda self, X: pytest.fail("ran twice")
    )
    sampler = TransformersSampler(max_new_tokens=8, device="cpu")
    decoded = BestOfK(policy, sampler, grade_arithmetic).decode(queries)
    np.testing.assert_array_equal(decoded.budgets, budgets)
