"""A DSPy module in the place of `dspy.BestOfN`, in real DSPy programs."""

import asyncio
import sys

import numpy as np
import pytest
from levels import fitted, outcomes, questions, tree
from missing import said_without

from sklearn_adaalloc import BinnedAllocator, SequentialAllocator, StreamAllocator
from sklearn_adaalloc.integrations import AdaptiveBestOfN

dspy = pytest.importorskip("dspy", reason="needs the extra dspy")

QUESTIONS = questions(range(60))
TABLE = dict(zip(QUESTIONS, outcomes(QUESTIONS, 16, 1), strict=True))


class Program(dspy.Module):
    """A program whose rollouts are rows of a table, so that runs can be compared."""

    def __init__(self):
        super().__init__()
        self.predict = dspy.Predict("question -> answer")
        self.failing = ()

    def forward(self, question):
        i = self.predict.lm.kwargs["rollout_id"]
        if i in self.failing:
            raise RuntimeError(f"rollout {i} failed")
        dspy.settings.trace.append((self.predict, {"question": question}, i))
        return dspy.Prediction(answer=str(TABLE[question][i]), rollout=i)


def is_right(inputs, prediction):
    return float(prediction.answer)


@pytest.fixture(autouse=True)
def _model():
    with dspy.context(lm=dspy.utils.DummyLM([]), trace=[]):
        yield


@pytest.fixture(scope="module")
def policy():
    # At least one sample each, as a program runs at least once.
    return fitted(StreamAllocator(tree(), budget=2, min_budget=1, random_state=0))


def best_of(policy, **settings):
    return AdaptiveBestOfN(Program(), policy, is_right, threshold=1.0, **settings)


def evaluate(program, num_threads=1):
    examples = [dspy.Example(question=q).with_inputs("question") for q in QUESTIONS]
    evaluator = dspy.Evaluate(
        devset=examples,
        metric=lambda example, prediction, trace=None: float(prediction.answer),
        num_threads=num_threads,
        display_progress=False,
    )
    return evaluator(program).score / 100


def test_it_spends_and_solves_what_the_policy_does_on_the_same_rewards(policy):
    program = best_of(policy)
    score = evaluate(program)
    rewards = np.array(list(TABLE.values()))
    assert score == pytest.approx(policy.score(QUESTIONS, rewards), abs=1e-4)
    assert program.stream.n_queries == len(QUESTIONS)
    assert program.stream.mean_cost == program.mean_rollouts
    assert program.mean_rollouts == pytest.approx(2, rel=0.1)


def test_it_solves_more_than_best_of_n_for_the_same_rollouts(policy):
    program = best_of(policy)
    score = evaluate(program)
    calls = []

    def counted(inputs, prediction):
        calls.append(prediction)
        return is_right(inputs, prediction)

    # It stops at a success, too, and solves fewer with more rollouts.
    best_of_3 = dspy.BestOfN(Program(), N=3, reward_fn=counted, threshold=1.0)
    assert evaluate(best_of_3) < score
    assert len(calls) / len(QUESTIONS) >= 0.95 * program.mean_rollouts


def test_threads_share_the_stream(policy):
    program = best_of(policy)
    evaluate(program, num_threads=8)
    assert program.stream.n_queries == len(QUESTIONS)
    assert program.stream.mean_cost == program.mean_rollouts
    assert program.mean_rollouts == pytest.approx(2, rel=0.2)


def test_up_front_budgets_are_kept_and_a_success_ends_the_search():
    policy = fitted(BinnedAllocator(tree(), budget=3, n_bins=4, random_state=0))
    program = best_of(policy)
    assert program.stream is None
    for question in QUESTIONS[:8]:
        (budget,) = policy.predict([question])
        found = program(question=question)
        row = TABLE[question][: max(budget, 1)]
        assert found.answer == str(row.max())
        assert found.rollout == row.argmax()


def test_the_trace_is_that_of_the_best_rollout(policy):
    question = next(q for q in QUESTIONS if q.startswith("often") and not TABLE[q][0])
    found = best_of(policy)(question=question)
    assert [i for _, _, i in dspy.settings.trace] == [found.rollout]


def test_a_number_of_rollouts_can_be_set_as_the_most(policy):
    program = best_of(policy, N=1)
    for question in QUESTIONS:
        assert program(question=question).rollout == 0
    assert program.mean_rollouts == 1
    with pytest.raises(ValueError, match="N=0"):
        best_of(policy, N=0)


def test_failed_rollouts_are_passed_over_up_to_a_number(policy):
    question = next(q for q in QUESTIONS if q.startswith("often") and TABLE[q][1])
    program = best_of(policy)
    program.module.failing = {0}
    assert program(question=question).rollout == 1
    strict = best_of(policy, fail_count=0)
    strict.module.failing = {0}
    with pytest.raises(RuntimeError, match="rollout 0 failed"):
        strict(question=question)
    program.module.failing = set(range(16))
    with pytest.raises(RuntimeError, match=r"rollout \d+ failed"):
        program(question=question)
    assert program.stream.n_queries == 2  # a failure ends its session, too


def test_a_reward_has_to_be_a_number(policy):
    program = AdaptiveBestOfN(Program(), policy, lambda *_: np.nan, threshold=1.0)
    with pytest.raises(ValueError, match="reward_fn returned nan"):
        program(question=QUESTIONS[0])


@pytest.mark.parametrize("threshold", ["1", np.nan, None])
def test_a_threshold_has_to_be_a_number(threshold, policy):
    with pytest.raises(ValueError, match="threshold="):
        AdaptiveBestOfN(Program(), policy, lambda *_: 1.0, threshold=threshold)


def test_copies_share_the_stream_and_saved_programs_start_anew(policy, tmp_path):
    program = best_of(policy)
    program(question=QUESTIONS[0])
    copied = program.deepcopy()
    assert copied.stream is program.stream
    program.save(tmp_path / "state.json")
    best_of(policy).load(tmp_path / "state.json")
    module = sys.modules[__name__]
    program.save(tmp_path / "program", save_program=True, modules_to_serialize=[module])
    loaded = dspy.load(tmp_path / "program", allow_pickle=True)
    assert loaded.stream.n_queries == 0
    assert loaded(question="always 1").answer == "1"
    assert [name for name, _ in loaded.named_predictors()] == ["module.predict"]


def test_it_runs_in_an_event_loop_as_best_of_n_does(policy):
    program = dspy.asyncify(best_of(policy))

    async def answer_all():
        asked = ["always 1", "always 2", "never 1"]
        return await asyncio.gather(*(program(question=q) for q in asked))

    assert [found.answer for found in asyncio.run(answer_all())] == ["1", "1", "0"]


def test_the_policy_reads_what_a_function_makes_of_the_inputs(policy):
    read = []

    def query(inputs):
        read.append(inputs)
        return "never " + inputs["question"]

    program = best_of(policy, query=query)
    program(question="always 1")
    assert read == [{"question": "always 1"}]


def test_policies_of_other_kinds_are_refused():
    with pytest.raises(ValueError, match="decides jointly for a batch"):
        best_of(fitted(SequentialAllocator(tree())))


def test_without_dspy_it_says_what_to_install():
    said = said_without("dspy", "AdaptiveBestOfN(None, None, None, 1.0)")
    assert "dspy is needed here and is not installed" in said
    assert "pip install 'sklearn-adaalloc[dspy]'" in said
