"""In which precision a CPU samples by default."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from sklearn_adaalloc import HiddenStateFeaturizer
from sklearn_adaalloc.language_models import _model
from sklearn_adaalloc.sampling import TransformersSampler

PROMPTS = ["ab", "cd+1"]


@pytest.fixture
def saved_as(tiny_models, tmp_path):
    """Function that saves a model in a precision; returns its folder."""

    def save(dtype):
        folder = tmp_path / dtype
        shutil.copytree(Path(tiny_models["llama"]), folder)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype)
        )
        model.save_pretrained(folder)
        return str(folder)

    return save


@pytest.fixture(params=[True, False], ids=["native", "not native"])
def native(request, monkeypatch):
    monkeypatch.setattr(_model, "cpu_multiplies_bfloat16", lambda: request.param)
    return request.param


def precision(model, **options):
    options = {"device": "cpu", "max_new_tokens": 3} | options
    return TransformersSampler(model, **options).settings["dtype"]


def test_bfloat16_where_it_is_native_and_the_weights_have_no_more(saved_as, native):
    assert precision(saved_as("bfloat16")) == ("bfloat16" if native else "float32")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_weights_that_have_more_keep_it(saved_as, native, dtype):
    assert precision(saved_as(dtype)) == "float32"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_what_is_asked_for_is_used(saved_as, native, dtype):
    assert precision(saved_as("bfloat16"), dtype=dtype) == dtype


@pytest.mark.parametrize("native", [True], indirect=True)
def test_features_and_answers_are_those_of_this_precision(saved_as, native):
    folder = saved_as("bfloat16")
    options = {"max_new_tokens": 5, "temperature": 1.0, "device": "cpu"}
    sampler = TransformersSampler(folder, **options)
    asked = TransformersSampler(folder, dtype="bfloat16", **options)
    assert sampler.sample(PROMPTS, 4) == asked.sample(PROMPTS, 4)
    assert sampler._load().model.dtype == torch.bfloat16
    featurizers = [
        HiddenStateFeaturizer(folder, device="cpu", dtype=dtype).fit(PROMPTS)
        for dtype in ("auto", "bfloat16")
    ]
    assert [each.settings["dtype"] for each in featurizers] == ["float32", "bfloat16"]
    shared = [sampler.shares_prefill_with(each) for each in featurizers]
    assert shared == [False, True]
    features = sampler.prefill(PROMPTS).features
    np.testing.assert_allclose(features, featurizers[1].transform(PROMPTS), rtol=1e-2)
