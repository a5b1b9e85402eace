"""Rewards for answers that are programs: 1 if they pass the tests."""

import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from numbers import Integral, Real
from sys import version_info

from joblib import effective_n_jobs
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.parameters import (
    MOST,
    check_parameters,
)
from sklearn_adaalloc._utils.queries import check_answers
from sklearn_adaalloc.rewards._programs.entries import (
    check_entry,
    contest_preamble,
    write_tests,
)
from sklearn_adaalloc.rewards._programs.extraction import complete_program
from sklearn_adaalloc.rewards._programs.sandbox import (
    SANDBOXES,
    bubblewrap_command,
    package_folders,
    run_tests,
)
from sklearn_adaalloc.rewards._references import assign_grades, look_up, table_digest

RULES = 2  # version of the rules that find, run and compare programs


class CodeVerifier(DocumentationLinkMixin, BaseEstimator):
    """Grade Python programs of a model by unit tests: 1 if all pass, 0 otherwise.

    Each distinct answer to a query is run once, in a bubblewrap sandbox without
    network, home or environment. A new interpreter runs it, with the standard library
    and `packages`. The program cannot fake success: tests and program are separate
    processes, and the program's process never has the expected values. (The module
    ``sklearn_adaalloc.rewards._programs.sandbox`` lists the attacks that it prevents.)
    Without a sandbox, nothing is run.

    Values, functions, objects, errors and output are passed between the two processes.
    If tests do something that does not work across processes, the grade is NaN, which
    means unknown. One warning gives the reasons and the number of cases.
    :doc:`/verifier` has the details.

    The program is the last fenced block of the answer that defines the entry point,
    together with helpers from earlier blocks that it needs. Thoughts in ``<think>`` are
    removed. Without a block, the whole answer is the program. If the tests have a
    prompt and the answer does not define the entry point, the answer continues the text
    of the prompt. So completions of HumanEval prompts can be graded directly. End them
    with stop strings of the sampler.

    Parameters
    ----------
    tests : mapping or callable
        Query -> tests, or a function of one query. The key of a chat is
        ``json.dumps(chat, sort_keys=True)``. An entry has one of these forms, without
        other keys:

        - ``{"test": ..., "entry_point": ..., "prompt": ...}``, as in HumanEval: source
          that defines ``check(candidate)``; the name of the function to check;
          optionally, the text that the answer may continue.
        - ``{"test_list": [...], "test_setup_code": ..., "entry_point": ...}``, as in
          MBPP: asserts that call the program's functions by name; optionally, source to
          run first; and the name of the function, needed only if it is also the name of
          a Python function (``sum``). The list alone is accepted too.
        - ``{"inputs": [...], "outputs": [...]}``, as in APPS and TACO: texts for
          standard input, and the expected output. White space, and differences of 1e-6
          in decimals, are ignored. With ``"fn_name"``, inputs are lists of arguments,
          or texts with the JSON of one argument per line. Outputs are the expected
          return values of the function, or of a method of a class ``Solution``. Then
          floats may differ by 1e-6, tuples equal lists, and dict keys equal the texts
          that JSON makes of them. The JSON text of such a dict is accepted too.
    timeout : float, default=10.0
        Seconds for an answer. For programs that read standard input, seconds for each
        input.
    memory_mb : int, default=1024
        Memory of a program, in MiB.
    n_jobs : int, default=-1
        Number of programs run at once; -1 for the number of processors.
    sandbox : {"bubblewrap", "unsafe-none"}, default="bubblewrap"
        Where programs run. "unsafe-none" runs them with your own rights, with limits of
        time and resources but without protection. Use it only for code that you would
        run anyway.
    preamble : {"auto", "contest"}, str or None, default="auto"
        Source that is run before each program. "contest" imports the names that public
        harnesses of contest problems give to every program (``List``, ``deque``,
        ``inf``, ``math``, ...). "auto" does so if the tests have a ``"fn_name"``. None
        runs nothing. Any other text is your own source.
    packages : sequence of str, default=()
        Packages of this environment, such as ``("numpy",)``, that programs and tests
        may import. They and their dependencies are read-only.

    See Also
    --------
    MathVerifier : Grades answers that end with a number or formula.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards import CodeVerifier
    >>> query = "Write a function double(x)."
    >>> verifier = CodeVerifier(
    ...     {query: ["assert double(2) == 4"]},
    ...     sandbox="unsafe-none",  # these two answers are our own
    ... )
    >>> verifier([query], [["def double(x): return 2 * x", "def double(x): return x"]])
    [array([1., 0.])]
    """

    _parameter_constraints = {
        "timeout": [Interval(Real, 0, 3600, closed="right")],
        "memory_mb": [Interval(Integral, 64, MOST, closed="both")],
        "sandbox": [StrOptions(set(SANDBOXES))],
    }

    def __init__(
        self,
        tests,
        *,
        timeout=10.0,
        memory_mb=1024,
        n_jobs=-1,
        sandbox="bubblewrap",
        preamble="auto",
        packages=(),
    ):
        self.tests = tests
        self.timeout = timeout
        self.memory_mb = memory_mb
        self.n_jobs = n_jobs
        self.sandbox = sandbox
        self.preamble = preamble
        self.packages = packages

    def __call__(self, queries, answers):
        """Grade answers.

        Parameters
        ----------
        queries : sequence of n_queries str or lists of dict
            Texts or chats.
        answers : sequence of n_queries sequences of str
            Any number of answers to each query.

        Returns
        -------
        rewards : list of n_queries ndarrays of shape (n_answers,)
            1.0 if all tests pass, 0.0 if not, NaN if unknown.

        Warns
        -----
        UserWarning
            If some grades are NaN. It gives their number and the reasons.

        Raises
        ------
        ValueError
            If a parameter or an answer is not accepted, or a query has no tests.
        RuntimeError
            If there is no sandbox, or it does not start.
        """
        queries, answers = check_answers(queries, answers)
        check_parameters(self)
        if self.sandbox == "bubblewrap":
            bubblewrap_command()
        packages = _check_packages(self.packages)
        _check_preamble(self.preamble)
        entries = look_up(queries, self.tests, "tests")
        entries = [
            check_entry(entry, query, packages=packages)
            for entry, query in zip(entries, queries, strict=True)
        ]
        jobs = [
            [(row, complete_program(answer, entry)) for answer in answers[row]]
            for row, entry in enumerate(entries)
        ]
        tests = [write_tests(entry) for entry in entries]
        distinct = list(dict.fromkeys(job for row in jobs for job in row))

        def verdict(job):
            row, program = job
            preamble = self._preamble(program, entries[row])
            return self._passes(program, *tests[row], preamble, packages)

        with ThreadPoolExecutor(effective_n_jobs(self.n_jobs)) as pool:
            verdicts = dict(zip(distinct, pool.map(verdict, distinct), strict=True))
        _warn_of_unknown(verdicts.values())
        grades = {job: _grade(verdict) for job, verdict in verdicts.items()}
        return assign_grades(grades, jobs)

    @property
    def settings(self):
        """Everything that a grade depends on besides query and answer, as a dict."""
        return {
            "reward": type(self).__name__,
            "rules": RULES,
            "tests": table_digest(self.tests, "tests"),
            "timeout": self.timeout,
            "memory_mb": self.memory_mb,
            "sandbox": self.sandbox,
            "preamble": self.preamble,
            "packages": [f"{n}=={_version(n)}" for n in _check_packages(self.packages)],
            "python": f"{version_info.major}.{version_info.minor}",
        }

    def _preamble(self, program, entry):
        """Source to run before a program."""
        if self.preamble == "contest" or (
            self.preamble == "auto" and "fn_name" in entry
        ):
            return contest_preamble(program)
        return "" if self.preamble in (None, "auto") else self.preamble

    def _passes(self, program, tests, reads_input, preamble, packages):
        if not program.strip():
            return False
        return run_tests(
            program,
            tests,
            timeout=self.timeout,
            memory_mb=self.memory_mb,
            sandbox=self.sandbox,
            reads_input=reads_input,
            preamble=preamble,
            packages=packages,
        )


