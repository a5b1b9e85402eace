import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_adaalloc import (
    AdaptiveAllocator,
    BinnedAllocator,
    HiddenStateFeaturizer,
    MLPRewardRegressor,
    RewardRegressor,
    SequentialAllocator,
)
from sklearn_adaalloc.datasets import grade_arithmetic, load_arithmetic
from sklearn_adaalloc.decoding import BestOfK
from sklearn_adaalloc.sampling import TransformersSampler

QUERIES = ["a", "b", "c", "d"]


class Rates(BaseEstimator):
    """Regressor for which the success rate is 1/2, everywhere."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict_marginals(self, X, max_budget):
        return np.tile(0.5 ** np.arange(1, max_budget + 1), (len(X), 1))


class Passed(TransformerMixin, BaseEstimator):
    """Transformer that leaves the queries as they are."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X

    def __sklearn_is_fitted__(self):
        return True


def third_is_right(queries, answers):
    return [np.array([a.endswith(":2") for a in row], float) for row in answers]


class TestOneShot:
    def test_each_query_gets_its_budget_and_its_best_answer(self, given, sampler):
        decoded = BestOfK(given([0, 1, 3, 4]), sampler, third_is_right).decode(QUERIES)
        assert decoded.answers == ["I don't know.", "b:0", "c:2", "d:2"]
        np.testing.assert_array_equal(decoded.rewards, [np.nan, 0, 1, 1])
        np.testing.assert_array_equal(decoded.budgets, [0, 1, 3, 4])
        assert decoded.rounds_taken == 1

    def test_tokens_are_counted(self, given, sampler):
        usage = BestOfK(given([0, 1, 3, 4]), sampler, third_is_right).decode(QUERIES)
        assert [row.sum() for row in usage.usage.answers] == [0, 3, 9, 12]
        assert usage.usage.prompt.tolist() == [10] * 4

    def test_only_queries_with_answers_are_graded(self, given, sampler):
        graded = []

        def reward(queries, answers):
            graded.extend(queries)
            return [[0.5] * len(row) for row in answers]

        BestOfK(given([0, 1, 0, 2]), sampler, reward).decode(QUERIES)
        assert graded == ["b", "d"]

    def test_nothing_to_spend(self, given, sampler):
        decoded = BestOfK(
            given([0] * 4), sampler, None, default_answer="unknown"
        ).decode(QUERIES)
        assert decoded.answers == ["unknown"] * 4

    def test_steps_before_the_allocator_are_run(self, given, sampler):
        policy = make_pipeline(Passed(), given([1, 1, 1, 1]))
        decoded = BestOfK(policy, sampler, third_is_right).decode(QUERIES)
        assert decoded.answers == ["a:0", "b:0", "c:0", "d:0"]


class TestRounds:
    def policy(self, **options):
        allocator = SequentialAllocator(Rates(), **options)
        return allocator.fit(QUERIES, np.tile([0.0, 1, 0, 1], (4, 2)))

    def test_the_solved_get_nothing_more_and_the_others_go_on(self, sampler):
        def reward(queries, answers):  # "a" is solved at once, the others never
            return [
                [float(q == "a")] * len(r)
                for q, r in zip(queries, answers, strict=True)
            ]

        policy = self.policy(budget=3, n_rounds=None)
        decoded = BestOfK(policy, sampler, reward).decode(QUERIES)
        assert decoded.budgets[0] == 1
        assert decoded.budgets.sum() == 12
        assert decoded.answers[0] == "a:0"
        assert decoded.rounds_taken == len(sampler.asked) > 1
        with pytest.warns(FutureWarning, match=r"n_rounds is now called rounds_taken"):
            n_rounds = decoded.n_rounds
        assert n_rounds == decoded.rounds_taken

    def test_no_sample_is_drawn_twice(self, sampler):
        never = lambda queries, answers: [[0.0] * len(row) for row in answers]  # noqa: E731
        decoded = BestOfK(self.policy(budget=4), sampler, never).decode(QUERIES)
        taken = np.zeros(4, int)
        for budgets, first in sampler.asked:
            assert first == taken.tolist()
            taken += budgets
        np.testing.assert_array_equal(taken, decoded.budgets)
        assert [len(row) for row in decoded.usage.answers] == taken.tolist()


