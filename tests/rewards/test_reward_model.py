"""RewardModel: equal to transformers called on one pair after the other."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hub_cache import look_ups
from sklearn.base import clone
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from sklearn_adaalloc.datasets import embedded_model_path
from sklearn_adaalloc.language_models import load_language_model
from sklearn_adaalloc.rewards import RewardModel

QUERIES = ["27+48=", "gcd 84 30=", "sort 5302="]
ANSWERS = [["75", "7", "75"], ["a much longer answer", "6", ""], ["0235"]]
CHAT = [{"role": "user", "content": "27+48="}]


def save_classifier(source, folder, **settings):
    """Save a random sequence classifier of a tiny model's shape, and its tokenizer."""
    config = AutoConfig.from_pretrained(source, **{"num_labels": 1} | settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def classifier(tiny_model, tmp_path):
    """Folder of a random classifier, one family after the other."""
    return save_classifier(tiny_model, tmp_path)


@pytest.fixture
def make_classifier(tiny_models, tmp_path):
    """Function that saves a classifier of a family with other settings."""
    return lambda name, **settings: save_classifier(
        tiny_models[name], tmp_path, **settings
    )


def one_by_one(folder, texts):
    """Scores by transformers of texts, or pairs of texts, each alone."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).float().eval()
    with torch.inference_mode():
        return [
            model(**tokenizer(*t, return_tensors="pt")).logits.item() for t in texts
        ]


def pairs(queries, answers):
    return [([q], [a]) for q, row in zip(queries, answers, strict=True) for a in row]


# Equal to transformers


def test_scores_equal_those_of_each_pair_alone(classifier):
    reward = RewardModel(classifier, device="cpu", chat_template=False)
    scores = np.concatenate(reward(QUERIES, ANSWERS))
    expected = one_by_one(classifier, pairs(QUERIES, ANSWERS))
    assert len(set(expected)) > 4  # the model tells answers apart
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("pad", [None, 0, 2, 12])
def test_neither_tokenizer_nor_batch_decides_which_token_is_read(make_classifier, pad):
    # 0 pads in the tokenizer too; 2 ends a sequence; 12 is the letter that many end in.
    folder = make_classifier("llama", pad_token_id=pad)
    answers = [["i", "ii", "iii", "a", "ai", "<eos>", "i" * 20]]
    reward = RewardModel(folder, device="cpu", chat_template=False)
    scores = reward(["27+48="], answers)[0]
    expected = one_by_one(folder, pairs(["27+48="], answers))
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_cross_encoder_is_told_which_tokens_are_the_answers(make_classifier):
    folder = make_classifier("bert")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A <eos>",
        pair="<bos> $A <eos> $B:1 <eos>:1",
        special_tokens=[("<bos>", 1), ("<eos>", 2)],
    )
    tokenizer.save_pretrained(folder)
    path = Path(folder) / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    path.write_text(json.dumps(settings))
    assert 1 in AutoTokenizer.from_pretrained(folder)("a", "b")["token_type_ids"]
    reward = RewardModel(folder, device="cpu", chat_template=False)
    scores = np.concatenate(reward(QUERIES, ANSWERS))
    expected = one_by_one(folder, pairs(QUERIES, ANSWERS))
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 30, 100_000])
def test_scores_do_not_depend_on_the_batch(classifier, batch_tokens):
    reward = RewardModel(classifier, device="cpu", chat_template=False)
    expected = np.concatenate(reward(QUERIES, ANSWERS))
    scores = reward.set_params(batch_tokens=batch_tokens)(QUERIES, ANSWERS)
    np.testing.assert_allclose(np.concatenate(scores), expected, atol=1e-5)


def test_the_configuration_is_left_as_it_was(make_classifier):
    folder = make_classifier("gpt2", pad_token_id=None)
    RewardModel(folder, device="cpu")(QUERIES, ANSWERS)
    shared = load_language_model(folder, device="cpu", classifier=True)
    assert shared.model.config.pad_token_id is None


@pytest.mark.parametrize("chat_template", ["auto", True, False])
def test_the_embedded_model_scores_as_in_training(chat_template):
    folder = embedded_model_path("reward")
    reward = RewardModel(folder, device="cpu", chat_template=chat_template)
    answers = [["75", "912", "7"], ["6", "7"], ["0235", "5302"]]
    scores = np.concatenate(reward(QUERIES, answers))
    expected = one_by_one(folder, pairs(QUERIES, answers))
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_chats_go_through_the_template(make_classifier):
    folder = make_classifier("qwen2")
    system = {"role": "system", "content": "add"}
    reward = RewardModel(folder, device="cpu")
    scores = reward([[system, *CHAT], "27+48="], [["75"], ["75"]])
    texts = ["<bos>(add)(27+48=)(75)", "<bos>(27+48=)(75)"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = [tokenizer(t.removeprefix("<bos>"))["input_ids"] for t in texts]
    with torch.inference_mode():
        expected = [model(torch.tensor([[1, *i]])).logits.item() for i in ids]
    np.testing.assert_allclose(np.concatenate(scores), expected, atol=1e-5)


def test_long_pairs_lose_their_first_tokens_with_one_warning(make_classifier):
    folder = make_classifier("gpt2")
    reward = RewardModel(folder, device="cpu", max_length=6, chat_template=False)
    with pytest.warns(UserWarning, match="1 of 2 queries have more tokens") as caught:
        long, short = reward(["abcdefgh", "efgh"], [["xy"], ["xy"]])
    assert len(caught) == 1
    np.testing.assert_allclose(long, short, atol=1e-6)


# Work


def test_each_distinct_pair_is_scored_once(make_classifier):
    folder, sizes = make_classifier("llama"), []
    shared = load_language_model(folder, device="cpu", classifier=True)
    hook = shared.model.register_forward_pre_hook(
        lambda model, args, options: sizes.append(len(options["input_ids"])),
        with_kwargs=True,
    )
    reward = RewardModel(folder, device="cpu")
    scores = reward(["a", "b", "a"], [["1", "1", "2"], ["1"], ["2", "1"]])
    hook.remove()
    assert sum(sizes) == 3
    assert scores[0][0] == scores[0][1] == scores[2][1]
    assert scores[0][2] == scores[2][0]


def test_one_array_per_query_empty_where_there_is_no_answer(make_classifier):
    reward = RewardModel(make_classifier("llama"), device="cpu")
    scores = reward(QUERIES, [[], ["1", "2"], []])
    assert [score.shape for score in scores] == [(0,), (2,), (0,)]
    assert {score.dtype for score in scores} == {np.dtype("float64")}


def test_the_model_is_loaded_once_and_is_no_part_of_a_pickle(make_classifier):
    folder = make_classifier("llama")
    reward = RewardModel(folder, device="cpu")
    expected = reward(["a"], [["1"]])[0]
    pickled = pickle.dumps(reward)
    assert len(pickled) < 1000
    with look_ups() as found:
        assert pickle.loads(pickled)(["a"], [["1"]])[0] == expected
        assert clone(reward)(["a"], [["1"]])[0] == expected
    assert found == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_scores_are_those_of_bfloat16():
    folder = embedded_model_path("reward")
    exact = np.concatenate(RewardModel(folder, device="cpu")(QUERIES, ANSWERS))
    scores = np.concatenate(RewardModel(folder)(QUERIES, ANSWERS))
    np.testing.assert_allclose(scores, exact, atol=0.1)
    assert RewardModel(folder).settings["dtype"] == "bfloat16"


# Settings and errors


def test_settings_hold_what_a_score_depends_on(make_classifier):
    folder = make_classifier("llama")
    settings = RewardModel(folder, device="cpu", batch_tokens=7).settings
    assert json.loads(json.dumps(settings)) == settings
    assert settings.keys() == {
        "reward",
        "model",
        "chat_template",
        "max_length",
        "dtype",
    }
    other = Path(folder) / "other"
    shutil.copytree(folder, other)
    (other / "tokenizer_config.json").write_text("{}")
    assert RewardModel(str(other), device="cpu").settings != settings


@pytest.mark.parametrize(
    "parameters", [{"chat_template": False}, {"max_length": 20}, {"dtype": "bfloat16"}]
)
def test_each_parameter_that_moves_scores_is_in_the_settings(
    make_classifier, parameters
):
    folder = make_classifier("llama")
    settings = RewardModel(folder, device="cpu").settings
    assert RewardModel(folder, device="cpu", **parameters).settings != settings


def test_what_changes_in_the_folder_changes_the_settings(make_classifier):
    folder = Path(make_classifier("llama"))
    known = [RewardModel(folder, device="cpu").settings]
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    known.append(RewardModel(folder, device="cpu").settings)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    known.append(RewardModel(folder, device="cpu").settings)
    assert len({json.dumps(settings) for settings in known}) == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"chat_template": "yes"}, "chat_template='yes' is not accepted"),
        ({"chat_template": True}, "has no chat template, so it takes neither"),
        ({"batch_tokens": 0}, "batch_tokens=0 is not accepted"),
        ({"max_length": 0}, "max_length=0 is not accepted"),
        ({"max_length": 99}, "max_length=99 is above the 48 positions"),
        ({"dtype": "int8"}, "dtype='int8' is not accepted"),
        ({"model": "no/such-model"}, "model='no/such-model' could not be loaded"),
    ],
)
def test_bad_parameters_are_named(make_classifier, parameters, message):
    parameters = {"model": make_classifier("llama"), "device": "cpu", **parameters}
    with pytest.raises(ValueError, match=message):
        RewardModel(**parameters)(["a"], [["1"]])


def test_chats_need_a_template(make_classifier):
    reward = RewardModel(make_classifier("llama"), device="cpu")
    with pytest.raises(ValueError, match="has no chat template"):
        reward([CHAT], [["75"]])


def test_a_classifier_of_two_classes_is_refused(make_classifier):
    reward = RewardModel(make_classifier("llama", num_labels=2), device="cpu")
    with pytest.raises(ValueError, match="has 2 outputs"):
        reward(["a"], [["1"]])


def test_a_language_model_without_score_is_refused(tiny_models, tmp_path):
    shutil.copytree(tiny_models["llama"], tmp_path / "lm")
    config = json.loads((tmp_path / "lm" / "config.json").read_text())
    labels = {"id2label": {"0": "a"}, "label2id": {"a": 0}}
    (tmp_path / "lm" / "config.json").write_text(json.dumps(config | labels))
    reward = RewardModel(str(tmp_path / "lm"), device="cpu")
    with pytest.raises(ValueError, match=r"lacks weights, among them score\.weight"):
        reward(["a"], [["1"]])


@pytest.mark.parametrize(
    ("queries", "answers", "message"),
    [
        (["a"], [["1"], ["2"]], "inconsistent lengths: 1 and 2"),
        (["a"], ["1"], "the answers to query 'a' are '1'"),
        (["a"], [[1.0]], "an answer to query 'a' is 1.0"),
        ([1], [["1"]], "query 0 is 1, neither a text nor a chat"),
        ("a", [["1"]], "X='a' is not a sequence of queries"),
    ],
)
def test_bad_input_is_named(queries, answers, message):
    with pytest.raises(ValueError, match=message):
        RewardModel("embedded")(queries, answers)
