import io
import pickle
import shutil

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc import AdaptiveAllocator, LoRARewardRegressor
from sklearn_adaalloc.features import HiddenStateFeaturizer
from sklearn_adaalloc.language_models import load_language_model

RNG = np.random.default_rng(0)
# A text's last letter says how hard it is: of ten samples, all right or none.
TEXTS = ["".join(RNG.choice(list("cdefg"), 5)) + "ab"[i % 2] for i in range(80)]
SOLVED = np.array([text[-1] == "a" for text in TEXTS], dtype=float)
BINARY = np.repeat(SOLVED[:, None], 10, axis=1)
TABLES = {
    "rate_distribution": BINARY,
    "success_rate": 0.1 + 0.8 * SOLVED,
    "marginal_rewards": BINARY * RNG.uniform(2, 3, BINARY.shape),
    "preference": np.stack([BINARY, 1 - BINARY], axis=1),
}


@pytest.fixture
def make_regressor(tiny_models):
    def make(name="llama", **parameters):
        defaults = {
            "model": tiny_models[name],
            "learning_rate": 0.01,
            "batch_size": 8,
            "max_epochs": 4,
            "random_state": 0,
            "device": "cpu",
        }
        return LoRARewardRegressor(**{**defaults, **parameters})

    return make


@pytest.fixture
def quick(make_regressor):
    """One epoch on a few texts: for what does not depend on how well it learns."""
    return make_regressor(max_epochs=1).fit(TEXTS[:16], BINARY[:16])


class TestFit:
    @pytest.mark.parametrize("target", list(TABLES))
    def test_every_target_is_learnt(self, make_regressor, target):
        regressor = make_regressor(target=target).fit(TEXTS, TABLES[target])
        assert regressor.score(TEXTS, TABLES[target]) > 0.8
        assert regressor.target_ == target
        steps = 1 if target == "preference" else 6
        marginals = regressor.predict_marginals(TEXTS, max_budget=steps)
        assert marginals.shape == (80, steps)
        assert (np.diff(marginals, axis=1) <= 1e-12).all()

    def test_rewards_of_several_decoders_are_normal(self, make_regressor):
        rewards = SOLVED[:, None, None] + RNG.normal(0, 0.1, size=(80, 3, 2))
        regressor = make_regressor().fit(TEXTS, rewards)
        assert regressor.target_ == "normal_rewards"
        assert regressor.score(TEXTS, rewards) > 0.8
        # One of five parts of the queries is held out, and predicted as well.
        assert 0 < np.linalg.eigvalsh(regressor.covariance_).max() < 0.1
        assert regressor.predict_marginals(TEXTS, max_budget=4).shape == (80, 3, 4)

    @pytest.mark.parametrize("name", ["gpt2", "qwen2", "bert"])
    def test_every_family_learns(self, make_regressor, name):
        regressor = make_regressor(name, pooling="mean" if name == "bert" else "last")
        assert regressor.fit(TEXTS, BINARY).score(TEXTS, BINARY) > 0.8

    def test_an_inner_layer_learns(self, make_regressor):
        regressor = make_regressor(layer=1).fit(TEXTS, BINARY)
        assert regressor.score(TEXTS, BINARY) > 0.8

    def test_chats_learn_as_texts_do(self, make_regressor):
        chats = [[{"role": "user", "content": text}] for text in TEXTS]
        of_chats = make_regressor("qwen2", max_epochs=1).fit(chats, BINARY)
        of_texts = make_regressor("qwen2", max_epochs=1, chat_template=True)
        of_texts.fit(TEXTS, BINARY)
        np.testing.assert_array_equal(of_chats.predict(chats), of_texts.predict(TEXTS))

    def test_where_training_does_harm_the_average_predictor_is_kept(
        self, make_regressor
    ):
        rates = np.linspace(0, 1, 80)
        regressor = make_regressor(
            target="success_rate", learning_rate=100.0, max_epochs=2
        ).fit(TEXTS, rates)
        np.testing.assert_allclose(regressor.predict(TEXTS), 0.5, atol=1e-6)
        assert len(regressor.history_) == 2

    def test_training_ends_when_held_out_queries_gain_nothing(self, make_regressor):
        regressor = make_regressor(learning_rate=100.0, max_epochs=9, patience=1)
        assert len(regressor.fit(TEXTS, BINARY).history_) == 1

    def test_the_best_epoch_is_kept(self, make_regressor):
        regressor = make_regressor(learning_rate=0.05, patience=6, max_epochs=6)
        losses = [
            epoch["held_out_loss"] for epoch in regressor.fit(TEXTS, BINARY).history_
        ]
        best = clone(regressor).set_params(max_epochs=int(np.argmin(losses)) + 1)
        np.testing.assert_array_equal(
            best.fit(TEXTS, BINARY).predict(TEXTS), regressor.predict(TEXTS)
        )

    def test_one_value_per_query_is_a_table_of_one_column(self, make_regressor):
        one = make_regressor(max_epochs=1).fit(TEXTS, SOLVED)
        column = make_regressor(max_epochs=1).fit(TEXTS, SOLVED[:, None])
        np.testing.assert_array_equal(one.predict(TEXTS), column.predict(TEXTS))

    def test_two_queries_are_enough(self, make_regressor):
        regressor = make_regressor(max_epochs=1).fit(TEXTS[:2], BINARY[:2])
        assert regressor.predict(TEXTS[:1]).shape == (1,)


