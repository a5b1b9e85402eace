"""Readers of logs of lm_eval, on files that it wrote (data/make_logs.py)."""

import pytest
from logs import lines_of, lm_eval_log, write_lines
from numpy.testing import assert_array_equal

from sklearn_adaalloc.datasets import grade_arithmetic, read_lm_eval_samples


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
