"""How the answers to a request are judged."""

from sklearn_adaalloc.rewards import CodeVerifier, MathVerifier
from sklearn_adaalloc.rewards._mathematics.final_answers import final_answer
from sklearn_adaalloc.rewards._mathematics.normal_forms import normalise
from sklearn_adaalloc.rewards._programs.entries import check_entry
from sklearn_adaalloc.rewards._programs.sandbox import bubblewrap_command
from sklearn_adaalloc.serving._current import CURRENT
from sklearn_adaalloc.serving._errors import ApiError, bad_request


class Verdicts:
    """A reward function for the request that is being answered.

    Parameters
    ----------
    name : str
        What replies call it.
    reward : callable
        ``reward(queries, answers)``.
    reads : {"reference", "tests"}, default=None
        The wish without which it can say nothing.
    """

    def __init__(self, name, reward, reads=None):
        self.name = name
        self.reward = reward
        self._reads = reads

    def are_possible(self, wishes):
        """Whether answers to a request with these wishes can be judged."""
        return self._reads is None or getattr(wishes, self._reads) is not None

    def check(self, asked):
        """Raise an ApiError for wishes that nobody would fulfil."""
        for wish in {"reference", "tests"} - {self._reads}:
            if getattr(asked.wishes, wish) is not None:
                raise bad_request(
                    f"{wish} is of no use here: answers are judged by {self.name}. "
                    "Leave it out.",
                    f"adaalloc.{wish}",
                )


def final_labels(queries, answers):
    """What answers vote for: the number or formula at their end.

    Examples
    --------
    >>> from sklearn_adaalloc.serving._verdicts import final_labels
    >>> final_labels(["2+3="], [["The answer is 5.", "So it is $5$"]])
    [['5', '5']]
    """
    return [
        [normalise(final_answer(text)).formula or None for text in row]
        for row in answers
    ]


class CodeVerdicts(Verdicts):
    """Verdicts of tests that come with the request, in the sandbox only."""

    def __init__(self):
        super().__init__("code", CodeVerifier(_wished("tests")), "tests")

    def check(self, asked):
        """Raise an ApiError also if the tests cannot be run."""
        super().check(asked)
        if asked.wishes.tests is None:
            return
        try:
            bubblewrap_command()
        except RuntimeError:
            raise ApiError(
                400,
                "tests cannot be run: this server has no sandbox (bubblewrap). Leave "
                "them out, or install it on the server.",
                "no_sandbox",
                "adaalloc.tests",
            ) from None
        try:
            check_entry(asked.wishes.tests, asked.queries[0])
        except ValueError as error:
            raise bad_request(str(error), "adaalloc.tests") from None


def make_verdicts(reward):
    """Make verdicts from what the user names.

    Parameters
    ----------
    reward : {"vote", "math", "code"} or callable
        "vote" has answers vote for what they end with. "math" reads the reference of
        each request, "code" its tests. A function takes queries and answers.

    Returns
    -------
    verdicts : Verdicts

    Raises
    ------
    ValueError
        If it is something else.

    Examples
    --------
    >>> from sklearn_adaalloc.serving._asking import Wishes
    >>> from sklearn_adaalloc.serving._verdicts import make_verdicts
    >>> verdicts = make_verdicts("math")
    >>> verdicts.are_possible(Wishes(reference="7")), verdicts.are_possible(Wishes())
    (True, False)
    """
    if callable(reward):
        name = getattr(reward, "__name__", type(reward).__name__)
        return Verdicts(name, reward)
    if reward == "vote":
        return Verdicts("vote", final_labels)
    if reward == "math":
        return Verdicts("math", MathVerifier(_wished("reference")), "reference")
    if reward == "code":
        return CodeVerdicts()
    raise ValueError(
        f"reward={reward!r} is not accepted. Expected 'vote', 'math', 'code', or a "
        "function of queries and answers."
    )


def _wished(name):
    """Look a wish of the current request up, as reward functions look up a query."""
    return lambda query: getattr(CURRENT.get().asked.wishes, name)
