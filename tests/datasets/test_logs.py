"""Readers of logs, on files that the tools themselves wrote (data/make_logs.py)."""

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge

from sklearn_adaalloc import AdaptiveAllocator, RewardRegressor
from sklearn_adaalloc.datasets import (
    grade_arithmetic,
    read_eval_records,
    read_inspect_logs,
    read_lm_eval_samples,
    read_samples,
)

LOGS = Path(__file__).parent / "data" / "logs"
NAN = np.nan
needs_inspect = pytest.mark.skipif(
    find_spec("inspect_ai") is None, reason="inspect_ai is not installed"
)


def lm_eval_log(model, task):
    (path,) = LOGS.glob(f"{model}/samples_{task}_*.jsonl")
    return path


def lines_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_lines(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


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


# inspect_ai


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


# lm_eval


def test_models_of_lm_eval_are_named_by_their_folders():
    paths = [lm_eval_log(model, "one") for model in ("weak", "strong")]
    queries, table = read_lm_eval_samples(paths)
    assert queries == ["2+3=", "9-4=", "7*8=", "6*17="]
    assert table.decoders == ["weak", "strong"]
    assert table.shape == (4, 2, 1)
    for row, query in enumerate(queries):
        answers = table.answers[row].ravel().tolist()
        assert_array_equal(
            table.rewards[row].ravel(), grade_arithmetic([query], [answers])[0]
        )


def test_messages_of_lm_eval_are_chats():
    queries, table = read_lm_eval_samples(lm_eval_log("chat", "one"))
    assert queries[0] == [{"role": "user", "content": "2+3="}]
    assert_array_equal(table.rewards, [[1], [1], [1], [0]])
    assert table.answers.ravel().tolist() == ["5", "5", "56", "92"]


def test_lm_eval_grades_the_first_response_only():
    path = lm_eval_log("weak", "three")
    with pytest.warns(UserWarning, match=r"3 responses.*the first only.*reward="):
        _, table = read_lm_eval_samples(path, metric="exact_match")
    assert_array_equal(table.rewards, [[row["exact_match"]] for row in lines_of(path)])
    assert table.shape == (4, 1)


def test_all_responses_are_graded_anew():
    path = lm_eval_log("weak", "three")
    queries, table = read_lm_eval_samples(path, reward=grade_arithmetic)
    responses = [row["resps"][0] for row in lines_of(path)]
    assert_array_equal(table.rewards, grade_arithmetic(queries, responses))
    assert table.shape == (4, 3)
    assert table.answers is None  # the filter kept one of three


def test_what_a_filter_keeps_of_each_response_is_a_label():
    path = lm_eval_log("weak", "filters")
    _, table = read_lm_eval_samples(path, filter="each", reward=grade_arithmetic)
    kept = [row["filtered_resps"][0] for row in lines_of(path)[-4:]]
    assert table.answers.tolist() == kept


def test_a_filter_without_a_match_leaves_no_answer(tmp_path):
    rows = lines_of(lm_eval_log("weak", "one"))
    rows[0]["filtered_resps"] = ["[invalid]"]
    path = write_lines(tmp_path / "samples.jsonl", rows)
    _, table = read_lm_eval_samples(path)
    assert table.answers[0].tolist() == [None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"filter=None is not accepted.*one of \['first', 'digit', 'each'\]"),
        ({"filter": "last"}, r"filter='last' is not accepted.*one of \['first'"),
        ({"filter": "digit"}, r"line 7 of .*3 responses and one exact_match.*reward="),
        ({"filter": "each"}, r"line 9 of .*3 responses and one exact_match.*reward="),
        ({"filter": "first", "metric": "f1"}, r"metric='f1'.*\['exact_match'\]"),
        ({"reward": 1}, r"reward=1 is not accepted. Expected a function"),
        ({"reward": lambda q, a: [[1]]}, r"reward returned \[\[1\]\] for 4 queries"),
    ],
)
def test_what_a_log_of_lm_eval_does_not_say(options, message):
    with pytest.raises(ValueError, match=message):
        read_lm_eval_samples(lm_eval_log("weak", "filters"), **options)


