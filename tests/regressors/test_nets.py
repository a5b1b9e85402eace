import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from sklearn_adaalloc.language_models import load_language_model
from sklearn_adaalloc.regressors._lora_net import QueryDataset
from sklearn_adaalloc.regressors._nets import (
    LOSSES,
    CrossFittedNet,
    MLPEnsemble,
    OutOfFoldStopping,
    TableDataset,
    _Criterion,
    cross_entropy,
    feature_relevance,
    fit_mlp_ensemble,
    leave_one_fold_out,
    mixture_likelihood,
    squared_error,
)

torch.set_num_threads(1)

OPTIONS = {
    "hidden_units": 8,
    "dropout": 0.0,
    "n_members": 5,
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "batch_size": 64,
    "max_epochs": 30,
    "patience": 30,
    "device": "cpu",
    "verbose": False,
}


def linear_task(n_queries=200, seed=0):
    """Features of which the first alone decides a noisy value."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_queries, 3)).astype(np.float32)
    values = features[:, :1] + 0.5 * rng.normal(size=(n_queries, 1))
    return features, values


def fit(features, values, seed=0, **options):
    return fit_mlp_ensemble(
        features,
        values,
        values,
        values.mean(axis=0),
        loss="squared_error",
        random_state=np.random.RandomState(seed),
        **{**OPTIONS, **options},
    )


# Losses


def test_cross_entropy_by_hand():
    outputs = torch.logit(torch.tensor([[0.25], [0.5]]))
    labels = torch.tensor([[1.0], [0.25]])
    assert_allclose(cross_entropy(outputs, labels), [np.log(4), np.log(2)], rtol=1e-6)


def test_mixture_likelihood_by_hand():
    # Weights 1/4 and 3/4 on likelihoods 1 and 1/2: log of 5/8.
    outputs = torch.log(torch.tensor([[0.25, 0.75]])) + 7.0  # logits up to a constant
    labels = torch.log(torch.tensor([[1.0, 0.5]]))
    assert_allclose(mixture_likelihood(outputs, labels), [-np.log(5 / 8)], rtol=1e-6)


def test_squared_error_by_hand():
    loss = squared_error(torch.tensor([[1.0, 4.0]]), torch.tensor([[0.0, 2.0]]))
    assert_allclose(loss, [2.5])


@pytest.mark.parametrize("name", LOSSES)
def test_losses_keep_the_leading_axes(name):
    assert LOSSES[name](torch.zeros(4, 3, 2), torch.zeros(4, 3, 2)).shape == (4, 3)


# Folds


@pytest.mark.parametrize(
    ("n_queries", "n_members", "n_folds"),
    [(100, 5, 5), (103, 10, 10), (100, 1, 5), (100, 3, 5), (3, 5, 3), (2, 5, 2)],
)
def test_each_member_leaves_one_fold_out(n_queries, n_members, n_folds):
    state = np.random.RandomState(0)
    training = leave_one_fold_out(n_queries, n_members, state)
    assert training.shape == (n_queries, n_members)
    assert training.dtype == bool
    left_out = (~training).sum(axis=0)
    assert set(left_out) <= {n_queries // n_folds, -(-n_queries // n_folds)}
    assert training.any(axis=0).all()


@pytest.mark.parametrize("n_members", [5, 8])
def test_with_enough_members_every_query_is_left_out_once(n_members):
    training = leave_one_fold_out(83, n_members, np.random.RandomState(0))
    assert_array_equal((~training).sum(axis=1), 1)


def test_folds_depend_on_the_random_state_alone():
    first, again, other = (
        leave_one_fold_out(50, 5, np.random.RandomState(seed)) for seed in (0, 0, 1)
    )
    assert_array_equal(first, again)
    assert (first != other).any()


# Relevance of features


def test_relevance_comes_from_training_rows_alone():
    rng = np.random.default_rng(0)
    features, values = rng.normal(size=(60, 4)), rng.normal(size=(60, 2))
    training = leave_one_fold_out(60, 5, np.random.RandomState(0))
    before = feature_relevance(features, values, training)
    row = 7
    values[row] += 100.0
    features[row] *= -50.0
    changed = (feature_relevance(features, values, training) != before).any(axis=1)
    assert_array_equal(changed, training[row])


def test_relevance_favours_features_that_say_something():
    features, values = linear_task(500)
    everyone = np.ones((500, 2), dtype=bool)
    relevance = feature_relevance(features, values, everyone)
    assert_allclose(np.square(relevance).mean(axis=1), 1)
    assert (relevance[:, 0] > 5 * relevance[:, 1:].max(axis=1)).all()


def test_relevance_is_even_when_nothing_can_be_said():
    everyone = np.ones((20, 1), dtype=bool)
    noise = np.random.default_rng(0).normal(size=(20, 3))
    assert_allclose(feature_relevance(noise, np.ones((20, 1)), everyone), 1)
    assert_allclose(feature_relevance(np.ones((20, 3)), noise, everyone), 1)


def test_relevance_of_a_constant_feature_is_small():
    features, values = linear_task(100)
    features[:, 2] = 1.0
    relevance = feature_relevance(features, values, np.ones((100, 1), dtype=bool))
    assert np.isfinite(relevance).all()
    assert relevance[0, 2] < 0.01


# The nets


def ensemble(n_members=3, n_features=4, dropout=0.0):
    torch.manual_seed(0)
    return MLPEnsemble(
        torch.ones(n_members, n_features), torch.tensor([0.5, -1.0]), 8, dropout
    )


def test_nets_start_at_the_average_predictor():
    outputs = ensemble()(torch.randn(6, 4))
    assert outputs.shape == (6, 3, 2)
    assert_array_equal(outputs.detach(), np.broadcast_to([0.5, -1.0], (6, 3, 2)))


def test_arrays_are_the_forward_pass():
    module = ensemble()
    torch.nn.init.normal_(module.output_weight)
    features = torch.randn(6, 4)
    hidden_weight, hidden_bias, output_weight, output_bias = module.arrays()
    hidden = np.maximum(features.numpy() @ hidden_weight + hidden_bias, 0)
    outputs = hidden @ output_weight + output_bias
    expected = module(features).detach().numpy().transpose(1, 0, 2)
    assert_allclose(outputs, expected, atol=1e-5)


@pytest.fixture
def net():
    """Two members on four features, two outputs, before any training."""
    return CrossFittedNet(
        MLPEnsemble,
        module__relevance=torch.ones(2, 4),
        module__initial_outputs=torch.zeros(2),
        module__hidden_units=8,
        module__dropout=0.0,
        criterion=_Criterion,
        criterion__name="squared_error",
    ).initialize()


def test_members_do_not_learn_from_the_rows_they_leave_out(net):
    features, labels, mask = torch.ones(6, 4), torch.ones(6, 2), torch.ones(6, 2)
    mask[0, 1] = 0.0

    def gradients():
        net.module_.zero_grad()
        truth = {"labels": labels, "training": mask}
        net.get_loss(net.module_(features), truth).backward()
        return net.module_.output_bias.grad.clone()

    before = gradients()
    labels[0] += 10.0
    moved = (gradients() != before).flatten(1).any(dim=1)
    assert_array_equal(moved, [True, False])


def test_loss_of_a_member_is_the_mean_over_its_rows(net):
    truth = {
        "labels": torch.tensor([[1.0], [2.0], [3.0]]),
        "training": torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]),
    }
    loss = net.get_loss(torch.zeros(3, 2, 1), truth)
    assert float(loss) == pytest.approx((1 + 4) / 2 + 4)


def test_training_learns_and_reports_it():
    features, values = linear_task()
    weights, history = fit(features, values)
    assert [row["epoch"] for row in history] == list(range(1, 31))
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]
    assert min(row["out_of_fold_loss"] for row in history) < 0.5 * values.var()
    assert [array.shape for array in weights] == [
        (5, 3, 8),
        (5, 1, 8),
        (5, 8, 1),
        (5, 1, 1),
    ]


def out_of_fold_loss(weights, features, values, training):
    hidden_weight, hidden_bias, output_weight, output_bias = weights
    outputs = (
        np.maximum(features @ hidden_weight + hidden_bias, 0) @ output_weight
        + output_bias
    )
    errors = np.square(outputs[:, :, 0].T - values)  # (n_queries, n_members)
    return errors[~training].mean()


@pytest.mark.parametrize("learning_rate", [0.01, 1.0])
def test_best_weights_seen_are_kept(learning_rate):
    features, values = linear_task()
    weights, history = fit(features, values, learning_rate=learning_rate)
    average = np.mean((values - values.mean()) ** 2)
    best = min(average, *(row["out_of_fold_loss"] for row in history))
    training = leave_one_fold_out(200, 5, np.random.RandomState(0))
    kept = out_of_fold_loss(weights, features, values, training)
    assert kept == pytest.approx(best, rel=1e-4)


def test_training_stops_when_left_out_rows_stop_gaining():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100, 5)).astype(np.float32)
    noise = rng.normal(size=(100, 1))
    weights, history = fit(features, noise, max_epochs=200, patience=7)
    losses = [row["out_of_fold_loss"] for row in history]
    before = [np.mean((noise - noise.mean()) ** 2), *losses]
    assert len(history) - np.argmin(before) == 7
    assert np.isfinite(weights[2]).all()


def test_stopping_counts_the_state_before_the_first_epoch():
    features, values = linear_task(50)
    weights, _ = fit(features, values, learning_rate=1e3, max_epochs=3)
    assert_array_equal(weights[2], 0)  # output weights as they were born
    assert_allclose(weights[3].ravel(), values.mean(), rtol=1e-6)


@pytest.mark.parametrize("patience", [1, 3])
def test_stopping_waits_as_long_as_told(patience):
    stopping = OutOfFoldStopping(TableDataset([[0.0]], [[0.0]], [[0.0]]), patience)
    losses = iter([3.0, 2.0, 2.5, 2.0, 2.1, 2.2, 2.3])
    stopping._out_of_fold_loss = lambda net: next(losses)

    class Net:
        module_ = torch.nn.Linear(1, 1)

    class History(list):
        def record(self, key, value):
            pass

    net = Net()
    net.history = History()
    stopping.on_train_begin(net)
    for _ in range(patience):  # epoch 1 is the best
        net.history.append({})
        stopping.on_epoch_end(net)
    net.history.append({})
    with pytest.raises(KeyboardInterrupt):
        stopping.on_epoch_end(net)
    assert stopping.best_loss_ == 2.0
    assert stopping.best_epoch_ == 1


@pytest.mark.parametrize("n_steps", [0, 10])
def test_the_user_s_interrupt_is_not_mistaken_for_stopping(monkeypatch, n_steps):
    losses = iter([CrossFittedNet.get_loss] * n_steps)

    def interrupted(*args, **kwargs):
        return next(losses, interrupt)(*args, **kwargs)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(CrossFittedNet, "get_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(*linear_task(), max_epochs=30)


def test_dataset_hands_out_whole_batches():
    dataset = TableDataset(np.eye(4), np.arange(4.0)[:, None], np.eye(4) > 0)
    features, truth = dataset.__getitems__([2, 0])
    assert len(dataset) == 4
    assert_array_equal(features, np.eye(4)[[2, 0]])
    assert_array_equal(truth["labels"], [[2], [0]])
    assert_array_equal(truth["training"], np.eye(4)[[2, 0]])


def test_soft_labels_make_cross_entropy_learn_rates():
    # With equal features the best output is the logit of the mean label.
    labels = np.array([[0.2], [0.6]] * 20)
    weights, _ = fit_mlp_ensemble(
        np.zeros((40, 1), dtype=np.float32),
        labels,
        labels,
        np.full(1, 2.0),  # a rate of 0.88, far from the mean
        loss="cross_entropy",
        random_state=np.random.RandomState(0),
        **{**OPTIONS, "max_epochs": 100, "patience": 100},
    )
    _, hidden_bias, output_weight, output_bias = weights
    outputs = np.maximum(hidden_bias, 0) @ output_weight + output_bias
    assert_allclose(expit(outputs), 0.4, atol=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_a_cuda_device():
    features, values = linear_task()
    _, history = fit(features, values, device="cuda")
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]


# Batches of texts


class TestBuckets:
    def test_each_row_once_in_batches_of_similar_length(self, tiny_models):
        language_model = load_language_model(tiny_models["llama"], device="cpu")
        lengths = np.random.default_rng(0).integers(1, 200, 300)
        dataset = QueryDataset(
            language_model,
            [[5] * n for n in lengths],
            np.zeros((300, 1)),
            training=True,
        )
        torch.manual_seed(0)
        batches = dataset.batches(16, shuffle=True)
        assert sorted(row for batch in batches for row in batch) == list(range(300))
        assert max(map(len, batches)) == 16
        padded = sum(len(batch) * lengths[batch].max() for batch in batches)
        assert padded < 1.5 * lengths.sum()
        assert batches != dataset.batches(16, shuffle=True)
