"""From a store to a RewardTable, with tokens, answers and scores."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_adaalloc import collect_rewards
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.sampling import TokenUsage

ANSWERS = {"[1]+1=": ["so 2", "so 3", ""], "2+2=": ["so 4", "so 4", "so 5"]}
TOKENS = {"[1]+1=": [7, 9, 0], "2+2=": [4, 4, 4]}
RIGHT = {"so 2", "so 4"}


def sample(prompts, budgets, first_sample, return_usage):
    answers = [
        ANSWERS[p][f : f + n]
        for p, n, f in zip(prompts, budgets, first_sample, strict=True)
    ]
    tokens = [
        np.array(TOKENS[p][f : f + n], float)
        for p, n, f in zip(prompts, budgets, first_sample, strict=True)
    ]
    cut_off = [np.array([text == "so 5" for text in row], bool) for row in answers]
    return answers, TokenUsage(np.ones(len(prompts)), tokens, cut_off=cut_off)


def untold(prompts, budgets):
    return [ANSWERS[p][:n] for p, n in zip(prompts, budgets, strict=True)]


def grade(queries, answers):
    return [[float(text in RIGHT) for text in row] for row in answers]


def length(queries, answers):
    return [[float(len(text)) for text in row] for row in answers]


def skip_empty(queries, answers):
    return [
        [float(text in RIGHT) if text else np.nan for text in row] for row in answers
    ]


@pytest.fixture
def fill(tmp_path):
    path = tmp_path / "store.sqlite"

    def collect(sampler=sample, reward=grade, **options):
        collect_rewards(
            list(ANSWERS), sampler, reward, 3, store=path, progress=False, **options
        )
        return path

    return collect


def test_all_that_the_store_knows(fill):
    with pytest.warns(UserWarning, match="cut off"):
        path = fill()
    with RewardStore(path) as store:
        queries, table = store.to_table(label=lambda text: text.removeprefix("so "))
    assert queries == list(ANSWERS)
    assert_array_equal(table.rewards, [[1, 0, 0], [1, 1, 0]])
    assert_array_equal(table.costs, [[7, 9, 1], [4, 4, 4]])
    # The empty answer is none, nor is the one that was cut off.
    assert table.answers.tolist() == [["2", "3", None], ["4", "4", None]]
    assert table.scores is None


def test_unknown_tokens_are_no_costs(fill):
    with RewardStore(fill(untold)) as store:
        _, table = store.to_table()
    assert table.costs is None
    assert table.answers[1].tolist() == ["so 4", "so 4", "so 5"]


def test_what_has_no_reward_is_missing(fill):
    with pytest.warns(UserWarning, match="could not be graded"):
        path = fill(untold, skip_empty)
    with RewardStore(path) as store:
        _, table = store.to_table()
    assert_array_equal(table.rewards, [[1, 0, np.nan], [1, 1, 0]])


def test_a_second_reward_function_gives_the_scores(fill):
    fill(untold, grade, reward_settings={"reward": "grade"})
    path = fill(untold, length, reward_settings={"reward": "length"})
    with RewardStore(path) as store:
        _, table = store.to_table(
            reward_settings={"reward": "grade"}, score_settings={"reward": "length"}
        )
        with pytest.raises(ValueError, match="are not among those in"):
            store.to_table()
    assert_array_equal(table.rewards, [[1, 0, 0], [1, 1, 0]])
    assert_array_equal(table.scores, [[4, 4, 0], [4, 4, 4]])


def test_a_store_without_rewards(tmp_path):
    with (
        RewardStore(tmp_path / "new.sqlite", create=True) as store,
        pytest.raises(ValueError, match=r"holds no reward by these settings"),
    ):
        store.to_table()
