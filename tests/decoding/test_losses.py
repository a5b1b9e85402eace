"""What is paid for is kept: refusals, grades that are missing, errors, cut-offs."""

import warnings

import numpy as np
import pytest
from samplers import SampledAnswer
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge

from sklearn_adaalloc import RewardRegressor, SequentialAllocator
from sklearn_adaalloc.decoding import BestOfK, Router
from sklearn_adaalloc.sampling import TokenUsage

QUERIES = ["a", "b", "c", "d"]
DEFAULT = "I don't know."


class Refusing:
    """Answers "query:sample" one by one, but for those that it is to refuse."""

    def __init__(self, refused=(), *, lost_after=np.inf, cut_off=None):
        self.refused = list(refused)
        self.lost_after = lost_after
        self.cut_off = cut_off
        self.asked = []
        self.calls = []

    def sample_each(self, prompts, budgets, *, first_sample):
        self.calls.append([p for p, n in zip(prompts, budgets, strict=True) if n])
        for row, prompt in reversed(list(enumerate(prompts))):
            for j in range(first_sample[row], first_sample[row] + budgets[row]):
                if len(self.asked) == self.lost_after:
                    raise ConnectionError("the server has gone")
                self.asked.append((prompt, j))
                if prompt in self.refused or (prompt, j) in self.refused:
                    error = ValueError(f"{prompt} is filtered")
                    yield SampledAnswer(row, j, None, 0, 0, error)
                else:
                    cut_off = self.cut_off and (prompt, j) in self.cut_off
                    answer = f"{prompt}:{j}"
                    yield SampledAnswer(row, j, answer, 5, 3, None, 2, cut_off)


class Half(BaseEstimator):
    """Regressor for which the success rate is 1/2, everywhere."""

    def fit(self, X, y):
        return self

    def predict_marginals(self, X, max_budget):
        return np.tile(0.5 ** np.arange(1, max_budget + 1), (len(X), 1))


def number(queries, answers):
    """Reward: the number of the sample."""
    return [np.array([float(a[2:]) for a in row]) for row in answers]


def grading(grades):
    """Reward function that knows some grades, by answer; all else is NaN."""
    return lambda queries, answers: [
        [grades.get(answer, np.nan) for answer in row] for row in answers
    ]


