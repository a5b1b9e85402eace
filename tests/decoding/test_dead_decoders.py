"""Decoders that refuse queries, or stop answering in the midst of a batch."""

import numpy as np
import pytest
from cascades import QUERIES, Answering, both, fitted, wrong
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc import RewardRegressor, SequentialAllocator
from sklearn_adaalloc.decoding import BestOfK, Cascade

DEFAULT = "I don't know."


class Dying(Answering):
    """A server that answers so many calls, and is not there any more then."""

    def __init__(self, name, n_calls=0, error=ConnectionError, **options):
        super().__init__(name, **options)
        self.n_calls, self.error = n_calls, error

    def sample(self, prompts, budgets, **options):
        if any(budgets) and self.n_asked >= self.n_calls:
            self.asked.append((list(budgets), None))
            raise self.error(f"{self.name} has gone")
        return super().sample(prompts, budgets, **options)

    @property
    def n_asked(self):
        """Calls that asked for a sample."""
        return sum(any(budgets) for budgets, _ in self.asked)


def with_dead(name, **options):
    n_tokens = {"cheap": 1.0, "dear": 5.0}[name]
    return both() | {name: Dying(name, n_tokens=n_tokens, **options)}


def decode(policy, samplers, reward=wrong):
    with pytest.warns(UserWarning, match=r"failed for good.* has gone"):
        return Cascade(policy, samplers, reward).decode(QUERIES)


