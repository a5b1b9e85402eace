"""Budgets of data sets on a cluster: those of `predict` on all rows together."""

import gc

import numpy as np
import pyarrow
import pytest
from clusters import wait_until
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeRegressor

from sklearn_adaalloc import (
    AdaptiveAllocator,
    DummyAllocator,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
    save_policy,
)
from sklearn_adaalloc.datasets import make_reward_table
from sklearn_adaalloc.distributed import predict_budgets
from sklearn_adaalloc.distributed._columns import write_rows

ray = pytest.importorskip("ray", reason="needs Ray: `make test-distributed` has it")
pytestmark = pytest.mark.usefixtures("cluster")


def tree(**options):
    """A regressor whose predictions do not depend on the size of a batch."""
    inner = DecisionTreeRegressor(max_leaf_nodes=60, random_state=0)
    return RewardRegressor(inner, **options)


@pytest.fixture(scope="module")
def graded():
    return make_reward_table(2000, 16, random_state=0, return_X_y=True)


@pytest.fixture(scope="module")
def menu_policy(graded):
    """A policy over three decoders that differ in price and in what they can solve."""
    X, _ = graded
    X, rng = X[:600], np.random.default_rng(0)
    ease = 1 / (1 + np.exp(-2 * X[:, :3] - [0.0, 1.0, 2.0]))
    rewards = (rng.random((600, 3, 4)) < ease[:, :, None]).astype(float)
    costs = np.exp(X[:, 3:6] / 2 + [0.0, 1.0, 2.0])
    policy = AdaptiveAllocator(tree(target="rate_profiles"), budget=12.0, unit="cost")
    return policy.fit(X, RewardTable(rewards, costs=costs))


def as_dataset(X, n_blocks=4, **columns):
    """A data set in several blocks, with the number of each row."""
    tables = []
    for part in np.array_split(np.arange(len(X)), n_blocks):
        own = {name: [values[i] for i in part] for name, values in columns.items()}
        queries = [X[i] for i in part]
        tables.append(pyarrow.table({"number": part, "query": queries, **own}))
    return ray.data.from_arrow(tables)


def budgets_of(dataset):
    """Rows of a result, in the order of the source."""
    frame = dataset.to_pandas().sort_values("number", ignore_index=True)
    return np.array(frame["budget"].to_list()), frame


def test_a_joint_decision_is_that_of_one_process(graded):
    X, rewards = graded
    policy = AdaptiveAllocator(tree(), budget=4, min_budget=2)
    policy.fit(X[:500], rewards[:500])
    result = predict_budgets(policy, as_dataset(X), budget=5, batch_size=300)
    assert policy.budget == 4
    assert result.columns() == ["number", "query", "budget", "predicted_success"]
    assert [row["number"] for row in result.take_all()] == list(range(len(X)))
    budgets, frame = budgets_of(result)
    policy.set_params(budget=5)
    assert_array_equal(budgets, policy.predict(X))
    assert_allclose(frame["predicted_success"], policy.explain(X)["expected_reward"])


def test_each_group_has_its_own_budget(graded):
    X, rewards = graded
    policy = SequentialAllocator(tree(), budget=4).fit(X[:500], rewards[:500])
    tiers = np.array(["free", "paid", "trial"])[np.arange(len(X)) % 7 % 3]
    own = {"free": 1.5, "paid": 9, "trial": 0}
    dataset = as_dataset(X, tier=tiers)
    options = {"group": "tier", "budget": own, "keep": ["number"], "concurrency": 1}
    result = predict_budgets(policy, dataset, **options)
    assert result.columns() == ["number", "tier", "budget", "predicted_success"]
    budgets, _ = budgets_of(result)
    for tier, budget in own.items():
        alone = policy.set_params(budget=budget).predict(X[tiers == tier])
        assert_array_equal(budgets[tiers == tier], alone)


def test_several_decoders_and_costs(graded, menu_policy):
    X, _ = graded
    result = predict_budgets(menu_policy, as_dataset(X), concurrency=1)
    budgets, frame = budgets_of(result)
    assert_array_equal(budgets, menu_policy.predict(X))
    explained = menu_policy.explain(X)["expected_reward"][::3]
    assert_allclose(frame["predicted_success"], explained)


def test_real_valued_rewards_of_several_decoders_are_decided_alone(graded):
    X, _ = graded
    rewards = np.random.default_rng(0).normal(size=(300, 2, 4))
    regressor = RewardRegressor(Ridge(), target="normal_rewards")
    jointly = AdaptiveAllocator(regressor, budget=2).fit(X[:300], rewards)
    with pytest.raises(ValueError, match="such as PricedAllocator"):
        predict_budgets(jointly, as_dataset(X[:100], 1))
    alone = PricedAllocator(regressor, budget=2, random_state=0).fit(X[:300], rewards)
    result = predict_budgets(alone, as_dataset(X[:100], 1), concurrency=1)
    budgets, frame = budgets_of(result)
    assert np.mean(budgets != alone.predict(X[:100])) < 0.01
    assert np.isfinite(frame["predicted_success"]).all()