class TestRefusals:
    def test_a_query_without_any_answer_gets_the_default(self, given):
        policy = given([2, 1, 0, 2])
        with pytest.warns(UserWarning, match=r"1 samples of 1 queries.*'b': b is filt"):
            decoded = BestOfK(policy, Refusing("b"), number).decode(QUERIES)
        assert decoded.answers == ["a:1", DEFAULT, DEFAULT, "d:1"]
        assert decoded.budgets.tolist() == [2, 0, 0, 2]
        assert list(decoded.errors) == [1]
        assert [len(row) for row in decoded.usage.answers] == [2, 0, 0, 2]

    def test_a_query_keeps_its_other_answers(self, given):
        refused = [("a", 2), ("a", 0), ("d", 0)]
        with pytest.warns(UserWarning, match=r"3 samples of 2 queries"):
            decoded = BestOfK(given([3, 1, 1, 1]), Refusing(refused), number).decode(
                QUERIES
            )
        assert decoded.answers == ["a:1", "b:0", "c:0", DEFAULT]
        np.testing.assert_array_equal(decoded.rewards, [1, 0, 0, np.nan])

    def test_a_function_returns_none_for_a_filtered_reply(self, given):
        def sample(prompts, budgets):
            return [
                [None if prompt == "b" else f"{prompt}:{j}" for j in range(budget)]
                for prompt, budget in zip(prompts, budgets, strict=True)
            ]

        with pytest.warns(UserWarning, match=r"2 samples of 1 queries.*no answer"):
            decoded = BestOfK(given([1, 2, 0, 1]), sample, number).decode(QUERIES)
        assert decoded.answers == ["a:0", DEFAULT, DEFAULT, "d:0"]

    def test_if_nothing_came_that_is_an_error(self, given):
        with pytest.raises(ValueError, match="is filtered") as caught:
            BestOfK(given([1] * 4), Refusing("abcd"), number).decode(QUERIES)
        assert caught.value.partial.answers == [DEFAULT] * 4

    @pytest.mark.parametrize("n_rounds", [2, 4, None])
    def test_in_rounds_it_is_not_asked_again(self, n_rounds):
        table = np.tile([0.0, 1, 0, 1], (4, 2))
        policy = SequentialAllocator(Half(), budget=3, n_rounds=n_rounds)
        policy = policy.fit(QUERIES, table)
        sampler = Refusing("b")
        never = grading({f"{q}:{j}": 0.0 for q in QUERIES for j in range(12)})
        with pytest.warns(UserWarning, match="'b': b is filtered"):
            decoded = BestOfK(policy, sampler, never).decode(QUERIES)
        assert sum("b" in call for call in sampler.calls) == 1
        assert decoded.budgets[1] == 0
        assert decoded.budgets.sum() <= 12
        assert decoded.rounds_taken > 1
        assert decoded.answers[0] == "a:0"

    def test_the_router(self, given):
        with pytest.warns(UserWarning, match=r"1 samples of 1 queries.*'b'"):
            decoded = Router(
                given([0, 0, 1, 1]), Refusing("b"), Refusing("a"), default_answer="-"
            ).decode(QUERIES)
        assert decoded.answers == ["a:0", "-", "c:0", "d:0"]
        assert decoded.budgets.tolist() == [0, 0, 1, 1]
        assert list(decoded.errors) == [1]

    def test_a_router_of_which_one_side_refuses_everything(self, given):
        with pytest.warns(UserWarning, match="2 samples of 2 queries"):
            decoded = Router(given([0, 0, 1, 1]), Refusing("ab"), Refusing()).decode(
                QUERIES
            )
        assert decoded.answers == [DEFAULT, DEFAULT, "c:0", "d:0"]
        with pytest.raises(ValueError, match="is filtered"):
            Router(given([0, 0, 1, 1]), Refusing("ab"), Refusing("cd")).decode(QUERIES)


class TestMissingGrades:
    @pytest.mark.parametrize(
        ("grades", "answer", "reward"),
        [
            ({"a:1": 1.0}, "a:1", 1.0),
            ({"a:0": 0.0, "a:2": -1.0}, "a:0", 0.0),
            ({"a:2": -5.0}, "a:2", -5.0),  # a grade is better than none
            ({}, "a:0", np.nan),
            ({"a:1": None, "a:2": 0.0}, "a:2", 0.0),
        ],
    )
    def test_they_are_never_the_best(self, grades, answer, reward, given):
        with pytest.warns(UserWarning, match=r"could not be graded.*to query 'a'"):
            decoded = BestOfK(given([3]), Refusing(), grading(grades)).decode(["a"])
        assert decoded.answers == [answer]
        np.testing.assert_array_equal(decoded.rewards, [reward])
        assert decoded.budgets.tolist() == [3]

    @pytest.mark.parametrize("table", [[[0, 1]], [[0.2, 0.7]]])
    @pytest.mark.parametrize("n_rounds", [2, None])
    def test_in_rounds_they_count_as_spent(self, table, n_rounds):
        X = np.arange(4.0)[:, None]
        policy = SequentialAllocator(
            RewardRegressor(Ridge()), budget=2, n_rounds=n_rounds
        ).fit(X, np.tile(table, (4, 2)))
        grades = {f"b:{j}": 0.0 for j in range(9)} | {f"c:{j}": 1.0 for j in range(9)}

        class Positions:
            def start(self, queries):
                return policy.start(X[: len(queries)])

            binary_ = policy.binary_

        with pytest.warns(UserWarning, match="could not be graded"):
            decoded = BestOfK(Positions(), Refusing(), grading(grades)).decode(QUERIES)
        assert decoded.budgets.sum() <= 8
        assert decoded.rounds_taken > 1
        assert decoded.answers[2] == "c:0"


