"""From a file to a policy, and from a policy to budgets and reasons."""

import json

import numpy as np
import pytest
from answer_files import long_rows, made_rewards, write_lines

from sklearn_adaalloc import load_policy
from sklearn_adaalloc.command_line._fitting import ALLOCATORS
from sklearn_adaalloc.datasets import load_arithmetic

QUERIES = [f"What is {query}?" for query in range(60)]


@pytest.fixture
def queries(tmp_path):
    path = tmp_path / "queries.txt"
    path.write_text("\n".join(QUERIES), encoding="utf-8")
    return path


@pytest.fixture
def policy(run, table, tmp_path):
    """A policy without features."""
    code, _, err = run("fit", table, "--budget", 3, "--out", tmp_path / "policy")
    assert (code, err) == (0, "")
    return tmp_path / "policy"


@pytest.mark.parametrize("kind", ALLOCATORS)
def test_each_kind_of_policy_is_saved_and_loaded(kind, run, table, tmp_path):
    out = tmp_path / "policy"
    code, told, _ = run(
        "fit", table, "--budget", 2, "--policy", kind, "--out", out, "--json"
    )
    assert code == 0
    name = ALLOCATORS[kind].__name__
    assert json.loads(told)["policy"] == name
    loaded = load_policy(out)
    assert type(loaded[-1]).__name__ == name
    assert loaded[-1].budget == 2
    assert len(loaded.predict(QUERIES)) == 60


def test_the_sentence_after_a_fit_says_what_was_learnt(run, table, tmp_path):
    out = tmp_path / "policy"
    told = run("fit", table, "--budget", 3, "--out", out)[1]
    assert told == (
        "AdaptiveAllocator for a mean budget of 3 answers per query, learnt from 60 "
        f"queries (features: none), is in {out}.\n"
    )


def test_texts_are_features_that_are_saved(run, tmp_path):
    data = load_arithmetic("math")
    rows = [
        {"prompt": query, "rewards": row.tolist()}
        for query, row in zip(
            data.queries_train[:150], data.rewards_train, strict=False
        )
    ][:150]
    table = write_lines(tmp_path / "rows", rows)
    out = tmp_path / "policy"
    assert run("fit", table, "--budget", 3, "--out", out, "--features", "text")[0] == 0
    code, printed, _ = run("budgets", out, table)
    found = [json.loads(line) for line in printed.splitlines()]
    assert code == 0
    assert [row["query"] for row in found] == data.queries_train[:150]
    policy = load_policy(out)
    budgets = policy.predict(data.queries_train[:150])
    assert [row["budget"] for row in found] == budgets.tolist()
    assert np.unique(budgets).size > 1


def test_chats_do_without_features(run, tmp_path):
    chats = [[{"role": "user", "content": query}] for query in QUERIES]
    rewards = made_rewards(60, 4).tolist()
    rows = [
        {"messages": chat, "rewards": row}
        for chat, row in zip(chats, rewards, strict=True)
    ]
    table = write_lines(tmp_path / "chats.jsonl", rows)
    words = ("--query", "messages", "--features", "none")
    code, _, err = run(
        "fit", table, *words, "--budget", 2, "--out", tmp_path / "policy"
    )
    assert (code, err) == (0, "")
    code, told, _ = run("budgets", tmp_path / "policy", table, "--query", "messages")
    lines = [json.loads(line) for line in told.splitlines()]
    assert code == 0
    assert [line["query"] for line in lines] == chats
    assert sum(line["budget"] for line in lines) == 2 * 60


def chats_of(queries):
    """The queries of a user after a message of the system, the same for all."""
    system = {"role": "system", "content": "Be brief."}
    return [[system, {"role": "user", "content": query}] for query in queries]


