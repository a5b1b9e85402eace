"""Sentences say no more than intervals do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_adaalloc.command_line.report.evaluation import (
    IN_ROUNDS,
    STREAM,
    UP_FRONT,
)
from sklearn_adaalloc.command_line.report.menus import ONE_PLAN
from sklearn_adaalloc.command_line.report.sentences import Numbers, sentences


def policy(gain=(0.05, 0.04, 0.06), saved=(0.3, 0.2, 0.4)):
    names = ("gain", "gain_low", "gain_high", "saved", "saved_low", "saved_high")
    figures = dict(zip(names, (*gain, *saved), strict=True))
    return {
        "spend": 4.0,
        "reward": 0.6,
        "equal_at_spend": 0.55,
        "saved_spend": 2.8,
        **figures,
    }


def report(*, up_front=None, rounds=None, stream=None, stopped=None, **changes):
    row = {
        "budget": 4.0,
        "equal": {"reward": 0.55, "low": 0.5, "high": 0.6},
        "policies": {
            UP_FRONT: up_front or policy(),
            IN_ROUNDS: rounds or policy(),
            STREAM: stream or policy(),
        },
        "stopped": stopped,
        "oracle_up_front": 0.7,
        "oracle_with_verdicts": 0.8,
    }
    figures = {"queries": 1234, "samples": 8, "binary": True, "solvable": 0.9}
    figures |= {"one_answer": 0.4, "rows": [row]}
    whole = {"figures": figures, "selection": "reward", "unit_name": "answers"}
    whole |= {"features": "text", "has_answers": False, "has_costs": True}
    return {**whole, **changes}


NOTHING = policy(gain=(0.01, -0.01, 0.03), saved=(0.1, -0.1, 0.3))
LOSS = policy(gain=(-0.02, -0.03, -0.01), saved=(-0.1, -0.2, -0.05))


def test_a_gain_is_said_with_its_interval_and_what_it_saves():
    findings, advice = sentences(report())
    assert findings[4] == (
        "Decided in 4 rounds, each grade known before more is spent, 4 answers per "
        "query give 60.0 %, and equal budgets of the same cost 55.0 % (+5.0 points, "
        "95 % interval +4.0 to +6.0). What equal budgets would give at 4 answers, it "
        "gives at 2.8: it saves 30 % (95 % interval 20 to 40 %)."
    )
    assert findings[0] == (
        "1,234 queries, up to 8 graded answers each. One answer is right in 40.0 % of "
        "all cases."
    )
    assert len(advice) == 2


def test_what_the_interval_does_not_show_is_not_said():
    findings, advice = sentences(
        report(up_front=NOTHING, rounds=NOTHING, stream=NOTHING)
    )
    assert "saves" not in " ".join(findings)
    assert findings[3] == (
        "Decided up front, before any answer, 4 answers per query do as well as equal "
        "budgets of the same cost, as far as this table can tell (+1.0 points, 95 % "
        "interval -1.0 to +3.0)."
    )
    assert advice[0].startswith("Keep equal budgets")


def test_a_loss_is_called_one():
    findings, advice = sentences(report(up_front=LOSS))
    assert "give less than equal budgets of the same cost" in findings[3]
    assert "Do not decide up front by these features" in " ".join(advice)


def test_rounding_is_no_loss():
    tied = policy(gain=(-1e-17, -2e-17, -1e-18), saved=(0.0, 0.0, 0.0))
    assert "as well as" in sentences(report(up_front=tied))[0][3]


def test_what_was_not_reached_is_not_said_to_be_saved():
    unknown = policy(saved=(None, None, None))
    assert "saves" not in sentences(report(rounds=unknown))[0][4]


@given(
    gain=st.tuples(*[st.floats(-1, 1)] * 3).map(sorted),
    saved=st.tuples(*[st.floats(-1, 1)] * 3).map(sorted) | st.just([None, None, None]),
    binary=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_nothing_is_saved_where_an_interval_includes_0(gain, saved, binary):
    low, middle, high = gain
    own = policy((middle, low, high), (saved[1], saved[0], saved[2]))
    made = report(rounds=own, up_front=NOTHING, stream=NOTHING)
    made["figures"]["binary"] = binary
    findings, advice = sentences(made)
    if low <= 0 or saved[0] is None or saved[0] <= 0:
        assert "saves" not in findings[4]
    if low <= 0:
        assert "SequentialAllocator" not in " ".join(advice)
        assert "Keep equal budgets" in " ".join(advice)


def test_without_features_the_advice_is_to_give_some():
    told = " ".join(sentences(report(up_front=NOTHING, features="none"))[1])
    assert "Give their texts or --features" in told


def test_a_small_table_and_labels_are_spoken_of():
    small = report(has_answers=True)
    small["figures"]["queries"] = 120
    told = " ".join(sentences(small)[1])
    assert "Grade more queries: with 120" in told
    assert "see --selection vote" in told


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ("vote", "the answers so far known before more is spent"),
        ("score", "each score known before more is spent"),
    ],
)
def test_sentences_name_what_is_known_in_rounds(selection, words):
    made = report(selection=selection)
    made["figures"]["solvable"] = None
    assert words in " ".join(sentences(made)[0])


def test_real_rewards_are_no_percentages():
    made = report()
    made["figures"]["binary"] = False
    numbers = Numbers(made)
    assert numbers.reward(7.126) == "7.13"
    assert "One answer has a mean reward of 0.4." in sentences(made)[0][0]


def without_policy(*gain):
    names = ("gain", "gain_low", "gain_high")
    return {"spend": 4.0, "reward": 0.58, **dict(zip(names, gain, strict=True))}


def test_what_stopping_alone_gives_is_said():
    findings, advice = sentences(report(stopped=without_policy(0.02, 0.01, 0.03)))
    assert findings[6] == (
        "Stopping alone: the same limit for all queries, each stopped at its first "
        "right answer, gives 58.0 % for 4 answers per query. The stream gives more "
        "(+2.0 points, 95 % interval +1.0 to +3.0)."
    )
    assert "needs no policy" not in " ".join(advice)


def test_where_stopping_alone_does_as_well_it_is_advised():
    findings, advice = sentences(report(stopped=without_policy(0.01, -0.01, 0.03)))
    assert "does as well, as far as this table can tell (+1.0 points" in findings[6]
    assert advice[1].startswith("Stopping at the first right answer, with one limit")
    findings, _ = sentences(report(stopped=without_policy(-0.02, -0.03, -0.01)))
    assert "The stream gives less (-2.0 points" in findings[6]


def test_what_is_above_0_does_not_read_as_0():
    small = policy(gain=(0.02, 0.0004, 0.05), saved=(0.1, 0.004, 0.2))
    told = sentences(report(rounds=small))[0][4]
    assert "interval +0.04 to +5.0" in told
    assert "it saves 10 % (95 % interval 0.4 to 20 %)" in told


def test_real_gains_have_as_many_digits_as_their_interval():
    made = report(rounds=policy(gain=(0.0123, -0.00001, 0.031)))
    made["figures"]["binary"] = False
    told = sentences(made)[0][4]
    assert "(+0.012, 95 % interval -0.000 to +0.031)" in told
    nothing = Numbers(made).gain(policy(gain=(0.0, 0.0, 0.0)))
    assert nothing == "+0, 95 % interval +0 to +0"


def test_spending_more_than_the_budget_is_said():
    more = {**policy(), "spend": 4.4}
    told = sentences(report(stream=more))[0][5]
    assert "4.4 answers per query (more than the budget of 4) give 60.0 %" in told


def test_one_is_no_plural():
    numbers = Numbers(report())
    assert numbers.spend_with_unit(1.0) == "1 answer"
    assert numbers.spend_with_unit(1.5) == "1.5 answers"


def menu_report(*, cascade=None, **policies):
    row = {
        "budget": 4.0,
        "equal": {"decoders": ["a"], "spend": 3.5, "reward": 0.55, "low": 0.5}
        | {"high": 0.6},
        "policies": {
            name: {**figures, "answers": {"a": 1.0, "b": 0.5}}
            for name, figures in policies.items()
        },
        "cascade": cascade,
        "oracle_one_answer": None,
        "oracle_with_verdicts": 0.8,
    }
    decoders = [
        {"name": name, "one_answer": value, "cost_of_an_answer": 2.0}
        for name, value in (("a", 0.5), ("b", 0.4))
    ]
    made = report(has_costs=False)
    made["figures"] |= {"rows": [row], "decoders": decoders}
    made["figures"] |= {"planned_with": ["a", "b"], "plan": [], "empty_reward": 0.0}
    return made


def test_several_decoders_are_compared_with_the_best_alone():
    findings, advice = sentences(
        menu_report(**{UP_FRONT: NOTHING, IN_ROUNDS: policy()})
    )
    told = " ".join(findings)
    assert "One answer of a is right most often: in 50.0 %" in told
    assert "What the best without a policy would give at 3.5 answers" in told
    assert "answers per query of a 1.00, b 0.50" in told
    assert advice[0].startswith("If answers can be graded while decoding goes on, let")
    assert "The table has no costs" in advice[1]


def test_where_several_decoders_gain_nothing_one_is_kept():
    advice = sentences(menu_report(**{UP_FRONT: LOSS, IN_ROUNDS: NOTHING}))[1]
    assert advice[0].startswith("Do without a policy, with a alone")


def test_a_fixed_cascade_is_spoken_of():
    better = without_policy(0.02, 0.01, 0.03)
    policies = {UP_FRONT: NOTHING, IN_ROUNDS: policy(), STREAM: policy()}
    findings, advice = sentences(menu_report(cascade=better, **policies))
    assert (
        "The best fixed cascade of one or two decoders, chosen by hindsight, gives "
        "58.0 % for 4 answers per query. The policy that decides one by one gives more "
        "(+2.0 points, 95 % interval +1.0 to +3.0)."
    ) in findings
    assert "or StreamAllocator where queries arrive" in advice[0]
    assert "fixed cascade" not in " ".join(advice)
    alike = without_policy(0.0, -0.01, 0.01)
    advice = sentences(menu_report(cascade=alike, **policies))[1]
    assert "A fixed cascade of one or two decoders does as well here" in advice[1]


def test_real_rewards_of_several_decoders():
    made = menu_report(**{UP_FRONT: NOTHING, IN_ROUNDS: policy()})
    made["figures"] |= {"binary": False, "plan": list("abbab"), "empty_reward": -2.0}
    (row,) = made["figures"]["rows"]
    row |= {"oracle_with_verdicts": None, "oracle_one_answer": 7.25}
    row["equal"]["decoders"] = [ONE_PLAN]
    findings, _ = sentences(made)
    told = " ".join(findings)
    assert findings[0] == (
        "1,234 queries, answered by 2 decoders, up to 8 graded answers of each."
    )
    assert "One answer of a is the best: a mean reward of 0.5, for 2 answers." in told
    assert (
        "Without a policy, the same plan for all is the best at 4 answers per query: "
        "0.55 (95 % interval 0.5 to 0.6). It is chosen by hindsight. A query without "
        "an answer counts as -2. The plan asks a, b, b, a, ... as far as the budget "
        "goes"
    ) in told
    assert "first right answer" not in told
    assert "would reach 7.25 at 4 answers per query with one answer to each" in told


def test_what_takes_too_long_is_said_to_be_left_out():
    made = menu_report(**{UP_FRONT: NOTHING, IN_ROUNDS: policy()})
    told = " ".join(sentences(made)[0])
    assert "No stream was played: to find its price takes too long for 2 " in told
    assert "Policies choose among" not in told
    made["figures"]["planned_with"] = ["b"]
    told = " ".join(sentences(made)[0])
    assert "Policies choose among 1 decoders here: b. To plan with more" in told


def test_votes_of_several_decoders_are_said_not_to_be_measured():
    made = menu_report(**{UP_FRONT: NOTHING, IN_ROUNDS: policy()})
    told = " ".join(sentences({**made, "has_answers": True})[1])
    assert (
        "Votes are not measured here: they are taken among the answers of one" in told
    )