class TestErrors:
    def test_a_server_that_goes(self, given):
        decoder = BestOfK(given([2, 1, 0, 2]), Refusing(lost_after=3), number)
        with pytest.raises(ConnectionError, match="has gone") as caught:
            decoder.decode(QUERIES)
        partial = caught.value.partial
        assert partial.answers == [DEFAULT, "b:0", DEFAULT, "d:0"]
        assert partial.budgets.tolist() == [0, 1, 0, 2]
        assert partial.usage.prompt.sum() == 15  # as it was counted

    @pytest.mark.parametrize("error", [KeyError, SystemExit, KeyboardInterrupt])
    def test_a_reward_function_that_raises(self, error, given):
        def reward(queries, answers):
            raise error("the judge quits")

        with pytest.raises(error, match="the judge quits") as caught:
            BestOfK(given([2, 1, 0, 2]), Refusing(), reward).decode(QUERIES)
        assert caught.value.partial.answers == ["a:0", "b:0", DEFAULT, "d:0"]
        assert np.isnan(caught.value.partial.rewards).all()

    def test_grades_that_do_not_fit(self, given):
        with pytest.raises(ValueError, match="one finite number") as caught:
            BestOfK(
                given([2, 1, 0, 2]), Refusing(), lambda q, a: [[0.0]] * len(q)
            ).decode(QUERIES)
        assert caught.value.partial.budgets.tolist() == [2, 1, 0, 2]

    def test_the_router_keeps_what_the_weak_decoder_answered(self, given):
        strong = Refusing(lost_after=1)
        with pytest.raises(ConnectionError, match="the server has gone") as caught:
            Router(given([0, 1, 1, 0]), Refusing(), strong).decode(QUERIES)
        partial = caught.value.partial
        assert partial.answers == ["a:0", DEFAULT, "c:0", "d:0"]
        assert partial.weak_usage.prompt.tolist() == [5, 0, 0, 5]


class TestUsage:
    def test_what_is_not_known(self, given):
        def sample(prompts, budgets):
            return [["x"] * budget for budget in budgets]

        usage = (
            BestOfK(
                given([1, 2, 0, 1]), sample, lambda q, a: [np.ones(len(r)) for r in a]
            )
            .decode(QUERIES)
            .usage
        )
        np.testing.assert_array_equal(usage.prompt, [np.nan, np.nan, 0, np.nan])
        assert [len(row) for row in usage.answers] == [1, 2, 0, 1]
        assert np.isnan(np.concatenate(usage.answers)).all()
        assert usage.cut_off is None

    def test_what_is_known(self, given):
        usage = BestOfK(given([1, 2, 0, 1]), Refusing(), number).decode(QUERIES).usage
        assert isinstance(usage, TokenUsage)
        assert usage.cached.tolist() == [2, 4, 0, 2]
        assert [row.tolist() for row in usage.answers] == [[3], [3, 3], [], [3]]

    @pytest.mark.parametrize("decoder", ["best of k", "router"])
    def test_answers_that_were_cut_off(self, decoder, given):
        sampler = Refusing(cut_off=[("a", 0), ("c", 0)])
        decoder = (
            BestOfK(given([1] * 4), sampler, number)
            if decoder == "best of k"
            else Router(given([0] * 4), sampler, sampler)
        )
        with pytest.warns(UserWarning, match=r"2 of 4 answers \(50%\).*max_new_tokens"):
            decoded = decoder.decode(QUERIES)
        usage = getattr(decoded, "usage", None) or decoded.weak_usage
        flags = np.concatenate(usage.cut_off)
        assert flags.tolist() == [True, False, True, False]

    def test_less_than_one_percent(self, given):
        queries = [f"q{i}" for i in range(150)]
        sampler = Refusing(cut_off=[("q7", 0)])
        ones = lambda q, a: [np.ones(len(row)) for row in a]  # noqa: E731
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            decoded = BestOfK(given([1] * 150), sampler, ones).decode(queries)
        assert sum(map(sum, decoded.usage.cut_off)) == 1