def test_decisions_on_each_query_alone(graded):
    X, rewards = graded
    policy = PricedAllocator(tree(), budget=4, random_state=0)
    policy.fit(X[:900], rewards[:900])
    tiers = np.arange(len(X)) % 2
    dataset = as_dataset(X, tier=tiers)
    options = {"group": "tier", "budget": {0: 2, 1: 6}, "concurrency": (1, 2)}
    result = predict_budgets(policy, dataset, **options)
    budgets, frame = budgets_of(result)
    for tier, budget in enumerate((2, 6)):
        own = policy.set_params(budget=budget)
        assert_array_equal(budgets[tiers == tier], own.predict(X[tiers == tier]))
        explained = own.explain(X[tiers == tier])["expected_reward"]
        assert_allclose(frame["predicted_success"][tiers == tier], explained)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one-shot", "priced", "menu"])
def test_a_million_queries(graded, menu_policy, kind):
    X, rewards = graded
    regressor = tree(target="success_rate")
    policy = {
        "one-shot": AdaptiveAllocator(regressor, budget=4),
        "priced": PricedAllocator(regressor, budget=4, random_state=0),
    }.get(kind, menu_policy)
    if kind != "menu":
        policy.fit(X[:900], rewards[:900])
    queries = np.random.default_rng(0).uniform(-1, 1, size=(10**6, X.shape[1]))
    tables = [
        pyarrow.table({"number": part, "query": write_rows(queries[part])})
        for part in np.array_split(np.arange(10**6), 10)
    ]
    dataset = ray.data.from_arrow(tables)
    options = {"keep": ["number"], "batch_size": 10**5, "concurrency": 1}
    batches = predict_budgets(policy, dataset, **options).iter_batches(batch_size=None)
    found = [(batch["number"], np.array(list(batch["budget"]))) for batch in batches]
    numbers, budgets = map(np.concatenate, zip(*found, strict=True))
    expected = policy.predict(queries)
    assert_array_equal(budgets[np.argsort(numbers)], expected)
    assert len(numbers) == len(expected)


def test_texts_and_a_saved_policy(tmp_path, graded):
    _, rewards = graded
    texts = [f"{number} apples in {number % 17} baskets" for number in range(600)]
    policy = make_pipeline(
        HashingVectorizer(n_features=32),
        AdaptiveAllocator(RewardRegressor(Ridge()), budget=4),
    ).fit(texts[:300], rewards[:300])
    save_policy(policy, tmp_path / "policy")
    result = predict_budgets(tmp_path / "policy", as_dataset(texts), concurrency=1)
    budgets, _ = budgets_of(result)
    assert budgets.sum() == policy.predict(texts).sum()
    # The last digits of a matrix product may depend on the number of its rows.
    assert np.mean(budgets != policy.predict(texts)) < 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "prompt"}, r"lacks \['prompt'\]"),
        ({"keep": ["id"]}, r"lacks \['id'\]"),
        ({"budget": {"a": 1}}, "group is None"),
        ({"budget": "8"}, "budget='8' is not accepted"),
        ({"group": "number", "budget": {0: 1, 1: 99}}, "budget=99 is above max_budget"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"concurrency": 0}, "concurrency=0 is not accepted"),
        ({"concurrency": (2, 1)}, "concurrency=1 is not accepted"),
        ({"concurrency": (1, 2, 3)}, r"concurrency=\(1, 2, 3\) is not accepted"),
    ],
)
def test_parameters_that_do_not_fit(graded, options, message):
    X, rewards = graded
    policy = AdaptiveAllocator(tree()).fit(X[:100], rewards[:100])
    with pytest.raises(ValueError, match=message):
        predict_budgets(policy, as_dataset(X[:10], 1), **options)


@pytest.fixture
def no_garbage_collection():
    """Collect no garbage but where the code asks for it."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
def test_a_row_that_cannot_be_read(graded):
    X, rewards = graded
    policy = AdaptiveAllocator(tree()).fit(X[:100], rewards[:100])
    dataset = ray.data.from_items([{"query": [1.0] * 9}, {"query": None}])
    with pytest.raises(Exception, match="1 rows without a value") as caught:
        predict_budgets(policy, dataset, concurrency=1)
    # A notebook keeps the traceback, and its frames must keep no actor.
    all_cpus = ray.cluster_resources()["CPU"]
    assert wait_until(lambda: ray.available_resources().get("CPU") == all_cpus, 20)
    assert caught.tb is not None


def test_data_sets_and_policies_that_do_not_fit(graded):
    X, rewards = graded
    policy = AdaptiveAllocator(tree()).fit(X[:100], rewards[:100])
    with pytest.raises(ValueError, match=r"Expected a ray\.data\.Dataset"):
        predict_budgets(policy, X)
    with pytest.raises(ValueError, match="no rows"):
        predict_budgets(policy, ray.data.from_items([]))
    with pytest.raises(ValueError, match=r"\['budget'\] already"):
        predict_budgets(policy, as_dataset(X[:10], 1, budget=np.ones(10)))
    dummy = DummyAllocator().fit(X[:100], rewards[:100])
    with pytest.raises(ValueError, match="no rule for queries in several blocks"):
        predict_budgets(dummy, as_dataset(X[:10], 1))
    alike = PricedAllocator(tree(), budget=2.5).fit(np.zeros((100, 3)), rewards[:100])
    with pytest.raises(ValueError, match="position in the batch"):
        predict_budgets(alike, as_dataset(X[:10], 1))
