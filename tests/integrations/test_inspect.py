"""Early stopping in real evaluations of inspect_ai, with its mock model."""

import asyncio
from collections import Counter

import numpy as np
import pytest
from levels import fitted, outcomes, questions, rates, tree

from sklearn_adaalloc import SequentialAllocator
from sklearn_adaalloc.integrations import AdaptiveEpochs

pytest.importorskip(
    "inspect_ai", reason="needs inspect_ai: `make test-integrations` has it"
)
from inspect_ai import Epochs, Task
from inspect_ai import eval as run_eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match

N_EPOCHS = 8
QUESTIONS = questions(range(10))


@pytest.fixture(scope="module")
def policy():
    return fitted(SequentialAllocator(tree(), budget=4))


def output(text):
    # Without its usage, it would be counted with a tokenizer that is downloaded.
    usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return ModelOutput.from_content("mock", text).model_copy(update={"usage": usage})


def evaluate(tmp_path, manager, *, seed=0, reducer=None, failing=(), **options):
    """Run a task; the log, and how often each question was asked."""
    generator = np.random.default_rng(seed)
    asked = Counter()

    async def answer(messages, tools, tool_choice, config):
        question = messages[-1].text
        asked[question] += 1
        await asyncio.sleep(0.001 * generator.random())
        if question in failing:
            raise RuntimeError("the server is down")
        is_right = generator.random() < rates([question])[0]
        return output("yes" if is_right else "no")

    task = Task(
        dataset=[Sample(input=q, target="yes", id=q) for q in QUESTIONS],
        scorer=match(),
        epochs=Epochs(N_EPOCHS, reducer),
        early_stopping=manager,
    )
    model = get_model("mockllm/model", custom_outputs=answer, memoize=False)
    options = {"display": "none", "log_realtime": False, **options}
    [log] = run_eval(task, model, log_dir=str(tmp_path), **options)
    return log, asked


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The log of all epochs, scored by their mean and by the best of them."""
    folder = tmp_path_factory.mktemp("full")
    log, asked = evaluate(folder, None, reducer=["mean", "max"])
    assert log.status == "success"
    assert asked.total() == N_EPOCHS * len(QUESTIONS)
    return log


def metric(log, name, reducer=None):
    [score] = [s for s in log.results.scores if reducer in (None, s.reducer)]
    return score.metrics[name].value


def test_a_mean_keeps_its_standard_error_with_fewer_epochs(policy, full, tmp_path):
    log, asked = evaluate(tmp_path, AdaptiveEpochs(policy, tolerance=0.05))
    assert log.status == "success"
    assert asked.total() <= N_EPOCHS * len(QUESTIONS) / 3
    # What is decided before a sample is known not to vary.
    assert {asked[q] for q in QUESTIONS if q.startswith(("never", "always"))} == {1}
    assert min(asked[q] for q in QUESTIONS if q.startswith("rarely")) > 1
    assert abs(metric(log, "accuracy") - rates(QUESTIONS).mean()) < 0.06
    stopping = log.results.early_stopping
    assert stopping.manager == "adaalloc"
    assert stopping.metadata["epochs_run"] == asked.total()
    assert len(stopping.early_stops) == N_EPOCHS * len(QUESTIONS) - asked.total()
    expected = stopping.metadata["expected_standard_error"]
    of_all = stopping.metadata["expected_standard_error_of_all_epochs"]
    assert expected <= 1.05 * of_all
    # inspect_ai's own metric is an estimate of it.
    assert metric(log, "stderr") == pytest.approx(expected, rel=0.15)
    assert metric(full, "stderr", "mean") == pytest.approx(of_all, rel=0.15)


@pytest.mark.parametrize("max_samples", [1, 20])
def test_the_best_of_epochs_is_found_in_rounds(policy, full, tmp_path, max_samples):
    manager = AdaptiveEpochs(policy)
    log, asked = evaluate(tmp_path, manager, reducer="max", max_samples=max_samples)
    assert log.status == "success"
    # Within the budget of 4, where 10 for all would be spent.
    assert asked.total() <= 4 * len(QUESTIONS)
    assert {asked[q] for q in QUESTIONS if q.startswith("always")} == {1}
    # Of those that are sometimes right, few are left.
    assert metric(log, "accuracy") >= metric(full, "accuracy", "max") - 0.05
    right = Counter(
        sample.id for sample in log.samples if sample.scores["match"].value == "C"
    )
    assert set(right.values()) == {1}  # solved once, and not asked again
    summary = log.results.early_stopping.metadata
    assert summary["solved"] == len(right)
    assert summary["epochs_run"] == asked.total()


def test_samples_that_fail_hold_nothing_up(policy, tmp_path):
    failing = {q for q in QUESTIONS if q.startswith("often")}
    log, asked = evaluate(
        tmp_path,
        AdaptiveEpochs(policy),
        reducer="at_least_1",
        failing=failing,
        fail_on_error=False,
    )
    assert log.status == "success"
    assert min(asked[question] for question in failing) > 1
    assert log.results.early_stopping.metadata["epochs_run"] == asked.total()


def test_samples_that_are_tried_again_are_counted_once(policy, tmp_path):
    log, asked = evaluate(
        tmp_path,
        AdaptiveEpochs(policy),
        reducer="max",
        failing={"always 3"},
        fail_on_error=False,
        retry_on_error=1,
    )
    assert log.status == "success"
    assert asked.total() > 1.5 * len(QUESTIONS)  # the others went on
    assert min(asked[q] for q in QUESTIONS) == 1
    run = log.results.early_stopping.metadata["epochs_run"]
    assert run == asked.total() - asked["always 3"] / 2


def test_another_way_to_reduce_epochs_is_refused(policy, tmp_path):
    log, _ = evaluate(tmp_path, AdaptiveEpochs(policy), reducer="median")
    assert log.status == "error"
    assert "reduces its epochs by ['median']" in log.error.message


def test_a_score_that_is_not_there_is_named(policy, tmp_path):
    log, _ = evaluate(tmp_path, AdaptiveEpochs(policy, score="f1"), reducer="max")
    assert log.status == "error"
    assert "score='f1' is not a score of this task" in log.error.message


def test_one_manager_is_of_one_task_at_a_time(policy, tmp_path):
    manager = AdaptiveEpochs(policy)
    tasks = [
        Task(
            dataset=[Sample(input="rarely 1", target="yes", id=1)],
            scorer=match(),
            epochs=Epochs(4, "max"),
            early_stopping=manager,
            name=f"task{i}",
        )
        for i in range(2)
    ]

    async def answer(*_):
        await asyncio.sleep(0.2)
        return output("no")

    model = get_model("mockllm/model", custom_outputs=answer, memoize=False)
    logs = run_eval(tasks, model, log_dir=str(tmp_path), display="none", max_tasks=2)
    messages = [log.error.message for log in logs if log.status == "error"]
    assert any("another task runs with" in message for message in messages)


def test_a_mean_needs_more_than_one_sample_of_each_query(tmp_path):
    single = fitted(SequentialAllocator(tree()), lambda asked: outcomes(asked, 1, 0))
    log, _ = evaluate(tmp_path, AdaptiveEpochs(single))
    assert log.status == "error"
    assert "fitted on one sample of each query" in log.error.message
