"""Readers of logs of inspect_ai, on files that it wrote (data/make_logs.py)."""

from importlib.util import find_spec

import numpy as np
import pytest
from logs import LOGS
from numpy.testing import assert_array_equal

from sklearn_adaalloc.datasets import read_inspect_logs

NAN = np.nan
needs_inspect = pytest.mark.skipif(
    find_spec("inspect_ai") is None,
    reason="needs inspect_ai: `make test-integrations` has it",
)


@pytest.fixture
def edited(tmp_path):
    """A function that changes an inspect log through inspect_ai, and saves it."""

    def edit(name, change, to="edited.eval"):
        from inspect_ai.log import read_eval_log, write_eval_log

        log = read_eval_log(str(LOGS / name))
        change(log)
        write_eval_log(log, str(tmp_path / to))
        return tmp_path / to

    return edit


def first_of(log):
    """The first sample of the first query."""
    (sample,) = [s for s in log.samples if (s.id, s.epoch) == ("2+3=", 1)]
    return sample


@needs_inspect
def test_epochs_of_an_inspect_log_are_samples():
    from inspect_ai.log import read_eval_log

    queries, table = read_inspect_logs(LOGS / "sums_weak.eval")
    assert queries == ["2+3=", "6*17=", "7*8=", "9-4="]
    assert_array_equal(table.rewards, [[0, 0, 1], [0, 0, 1], [1, 0, 1], [1, 1, 0]])
    assert table.costs[0].tolist() == [29, 23, 25]
    assert table.answers[0].tolist() == ["3", "4", "5"]
    assert table.scores is None
    assert table.decoders is None
    (results,) = read_eval_log(str(LOGS / "sums_weak.eval")).results.scores
    assert table.rewards.mean() == pytest.approx(results.metrics["accuracy"].value)


@needs_inspect
def test_inspect_logs_of_several_models_are_decoders():
    paths = [str(LOGS / f"sums_{model}.eval") for model in ("weak", "strong")]
    queries, table = read_inspect_logs(paths, cost=None, answer=None)
    assert table.shape == (4, 2, 3)
    assert table.decoders == ["mockllm/weak", "mockllm/strong"]
    assert table.costs is None
    assert table.answers is None
    for decoder, path in enumerate(paths):
        alone, its_table = read_inspect_logs(path)
        assert alone == queries
        assert_array_equal(table.rewards[:, decoder], its_table.rewards)


@needs_inspect
def test_inspect_logs_of_one_model_and_task_add_samples(edited):
    def another(log):
        log.eval.eval_id = "another"

    paths = [LOGS / "sums_weak.eval", edited("sums_weak.eval", another)]
    _, once = read_inspect_logs(paths[0])
    _, twice = read_inspect_logs(paths)
    assert_array_equal(twice.rewards, np.hstack([once.rewards, once.rewards]))


@needs_inspect
def test_grades_of_inspect_are_numbers_and_errors_are_missing_samples():
    with pytest.warns(UserWarning, match="1 samples without a reward .*are left out"):
        queries, table = read_inspect_logs(LOGS / "chats_weak.json", scorer="grade")
    system = {"role": "system", "content": "Answer with a number."}
    assert queries[0] == [system, {"role": "user", "content": "2+3="}]
    # The log has NNN, NNC, CN and an error, CCC.
    expected = [[0, 0, 0], [0, 0, 1], [1, 0, NAN], [1, 1, 1]]
    assert_array_equal(table.rewards, expected)


@needs_inspect
@pytest.mark.filterwarnings("ignore:.*without a reward:UserWarning")
def test_a_field_of_a_score_and_a_score_for_reranking_can_be_named():
    _, table = read_inspect_logs(
        LOGS / "chats_weak.json", scorer="report.right", score="report.brevity"
    )
    assert_array_equal(table.rewards[1], [0, 0, 1])
    assert_array_equal(table.scores[1], [1, 1, 1 / 3])
    assert table.answers[1].tolist() == ["2", "3", "102"]


@needs_inspect
def test_the_whole_text_can_be_the_answer():
    def annotate(log):
        for sample in log.samples:
            sample.scores["match"].answer = "seven"

    _, table = read_inspect_logs(LOGS / "sums_weak.eval", answer="completion")
    assert table.answers[0].tolist() == ["3", "4", "5"]


@needs_inspect
@pytest.mark.parametrize(
    ("value", "reward"), [("P", 0.5), ("C", 1), (True, 1), (0.25, 0.25), (-3, -3)]
)
def test_values_of_inspect_scores(edited, value, reward):
    def score(log):
        first_of(log).scores["match"].value = value

    _, table = read_inspect_logs(edited("sums_weak.eval", score))
    assert_array_equal(table.rewards[0], [reward, 0, 1])


@needs_inspect
def test_a_score_that_is_not_known_is_a_missing_sample(edited):
    def unscore(log):
        first_of(log).scores["match"].value = NAN

    path = edited("sums_weak.eval", unscore)
    with pytest.warns(UserWarning, match="1 samples without a reward are left out"):
        _, table = read_inspect_logs(path)
    assert_array_equal(table.rewards[0], [0, 1, NAN])


@needs_inspect
def test_tokens_of_the_model_in_a_role_are_no_cost(edited):
    from inspect_ai.model import ModelUsage

    def use_as_grader(log):
        for sample in log.samples:
            sample.model_usage["mockllm/weak"].output_tokens += 100
            sample.role_usage["grader"] = ModelUsage(output_tokens=100)

    _, table = read_inspect_logs(LOGS / "sums_weak.eval")
    _, graded = read_inspect_logs(edited("sums_weak.eval", use_as_grader))
    assert_array_equal(graded.costs, table.costs)


