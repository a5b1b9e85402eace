"""The demonstration, on one of its tasks."""

import runpy
import sys

import joblib
import pytest

from sklearn_adaalloc.command_line import _demonstration, main
from sklearn_adaalloc.datasets import load_arithmetic


@pytest.mark.slow
def test_demonstration_leaves_a_table_pictures_and_a_policy(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(_demonstration, "BUDGETS", {"math": (2, 4)})
    monkeypatch.setattr(_demonstration, "PICTURES", _demonstration.PICTURES[:1])
    folder = tmp_path / "out"
    assert main(["demo", "--output", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "math: expected success rate" in printed
    assert "Live: 12 queries" in printed
    assert "HiddenStateFeaturizer(" in printed
    assert [path.name for path in folder.glob("*.png")] == ["success_rates.png"]
    policy = joblib.load(folder / "policy.joblib")
    queries = load_arithmetic("math").queries_test
    assert policy.predict(queries).sum() <= policy[-1].budget * len(queries)


def test_without_matplotlib_it_says_so_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["demo", "--output", str(tmp_path / "out")]) == 1
    assert "sklearn-adaalloc[plot]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["demo"]),
        (["--output", "out"], ["demo", "--output", "out"]),
        (["--seed=3"], ["demo", "--seed=3"]),
        (["--help"], ["--help"]),
        (["report", "a.jsonl"], ["report", "a.jsonl"]),
    ],
)
def test_python_m_without_a_command_is_the_demonstration(words, expected, monkeypatch):
    asked = []
    monkeypatch.setattr("sklearn_adaalloc.command_line.main", asked.append)
    monkeypatch.setattr(sys, "argv", ["adaalloc", *words])
    with pytest.raises(SystemExit):
        runpy.run_module("sklearn_adaalloc.__main__", run_name="__main__")
    assert asked == [expected]
