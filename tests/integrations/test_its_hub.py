"""A scaling algorithm of its_hub, run by its_hub's own interface."""

import asyncio
from collections import Counter

import numpy as np
import pytest
from levels import fitted, outcomes, questions, tree
from missing import said_without

from sklearn_adaalloc import (
    BinnedAllocator,
    RewardTable,
    SequentialAllocator,
    StreamAllocator,
)
from sklearn_adaalloc.curves import MostVotes
from sklearn_adaalloc.integrations import AdaptiveScaling

its_hub = pytest.importorskip("its_hub", reason="needs the extra its")

QUESTIONS = questions(range(60))
TABLE = dict(zip(QUESTIONS, outcomes(QUESTIONS, 16, 1), strict=True))


class Model(its_hub.AbstractLanguageModel):
    """Answers with rows of a table."""

    def __init__(self):
        self.asked = Counter()

    async def agenerate(self, messages, **settings):
        return await self.agenerate_single(messages, **settings)

    async def agenerate_single(self, messages, usage_accumulator=None, **settings):
        question = messages[-1].content
        i = self.asked[question]
        self.asked[question] += 1
        usage_accumulator.add(5, 2)
        await asyncio.sleep(0)
        return {"role": "assistant", "content": f"{TABLE[question][i]} by {i}"}


class Judge(its_hub.AbstractOutcomeRewardModel):
    def score(self, messages, **settings):
        return [float(chat[-1].content[0]) for chat in messages]

    async def ascore(self, messages, orchestrator=None, **settings):
        return self.score(messages)


@pytest.fixture(scope="module")
def policy():
    return fitted(StreamAllocator(tree(), budget=2, min_budget=1, random_state=0))


def answer_all(algorithm, model, budget=16):
    return [algorithm.infer(model, q, budget)["content"] for q in QUESTIONS]


def test_it_spends_and_solves_what_the_policy_does_on_the_same_rewards(policy):
    model, algorithm = Model(), AdaptiveScaling(policy, Judge(), threshold=1.0)
    answers = answer_all(algorithm, model)
    rewards = np.array(list(TABLE.values()))
    score = np.mean([answer.startswith("1") for answer in answers])
    assert score == pytest.approx(policy.score(QUESTIONS, rewards))
    assert algorithm.mean_samples == model.asked.total() / len(QUESTIONS)
    assert algorithm.stream.mean_cost == algorithm.mean_samples
    assert algorithm.mean_samples == pytest.approx(2, rel=0.1)


def test_it_solves_more_than_best_of_n_with_fewer_samples(policy):
    model, algorithm = Model(), AdaptiveScaling(policy, Judge(), threshold=1.0)
    solved = [answer[0] == "1" for answer in answer_all(algorithm, model)]
    uniform = Model()
    best_of_3 = answer_all(its_hub.BestOfN(Judge()), uniform, budget=3)
    assert uniform.asked.total() > model.asked.total()
    assert sum(solved) > sum(answer[0] == "1" for answer in best_of_3)


def test_the_budget_of_a_call_is_the_most_that_a_prompt_gets(policy):
    model, algorithm = Model(), AdaptiveScaling(policy, Judge(), threshold=1.0)
    answer_all(algorithm, model, budget=2)
    assert max(model.asked.values()) == 2
    with pytest.raises(ValueError, match="budget=0"):
        algorithm.infer(model, QUESTIONS[0], 0)


def test_up_front_budgets_are_sampled_at_once():
    policy = fitted(BinnedAllocator(tree(), budget=3, n_bins=4, random_state=0))
    model, algorithm = Model(), AdaptiveScaling(policy, Judge(), threshold=1.0)
    answer_all(algorithm, model, budget=5)
    budgets = np.clip(policy.predict(QUESTIONS), 1, 5)
    assert [model.asked[question] for question in QUESTIONS] == budgets.tolist()