def test_several_metrics_of_lm_eval_have_to_be_named(tmp_path):
    rows = [
        {**row, "metrics": ["exact_match", "length"], "length": 2}
        for row in lines_of(lm_eval_log("weak", "one"))
    ]
    path = write_lines(tmp_path / "samples.jsonl", rows)
    with pytest.raises(ValueError, match=r"metric=None.*\['exact_match', 'length'\]"):
        read_lm_eval_samples(path)
    assert_array_equal(read_lm_eval_samples(path, metric="length")[1].rewards, 2)


def test_a_line_of_lm_eval_without_a_prompt_is_refused(tmp_path):
    rows = lines_of(lm_eval_log("weak", "one"))
    rows[2]["arguments"] = {}
    path = write_lines(tmp_path / "samples.jsonl", rows)
    with pytest.raises(ValueError, match=r"line 3 of .*has the query \{\}. Expected"):
        read_lm_eval_samples(path)


@pytest.mark.parametrize(
    ("logs", "message"),
    [
        ([("weak", "choices")], r"line 1 of .*multiple choices.*generates text"),
        ([("weak", "one"), ("weak", "three")], r"of task 'three'.*for task 'one'"),
        ([("weak", "one"), ("chat", "one")], r"asked with the same prompt"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*the first only:UserWarning")
def test_logs_of_lm_eval_that_are_refused(logs, message):
    with pytest.raises(ValueError, match=message):
        read_lm_eval_samples([lm_eval_log(*log) for log in logs])


# Every Eval Ever


def test_records_are_samples_and_models_are_decoders():
    paths = [LOGS / f"records_samples_{m}.jsonl.gz" for m in ("weak", "strong")]
    queries, table = read_eval_records(paths, result="match:accuracy")
    assert queries == ["2+3=", "6*17=", "7*8=", "9-4="]
    assert table.decoders == ["mockllm/weak", "mockllm/strong"]
    # As in the log of inspect_ai that they were converted from.
    expected = [[0, 0, 1], [0, 0, 1], [1, 0, 1], [1, 1, 0]]
    assert_array_equal(table.rewards[:, 0], expected)
    assert table.costs[0, 0].tolist() == [29, 23, 25]


def test_extracted_values_of_records_are_answers():
    _, table = read_eval_records(LOGS / "records_one.jsonl")
    _, logged = read_lm_eval_samples(lm_eval_log("weak", "one"))
    assert_array_equal(table.rewards, logged.rewards)
    assert table.answers.tolist() == logged.answers.tolist()
    assert table.costs is None


def test_means_over_epochs_are_refused():
    path = LOGS / "records_epochs_weak.jsonl.gz"
    with pytest.raises(ValueError, match=r"same score in all epochs.*read_inspect_log"):
        read_eval_records(path, result="match:stderr")


def test_a_record_with_an_error_is_a_missing_sample(tmp_path):
    rows = lines_of(LOGS / "records_one.jsonl")
    rows[1]["error"] = "timeout"
    path = write_lines(tmp_path / "records.jsonl", rows)
    with pytest.warns(UserWarning, match="1 samples without a reward .*are left out"):
        queries, _ = read_eval_records(path)
    assert queries == ["2+3=", "7*8=", "6*17="]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, r"result=None.*\['match:accuracy', 'match:stderr'\]"),
        ("match", r"result='match' is not accepted.*\['match:accuracy'"),
    ],
)
def test_results_of_records_have_to_be_named(result, message):
    with pytest.raises(ValueError, match=message):
        read_eval_records(LOGS / "records_samples_weak.jsonl.gz", result=result)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_id": None}, r"line 2 of .*Expected a record with schema_version"),
        ({"evaluation": 1}, r"line 2 of .*is it an aggregate file"),
        ({"input": {"raw": 1}}, r"line 2 of .*has the query 1"),
        ({"output": {"raw": ["5", "6"]}}, r"line 2 of .*2 outputs and one score"),
        ({"evaluation": {"score": "high"}}, r"line 2 of .* has score='high'"),
        ({"evaluation_name": "sums", "input": {"raw": "2+3="}}, r"of task 'sums'"),
    ],
)
def test_records_that_are_refused(tmp_path, fields, message):
    rows = lines_of(LOGS / "records_one.jsonl")
    rows[1] |= fields
    path = write_lines(tmp_path / "records.jsonl", rows)
    with pytest.raises(ValueError, match=message):
        read_eval_records(path)


