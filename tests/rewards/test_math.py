"""MathVerifier: its two stages, its workers, what it refuses."""

import gc
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone

import sklearn_adaalloc
from sklearn_adaalloc import collect_rewards
from sklearn_adaalloc.rewards import MathVerifier, _workers
from sklearn_adaalloc.sampling import TokenUsage

pytest.importorskip("math_verify", reason="the extra 'verify' is not installed")

REFERENCES = {"half of 25": "25/2", "3 - 4": "-1", "a day": "Monday"}
HANGS = r"\boxed{9^{9^{9^{9}}}}"
SLOW = r"\boxed{\sum_{k=1}^{1000000} \frac{1}{k^k}}"


class Judge(BaseEstimator):
    """A sampler that accepts what contains `accepted`, and logs prompts to a list."""

    def __init__(self, accepted="", log=None, temperature=0.7, reply="YES"):
        self.accepted = accepted
        self.log = log
        self.temperature = temperature
        self.reply = reply

    def __sklearn_clone__(self):
        return Judge(self.accepted, self.log, self.temperature, self.reply)

    @property
    def settings(self):
        return {"sampler": "Judge", "temperature": self.temperature}

    def sample(self, prompts, budgets):
        self.log.append((self.temperature, list(prompts), list(budgets)))
        return [
            [self.reply if f"Second answer: {self.accepted}\n" in prompt else "No."]
            for prompt in prompts
        ]


