"""LMSYS-Chat-1M and HH on small files of their schemas; the tranches."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hub_files import write_rows

from sklearn_adaalloc.datasets import (
    fetch_hh_harmless,
    fetch_lmsys_chat,
    variance_tranches,
)

ALL = {"n_train": None, "n_validation": 0, "n_test": 0}


def lmsys_row(*texts, roles=("user", "assistant"), **fields):
    conversation = [
        {"content": text, "role": roles[i % len(roles)]} for i, text in enumerate(texts)
    ]
    row = {
        "conversation_id": "1",
        "model": "vicuna-13b",
        "conversation": conversation,
        "turn": len(texts) // 2,
        "language": "English",
        "openai_moderation": [{"categories": {"hate": False}, "flagged": False}],
        "redacted": False,
    }
    return row | fields


@pytest.fixture
def lmsys(tmp_path):
    """20 conversations of one turn in parquet, as on the hub."""
    folder = tmp_path / "lmsys/lmsys-chat-1m/data"
    folder.mkdir(parents=True)
    rows = [lmsys_row(f"Question {i}?", f"Answer {i}.") for i in range(20)]
    table = pa.Table.from_pylist(rows)
    pa.parquet.write_table(table, folder / "train-00000-of-00001.parquet")
    return tmp_path


def fetch_rows(folder, rows):
    write_rows(folder, "lmsys/lmsys-chat-1m/data/train", rows)
    return fetch_lmsys_chat(**ALL, data_home=folder)


def test_lmsys_queries_are_chats(lmsys):
    table = fetch_lmsys_chat(n_train=10, n_validation=3, n_test=7, data_home=lmsys)
    queries = table.queries_train + table.queries_validation + table.queries_test
    answers = table.answers_train + table.answers_validation + table.answers_test
    numbers = [query[0]["content"].split()[1][:-1] for query in queries]
    assert queries == [[{"role": "user", "content": f"Question {n}?"}] for n in numbers]
    assert answers == [f"Answer {n}." for n in numbers]
    assert sorted(map(int, numbers)) == list(range(20))


def test_lmsys_has_the_sizes_of_the_paper(lmsys):
    message = "n_test=5000, n_validation=0, n_train=50000 need at least 55000"
    with pytest.raises(ValueError, match=message):
        fetch_lmsys_chat(data_home=lmsys)


def test_lmsys_query_ends_with_the_last_message_of_the_user(tmp_path):
    table = fetch_rows(tmp_path, [lmsys_row("Hello", "Hi", "Who?", "Me")])
    assert table.queries_train == [
        [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "Who?"},
        ]
    ]
    assert table.answers_train == ["Me"]


@pytest.mark.parametrize(
    "row",
    [
        lmsys_row("Out", "b", language="German"),
        lmsys_row("Out", "b", language="unknown"),
        lmsys_row("Out", "b", redacted=True),
        lmsys_row(*["Out"] * 20),
        lmsys_row("Out", "b", turn=10),
        lmsys_row("", "b"),
        lmsys_row(" \n", "b"),
        lmsys_row("Out", "", "c", "d"),
        lmsys_row(None, "b"),
        lmsys_row("Out", "b", "c"),
        lmsys_row("Out", "b", roles=("assistant", "user")),
        lmsys_row("Out", "b", roles=("user",)),
        lmsys_row("Out", "b", "c", "d", roles=("system", "user", "assistant")),
        lmsys_row(),
    ],
)
def test_lmsys_leaves_out(tmp_path, row):
    table = fetch_rows(tmp_path, [row, lmsys_row("In", "b")])
    assert table.queries_train == [[{"role": "user", "content": "In"}]]


@pytest.mark.parametrize(
    "row",
    [lmsys_row(*["In"] * 18), lmsys_row("In", ""), lmsys_row("In", None)],
)
def test_lmsys_keeps(tmp_path, row):
    table = fetch_rows(tmp_path, [row])
    assert table.queries_train == [row["conversation"][:-1]]
    assert table.answers_train == [row["conversation"][-1]["content"] or ""]


def test_lmsys_counts_a_chat_once(tmp_path):
    rows = [
        lmsys_row("Hello", "Hi"),
        lmsys_row("Hello ", "Good morning"),
        lmsys_row("Hello", "Hi", "And now?", "Bye"),
    ]
    table = fetch_rows(tmp_path, rows)
    assert [len(query) for query in table.queries_train] == [1, 3]
    assert table.answers_train == ["Hi", "Bye"]


@pytest.mark.parametrize(
    "conversation",
    [["Hello", "Hi"], [{"role": "user"}], [{"role": "user"} | {"content": 1}] * 2],
)
def test_lmsys_refuses_what_is_no_conversation(tmp_path, conversation):
    with pytest.raises(ValueError, match=r"conversation=.* is not accepted"):
        fetch_rows(tmp_path, [lmsys_row(conversation=conversation)])


@pytest.fixture
def harmless(tmp_path):
    """Compressed JSON lines, as on the hub."""
    folder = tmp_path / "Anthropic/hh-rlhf/harmless-base"
    folder.mkdir(parents=True)
    chosen = {
        "train": [f"\n\nHuman: Do {i}!\n\nAssistant: No, not {i}." for i in range(9)],
        "test": [
            "\n\nHuman: Do 3!\n\nAssistant: Never.",
            "\n\nHuman: Hello\n\nAssistant: Hi\n\nHuman: Bad?\n\nAssistant: I won't.",
            "\n\nHuman: Nobody answers",
            "\n\nAssistant: Nobody asked.",
            "\n\nHuman: Silence?\n\nAssistant:",
        ],
    }
    for part, texts in chosen.items():
        rows = [{"chosen": text, "rejected": "\n\nHuman: a"} for text in texts]
        lines = "\n".join(json.dumps(row) for row in rows)
        (folder / f"{part}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return tmp_path


def test_harmless_queries_end_where_the_assistant_replies(harmless):
    table = fetch_hh_harmless(n_train=None, n_test=None, data_home=harmless)
    assert table.queries_test == [
        "Human: Do 3!\n\nAssistant:",
        "Human: Hello\n\nAssistant: Hi\n\nHuman: Bad?\n\nAssistant:",
        "Human: Silence?\n\nAssistant:",
    ]
    assert table.answers_test == ["Never.", "I won't.", ""]
    # The one that is in the test part is not trained on.
    assert table.answers_train == [f"No, not {i}." for i in (0, 1, 2, 4, 5, 6, 7, 8)]
    assert "test part of Anthropic/hh-rlhf: 5 rows, of which 3 passed" in table.DESCR


def test_harmless_splits(harmless):
    table = fetch_hh_harmless(n_train=4, n_validation=3, n_test=2, data_home=harmless)
    columns = fetch_hh_harmless(
        n_train=4, n_validation=3, n_test=2, data_home=harmless, return_X_y=True
    )
    assert [len(column) for column in columns] == [4, 3, 2, 4, 3, 2]
    assert columns[2] == table.queries_test
    assert len(set(columns[0] + columns[1] + columns[2])) == 9


def test_harmless_has_the_sizes_of_the_paper(harmless):
    with pytest.raises(ValueError, match="n_test=400 need at least 400 queries"):
        fetch_hh_harmless(data_home=harmless)
    with pytest.raises(ValueError, match="n_validation=0, n_train=8000 need at least"):
        fetch_hh_harmless(n_test=1, data_home=harmless)


# Tranches


def test_tranches_by_hand():
    # Variances 0, 1, 4, 9, 16 in some order.
    rewards = [[0, 8], [0, 2], [3, 3], [-3, 3], [5, 1]]
    low, high = variance_tranches(rewards, share=0.4)
    assert (low.tolist(), high.tolist()) == ([1, 2], [0, 3])
    low, high = variance_tranches(rewards, share=0.2)
    assert (low.tolist(), high.tolist()) == ([2], [0])


def test_tranches_hold_the_extremes_and_nothing_twice():
    rng = np.random.default_rng(0)
    rewards = rng.standard_normal((200, 8)) * rng.exponential(size=(200, 1))
    low, high = variance_tranches(rewards)
    assert len(low) == len(high) == 20
    rest = np.setdiff1d(np.arange(200), np.concatenate([low, high]))
    assert len(rest) == 160
    variances = rewards.var(axis=1)
    assert variances[low].max() <= variances[rest].min()
    assert variances[rest].max() <= variances[high].min()


def test_tranches_pass_by_missing_samples():
    low, high = variance_tranches([[1, 1, np.nan], [0, 9, 0], [1, 2, 3]], share=0.3)
    assert (low.tolist(), high.tolist()) == ([0], [1])


def test_tranches_of_half_an_odd_number_of_queries_are_disjoint():
    low, high = variance_tranches([[0, 2], [0, 9], [0, 1]], share=0.5)
    assert (low.tolist(), high.tolist()) == ([2], [1])


def test_tranches_of_equal_variances_are_disjoint():
    low, high = variance_tranches(np.zeros((6, 2)), share=0.5)
    assert (low.tolist(), high.tolist()) == ([0, 1, 2], [3, 4, 5])


@pytest.mark.parametrize(
    ("rewards", "share", "message"),
    [
        (np.zeros((9, 2)), 0.0, "share=0.0 is not accepted"),
        (np.zeros((9, 2)), 0.6, "share=0.6 is not accepted"),
        (np.zeros((4, 2)), 0.1, "share=0.1 of 4 queries is less than one query"),
        (np.zeros((9, 2, 2)), 0.2, "Expected the table of one decoder"),
        ([[0, 1], [2, np.nan]], 0.5, "rewards has a single sample in row 1"),
        (np.zeros(9), 0.2, "rewards has a single sample in row 0"),
    ],
)
def test_tranches_refuse(rewards, share, message):
    with pytest.raises(ValueError, match=message):
        variance_tranches(rewards, share)
