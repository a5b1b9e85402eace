"""Which answers are the same in mathematics."""

from functools import lru_cache
from reprlib import repr as short_repr

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.parameters import check_in_interval
from sklearn_adaalloc.rewards._comparing import FormulaComparer
from sklearn_adaalloc.rewards._mathematics.final_answers import reference_answer
from sklearn_adaalloc.rewards._mathematics.normal_forms import LONGEST, normalise

_MOST_PAIRS = 2**18  # that are remembered


class MathEquivalence(FormulaComparer, DocumentationLinkMixin, BaseEstimator):
    r"""Tell which answers are the same in mathematics: a key for majority votes.

    Answers are read and compared as by :class:`MathVerifier`, but with each other:
    ``\frac{\pi}{2}`` is ``\pi/2``. Pass an instance as the `key` of
    :class:`~sklearn_adaalloc.curves.MostVotes`.

    Answers to one query are put in classes. The answers are ordered from short to long,
    and each joins the first class whose first member it equals, or else begins a class
    of its own. So classes do not overlap, and depend neither on the order of the
    answers nor on other queries. Answers stay apart if their comparison takes longer
    than `timeout` or breaks down.

    Most answers are decided by their normal forms. The others are compared in worker
    processes, each pair once: results are kept, so that the next call with the same
    answers is fast.

    Parameters
    ----------
    timeout : float, default=5.0
        Seconds for one pair.
    n_jobs : int, default=-1
        Worker processes; -1 takes as many as there are processors.

    See Also
    --------
    MathVerifier : Grades answers by a reference.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards import MathEquivalence
    >>> answers = [r"\frac{1}{2}", "2", "The answer is 0.5.", r"\boxed{}"]
    >>> MathEquivalence(n_jobs=1)(answers)
    ['0.5', '2', '0.5', None]
    """

    def __init__(self, *, timeout=5.0, n_jobs=-1):
        self.timeout = timeout
        self.n_jobs = n_jobs

    def __eq__(self, other):
        return type(other) is type(self) and other.get_params() == self.get_params()

    def __hash__(self):
        return hash(type(self))

    def __getstate__(self):
        state = super().__getstate__()
        return {key: value for key, value in state.items() if key != "_verdicts"}

    def __call__(self, answers):
        """Find keys that are equal for answers that are the same.

        Parameters
        ----------
        answers : sequence of n_answers str or int
            Answers to one query, as short as "1/2" or whole solutions that end with an
            answer.

        Returns
        -------
        keys : list of n_answers str or None
            The shortest of the answers that are the same. None for a text that holds
            no answer, or for None.

        Raises
        ------
        ValueError
            If `answers` is no sequence, or if `timeout` or `n_jobs` is not accepted.
        ImportError
            If math-verify is not installed.
        """
        import_optional("math_verify", "verify")
        check_in_interval(self.timeout, "timeout", 0, 3600, closed="right")
        if isinstance(answers, str) or not np.iterable(answers):
            raise ValueError(
                f"answers={short_repr(answers)} is not accepted. Expected a sequence "
                "of the answers to one query."
            )
        found = [_read("" if each is None else str(each)) for each in answers]
        shortest = {}
        for text, form in sorted(set(found), key=lambda each: _by_length(each[0])):
            shortest.setdefault(form, text)
        classes = self._classes([form for form in shortest if form.formula])
        return [shortest[classes[form]] if form.formula else None for _, form in found]

    def _classes(self, forms):
        """First member of the class of each normal form."""
        waiting = sorted(forms, key=lambda form: (len(form.formula), form))
        first_of = {}
        while waiting:
            first, *others = waiting
            equal = self._equal(first, others)
            first_of |= dict.fromkeys([first, *equal], first)
            waiting = [form for form in others if form not in equal]
        return first_of

    def _equal(self, first, others):
        """Those of the normal forms that are right where the first is the reference.

        An equation is what it ends with, as for 3 + 4 = 7. But x + y = 0 is not 0: such
        an equation must also have 0 accepted as its answer.
        """
        pairs = self._right([(first, other) for other in others])
        equal = {other for _, other in pairs}
        if first.formula == "0":
            pairs = self._right([(other, first) for other in equal])
            equal = {other for other, _ in pairs}
        return equal

    def _right(self, pairs):
        """Pairs of a reference and an answer that is right."""
        if not hasattr(self, "_verdicts") or len(self._verdicts) > _MOST_PAIRS:
            self._verdicts = {}
        known = self._verdicts
        known |= self._compare([pair for pair in pairs if pair not in known])
        return [pair for pair in pairs if known[pair] == 1.0]


@lru_cache(maxsize=2**16)
def _read(answer):
    """The answer in a text, and its normal form."""
    answer = reference_answer(answer)
    if len(answer) > LONGEST:
        answer = ""
    return answer, normalise(answer)


def _by_length(text):
    return len(text), text
