"""How the answers to a request are judged."""

from concurrent.futures import Future
from threading import Lock

from sklearn_adaalloc._utils.queries import text_of
from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.rewards import CodeVerifier, MathVerifier, RewardModel
from sklearn_adaalloc.rewards._mathematics.final_answers import final_answer
from sklearn_adaalloc.rewards._mathematics.normal_forms import normalise
from sklearn_adaalloc.rewards._programs.entries import check_entry
from sklearn_adaalloc.rewards._programs.sandbox import bubblewrap_command
from sklearn_adaalloc.serving._current import CURRENT
from sklearn_adaalloc.serving._errors import ApiError, bad_request

_GRADERS = 32  # threads that wait for a reward model, so that it reads batches


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
    may_vote : bool, default=False
        Whether answers are such that they can be voted on where it says nothing.
    n_graders : int, default=None
        Threads that grade; None for as many as there are processors.
    """

    is_binary = None  # whether rewards are 0 and 1; None if nobody knows

    def __init__(self, name, reward, reads=None, *, may_vote=False, n_graders=None):
        self.name = name
        self.reward = reward
        self.may_vote = may_vote
        self.n_graders = n_graders
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


class ModelVerdicts(Verdicts):
    """Scores of a reward model, which reads what several requests ask at a time.

    Parameters
    ----------
    name : str
        What replies call it.
    model : RewardModel
        It is loaded at once, to see that it can be.
    """

    is_binary = False

    def __init__(self, name, model):
        model(["Is this a text?"], [["Yes."]])
        try:
            model([[{"role": "user", "content": "And this?"}]], [["A chat."]])
        except ValueError:  # it has no template

            def score(queries, answers):
                return model([text_of(query) for query in queries], answers)
        else:
            score = model
        super().__init__(name, Together(score), n_graders=_GRADERS)


class Together:
    """A reward function that grades in one call what threads ask while it is busy.

    Parameters
    ----------
    reward : callable
        ``reward(queries, answers)``. It must not depend on the request.

    Examples
    --------
    >>> from sklearn_adaalloc.serving._verdicts import Together
    >>> Together(lambda queries, answers: [[0.5]] * len(queries))(["2+3="], [["5"]])
    [[0.5]]
    """

    def __init__(self, reward):
        self._reward = reward
        self._waiting = []
        self._adding, self._grading = Lock(), Lock()

    def __call__(self, queries, answers):
        """Grade answers, together with those of other threads."""
        asked = queries, answers, Future()
        with self._adding:
            self._waiting.append(asked)
        with self._grading:  # whoever comes first grades for all that wait
            with self._adding:
                batch, self._waiting = self._waiting, []
            self._grade(batch)
        return asked[2].result()

    def _grade(self, batch):
        queries = [query for own, _, _ in batch for query in own]
        answers = [row for _, own, _ in batch for row in own]
        try:
            rewards = list(self._reward(queries, answers) if queries else [])
        except Exception as error:
            if len(batch) > 1:  # let each have its own error
                for each in batch:
                    self._grade([each])
                return
            batch[0][2].set_exception(error)
            return
        for own, _, graded in batch:
            graded.set_result(rewards[: len(own)])
            rewards = rewards[len(own) :]


def make_verdicts(reward):
    """Make verdicts from what the user names.

    Parameters
    ----------
    reward : {"vote", "math", "code"}, "model:NAME" or callable
        "vote" has answers vote for what they end with. "math" reads the reference of
        each request, "code" its tests. "model:NAME" is a reward model by its name or
        folder, or "model:embedded". A function takes queries and answers.

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
    if isinstance(reward, RewardModel):
        return ModelVerdicts("RewardModel", reward)
    if callable(reward):
        name = getattr(reward, "__name__", type(reward).__name__)
        return Verdicts(name, reward)
    if reward == "vote":
        return Verdicts("vote", final_labels)
    if reward == "math":
        judge = MathVerifier(_wished("reference"))
        return Verdicts("math", judge, "reference", may_vote=True)
    if reward == "code":
        return CodeVerdicts()
    kind, _, name = reward.partition(":") if isinstance(reward, str) else ("", "", "")
    if kind == "model" and name:
        place = embedded_model_path("reward") if name == "embedded" else name
        return ModelVerdicts(reward, RewardModel(place))
    raise ValueError(
        f"reward={reward!r} is not accepted. Expected 'vote', 'math', 'code', "
        "'model:NAME', or a function of queries and answers."
    )


def _wished(name):
    """Look a wish of the current request up, as reward functions look up a query."""
    return lambda query: getattr(CURRENT.get().asked.wishes, name)