class TestCascade:
    @pytest.mark.parametrize("unit", ["cost", "samples"])
    @pytest.mark.parametrize("n_rounds", [3, None])
    @pytest.mark.parametrize("dead", ["cheap", "dear"])
    def test_the_others_answer_with_the_whole_budget(self, dead, n_rounds, unit):
        samplers = with_dead(dead)
        policy = fitted(budget=9, n_rounds=n_rounds, unit=unit, min_budget=1)
        decoded = decode(policy, samplers)
        gone = ["cheap", "dear"].index(dead)
        assert not decoded.budgets[:, gone].any()
        assert samplers[dead].n_asked == 1
        assert DEFAULT not in decoded.answers
        assert_array_equal(decoded.decoders, 1 - gone)
        assert set(decoded.errors) == {(row, gone) for row in range(12)}
        # The other takes all that there is, up to eight samples of each query.
        each = 5 if unit == "cost" and dead == "cheap" else 1
        assert decoded.budgets.sum() == min(8 * 12, 9 * 12 // each)

    def test_what_it_answered_before_is_kept(self):
        samplers = with_dead("dear", n_calls=1)
        policy = fitted(budget=14, n_rounds=4, min_budget=1)
        decoded = decode(policy, samplers)
        first, _ = samplers["dear"].asked[0]
        assert sum(first) > 0
        assert_array_equal(decoded.budgets[:, 1], first)
        [later] = [budgets for budgets, first in samplers["dear"].asked if not first]
        rows = sorted(row for row, decoder in decoded.errors if decoder == 1)
        assert rows == np.flatnonzero(later).tolist()

    def test_budgets_up_front(self, given):
        policy = given([[1, 1], [0, 1], [1, 0]] * 4)
        decoded = decode(policy, with_dead("dear"))
        assert decoded.answers[:3] == ["cheap:0:0", DEFAULT, "cheap:2:0"]
        assert [(0, 1) in decoded.errors, (1, 1) in decoded.errors] == [True, True]
        assert "dear has gone" in str(decoded.errors[1, 1])
        assert (2, 1) not in decoded.errors

    @pytest.mark.parametrize("error", [ConnectionError, TimeoutError, OSError])
    def test_the_last_decoder_raises(self, error):
        samplers = {
            "cheap": Dying("cheap", n_calls=1, error=error),
            "dear": Dying("dear", n_tokens=5.0, error=error),
        }
        with pytest.raises(error, match="has gone") as caught:
            Cascade(fitted(budget=14, n_rounds=4), samplers, wrong).decode(QUERIES)
        partial = caught.value.partial
        assert partial.budgets[:, 0].sum() > 0
        assert partial.answers[0] == "cheap:0:0"
        assert not partial.budgets[:, 1].any()

    def test_a_mistake_in_a_sampler_is_not_hidden(self):
        samplers = with_dead("dear", error=TypeError)
        with pytest.raises(TypeError, match="has gone") as caught:
            Cascade(fitted(budget=14), samplers, wrong).decode(QUERIES)
        assert not caught.value.partial.budgets[:, 1].any()

    def test_each_query_has_an_answer_or_an_error_of_its_own(self):
        samplers = {
            "cheap": Answering("cheap", failing=["0", "1"]),
            "dear": Answering("dear", n_tokens=5.0, failing=["0", "2"]),
        }
        policy = fitted(budget=14, n_rounds=None)
        with pytest.warns(UserWarning, match="failed for good"):
            decoded = Cascade(policy, samplers, wrong).decode(QUERIES)
        assert decoded.answers[:3] == [DEFAULT, "dear:1:0", "cheap:2:0"]
        assert set(decoded.errors) == {(0, 0), (0, 1), (1, 0), (2, 1)}
        assert_array_equal(decoded.budgets[:3] > 0, [[0, 0], [0, 1], [1, 0]])
        assert (decoded.budgets[3:] > 0).any(axis=1).all()


class Refusing(Answering):
    """It refuses some queries from their second sample on, or from the first."""

    def __init__(self, refused, *, from_sample=0):
        super().__init__("only")
        self.refused, self.from_sample = refused, from_sample

    def sample(self, prompts, budgets, *, first_sample, return_usage):
        options = {"first_sample": first_sample, "return_usage": return_usage}
        answers, usage = super().sample(prompts, budgets, **options)
        for prompt, row in zip(prompts, answers, strict=True):
            if prompt in self.refused:
                row[:] = [
                    a if a and int(a.split(":")[2]) < self.from_sample else None
                    for a in row
                ]
        return answers, usage


def rounds(**options):
    rewards = np.random.default_rng(0).integers(0, 2, (40, 12)).astype(float)
    regressor = RewardRegressor(DummyRegressor(), target="rate_distribution")
    policy = make_pipeline(
        FunctionTransformer(lambda queries: np.zeros((len(queries), 1))),
        SequentialAllocator(regressor, **options),
    )
    return policy.fit([""] * 40, rewards)


class TestBestOfK:
    @pytest.mark.parametrize("n_rounds", [3, None])
    def test_nothing_is_kept_for_queries_that_are_refused(self, n_rounds):
        refused = QUERIES[:6]
        sampler = Refusing(refused)
        with pytest.warns(UserWarning, match="failed for good"):
            decoded = BestOfK(
                rounds(budget=4, n_rounds=n_rounds), sampler, wrong
            ).decode(QUERIES)
        assert decoded.answers[:6] == [DEFAULT] * 6
        assert set(decoded.errors) == set(range(6))
        n_refused = sum(sum(budgets[:6]) for budgets, _ in sampler.asked)
        # All but what was asked of them before they refused goes to the others.
        assert decoded.budgets.sum() == 4 * 12 - n_refused
        assert sum(any(budgets[:6]) for budgets, _ in sampler.asked) == 1

    def test_a_query_with_an_answer_is_asked_again(self):
        sampler = Refusing(QUERIES[:1], from_sample=1)
        with pytest.warns(UserWarning, match="failed for good"):
            decoded = BestOfK(rounds(budget=4, n_rounds=None), sampler, wrong).decode(
                QUERIES
            )
        assert decoded.answers[0] == "only:0:0"
        assert decoded.budgets[0] == 1
        assert 0 in decoded.errors

    def test_one_decoder_that_has_gone_raises(self):
        sampler = Dying("only", n_calls=1)
        with pytest.raises(ConnectionError, match="only has gone") as caught:
            BestOfK(rounds(budget=4, n_rounds=3), sampler, wrong).decode(QUERIES)
        assert caught.value.partial.budgets.sum() > 0


@pytest.mark.parametrize("selection", ["reward", "score", "vote"])
@pytest.mark.parametrize("rewards", ["verdicts", "numbers"])
def test_sessions_ask_no_more_of_what_is_withdrawn(selection, rewards):
    from sklearn_adaalloc import RewardTable

    random = np.random.default_rng(0)
    values = random.integers(0, 2, (60, 9)).astype(float)
    values = values if rewards == "verdicts" else random.normal(size=(60, 9))
    answers = random.integers(0, 3, (60, 9))
    table = RewardTable(values, scores=random.random((60, 9)), answers=answers)
    regressor = RewardRegressor(DummyRegressor(), target="marginal_rewards")
    policy = SequentialAllocator(
        regressor, budget=4, n_rounds=4, selection=selection, empty_reward=-1.0
    )
    session = policy.fit(np.zeros((60, 1)), table).start(np.zeros((20, 1)))
    gone = np.arange(20) < 8
    told = {"reward": 0.0, "score": 0.1, "vote": 2}[selection]
    asked = session.ask()
    with pytest.raises(ValueError, match="withdraw was called between ask and tell"):
        session.withdraw(gone)
    first = asked[:8].copy()
    while asked is not None:
        session.tell([[told] * n for n in asked])
        session.withdraw(gone)
        asked = session.ask()
    assert_array_equal(session.budgets[:8], first)
    assert session.budgets[8:].sum() > first.sum()
    for wrong_mask in (gone[:3], gone.astype(int)):
        with pytest.raises(ValueError, match=r"gone has shape .* shape \(20,\)"):
            session.withdraw(wrong_mask)
