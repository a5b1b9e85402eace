"""Expected improvements against simulation, and the batch's own trust."""

import numpy as np
import pytest
from scipy.stats import norm, t

from sklearn_adaalloc.planning._rewards import (
    RewardSamples,
    Trust,
    add_samples,
    expected_improvements,
    fit_trust,
    improvement_table,
    mean_and_deviation,
    no_samples,
)

CERTAIN = Trust(mean_samples=1e8, deviation_samples=1e8, variance_factor=1.0)


def normal_curve(means, spreads, max_budget):
    """Marginals of the expected best of b normal samples, by numerical integration."""
    z = np.linspace(-9, 9, 20_001)
    b = np.arange(1, max_budget + 1)[:, None]
    density = b * norm.pdf(z) * norm.cdf(z) ** (b - 1)
    maxima = np.trapezoid(z * density, z, axis=1)
    curves = means[:, None] + spreads[:, None] * maxima
    return np.diff(curves, axis=1, prepend=0.0)


def test_rounds_add_up_to_one():
    rewards = np.random.default_rng(0).normal(3, 2, (4, 7))
    rewards[0, 2:] = np.nan
    rewards[1] = np.nan
    at_once = add_samples(no_samples(4), rewards)
    in_rounds = no_samples(4)
    for part in (rewards[:, :1], rewards[:, 1:5], rewards[:, 5:]):
        in_rounds = add_samples(in_rounds, part)
    for one, other in zip(at_once, in_rounds, strict=True):
        np.testing.assert_allclose(one, other)
    assert at_once.count.tolist() == [2, 0, 7, 7]
    assert at_once.mean[2] == pytest.approx(rewards[2].mean())
    assert at_once.squares[2] == pytest.approx(7 * rewards[2].var())
    assert at_once.best[1] == -np.inf


def test_a_normal_curve_gives_its_mean_and_deviation():
    means, spreads = np.array([2.0, -1.0]), np.array([0.5, 3.0])
    found = mean_and_deviation(normal_curve(means, spreads, 8))
    np.testing.assert_allclose(found, (means, spreads), rtol=1e-3)


def test_empty_reward_is_added_back():
    marginals = normal_curve(np.array([2.0]), np.array([1.0]), 4)
    marginals[:, 0] += 5.0  # net of an empty reward of -5
    means, _ = mean_and_deviation(marginals, empty_reward=-5.0)
    assert means[0] == pytest.approx(2.0)


@pytest.mark.parametrize("marginals", [np.ones((3, 1)), np.zeros((3, 4))])
def test_a_curve_without_growth_leaves_the_spread_open(marginals):
    _, spreads = mean_and_deviation(marginals)
    assert spreads.tolist() == [1.0, 1.0, 1.0]


def test_known_normal_improves_as_the_textbook_says():
    # E max(y - B, 0) = σ (φ(z) - z (1 - Φ(z))), z = (B - μ) / σ
    best, mean, spread = np.array([0.0, 1.5, 4.0]), 1.0, 2.0
    samples = RewardSamples(np.ones(3, int), np.ones(3), np.zeros(3), best)
    gains = expected_improvements(
        samples, np.full(3, mean), np.full(3, spread), CERTAIN, 2
    )
    z = (best - mean) / spread
    np.testing.assert_allclose(
        gains[:, 0], spread * (norm.pdf(z) - z * norm.sf(z)), atol=1e-3
    )


def test_improvements_equal_simulation():
    rng = np.random.default_rng(0)
    samples = add_samples(no_samples(1), np.array([[0.0, 1.0, 2.0]]))
    trust = Trust(mean_samples=2.0, deviation_samples=5.0, variance_factor=1.0)
    gains = expected_improvements(samples, np.zeros(1), np.ones(1), trust, 3)
    # The posterior, drawn: variance first, then the mean, then three samples.
    squares = 3.0 + 2.0 + 2.0 * 3.0 / 5.0 * 1.0
    spread = np.sqrt(squares / rng.chisquare(8.0, 400_000))
    mean = 3.0 / 5.0 + spread / np.sqrt(5.0) * rng.standard_normal(400_000)
    draws = mean + spread * rng.standard_normal((3, 400_000))
    best = np.maximum(np.maximum.accumulate(draws, axis=0), 2.0).mean(axis=1)
    simulated = np.diff(best, prepend=2.0)
    np.testing.assert_allclose(gains[0], simulated, rtol=0.12)


def test_improvements_never_rise_and_respect_the_highest_reward():
    rng = np.random.default_rng(1)
    samples = add_samples(no_samples(50), rng.normal(0, 2, (50, 3)))
    arguments = (samples, np.zeros(50), np.ones(50), Trust(1.0, 4.0, 1.0), 10)
    free = expected_improvements(*arguments)
    bounded = expected_improvements(*arguments, highest=samples.best.max())
    assert (np.diff(free, axis=1) <= 0).all()
    assert (np.diff(bounded, axis=1) <= 0).all()
    assert (bounded <= free + 1e-12).all()
    np.testing.assert_allclose(bounded[samples.best.argmax()], 0.0, atol=1e-12)
    room = samples.best.max() - samples.best
    assert (bounded.sum(axis=1) <= room + 1e-9).all()


def test_trust_finds_what_made_the_samples():
    # Means are worth 4 samples: their errors have variance 1/4 of a sample's.
    rng = np.random.default_rng(2)
    spreads = 2.0 * np.sqrt(12.0 / rng.chisquare(12.0, 4000))
    errors = spreads / 2 * rng.standard_normal(4000)
    rewards = errors[:, None] + spreads[:, None] * rng.standard_normal((4000, 6))
    samples = add_samples(no_samples(4000), rewards)
    trust = fit_trust(samples, np.zeros(4000), np.ones(4000))
    assert trust.mean_samples == pytest.approx(4.0, rel=0.2)
    assert trust.deviation_samples == pytest.approx(12.0, rel=0.3)
    # The mean variance is 12 / 10 of the typical one, and that is 4.
    assert trust.variance_factor == pytest.approx(4.8, rel=0.1)


def test_one_sample_each_says_nothing_of_spreads():
    samples = add_samples(no_samples(30), np.random.default_rng(3).normal(size=(30, 1)))
    trust = fit_trust(samples, np.zeros(30), np.ones(30))
    assert trust.variance_factor == 1.0


def test_table_holds_the_maximum_of_normals():
    # From far below, the improvement is the expected maximum itself.
    largest = improvement_table(3)[0] - 8.0
    np.testing.assert_allclose(
        largest, [0.0, 1 / np.sqrt(np.pi), 1.5 / np.sqrt(np.pi)], atol=1e-4
    )


def test_heavy_tails_follow_student():
    # With the mean known, the predictive is Student's t: its first improvement.
    samples = RewardSamples(np.ones(1, int), np.zeros(1), np.zeros(1), np.array([1.0]))
    trust = Trust(mean_samples=1e8, deviation_samples=7.0, variance_factor=1.0)
    gain = expected_improvements(samples, np.zeros(1), np.ones(1), trust, 1)[0, 0]
    scale = np.sqrt(5.0 / 8.0)
    y = np.linspace(1, 200, 400_001)
    exact = np.trapezoid(t.sf(y / scale, 8.0), y)
    assert gain == pytest.approx(exact, rel=0.1)