@pytest.fixture(scope="module")
def data():
    return load_arithmetic("math")


class TestSharedPrefill:
    def policy(self, data, kind):
        allocator = kind(RewardRegressor(Ridge()), budget=2)
        pipeline = make_pipeline(HiddenStateFeaturizer(device="cpu"), allocator)
        return pipeline.fit(data.queries_train[:300], data.rewards_train[:300])

    @pytest.mark.parametrize(
        "kind", [AdaptiveAllocator, BinnedAllocator, SequentialAllocator]
    )
    def test_one_pass_gives_features_and_answers(self, data, kind, monkeypatch):
        policy = self.policy(data, kind)
        queries = data.queries_test[:40]
        sampler = TransformersSampler(max_new_tokens=24, device="cpu")
        apart = BestOfK(
            policy, sampler.set_params(pooling="mean"), grade_arithmetic
        ).decode(queries)
        monkeypatch.setattr(
            HiddenStateFeaturizer, "transform", lambda self, X: pytest.fail("ran twice")
        )
        shared = BestOfK(
            policy, sampler.set_params(pooling="last"), grade_arithmetic
        ).decode(queries)
        np.testing.assert_array_equal(shared.budgets, apart.budgets)
        assert shared.answers == apart.answers

    def test_one_query_at_a_time(self, data):
        policy = self.policy(data, BinnedAllocator)
        queries = data.queries_test[:12]
        decoder = BestOfK(
            policy,
            TransformersSampler(max_new_tokens=24, device="cpu"),
            grade_arithmetic,
        )
        together = decoder.decode(queries)
        alone = [decoder.decode([query]) for query in queries]
        assert together.answers == [each.answers[0] for each in alone]
        assert together.budgets.tolist() == [int(each.budgets[0]) for each in alone]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["math", "code"])
@pytest.mark.parametrize("kind", [AdaptiveAllocator, BinnedAllocator])
def test_decoding_delivers_what_the_table_promised(task, kind):
    # The table holds 64 samples of the same model: the replay predicts the mean of the
    # live success, whose standard error is that of a mean of independent 0/1 answers.
    data = load_arithmetic(task)
    X = HiddenStateFeaturizer(device="cpu").fit_transform(data.queries_train)
    regressor = MLPRewardRegressor(random_state=0).fit(X, data.rewards_train)
    policy = make_pipeline(
        HiddenStateFeaturizer(device="cpu").fit(data.queries_train),
        kind(FrozenEstimator(regressor), budget=4, random_state=0).fit(
            X, data.rewards_train
        ),
    )
    sampler = TransformersSampler(max_new_tokens=24, device="cpu")
    decoded = BestOfK(policy, sampler, grade_arithmetic).decode(data.queries_test)
    promised = policy.score(data.queries_test, data.rewards_test)
    solved = np.nan_to_num(decoded.rewards)
    error = solved.std() / np.sqrt(len(solved))
    assert abs(solved.mean() - promised) < 2 * error
    uniform = 1 - np.mean((1 - data.rewards_test.mean(axis=1)) ** 4)
    assert solved.mean() > uniform


class TestBadInput:
    @pytest.mark.parametrize(
        ("reward", "match"),
        [
            (lambda queries, answers: [[1.0]], r"for 2 queries.*one array of rewards"),
            (lambda queries, answers: 1.0, r"returned 1.0 for 2 queries"),
            (
                lambda queries, answers: [[1.0], [1.0]],
                r"for the 2 answers to query 'd'.*one finite number per answer",
            ),
            (
                lambda queries, answers: [[np.inf], [1.0, 0.0]],
                r"for the 1 answers to query 'b'",
            ),
            (lambda queries, answers: [["1"], [1.0, 0.0]], r"to query 'b'"),
        ],
    )
    def test_rewards_that_do_not_fit(self, reward, match, given, sampler):
        with pytest.raises(ValueError, match=match):
            BestOfK(given([0, 1, 0, 2]), sampler, reward).decode(QUERIES)

    def test_queries_that_are_none(self, given, sampler):
        with pytest.raises(ValueError, match="shape \\(2, 2\\)"):
            BestOfK(given([1]), sampler, third_is_right).decode(np.zeros((2, 2)))
