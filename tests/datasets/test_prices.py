"""Prices of models from a file of LiteLLM's format."""

import json

import pytest

from sklearn_adaalloc.datasets import read_prices

ENTRIES = {
    "sample_spec": {"litellm_provider": "one of a list", "mode": "one of a list"},
    "lab/small": {
        "input_cost_per_token": 2e-7,
        "output_cost_per_token": 8e-7,
        "max_tokens": 8192,
        "mode": "chat",
    },
    "lab/large": {"input_cost_per_token": 0, "output_cost_per_token": 1e-5},
    "lab/images": {"input_cost_per_token": 1e-6, "output_cost_per_image": 0.04},
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(ENTRIES), encoding="utf-8")
    return path


def test_by_model_or_by_decoder(path):
    expected = {"lab/small": (2e-7, 8e-7), "lab/large": (0.0, 1e-5)}
    assert read_prices(path, ["lab/small", "lab/large"]) == expected
    named = read_prices(str(path), {"dear": "lab/large", "cheap": "lab/small"})
    assert list(named.items()) == [("dear", (0.0, 1e-5)), ("cheap", (2e-7, 8e-7))]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], r"models=\[\] is not accepted"),
        ("lab/small", r"models='lab/small' is not accepted"),
        (["lab/smal"], r"models has 'lab/smal', which .* Did you mean.*'lab/small'"),
        (["else"], r"does not list\. Expected one of its 4 names\.$"),
        (["lab/images"], r"for 'lab/images'\. Expected numbers .*yourself"),
        (["sample_spec"], r"for 'sample_spec'\. Expected numbers"),
    ],
)
def test_models(path, models, message):
    with pytest.raises(ValueError, match=message):
        read_prices(path, models)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model,price", r"is not JSON: "),
        (b"\xff\xfe\x00", r"is not JSON: "),
        (b"[1, 2]", r"holds \[1, 2\]\. Expected an object"),
        (b'{"m": 3}', r"has 3 for 'm'\. Expected numbers"),
        (
            b'{"m": {"input_cost_per_token": -1, "output_cost_per_token": 1}}',
            r"for 'm'\. Expected numbers of at least 0",
        ),
    ],
)
def test_files(tmp_path, content, message):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_prices(path, ["m"])


def test_a_file_that_does_not_exist(tmp_path):
    with pytest.raises(ValueError, match=r"path=.*none\.json' cannot be read"):
        read_prices(tmp_path / "none.json", ["m"])
