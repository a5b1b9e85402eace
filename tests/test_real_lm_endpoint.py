"""The questions to a real endpoint, rehearsed with the embedded model."""

from pathlib import Path

import pytest
from tiny_gguf import write_gguf

from benchmarks.real_lm import endpoint, problems
from benchmarks.real_lm.outcomes import load_outcomes
from benchmarks.report import write_csv
from sklearn_adaalloc.datasets import embedded_model_path


def easy(name, problem):
    """What the embedded model is asked in place of a word problem."""
    result = int(problem["answer"].rpartition("####")[2].replace(",", ""))
    return [{"role": "user", "content": f"max 1 {result} 0="}]


@pytest.mark.slow
def test_llama_cpp_is_asked_through_the_endpoint(real_data, tmp_path, monkeypatch):
    for module in ("openai", "xllamacpp", "gguf", "math_verify"):
        pytest.importorskip(module)
    monkeypatch.setattr(endpoint, "N_ORDERS", 5)
    for module in (endpoint, problems):  # it knows few letters
        monkeypatch.setattr(module, "chat", easy)
    write_gguf(Path(embedded_model_path()), tmp_path / "model.gguf")
    words = [str(tmp_path / "model.gguf"), "--server", "llama.cpp", "--sets", "gsm8k"]
    words += ["--problems", "2", "--output", str(tmp_path), "--data", str(real_data)]
    [row] = endpoint.main(words)
    assert (row["problems"], row["answered"], row["errors"]) == (2, 2, "")
    assert row["misjudged"] == row["improper"] == row["cut_off"] == 0
    assert row["right"] > 0  # by the seeds of the samples
    assert 1 <= row["samples"] <= 16
    assert 2 <= row["tokens_per_sample"] <= 5  # digits, and one that ends them
    assert (tmp_path / "endpoint.csv").exists()


def test_rows_of_other_servers_and_sets_stay(tmp_path):
    kept = [
        {"server": "llama.cpp", "set": "mbpp", "right": "1"},
        {"server": "transformers", "set": "gsm8k", "right": "2"},
    ]
    row = {"server": "llama.cpp", "set": "gsm8k", "right": "3"}
    path = tmp_path / "endpoint.csv"
    assert endpoint.other_rows(path, [row]) == []
    write_csv([*kept, row], path)
    assert endpoint.other_rows(path, [row]) == kept


def test_problems_that_are_asked_were_not_learnt_from(real_data):
    (part, learnt, _), (asked_part, asked, table) = endpoint.split("mbpp", real_data, 9)
    assert part == asked_part == "mbpp"
    assert not set(learnt) & set(asked)
    kept = load_outcomes("mbpp", "0.5b")
    rows = [list(kept.rows).index(row) for row in asked]
    assert (table.rewards == kept.table.rewards[rows]).all()
    (part, *_), (asked_part, *_) = endpoint.split("gsm8k", real_data, 1)
    assert (part, asked_part) == ("gsm8k_train", "gsm8k_test")