def test_of_chats_the_words_are_read_as_of_texts(run, tmp_path):
    data = load_arithmetic("math")
    queries, rewards = data.queries_train[:120], data.rewards_train[:120].tolist()
    chats = chats_of(queries)
    texts = [f"Be brief.\n{query}" for query in queries]
    budgets = []
    for name, column in (("chats", chats), ("texts", texts)):
        rows = [
            {"prompt": query, "rewards": row}
            for query, row in zip(column, rewards, strict=True)
        ]
        table, out = write_lines(tmp_path / name, rows), tmp_path / f"{name}-policy"
        words = ("--budget", 3, "--features", "text", "--out", out)
        code, _, err = run("fit", table, *words)
        assert (code, err) == (0, "")
        code, printed, _ = run("budgets", out, table)
        assert code == 0
        budgets.append([json.loads(line)["budget"] for line in printed.splitlines()])
    assert budgets[0] == budgets[1]
    assert len(set(budgets[0])) > 1


def test_minilm_reads_no_chats(run, tmp_path):
    rows = [
        {"messages": chat, "rewards": row}
        for chat, row in zip(
            chats_of(QUERIES), made_rewards(60, 4).tolist(), strict=True
        )
    ]
    table = write_lines(tmp_path / "chats.jsonl", rows)
    for command in ("fit", "report"):
        words = ("--budget", 2, *(("--out", "p") if command == "fit" else ()))
        code, _, err = run(command, table, *words, "--features", "minilm")
        assert code == 1
        assert "--features minilm reads texts, and the table has chats" in err


@pytest.mark.parametrize(
    ("words", "in_template"), [((), True), (("--chat",), True), (("--no-chat",), False)]
)
def test_a_model_reads_texts_as_it_answers_them(
    words, in_template, run, table, tmp_path
):
    out = tmp_path / "policy"
    words = ("--model", "embedded", "--budget", 2, "--out", out, *words)
    assert run("fit", table, *words)[0] == 0
    assert load_policy(out)[0].chat_template == in_template


def test_a_model_without_a_template_reads_texts_as_they_are(
    run, table, tmp_path, tiny_models
):
    out = tmp_path / "policy"
    words = ("--model", tiny_models["llama"], "--budget", 2, "--out", out)
    assert run("fit", table, *words)[0] == 0
    assert load_policy(out)[0].chat_template is False
    code, _, err = run("report", table, "--features", f"hidden:{words[1]}", "--chat")
    assert code == 2
    assert "--chat needs a chat template" in err


@pytest.mark.parametrize("kind", ALLOCATORS)
def test_every_query_gets_the_least_number_of_answers(kind, run, table, tmp_path):
    out = tmp_path / "policy"
    (tmp_path / "fit.toml").write_text("[fit]\nmin-budget = 1\n")
    words = ("--budget", 2, "--policy", kind, "--out", out)
    assert run("fit", table, *words, "--config", tmp_path / "fit.toml")[0] == 0
    policy = load_policy(out)
    assert policy[-1].min_budget == 1
    assert policy.predict(QUERIES).min() >= 1
    assert run("fit", table, *words, "--min-budget", 2)[0] == 0
    assert load_policy(out)[-1].min_budget == 2


def test_a_model_is_a_featurizer(run, table, tmp_path):
    out = tmp_path / "policy"
    code, told, _ = run(
        "fit", table, "--model", "embedded", "--budget", 2, "--out", out, "--json"
    )
    assert (code, json.loads(told)["features"]) == (0, "hidden:embedded")
    assert load_policy(out)[0].model == "embedded"


def test_arrays_are_asked_for_where_arrays_were_learnt(run, table, tmp_path, queries):
    np.save(tmp_path / "x.npy", np.linspace(0, 1, 60))
    out = tmp_path / "policy"
    words = ("--features", tmp_path / "x.npy", "--budget", 2, "--out", out)
    assert run("fit", table, *words)[0] == 0
    code, printed, _ = run("budgets", out, tmp_path / "x.npy")
    assert (code, len(printed.splitlines())) == (0, 60)
    assert (
        "was learnt on numbers. Expected an .npy file"
        in run("budgets", out, queries)[2]
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--policy", "adaptive", "--rounds", 2], 2, "--rounds 2 is not accepted with "
         "--policy adaptive"),
        (["--model", "embedded", "--features", "text"], 2, "exclude each other"),
        (["--unit", "cost"], 1, "--unit cost needs costs"),
        (["--budget", 9], 1, "budget=9.0"),
        (["--min-budget", 3], 1, "budget=2.0"),
        (["--min-budget", 1, 1], 1, "min_budget=[1, 1]"),
        (["--min-budget", -1], 2, "'-1' is no whole number of at least 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_leaves_no_policy(
    words, code, message, run, table, tmp_path
):
    out = tmp_path / "policy"
    found, _, err = run("fit", table, "--budget", 2, "--out", out, *words)
    assert found == code
    assert message in err
    assert not out.exists()