class TestRandomness:
    def test_one_seed_one_fit(self, make_regressor):
        predictions = [
            make_regressor(max_epochs=1, random_state=seed, dropout=0.1)
            .fit(TEXTS, BINARY)
            .predict(TEXTS)
            for seed in (0, 0, 1)
        ]
        np.testing.assert_array_equal(predictions[0], predictions[1])
        assert not np.array_equal(predictions[0], predictions[2])

    def test_torch_draws_go_on_as_if_nothing_had_happened(self, make_regressor):
        state = torch.random.get_rng_state()
        regressor = make_regressor(max_epochs=1).fit(TEXTS, BINARY)
        pickle.loads(pickle.dumps(regressor)).predict(TEXTS)
        assert torch.equal(torch.random.get_rng_state(), state)


class TestPredict:
    def test_rows_do_not_depend_on_each_other(self, quick):
        order = np.random.default_rng(1).permutation(80)
        expected = quick.predict(TEXTS)[order]
        shuffled = quick.predict([TEXTS[row] for row in order])
        np.testing.assert_allclose(shuffled, expected, atol=1e-5)
        np.testing.assert_allclose(
            quick.predict([TEXTS[order[0]]]), expected[:1], atol=1e-5
        )

    def test_it_is_the_head_on_the_adapted_state(self, make_regressor):
        # With adapters that say nothing the adapted state is the model's own.
        regressor = make_regressor(target="success_rate", max_epochs=1)
        regressor.fit(TEXTS[:16], SOLVED[:16])
        regressor.adapter_ = {
            name: np.zeros_like(array) for name, array in regressor.adapter_.items()
        }
        restored = pickle.loads(pickle.dumps(regressor))
        states = HiddenStateFeaturizer(regressor.model, device="cpu").fit_transform(
            TEXTS
        )
        weight, bias = regressor.head_
        expected = 1 / (1 + np.exp(-(states @ weight + bias)[:, 0]))
        np.testing.assert_allclose(restored.predict(TEXTS), expected, atol=1e-5)

    def test_long_texts_are_counted(self, quick):
        with pytest.warns(UserWarning, match="1 of 2 queries have more tokens"):
            quick.predict(["a" * 100, "b"])


class TestTheBaseModel:
    def test_neither_files_nor_the_shared_model_change(self, tiny_models, quick):
        shared = load_language_model(tiny_models["llama"], device="cpu")
        assert not any("lora" in name for name, _ in shared.model.named_parameters())
        features = HiddenStateFeaturizer(tiny_models["llama"], device="cpu")
        before = features.fit_transform(TEXTS)
        quick.fit(TEXTS[:16], BINARY[:16])
        np.testing.assert_array_equal(features.fit_transform(TEXTS), before)

    def test_only_adapters_and_head_learn(self, tiny_models, quick):
        base = load_language_model(
            tiny_models["llama"], device="cpu"
        ).model.state_dict()
        adapted = quick._language_model.model.state_dict()
        for name, value in adapted.items():
            if "lora" not in name:
                assert torch.equal(base[name.replace(".base_layer", "")], value)
        assert any(
            array.any() for name, array in quick.adapter_.items() if "_B" in name
        )

    def test_another_model_in_its_place_is_refused(
        self, make_tiny_model, tmp_path, quick
    ):
        folder = shutil.copytree(quick.model, tmp_path / "model")
        quick.set_params(model=str(folder))
        quick.fit(TEXTS[:16], BINARY[:16])
        stored = pickle.dumps(quick)
        make_tiny_model("llama", folder, seed=1)
        message = (
            r"model='.*model' is not the model used in fit.*set_params, or fit again"
        )
        with pytest.raises(ValueError, match=message):
            pickle.loads(stored).predict(TEXTS)

    def test_a_model_that_is_gone_is_named(self, tmp_path, quick):
        quick.set_params(model=str(tmp_path / "gone"))
        restored = pickle.loads(pickle.dumps(quick))
        with pytest.raises(ValueError, match=r"gone' could not be loaded"):
            restored.predict(TEXTS)


