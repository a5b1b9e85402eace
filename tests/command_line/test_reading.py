"""The same graded answers from every format, found by what is in the file."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from answer_files import long_rows, made_rewards, write_csv, write_lines

from sklearn_adaalloc import RewardTable, collect_rewards
from sklearn_adaalloc.command_line._reading import read_graded
from sklearn_adaalloc.datasets import grade_arithmetic
from sklearn_adaalloc.sampling import TransformersSampler

REWARDS = made_rewards(4, 3)
QUERIES = [f"What is {query}?" for query in range(4)]
ROWS = long_rows(REWARDS, tokens=lambda query, sample: 10 * query + sample + 1)
COSTS = 10 * np.arange(4)[:, None] + np.arange(3) + 1


def read(path, **columns):
    return read_graded([str(path)], columns)


def lines(path):
    write_lines(path, ROWS)


def compressed(path):
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    path.write_bytes(gzip.compress(text.encode()))


def parquet(path):
    pd.DataFrame(ROWS).to_parquet(path)


def one_list(path):
    path.write_text(json.dumps(ROWS, indent=1))


def semicolons(path):
    write_csv(path, ROWS, separator=";")


def row_of_each_query(path):
    rows = [
        {"question": query, "correct": own.tolist(), "tokens": paid.tolist()}
        for query, own, paid in zip(QUERIES, REWARDS, COSTS, strict=True)
    ]
    write_lines(path, rows)


@pytest.mark.parametrize(
    "write",
    [lines, compressed, parquet, one_list, semicolons, row_of_each_query],
)
def test_formats_are_known_by_their_content(write, tmp_path):
    path = tmp_path / "answers.log"  # a name that says nothing
    write(path)
    graded = read(path)
    assert graded.queries == QUERIES
    assert graded.has_texts
    np.testing.assert_array_equal(graded.table.rewards, REWARDS)
    np.testing.assert_array_equal(graded.table.costs, COSTS)
    assert graded.notes == [
        "Read query from 'question', reward from 'correct', cost from 'tokens'."
    ]


def test_a_store_of_two_samplers_is_a_table_of_two_decoders(tmp_path):
    store = tmp_path / "store"
    samplers = [TransformersSampler(max_new_tokens=n, device="cpu") for n in (2, 16)]
    queries = ["2+3=", "9-4="]
    collect_rewards(queries, samplers, grade_arithmetic, 2, store=store, progress=False)
    graded = read(store)
    assert graded.table.shape == (2, 2, 2)
    assert graded.table.decoders == ["decoder 1", "decoder 2"]
    assert sorted(graded.queries) == queries
    with pytest.raises(ValueError, match="grades of 0 reward functions with 'judge'"):
        read(store, reward="judge")


@pytest.mark.parametrize(
    ("name", "tool", "shape"),
    [
        ("weak/samples_one_2026-11-26T03-08-09.497508.jsonl", "lm_eval", (4, 1)),
        ("records_samples_weak.jsonl.gz", "Every Eval Ever", (4, 3)),
    ],
)
def test_logs_of_tools_are_known(name, tool, shape, request):
    path = request.path.parents[1] / "datasets" / "data" / "logs" / name
    named = {"reward": "match:accuracy"} if tool != "lm_eval" else {}
    graded = read(path, **named)
    assert graded.table.shape == shape
    assert graded.notes[0] == f"Read as a log of {tool}."


@pytest.mark.parametrize("name", ["sums_weak.eval", "chats_weak.json"])
def test_logs_of_inspect_are_given_to_its_reader(name, request, monkeypatch):
    asked = []

    def reader(paths, **options):
        asked.append((paths, options["scorer"]))
        return QUERIES, RewardTable(REWARDS)

    monkeypatch.setattr(
        "sklearn_adaalloc.command_line._reading.read_inspect_logs", reader
    )
    path = request.path.parents[1] / "datasets" / "data" / "logs" / name
    assert read(path, reward="match").notes == ["Read as a log of inspect_ai."]
    assert asked == [([str(path)], "match")]


def test_columns_can_be_named_left_out_and_lie_within_others(tmp_path):
    rows = [
        {
            "item": {"text": query, "id": i},
            "n": 5,
            "judged": {"ok": "yes"},
            "tokens": 7,
        }
        for i, query in enumerate(QUERIES)
        for _ in range(2)
    ]
    path = write_lines(tmp_path / "rows", rows)
    graded = read(path, reward="judged.ok", cost="none")
    assert graded.queries == QUERIES
    assert graded.table.costs is None
    np.testing.assert_array_equal(graded.table.rewards, np.ones((4, 2)))
    assert read(path, reward="judged.ok", cost="n").table.costs.tolist()[0] == [5, 5]
    numbered = read(path, query="item.id", reward="judged.ok")
    assert (numbered.queries, numbered.has_texts) == (["0", "1", "2", "3"], False)


def test_a_score_beside_a_grade_is_a_score_and_else_the_reward(tmp_path):
    with_both = [{**row, "score": 0.5} for row in ROWS]
    graded = read(write_lines(tmp_path / "both", with_both))
    assert graded.table.scores is not None
    alone = [{"prompt": row["question"], "score": 0.5} for row in ROWS]
    graded = read(write_lines(tmp_path / "alone", alone))
    assert (graded.table.scores, graded.table.rewards[0, 0]) == (None, 0.5)


def test_models_are_decoders(tmp_path):
    rows = [{**row, "model": name} for row in ROWS for name in ("small", "large")]
    graded = read(write_lines(tmp_path / "rows", rows))
    assert graded.table.decoders == ["small", "large"]
    assert graded.table.shape == (4, 2, 3)


def labelled(tmp_path, label):
    rows = long_rows(REWARDS, answer=label)
    return write_lines(tmp_path / "rows", rows)


def test_labels_that_agree_with_grades_are_kept(tmp_path):
    path = labelled(tmp_path, lambda query, sample: int(REWARDS[query, sample]))
    assert read(path).table.codes is not None


def test_reference_answers_are_no_labels_to_vote_on(tmp_path):
    rewards = np.tile([1, 0, 1], (4, 1))
    rows = long_rows(rewards, answer=lambda query, sample: f"gold {query}")
    path = write_lines(tmp_path / "rows", rows)
    graded = read(path)
    assert graded.table.codes is None
    assert "equal ones are graded differently" in graded.notes[-1]
    with pytest.raises(ValueError, match="--answer answer: equal ones are graded"):
        read(path, answer="answer")


def test_whole_texts_are_no_labels_to_vote_on(tmp_path):
    graded = read(labelled(tmp_path, lambda query, sample: f"text {sample}"))
    assert graded.table.codes is None
    assert "no two answers to a query have the same" in graded.notes[-1]


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("", {}, "is empty. Expected one row per answer"),
        ("question,correct\n", {}, "has no rows. Expected one row per answer"),
        (",".join(f"c{i}" for i in range(35)) + "\n" + 34 * ",", {}, "c28, c29 and 5 "
         "more: name one with --query"),
        ("nothing to see", {}, "begins with 'nothing to see'. Expected JSON lines"),
        ('{"a": 1}\n', {}, "no column that looks like the query of each answer. It has "
         "a: name one with --query"),
        ('{"prompt": "a"}\n', {}, "looks like the reward of each answer"),
        ('{"prompt": "a", "correct": "maybe"}\n', {}, "line 1 .*correct='maybe'. "
         "Expected a number, or true or false"),
        ('{"prompt": "a", "correct": 1}\n{"prompt"', {}, "line 2 .* Expected one JSON"),
        ('{"prompt": "a", "correct": [1], "cost": [1, 2]}\n', {}, "has 1 rewards, and "
         "2 values of cost"),
        ('{"prompt": "a", "correct": 1, "tokens": 0}\n', {}, "has tokens=0. Expected a "
         "positive number: what the answer cost. Leave costs out with --cost none"),
        ('{"prompt": "a", "correct": 1}\n', {"cost": "dollars"}, "--cost dollars: "
         ".* has no such column. It has prompt, correct"),
        ("prompt,correct\na,1,2\n", {}, "row 1 .* has 3 fields, and the line of names"),
        ('prompt,correct\n"a,1\n', {}, "cannot be read as CSV after row 0"),
        ("[1, 2]", {}, "item 1 .* is 1. Expected a JSON object"),
        ("[{]", {}, "is no JSON"),
        ('{\n"a": 1}', {}, "is one JSON object with"),
        ("prompt,correct\na,\n", {}, "has no graded sample"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(content, columns, message, tmp_path):
    path = tmp_path / "rows"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read(path, **columns)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1 and nothing else", "cannot be read as Parquet"),
        (b"SQLite format 3\0" + bytes(100), "is not a store"),
        (b"\xff\xfe\xff", "cannot be read: .* Expected text in UTF-8"),
        (b"\x1f\x8b\x08 cut off", "cannot be read"),
    ],
)
def test_damaged_files_are_named(content, message, tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(path)


def test_files_of_two_kinds_are_refused(tmp_path, table, request):
    log = request.path.parents[1] / "datasets/data/logs/records_samples_weak.jsonl.gz"
    with pytest.raises(ValueError, match="is of another kind than"):
        read_graded([str(table), str(log)], {})


def test_several_files_of_rows_are_one_table(tmp_path):
    half = len(ROWS) // 2
    paths = [
        str(write_lines(tmp_path / name, rows))
        for name, rows in (("a", ROWS[:half]), ("b", ROWS[half:]))
    ]
    np.testing.assert_array_equal(read_graded(paths, {}).table.rewards, REWARDS)


def test_queries_that_not_every_decoder_answered_are_said_to_be_left_out(tmp_path):
    rows = [
        {"prompt": f"{query}?", "model": name, "correct": query % 2}
        for query in range(5)
        for name in ("a", "b")
        if (query, name) not in ((1, "a"), (4, "b"))
    ]
    with pytest.warns(UserWarning, match="2 queries without a graded sample of each"):
        graded = read_graded([str(write_lines(tmp_path / "rows", rows))], {})
    assert graded.queries == ["0?", "2?", "3?"]
    assert graded.notes[1] == (
        "Left out: 2 of 5 queries, for want of a graded answer of each decoder."
    )
    whole = [row for row in rows if row["model"] == "a"]
    assert len(read_graded([str(write_lines(tmp_path / "a", whole))], {}).notes) == 1
