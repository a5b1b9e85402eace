"""The demonstration, on one of its tasks."""

import joblib
import pytest

from sklearn_adaalloc import __main__ as demonstration
from sklearn_adaalloc.datasets import load_arithmetic


@pytest.mark.slow
def test_demonstration_leaves_a_table_pictures_and_a_policy(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(demonstration, "BUDGETS", {"math": (2, 4)})
    monkeypatch.setattr(demonstration, "PICTURES", demonstration.PICTURES[:1])
    folder = tmp_path / "out"
    demonstration.main(["--output", str(folder)])
    printed = capsys.readouterr().out
    assert "math: expected success rate" in printed
    assert "Live: 12 queries" in printed
    assert "HiddenStateFeaturizer(" in printed
    assert [path.name for path in folder.glob("*.png")] == ["success_rates.png"]
    policy = joblib.load(folder / "policy.joblib")
    queries = load_arithmetic("math").queries_test
    assert policy.predict(queries).sum() <= policy[-1].budget * len(queries)
