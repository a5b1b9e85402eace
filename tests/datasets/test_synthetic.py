import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_predict

from sklearn_adaalloc.curves import (
    marginal_rewards,
    preferences,
    rate_marginals,
    success_rates,
)
from sklearn_adaalloc.datasets import make_reward_table

PROFILES = ["math", "code", "chat", "routing"]


@pytest.mark.parametrize("profile", PROFILES)
def test_shapes_and_seeds(profile):
    table = make_reward_table(40, 9, profile=profile, n_features=3, random_state=0)
    axes = {"routing": (40, 2, 9)}.get(profile, (40, 9))
    assert table.data.shape == (40, 3)
    assert table.rewards.shape == axes
    assert table.DESCR
    data, rewards = make_reward_table(
        40, 9, profile=profile, n_features=3, random_state=0, return_X_y=True
    )
    np.testing.assert_array_equal(data, table.data)
    np.testing.assert_array_equal(rewards, table.rewards)
    other = make_reward_table(40, 9, profile=profile, n_features=3, random_state=1)
    assert (other.rewards != rewards).any()


@pytest.mark.parametrize("profile", ["math", "code", "routing"])
def test_answers_are_right_as_often_as_the_true_rates_say(profile):
    table = make_reward_table(500, 400, profile=profile, random_state=0)
    assert set(np.unique(table.rewards)) == {0, 1}
    observed = table.rewards.mean(axis=-1)
    deviation = np.sqrt(table.rates * (1 - table.rates) / 400)
    assert (np.abs(observed - table.rates) <= 5 * deviation).all()
    # Standardised, the errors have mean 0 and spread 1 over about 500 queries.
    random = deviation > 0.01
    standardised = (observed - table.rates)[random] / deviation[random]
    assert standardised.mean() == pytest.approx(0, abs=0.2)
    assert standardised.std() == pytest.approx(1, abs=0.15)


def test_observed_marginals_agree_with_the_closed_form():
    table = make_reward_table(300, 300, profile="math", random_state=0)
    observed = marginal_rewards(table.rewards, 8)
    np.testing.assert_allclose(
        observed.mean(axis=0), rate_marginals(table.rates, 8).mean(axis=0), atol=0.01
    )


def test_math_is_difficult_in_all_degrees():
    rates = make_reward_table(20_000, 1, profile="math", random_state=0).rates
    shares = np.histogram(rates, bins=10, range=(0, 1))[0] / len(rates)
    assert rates.mean() == pytest.approx(0.41, abs=0.02)
    assert shares.min() > 0.03
    assert shares[0] == pytest.approx(0.305, abs=0.03)
    assert shares[-1] == pytest.approx(0.2, abs=0.04)


@pytest.mark.parametrize("n_queries", [1, 10, 1001])
def test_code_is_hopeless_on_two_queries_in_five(n_queries):
    rates = make_reward_table(n_queries, 1, profile="code", random_state=0).rates
    assert (rates == 0).sum() == np.ceil(0.4 * n_queries)


def test_chat_queries_differ_in_mean_and_deviation():
    table = make_reward_table(2000, 500, profile="chat", random_state=0)
    means, scales = table.rewards.mean(axis=1), table.rewards.std(axis=1)
    np.testing.assert_allclose(means, table.means, atol=1.2)
    np.testing.assert_allclose(scales, table.scales, rtol=0.2)
    assert np.abs((means - table.means) / table.scales).max() < 5 / np.sqrt(500)
    assert np.quantile(table.scales, 0.9) > 2 * np.quantile(table.scales, 0.1)
    # The best of two Gaussian draws is worth scale / sqrt(pi) more than one.
    gain = marginal_rewards(table.rewards, 2)[:, 1]
    np.testing.assert_allclose(gain, table.scales / np.sqrt(np.pi), rtol=0.25)


def test_routing_has_queries_on_which_the_weak_decoder_wins():
    table = make_reward_table(5000, 1, profile="routing", random_state=0)
    weak, strong = table.rates.T
    assert 0.1 < (weak > strong).mean() < 0.3
    assert strong.mean() > weak.mean() + 0.1


def target_of(table):
    routing = table.rewards.ndim == 3
    return preferences(table.rewards) if routing else success_rates(table.rewards)


@pytest.mark.parametrize("profile", PROFILES)
def test_features_tell_much_of_the_truth_but_not_all(profile):
    explained = []
    for noise in (0.1, 0.5, 3.0):
        table = make_reward_table(1000, profile=profile, noise=noise, random_state=0)
        truth = target_of(table)
        pred = cross_val_predict(Ridge(), table.data, truth, cv=5)
        explained.append(r2_score(truth, pred))
    assert explained[0] > explained[1] > explained[2]
    assert 0.3 < explained[1] < 0.9
    assert explained[2] < 0.2


def test_one_of_everything():
    table = make_reward_table(1, 1, n_features=1, noise=0, random_state=0)
    assert table.data.shape == (1, 1)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_queries": 0}, "n_queries=0 is not accepted"),
        ({"n_samples": 1.5}, r"n_samples=1\.5 is not accepted"),
        ({"n_features": -1}, "n_features=-1 is not accepted"),
        ({"noise": -0.1}, r"noise=-0\.1 is not accepted"),
        ({"noise": np.nan}, "noise=nan is not accepted"),
        ({"profile": "poetry"}, r"profile='poetry' .* one of \['math', 'code', 'chat'"),
    ],
)
def test_bad_parameters(options, match):
    with pytest.raises(ValueError, match=match):
        make_reward_table(**options)
