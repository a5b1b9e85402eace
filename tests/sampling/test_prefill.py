"""What the one pass over the prompts gives, costs and keeps."""

import pickle
import weakref

import numpy as np
import pytest
import torch
from counting import record
from texts import random_texts

from sklearn_adaalloc import HiddenStateFeaturizer
from sklearn_adaalloc.sampling import TransformersSampler
from sklearn_adaalloc.sampling._local import generation


@pytest.fixture
def rows_run(monkeypatch):
    """Number of rows of each batch that was decoded."""
    return record(monkeypatch, "decode", len)


class TestFeatures:
    @pytest.mark.parametrize("pooling", ["last", "mean", "first"])
    @pytest.mark.parametrize("layer", ["auto", -1, [0, 2]])
    def test_are_those_of_the_featurizer(self, folder, layer, pooling):
        prompts = [*random_texts(20), "ab", "ab"]
        options = {"layer": layer, "pooling": pooling, "device": "cpu"}
        featurizer = HiddenStateFeaturizer(folder, **options)
        expected = featurizer.fit_transform(prompts)
        sampler = TransformersSampler(folder, max_new_tokens=2, **options)
        size = np.abs(expected).max()
        for features in (
            sampler.prefill(prompts).features,
            sampler.sample(prompts, [0, 1] * 11, return_features=True)[1],
        ):
            assert features.dtype == np.float32
            np.testing.assert_allclose(features, expected, rtol=0, atol=2e-6 * size)
        assert sampler.shares_prefill_with(featurizer)

    @pytest.mark.parametrize(
        "change",
        [
            {"layer": 1},
            {"pooling": "mean"},
            {"max_length": 9},
            {"dtype": "bfloat16"},
            {"chat_template": True},
            {"model": "embedded"},
        ],
    )
    def test_another_featurizer_needs_its_own_pass(self, tiny_models, change):
        options = {"model": tiny_models["qwen2"], "device": "cpu"}
        sampler = TransformersSampler(**options)
        other = HiddenStateFeaturizer(**(options | change)).fit(["ab"])
        assert not sampler.shares_prefill_with(other)
        assert not sampler.shares_prefill_with(HiddenStateFeaturizer(**options))
        assert not sampler.shares_prefill_with(object())

    def test_chats_go_through_the_template(self, tiny_models):
        sampler = TransformersSampler(
            tiny_models["qwen2"], max_new_tokens=6, device="cpu"
        )
        chat = [{"role": "user", "content": "ab"}]
        as_text = sampler.sample(["<bos>(ab)="], 3, return_features=True)
        as_chat = sampler.sample([chat], 3, return_features=True)
        sampler.set_params(chat_template=True)
        templated = sampler.sample(["ab"], 3, return_features=True)
        assert as_text[0] == as_chat[0] == templated[0]
        np.testing.assert_array_equal(as_text[1], as_chat[1])


class TestUsage:
    def test_prompts_count_once(self, tiny_models, tokens_run):
        sampler = TransformersSampler(
            tiny_models["gpt2"], max_new_tokens=4, device="cpu"
        )
        prompts = ["abcd", "ef", "abcd", "g"]
        answers, usage = sampler.sample(prompts, [2, 0, 3, 1], return_usage=True)
        assert [len(each) for each in answers] == [2, 0, 3, 1]
        assert usage.prompt.tolist() == [4, 0, 0, 1]
        assert sum(tokens_run) == 5
        assert [len(each) for each in usage.answers] == [2, 0, 3, 1]
        assert max(map(max, filter(len, usage.answers))) <= 4

    def test_a_second_round_pays_no_prompt(self, tiny_models, tokens_run):
        sampler = TransformersSampler(
            tiny_models["gpt2"], max_new_tokens=4, device="cpu"
        )
        prefilled = sampler.prefill(["abcd", "ef"])
        _, first = prefilled.decode([1, 0], return_usage=True)
        _, second = prefilled.decode([1, 2], first_sample=[1, 0], return_usage=True)
        assert first.prompt.tolist() == [4, 2]
        assert second.prompt.tolist() == [0, 0]
        assert sum(tokens_run) == 6

    def test_what_is_not_kept_is_paid_again(self, tiny_models, tokens_run):
        sampler = TransformersSampler(
            tiny_models["gpt2"], max_new_tokens=4, cache_tokens=4, device="cpu"
        )
        prefilled = sampler.prefill(["abcd", "ef"])
        _, usage = prefilled.decode([1, 1], return_usage=True)
        assert usage.prompt.tolist() == [4, 4]
        assert sum(tokens_run) == 8

    def test_order_of_what_is_returned(self, tiny_models):
        sampler = TransformersSampler(
            tiny_models["gpt2"], max_new_tokens=4, device="cpu"
        )
        answers, features, usage = sampler.sample(
            ["ab"], [1], return_features=True, return_usage=True
        )
        assert len(answers[0]) == 1
        assert features.shape == (1, 32)
        assert usage.prompt.tolist() == [2]


def embedded(**options):
    return TransformersSampler(
        "embedded", device="cpu", **{"temperature": 0, **options}
    )


