"""Why each decoder gets its budget of a query, in numbers and words."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from sklearn_adaalloc import (
    AdaptiveAllocator,
    PricedAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
)
from sklearn_adaalloc.allocators._explanation import explanation_frame, weighted_range
from sklearn_adaalloc.allocators._menus import (
    allocate_menu,
    menu_decision,
    menu_price,
    menu_values,
    open_menu,
)

NAMES = ["small", "large"]
PROFILES = RewardRegressor(Ridge(), target="rate_profiles")
SHARED = AdaptiveAllocator, PricedAllocator, SequentialAllocator
MENU_COLUMNS = [
    *("query", "decoder", "budget", "expected_reward", "low", "high"),
    *("next_value", "cost", "price", "why"),
]


def make_menu(n_queries=300, n_samples=4):
    """Queries whose first feature is their ease, and a better and dearer decoder."""
    random = np.random.default_rng(0)
    X = random.normal(size=(n_queries, 3))
    rates = 1 / (1 + np.exp(-1.5 * X[:, :1] - [-1.0, 1.0]))
    rewards = random.random((n_queries, 2, n_samples)) < rates[:, :, None]
    return X, RewardTable(rewards, costs=[1.0, 5.0], decoders=NAMES)


MENU_X, MENU = make_menu()


@pytest.fixture(scope="module", params=[*SHARED], ids=lambda each: each.__name__)
def menu(request):
    policy = request.param(PROFILES, budget=4.0, unit="cost", random_state=0)
    return policy.fit(MENU_X[:200], MENU[:200])


def test_numbers_of_several_decoders_follow_from_the_profiles(menu):
    X = MENU_X[200:]
    frame, budgets = menu.explain(X), menu.predict(X)
    weights, profiles = menu.regressor_.predict_profiles(X), menu.regressor_.profiles_
    assert list(frame.columns) == MENU_COLUMNS
    assert_array_equal(frame["query"], np.repeat(np.arange(100), 2))
    assert frame.decoder.tolist() == NAMES * 100
    assert_array_equal(frame.budget, budgets.ravel())
    assert_allclose(frame.cost, frame.budget * np.tile([1.0, 5.0], 100))

    def expected(budgets):
        failing = ((1 - profiles) ** budgets[:, None]).prod(axis=2)
        return (weights * (1 - failing)).sum(axis=1)

    now = expected(budgets)
    assert_allclose(frame.expected_reward, now.repeat(2))
    more = np.column_stack([expected(budgets + one) - now for one in np.eye(2)])
    more[budgets == 4] = np.nan
    assert_allclose(frame.next_value, more.ravel(), atol=1e-12)


def test_the_range_of_a_plan_over_several_decoders(menu):
    X = MENU_X[200:]
    frame = menu.explain(X)[::2]
    weights, profiles = menu.regressor_.predict_profiles(X), menu.regressor_.profiles_
    chances = 1 - ((1 - profiles) ** menu.predict(X)[:, None]).prod(axis=2)
    low, high = frame.low.to_numpy()[:, None], frame.high.to_numpy()[:, None]
    below = ((chances < low - 1e-12) * weights).sum(axis=1)
    above = ((chances > high + 1e-12) * weights).sum(axis=1)
    assert max(below.max(), above.max()) <= 0.1 + 1e-12
    assert np.isin(frame.low.round(9), chances.round(9)).all()


def test_plans_over_several_decoders_are_worth_the_price(menu):
    X = MENU_X[200:]
    frame, budgets = menu.explain(X), menu.predict(X)
    each = np.tile([1.0, 5.0], 100)
    [price] = frame.price.unique()
    assert (frame.next_value / each).max() <= price * 1.001
    weights, profiles = menu.regressor_.predict_profiles(X), menu.regressor_.profiles_
    known = open_menu(weights, profiles, each.reshape(100, 2), (0, 0), (4, 4))
    values = menu_values(known, budgets).reshape(200, -1)
    rows = np.flatnonzero(frame.budget)
    last = values[rows, frame.budget[rows] - 1] / each[rows]
    cheap = last < price * 0.999
    # What is left does not pay for one more sample of the dear decoder.
    assert frame.cost[rows][cheap].sum() <= 5
    assert_array_equal(frame.why[rows].str.contains("rest of the budget"), cheap)


def test_the_price_over_several_decoders_is_that_of_the_rule():
    policy = PricedAllocator(PROFILES, budget=4.0, unit="cost", random_state=0)
    policy.fit(MENU_X, MENU)
    assert (policy.explain(MENU_X[:3]).price == policy.price_).all()


def test_a_budget_over_several_decoders_that_pays_for_all(menu):
    policy = menu.__class__(PROFILES, budget=24.0, unit="cost", random_state=0)
    frame = policy.fit(MENU_X[:60], MENU[:60]).explain(MENU_X[:60])
    assert (frame.price == 0).all()
    assert (frame.budget == 4).all()
    assert frame.why.str.endswith("and the budget pays for all that adds something.")[0]


def test_a_budget_over_several_decoders_that_pays_for_nothing():
    why = menu_why([[1.0]], [[0.5, 0.8]], np.array([[2.0, 4.0]]), budget=1)
    assert why.str.contains(" gets no sample: sample 1 would raise the ").all()
    assert why.str.endswith("per unit of cost), but the budget is spent.").any()


def test_samples_of_decoders_without_costs_and_names():
    frame = AdaptiveAllocator(PROFILES, budget=1.0).fit(MENU_X, MENU.rewards)
    frame = frame.explain(MENU_X[:20])
    assert frame.decoder.tolist() == [0, 1] * 20
    assert frame.why[0].startswith("Decoder 0 gets ")
    assert not frame.why.str.contains("per unit of cost").any()
    assert_array_equal(frame.cost, frame.budget)


def test_rounds_may_change_a_plan_over_several_decoders():
    policy = SequentialAllocator(PROFILES, budget=2.0).fit(MENU_X[:60], MENU[:60])
    frame = policy.explain(MENU_X[:5])
    assert frame.why.str.contains("in the one-shot plan, before any round").all()


def test_empty_reward_of_a_query_that_no_decoder_answers():
    policy = AdaptiveAllocator(PROFILES, budget=0.1, empty_reward=0.3)
    frame = policy.fit(MENU_X, MENU).explain(MENU_X)
    nothing = frame.groupby("query").budget.transform("sum") == 0
    assert (frame.loc[nothing, ["expected_reward", "low", "high"]] == 0.3).all(
        axis=None
    )
    assert (frame.expected_reward[~nothing] > 0.3).all()


def menu_why(weights, profiles, costs, *, budget, bounds=((0, 0), (3, 3)), **options):
    """Sentences on queries with these predicted weights and costs."""
    menu = open_menu(np.array(weights), np.array(profiles), costs, *bounds)
    unit = "samples" if costs is None else "cost"
    budgets, price = (each(menu, budget, unit) for each in (allocate_menu, menu_price))
    options = {"names": NAMES, "in_cost": costs is not None} | options
    return explanation_frame(menu_decision(menu, budgets, price, **options)).why


def test_sentences_on_several_decoders():
    # At a price of 0.125, three samples of the first decoder are worth their cost.
    costs = np.array([[1.0, 4.0]] * 2)
    why = menu_why([[1.0]] * 2, [[0.5, 0.8]], costs, budget=2.5)
    assert why.tolist() == [
        "small gets 3 samples, which is max_budget: sample 3 raises the chance of "
        "success by 0.125 (0.125 per unit of cost), which is worth the price of 0.125.",
        "large gets no sample: sample 1 would raise the chance of success by 0.1 "
        "(0.025 per unit of cost), less than the price of 0.125.",
        "small gets 2 samples: sample 2 raises the chance of success by 0.25 (0.25 per "
        "unit of cost), which is worth the price of 0.125; sample 3 would raise it by "
        "0.125 (0.125 per unit of cost), but the budget is spent.",
        "large gets no sample: sample 1 would raise the chance of success by 0.2 (0.05 "
        "per unit of cost), less than the price of 0.125.",
    ]


def test_a_decoder_that_is_missing():
    costs = np.array([[1.0, np.inf], [1.0, 1.0]])
    why = menu_why([[1.0]] * 2, [[0.5, 0.8]], costs, budget=1)
    assert why[1] == "large is not available."
    assert why[3].startswith("large gets 1 sample: ")


def test_a_decoder_whose_largest_budget_is_none():
    policy = AdaptiveAllocator(PROFILES, budget=1.0, max_budget=[3, 0])
    frame = policy.fit(MENU_X[:60], MENU[:60]).explain(MENU_X[:2])
    assert frame.why[1] == "large is not available."
    assert np.isnan(frame.next_value[1])


def test_samples_of_a_decoder_that_are_mandatory():
    bounds = (1, 0), (3, 3)
    why = menu_why([[1.0]], [[0.01, 0.8]], None, budget=2, bounds=bounds)
    assert why.tolist() == [
        "small gets 1 sample, which is min_budget: sample 2 would raise the chance of "
        "success by 0.00198, less than the price of 0.158.",
        "large gets 1 sample: sample 1 raises the chance of success by 0.792, which is "
        "worth the price of 0.158; sample 2 would raise it by 0.158, but the budget is "
        "spent.",
    ]


def test_the_rest_of_the_budget_pays_for_a_cheap_sample():
    costs = np.array([[1.0, 5.0]])
    why = menu_why([[1.0]], [[0.01, 0.9]], costs, budget=6)
    assert why[0].startswith(
        "small gets 1 sample: sample 1 raises the chance of success by 0.001 (0.001 "
        "per unit of cost), less than the price of 0.0"
    )
    assert why[0].split(", ")[2:] == [
        "but the rest of the budget",
        "or a plan for similar queries",
        "pays for it; sample 2 would add only 0.00099 (0.00099 per unit of cost).",
    ]


def test_values_in_any_order_have_quantiles():
    weights, values = np.array([[0.3, 0.05, 0.65]]), np.array([[0.5, 0.9, 0.2]])
    assert_allclose(weighted_range(weights, values), [[0.2], [0.5]])