def running(process_id):
    """Whether a process is there and has not ended."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def worker_ids(verifier):
    """Process ids of the workers that were started."""
    workers = verifier._pool._idle.queue
    return {w._process.pid for w in workers if w._process is not None}


# Both stages


def test_one_array_per_query_and_one_reward_per_answer():
    verifier = MathVerifier(REFERENCES, n_jobs=1)
    rewards = verifier(list(REFERENCES), [["12.5", "13", "25/2"], ["-1"], []])
    assert [reward.tolist() for reward in rewards] == [[1, 0, 1], [1], []]
    assert {reward.dtype for reward in rewards} == {np.dtype("float64")}


def test_references_may_be_a_function():
    verifier = MathVerifier(lambda query: query.removeprefix("= "), n_jobs=1)
    rewards = verifier(["= 1/2", "= 2"], [["0.5"], ["0.5"]])
    assert [reward.tolist() for reward in rewards] == [[1], [0]]


def test_chats_are_looked_up_by_their_json():
    chat = [{"role": "user", "content": "half of 25"}]
    verifier = MathVerifier({json.dumps(chat, sort_keys=True): "12.5"}, n_jobs=1)
    assert verifier([chat], [["25/2"]])[0].tolist() == [1]


def test_the_judge_is_asked_once_about_each_distinct_rejected_answer():
    log = []
    verifier = MathVerifier(REFERENCES, judge=Judge("12 and a half", log), n_jobs=1)
    answers = [[r"\boxed{12 and a half}"] * 2 + ["12.5", "14", ""], [], ["tuesday"]]
    rewards = verifier(list(REFERENCES), answers)
    assert [reward.tolist() for reward in rewards] == [[1, 1, 1, 0, 0], [], [0]]
    # Not about the empty answer, which nothing could make right.
    [(temperature, prompts, budgets)] = log
    assert temperature == 0.1
    assert budgets == [1, 1, 1]
    assert "Question: half of 25\n\nRight answer: 25/2\n\n" in prompts[0]
    assert "Second answer: 14\n" in prompts[1]
    assert "Second answer: tuesday\n" in prompts[2]


def test_the_judge_may_keep_its_temperature():
    log = []
    judge = Judge("14", log, temperature=0.7)
    verifier = MathVerifier(REFERENCES, judge=judge, judge_temperature=None, n_jobs=1)
    assert verifier(["3 - 4"], [["14"]])[0].tolist() == [1]
    assert log[0][0] == 0.7


class Plain:
    """A sampler without parameters, which accepts all."""

    settings = {"sampler": "Plain"}

    def sample(self, prompts, budgets):
        return [["YES"] for _ in prompts]


class Unnamed:
    """A sampler without settings."""

    def sample(self, prompts, budgets):
        return [["NO"] for _ in prompts]


class Cold(BaseEstimator, Plain):
    """A sampler whose parameters do not include a temperature."""


@pytest.mark.parametrize("judge", [Plain(), Cold()], ids=["Plain", "Cold"])
def test_a_judge_without_temperature_is_asked_as_it_is(judge):
    verifier = MathVerifier(REFERENCES, judge=judge, judge_temperature=0.1, n_jobs=1)
    assert verifier(["3 - 4"], [["14"]])[0].tolist() == [1]


def accept(prompts, budgets):
    return [["YES"] * budget for budget in budgets]


def accept_with_usage(prompts, budgets, *, first_sample, return_usage):
    assert first_sample == [0] * len(prompts)
    tokens = [np.ones(budget) for budget in budgets]
    return accept(prompts, budgets), TokenUsage(np.ones(len(prompts)), tokens)


class OneByOne:
    """A sampler that hands out its replies in another order."""

    settings = {"sampler": "OneByOne"}

    def sample_each(self, prompts, budgets, *, first_sample):
        for row in reversed(range(len(prompts))):
            reply = "YES" if "Second answer: 14\n" in prompts[row] else "NO"
            yield row, 0, reply, 1, 1


@pytest.mark.parametrize("judge", [accept, accept_with_usage, OneByOne()])
def test_the_judge_may_be_any_sampler(judge):
    verifier = MathVerifier(REFERENCES, judge=judge, n_jobs=1)
    rewards = verifier(["3 - 4"], [["14", "15"]])[0]
    assert rewards.tolist() == [1, float(callable(judge))]


def test_a_judge_that_gives_no_reply_is_an_error():
    verifier = MathVerifier(REFERENCES, judge=lambda p, b: [[None]] * len(p), n_jobs=1)
    with pytest.raises(ValueError, match="returned no answer"):
        verifier(["3 - 4"], [["14"]])


def test_a_judge_that_is_no_sampler_is_named():
    verifier = MathVerifier(REFERENCES, judge=3, n_jobs=1)
    with pytest.raises(
        ValueError, match=r"judge=3 is no sampler\. Expected a function"
    ):
        verifier(["3 - 4"], [["14"]])


def test_the_judge_is_not_asked_where_nothing_was_rejected():
    log = []
    verifier = MathVerifier(REFERENCES, judge=Judge("14", log), n_jobs=1)
    assert verifier(["3 - 4"], [["-1"]])[0].tolist() == [1]
    assert log == []


def test_the_judge_reads_what_the_messages_of_a_chat_say():
    log = []
    chat = [{"role": "system", "content": "Add."}, {"role": "user", "content": "1+1"}]
    references = {json.dumps(chat, sort_keys=True): "2"}
    verifier = MathVerifier(references, judge=Judge("two", log), n_jobs=1)
    assert verifier([chat], [["two"]])[0].tolist() == [1]
    [(_, [prompt], _)] = log
    assert "Question: Add.\n1+1\n\nRight answer: 2\n\n" in prompt


def test_the_judge_itself_is_not_changed():
    judge = Judge("14", [])
    MathVerifier(REFERENCES, judge=judge, n_jobs=1)(["3 - 4"], [["14"]])
    assert judge.temperature == 0.7


@pytest.mark.parametrize(
    ("reply", "reward"),
    [("yes", 1), ("**YES**", 1), ("YES, not NO", 1), ("NO. YES", 0), ("no", 0)],
)
def test_the_first_verdict_in_the_reply_counts(reply, reward):
    judge = Judge("14", [], reply=reply)
    verifier = MathVerifier(REFERENCES, judge=judge, n_jobs=1)
    assert verifier(["3 - 4"], [["14"]])[0].tolist() == [reward]


def test_a_reply_without_verdict_counts_as_no_with_a_warning():
    judge = Judge("14", [], reply="YESTERDAY")
    verifier = MathVerifier(REFERENCES, judge=judge, n_jobs=1)
    with pytest.warns(UserWarning, match="neither YES nor NO to 1 of 2 questions"):
        assert verifier(["3 - 4"], [["14", "15"]])[0].tolist() == [0, 0]


# Workers


def test_numbers_too_long_to_write_are_wrong_and_the_others_are_graded():
    verifier = MathVerifier(REFERENCES, timeout=3, n_jobs=1)
    start = time.perf_counter()
    answers = ["12.50", HANGS, "12.500", r"\boxed{10^{10^{10}}!}", "12.51"]
    rewards = verifier(["half of 25"], [answers])[0]
    assert rewards.tolist() == [1, 0, 1, 0, 0]
    assert time.perf_counter() - start < 15


def test_workers_stay_between_calls_and_end_with_the_verifier():
    verifier = MathVerifier(REFERENCES, n_jobs=1)
    verifier(["half of 25"], [["12.50"]])
    first = worker_ids(verifier)
    verifier(["half of 25"], [["12.51"]])
    assert worker_ids(verifier) == first
    assert len(first) == 1
    del verifier
    gc.collect()
    assert not running(*first)


def test_a_killed_grader_leaves_no_worker_running():
    script = f"""
