import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.sampling import TransformersSampler, ValueAugmentedSampler

CAUSAL = ("llama", "gpt2", "qwen2")
PROMPTS = ["ab", "c", "12+34=", "sort 5302="]


@pytest.fixture(params=CAUSAL)
def family(request, tiny_models, tmp_path_factory):
    """Folders of a tiny language model and of a value model on it."""
    folder = tiny_models[request.param]
    values = tmp_path_factory.mktemp("values")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=1, pad_token_id=0
        )
        model.score.weight.data.normal_(std=2.0)
    model.save_pretrained(values)
    AutoTokenizer.from_pretrained(folder).save_pretrained(values)
    return folder, str(values)


def whole_passes(folder):
    """Values by unbatched passes over whole sequences, by transformers alone."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    @torch.inference_mode()
    def values(token_ids):
        return [
            model.score(model.base_model(torch.tensor([ids])).last_hidden_state)[
                0, -1, 0
            ].item()
            for ids in token_ids
        ]

    return values


class TestValues:
    @pytest.mark.parametrize("beta", [2.0, -1.0])
    def test_the_value_models_cache_equals_passes_over_whole_sequences(
        self, family, beta
    ):
        folder, values = family
        options = {"top_k": 4, "beta": beta, "max_new_tokens": 6, "device": "cpu"}
        cached = ValueAugmentedSampler(folder, values, **options)
        plain = ValueAugmentedSampler(folder, whole_passes(values), **options)
        answers = cached.sample(PROMPTS, [1, 3, 2, 0])
        assert answers == plain.sample(PROMPTS, [1, 3, 2, 0])
        ordinary = TransformersSampler(folder, max_new_tokens=6, device="cpu")
        assert answers != ordinary.sample(PROMPTS, [1, 3, 2, 0])

    def test_each_candidate_is_valued_once(self, tiny_models):
        asked = []

        def values(token_ids):
            asked.extend(map(tuple, token_ids))
            return np.zeros(len(token_ids))

        sampler = ValueAugmentedSampler(
            tiny_models["gpt2"], values, top_k=3, max_new_tokens=4, device="cpu"
        )
        _, usage = sampler.sample(["ab", "c"], [1, 1], return_usage=True)
        assert len(asked) == len(set(asked)) == 3 * sum(map(sum, usage.answers))

    @pytest.mark.parametrize(("limit", "expected"), [(2, True), (3, False)])
    def test_usage_says_which_answers_were_cut_off(self, limit, expected):
        sampler = ValueAugmentedSampler(
            "embedded",
            lambda token_ids: np.zeros(len(token_ids)),
            temperature=0,
            max_new_tokens=limit,
            device="cpu",
        )
        _, usage = sampler.sample(["max 3 41 7="], 2, return_usage=True)
        assert usage.answers[0].tolist() == [limit, limit]
        assert usage.answers[0].dtype == usage.prompt.dtype == np.dtype("float64")
        assert usage.cut_off[0].tolist() == [expected, expected]


class TestChoice:
    def test_weight_zero_is_ordinary_sampling(self, family):
        # With all tokens as candidates; but for ties of rounding they are in one order.
        folder, values = family
        options = {"max_new_tokens": 8, "temperature": 1.0, "device": "cpu"}
        ordinary = TransformersSampler(folder, **options)
        augmented = ValueAugmentedSampler(
            folder, values, beta=0, top_k=10_000, **options
        )
        assert augmented.sample(PROMPTS, 5) == ordinary.sample(PROMPTS, 5)

    def test_one_candidate_is_greedy(self, family):
        folder, values = family
        greedy = TransformersSampler(
            folder, temperature=0, max_new_tokens=8, device="cpu"
        )
        augmented = ValueAugmentedSampler(
            folder, values, beta=5.0, top_k=1, max_new_tokens=8, device="cpu"
        )
        assert augmented.sample(PROMPTS, 2) == greedy.sample(PROMPTS, 2)

    def test_first_tokens_follow_the_tilted_distribution(self):
        # p(token) is proportional to p_LM(token) exp(beta value(token)).
        def values(token_ids):
            return [float(ids[-1] % 2) for ids in token_ids]

        options = {"max_new_tokens": 1, "temperature": 1.0, "device": "cpu"}
        n_samples = 4000
        tokens = {}
        for beta in (0.0, 1.0):
            sampler = ValueAugmentedSampler(
                "embedded", values, beta=beta, top_k=49, **options
            )
            answers = sampler.sample(["317*5="], n_samples)[0]
            vocabulary = sampler._load().tokenizer.get_vocab()
            odd = [vocabulary.get(answer, 2) % 2 for answer in answers]
            tokens[beta] = np.mean(odd)
        odds = {beta: rate / (1 - rate) for beta, rate in tokens.items()}
        error = np.sqrt(
            sum(1 / (rate * (1 - rate) * n_samples) for rate in tokens.values())
        )
        assert abs(np.log(odds[1.0] / odds[0.0]) - 1.0) < 4 * error

    def test_a_large_weight_does_what_the_value_says(self, tiny_models):
        # Token 10 is worth most, so it is taken wherever it is a candidate.
        sampler = ValueAugmentedSampler(
            tiny_models["llama"],
            lambda token_ids: [100.0 * (ids[-1] == 10) for ids in token_ids],
            top_k=10_000,
            max_new_tokens=5,
            device="cpu",
        )
        (answers,) = sampler.sample(["ab"], 3)
        tokenizer = AutoTokenizer.from_pretrained(tiny_models["llama"])
        assert answers == [tokenizer.decode([10] * 5)] * 3


class TestSameAnswers:
    def test_whatever_the_batch_and_the_round(self, family):
        folder, values = family
        sampler = ValueAugmentedSampler(
            folder, values, top_k=5, max_new_tokens=8, temperature=1.0, device="cpu"
        )
        answers = sampler.sample(PROMPTS, [4, 1, 6, 2])
        for limits in ({"batch_tokens": 1}, {"batch_tokens": 60}, {"cache_tokens": 5}):
            assert (
                clone(sampler).set_params(**limits).sample(PROMPTS, [4, 1, 6, 2])
                == answers
            )
        assert sampler.sample(PROMPTS[2:], [3, 1], first_sample=[3, 1]) == [
            answers[2][3:],
            answers[3][1:],
        ]

    def test_with_a_function_whose_answers_end_at_different_lengths(self):
        def values(token_ids):
            return [-0.3 * len(ids) for ids in token_ids]

        sampler = ValueAugmentedSampler("embedded", values, device="cpu")
        prompts, budgets = ["digits 123=", "max 3 41 7=", "sort 5302="], [4, 2, 3]
        answers = sampler.sample(prompts, budgets)
        assert len({len(answer) for row in answers for answer in row}) > 1
        assert answers == [
            sampler.sample([prompt], [budget])[0]
            for prompt, budget in zip(prompts, budgets, strict=True)
        ]

    def test_settings_name_what_answers_depend_on(self, family):
        folder, values = family
        sampler = ValueAugmentedSampler(folder, values, device="cpu")
        assert sampler.settings["sampler"] == "ValueAugmentedSampler"
        for change in ({"beta": 2.0}, {"top_k": 3}, {"value_model": near(3)}):
            assert clone(sampler).set_params(**change).settings != sampler.settings


def near(target, weight=1.0):
    return lambda token_ids: [-weight * abs(len(ids) - target) for ids in token_ids]


class Near:
    def __init__(self, target):
        self.target = target

    def __call__(self, token_ids):
        return [-abs(len(ids) - self.target) for ids in token_ids]


def named(settings):
    function = near(3)
    function.settings = settings
    return function


class TestSettings:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (near(3), near(4)),
            (near(3), near(3, weight=2.0)),
            (near(3), lambda token_ids: [0.0] * len(token_ids)),
            (Near(3), Near(4)),
            (partial(near(3), token_ids=[]), partial(near(3), token_ids=[[1]])),
            (near(np.arange(3)), near(np.arange(3) + 1)),
            (named({"version": 1}), named({"version": 2})),
            (Near(3).__call__, Near(4).__call__),
        ],
    )
    def test_two_functions_have_different_settings(self, one, other):
        settings = [
            ValueAugmentedSampler(value_model=values, device="cpu").settings
            for values in (one, other)
        ]
        assert settings[0] != settings[1]
        json.dumps(settings)  # as the reward store keeps them

    @pytest.mark.parametrize("make", [lambda: near(3), lambda: Near(3)])
    def test_equal_functions_have_equal_settings(self, make):
        one, other = (ValueAugmentedSampler(value_model=make()) for _ in range(2))
        assert one.settings == other.settings == clone(one).settings

    def test_weights_in_another_folder_are_the_same(self, family, tmp_path):
        folder, values = family
        moved = shutil.copytree(values, tmp_path / "moved")
        one, other = (ValueAugmentedSampler(folder, each) for each in (values, moved))
        assert one.settings == other.settings

    def test_what_cannot_be_told_apart_is_refused(self):
        lines = iter([])
        sampler = ValueAugmentedSampler(
            value_model=lambda token_ids: [next(lines) for _ in token_ids]
        )
        with pytest.raises(
            ValueError, match=r"cannot be identified .* attribute settings"
        ):
            sampler.settings  # noqa: B018
        sampler.value_model.settings = {"lines": "a"}
        assert sampler.settings["value_model"] == {"lines": "a"}


def test_cost_counts_parameters_per_token(family):
    folder, values = family
    sampler = ValueAugmentedSampler(folder, values, top_k=10, device="cpu")
    # Of one shape, but for the heads: about eleven times.
    assert 10 < sampler.cost < 12
    sampler.set_params(value_model=len, top_k=4)
    assert sampler.cost == 5.0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"top_k": 0}, "top_k=0 is not accepted"),
        ({"beta": np.nan}, "beta=nan is not accepted"),
        ({"value_model": None}, "value_model=None is not accepted"),
        ({"value_model": "nobody/nothing"}, "model='nobody/nothing' could not be"),
        ({"value_model": embedded_model_path("weak")}, "the checkpoint lacks weights"),
        ({"temperature": -1}, "temperature=-1 is not accepted"),
        ({"value_model": lambda token_ids: [0.0]}, r"values of shape \(1,\) for 10"),
        (
            {"value_model": lambda token_ids: [np.nan] * len(token_ids)},
            "that are not finite",
        ),
    ],
)
def test_bad_parameters(parameters, message):
    options = {"value_model": embedded_model_path("reward"), "device": "cpu"}
    sampler = ValueAugmentedSampler("embedded", **(options | parameters))
    with pytest.raises(ValueError, match=message):
        sampler.sample(["2+3="], [1])


@pytest.mark.parametrize(("family_name", "n_outputs"), [("llama", 2), ("bert", 1)])
def test_other_classifiers(tiny_models, tmp_path, family_name, n_outputs):
    folder = tiny_models[family_name]
    AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=n_outputs
    ).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    sampler = ValueAugmentedSampler(tiny_models["llama"], tmp_path, device="cpu")
    with pytest.raises(ValueError, match=f"with {n_outputs} outputs"):
        sampler.sample(["ab"], [1])


def test_other_tokens(tiny_models):
    sampler = ValueAugmentedSampler(
        tiny_models["llama"], embedded_model_path("reward"), device="cpu"
    )
    with pytest.raises(ValueError, match="has other tokens than model="):
        sampler.sample(["ab"], [1])


@pytest.mark.parametrize("values", ["1 0", None, [[1], [1, 2]], [np.inf] * 3, 1e31])
def test_a_function_that_gives_no_values(values):
    sampler = ValueAugmentedSampler(
        value_model=lambda token_ids: values, top_k=3, max_new_tokens=2, device="cpu"
    )
    with pytest.raises(ValueError, match=r"value_model returned.*one finite number"):
        sampler.sample(["7*8="], 1)
