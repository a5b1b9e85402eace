"""What further votes are worth, against sums over all sequences of votes."""

from itertools import product
from math import comb, prod

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_adaalloc.planning._vote_belief import VoteBelief
from sklearn_adaalloc.planning._votes import lead_doubt, lead_gains, vote_weights

LEADS = [(0, 0), (1, 0), (1, 1), (2, 1), (3, 0), (4, 4), (7, 2)]


def doubt(first, second):
    """The rival is ahead: one of two shares below a half, both equally likely before.

    A share is below a half with the probability that more than half of as many fair
    coins show heads as there were votes, and one more.
    """
    n = first + second + 1
    return sum(comb(n, k) for k in range(first + 1, n + 1)) / 2**n


def chance(first, second, votes):
    """Probability of a sequence of votes: each adds one to its answer's urn."""
    urns = [first + 1, second + 1]
    factors = []
    for vote in votes:
        factors.append(urns[vote] / sum(urns))
        urns[vote] += 1
    return prod(factors)


def gain(first, second, n_votes):
    """Chance of the right leader after the votes, less that of now."""
    right = 0.0
    for votes in product([0, 1], repeat=n_votes):
        rival = second + sum(votes)
        after = doubt(first + n_votes - sum(votes), rival)
        right += chance(first, second, votes) * max(after, 1 - after)
    return right - (1 - doubt(first, second))


@pytest.mark.parametrize("lead", LEADS)
def test_doubt_is_that_of_fair_coins(lead):
    assert_allclose(lead_doubt(*([v] for v in lead)), doubt(*lead))


@pytest.mark.parametrize("lead", LEADS)
def test_gains_are_those_of_all_sequences_of_votes(lead):
    expected = [gain(*lead, n_votes) for n_votes in range(1, 9)]
    assert_allclose(lead_gains(*([v] for v in lead), 8)[0], expected, atol=1e-12)


def test_gains_of_many_leads_are_those_of_each():
    first, second = np.array(LEADS).T
    rows = [lead_gains([a], [b], 12)[0] for a, b in LEADS]
    assert_allclose(lead_gains(first, second, 12), rows)


def test_votes_that_cannot_change_the_leader_gain_nothing():
    gains = lead_gains([5], [2], 12)[0]
    assert (gains[:3] == 0).all()
    assert (gains[3:] > 0).all()


def test_knowledge_never_harms_and_never_exceeds_the_doubt():
    first, second = np.array(LEADS).T
    gains = lead_gains(first, second, 40)
    assert (np.diff(gains) > -1e-12).all()
    assert (gains <= lead_doubt(first, second)[:, None]).all()


def test_equal_predictions_weigh_nothing():
    n_samples = np.array([0, 1, 7])
    for predicted in (0.0, 0.2, 1.0):
        assert_array_equal(vote_weights(np.full(3, predicted), n_samples), np.ones(3))


def test_weights_fade_and_are_largest_at_a_half():
    predicted = np.array([0.02, 0.5, 0.7, 0.98])
    before, after = (vote_weights(predicted, np.full(4, n)) for n in (1, 100))
    assert before.argmax() == 1
    assert before[0] == pytest.approx(before[3])
    assert (np.abs(np.log(after)) < np.abs(np.log(before)) / 9).all()


# --- the belief ------------------------------------------------------------------


def belief(*polls, limit=40, rate=0.6, key=None):
    """A belief that was told some answers to each query."""
    marginals = np.zeros((len(polls), limit))
    marginals[:, 0] = rate
    told = VoteBelief(marginals, np.full(len(polls), limit), key=key)
    told.update([list(poll) for poll in polls])
    return told


def test_the_next_vote_is_for_a_tie_of_few():
    told = belief("aab", "ab", "aaabbb", "a", "aaaaaaaa")
    assert told.plan(1, None).tolist() == [0, 1, 0, 0, 0]
    assert told.plan(2, 1).tolist() == [0, 1, 1, 0, 0]


def test_first_samples_come_first():
    told = belief("ab", "", "aa", "")
    assert told.plan(2, None).tolist() == [0, 1, 0, 1]
    assert told.plan(2, 4).tolist() == [0, 1, 0, 1]


def test_a_decided_query_gets_no_vote_whatever_the_money():
    told = belief("a" * 10, "ab")
    assert told.plan(10, 1).tolist() == [0, 10]
    assert belief("a" * 10, "b" * 10).plan(20, 1).tolist() == [0, 0]


def test_samples_without_answers_lower_what_a_vote_is_worth():
    told = belief(["a", "b", None, None], ["a", "b"])
    assert told.plan(1, None).tolist() == [0, 1]
    assert told.budgets.tolist() == [4, 2]


def test_answers_with_equal_keys_share_their_votes():
    def key(answers):
        return [float(answer) for answer in answers]

    told = belief(["2", "0.50", ".5"], ["2", "3"], key=key)
    told.update([[".500"], []])
    assert told.counts == [{"2": 1, "0.50": 3}, {"2": 1, "3": 1}]
    assert told.leaders == ["0.50", "2"]
    assert told.plan(1, None).tolist() == [0, 1]


def test_a_key_that_raises_changes_nothing():
    def key(answers):
        return [float(answer) for answer in answers]

    told = belief(["2"], ["1"], key=key)
    with pytest.raises(ValueError, match="could not convert"):
        told.update([["3"], ["x"]])
    assert told.counts == [{"2": 1}, {"1": 1}]
    assert told.budgets.tolist() == [1, 1]


def test_the_first_of_equal_leaders():
    told = belief("ba", ["", "b"], [])
    assert told.leaders == ["b", "", None]


def test_costs_divide_what_a_vote_is_worth():
    told = belief("ab", "ab")
    costs = np.array([3.0, 1.0])
    assert told.plan(3.0, None, costs=costs).tolist() == [0, 1]
    planned = told.plan(8.0, 1, costs=costs)
    assert planned @ costs <= 8
    assert planned[1] > planned[0]