import time
from sklearn_adaalloc.rewards import MathVerifier
verifier = MathVerifier({{"q": "1"}}, timeout=2, n_jobs=1)
verifier(["q"], [["2"]])
print(verifier._pool._idle.queue[0]._process.pid, flush=True)
verifier(["q"], [[{SLOW!r}]])
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(sklearn_adaalloc.__file__).parents[1]),
        },
    ) as grader:
        worker = int(grader.stdout.readline())
        time.sleep(0.2)
        assert running(worker)
        grader.kill()
    deadline = time.monotonic() + 30
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(worker)


def test_another_number_of_workers_takes_effect():
    verifier = MathVerifier(REFERENCES, n_jobs=1)
    verifier(["half of 25"], [["12.50"]])
    [first] = worker_ids(verifier)
    verifier.set_params(n_jobs=2)
    verifier(["half of 25"], [["12.51", "12.52"]])
    assert first not in worker_ids(verifier)


def test_a_forked_copy_leaves_the_workers_alone():
    verifier = MathVerifier(REFERENCES, n_jobs=1)
    verifier(["half of 25"], [["12.50"]])
    [worker] = worker_ids(verifier)
    pool = verifier._pool
    _workers._stop([pool._idle.queue[0]], os.getpid() + 1)
    assert running(worker)
    assert worker_ids(verifier) == {worker}


