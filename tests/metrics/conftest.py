"""What the tests of Displays share."""

import pytest
from matplotlib import pyplot
from sklearn.base import BaseEstimator


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


class Policy(BaseEstimator):
    """Hand out marginals that stand in X."""

    def predict_marginals(self, X):
        return X


@pytest.fixture
def policy():
    return Policy()
