import warnings
from functools import lru_cache

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from sklearn.base import clone
from texts import random_texts
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Lfm2Config,
    MambaConfig,
    MistralConfig,
)

from sklearn_adaalloc.datasets import embedded_model_path, load_arithmetic
from sklearn_adaalloc.sampling import TransformersSampler


@lru_cache
def loaded(folder):
    """Model and tokenizer, by transformers alone."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def generated(folder, prompt, n_samples=1, **options):
    """Answers by transformers' own `generate`, one prompt at a time, as token ids."""
    model, tokenizer = loaded(folder)
    inputs = tokenizer(prompt, return_tensors="pt")
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")  # generate's own, about pad tokens
        torch.manual_seed(0)
        tokens = model.generate(
            **inputs, num_return_sequences=n_samples, pad_token_id=0, **options
        )
    return tokens[:, inputs["input_ids"].shape[1] :], tokenizer


def save_other_model(config, tokenizer_folder, folder):
    """Save a random model of a configuration, with the tokenizer of another."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)


class TestGreedy:
    def test_answers_are_those_of_generate(self, folder):
        prompts = random_texts(12)
        budgets = [0, 1, 5, 64] * 3
        sampler = TransformersSampler(
            folder, temperature=0, max_new_tokens=16, device="cpu"
        )
        answers = sampler.sample(prompts, budgets)
        assert [len(each) for each in answers] == budgets
        for prompt, row in zip(prompts, answers, strict=True):
            tokens, tokenizer = generated(
                folder, prompt, do_sample=False, max_new_tokens=16
            )
            expected = tokenizer.decode(tokens[0], skip_special_tokens=True)
            assert set(row) <= {expected}

    def test_on_the_embedded_model_answers_end_at_different_lengths(self):
        prompts = load_arithmetic("math").queries_test[:40]
        sampler = TransformersSampler(temperature=0, max_new_tokens=12, device="cpu")
        answers, usage = sampler.sample(prompts, 1, return_usage=True)
        assert len({int(each[0]) for each in usage.answers}) > 3
        for prompt, (answer,) in zip(prompts, answers, strict=True):
            tokens, tokenizer = generated(
                embedded_model_path("weak"), prompt, do_sample=False, max_new_tokens=12
            )
            assert answer == tokenizer.decode(tokens[0], skip_special_tokens=True)

    def test_with_a_sliding_window(self, tiny_models, tmp_path):
        config = MistralConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            sliding_window=6,
            initializer_range=0.1,
        )
        save_other_model(config, tiny_models["llama"], tmp_path)
        sampler = TransformersSampler(
            str(tmp_path), temperature=0, max_new_tokens=12, device="cpu"
        )
        prompts = ["ab", "sort 5302=", "the quick brown fox"]
        for prompt, row in zip(prompts, sampler.sample(prompts, 2), strict=True):
            tokens, tokenizer = generated(
                str(tmp_path), prompt, do_sample=False, max_new_tokens=12
            )
            assert row == [tokenizer.decode(tokens[0], skip_special_tokens=True)] * 2


class TestDistribution:
    @pytest.mark.parametrize("options", [{}, {"top_p": 0.8}, {"temperature": 1.3}])
    @pytest.mark.parametrize("prompt", ["317*5=", "lcm 84 9="])
    def test_equals_that_of_generate(self, prompt, options):
        n_samples = 2000
        options = {"temperature": 0.7, "max_new_tokens": 12} | options
        sampler = TransformersSampler(device="cpu", **options)
        ours = sampler.sample([prompt], [n_samples])[0]
        tokens, tokenizer = generated(
            embedded_model_path("weak"),
            prompt,
            n_samples,
            do_sample=True,
            top_k=0,
            **options,
        )
        theirs = tokenizer.batch_decode(tokens, skip_special_tokens=True)
        counts = contingency(ours, theirs)
        assert counts.shape[1] > 5
        # Two samples of one size: sum of (a - b)^2 / (a + b) is chi-square.
        statistic = (np.diff(counts, axis=0)[0] ** 2 / counts.sum(axis=0)).sum()
        assert chi2.sf(statistic, counts.shape[1] - 1) > 1e-3

    def test_samples_of_a_prompt_are_independent(self):
        # Of an answer with probability p, neighbours agree with chance sum of p^2.
        answers = np.array(TransformersSampler(device="cpu").sample(["27*38="], 4000))
        _, counts = np.unique(answers, return_counts=True)
        expected = np.square(counts / 4000).sum()
        agree = answers[0, ::2] == answers[0, 1::2]
        error = np.sqrt(expected * (1 - expected) / agree.size)
        assert abs(agree.mean() - expected) < 4 * error

    def test_another_seed_gives_other_samples(self):
        first, second = (
            TransformersSampler(random_state=seed, device="cpu").sample(["27*38="], 20)
            for seed in (0, 1)
        )
        assert first != second


def contingency(ours, theirs):
    """Counts (2, n_answers) of the common answers; the rare ones are one column."""
    answers, index = np.unique([*ours, *theirs], return_inverse=True)
    counts = np.stack(
        [
            np.bincount(part, minlength=len(answers))
            for part in np.split(index, [len(ours)])
        ]
    )
    rare = counts.sum(axis=0) < 20
    pooled = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])
    return pooled[:, pooled.any(axis=0)]


class TestSameAnswers:
    prompts = [*random_texts(10), "ab", "ab"]
    budgets = np.array([0, 1, 5, 12, 2, 0, 3, 1, 7, 2, 4, 2])

    @pytest.fixture
    def sampler(self, folder):
        return TransformersSampler(
            folder, temperature=1.0, top_p=0.9, max_new_tokens=12, device="cpu"
        )

    @pytest.fixture
    def answers(self, sampler):
        return sampler.sample(self.prompts, self.budgets)

    @pytest.mark.parametrize(
        "limits",
        [
            {"batch_tokens": 1},
            {"batch_tokens": 100},
            {"cache_tokens": 1},
            {"cache_tokens": 40, "batch_tokens": 200},
        ],
    )
    def test_whatever_the_batch(self, sampler, answers, limits):
        sampler.set_params(**limits)
        assert sampler.sample(self.prompts, self.budgets) == answers
        assert sampler.prefill(self.prompts).decode(self.budgets) == answers

    def test_whatever_the_order(self, sampler, answers):
        order = np.random.default_rng(0).permutation(len(self.prompts))
        shuffled = [self.prompts[row] for row in order]
        expected = [answers[row] for row in order]
        assert sampler.sample(shuffled, self.budgets[order]) == expected

    def test_in_rounds(self, sampler, answers):
        prefilled = sampler.prefill(self.prompts)
        first = self.budgets // 2
        rest = self.budgets - first
        early, late = (
            prefilled.decode(first),
            prefilled.decode(rest, first_sample=first),
        )
        assert [a + b for a, b in zip(early, late, strict=True)] == answers
        assert sampler.sample(self.prompts, rest, first_sample=first) == late

    def test_one_prompt_at_a_time(self, sampler, answers):
        for prompt, budget, expected in zip(
            self.prompts, self.budgets, answers, strict=True
        ):
            assert sampler.sample([prompt], [budget]) == [expected]

    def test_equal_prompts_get_equal_answers(self, answers):
        assert answers[-1] == answers[-2][:2]
        assert len(set(answers[3])) > 1

    def test_one_first_sample_for_all(self, sampler, answers):
        later = sampler.sample(self.prompts[2:5], 1, first_sample=1)
        assert later == [row[1:2] for row in answers[2:5]]

    def test_one_budget_for_all(self, sampler):
        answers = sampler.sample(["ab", "c"], 2)
        assert answers == sampler.sample(["ab", "c"], [2, 2])

    def test_settings_name_what_answers_depend_on(self, sampler):
        same = clone(sampler).set_params(batch_tokens=7, progress=True, layer=1)
        assert same.settings == sampler.settings
        for change in ({"random_state": 1}, {"stop": "a"}, {"dtype": "bfloat16"}):
            assert clone(sampler).set_params(**change).settings != sampler.settings


class TestStop:
    def test_answers_end_before_it(self):
        options = {"temperature": 1.0, "max_new_tokens": 12, "device": "cpu"}
        prompts = ["12345*678=", "271*388="]
        whole, usage = TransformersSampler(**options).sample(
            prompts, 30, return_usage=True
        )
        stopped, usage_stopped = TransformersSampler(
            stop=["7", "33"], **options
        ).sample(prompts, 30, return_usage=True)
        whole, stopped = np.ravel(whole), np.ravel(stopped)
        expected = [text.split("7")[0].split("33")[0] for text in whole]
        assert stopped.tolist() == expected
        assert (whole != stopped).any()
        # A stop string's own tokens are the last ones that are run.
        n_whole, n_stopped = (
            np.concatenate(each.answers) for each in (usage, usage_stopped)
        )
        cut = whole != stopped
        assert (n_stopped[~cut] == n_whole[~cut]).all()
        assert (n_stopped[cut] <= n_whole[cut]).all()
        extra = n_stopped[cut] - np.char.str_len(stopped[cut])
        assert set(extra.tolist()) == {1, 2}

    def test_several_end_tokens(self, tiny_models, tmp_path):
        folder = tiny_models["llama"]
        model = AutoModelForCausalLM.from_pretrained(folder)
        ends = [2, 20, 21, 22, 23, 24]
        model.generation_config.eos_token_id = ends
        model.save_pretrained(tmp_path)
        AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
        options = {"temperature": 1.0, "max_new_tokens": 20, "device": "cpu"}
        answers, usage = TransformersSampler(str(tmp_path), **options).sample(
            ["abc"], 50, return_usage=True
        )
        whole = TransformersSampler(folder, **options).sample(["abc"], 50)
        n_tokens = usage.answers[0]
        assert (n_tokens < 20).any()
        assert all(
            long.startswith(short)
            for short, long in zip(answers[0], whole[0], strict=True)
        )

    def test_the_tokenizers_end_token_where_the_model_names_none(
        self, tiny_models, tmp_path
    ):
        folder = tiny_models["llama"]
        model = AutoModelForCausalLM.from_pretrained(folder)
        model.config.eos_token_id = model.generation_config.eos_token_id = None
        model.save_pretrained(tmp_path)
        AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
        options = {"temperature": 2.0, "max_new_tokens": 40, "device": "cpu"}
        named = TransformersSampler(folder, **options)
        answers, usage = named.sample(["abc"], 20, return_usage=True)
        assert usage.answers[0].min() < 40  # some end
        assert TransformersSampler(str(tmp_path), **options).sample(["abc"], 20) == (
            answers
        )


class TestBadInput:
    @pytest.mark.parametrize(
        ("budgets", "message"),
        [
            ([1, -1], r"budgets has -1 in row 1\. Expected whole numbers"),
            ([1, 0.5], r"budgets has 0\.5 in row 1"),
            ([1], r"budgets has shape \(1,\) for 2 prompts"),
            ([[1, 1]], r"budgets has shape \(1, 2\) for 2 prompts"),
            (None, r"budgets has shape \(\) for 2 prompts"),
            (["1", "2"], "budgets could not be read as numbers"),
            ([np.nan, 1], "budgets has nan in row 0"),
            ([[1], [1, 2]], "budgets could not be read as numbers"),
            (10**30, r"budgets has 1e\+30 in row 0"),
        ],
    )
    def test_budgets(self, budgets, message):
        sampler = TransformersSampler(device="cpu")
        with pytest.raises(ValueError, match=message):
            sampler.sample(["2+3=", "4+5="], budgets)

    @pytest.mark.parametrize("first_sample", [[-1, 0], [0], 1.5, 2**40])
    def test_first_sample(self, first_sample):
        sampler = TransformersSampler(device="cpu")
        with pytest.raises(ValueError, match="first_sample has"):
            sampler.sample(["2+3=", "4+5="], 1, first_sample=first_sample)

    @pytest.mark.parametrize(
        ("prompts", "message"),
        [
            (np.zeros((2, 3)), r"X has shape \(2, 3\)"),
            ([1, 2], "query 0 is 1, neither a text nor a chat"),
            ("2+3=", "not a sequence of queries"),
            ([], "X is empty"),
            (["a\ud800"], "half a surrogate pair at character 1"),
        ],
    )
    def test_prompts(self, prompts, message):
        with pytest.raises(ValueError, match=message):
            TransformersSampler(device="cpu").sample(prompts, 1)

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"temperature": -1}, "temperature=-1 is not accepted"),
            ({"temperature": np.inf}, "temperature=inf is not accepted"),
            ({"top_p": 0}, "top_p=0 is not accepted"),
            ({"top_p": 1.1}, r"top_p=1\.1 is not accepted"),
            ({"max_new_tokens": 0}, "max_new_tokens=0 is not accepted"),
            ({"max_new_tokens": 2.5}, r"max_new_tokens=2\.5 is not accepted"),
            ({"batch_tokens": 0}, "batch_tokens=0 is not accepted"),
            ({"cache_tokens": 0}, "cache_tokens=0 is not accepted"),
            ({"stop": ""}, "stop='' is not accepted"),
            ({"stop": [1]}, r"stop=\[1\] is not accepted"),
            ({"random_state": None}, "random_state=None is not accepted"),
            ({"chat_template": 2}, "chat_template=2 is not accepted. Expected True"),
            ({"device": 10**30}, "device=.* is not a torch device of this machine"),
            ({"layer": 9}, "layer=9 is not accepted"),
            ({"pooling": "max"}, "pooling='max' is not accepted"),
            ({"dtype": "int8"}, "dtype='int8' is not accepted"),
            ({"model": "nobody/nothing"}, "model='nobody/nothing' could not be loaded"),
        ],
    )
    def test_parameters(self, parameters, message):
        sampler = TransformersSampler(**{"device": "cpu", **parameters})
        with pytest.raises(ValueError, match=message):
            sampler.sample(["2+3="], [1])

    @pytest.mark.parametrize("layers", ["mamba", "convolution"])
    def test_a_recurrent_model(self, tiny_models, tmp_path, layers):
        config = {
            "mamba": MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2),
            "convolution": Lfm2Config(
                vocab_size=64,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                layer_types=["conv", "full_attention"],
            ),
        }[layers]
        save_other_model(config, tiny_models["llama"], tmp_path)
        sampler = TransformersSampler(str(tmp_path), device="cpu")
        with pytest.raises(ValueError, match="keeps a recurrent state"):
            sampler.sample(["ab"], [1])

    def test_a_model_without_head(self, tiny_models):
        sampler = TransformersSampler(tiny_models["bert"], device="cpu")
        with pytest.raises(ValueError, match="is not a causal language model"):
            sampler.sample(["ab"], [1])


@pytest.mark.parametrize("temperature", [1e-309, 1e-31])
def test_the_coldest_is_the_most_likely(temperature):
    options = {"max_new_tokens": 8, "device": "cpu"}
    greedy = TransformersSampler(temperature=0, **options).sample(["7*8="], 2)
    cold = TransformersSampler(temperature=temperature, **options)
    assert cold.sample(["7*8="], 2) == greedy


def test_a_temperature_beyond_machine_integers():
    sampler = TransformersSampler(temperature=2**64, max_new_tokens=2, device="cpu")
    assert len(sampler.sample(["7*8="], 2)[0]) == 2


def test_no_budget_runs_nothing(tiny_models, tokens_run):
    sampler = TransformersSampler(tiny_models["gpt2"], device="cpu")
    assert sampler.sample(["ab", "c"], [0, 0]) == [[], []]
    assert tokens_run == []


def test_progress_is_shown_when_asked(tiny_models, capsys):
    for progress in (False, True):
        TransformersSampler(
            tiny_models["gpt2"], max_new_tokens=2, progress=progress, device="cpu"
        ).sample(["ab", "c"], [2, 1])
        assert ("3/3" in capsys.readouterr().err) == progress


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_cuda_agrees_with_the_cpu(folder):
    prompts = random_texts(20)
    on_cpu, on_cuda = (
        TransformersSampler(folder, max_new_tokens=8, device=device, dtype="float32")
        for device in ("cpu", "cuda")
    )
    assert on_cuda.sample(prompts, 3) == on_cpu.sample(prompts, 3)
