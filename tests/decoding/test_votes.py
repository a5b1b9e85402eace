"""Answers that are voted on, one query at a time."""

import asyncio
from fractions import Fraction

import numpy as np
import pytest
from answering import Awaited, run
from voting import voting_policy

from sklearn_adaalloc.decoding import BestOfK
from sklearn_adaalloc.decoding._votes import leader


class Written(Awaited):
    """Gives these texts in turn."""

    def __init__(self, texts):
        super().__init__()
        self.texts = texts

    async def asample_each(self, prompts, budgets, *, first_sample):
        async for each in super().asample_each(
            prompts, budgets, first_sample=first_sample
        ):
            yield each._replace(answer=self.texts[each.sample % len(self.texts)])


def test_the_answer_with_the_most_votes_is_returned():
    sampler = Written(["8", "7", "7", "7", "7"])
    [answered] = run(BestOfK(voting_policy(min_budget=3, budget=3), sampler, None), "q")
    assert answered.answer == "7"
    assert np.isnan(answered.reward)
    assert answered.budget == len(sampler.asked) >= 3


def test_a_clear_lead_takes_fewer_samples_than_dissent():
    policy = voting_policy()
    one, many = Written(["7"]), Written(list("12345"))
    run(BestOfK(policy, one, None), ["q"])
    run(BestOfK(policy, many, None), ["q"])
    assert 0 < len(one.asked) < len(many.asked)


def test_labels_say_what_an_answer_votes_for():
    def label(queries, answers):
        return [[text[-1] if text[-1].isdigit() else None for text in answers[0]]]

    sampler = Written(["Well", "It is 8", "7", "So 7", "Who knows"])
    policy = voting_policy(min_budget=5, budget=5)
    [answered] = run(BestOfK(policy, sampler, label), ["q"])
    assert answered.answer == "7"


def test_answers_without_any_vote():
    policy = voting_policy(min_budget=2, budget=2)
    decoder = BestOfK(policy, Written(["a", "b"]), lambda q, a: [[None] * len(a[0])])
    assert run(decoder, ["q"])[0].answer == "a"


def test_labels_that_do_not_fit():
    decoder = BestOfK(voting_policy(), Awaited(), lambda queries, answers: [[]])
    with pytest.raises(ValueError, match="Expected a label for each answer"):
        asyncio.run(decoder.answer("q"))


def test_theleader_is_that_of_equal_keys():
    def halves(labels):
        return [str(Fraction(label)) for label in labels]

    assert leader(["3", "1/2", "0.5"], halves) == 1
    assert leader(["3", "1/2", "0.5"], None) == 0
    assert leader([None, "", -1, "4"], None) == 3
