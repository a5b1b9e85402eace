"""LoRA on the kept outcomes and the checks of a GPU, rehearsed without either."""

import csv
import json
import sys

import numpy as np
import pytest

from benchmarks.real_lm import cuda, lora
from benchmarks.real_lm.outcomes import load_lora, load_outcomes, save_lora
from sklearn_adaalloc.metrics import prediction_report

RATES = np.array([0.0, 0.5, 1.0])


class TestKeptPredictions:
    def test_they_are_of_the_graded_problems_in_their_order(self):
        kept = load_lora("0.5b")
        for name, hows in (
            ("gsm8k_train", ["out_of_fold"]),
            ("gsm8k_test", ["single", "average"]),
        ):
            outcomes = load_outcomes(name, "0.5b")
            assert kept[name].rows.tolist() == outcomes.rows.tolist()
            for how in hows:
                distribution = kept[name][how]
                assert distribution.shape == (len(outcomes.rows), len(kept.rates))
                np.testing.assert_allclose(distribution.sum(axis=1), 1)

    def test_they_explain_what_the_table_says(self):
        kept, outcomes = load_lora("0.5b"), load_outcomes("gsm8k_test", "0.5b")
        observed = np.nanmean(outcomes.table.rewards, axis=1)
        for how, share in (("single", 0.3157), ("average", 0.2997)):
            rates = kept.gsm8k_test[how] @ kept.rates
            report = prediction_report(observed, rates)
            assert report.share_explained == pytest.approx(share, abs=5e-4)

    def test_what_is_saved_is_loaded(self, tmp_path):
        weights = np.array([[0.25, 0.5, 0.25], [0.0, 0.0, 1.0]])
        kept = {"rates": RATES, "mbpp": ([4, 2], {"single": weights})}
        save_lora("0.5b", kept, folder=tmp_path)
        loaded = load_lora("0.5b", folder=tmp_path)
        assert loaded.mbpp.rows.tolist() == [4, 2]
        np.testing.assert_allclose(loaded.mbpp.single, weights)
        np.testing.assert_allclose(loaded.rates, RATES)


class TestLoRA:
    def test_folds_are_disjoint_and_of_one_size(self):
        folds = lora.fold_of(23, 5)
        assert np.bincount(folds).tolist() == [0, 5, 5, 5, 4, 4]
        assert lora.fold_of(23, 5).tolist() == folds.tolist()

    @pytest.fixture
    def folder(self, tmp_path):
        """Predictions of three trainings on six queries, without the model."""
        settings = dict.fromkeys(lora.SETTINGS, 0) | {
            "name": "0.5b",
            "train": "gsm8k_train",
            "test": "gsm8k_test",
            "limit": 6,
            "folds": 2,
        }
        folds = lora.fold_of(6, 2)
        for part in range(3):
            weights = np.zeros((6, 3))
            weights[:, part] = 1
            held_out = np.arange(6)[folds == part, None] * np.ones(3)
            arrays = {"rates": RATES, "test": weights, "held_out": held_out}
            np.savez(tmp_path / f"part-{part}.npz", **arrays)
        (tmp_path / "settings.json").write_text(json.dumps(settings))
        return tmp_path

    def test_each_query_is_predicted_by_the_training_without_it(
        self, folder, real_data
    ):
        kept, reports = lora.gather(folder, real_data)
        rows, predictions = kept["gsm8k_train"]
        assert rows.tolist() == load_outcomes("gsm8k_train", "0.5b").rows[:6].tolist()
        assert predictions["out_of_fold"][:, 0].tolist() == list(range(6))
        _, predictions = kept["gsm8k_test"]
        assert predictions["single"].tolist() == [[1, 0, 0]] * 6
        assert predictions["average"].tolist() == [[0, 0.5, 0.5]] * 6
        assert [row["prediction"] for row in reports] == [
            "out_of_fold",
            "single",
            "average",
        ]

    def test_nothing_is_averaged_while_a_fold_is_missing(self, folder, real_data):
        (folder / "part-2.npz").unlink()
        kept, reports = lora.gather(folder, real_data)
        assert kept["gsm8k_train"][1] == {}
        assert [row["prediction"] for row in reports] == ["single"]


class TestCuda:
    def run(self, monkeypatch, folder, *parts):
        arguments = ["cuda", "--device", "cpu", "--n", "8", "--output", str(folder)]
        monkeypatch.setattr(sys, "argv", [*arguments, "--parts", *parts])
        cuda.main()

    def read(self, folder):
        (file,) = folder.iterdir()
        with open(file, newline="") as lines:
            return list(csv.DictReader(lines))

    def test_a_rehearsal_on_the_cpu(self, monkeypatch, tmp_path):
        self.run(monkeypatch, tmp_path, "reward", "memory")
        rows = self.read(tmp_path)
        assert {row["part"] for row in rows} == {"reward", "memory"}
        float32 = next(row for row in rows if "float32, against" in row["what"])
        assert float(float32["value"]) == 0  # with itself
        assert rows[-1]["what"] == "not run"  # and this is said

    def test_a_part_that_fails_is_reported_and_the_others_run(
        self, monkeypatch, tmp_path
    ):
        def broken(model, device, options):
            raise RuntimeError("no such kernel")
            yield

        self.run(monkeypatch, tmp_path, "memory")
        monkeypatch.setitem(cuda.PARTS, "features", broken)
        with pytest.raises(SystemExit, match="some parts failed"):
            self.run(monkeypatch, tmp_path, "features", "reward")
        rows = self.read(tmp_path)
        assert {row["part"] for row in rows} == {"memory", "features", "reward"}
        (failed,) = (row for row in rows if row["part"] == "features")
        assert failed["what"] == "FAILED"
        assert "no such kernel" in failed["value"]

    def test_features_that_are_not_numbers_are_a_failure(self):
        bad = np.array([[1.0, np.nan]])
        with pytest.raises(FloatingPointError, match="features are"):
            cuda.distance(bad, np.ones((1, 2)))
