"""Which answers are the same in mathematics, as a key for votes."""

import pickle
import time
from copy import deepcopy
from itertools import permutations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge

from sklearn_adaalloc import AdaptiveAllocator, RewardTable
from sklearn_adaalloc.curves import MostVotes, reward_curves
from sklearn_adaalloc.persistence import load_policy, save_policy
from sklearn_adaalloc.regressors import RewardRegressor
from sklearn_adaalloc.rewards import MathEquivalence, MathVerifier, _workers

pytest.importorskip("math_verify", reason="the extra 'verify' is not installed")


@pytest.fixture(scope="module")
def key():
    return MathEquivalence(n_jobs=1)


@pytest.fixture
def asked(monkeypatch):
    """Lines that workers are asked."""
    lines = []
    ask = _workers.WorkerPool.ask

    def ask_and_note(self, new, timeout):
        lines.extend(new)
        return ask(self, new, timeout)

    monkeypatch.setattr(_workers.WorkerPool, "ask", ask_and_note)
    return lines


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\frac{\pi}{2}", r"\pi/2"),
        ("1/2", "0.5"),
        ("East", "east"),
        ("x=3", "3"),
        (r"So it is \boxed{12}.", "12"),
        (r"(3,\frac{\pi}{2})", r"(3,\pi/2)"),
        (7, "7"),
    ],
)
def test_answers_that_are_the_same_have_one_key(key, one, other):
    first, second = key([one, other])
    assert first == second


@pytest.mark.parametrize(
    ("one", "other"), [("1/2", "0.51"), ("East", "West"), ("(1,2)", "(2,1)"), (7, 8)]
)
def test_other_answers_have_other_keys(key, one, other):
    first, second = key([one, other])
    assert first != second


@pytest.mark.parametrize("nothing", ["", "  ", r"\boxed{}", "..."])
def test_a_text_without_an_answer_has_no_key(key, nothing):
    assert key([nothing, "2"]) == [None, "2"]


def test_the_key_is_the_shortest_answer_of_a_class(key):
    assert key([r"\frac{1}{2}", "1/2", "0.50"]) == ["1/2"] * 3


def test_classes_depend_on_neither_the_order_nor_other_queries(key):
    # 50 % equals 50 and also 0.5, which are not equal: only a fixed order of
    # comparison makes classes of these.
    answers = ["0.5", r"50\%", "50", r"\frac{1}{2}"]
    expected = dict(zip(answers, key(answers), strict=True))
    assert expected["50"] != expected["0.5"]
    for order in permutations(answers):
        fresh = clone(key)
        fresh([r"50\%", "0.5"])
        assert dict(zip(order, fresh(order), strict=True)) == expected


def test_equal_normal_forms_and_words_ask_no_worker(asked):
    keys = MathEquivalence(n_jobs=1)(["yes", "Yes", r"\text{Yes}", "no", "No."])
    assert keys == ["Yes", "Yes", "Yes", "No.", "No."]
    assert asked == []


def test_only_first_members_are_compared_and_each_pair_once(asked):
    key = MathEquivalence(n_jobs=1)
    halves = ["1/2", "0.5", r"\frac12", r"2^{-1}", r"\frac{2}{4}", "3"]
    keys = key(halves)
    assert keys == ["0.5"] * 5 + ["3"]
    # "3", the shortest, is compared with the five halves, and then the first half with
    # the other four.
    assert len(asked) == len(set(asked)) == 5 + 4
    assert key(halves) == keys
    assert len(asked) == 5 + 4
    key([*halves, "4"])  # compared with "3", and then with the halves
    assert len(asked) == 5 + 4 + 1 + 5


def test_an_equation_is_what_it_ends_with_unless_that_is_zero(key):
    assert key(["7", "3+4=7", "x=0", "0"]) == ["7", "7", "0", "0"]
    assert key(["0", "5x-7y+4=0"]) == ["0", "5x-7y+4=0"]


def test_a_pair_that_takes_too_long_stays_apart():
    key = MathEquivalence(timeout=2, n_jobs=1)
    start = time.perf_counter()
    keys = key(["5", r"10^{10^{10}}!", "5.0"])
    assert keys == ["5", r"10^{10^{10}}!", "5"]
    assert time.perf_counter() - start < 15


def test_an_answer_that_is_too_long_to_read_has_no_vote(key):
    assert key(["1" * 2000, "1"]) == [None, "1"]


@pytest.mark.parametrize(
    "copy", [clone, deepcopy, lambda key: pickle.loads(pickle.dumps(key))]
)
def test_copies_are_equal_and_share_no_workers(copy):
    key = MathEquivalence(n_jobs=1)
    key(["1/2", "0.5"])
    copied = copy(key)
    assert copied == key
    assert hash(copied) == hash(key)
    assert not {"_pool", "_verdicts"} & vars(copied).keys()
    assert MostVotes(copied) == MostVotes(key)


def test_other_parameters_make_another_key():
    assert MathEquivalence(timeout=1) != MathEquivalence()
    assert MathEquivalence() != "key"


def test_a_timeout_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"timeout=0 is not accepted"):
        MathEquivalence(timeout=0)(["1"])


def test_the_verifier_offers_the_key_with_its_parameters():
    verifier = MathVerifier({}, timeout=3, n_jobs=2)
    assert verifier.key == MathEquivalence(timeout=3, n_jobs=2)


# Votes

TABLE = RewardTable(
    [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]],
    answers=[["1/2", "0.5", "7", "..."], ["3", "4", "3", "4.0"], ["a", "b", "c", "c"]],
)


def test_votes_for_answers_that_are_the_same_count_together(key):
    strings = reward_curves(TABLE, 4, selection="vote")
    classes = reward_curves(TABLE, 4, selection=MostVotes(key))
    assert np.allclose(strings[0, 4], 1 / 2)
    assert np.allclose(classes[0, 4], 1)
    assert np.allclose(classes[2], strings[2])
    joined = TABLE.with_keys(key)
    assert joined.codes.tolist() == [[0, 0, 1, -1], [0, 1, 0, 1], [0, 1, 2, 2]]


def test_an_allocator_with_the_key_is_cloned_fitted_and_saved(key, tmp_path):
    X = np.array([[0.0], [1.0], [2.0]])
    rule = MostVotes(MathEquivalence(n_jobs=1))
    policy = AdaptiveAllocator(RewardRegressor(Ridge()), budget=2, selection=rule)
    policy = clone(policy).fit(X, TABLE)
    save_policy(policy, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    assert loaded.selection == policy.selection
    assert loaded.score(X, TABLE) == policy.score(X, TABLE)
    assert (loaded.predict(X) == policy.predict(X)).all()


@pytest.mark.parametrize("answers", ["12", None, 5])
def test_answers_that_are_no_sequence(answers):
    with pytest.raises(ValueError, match=rf"answers={answers!r} is not accepted"):
        MathEquivalence(n_jobs=1)(answers)


@pytest.mark.parametrize("n_jobs", [0, 1.5, "2"])
def test_a_number_of_workers_that_is_none(n_jobs):
    key = MathEquivalence(n_jobs=n_jobs)
    with pytest.raises(ValueError, match=rf"n_jobs={n_jobs!r} is not accepted"):
        key([r"\sqrt{12}", r"2\sqrt{3}"])


def test_none_is_no_answer():
    assert MathEquivalence(n_jobs=1)([None, "None"]) == [None, "None"]
