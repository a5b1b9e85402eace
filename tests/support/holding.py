"""Work that stops in the middle, until a file is there: what is killed then held it."""

import time
from pathlib import Path

from collecting import LoggingSampler, write
from sklearn.base import BaseEstimator, TransformerMixin

_n_begun = 0  # batches of this process


def hold(gate):
    """From the second batch of a process on, wait until there is such a file."""
    global _n_begun
    _n_begun += 1
    while _n_begun > 1 and not Path(gate).exists():
        time.sleep(0.02)


class HoldingStep(TransformerMixin, BaseEstimator):
    """Passes features through. With a log, it writes down each batch, and holds."""

    def __init__(self, log=None, gate=None):
        self.log = log
        self.gate = gate

    def fit(self, X, y=None):
        """Learn nothing."""
        return self

    def transform(self, X):
        """Return what is given."""
        if self.log is not None:
            write(self.log, len(X))
            hold(self.gate)
        return X

    def __sklearn_is_fitted__(self):
        return True


class HoldingSampler(LoggingSampler):
    """Writes down what it is asked for, and holds."""

    def __init__(self, log, gate):
        super().__init__(log, 0.0)
        self.gate = gate

    def sample(self, prompts, budgets, **options):
        answers = super().sample(prompts, budgets, **options)
        hold(self.gate)
        return answers
