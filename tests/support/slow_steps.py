"""A step of a pipeline that takes its time, and writes down each batch."""

import time

from collecting import write
from sklearn.base import BaseEstimator, TransformerMixin


class SlowStep(TransformerMixin, BaseEstimator):
    """Passes features through; a folder and a time in seconds make it slow."""

    def __init__(self, log=None, seconds=0.0):
        self.log = log
        self.seconds = seconds

    def fit(self, X, y=None):
        """Learn nothing."""
        return self

    def transform(self, X):
        """Wait, and return what is given."""
        if self.log is not None:
            write(self.log, len(X))
        time.sleep(self.seconds)
        return X

    def __sklearn_is_fitted__(self):
        return True
