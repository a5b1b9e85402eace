"""What those are told who did not install Ray."""

import sys

import numpy as np
import pytest

from sklearn_adaalloc.distributed import collect_parts, predict_budgets


def test_the_error_says_what_to_install(monkeypatch, tmp_path):
    for name in [each for each in sys.modules if each.partition(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    message = r"ray is needed here and is not installed.*sklearn-adaalloc\[ray\]"
    with pytest.raises(ImportError, match=message):
        predict_budgets(None, np.zeros((2, 2)))
    with pytest.raises(ImportError, match=message):
        collect_parts(["query"], None, None, 1, folder=tmp_path / "parts")
    assert not (tmp_path / "parts").exists()