@pytest.mark.parametrize("copy", [clone, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_share_no_workers_and_grade_the_same(copy):
    verifier = MathVerifier(REFERENCES, n_jobs=1)
    verifier(["half of 25"], [["12.50"]])
    copied = copy(verifier)
    assert not hasattr(copied, "_pool")
    assert copied(["half of 25"], [["12.50", "1"]])[0].tolist() == [1, 0]
    assert worker_ids(copied).isdisjoint(worker_ids(verifier))


def test_what_is_decided_by_letters_starts_no_worker():
    verifier = MathVerifier(REFERENCES, n_jobs=1)
    assert verifier(["a day"], [["monday", "Tuesday"]])[0].tolist() == [1, 0]
    assert not hasattr(verifier, "_pool")


# Settings


def test_settings_hold_what_a_grade_depends_on():
    verifier = MathVerifier(REFERENCES, judge=Judge(), timeout=3, n_jobs=2)
    settings = verifier.settings
    assert len(settings.pop("references")) == 64
    assert settings == {
        "reward": "MathVerifier",
        "rules": 3,
        "judge": {"sampler": "Judge", "temperature": 0.1},
        "timeout": 3.0,
    }
    assert MathVerifier(REFERENCES).settings["judge"] is None


def test_equal_references_have_equal_settings_in_any_order():
    backwards = dict(reversed(REFERENCES.items()))
    assert MathVerifier(REFERENCES).settings == MathVerifier(backwards).settings


def first_word(query):
    return query.split()[0]


def last_word(query, separator=None):
    return query.split(separator)[-1]


def comma_last_word(query, separator=","):
    return query.split(separator)[-1]


@pytest.mark.parametrize(
    "other",
    [
        {**REFERENCES, "3 - 4": "1"},
        {**REFERENCES, "5 - 4": "1"},
        {"half of 25": "25/2", "3 - 4": "Monday", "a day": "-1"},
        first_word,
        last_word,
        comma_last_word,
        lambda query: query.upper(),
    ],
)
def test_other_references_have_other_settings(other):
    known = [REFERENCES, first_word, last_word, comma_last_word]
    settings = [MathVerifier(each).settings for each in known if each is not other]
    assert MathVerifier(other).settings not in settings


def test_two_functions_on_a_line_are_told_apart():
    pair = [lambda query: "1", lambda query: "2"]
    one, other = (MathVerifier(function).settings for function in pair)
    assert one != other


def test_functions_that_differ_in_what_they_enclose_are_told_apart():
    def answering(gold):
        return lambda query: gold

    one, same, other = (MathVerifier(answering(g)).settings for g in ("1", "1", "2"))
    assert one == same
    assert one != other


@pytest.mark.parametrize(
    "references",
    [len, (lambda lock: lambda query: str(lock))(threading.Lock())],
    ids=["C", "a lock"],
)
def test_a_function_that_cannot_be_told_from_others_has_no_settings(references):
    with pytest.raises(ValueError, match=r"cannot be identified .* Give a mapping"):
        _ = MathVerifier(references).settings


def test_a_judge_without_settings_cannot_be_told_from_others():
    verifier = MathVerifier(REFERENCES, judge=Unnamed())
    with pytest.raises(
        ValueError, match="judge=Unnamed has no settings, so that grades"
    ):
        _ = verifier.settings


def test_functions_that_judge_are_told_apart():
    judges = accept, accept_with_usage
    one, other = (MathVerifier(REFERENCES, judge=j).settings["judge"] for j in judges)
    assert one != other
    assert MathVerifier(REFERENCES, judge=accept).settings["judge"] == one


def test_corrected_references_grade_stored_answers_anew(tmp_path):
    class Sampler:
        settings = {"sampler": "fixed"}

        def sample(self, prompts, budgets, **_):
            answers = [["5"] * int(budget) for budget in budgets]
            tokens = [np.ones(int(budget), dtype=int) for budget in budgets]
            return answers, TokenUsage(np.ones(len(prompts), dtype=int), tokens)

    grades = [
        collect_rewards(
            ["2 + 3"],
            Sampler(),
            MathVerifier({"2 + 3": gold}, n_jobs=1),
            1,
            store=tmp_path / "store.sqlite",
            progress=False,
        )[0, 0]
        for gold in ("6", "5")
    ]
    assert grades == [0, 1]


# What cannot be graded


def test_what_takes_too_long_is_unknown_and_the_others_are_graded():
    answers = ["12.50", SLOW, "12.51"]
    verifier = MathVerifier(REFERENCES, timeout=2, n_jobs=1)
    with pytest.warns(UserWarning, match=r"1 of 3 answers could not .*'25/2'"):
        rewards = verifier(["half of 25"], [answers])[0]
    np.testing.assert_array_equal(rewards, [1, np.nan, 0])


def test_under_a_reference_that_cannot_be_read_only_equal_texts_have_a_grade():
    broken = r"\frac{1}{2)}"
    verifier = MathVerifier({"q": broken}, n_jobs=1)
    with pytest.warns(UserWarning, match="2 of 3 answers could not be graded"):
        rewards = verifier(["q"], [["1/2", broken, "3"]])[0]
    np.testing.assert_array_equal(rewards, [np.nan, 1, np.nan])


@pytest.mark.parametrize("gold", ["June 20", "2 apples and 3 pears", "Room 12 B"])
def test_a_reference_in_words_is_compared_as_words(gold):
    verifier = MathVerifier({"q": gold}, n_jobs=1)
    assert verifier(["q"], [["20", "3", "July 21", gold.upper()]])[0][:3].sum() == 0
    assert verifier(["q"], [[rf"\boxed{{{gold}}}"]])[0].tolist() == [1]


@pytest.mark.parametrize(("reply", "reward"), [("YES", 1), ("NO", 0), ("well", np.nan)])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_judge_decides_about_what_is_unknown(reply, reward):
    judge = Judge("0.5", [], reply=reply)
    verifier = MathVerifier({"q": r"\frac{1}{2)}"}, judge=judge, n_jobs=1)
    np.testing.assert_array_equal(verifier(["q"], [["0.5"]])[0], [reward])


# Errors


@pytest.mark.parametrize(
    ("parameters", "queries", "answers", "message"),
    [
        ({}, ["5 + 5"], [["10"]], "references has no entry for query '5 \\+ 5'"),
        ({"references": 3}, ["q"], [["1"]], "references=3 is not accepted"),
        ({"references": {"q": ""}}, ["q"], [["1"]], "references has '' for query 'q'"),
        ({"references": {"q": None}}, ["q"], [["1"]], "references has None"),
        ({"timeout": 0}, ["3 - 4"], [["1"]], "timeout=0 is not accepted"),
        ({}, ["3 - 4"], [["1"], ["2"]], "inconsistent lengths: 1 and 2"),
        ({}, ["3 - 4"], ["-1"], "the answers to query '3 - 4' are '-1'"),
        ({}, ["3 - 4"], "-1", "answers='-1' is not accepted"),
        ({}, ["3 - 4"], [[-1]], "an answer to query '3 - 4' is -1"),
        ({}, [], [], "X is empty"),
    ],
)
def test_bad_input_is_named(parameters, queries, answers, message):
    verifier = MathVerifier(**{"references": REFERENCES, "n_jobs": 1, **parameters})
    with pytest.raises(ValueError, match=message):
        verifier(queries, answers)
