"""The report on several decoders: figures against the metrics, what is left out."""

import json

import numpy as np
import pytest
from answer_files import long_rows, made_rewards, write_lines

from sklearn_adaalloc import RewardTable
from sklearn_adaalloc.metrics import (
    best_fixed_cascades,
    cascade_cost_curve,
    decoder_cost_curves,
    expected_reward_score,
    oracle_cost_curve,
)

LARGE = made_rewards(40, 4)
SMALL = LARGE[::-1] & LARGE


@pytest.fixture
def reported(run, tmp_path):
    """The report of rewards by decoder, as JSON."""

    def report(rewards, *words, costs=None, **columns):
        rows = []
        for name, own in rewards.items():
            of_decoder = {"model": name}
            if costs is not None:
                of_decoder["cost"] = costs[name]
            rows += [{**row, **of_decoder} for row in _rows(own, columns)]
        path = write_lines(tmp_path / "answers.jsonl", rows)
        code, out, err = run("report", path, *words, "--folds", 2, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return report


def _rows(rewards, columns):
    return [
        row | {"correct": float(reward)}
        for row, reward in zip(
            long_rows(rewards, **columns), rewards.ravel(), strict=True
        )
        if np.isfinite(reward)
    ]


def real_rewards(n_queries=30, n_samples=3):
    rng = np.random.default_rng(0)
    quality = rng.normal(5, 1, (n_queries, 1, 1)) + np.array([[[0.0], [0.8]]])
    return quality + rng.normal(0, 1, (n_queries, 2, n_samples))


def test_verdicts_of_several_decoders(reported):
    costs = {"small": 1, "large": 5}
    report = reported({"small": SMALL, "large": LARGE}, "--budget", 6, costs=costs)
    small, large = report["figures"]["decoders"]
    assert small["one_answer"] == pytest.approx(SMALL.mean())
    assert large["cost_of_an_answer"] == 5
    (row,) = report["figures"]["rows"]
    table = RewardTable(np.stack([SMALL, LARGE], axis=1), costs=[1.0, 5.0])
    assert row["oracle_with_verdicts"] == pytest.approx(
        np.interp(6, *oracle_cost_curve(table))
    )
    assert row["oracle_one_answer"] is None
    assert row["equal"]["spend"] == pytest.approx(6)
    alone = decoder_cost_curves(table)
    for own in alone.values():  # nothing that is possible without a policy is better
        assert row["equal"]["reward"] >= np.interp(6, *own) - 1e-9
    policies = row["policies"]
    assert list(policies) == ["up front", "in 4 rounds", "one by one", "stream"]
    for policy in policies.values():
        assert sum(policy["costs"].values()) == pytest.approx(policy["spend"])
        answers = policy["answers"]
        assert policy["costs"]["large"] == pytest.approx(5 * answers["large"])
        assert policy["costs"]["small"] == pytest.approx(answers["small"])
        assert policy["gain"] == pytest.approx(
            policy["reward"] - policy["equal_at_spend"]
        )
        assert policy["reward"] <= row["oracle_with_verdicts"] + 0.05
    for name in ("up front", "in 4 rounds", "one by one"):
        assert policies[name]["spend"] <= 6


def test_a_fixed_cascade_is_compared_at_the_same_spend(reported):
    costs = {"small": 1, "large": 5}
    report = reported({"small": SMALL, "large": LARGE}, "--budget", 6, costs=costs)
    (row,) = report["figures"]["rows"]
    table = RewardTable(np.stack([SMALL, LARGE], axis=1), costs=[1.0, 5.0])
    curve = cascade_cost_curve(table, best_fixed_cascades(table, n_decoders=2))
    policy = row["policies"]["one by one"]
    best = np.interp(policy["spend"], *curve)
    assert row["cascade"]["reward"] == pytest.approx(best)
    assert row["cascade"]["gain"] == pytest.approx(policy["reward"] - best)
    assert row["cascade"]["reward"] >= row["equal"]["reward"] - 1e-9


def test_real_rewards_of_several_decoders(reported):
    rewards = real_rewards()
    by_name = {"a": rewards[:, 0], "b": rewards[:, 1]}
    report = reported(by_name, "--budget", 1, 3, costs={"a": 1, "b": 2})
    figures = report["figures"]
    assert not figures["binary"]
    assert figures["solvable"] is None
    table = RewardTable(rewards, costs=[1.0, 2.0])
    for place, decoder in enumerate(figures["decoders"]):
        assert decoder["one_answer"] == pytest.approx(rewards[:, place].mean())
        best = expected_reward_score(rewards[:, place], 3)
        assert decoder["all_answers"] == pytest.approx(best)
    for row in figures["rows"]:
        curves = decoder_cost_curves(table, sequential=False).values()
        bounds = [np.interp(row["budget"], *own) for own in curves]
        assert row["equal"]["reward"] >= max(bounds) - 1e-9
        assert row["oracle_one_answer"] == pytest.approx(
            np.interp(row["budget"], *oracle_cost_curve(table, sequential=False))
        )
        assert row["oracle_with_verdicts"] is row["cascade"] is None
        assert list(row["policies"])[-1] == "stream"
        for policy in row["policies"].values():
            assert sum(policy["costs"].values()) == pytest.approx(policy["spend"])
            assert policy["reward"] <= rewards.max(axis=(1, 2)).mean() + 1e-9
    told = " ".join(report["findings"])
    assert "has a mean reward" not in told
    assert "first right answer" not in told
    assert "A query without an answer counts as 0." in told


def test_rewards_below_0_lower_what_no_answer_counts(reported):
    rewards = real_rewards() - 8
    by_name = {"a": rewards[:, 0], "b": rewards[:, 1]}
    figures = reported(by_name, "--budget", 0.5)["figures"]
    lowest = rewards.min()
    assert figures["empty_reward"] == pytest.approx(lowest)
    (row,) = figures["rows"]
    assert row["equal"]["reward"] > lowest
    known = lowest + np.interp(
        0.5, *oracle_cost_curve(RewardTable(rewards - lowest), sequential=False)
    )
    assert row["oracle_one_answer"] == pytest.approx(known)


def test_many_decoders_with_real_rewards_are_thinned_out_and_no_stream_is_played(
    reported,
):
    rng = np.random.default_rng(1)
    rewards = {
        f"model {number}": rng.normal(number / 4, 1, (40, 1)) for number in range(9)
    }
    report = reported(rewards, "--budget", 2)
    figures = report["figures"]
    assert len(figures["decoders"]) == 9
    assert len(figures["planned_with"]) == 6
    assert "model 8" in figures["planned_with"]
    (row,) = figures["rows"]
    assert "stream" not in row["policies"]
    assert set(row["policies"]["in 4 rounds"]["answers"]) == set(
        figures["planned_with"]
    )
    told = " ".join(report["findings"])
    assert "Policies choose among 6 decoders here: model" in told
    assert "No stream was played: to find its price takes too long for 6" in told


def test_pictures_of_many_decoders_show_some(run, tmp_path):
    rng = np.random.default_rng(1)
    rows = [
        {"question": f"What is {query}?", "model": f"m{place}", "reward": value}
        for query, row in enumerate(rng.normal(size=(30, 9)))
        for place, value in enumerate(row)
    ]
    page = tmp_path / "page.html"
    words = ("--features", "none", "--budget", 2, "--folds", 2, "--html", page)
    code, _, _ = run("report", write_lines(tmp_path / "rows", rows), *words)
    assert code == 0
    written = page.read_text(encoding="utf-8")
    assert "the best 6 of 9 decoders alone, the same plan for all by" in written
    assert written.count("<figure>") == 2


def test_votes_of_several_decoders_are_refused_and_said_not_to_be_measured(
    run, reported, tmp_path
):
    labels = {"answer": lambda query, sample: sample % 2}
    rewards = np.tile([[1, 0, 1, 0]], (30, 1))
    both = {"a": rewards, "b": rewards}
    report = reported(both, "--budget", 2, **labels)
    assert "Votes are not measured here" in " ".join(report["advice"])
    code, _, err = run(
        "report", tmp_path / "answers.jsonl", "--selection", "vote", "--budget", 2
    )
    assert code == 1
    assert "--selection vote is not accepted for a table of several decoders" in err