class TestCutOff:
    def test_before_at_and_beyond_the_end(self):
        # The answer is two characters and an end token.
        for limit, expected in ((1, True), (2, True), (3, False), (9, False)):
            answers, usage = embedded(max_new_tokens=limit).sample(
                ["max 3 41 7="], 2, return_usage=True
            )
            assert answers == [["41"[:limit]] * 2]
            assert usage.answers[0].tolist() == [min(limit, 3)] * 2
            assert usage.cut_off[0].tolist() == [expected] * 2

    def test_a_stop_string_is_an_end(self):
        for limit, expected in ((1, True), (2, False)):
            sampler = embedded(max_new_tokens=limit, stop="1")
            answers, usage = sampler.sample(["max 3 41 7="], 1, return_usage=True)
            assert answers == [["4"]]
            assert usage.cut_off[0].tolist() == [expected]

    def test_each_prompt_has_its_own_and_duplicates_share(self):
        sampler = embedded(max_new_tokens=3)
        prompts = ["max 3 41 7=", "rev abcd=", "max 3 41 7="]
        _, usage = sampler.sample(prompts, [2, 1, 0], return_usage=True)
        assert [row.tolist() for row in usage.cut_off] == [[False] * 2, [True], []]

    def test_decode_says_so_at_each_call(self):
        prefilled = embedded(max_new_tokens=3).prefill(["max 3 41 7=", "rev abcd="])
        _, first = prefilled.decode([1, 1], return_usage=True)
        _, second = prefilled.decode([0, 2], first_sample=[1, 1], return_usage=True)
        assert [row.tolist() for row in first.cut_off] == [[False], [True]]
        assert [row.tolist() for row in second.cut_off] == [[], [True, True]]

    def test_counts_are_floats_and_nothing_is_known_of_a_cache(self):
        _, usage = embedded().sample(["2+3=", "4+4="], [2, 0], return_usage=True)
        counts = [usage.prompt, *usage.answers]
        assert {each.dtype for each in counts} == {np.dtype("float64")}
        assert {each.dtype for each in usage.cut_off} == {np.dtype("bool")}
        assert usage.cached is None


class TestMemory:
    def test_batches_stay_under_the_limit(self, tiny_models, rows_run):
        sampler = TransformersSampler(
            tiny_models["gpt2"], max_new_tokens=8, batch_tokens=100, device="cpu"
        )
        answers = sampler.sample(["ab", "cdef"], [64, 5])
        assert [len(each) for each in answers] == [64, 5]
        assert max(rows_run) <= 10
        assert sum(rows_run) == 69

    def test_a_batch_without_memory_is_halved(self, tiny_models, monkeypatch):
        def with_little_memory(rows):
            sizes.append(len(rows))
            if len(rows) > 6:
                raise torch.cuda.OutOfMemoryError

        sizes = []
        sampler = TransformersSampler(
            tiny_models["gpt2"], max_new_tokens=4, device="cpu"
        )
        expected = sampler.sample(["ab", "c"], 20)
        record(monkeypatch, "decode", with_little_memory)
        assert sampler.sample(["ab", "c"], 20) == expected
        assert sizes[:4] == [40, 20, 10, 5]

    def test_prompts_for_which_there_is_no_memory_together_are_answered_in_turn(
        self, tiny_models, monkeypatch
    ):
        """Memory for the keys and values of six prompts, in whatever batches."""

        def run(language_model, token_ids, **options):
            if sum(each() is not None for each in alive) + len(token_ids) > 6:
                tries.append("out of memory")
                raise torch.cuda.OutOfMemoryError
            done, features = prefill(language_model, token_ids, **options)
            alive.extend(map(weakref.ref, done))
            tries.append(len(token_ids))
            return done, features

        alive, tries, prefill = [], [], generation.prefill
        sampler = TransformersSampler(
            tiny_models["gpt2"], max_new_tokens=4, device="cpu"
        )
        prompts = [f"a{i}" for i in range(16)]
        expected = sampler.sample(prompts, 3)
        monkeypatch.setattr(generation, "prefill", run)
        assert sampler.sample(prompts, 3) == expected
        assert "out of memory" in tries
        assert max(n for n in tries if n != "out of memory") <= 6

    def test_one_prompt_without_memory_is_an_error(self, tiny_models, monkeypatch):
        def run(*args, **options):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(generation, "prefill", run)
        sampler = TransformersSampler(
            tiny_models["gpt2"], max_new_tokens=4, device="cpu"
        )
        with pytest.raises(torch.cuda.OutOfMemoryError, match="out of memory"):
            sampler.sample(["ab", "c"], 2)

    def test_pickles_hold_no_weights(self, tiny_models):
        sampler = TransformersSampler(
            tiny_models["gpt2"], max_new_tokens=4, device="cpu"
        )
        answers = sampler.sample(["ab"], 3)
        restored = pickle.loads(pickle.dumps(sampler))
        assert len(pickle.dumps(sampler)) < 2_000
        assert restored.sample(["ab"], 3) == answers


class TestPositions:
    def test_answers_use_all_positions_and_no_more(self, tiny_models):
        # 48 positions: the last token of an answer is not run.
        sampler = TransformersSampler(
            tiny_models["gpt2"], temperature=1.0, max_new_tokens=100, device="cpu"
        )
        with pytest.warns(UserWarning, match=r"of 6 answers were cut off") as caught:
            _, usage = sampler.sample(["a" * 40, "b" * 48], 3, return_usage=True)
        assert len(caught) == 1
        assert max(usage.answers[0]) <= 9
        assert usage.answers[1].tolist() == [1, 1, 1]
        assert usage.cut_off[1].tolist() == [True, True, True]

    def test_long_prompts_lose_their_beginning(self, tiny_models):
        sampler = TransformersSampler(
            tiny_models["gpt2"], max_new_tokens=4, max_length=3, device="cpu"
        )
        with pytest.warns(UserWarning, match="2 of 3 queries have more tokens"):
            answers = sampler.sample(["xyzabc", "abc", "xyzabc"], 2)
        assert answers == sampler.sample(["abc"] * 3, 2)