@pytest.mark.parametrize("scores", [[0, 1, 1], [1, 0.5, 0.5]])
def test_epochs_with_scores_of_their_own_are_read(tmp_path, scores):
    (first, *_) = lines_of(LOGS / "records_one.jsonl")
    rows = [
        {**first, "evaluation": {"score": score}, "metadata": {"epoch": str(epoch)}}
        for epoch, score in enumerate(scores)
    ]
    path = write_lines(tmp_path / "records.jsonl", rows)
    assert_array_equal(read_eval_records(path)[1].rewards, [scores])


def test_the_cost_of_records_is_tokens_or_none():
    with pytest.raises(ValueError, match=r"cost='dollars'.*\['tokens'\], or None"):
        read_eval_records(LOGS / "records_one.jsonl", cost="dollars")


# Rows of any kind

ROWS = [
    {"q": {"text": "2+3="}, "by": "small", "graded": [{"ok": True}], "n": 12, "a": "5"},
    {"q": {"text": "9-4="}, "by": "small", "graded": [{"ok": False}], "n": 9, "a": ""},
    {"q": {"text": "2+3="}, "by": "large", "graded": [{"ok": 0.5}], "n": 50, "a": 7},
    {"q": {"text": "2+3="}, "by": "small", "graded": [{"ok": 0}], "n": 11, "a": None},
    {"q": {"text": "9-4="}, "by": "large", "graded": [{"ok": 1}], "n": 70, "a": "5"},
]
NAMES = {"query": "q.text", "reward": "graded.0.ok"}
ALL = {**NAMES, "decoder": "by", "cost": "n", "answer": "a", "score": "n"}


def write_parquet(path, rows):
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    return path


def write_gzip(path, rows):
    text = "\n".join(json.dumps(row) for row in rows)
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("rows.jsonl", write_lines),
        ("rows.json", write_lines),
        ("r.jsonl.gz", write_gzip),
    ],
)
def test_rows_by_the_names_of_their_fields(tmp_path, name, write):
    queries, table = read_samples(write(tmp_path / name, ROWS), **ALL)
    assert queries == ["2+3=", "9-4="]
    assert table.decoders == ["small", "large"]
    assert_array_equal(table.rewards, [[[1, 0], [0.5, NAN]], [[0, NAN], [1, NAN]]])
    assert_array_equal(table.costs, [[[12, 11], [50, NAN]], [[9, NAN], [70, NAN]]])
    assert_array_equal(table.scores, table.costs)
    assert table.answers[0].tolist() == [["5", None], [7, None]]


def test_rows_of_parquet(tmp_path):
    # Each column of Parquet has one type.
    rows = [
        {**row, "graded": {"ok": row["n"] > 10}, "a": str(row["a"])} for row in ROWS
    ]
    path = write_parquet(tmp_path / "rows.parquet", rows)
    queries, table = read_samples(path, query="q.text", reward="graded.ok", cost="n")
    assert queries == ["2+3=", "9-4="]
    assert_array_equal(table.rewards, [[1, 1, 1], [0, 1, NAN]])
    assert_array_equal(table.costs, [[12, 50, 11], [9, 70, NAN]])


def test_a_name_with_a_dot_is_a_name(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [{"q.text": "2+3=", "r": 1}])
    assert read_samples(path, query="q.text", reward="r")[0] == ["2+3="]


def test_chats_are_queries(tmp_path):
    chat = [{"role": "user", "content": "2+3="}]
    rows = [{"q": chat, "r": 1}, {"q": chat, "r": 0}, {"q": "2+3=", "r": 0}]
    queries, table = read_samples(
        write_lines(tmp_path / "rows.jsonl", rows), query="q", reward="r"
    )
    assert queries == [chat, "2+3="]
    assert_array_equal(table.rewards, [[1, 0], [0, NAN]])


def test_rows_without_a_reward_are_left_out(tmp_path):
    rows = [{"q": "2+3=", "r": None}, {"q": "2+3=", "r": 1}, {"q": "9-4=", "r": None}]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    with pytest.warns(UserWarning, match="2 samples without a reward .* 1 queries"):
        queries, table = read_samples(path, query="q", reward="r")
    assert queries == ["2+3="]
    assert_array_equal(table.rewards, [[1]])


