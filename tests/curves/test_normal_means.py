"""Normal mean rewards of several decoders, against textbook formulas."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_adaalloc.curves._normal_means import (
    count_rewards,
    fit_normal_means,
    posterior_means,
)

COVARIANCE = np.array([[1.0, 0.8, 0.3], [0.8, 1.5, 0.2], [0.3, 0.2, 0.6]])
VARIANCES = np.array([0.5, 1.0, 0.2])


def sample(rng, n_queries, n_samples):
    means = rng.multivariate_normal(np.zeros(3), COVARIANCE, size=n_queries)
    noise = rng.normal(size=(n_queries, 3, n_samples))
    return means[:, :, None] + np.sqrt(VARIANCES)[:, None] * noise


def conditional_normal(prior, samples):
    """Mean and covariance of the means given samples, as a list for each decoder."""
    decoder = np.repeat(np.arange(3), [len(each) for each in samples])
    told = np.concatenate(samples)
    both = COVARIANCE[:, decoder]
    joint = COVARIANCE[np.ix_(decoder, decoder)] + np.diag(VARIANCES[decoder])
    gain = both @ np.linalg.inv(joint)
    return prior + gain @ (told - prior[decoder]), COVARIANCE - gain @ both.T


def test_the_posterior_is_the_conditional_normal():
    rng = np.random.default_rng(0)
    for sizes in ([2, 0, 3], [1, 1, 1], [0, 4, 0], [0, 0, 1]):
        prior, samples = rng.normal(size=3), [rng.normal(size=n) for n in sizes]
        observed = np.array([each.mean() if each.size else 9.0 for each in samples])
        mean, spread = posterior_means(
            prior[None], COVARIANCE, VARIANCES, np.array([sizes]), observed[None]
        )
        expected = conditional_normal(prior, samples)
        assert_allclose(mean[0], expected[0], atol=1e-12)
        assert_allclose(spread[0], expected[1], atol=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_the_model_is_recovered(missing):
    rng = np.random.default_rng(0)
    rewards = sample(rng, 4000, 3)
    rewards[rng.random(rewards.shape) < missing] = np.nan
    covariance, variances = fit_normal_means(*count_rewards(rewards))
    assert_allclose(covariance, COVARIANCE, atol=0.08)
    assert_allclose(variances, VARIANCES, atol=0.04)


def test_one_sample_per_cell_gives_covariances_and_sums_of_variances():
    rewards = sample(np.random.default_rng(0), 6000, 1)
    covariance, variances = fit_normal_means(*count_rewards(rewards))
    apart = ~np.eye(3, dtype=bool)
    assert_allclose(covariance[apart], COVARIANCE[apart], atol=0.08)
    assert_allclose(
        np.diag(covariance) + variances, np.diag(COVARIANCE) + VARIANCES, atol=0.1
    )
    assert (variances > 0).all()


def test_where_nothing_says_more_half_of_the_variance_is_within():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(900, 2, 1))
    covariance, variances = fit_normal_means(*count_rewards(rewards))
    assert_allclose(np.diag(covariance), 0.5, atol=0.05)
    assert_allclose(variances, 0.5, atol=0.05)


def test_the_share_within_is_that_of_other_decoders():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(900, 2, 1)) + 0.2 * rng.normal(size=(900, 2, 4))
    rewards[:, 1, 1:] = np.nan
    covariance, variances = fit_normal_means(*count_rewards(rewards))
    assert_allclose(np.diag(covariance), 1.0, atol=0.1)
    assert_allclose(variances, 0.04, atol=0.01)


@pytest.mark.parametrize("n_queries", [1, 2, 5])
def test_few_queries_leave_the_covariance_positive_definite(n_queries):
    rewards = np.repeat(np.random.default_rng(0).normal(size=(n_queries, 1, 2)), 3, 1)
    covariance, variances = fit_normal_means(*count_rewards(rewards))
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert (variances > 0).all()


def test_equal_rewards_have_next_to_no_variance():
    covariance, variances = fit_normal_means(*count_rewards(np.zeros((9, 2, 2))))
    assert 0 < np.linalg.eigvalsh(covariance).max() < 1e-6
    assert (variances > 0).all()
    assert (variances < 1e-6).all()
