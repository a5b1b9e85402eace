"""The report: figures against the metrics, the same twice, text, JSON and page."""

import base64
import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from answer_files import long_rows, made_rewards, write_lines

from sklearn_adaalloc import RewardTable
from sklearn_adaalloc.metrics import (
    decoder_cost_curves,
    expected_reward_score,
    oracle_cost_curve,
)

REWARDS = made_rewards()


@pytest.fixture
def reported(run):
    """The report of a file, as JSON."""

    def report(*words):
        code, out, err = run("report", *words, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return report


def test_figures_are_those_of_the_metrics(reported, table):
    figures = reported(table, "--budget", 2, 3)["figures"]
    assert (figures["queries"], figures["samples"]) == REWARDS.shape
    assert figures["one_answer"] == pytest.approx(REWARDS.mean())
    assert figures["solvable"] == pytest.approx(REWARDS.any(axis=1).mean())
    for row, budget in zip(figures["rows"], (2, 3), strict=True):
        equal = row["equal"]
        assert row["budget"] == budget
        assert equal["reward"] == pytest.approx(expected_reward_score(REWARDS, budget))
        assert equal["low"] < equal["reward"] < equal["high"]
        twice = np.repeat(REWARDS[:, None], 2, axis=1)
        stopped = np.interp(
            row["stopped"]["spend"], *decoder_cost_curves(twice)["decoder 0"]
        )
        assert row["stopped"]["reward"] == pytest.approx(stopped)
        assert row["stopped"]["gain"] == pytest.approx(
            row["policies"]["stream"]["reward"] - stopped
        )
        bound = np.interp(budget, *oracle_cost_curve(twice))
        assert row["oracle_with_verdicts"] == pytest.approx(bound)
        for policy in row["policies"].values():
            same = expected_reward_score(REWARDS, policy["spend"])
            assert policy["equal_at_spend"] == pytest.approx(same)
            gain = policy["reward"] - same
            assert policy["gain"] == pytest.approx(gain)
            assert policy["gain_low"] <= policy["gain"] <= policy["gain_high"]
            assert policy["reward"] <= bound + 0.05
        assert row["policies"]["up front"]["spend"] <= budget
        assert row["policies"]["in 4 rounds"]["spend"] <= budget


def test_two_runs_give_the_same_text_and_page(run, table, tmp_path):
    made = []
    for name in ("a.html", "b.html"):
        page = tmp_path / name
        code, out, _ = run("report", table, "--budget", 2, "--html", page)
        assert code == 0
        made.append((out, page.read_text(encoding="utf-8")))
    assert made[0] == made[1]
    assert "What to do\n- " in made[0][0]
    check_page(made[0][1], n_pictures=2)


class Checker(HTMLParser):
    """Whether tags are closed in order, and what a page refers to."""

    void = {"meta", "img", "source", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href", "srcset")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_page(page, n_pictures):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert "script" not in checker.tags
    assert checker.tags.count("figure") == n_pictures
    assert len(checker.links) == 2 * n_pictures
    assert all(link.startswith("data:image/svg+xml;base64,") for link in checker.links)
    drawings = [base64.b64decode(link.partition(",")[2]) for link in checker.links]
    assert all(drawing.startswith(b"<?xml") for drawing in drawings)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_commands_and_options_are_set_as_code(run, tmp_path):
    path = write_lines(tmp_path / "rows", long_rows(REWARDS))
    page = tmp_path / "page.html"
    assert run("report", path, "--features", "none", "--html", page)[0] == 0
    written = page.read_text(encoding="utf-8")
    assert "`" not in written
    assert "<code>adaalloc fit --policy sequential</code>" in written
    assert "<code>--features</code>" in written


def test_texts_of_the_table_are_escaped(run, tmp_path):
    evil = '<script>alert("x")</script>'
    rows = [
        {"prompt": f"{evil} {query}", evil: int(reward), "model": name}
        for query, row in enumerate(REWARDS)
        for name, own in ((f"{evil}$x_", row[:2]), ("b\x1b[31m", row[2:4]))
        for reward in own
    ]
    path = write_lines(tmp_path / "<b>.jsonl", rows)
    page = tmp_path / "page.html"
    code, out, _ = run(
        "report", path, "--features", "none", "--reward", evil, "--html", page
    )
    assert code == 0
    assert "\x1b" not in out
    written = page.read_text(encoding="utf-8")
    check_page(written, n_pictures=2)
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;$x_" in written
    assert "&lt;b&gt;.jsonl" in written


def test_costs_are_what_budgets_count(reported, tmp_path):
    rows = long_rows(REWARDS, tokens=lambda query, sample: 10 + query + sample)
    path = write_lines(tmp_path / "rows", rows)
    report = reported(path)
    costs = 10 + np.arange(60)[:, None] + np.arange(8)
    mean = costs.mean()
    assert report["unit"] == "cost"
    figures = report["figures"]
    assert figures["cost_of_an_answer"] == pytest.approx(mean)
    assert [row["budget"] for row in figures["rows"]] == pytest.approx(
        [2 * mean, 4 * mean]
    )
    table = RewardTable(REWARDS, costs=costs)
    same = expected_reward_score(table, 2 * mean, unit="cost")
    assert figures["rows"][0]["equal"]["reward"] == pytest.approx(same)
    assert reported(path, "--unit", "samples", "--budget", 2)["unit"] == "samples"


def test_votes_are_taken_where_nothing_grades(reported, tmp_path):
    labels = np.where(REWARDS == 1, 7, np.arange(8) % 3)
    rows = long_rows(REWARDS, answer=lambda query, sample: int(labels[query, sample]))
    path = write_lines(tmp_path / "rows", rows)
    report = reported(path, "--selection", "vote", "--budget", 4)
    (row,) = report["figures"]["rows"]
    table = RewardTable(REWARDS, answers=labels)
    same = expected_reward_score(table, 4, selection="vote")
    assert row["equal"]["reward"] == pytest.approx(same)
    assert row["oracle_with_verdicts"] is row["stopped"] is None
    told = reported(path, "--budget", 2)["advice"]
    assert "--selection vote" in " ".join(told)


def test_real_rewards_are_means_and_every_query_gets_an_answer(reported, tmp_path):
    rng = np.random.default_rng(0)
    rewards = rng.normal(5 + rng.normal(size=(40, 1)), 1, (40, 6))
    rows = [
        {"id": query, "score": float(reward)}
        for query, row in enumerate(rewards)
        for reward in row
    ]
    report = reported(write_lines(tmp_path / "rows", rows), "--budget", 3)
    (row,) = report["figures"]["rows"]
    assert not report["figures"]["binary"]
    assert row["equal"]["reward"] == pytest.approx(expected_reward_score(rewards, 3))
    assert report["features"] == "none"


def test_a_budget_in_answers_where_costs_are_counted(run, tmp_path):
    rows = long_rows(REWARDS, tokens=lambda query, sample: 50)
    table = write_lines(tmp_path / "tokens.jsonl", rows)
    code, _, err = run("report", table, "--budget", 2)
    assert code == 1
    assert "--budget 2 is 0.04 answers to each query" in err
    assert "Budgets count costs, 50 for an answer; with --unit samples" in err


def test_a_budget_little_above_the_one_answer_that_all_get(reported, tmp_path):
    rows = [
        {"query": f"What is {query}?", "rewards": (row / 3).tolist()}
        for query, row in enumerate(REWARDS)
    ]
    table = write_lines(tmp_path / "scores.jsonl", rows)
    [row] = reported(table, "--budget", 1.1)["figures"]["rows"]
    assert 1 <= row["policies"]["up front"]["spend"] <= 1.1


def test_a_file_of_features_is_used(reported, table, tmp_path):
    rates = REWARDS.mean(axis=1)
    np.save(tmp_path / "x.npy", np.where(rates > 0.5, 1.0, -1.0))
    report = reported(table, "--features", tmp_path / "x.npy", "--budget", 2)
    assert report["figures"]["explained"] > 0.1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", 9], "--budget 9 is 9 answers to each query. Expected at least "
         "0.1 and at most 8"),
        (["--selection", "vote"], "--selection vote needs labels to vote on"),
        (["--selection", "score"], "--selection score needs scores"),
        (["--unit", "cost"], "--unit cost needs costs"),
        (["--features", "bert"], "--features bert is not accepted. Expected text, "
         "minilm, none"),
        (["--query", "correct", "--reward", "correct", "--features", "text"], "graded "
         "queries: 2. Expected at least 20"),
        (["--features", "no.npy"], "no.npy: No such file"),
        (["--html", "/no/such/folder/page.html"], "in a folder that does not exist"),
        (["--html", "."], "is a folder. Expected a file to write"),
    ],
)  # fmt: skip
def test_what_cannot_be_reported_is_one_line(words, message, run, table):
    code, out, err = run("report", table, *words)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"adaalloc: error: [^\n]+\n", err)
    assert message in err


def test_features_of_another_shape_are_refused(run, table, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    _, _, err = run("report", table, "--features", tmp_path / "x.npy")
    assert "has shape (3, 2). Expected (60, n_features)" in err
    np.save(tmp_path / "x.npy", np.full((60, 2), np.nan))
    assert (
        "has NaN or infinity"
        in run("report", table, "--features", tmp_path / "x.npy")[2]
    )
    (tmp_path / "x.npy").write_text("no array")
    assert (
        "is no NumPy array" in run("report", table, "--features", tmp_path / "x.npy")[2]
    )


def test_without_matplotlib_a_page_is_refused_before_any_work(
    run, table, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    page = tmp_path / "page.html"
    code, _, err = run("report", table, "--html", page)
    assert code == 1
    assert "sklearn-adaalloc[plot]" in err
    assert not page.exists()


def test_one_answer_to_each_query_is_too_few(run, tmp_path):
    rows = long_rows(REWARDS[:, :1])
    code, _, err = run("report", write_lines(tmp_path / "rows", rows))
    assert code == 1
    assert "has one graded answer to each query. Expected at least two" in err
