"""Readers of records of Every Eval Ever, on files that its tools wrote."""

import pytest
from logs import LOGS, lines_of, lm_eval_log, write_lines
from numpy.testing import assert_array_equal

from sklearn_adaalloc.datasets import read_eval_records, read_lm_eval_samples


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
