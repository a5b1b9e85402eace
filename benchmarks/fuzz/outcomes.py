"""What may come of one call: a result, or an error that somebody has worded."""

import dis
import warnings
from collections import Counter

REFUSED = object()
TALLY = Counter()  # of this process: "inputs", "results", "refused"

# scikit-learn's checks let an OverflowError through for a huge Python int, and NumPy's
# warning for a row of inf and -inf.
_DOCUMENTED = (ValueError, TypeError, OverflowError, RuntimeWarning)

# Who may refuse an input in its own words. scikit-learn's checks do it for estimators.
_OURS = "sklearn_adaalloc"
_CHECKS = ("sklearn.utils", "sklearn.base", "sklearn.model_selection")


def attempt(function, *args, accepted=_DOCUMENTED, **kwargs):
    """Call a function that may refuse its input.

    Parameters
    ----------
    function : callable
        What to call, with all other arguments.
    accepted : tuple of types
        Errors that its docstring names.

    Returns
    -------
    result : object
        `REFUSED` after a documented error. Any other error is raised as it is, and so
        is every warning that is not a UserWarning, such as NumPy's about overflow.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            if not (isinstance(error, accepted) and is_worded(error)):
                raise
            TALLY["refused"] += 1
            return REFUSED
    TALLY["results"] += 1
    return result


def is_worded(error):
    """Say whether an error was raised on purpose, by this package or scikit-learn.

    Of the innermost frames, either the last is this package's and stands at a
    ``raise`` (what NumPy or ``float`` raise in C has no frame of its own), or this
    package has called one of scikit-learn's checks.

    Parameters
    ----------
    error : Exception
        A caught error.

    Returns
    -------
    bool

    Examples
    --------
    >>> from benchmarks.fuzz.outcomes import is_worded
    >>> from sklearn_adaalloc.metrics import mean_budget_score
    >>> try:
    ...     mean_budget_score([[1.0]], [-1])
    ... except ValueError as error:
    ...     print(is_worded(error))
    True
    """
    frames = list(_frames(error.__traceback__))
    modules = [frame.f_globals.get("__name__", "") for frame, _ in frames]
    ours = [i for i, name in enumerate(modules) if name.startswith(_OURS)]
    if ours and ours[-1] + 1 < len(modules):
        return modules[ours[-1] + 1].startswith(_CHECKS)
    frame, instruction = frames[-1]
    raised = dis.opname[frame.f_code.co_code[instruction]] == "RAISE_VARARGS"
    return bool(ours) and raised and bool(str(error))


def _frames(trace):
    while trace is not None:
        yield trace.tb_frame, trace.tb_lasti
        trace = trace.tb_next
