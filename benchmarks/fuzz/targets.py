"""The list of targets: a name, what is drawn, and what must hold."""

import warnings
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz.outcomes import TALLY

TARGETS = {}


@dataclass
class Target:
    """One public entry, or a few that belong together.

    Parameters
    ----------
    name : str
        Subpackage and entry, such as "metrics.budget_curve".
    inputs : int
        Its share, in inputs of 100,000 or so: many if it is cheap.
    check : callable
        Function of the drawn arguments that raises if something is wrong.
    strategies : dict
        A Hypothesis strategy for each argument.
    """

    name: str
    inputs: int
    check: Any
    strategies: dict
    last: dict = field(default_factory=dict)

    def share(self, n_inputs):
        """How many of a number of inputs to all targets are its own."""
        total = sum(target.inputs for target in TARGETS.values())
        return -(-n_inputs * self.inputs // total)

    def property(self, n_inputs, *, after=lambda: None, **options):
        """A new Hypothesis test of it, for any engine to drive.

        Parameters
        ----------
        n_inputs : int
            Number of inputs when Hypothesis draws them itself.
        after : callable
            Called after each input.
        **options
            More of Hypothesis' settings.

        Returns
        -------
        test : callable
        """

        def holds(arguments):
            self.last = arguments
            TALLY["inputs"] += 1
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)
                    self.check(**arguments)
            finally:
                after()

        holds.__name__ = holds.__qualname__ = self.name.replace(".", "_")
        settled = settings(
            max_examples=n_inputs,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **options,
        )
        return settled(given(st.fixed_dictionaries(self.strategies))(holds))


def target(name, /, *, inputs, **strategies):
    """Enter the decorated function in `TARGETS`; parameters as of `Target`."""

    def enter(check):
        TARGETS[name] = Target(name, inputs, check, strategies)
        return check

    return enter