def test_what_was_read_is_fitted(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"q": "1" * length, "r": int(rng.random() < 1 / length)}
        for length in range(1, 21)
        for _ in range(8)
    ]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    queries, table = read_samples(path, query="q", reward="r")
    X = [[len(query)] for query in queries]
    policy = AdaptiveAllocator(RewardRegressor(Ridge()), budget=2).fit(X, table)
    assert policy.predict(X).sum() <= 40
    assert 0 < policy.score(X, table) <= 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"r": 1}, r"query='q' is no field of line 2 of .*\['r'\].*query of each"),
        ({"q": "a"}, r"reward='r' is no field of line 2 of"),
        ({"q": 5, "r": 1}, r"line 2 of .*has the query 5. Expected a text, or a list"),
        ({"q": "a", "r": "yes"}, r"line 2 of .*has r='yes'. Expected a number"),
        ({"q": "a", "r": float("inf")}, r"line 2 of .*has r=inf"),
    ],
)
def test_rows_that_are_refused(tmp_path, row, message):
    path = write_lines(tmp_path / "rows.jsonl", [{"q": "a", "r": 1}, row])
    with pytest.raises(ValueError, match=message):
        read_samples(path, query="q", reward="r")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n": None}, r"line 3 of .*has no cost, as 1 of 5.*cost=None"),
        ({"n": "many"}, r"line 3 of .*has n='many'. Expected a number"),
        ({"by": None}, r"line 3 of .*has by=None. Expected the name of a decoder"),
        ({"a": 0.5}, r"line 3 of .*has answer=0.5. Expected a text or a whole"),
    ],
)
def test_fields_of_rows_that_are_refused(tmp_path, fields, message):
    rows = [*ROWS[:2], {**ROWS[2], **fields}, *ROWS[3:]]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    with pytest.raises(ValueError, match=message):
        read_samples(path, **ALL)


def test_decoders_without_a_common_query_are_refused(tmp_path):
    rows = [{**row, "by": row["q"]["text"]} for row in ROWS]
    path = write_lines(tmp_path / "rows.jsonl", rows)
    with pytest.raises(ValueError, match=r"no query with a graded sample of each of"):
        read_samples(path, **NAMES, decoder="by")


@pytest.mark.parametrize(
    "names", [{"query": None, "reward": "r"}, {"query": "q", "reward": 1}]
)
def test_names_of_fields_are_texts(tmp_path, names):
    with pytest.raises(ValueError, match=r"=(None|1) is not accepted.*name of a field"):
        read_samples(tmp_path / "rows.jsonl", **names)


# Files

READERS = [
    read_lm_eval_samples,
    read_eval_records,
    lambda path: read_samples(path, **NAMES),
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", b"", "is empty. Expected one row per sample"),
        ("rows.jsonl", b"\n \n", "is empty. Expected one row per sample"),
        ("rows.jsonl", b'\n{"a": 1', "line 2 of .* is '{\"a\": 1'.*cut off"),
        ("rows.jsonl", b"[1]\n", r"line 1 of .* is '\[1\]'. Expected one JSON object"),
        ("rows.jsonl", b"\xff\xfe\n", "cannot be read after line 0.*UTF-8"),
        ("rows.jsonl.gz", b'{"a": 1}\n', "cannot be read after line 0.*damaged"),
        (
            "rows.jsonl.gz",
            gzip.compress(b"{}", mtime=0)[:-9],
            "cannot be read after line",
        ),
        ("rows.parquet", b"no parquet", "cannot be read as Parquet after row 0"),
        ("rows.csv", b"a,b\n1,2\n", "path=.*rows.csv' is not accepted.*.parquet"),
        ("rows.jsonl", b'{"a": 1}\n', "line 1 of"),
    ],
)
def test_files_that_are_no_logs(tmp_path, read, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(path)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("name", ["missing.jsonl", "missing.parquet"])
def test_files_that_are_not_there(tmp_path, read, name):
    with pytest.raises(FileNotFoundError, match=name):
        read(tmp_path / name)


@pytest.mark.parametrize("read", [read_lm_eval_samples, read_eval_records])
@pytest.mark.parametrize("paths", [[], ["a.jsonl", "a.jsonl"], None, 3])
def test_paths_of_logs(read, paths):
    with pytest.raises(ValueError, match=r"path_or_paths=.*different paths"):
        read(paths)