def test_a_folder_with_other_things_is_not_overwritten(run, table, tmp_path):
    code, _, err = run("fit", table, "--budget", 2, "--out", tmp_path)
    assert code == 1
    assert "answers.jsonl" in err


def test_budgets_go_to_a_file_at_once(run, policy, queries, tmp_path):
    out = tmp_path / "budgets.jsonl"
    assert run("budgets", policy, queries, "--out", out) == (0, "", "")
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [row["query"] for row in rows] == QUERIES
    assert sum(row["budget"] for row in rows) <= 3 * 60
    assert all(0 <= row["expected_reward"] <= 1 for row in rows)
    assert list(tmp_path.glob("*.new")) == []


def test_another_budget_can_be_asked_for(run, policy, queries):
    printed = run("budgets", policy, queries, "--budget", 1)[1]
    budgets = [json.loads(line)["budget"] for line in printed.splitlines()]
    assert 0 < sum(budgets) <= 60


def test_queries_come_from_the_standard_input(run, policy, monkeypatch):
    monkeypatch.setattr("sys.stdin.read", lambda: "2+3=\n\n9-4=\n", raising=False)
    printed = run("budgets", policy, "-")[1]
    assert [json.loads(line)["query"] for line in printed.splitlines()] == [
        "2+3=",
        "9-4=",
    ]


def test_a_query_is_explained_in_numbers_and_a_sentence(run, policy):
    code, printed, _ = run("explain", policy, "What is 7?")
    assert code == 0
    assert printed.startswith("budget ")
    assert "Gets 3 samples: " in printed
    row = json.loads(run("explain", policy, "What is 7?", "--json")[1])
    assert row["budget"] == 3
    assert row["why"].startswith("Gets 3 samples: ")


def test_several_decoders_are_explained_line_by_line(run, tmp_path):
    rows = [
        {**row, "model": name, "cost": 1 + place}
        for place, name in enumerate(("small", "large"))
        for row in long_rows(made_rewards())
    ]
    out = tmp_path / "policy"
    table = write_lines(tmp_path / "rows", rows)
    words = ("--budget", 4, "--policy", "sequential", "--out", out)
    assert run("fit", table, *words, "--min-budget", 1, 0)[0] == 0
    assert load_policy(out)[-1].min_budget == [1, 0]
    printed = run("explain", out, "What is 7?")[1].splitlines()
    assert printed[0].split()[:2] == ["decoder", "budget"]
    assert [line.split()[0] for line in printed[1:3]] == ["small", "large"]
    assert sum(line.startswith("- ") for line in printed) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty. Expected a query in each line"), (None, "No such file")],
)
def test_queries_that_cannot_be_read_are_named(content, message, run, policy, tmp_path):
    path = tmp_path / "queries2.txt"
    if content is not None:
        path.write_text(content)
    code, out, err = run("budgets", policy, path)
    assert (code, out) == (1, "")
    assert message in err


def test_a_column_of_queries_can_be_named(run, policy, tmp_path):
    path = write_lines(tmp_path / "q", [{"body": "2+3="}])
    assert "name one with --query" in run("budgets", policy, path)[2]
    assert '"2+3="' in run("budgets", policy, path, "--query", "body")[1]


def test_what_is_no_policy_is_named(run, tmp_path, queries):
    code, _, err = run("budgets", tmp_path / "nothing", queries)
    assert code == 1
    assert "is not a policy" in err
