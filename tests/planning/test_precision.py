"""Fewest samples for a mean of given precision."""

import itertools

import numpy as np
import pytest

from sklearn_adaalloc.planning._precision import budgets_for_precision


def standard_error(rates, variances, budgets):
    between = np.mean(rates - variances) - np.mean(rates) ** 2
    return np.sqrt((between + np.mean(variances / budgets)) / len(rates))


@pytest.mark.parametrize("tolerance", [0.0, 0.01, 0.1, 0.5])
def test_no_fewer_samples_would_do(tolerance):
    # Against all ways to give four queries up to five samples.
    rates = np.array([0.05, 0.4, 0.7, 0.95])
    variances = rates * (1 - rates)
    budgets, (planned, of_all) = budgets_for_precision(
        rates, variances, 5, tolerance=tolerance
    )
    assert planned == pytest.approx(standard_error(rates, variances, budgets))
    assert of_all == pytest.approx(standard_error(rates, variances, np.full(4, 5)))
    assert planned <= of_all * (1 + tolerance) + 1e-12
    enough = [
        sum(each)
        for each in itertools.product(range(1, 6), repeat=4)
        if standard_error(rates, variances, np.array(each))
        <= of_all * (1 + tolerance) + 1e-12
    ]
    assert budgets.sum() == min(enough)


def test_samples_follow_standard_deviations():
    # Neyman allocation, where budgets are large enough to be nearly continuous.
    rates = np.repeat([0.5, 0.1], 50)
    variances = rates * (1 - rates)
    budgets, _ = budgets_for_precision(rates, variances, 400, tolerance=0.001)
    assert budgets[0] / budgets[-1] == pytest.approx(0.5 / 0.3, rel=0.05)


def test_the_score_scatters_as_expected_and_is_not_biased():
    generator = np.random.default_rng(0)
    rates = generator.beta(0.5, 0.5, size=200)
    variances = rates * (1 - rates)
    budgets, (planned, _) = budgets_for_precision(rates, variances, 10, tolerance=0.05)
    assert budgets.mean() < 5
    rows = generator.integers(200, size=(4000, 200))  # other questions each time
    n_right = generator.binomial(budgets[rows], rates[rows])
    scores = (n_right / budgets[rows]).mean(axis=1)
    assert scores.mean() == pytest.approx(rates.mean(), abs=3 * planned / np.sqrt(4000))
    assert scores.std() == pytest.approx(planned, rel=0.05)


def test_outcomes_that_never_vary_are_asked_once():
    budgets, errors = budgets_for_precision(
        np.array([0.0, 1.0, 1.0]), np.zeros(3), 10, tolerance=0.0
    )
    np.testing.assert_array_equal(budgets, 1)
    assert errors[0] == errors[1]


def test_one_epoch_is_all_there_is():
    rates = np.array([0.2, 0.5])
    budgets, _ = budgets_for_precision(rates, rates * (1 - rates), 1, tolerance=0.0)
    np.testing.assert_array_equal(budgets, 1)