@needs_inspect
def test_a_log_without_usage_has_no_costs(edited):
    def forget(log):
        for sample in log.samples:
            sample.model_usage = {}

    _, table = read_inspect_logs(edited("sums_weak.eval", forget))
    assert table.costs is None


@needs_inspect
def test_queries_without_a_sample_of_each_model_are_left_out(edited):
    def drop(log):
        log.samples = [s for s in log.samples if s.id != "2+3="]

    paths = [edited("sums_weak.eval", drop), LOGS / "sums_strong.eval"]
    with pytest.warns(UserWarning, match="1 queries without a graded sample of each"):
        queries, table = read_inspect_logs(paths)
    assert queries == ["6*17=", "7*8=", "9-4="]
    assert table.shape == (3, 2, 3)


def change_status(log):
    log.status = "cancelled"


def remove_scores(log):
    for sample in log.samples:
        sample.scores = None


def invalidate(log):
    from inspect_ai.log import ProvenanceData

    for sample in log.samples:
        sample.invalidation = ProvenanceData(author="someone")


def log_no_samples(log):
    log.samples = None


def forget_one_usage(log):
    log.samples[4].model_usage = {}


def grade_with_words(log):
    log.samples[0].scores["match"].value = "good"


def change_task(log):
    log.eval.task, log.eval.eval_id = "others", "another"


def change_query(log):
    log.eval.eval_id = "another"
    for sample in log.samples:
        sample.input = f"What is {sample.input}"


def show_image(log):
    from inspect_ai.model import ChatMessageUser, ContentImage

    image = ContentImage(image="data:image/png;base64,AAAA")
    log.samples[0].input = [ChatMessageUser(content=[image])]


def heat(log):
    log.eval.eval_id, log.plan.config.temperature = "another", 1.5


def leave_ungraded(log):
    log.eval.model, log.eval.eval_id = "others", "another"
    remove_scores(log)


def leave_as_it_is(log):
    pass


@needs_inspect
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_status, r"status 'cancelled'. Expected 'success'.*eval-retry"),
        (remove_scores, r"no graded sample among 12.*score the log first"),
        (invalidate, r"no graded sample among 12"),
        (log_no_samples, r"has no samples.*log_samples=True"),
        (forget_one_usage, r"has no cost, as 1 of 12.*read the log with cost=None"),
        (grade_with_words, r"score 'match'='good'.*one of the grades C, P, I and N"),
        (show_image, r"more than text in its query.*images and files cannot"),
    ],
)
def test_inspect_logs_that_are_refused(edited, change, message):
    path = edited("sums_weak.eval", change)
    with pytest.raises(ValueError, match=message):
        read_inspect_logs(path)


@needs_inspect
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_task, r"query '.*' of task 'others'.*for task 'sums'.*one task only"),
        (change_query, r"the query 'What is .*under the same number.*one version"),
        (heat, r"has temperature=1.5 and .*=None, of one model and task.*the same"),
        (leave_ungraded, r"no query with a graded sample of each of .*others"),
        (leave_as_it_is, r"are the same evaluation.*count twice"),
    ],
)
def test_inspect_logs_that_are_refused_together(edited, change, message):
    paths = [LOGS / "sums_weak.eval", edited("sums_weak.eval", change)]
    with pytest.raises(ValueError, match=message):
        read_inspect_logs(paths)


@needs_inspect
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"scorer=None is not accepted.*2 scorers.*\['report', 'grade'\]"),
        ({"scorer": "match"}, r"scorer='match' is no scorer.*\['report', 'grade'\]"),
        ({"scorer": 1}, r"scorer=1 is not accepted.*the name of a scorer"),
        ({"scorer": "grade", "score": "size"}, r"score='size' is no scorer"),
        ({"scorer": "report"}, r"of scorer 'report'.*there are: \['right', 'brev"),
        ({"scorer": "report.size"}, r"of scorer 'report'.*one of its fields"),
        ({"scorer": "grade.size"}, r"value 'N' of scorer 'grade'.*there are: none"),
        ({"scorer": "grade", "cost": "euro"}, r"cost='euro'.*\['tokens'\], or None"),
        ({"scorer": "grade", "answer": "last"}, r"answer='last'.*'completion'\]"),
    ],
)
def test_options_of_inspect_logs_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        read_inspect_logs(LOGS / "chats_weak.json", **options)


@needs_inspect
@pytest.mark.parametrize("content", [b"", b"{}", b"no log"])
@pytest.mark.parametrize("ending", ["eval", "json"])
def test_files_that_are_no_inspect_logs(tmp_path, content, ending):
    path = tmp_path / f"log.{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as a log of inspect_ai"):
        read_inspect_logs(path)


@needs_inspect
@pytest.mark.parametrize("ending", ["eval", "json"])
def test_inspect_logs_that_are_not_there(tmp_path, ending):
    with pytest.raises(FileNotFoundError, match=f"missing.{ending}"):
        read_inspect_logs(tmp_path / f"missing.{ending}")


@pytest.mark.skipif(
    find_spec("inspect_ai") is not None, reason="inspect_ai is installed"
)
def test_without_inspect_ai_the_extra_is_named():
    with pytest.raises(ImportError, match=r"inspect_ai is needed.*\[inspect\]"):
        read_inspect_logs(LOGS / "sums_weak.eval")