def test_the_whole_result_has_all_responses_and_what_they_took(policy):
    model, algorithm = Model(), AdaptiveScaling(policy, Judge(), threshold=1.0)
    question = next(q for q in QUESTIONS if q.startswith("often") and not TABLE[q][0])
    result = algorithm.infer(model, question, 16, return_response_only=False)
    row = TABLE[question][: model.asked[question]]
    assert result.scores == row.tolist()
    assert result.the_one["content"] == f"1 by {row.argmax()}"
    assert result.usage.num_calls == len(row)


def test_many_prompts_at_a_time_share_the_stream(policy):
    model, algorithm = Model(), AdaptiveScaling(policy, Judge(), threshold=1.0)

    async def all_at_once():
        await asyncio.gather(*(algorithm.ainfer(model, q, 16) for q in QUESTIONS))

    asyncio.run(all_at_once())
    assert algorithm.stream.n_queries == len(QUESTIONS)
    assert algorithm.mean_samples == model.asked.total() / len(QUESTIONS)


def test_a_chat_is_read_as_its_text(policy):
    message = its_hub.api.ChatMessage
    chat = [message("system", "Be brief."), message("user", "always 3")]
    model, algorithm = Model(), AdaptiveScaling(policy, Judge(), threshold=1.0)
    assert algorithm.infer(model, chat, 8)["content"] == "1 by 0"
    assert model.asked == {"always 3": 1}


def with_answers(asked):
    rewards = outcomes(asked, 16, 0)
    wrong = np.random.default_rng(2).integers(2, 6, rewards.shape)
    answers = np.where(rewards, 1, wrong).astype(str).tolist()
    return RewardTable(rewards, answers=answers)


def test_votes_are_taken_until_a_lead_is_decided():
    policy = fitted(
        StreamAllocator(tree(), budget=4, selection=MostVotes(), random_state=0),
        with_answers,
    )
    model = Model()
    algorithm = AdaptiveScaling(policy, label=lambda text: text.partition(" ")[0])
    result = algorithm.infer(model, "always 1", 16, return_response_only=False)
    assert result.the_one["content"] == "1 by 0"
    assert set(result.scores) == {float(len(result.responses))}
    answers = answer_all(algorithm, model)
    assert algorithm.mean_samples < 6
    for question, answer in zip(QUESTIONS[4:], answers[4:], strict=True):
        row = TABLE[question][: model.asked[question]]
        assert answer[0] == str(np.bincount(row).argmax()) or row.mean() == 0.5


def test_a_reward_model_is_needed_unless_the_policy_votes(policy):
    with pytest.raises(ValueError, match="orm=None is given, but the policy needs"):
        AdaptiveScaling(policy)


@pytest.mark.parametrize("scores", [[np.nan], [None], ["1"], []])
def test_scores_have_to_be_numbers(scores, policy):
    class Odd(Judge):
        async def ascore(self, messages, **settings):
            return scores * len(messages)

    algorithm = AdaptiveScaling(policy, Odd(), threshold=1.0)
    with pytest.raises(ValueError, match="a finite number for each"):
        algorithm.infer(Model(), QUESTIONS[0], 4)
    assert algorithm.stream.n_queries == 1  # it is closed, and its sample counts


def with_costs(asked):
    return RewardTable(outcomes(asked, 16, 0), costs=2.0)


def test_policies_of_other_kinds_are_refused():
    with pytest.raises(ValueError, match="decides jointly for a batch"):
        AdaptiveScaling(fitted(SequentialAllocator(tree())), Judge())
    costly = StreamAllocator(tree(), budget=4, unit="cost", random_state=0)
    with pytest.raises(ValueError, match="policy has unit='cost'"):
        AdaptiveScaling(fitted(costly, with_costs), Judge())
    with pytest.raises(ValueError, match="policy='folder' is not accepted"):
        AdaptiveScaling("folder", Judge())


def test_without_its_hub_it_says_what_to_install():
    said = said_without("its_hub", "AdaptiveScaling(None)")
    assert "pip install 'sklearn-adaalloc[its]'" in said
