"""Compare answers in mathematics, in worker processes where formulas must be read."""

import json
import os
import sys
from numbers import Integral
from pathlib import Path
from threading import Lock

import numpy as np
from joblib import effective_n_jobs

from sklearn_adaalloc.rewards._mathematics.normal_forms import readings
from sklearn_adaalloc.rewards._mathematics.words import has_words, same_words
from sklearn_adaalloc.rewards._workers import WorkerPool

_LOCK = Lock()


class FormulaComparer:
    """Compares pairs of answers; a base of classes that do.

    They have the parameters `timeout`, seconds for one pair, and `n_jobs`. Workers
    start when first needed, stay for the next call, and end with the object. They are
    not part of its pickles.
    """

    def __getstate__(self):
        state = super().__getstate__()
        return {key: value for key, value in state.items() if key != "_pool"}

    def _compare(self, cases):
        """Grade of each pair of normalised answers, the reference first.

        Parameters
        ----------
        cases : list of (Answer, Answer)
            Distinct pairs.

        Returns
        -------
        grades : dict of (Answer, Answer) to float
            1.0 if they are equal, 0.0 if not, NaN where that is not known.
        """
        ways = {case: readings(*case) for case in cases}
        pairs = dict.fromkeys(pair for way in ways.values() for pair, _ in way)
        equal = {pair: same_words(*pair) for pair in pairs}
        open_pairs = [pair for pair in pairs if equal[pair] is None]
        if open_pairs:
            lines = [json.dumps([*pair, self.timeout]) for pair in open_pairs]
            replies = self._workers().ask(lines, self.timeout)
            equal.update(zip(open_pairs, map(_grade, open_pairs, replies), strict=True))
        return {
            case: _best(
                [verdict * equal[pair] if equal[pair] else 0.0 for pair, verdict in way]
            )
            for case, way in ways.items()
        }

    def _workers(self):
        """Worker processes of this object in this process."""
        n_jobs = self.n_jobs
        if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
            raise ValueError(
                f"n_jobs={n_jobs!r} is not accepted. Expected a whole number of worker "
                "processes; -1 takes as many as there are processors."
            )
        n_workers = effective_n_jobs(n_jobs)
        with _LOCK:
            pool = getattr(self, "_pool", None)
            wanted = n_workers, os.getpid()
            if pool is None or (pool.n_workers, pool.process_id) != wanted:
                script = Path(__file__).parent / "_mathematics" / "worker.py"
                self._pool = WorkerPool([sys.executable, str(script)], n_workers)
            return self._pool


def _best(grades):
    """Grade of an answer that may be read in several ways; 0 if in none."""
    return 1.0 if 1.0 in grades else float(np.sum(grades))


def _grade(pair, reply):
    """Grade by a worker's reply, which is None if it was killed."""
    if reply == "null" and has_words(pair[0]):
        return 0.0  # such references are compared as words
    return {"true": 1.0, "false": 0.0}.get(reply, np.nan)
