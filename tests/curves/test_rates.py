"""Success rates and distributions over them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from sklearn_adaalloc.curves import mixture_marginals, rate_marginals, success_rates

NAN = np.nan


def test_success_rates_leave_missing_samples_out():
    assert_allclose(
        success_rates(np.array([[1.0, NAN, 0, 0], [1, 1, 1, 1]])), [1 / 3, 1]
    )


def test_rate_marginals_by_hand():
    assert_allclose(
        rate_marginals(np.array([0.0, 0.5, 0.9, 1.0]), 3),
        [[0, 0, 0], [0.5, 0.25, 0.125], [0.9, 0.09, 0.009], [1, 0, 0]],
    )


def test_rate_marginals_sum_to_the_chance_of_any_success():
    rates = np.linspace(0, 1, 11)
    total = rate_marginals(rates, 20).sum(axis=1)
    assert_allclose(total, 1 - (1 - rates) ** 20)


def test_mixture_marginals_by_hand():
    # Half hopeless, half at 1/2: (1/2)(1/2)^b.
    weights, rates = np.array([[0.5, 0.5, 0.0]]), np.array([0.0, 0.5, 1.0])
    assert_allclose(mixture_marginals(weights, rates, 3), [[0.25, 0.125, 0.0625]])


@given(arrays(float, (3, 7), elements=st.floats(0, 1)))
def test_mixture_marginals_never_increase(weights):
    marginals = mixture_marginals(weights, np.linspace(0, 1, 7), 12)
    assert (marginals >= 0).all()
    assert (np.diff(marginals, axis=1) <= 1e-12).all()
