"""Rewards for answers that end with a number or formula."""

import re
import warnings
from itertools import chain

import numpy as np
from sklearn.base import BaseEstimator, clone

from sklearn_adaalloc._utils.documentation import DocumentationLinkMixin
from sklearn_adaalloc._utils.identity import function_identity
from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.parameters import check_in_interval
from sklearn_adaalloc._utils.queries import check_answers
from sklearn_adaalloc.rewards._comparing import FormulaComparer
from sklearn_adaalloc.rewards._equivalence import MathEquivalence
from sklearn_adaalloc.rewards._mathematics.final_answers import (
    final_answer,
    reference_answer,
)
from sklearn_adaalloc.rewards._mathematics.normal_forms import normalise
from sklearn_adaalloc.rewards._references import assign_grades, look_up, table_digest
from sklearn_adaalloc.sampling._protocol import as_sampler

JUDGE_PROMPT = """\
Two people answered the same question. Decide whether the second answer means the same \
as the first, which is right. Ignore units, wording and notation. Do not solve the \
question.

Question: {query}

Right answer: {gold}

Second answer: {answer}

Is the second answer right? Reply with one word, YES or NO.
"""
RULES = 3  # counts the changes after which an answer may get another grade
_LONGEST = 1000  # characters of a text in the prompt


class MathVerifier(FormulaComparer, DocumentationLinkMixin, BaseEstimator):
    r"""Grade answers by the formula at their end: 1 if it equals the reference, else 0.

    Two stages, as in the paper. First, what the answer ends with (``\boxed``, "the
    answer is", else the last formula, number or list; thoughts between ``<think>`` and
    ``</think>`` do not count) is compared with the reference: 12.5 equals 25/2, x=2
    equals 2, -0.5 equals -1/2, 11.00 equals 11. Then, with a `judge`, a language model
    is asked about what the first stage does not accept.

    Formulas are read whole, by the parser of
    `math-verify <https://github.com/huggingface/Math-Verify>`_, never by a number in
    them. Numbers are exact. A decimal of six significant digits or more stands for a
    value that it is when that is rounded or cut off: 0.333333 equals 1/3, 0.333 does
    not. Points, vectors and intervals have an order; sets and plain lists have none,
    and all of a list counts.

    A unit counts where both sides have one: 5 cm equals 50 mm, not 5 m or 5 kg.
    Symbols are case-sensitive, words and the letters of choices are not.

    An answer that cannot be read is wrong. Where the answer may be right all the same,
    its reward is NaN, with a warning that counts these: the reference cannot be read,
    the numbers are equal but count other things, as in 3 apples and 3 pears, or the
    comparison takes longer than `timeout` or breaks down. Comparisons are done
    in worker processes, each killed and started again when a pair takes too long.
    Workers stay for the next call and end with this object. Distinct pairs are compared
    once.

    Parameters
    ----------
    references : mapping or callable
        From each query to its right answer, or a function of one query; the key of a
        chat is ``json.dumps(chat, sort_keys=True)``. A reference may be a whole
        solution, of which the final answer counts.
    judge : sampler, default=None
        Asked about what the first stage does not accept: a
        :class:`~sklearn_adaalloc.sampling.TransformersSampler`, or a function of
        prompts and budgets, see :doc:`/extending`. It sees the query and
        the two final answers, and the first YES or NO in its reply counts. None for no
        second stage.
    judge_temperature : float, default=0.1
        Temperature of a copy of the judge, which is the one asked. None leaves the
        judge as it is, as does one without a parameter `temperature`.
    timeout : float, default=5.0
        Seconds for one pair.
    n_jobs : int, default=-1
        Worker processes; -1 takes as many as there are processors.

    See Also
    --------
    CodeVerifier : Grades answers that are programs.
    MathEquivalence : Tells which answers are the same, for majority votes.

    References
    ----------
    Damani, Shenfeld, Peng, Bobu, Andreas, "Learning How Hard to Think: Input-Adaptive
    Allocation of LM Computation", ICLR 2025, appendix.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards import MathVerifier
    >>> verifier = MathVerifier({"Half of 25?": "25/2"}, n_jobs=1)
    >>> verifier(["Half of 25?"], [[r"It is \boxed{12.5}.", "The answer is 13."]])
    [array([1., 0.])]
    """

    def __init__(
        self, references, *, judge=None, judge_temperature=0.1, timeout=5.0, n_jobs=-1
    ):
        self.references = references
        self.judge = judge
        self.judge_temperature = judge_temperature
        self.timeout = timeout
        self.n_jobs = n_jobs

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
            1.0 for a right answer, 0.0 for a wrong one, NaN for one that could not be
            graded.

        Raises
        ------
        ValueError
            If a parameter or an answer is not accepted, or a query has no reference.
        ImportError
            If math-verify is not installed.
        """
        import_optional("math_verify", "verify")
        queries, answers = check_answers(queries, answers)
        check_in_interval(self.timeout, "timeout", 0, 3600, closed="right")
        golds = self._references(queries)
        cases = [
            [(normalise(gold), normalise(final_answer(answer))) for answer in row]
            for gold, row in zip(golds, answers, strict=True)
        ]
        right = self._compare(list(dict.fromkeys(c for row in cases for c in row)))
        rewards = assign_grades(right, cases)
        if self.judge is not None:
            self._ask_judge(queries, golds, answers, rewards)
        _warn_ungraded(rewards, golds, self.timeout)
        return rewards

    @property
    def settings(self):
        """All that a grade depends on beside query and answer, as a dict.

        References count by their content, a function of a query by its source text.
        """
        judge = None
        if self.judge is not None:
            asked = self._judge()
            judge = getattr(asked, "settings", None) or _function(asked)
            if judge is None:
                raise ValueError(
                    f"judge={_name(asked)} has no settings, so that grades of "
                    "different judges could not be told apart. Give it an attribute "
                    "settings, a dict of what its replies depend on (model, "
                    "temperature, seed, ...)."
                )
        return {
            "reward": type(self).__name__,
            "rules": RULES,
            "references": table_digest(self.references, "references"),
            "judge": judge,
            "timeout": float(self.timeout),
        }

    @property
    def key(self):
        """What counts votes for equal answers together, a :class:`MathEquivalence`.

        It has the timeout and the processes of this verifier and needs no references.
        """
        return MathEquivalence(timeout=self.timeout, n_jobs=self.n_jobs)

    def _references(self, queries):
        """Answer in each query's reference."""
        references = look_up(queries, self.references, "references")
        golds = []
        for query, reference in zip(queries, references, strict=True):
            gold = reference_answer(str(reference))
            if reference is None or not normalise(gold).formula:
                raise ValueError(
                    f"references has {reference!r} for query {query!r}, which holds no "
                    "answer. Give a number, a formula or a word, as text."
                )
            golds.append(gold)
        return golds

    def _ask_judge(self, queries, golds, answers, rewards):
        """Second stage: put in the judge's verdicts on what is not 1, in place."""
        rejected = [
            (row, column)
            for row, reward in enumerate(rewards)
            for column in (reward != 1).nonzero()[0]
            if answers[row][column].strip()
        ]
        prompts = [
            JUDGE_PROMPT.format(
                query=_shorten(_as_text(queries[row])),
                gold=_shorten(golds[row]),
                answer=_shorten(_final_or_whole(answers[row][column])),
            )
            for row, column in rejected
        ]
        distinct = list(dict.fromkeys(prompts))
        if not distinct:
            return
        replies = _replies(self._judge(), distinct)
        verdicts = [re.findall(r"\b(YES|NO)\b", reply.upper()) for reply in replies]
        unclear = sum(not verdict for verdict in verdicts)
        if unclear:
            warnings.warn(
                f"judge={_name(self.judge)} replied neither YES nor NO to "
                f"{unclear} of {len(distinct)} questions, which count as NO where the "
                "answer could be compared. Use a model that follows instructions, or "
                "give it more max_new_tokens.",
                UserWarning,
                stacklevel=3,
            )
        accepted = dict(zip(distinct, verdicts, strict=True))
        for (row, column), prompt in zip(rejected, prompts, strict=True):
            if accepted[prompt]:
                rewards[row][column] = float(accepted[prompt][0] == "YES")

    def _judge(self):
        """The judge at its temperature."""
        has_parameters = hasattr(self.judge, "get_params")
        if self.judge_temperature is None or not has_parameters:
            return self.judge
        if "temperature" not in self.judge.get_params(deep=False):
            return self.judge
        return clone(self.judge).set_params(temperature=self.judge_temperature)


