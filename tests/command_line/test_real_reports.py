"""Reports on real answers: their sentences are true of the tables they are from."""

import json
import re
from math import comb

import numpy as np
import pytest
from answer_files import write_lines

from sklearn_adaalloc.command_line.report.menus import ONE_BY_ONE
from sklearn_adaalloc.command_line.report.sentences import gains, main_row, saves

pytestmark = pytest.mark.slow


def texts(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def rows_of(rewards, queries, **columns):
    """One row for each query."""
    return [
        {
            "prompt": query,
            "rewards": rewards[number].tolist(),
            **{name: values[number] for name, values in columns.items()},
        }
        for number, query in enumerate(queries)
    ]


@pytest.fixture
def reported(tmp_path, run):
    def report(rows, *words):
        path = write_lines(tmp_path / "answers.jsonl", rows)
        code, out, err = run("report", path, *words, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return report


def equal_rate(rewards, budget):
    """Probability that one of `budget` of the answers is right, by counting."""
    n_samples = rewards.shape[1]
    wrong = n_samples - rewards.sum(axis=1)
    missed = [comb(int(w), budget) / comb(n_samples, budget) for w in wrong]
    return 1 - np.mean(missed)


def stopped_curve(rewards):
    """Mean spend and success of equal limits that stop when right, by counting."""
    n_samples = rewards.shape[1]
    wrong = n_samples - rewards.sum(axis=1)
    failing = np.array(
        [
            [comb(int(w), limit) / comb(n_samples, limit) for w in wrong]
            for limit in range(n_samples + 1)
        ]
    ).mean(axis=1)
    return np.concatenate([[0], np.cumsum(failing[:-1])]), 1 - failing


def percent(value):
    return f"{100 * value:.1f} %"


def check_sentences(report):
    """Savings and gains are said where intervals show them, and nowhere else."""
    row = main_row(report["figures"]["rows"])
    told = [text for text in report["findings"] if text.startswith("Decided")]
    policies = {
        name: policy
        for name, policy in row["policies"].items()
        if name != ONE_BY_ONE  # in the table only
    }
    for text, policy in zip(told, policies.values(), strict=True):
        assert ("saves" in text) == saves(policy)
        scale = 100 if " points, 95 % interval " in text else 1  # or in rewards
        low, high = map(
            float, re.findall(r"interval ([-+.\d]+) to ([-+.\d]+)", text)[0]
        )
        assert low == pytest.approx(scale * policy["gain_low"], abs=0.051)
        assert high == pytest.approx(scale * policy["gain_high"], abs=0.051)
        assert ("as far as this table can tell" in text) == (
            not gains(policy) and policy["gain_high"] >= -1e-9
        )
    advice = " ".join(report["advice"])
    keeps = "Keep equal budgets" in advice or "Do without a policy" in advice
    assert keeps == (not any(map(gains, row["policies"].values())))


@pytest.mark.parametrize(
    ("name", "budget", "rounds"),
    [
        # What rounds without features give is among the references of the data.
        ("math5000/qwen2p5_7b_instruct_t1p0", 4, 0.8886),
        ("math5000/qwen2_1p5b_instruct_t0p6", 4, 0.4402),
        ("math5000/qwen2p5_math_1p5b_t1p0", 4, 0.7660),
        ("svamp_pot_codex", 4, None),
        ("humaneval_codegen16b", 8, None),
    ],
)
def test_verdicts(name, budget, rounds, real_data, reported):
    rewards = np.load(real_data / f"{name}.npz")["rewards"].astype(int)
    folder = real_data / name
    path = (
        folder.parent / "queries.jsonl"
        if "/" in name
        else folder.with_name(f"{name}.queries.jsonl")
    )
    rows = rows_of(rewards, texts(path))
    report = reported(rows, "--budget", budget, "--features", "none")
    told = " ".join(report["findings"])
    assert f"One answer is right in {percent(rewards.mean())}" in told
    assert f"{percent(rewards.any(axis=1).mean())} of the queries have a right" in told
    equal = percent(equal_rate(rewards, budget))
    assert f"Equal budgets of {budget} answers per query reach {equal}" in told
    check_sentences(report)
    (row,) = report["figures"]["rows"]
    policies, alone = row["policies"], row["stopped"]
    stopped = np.interp(policies["stream"]["spend"], *stopped_curve(rewards))
    assert alone["reward"] == pytest.approx(stopped, abs=1e-9)
    text = next(text for text in report["findings"] if text.startswith("Stopping"))
    assert f"gives {percent(stopped)} for" in text
    assert ("The stream gives more" in text) == gains(alone)
    assert policies["in 4 rounds"]["spend"] <= budget
    assert gains(policies["in 4 rounds"])
    assert not gains(policies["up front"])  # all queries look alike
    if rounds is not None:
        assert policies["in 4 rounds"]["reward"] == pytest.approx(rounds, abs=0.012)


def test_features_of_a_probe_gain_up_front(real_data, reported, tmp_path):
    arrays = np.load(real_data / "math5000/qwen2p5_7b_instruct_t1p0.npz")
    np.save(tmp_path / "probe.npy", arrays["probe_prediction"])
    rows = rows_of(
        arrays["rewards"].astype(int), texts(real_data / "math5000/queries.jsonl")
    )
    words = ("--features", tmp_path / "probe.npy", "--budget", 4)
    report = reported(rows, *words)
    check_sentences(report)
    policy = report["figures"]["rows"][0]["policies"]["up front"]
    # The data's reference: .8413 against .8227.
    assert gains(policy)
    assert policy["reward"] == pytest.approx(0.8413, abs=0.004)
    assert "use AdaptiveAllocator" in " ".join(report["advice"])


def test_scores_of_stories(real_data, reported):
    rewards = np.load(real_data / "creative_writing_gpt4_io.npz")["rewards"]
    rows = rows_of(rewards, texts(real_data / "creative_writing_gpt4_io.queries.jsonl"))
    report = reported(rows, "--budget", 4, "--features", "none")
    check_sentences(report)
    told = " ".join(report["findings"])
    assert f"One answer has a mean reward of {np.nanmean(rewards):.3g}." in told
    (row,) = report["figures"]["rows"]
    assert row["policies"]["in 4 rounds"]["spend"] <= 4
    assert "Grade more queries" in " ".join(report["advice"])


@pytest.mark.parametrize(
    ("name", "kind", "place"),
    [
        ("math500", "EXAONE-Deep-32B", 3),
        ("gpqa_diamond", "gpt-oss-20b", 3),
        ("gpqa_diamond", "Phi-4-reasoning", 3),
    ],
)
def test_votes(name, kind, place, real_data, reported):
    arrays = np.load(real_data / f"votes/{name}/{kind}.npz")
    codes = arrays["answers"][:, :16].tolist()
    queries = [f"{name} {number}" for number in range(len(codes))]
    rows = rows_of(
        arrays["rewards"].astype(int)[:, :16],
        queries,
        answers=[[None if code < 0 else code for code in row] for row in codes],
    )
    words = ("--selection", "vote", "--budget", 3, "--features", "none")
    report = reported(rows, *words)
    check_sentences(report)
    (row,) = report["figures"]["rows"]
    assert row["oracle_with_verdicts"] is None
    assert row["policies"]["in 4 rounds"]["spend"] <= 3
    assert "the answers so far known before more is spent" in report["findings"][place]


def test_a_menu_of_seven_models(real_data, reported):
    arrays = np.load(real_data / "menus/mbpp_7_models.npz")
    right = np.round(10 * arrays["rates"]).astype(int)
    queries = texts(real_data / "menus/mbpp_7_models.queries.jsonl")
    first = list(dict.fromkeys(queries))
    numbers = [queries.index(query) for query in first][:300]
    rows = [
        {
            "prompt": queries[number],
            "model": str(name),
            "correct": [1] * n_right + [0] * (10 - n_right),
            "cost": billions,
        }
        for number in numbers
        for name, n_right, billions in zip(
            arrays["decoders"],
            right[number].tolist(),
            arrays["billions"].tolist(),
            strict=True,
        )
    ]
    report = reported(rows, "--features", "none", "--budget", 20, "--folds", 2)
    check_sentences(report)
    rates = right[numbers].mean(axis=0) / 10
    best = arrays["decoders"][rates.argmax()]
    told = " ".join(report["findings"])
    assert (
        f"One answer of {best} is right most often: in {percent(rates.max())}" in told
    )
    solved = (right[numbers] > 0).any(axis=1).mean()
    assert f"{percent(solved)} have a right answer among all of them" in told
    (row,) = report["figures"]["rows"]
    rounds = row["policies"]["in 4 rounds"]
    assert rounds["spend"] <= 20
    assert gains(rounds)
    assert gains(row["policies"]["stream"])
    assert row["equal"]["reward"] <= row["cascade"]["reward"] + 1e-9
    # Of two decoders, one asked up to its last answer and then the other.
    solved_by_two = max(
        (right[numbers][:, [a, b]] > 0).any(axis=1).mean()
        for a in range(7)
        for b in range(a)
    )
    assert row["cascade"]["reward"] <= solved_by_two + 1e-9


@pytest.mark.parametrize(
    ("path", "rewards", "names", "costs", "n_queries", "budget"),
    [
        ("routellm_gsm8k", "rewards_regraded", "models", "costs", 1319, 5),
        ("mmlupro_llama31", "rewards", "models", None, 800, 1.5),
        ("menus/mbpp_train", "rewards", "decoders", "dollars", 60, 0.001),
        ("menus/arc_challenge_train", "rewards", "decoders", "dollars", 60, 0.0005),
    ],
)
def test_menus_of_one_answer_of_each(
    path, rewards, names, costs, n_queries, budget, real_data, reported
):
    arrays = np.load(real_data / f"{path}.npz")
    right, names = arrays[rewards][:n_queries], arrays[names].astype(str)
    # The same question may stand there twice: its number is its name.
    rows = [
        {"prompt": f"{number}", "model": name, "correct": int(reward)}
        for number, row in enumerate(right)
        for name, reward in zip(names, row, strict=True)
    ]
    if costs is not None:
        paid = np.broadcast_to(arrays[costs][: len(right)], right.shape).ravel()
        rows = [{**row, "cost": cost} for row, cost in zip(rows, paid, strict=True)]
    words = ("--features", "none", "--budget", budget, "--folds", 2)
    report = reported(rows, *words)
    check_sentences(report)
    told = " ".join(report["findings"])
    rates = right.mean(axis=0)
    assert f"is right most often: in {percent(rates.max())} of all cases" in told
    assert f"{percent(right.any(axis=1).mean())} have a right answer" in told
    (row,) = report["figures"]["rows"]
    assert row["policies"]["in 4 rounds"]["spend"] <= budget * (1 + 1e-9)
    # Nobody beats who knew in advance, nor does any decoder alone.
    bound = row["oracle_with_verdicts"]
    assert row["policies"]["in 4 rounds"]["reward"] <= bound + 1e-9
    assert row["equal"]["reward"] <= bound + 1e-9
    assert ("The table has no costs" in " ".join(report["advice"])) == (costs is None)


def test_judged_answers_of_chat_models(real_data, reported):
    arrays = np.load(real_data / "alpacaeval2_pref.npz")
    places = np.argsort(-arrays["rewards"].mean(axis=0))[::8][:3]
    judged = arrays["rewards"][:120][:, places]
    names = arrays["models"][places].astype(str)
    rows = [
        {"prompt": f"{number}", "model": name, "reward": float(reward)}
        for number, row in enumerate(judged)
        for name, reward in zip(names, row, strict=True)
    ]
    words = ("--features", "none", "--budget", 2, "--folds", 2)
    report = reported(rows, *words)
    check_sentences(report)
    told = " ".join(report["findings"])
    assert f"One answer of {names[0]} is the best: a mean reward of" in told
    assert f"{judged.mean(axis=0).max():.3g}, for 1 answer." in told
    (row,) = report["figures"]["rows"]
    # The best two for all, by hindsight, which nothing without a policy beats.
    pairs = [np.delete(judged, left, axis=1).max(axis=1).mean() for left in range(3)]
    assert row["equal"]["reward"] <= max(pairs) + 1e-9
    assert row["equal"]["reward"] >= judged.mean(axis=0).max() - 1e-9
    best = judged.max(axis=1).mean()
    assert all(own["reward"] <= best + 1e-9 for own in row["policies"].values())
    assert row["oracle_one_answer"] == pytest.approx(best)
    assert "stream" in row["policies"]
