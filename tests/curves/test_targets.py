import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from scipy.stats import binom

from sklearn_adaalloc.curves._rates import mixture_weights
from sklearn_adaalloc.curves._targets import (
    TARGETS,
    MarginalRewards,
    Preference,
    RateDistribution,
    SuccessRate,
    resolve_target,
)

NAN = np.nan
BINARY = np.array([[1.0, 0.0, NAN, NAN], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
REAL = np.array([[0.0, 1.0, NAN], [0.0, 1.0, 1.0], [2.0, -1.0, 0.5]])
ROUTING = np.array([[[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, NAN]]])
MENU = np.array([[[1, 0], [0, 0], [1, 1]], [[1, 1], [0, np.nan], [0, 0]]] * 3)
REAL_MENU = MENU * 1.5 + np.arange(6)[:, None, None] / 8
TABLES = {
    "success_rate": BINARY,
    "rate_distribution": BINARY,
    "marginal_rewards": REAL,
    "preference": ROUTING,
    "rate_profiles": MENU,
    "normal_rewards": REAL_MENU,
}


# Success rate


def test_success_rate_by_hand():
    target = SuccessRate()
    labels = target.labels(BINARY)
    assert_allclose(labels, [[0.5], [1.0], [0.25]])
    assert_allclose(target.values(BINARY), labels)
    assert_allclose(target.initial_outputs(labels), [logit(1.75 / 3)])
    assert_allclose(target.decode(np.array([[0.0], [np.log(3)]])), [[0.5], [0.75]])
    assert_allclose(target.native(np.array([[0.5], [0.25]])), [0.5, 0.25])
    assert_allclose(
        target.marginals(np.array([[0.5], [0.0]]), 3), [[0.5, 0.25, 0.125], [0, 0, 0]]
    )


def test_success_rate_of_least_squares_is_brought_into_bounds():
    assert_array_equal(
        SuccessRate().repair_values(np.array([[-0.2], [0.3], [1.4]])), [[0], [0.3], [1]]
    )


@pytest.mark.parametrize("rewards", [np.zeros((3, 2)), np.ones((3, 2))])
def test_outputs_of_equal_rates_stay_finite(rewards):
    target = SuccessRate()
    outputs = target.initial_outputs(target.labels(rewards))
    assert np.isfinite(outputs).all()
    assert_allclose(target.decode(outputs), rewards[0, :1], atol=1e-5)


@pytest.mark.parametrize(
    ("empty_reward", "expected"),
    [
        (0.2, [0.3, 0.25, 0.125]),
        (0.4, [0.175, 0.175, 0.125]),  # 0.1 and 0.25 pooled
        (-1.0, [1.5, 0.25, 0.125]),
    ],
)
@pytest.mark.parametrize(
    ("target", "prediction"),
    [
        (SuccessRate, np.array([[0.5]])),
        (RateDistribution, (RateDistribution.rates == 0.5)[None] * 1.0),
    ],
)
def test_empty_reward_counts_against_the_first_sample(
    target, prediction, empty_reward, expected
):
    marginals = target(empty_reward=empty_reward).marginals(prediction, 3)
    assert_allclose(marginals, [expected])


# Rate distribution


def test_grid_of_rates_is_even_in_logit_and_holds_the_ends():
    rates = RateDistribution.rates
    assert len(rates) == 33
    assert rates[0] == 0
    assert rates[-1] == 1
    steps = np.diff(logit(rates[1:-1]))
    assert_allclose(steps, steps[0])
    assert_allclose(rates + rates[::-1], 1)


def test_labels_are_binomial_log_likelihoods_up_to_a_constant():
    inner = RateDistribution.rates[1:-1]
    labels = RateDistribution().labels(BINARY)
    published = binom.logpmf([[1], [4], [1]], [[2], [4], [4]], inner)
    assert_allclose(
        labels[:, 1:-1] - labels[:, 1:2], published - published[:, :1], atol=1e-9
    )
    assert_allclose(labels.max(axis=1), 0)
    assert np.isfinite(labels).all()
    # A success rules out rate 0, a failure rules out rate 1.
    assert_array_equal(np.exp(labels[:, 0]), [0, 0, 0])
    assert_array_equal(np.exp(labels[:, -1]), [0, 1, 0])


def test_posterior_of_many_samples_sits_on_the_observed_rate():
    rewards = np.repeat([[0.0], [1.0], [NAN]], 1000, axis=1)
    rewards[2] = np.arange(1000) % 2
    weights = RateDistribution().values(rewards)
    at = np.searchsorted(RateDistribution.rates, [0.0, 1.0, 0.5])
    assert_allclose(weights[range(3), at], 1, atol=1e-6)


def test_posterior_by_hand():
    # One sample of each query, one wrong, one right: any mixture of mean 1/2 explains
    # them equally well, so the even one stays, and Bayes' rule leaves the likelihoods.
    weights = RateDistribution().values(np.array([[0.0], [1.0]]))
    rates = RateDistribution.rates
    assert_allclose(weights, [(1 - rates) / 16.5, rates / 16.5], atol=1e-12)


def test_mean_posterior_is_the_mixture_that_all_queries_share():
    rewards = (np.random.default_rng(0).random((200, 8)) < 0.3) * 1.0
    target = RateDistribution()
    posterior = target.values(rewards)
    assert_allclose(posterior.sum(axis=1), 1)
    shared = mixture_weights(np.exp(target.labels(rewards)))
    assert_allclose(posterior.mean(axis=0), shared, atol=1e-3)  # EM's fixed point


def test_mixture_of_two_known_rates_is_recovered():
    rng = np.random.default_rng(0)
    rates = RateDistribution.rates
    truth = np.where(rng.random(5000) < 0.3, rates[0], rates[20])
    rewards = (rng.random((5000, 40)) < truth[:, None]) * 1.0
    weights = mixture_weights(np.exp(RateDistribution().labels(rewards)))
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(np.mean(truth == 0), abs=0.01)
    assert weights[18:23].sum() == pytest.approx(0.7, abs=0.02)
    assert weights @ rates == pytest.approx(truth.mean(), abs=0.01)


def test_likelihood_rises_with_each_step():
    rewards = (np.random.default_rng(0).random((50, 6)) < 0.4) * 1.0
    likelihood = np.exp(RateDistribution().labels(rewards))
    evidence = [
        np.log(likelihood @ mixture_weights(likelihood, n_iterations)).sum()
        for n_iterations in (0, 1, 2, 5, 20, 100)
    ]
    assert (np.diff(evidence) > 0).all()


def test_distribution_by_hand():
    target = RateDistribution()
    half = (np.isin(target.rates, [0.0, 1.0]) / 2.0)[None]
    assert_allclose(target.native(half), [0.5])
    assert_allclose(target.marginals(half, 3), [[0.5, 0, 0]])
    outputs = np.zeros((2, 33))
    assert_allclose(target.decode(outputs), np.full((2, 33), 1 / 33))


def test_weights_of_least_squares_are_brought_to_the_simplex():
    values = np.zeros((3, 33))
    values[0, :3] = [-1.0, 1.0, 3.0]
    values[1, 5] = 0.5
    values[2] = -0.1  # nothing to rescale: all rates alike
    weights = RateDistribution().repair_values(values)
    assert_allclose(weights[0, :4], [0, 0.25, 0.75, 0])
    assert_allclose(weights[1, 5], 1)
    assert_allclose(weights[2], 1 / 33)


# Marginal rewards


def test_short_rows_of_verdicts_go_on_by_their_own_posterior():
    rewards = np.array(
        [[1, 0, 1, 1], [0, 0, NAN, NAN], [1, 1, NAN, NAN], [1, 0, NAN, NAN]]
    )
    marginals = MarginalRewards().values(rewards)
    target = RateDistribution()
    expected = target.marginals(target.values(rewards), 4)
    assert_allclose(marginals[1:, 2:], expected[1:, 2:])
    assert_allclose(
        marginals[:, :2], np.diff([[0, 0.75, 1], [0, 0, 0], [0, 1, 1], [0, 0.5, 1]])
    )
    assert np.unique(marginals[1:, 2].round(6)).size == 3


def test_a_row_of_one_value_goes_on_with_the_mean_deviation_of_the_others():
    rewards = np.array([[0.0, 2, NAN, NAN], [0, 1, 2, NAN], [5, NAN, NAN, NAN]])
    last = MarginalRewards().values(rewards)[:, 3]
    assert 0 < last[1] < last[0]
    assert last[2] == pytest.approx((last[0] + last[1]) / 2)


def test_marginals_of_short_rows_go_on():
    # Row 0 has two samples for three steps. A normal best of 1, 2, 3 has the mean 0,
    # 1, 3/2 in units of spread / sqrt(pi), so that half of its second step follows.
    # Row 1 has three: 2/3, then 1. Row 2: means of 1 / 3 / 6 best-of sets.
    expected = [[0.5, 0.5, 0.25], [2 / 3, 1 / 3, 0], [0.5, 1.0, 0.5]]
    assert_allclose(MarginalRewards().values(REAL), expected, atol=1e-4)


def test_marginals_up_to_max_budget():
    assert_allclose(
        MarginalRewards(max_budget=2, empty_reward=1.0).values(REAL),
        [[-0.5, 0.5], [-1 / 3, 1 / 3], [-0.5, 1.0]],
    )


def test_labels_are_standardised_and_decoded_back():
    rewards = np.random.default_rng(0).normal(3, 5, size=(40, 6))
    target = MarginalRewards()
    labels = target.labels(rewards)
    assert_allclose(labels.mean(axis=0), 0, atol=1e-12)
    assert labels.var(axis=0).mean() == pytest.approx(1)
    assert_allclose(target.decode(labels), target.values(rewards))


def test_labels_of_equal_queries_are_zero():
    target = MarginalRewards()
    assert_allclose(target.labels(np.tile([0.0, 1.0], (4, 1))), 0)
    assert_allclose(target.decode(np.zeros((1, 2))), [[0.5, 0.5]])


def test_marginals_are_native_as_predicted_and_repaired_as_marginals():
    prediction = np.array([[1.0, 3.0, 0.0]])
    target = MarginalRewards()
    assert target.native(prediction) is prediction
    assert target.repair_values(prediction) is prediction
    assert_array_equal(target.marginals(prediction, 3), [[2, 2, 0]])
    assert_array_equal(target.marginals(prediction, 1), [[1]])
    assert_array_equal(target.marginals(prediction, 3, 1), [[1, 3, 0]])


def test_marginals_beyond_the_fitted_steps():
    with pytest.raises(
        ValueError, match=r"max_budget=4 is above the 3 steps.*larger max_budget"
    ):
        MarginalRewards().marginals(np.ones((1, 3)), 4)


# Preference


def test_preference_by_hand():
    target = Preference()
    labels = target.labels(ROUTING)
    assert_allclose(labels, [[expit(1)], [0.5]])
    assert_allclose(target.initial_outputs(labels), logit(labels.mean()))
    assert_allclose(target.native(labels), [expit(1), 0.5])
    assert_allclose(target.marginals(labels, 1), [[expit(1) - 0.5], [0]])


@pytest.mark.parametrize("max_budget", [0, 2])
def test_routing_has_one_step(max_budget):
    with pytest.raises(ValueError, match=f"max_budget={max_budget} is not.*Expected 1"):
        Preference().marginals(np.array([[0.5]]), max_budget)


# All targets


@pytest.mark.parametrize("name", TARGETS)
def test_steps_of_a_target_fit_together(name):
    target, rewards = TARGETS[name](), TABLES[name]
    n_queries = len(rewards)
    target.learn(rewards)
    labels, values = target.labels(rewards), target.values(rewards)
    assert target.name == name
    assert len(labels) == len(values) == n_queries
    outputs = np.random.default_rng(0).normal(0, 3, size=(5, 50, labels.shape[1]))
    prediction = target.decode(outputs).mean(axis=0)  # of five nets
    assert len(target.native(prediction)) == 50
    n_steps = {"preference": 1}.get(name, 3)
    target.learn_residuals(rewards, values)
    marginals = target.marginals(prediction, n_steps)
    n_decoders = {"rate_profiles": [3], "normal_rewards": [3]}.get(name, [])
    assert marginals.shape == (50, *n_decoders, n_steps)
    assert (np.diff(marginals, axis=-1) <= 0).all()


@pytest.mark.parametrize("name", TARGETS)
def test_values_are_predictions_already(name):
    target, rewards = TARGETS[name](), TABLES[name]
    target.learn(rewards)
    values = target.values(rewards)
    assert_allclose(target.repair_values(values), values)


@pytest.mark.parametrize(
    ("name", "average"),
    [
        ("success_rate", 1.75 / 3),
        ("marginal_rewards", [5 / 9, 11 / 18, 0.25]),
        ("preference", (expit(1) + 0.5) / 2),
    ],
)
def test_initial_outputs_predict_the_average(name, average):
    target = TARGETS[name]()
    outputs = target.initial_outputs(target.labels(TABLES[name]))
    native = target.native(target.decode(outputs[None]))
    assert_allclose(native[0], average, atol=1e-5)


def test_initial_distribution_predicts_the_average():
    rewards = (np.random.default_rng(0).random((500, 8)) < 0.3) * 1.0
    target = RateDistribution()
    outputs = target.initial_outputs(target.labels(rewards))
    weights = target.decode(outputs[None])
    assert target.native(weights)[0] == pytest.approx(rewards.mean(), abs=5e-3)
    assert (weights > 0).all()  # no rate is ruled out before training


@pytest.mark.parametrize("name", TARGETS)
def test_losses_exist(name):
    from sklearn_adaalloc.regressors._nets import LOSSES

    assert TARGETS[name].loss in LOSSES


# From a name and a table to a target


@pytest.mark.parametrize(
    ("name", "rewards", "expected"),
    [
        ("auto", [[1, 0], [1]], "rate_distribution"),
        ("auto", [1, 0], "rate_distribution"),
        ("auto", [[0.5, 0], [1, 1]], "marginal_rewards"),
        ("auto", [0.5, 2.0], "marginal_rewards"),
        ("auto", [[[0], [1]], [[1], [1]]], "preference"),
        ("success_rate", [[1, 0], [1, 1]], "success_rate"),
        ("success_rate", [0.25, 1.0], "success_rate"),
        ("rate_distribution", [1, 0], "rate_distribution"),
        ("marginal_rewards", [[1, 0], [1, 1]], "marginal_rewards"),
        ("preference", [[[0.3], [1]], [[1], [1]]], "preference"),
        ("auto", [[[0], [1], [1]], [[1], [1], [0]]], "rate_profiles"),
        ("auto", [[[0.5], [1], [1]], [[1], [1], [0]]], "normal_rewards"),
        ("normal_rewards", [[[0], [1]], [[1], [1]]], "normal_rewards"),
    ],
)
def test_target_is_read_from_the_table(name, rewards, expected):
    target, table = resolve_target(name, rewards, n_queries=2)
    assert target.name == expected
    assert len(table) == 2


def test_regressors_choose_what_auto_takes_for_binary_rewards():
    options = {"n_queries": 2, "binary_target": "marginal_rewards", "empty_reward": 0.5}
    target, _ = resolve_target("auto", [[1, 0], [1, 1]], max_budget=1, **options)
    assert target.name == "marginal_rewards"
    assert (target.max_budget, target.empty_reward) == (1, 0.5)


@pytest.mark.parametrize(
    ("name", "rewards", "match"),
    [
        ("rates", [[1], [0]], r"target='rates' is not accepted.*\['auto', 'rate_dist"),
        ("success_rate", [[1], [0.5]], r"0\.5 in row 1.*0 or 1.*'marginal_rewards'"),
        ("success_rate", [0.5, 1.5], r"in row 1 is 1\.5\. Expected one in"),
        ("rate_distribution", [0.5, 1.0], r"0\.5 in row 0.*0 or 1"),
        ("preference", [[1], [0]], r"target='preference' does not fit.*\(2, 1\)"),
        (
            "success_rate",
            [[[1], [0]], [[1], [0]]],
            r"target='success_rate' does not fit.*\(2, 2, 1\).*target='preference'",
        ),
        ("normal_rewards", [[1], [0]], r"'normal_rewards' does not fit.*\(2, 1\)"),
        (
            "rate_profiles",
            [[[0.5], [0]], [[1], [0]]],
            r"needs rewards of 0 and 1 .* from 0 to 1. Use 'normal_rewards' for such",
        ),
        ("auto", [[1]], r"inconsistent numbers of queries: 2 and 1"),
    ],
)
def test_tables_that_do_not_fit(name, rewards, match):
    with pytest.raises(ValueError, match=match):
        resolve_target(name, rewards, n_queries=2)


def test_menus_are_for_the_best_reward():
    with pytest.raises(ValueError, match=r"does not fit selection='vote'.*'reward'"):
        resolve_target("normal_rewards", REAL_MENU, n_queries=6, selection="vote")