def _replies(judge, prompts):
    """One reply to each prompt."""
    replies = [None] * len(prompts)
    n_prompts = len(prompts)
    try:
        sampler = as_sampler(judge)
    except ValueError:
        raise ValueError(
            f"judge={judge!r} is no sampler. Expected a function of prompts and "
            "budgets that returns a list of str per prompt, an object with such a "
            "method, sample, or None."
        ) from None
    asked = sampler.arrivals(prompts, [1] * n_prompts, [0] * n_prompts)
    for arrival in chain.from_iterable(asked):
        if arrival.error is not None:
            raise arrival.error
        replies[arrival.row] = arrival.answer
    return replies


def _function(judge):
    """What a function is that is a judge; None for an object, or if that is unclear."""
    if hasattr(judge, "sample") or hasattr(judge, "sample_each"):
        return None
    try:
        return function_identity(judge)
    except ValueError:
        return None


def _name(judge):
    return getattr(judge, "__name__", type(judge).__name__)


def _warn_ungraded(rewards, golds, timeout):
    """Say how many answers have no grade."""
    missing = [int(np.isnan(reward).sum()) for reward in rewards]
    if not any(missing):
        return
    examples = [gold for gold, number in zip(golds, missing, strict=True) if number]
    warnings.warn(
        f"{sum(missing)} of {sum(map(len, rewards))} answers could not be graded, and "
        "their rewards are NaN: the reference cannot be read, the numbers are equal "
        "but what they count may differ, or the comparison took longer than "
        f"timeout={timeout} seconds or broke down. The first such "
        f"reference is {_shorten(examples[0])!r}. Write it as a number, a formula in "
        "LaTeX or words, raise timeout, or give a judge.",
        UserWarning,
        stacklevel=3,
    )


def _final_or_whole(answer):
    """What the judge compares: the final answer, or the text if there is none."""
    return final_answer(answer) or answer.strip()


def _as_text(query):
    """A query as text: what the messages of a chat say."""
    if isinstance(query, str):
        return query
    return "\n".join(str(message["content"]) for message in query)


def _shorten(text):
    """The end of a text that is too long."""
    return text[-_LONGEST:]