def _grade(verdict):
    """Grade of a verdict; NaN if the verdict is a reason, a str."""
    return float("nan") if isinstance(verdict, str) else float(verdict)


def _warn_of_unknown(verdicts):
    """Warn about unknown verdicts, with their number and reasons."""
    verdicts = list(verdicts)
    reasons = Counter(verdict for verdict in verdicts if isinstance(verdict, str))
    if reasons:
        listed = "; ".join(f"{n} because {why}" for why, n in reasons.most_common(5))
        warnings.warn(
            f"{reasons.total()} of {len(verdicts)} programs have no grade (NaN): "
            f"{listed}. Rewrite these tests, so that they compare values of Python's "
            "own types.",
            UserWarning,
            stacklevel=3,
        )


def _check_preamble(preamble):
    if preamble in (None, "auto", "contest"):
        return
    try:
        if not isinstance(preamble, str) or preamble.isidentifier():
            raise SyntaxError("not source text")
        compile(preamble, "<preamble>", "exec")
    except (SyntaxError, ValueError) as error:
        raise ValueError(
            f"preamble={preamble!r} is not accepted ({error}). Expected 'auto', "
            "'contest', None, or Python source."
        ) from None


def _check_packages(packages):
    """Check that packages are installed; a tuple of str."""
    if isinstance(packages, str) or not all(isinstance(p, str) for p in packages):
        raise ValueError(
            f"packages={packages!r} is not accepted. Expected a sequence of names of "
            "packages, such as ('numpy',)."
        )
    packages = tuple(packages)
    package_folders(packages)
    return packages


def _version(package):
    """Version of an installed package."""
    return metadata.version(metadata.packages_distributions()[package][0])