class TestPersistence:
    def test_pickles_hold_adapters_and_head_only(self, quick):
        arrays = [*quick.adapter_.values(), *quick.head_]
        size = len(pickle.dumps(quick))
        assert size < sum(array.nbytes for array in arrays) + 20_000

    def test_restored_ones_predict_the_same(self, quick):
        buffer = io.BytesIO()
        joblib.dump(quick, buffer)
        buffer.seek(0)
        restored = joblib.load(buffer)
        np.testing.assert_array_equal(restored.predict(TEXTS), quick.predict(TEXTS))

    def test_parameters_set_later_do_not_reach_the_fitted_adapters(self, quick):
        expected = quick.predict(TEXTS)
        quick.set_params(r=3, alpha=1, layer=0, pooling="mean")
        restored = pickle.loads(pickle.dumps(quick))
        np.testing.assert_array_equal(restored.predict(TEXTS), expected)

    def test_on_the_embedded_model_a_policy_is_under_a_megabyte(self):
        queries = ["1+1=", "23*41=", "gcd 84 30=", "9-4="]
        policy = AdaptiveAllocator(LoRARewardRegressor(max_epochs=1, device="cpu"))
        policy.fit(queries, [[1, 1], [0, 0], [0, 1], [1, 1]])
        assert len(pickle.dumps(policy)) < 1_000_000


class TestComposition:
    def test_in_a_pipeline_and_a_grid(self, make_regressor):
        pipeline = make_pipeline(
            FunctionTransformer(lambda X: [text.lower() for text in X]),
            make_regressor(max_epochs=2),
        )
        grid = {"lorarewardregressor__learning_rate": [1e-9, 0.01]}
        search = GridSearchCV(pipeline, grid, cv=2).fit(TEXTS, BINARY)
        assert search.best_params_["lorarewardregressor__learning_rate"] == 0.01
        assert search.predict(TEXTS).shape == (80,)

    def test_under_an_allocator(self, make_regressor):
        allocator = AdaptiveAllocator(make_regressor(), budget=2, max_budget=8)
        budgets = allocator.fit(TEXTS, BINARY).predict(TEXTS)
        assert budgets.sum() <= 160
        assert budgets[SOLVED == 1].min() >= 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"r": 0}, "r=0 is not accepted"),
        ({"alpha": 0}, "alpha=0 is not accepted"),
        ({"dropout": 1.0}, r"dropout=1.0 .* in \[0, 1\)"),
        ({"batch_size": 1.5}, r"batch_size=1\.5 is not accepted"),
        ({"max_epochs": 0}, "max_epochs=0 is not accepted"),
        ({"patience": 0}, "patience=0 is not accepted"),
        ({"learning_rate": -1}, "learning_rate=-1 is not accepted"),
        ({"weight_decay": -1}, "weight_decay=-1 is not accepted"),
        ({"validation_fraction": 1}, r"validation_fraction=1 .* in \(0, 1\)"),
        ({"layer": 4}, r"layer=\[4\] is not accepted"),
        ({"pooling": "max"}, "pooling='max' is not accepted"),
        ({"target": "rate"}, "target='rate' is not accepted"),
        ({"model": "nobody/nothing"}, "model='nobody/nothing' could not be loaded"),
    ],
)
def test_parameters_are_checked_by_fit(make_regressor, parameters, message):
    with pytest.raises(ValueError, match=message):
        make_regressor(**parameters).fit(TEXTS, BINARY)


def test_one_query_is_too_few(make_regressor):
    with pytest.raises(ValueError, match=r"X has 1 query\. Give at least 2"):
        make_regressor().fit(TEXTS[:1], BINARY[:1])


def test_as_many_rows_as_queries(make_regressor):
    with pytest.raises(ValueError, match="inconsistent numbers of queries: 80 and 79"):
        make_regressor().fit(TEXTS, BINARY[1:])


@pytest.mark.slow
def test_on_the_embedded_task_it_finds_what_is_hard():
    from sklearn_adaalloc.datasets import load_arithmetic

    X, X_test, y, y_test = load_arithmetic("math", return_X_y=True)
    regressor = LoRARewardRegressor(random_state=0, device="cpu").fit(X, y)
    assert regressor.score(X_test, y_test) > 0.6


def test_a_loss_that_is_no_number_is_reported():
    regressor = LoRARewardRegressor(
        learning_rate=1e30, batch_size=1, max_epochs=2, device="cpu", random_state=0
    )
    with pytest.warns(
        UserWarning, match=r"loss is (nan|inf) from epoch [12] on.*float32"
    ):
        regressor.fit(
            ["1+1=", "2+1=", "7*9=", "8*6="], [[1, 1], [1, 0], [0, 0], [0, 1]]
        )
    assert np.isfinite(regressor.predict(["1+2="])).all()
