import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_adaalloc import (
    AdaptiveAllocator,
    RewardRegressor,
    RewardTable,
    SequentialAllocator,
)
from sklearn_adaalloc.metrics import (
    AnswerShareDisplay,
    CostCurveDisplay,
    best_fixed_cascades,
    cascade_cost_curve,
    cost_curve,
    decoder_cost_curves,
    expected_reward_score,
    mean_budget_score,
    oracle_cost_curve,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
RATES = 1 / (1 + np.exp(-np.column_stack([X[:, 0] - 1, X[:, 0], X[:, 1] + 1])))
TABLE = RewardTable(
    (RNG.random((60, 3, 6)) < RATES[:, :, None]).astype(float),
    costs=[1.0, 2.0, 8.0],
    decoders=["small", "middle", "large"],
)


@pytest.fixture(scope="module")
def regressor():
    profiles = RewardRegressor(Ridge(), target="rate_profiles")
    return FrozenEstimator(profiles.fit(X, TABLE))


@pytest.fixture(scope="module")
def one_shot(regressor):
    return AdaptiveAllocator(regressor, unit="cost").fit(X, TABLE)


@pytest.fixture(scope="module")
def in_sequence(regressor):
    return SequentialAllocator(regressor, unit="cost", n_rounds=None).fit(X, TABLE)


def test_one_shot_points_are_scores_of_its_budgets(one_shot):
    curve = cost_curve(one_shot, X, TABLE, [2, 6], random_state=0)
    for point, budget in enumerate((2, 6)):
        budgets = AdaptiveAllocator.predict(one_shot.set_params(budget=budget), X)
        assert curve.reward[point] == pytest.approx(
            expected_reward_score(TABLE, budgets)
        )
        assert curve.spend[point] == pytest.approx(
            mean_budget_score(TABLE, budgets, unit="cost")
        )
        np.testing.assert_allclose(curve.answers[point], budgets.mean(axis=0))
    assert (curve.low < curve.reward).all()
    assert (curve.reward < curve.high).all()
    np.testing.assert_allclose(curve.costs.sum(axis=1), curve.spend)


def test_rounds_are_replayed_within_the_budget(in_sequence):
    budgets = [1, 3, 9]
    curve = cost_curve(in_sequence, X, TABLE, budgets, n_orders=6, random_state=0)
    assert (curve.spend <= budgets).all()
    bound = np.interp(curve.spend, *oracle_cost_curve(TABLE))
    assert (curve.reward <= bound + 1e-9).all()
    np.testing.assert_allclose(curve.costs, curve.answers * [1, 2, 8])
    again = cost_curve(in_sequence, X, TABLE, budgets, n_orders=6, random_state=0)
    for part, same in zip(curve, again, strict=True):
        np.testing.assert_array_equal(part, same)


def test_orders_together_begin_with_each_sample_once(regressor):
    # A budget that pays for the first answer of one decoder only, to every query.
    policy = SequentialAllocator(
        RewardRegressor(DummyRegressor(), target="rate_profiles"),
        unit="cost",
        n_rounds=1,
        min_budget=[1, 0, 0],
    ).fit(X, TABLE)
    curve = cost_curve(policy, X, TABLE, [1.0], n_orders=6, random_state=0)
    assert curve.reward[0] == pytest.approx(TABLE.rewards[:, 0].mean())


def test_a_policy_keeps_its_budget_and_may_stand_in_a_pipeline(regressor, one_shot):
    one_shot.set_params(budget=5.0)
    direct = cost_curve(one_shot, X, TABLE, [2.0], random_state=0)
    assert one_shot.budget == 5.0
    pipeline = make_pipeline(
        StandardScaler(with_mean=False, with_std=False),
        AdaptiveAllocator(regressor, unit="cost"),
    ).fit(X, TABLE)
    np.testing.assert_array_equal(
        direct.reward, cost_curve(pipeline, X, TABLE, [2.0], random_state=0).reward
    )


def test_a_router_between_two_decoders_has_a_curve():
    pair = RewardTable(TABLE.rewards[:, :2], costs=[1.0, 2.0])
    router = AdaptiveAllocator(RewardRegressor(Ridge())).fit(X, pair)
    curve = cost_curve(router, X, pair, [0.0, 0.3], random_state=0)
    np.testing.assert_allclose(curve.answers[0], [1, 0])
    assert curve.spend[1] == pytest.approx(1 + curve.answers[1, 1])
    assert curve.answers[1, 1] <= 0.3


def test_bad_input_of_a_cost_curve(one_shot):
    with pytest.raises(ValueError, match="has no parameter budget"):
        cost_curve(Ridge(), X, TABLE, [1.0])
    with pytest.raises(ValueError, match=r"one decoder\. Expected a table of several"):
        cost_curve(one_shot, X, TABLE.rewards[:, 0], [1.0])
    with pytest.raises(ValueError, match=r"budgets=\[\] is not accepted"):
        cost_curve(one_shot, X, TABLE, [])
    with pytest.raises(ValueError, match="n_orders=0"):
        cost_curve(one_shot, X, TABLE, [1.0], n_orders=0)
    with pytest.raises(ValueError, match="confidence=2"):
        cost_curve(one_shot, X, TABLE, [1.0], confidence=2)
    with pytest.raises(ValueError, match="n_bootstrap=0"):
        cost_curve(one_shot, X, TABLE, [1.0], n_bootstrap=0)


def test_display_of_cost_curves_draws_all_lines(one_shot, in_sequence):
    policies = {"one-shot": one_shot, "in sequence": in_sequence}
    display = CostCurveDisplay.from_estimator(
        policies, X, TABLE, [1, 4, 9], train_rewards=TABLE[:30], random_state=0
    )
    assert list(display.lines_) == [
        "oracle",
        *TABLE.decoders,
        "best fixed cascade",
        *policies,
    ]
    assert list(display.bands_) == list(policies)
    expected = cost_curve(one_shot, X, TABLE, [1, 4, 9], random_state=0)
    line = display.lines_["one-shot"]
    np.testing.assert_allclose(line.get_xydata().T, expected[:2])
    single = decoder_cost_curves(TABLE)["large"]
    np.testing.assert_allclose(display.lines_["large"].get_xydata().T, single)
    cascades = cascade_cost_curve(TABLE, best_fixed_cascades(TABLE[:30]))
    drawn = display.lines_["best fixed cascade"].get_xydata().T
    np.testing.assert_allclose(drawn, cascades)
    assert display.ax_.get_xlabel() == "mean cost (per query)"
    display.figure_.canvas.draw()


def test_display_of_budgets_shows_equal_budgets_of_decoders():
    budgets = [np.tile(own, (60, 1)) for own in ([1, 0, 0], [1, 1, 0], [0, 0, 2])]
    display = CostCurveDisplay.from_predictions(
        TABLE, {"ours": budgets}, random_state=0
    )
    np.testing.assert_allclose(display.curves["ours"].spend, [1, 3, 16])
    equal = decoder_cost_curves(TABLE, sequential=False)["small"]
    np.testing.assert_allclose(display.lines_["small"].get_xydata().T, equal)


def test_shares_are_of_answers_or_of_cost():
    budgets = [np.tile(own, (60, 1)) for own in ([1, 1, 0], [0, 0, 0], [1, 0, 0])]
    display = AnswerShareDisplay.from_predictions(TABLE, budgets, of="cost")
    # By cost, and without the point at which nothing is spent.
    np.testing.assert_allclose(display.spend, [1, 3])
    np.testing.assert_allclose(display.shares(), [[1, 0, 0], [0.5, 0.5, 0]])
    np.testing.assert_allclose(display.shares("cost"), [[1, 0, 0], [1 / 3, 2 / 3, 0]])
    assert display.ax_.get_ylabel() == "share of the cost"
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["large", "middle", "small"]  # as the areas lie


def test_shares_of_a_policy(in_sequence):
    display = AnswerShareDisplay.from_estimator(
        in_sequence, X, TABLE, [0, 1, 4], random_state=0
    )
    curve = cost_curve(in_sequence, X, TABLE, [0, 1, 4], random_state=0)
    np.testing.assert_allclose(display.answers, curve.answers[1:])
    assert len(display.artists_) == 3
    top = display.artists_[-1].get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx(1)
    display.figure_.canvas.draw()


def test_unknown_share(one_shot):
    with pytest.raises(ValueError, match=r"of='tokens' .*\['answers', 'cost'\]"):
        AnswerShareDisplay.from_estimator(one_shot, X, TABLE, [1], of="tokens")
