"""Rewards for answers that are programs: whether they pass the tests."""

from concurrent.futures import ThreadPoolExecutor
from sys import version_info

from joblib import effective_n_jobs
from sklearn.base import BaseEstimator

from sklearn_adaalloc._documentation import DocumentationLinkMixin
from sklearn_adaalloc._parameters import check_choice, check_in_interval, check_whole
from sklearn_adaalloc._queries import check_answers
from sklearn_adaalloc.rewards._answers import look_up, spread
from sklearn_adaalloc.rewards._programs import (
    check_entry,
    complete_program,
    write_tests,
)
from sklearn_adaalloc.rewards._sandbox import SANDBOXES, bubblewrap_command, run_tests


class CodeVerifier(DocumentationLinkMixin, BaseEstimator):
    """Grade model-written Python by unit tests: 1 if all pass, 0 otherwise.

    Each distinct answer to a query is run once, in a bubblewrap sandbox without
    network, home or environment, by a fresh interpreter that has the standard library
    only. The program cannot fake success: tests and program are separate processes, and
    the program's never holds the expected values (the module
    ``sklearn_adaalloc.rewards._sandbox`` says what is guarded against, and what not).
    Where there is no sandbox, nothing is run.

    The program is the fenced block of the answer that defines the entry point,
    otherwise the longest block; without a block, the whole answer. Where the tests have
    a prompt, an answer that does not define the entry point continues the prompt's
    text, so completions of HumanEval prompts are graded as they are; end them with stop
    strings of the sampler.

    Parameters
    ----------
    tests : mapping or callable
        From each query to its tests, or a function of one query; the key of a chat is
        ``json.dumps(chat, sort_keys=True)``. An entry has one of these forms, and no
        other keys:

        - ``{"test": ..., "entry_point": ..., "prompt": ...}``, as in HumanEval: source
          that defines ``check(candidate)``, the name of the function to check, and,
          optionally, the text that the answer may continue;
        - ``{"test_list": [...], "test_setup_code": ..., "entry_point": ...}``, as in
          MBPP: asserts that call the program's functions by name, optionally source to
          run before, and the function's name, needed only if it is one of Python's own
          (``sum``). The list alone will do;
        - ``{"inputs": [...], "outputs": [...]}``, as in APPS and TACO: texts for
          standard input and what must be printed, up to white space and 1e-6 in
          decimals; with ``"fn_name"``, lists of arguments and what the function, or
          method of a class ``Solution``, must return. The JSON text of such a dict will
          do.
    timeout : float, default=10.0
        Seconds for an answer; of programs that read standard input, for each input.
    memory_mb : int, default=1024
        MiB of memory of a program.
    n_jobs : int, default=-1
        Programs run at once; -1 takes as many as there are processors.
    sandbox : {"bubblewrap", "unsafe-none"}, default="bubblewrap"
        Where programs run. "unsafe-none" runs them as yourself, with time and resource
        limits but without protection: only for code that you would run anyway.

    See Also
    --------
    MathVerifier : Grades answers with a number or formula at their end.

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

    def __init__(
        self,
        tests,
        *,
        timeout=10.0,
        memory_mb=1024,
        n_jobs=-1,
        sandbox="bubblewrap",
    ):
        self.tests = tests
        self.timeout = timeout
        self.memory_mb = memory_mb
        self.n_jobs = n_jobs
        self.sandbox = sandbox

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
            1.0 if all tests pass, 0.0 otherwise.

        Raises
        ------
        ValueError
            If a parameter or an answer is not accepted, or a query has no tests.
        RuntimeError
            If there is no sandbox, or it does not start.
        """
        queries, answers = check_answers(queries, answers)
        check_in_interval(self.timeout, "timeout", 0, 3600, closed="right")
        check_whole(self.memory_mb, "memory_mb", least=64)
        if check_choice(self.sandbox, "sandbox", SANDBOXES) == "bubblewrap":
            bubblewrap_command()
        entries = look_up(queries, self.tests, "tests")
        entries = [check_entry(*pair) for pair in zip(entries, queries, strict=True)]
        jobs = [
            [(row, complete_program(answer, entry)) for answer in answers[row]]
            for row, entry in enumerate(entries)
        ]
        tests = [write_tests(entry) for entry in entries]
        distinct = list(dict.fromkeys(job for row in jobs for job in row))
        with ThreadPoolExecutor(effective_n_jobs(self.n_jobs)) as pool:
            passed = pool.map(
                lambda job: self._passes(job[1], *tests[job[0]]), distinct
            )
            grades = dict(zip(distinct, passed, strict=True))
        return spread({job: _grade(passed) for job, passed in grades.items()}, jobs)

    @property
    def settings(self):
        """All that a grade depends on beside query, tests and answer; a dict."""
        return {
            "reward": type(self).__name__,
            "timeout": self.timeout,
            "memory_mb": self.memory_mb,
            "sandbox": self.sandbox,
            "python": f"{version_info.major}.{version_info.minor}",
        }

    def _passes(self, program, tests, reads_input):
        if not program.strip():
            return False
        return run_tests(
            program,
            tests,
            timeout=self.timeout,
            memory_mb=self.memory_mb,
            sandbox=self.sandbox,
            reads_input=reads_input,
        )


def _grade(passed):
    """Grade of a verdict: NaN for the reason why there is none."""
    return float("nan") if isinstance(passed, str) else float(passed)
