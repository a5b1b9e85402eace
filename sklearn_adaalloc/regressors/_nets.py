"""Torch modules, losses, and the training of nets.

This module imports torch and skorch at the top. Estimators therefore import it inside
`fit`.
"""

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset


def cross_entropy(outputs, labels):
    """Cross-entropy with soft labels (Eq. 7); shapes (..., n_outputs) -> (...)."""
    return functional.binary_cross_entropy_with_logits(
        outputs, labels, reduction="none"
    ).mean(dim=-1)


def mixture_likelihood(outputs, labels):
    """−log Σ_g w_g L_g, from logits of w and log L_g; (..., n_rates) -> (...)."""
    return -torch.logsumexp(torch.log_softmax(outputs, dim=-1) + labels, dim=-1)


def squared_error(outputs, labels):
    """Squared error over all steps (Eq. 6); (..., max_budget) -> (...)."""
    return (outputs - labels).square().mean(dim=-1)


LOSSES = {
    "cross_entropy": cross_entropy,
    "mixture_likelihood": mixture_likelihood,
    "squared_error": squared_error,
}


class MLPEnsemble(nn.Module):
    """Several two-layer perceptrons, evaluated together as one batched product.

    Output weights start at 0 and output biases at `initial_outputs` (n_outputs,), the
    outputs of the average predictor. Early stopping can return to this predictor.
    `relevance` (n_members, n_features) scales the standardised features, see
    :func:`feature_relevance`.
    """

    def __init__(self, relevance, initial_outputs, hidden_units, dropout):
        super().__init__()
        n_members, n_features = relevance.shape
        n_outputs = len(initial_outputs)
        self.register_buffer("relevance", relevance[:, :, None])
        self.hidden_weight = nn.Parameter(
            torch.randn(n_members, n_features, hidden_units) / n_features**0.5
        )
        self.hidden_bias = nn.Parameter(torch.rand(n_members, 1, hidden_units) * 2 - 1)
        self.output_weight = nn.Parameter(
            torch.zeros(n_members, hidden_units, n_outputs)
        )
        self.output_bias = nn.Parameter(initial_outputs.repeat(n_members, 1, 1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, features):
        """Map features (n, n_features) to outputs (n, n_members, n_outputs)."""
        weight = self.relevance * self.hidden_weight
        hidden = torch.relu(
            features @ weight + self.hidden_bias
        )  # (members, n, hidden)
        outputs = self.dropout(hidden) @ self.output_weight + self.output_bias
        return outputs.transpose(0, 1)

    def arrays(self):
        """Hidden weights and biases, output weights and biases; members first."""
        parameters = (
            self.relevance * self.hidden_weight,
            self.hidden_bias,
            self.output_weight,
            self.output_bias,
        )
        return [parameter.detach().cpu().numpy() for parameter in parameters]


def feature_relevance(features, values, training):
    """Relevance of each feature for the values, from the training rows of each member.

    Relevance is the square root of the squared correlation of a feature with the
    columns of `values`, weighted by the variance of the columns, minus 1/n, which is
    expected by chance. It scales the standardised features. With thousands of features
    and few queries, the net then first uses the relevant features.

    Parameters
    ----------
    features : ndarray of shape (n_queries, n_features)
        Standardised features.
    values : ndarray of shape (n_queries, n_values)
        Values that a plain regressor is fitted to, see `Target`.
    training : ndarray of shape (n_queries, n_members)
        Whether a query belongs to the training rows of a member.

    Returns
    -------
    relevance : ndarray of shape (n_members, n_features)
        The root mean square is 1 for each member.
    """
    relevance = np.empty((training.shape[1], features.shape[1]))
    for member, rows in enumerate(training.T):
        x = features[rows] - features[rows].mean(axis=0)
        y = values[rows] - values[rows].mean(axis=0)
        # Covariances (n_features, n_values) need less memory than all products.
        explained = np.square(x.T @ y / len(x)).sum(axis=1)
        variation = x.var(axis=0) * y.var(axis=0).sum()
        squared = np.divide(
            explained, variation, out=np.zeros(len(variation)), where=variation > 0
        )
        squared = np.maximum(squared - 1 / len(x), 0) + 1e-6
        relevance[member] = np.sqrt(squared / squared.mean())
    return relevance


class TableDataset(Dataset):
    """Features, labels and masks, fetched in batches.

    Fetching and collating single rows would take longer than the training.
    """

    def __init__(self, features, labels, training):
        self.features = torch.as_tensor(features, dtype=torch.float32)
        self.labels = torch.as_tensor(labels, dtype=torch.float32)
        self.training = torch.as_tensor(training, dtype=torch.float32)

    def __len__(self):
        return len(self.features)

    def __getitem__(self, rows):
        truth = {"labels": self.labels[rows], "training": self.training[rows]}
        return self.features[rows], truth

    __getitems__ = __getitem__  # a data loader calls this with all rows of a batch


def _as_fetched(batch):
    return batch


class CrossFittedNet(NeuralNet):
    """A skorch net whose members each leave out one fold of the queries.

    Labels come with a mask (n, n_members). A member is trained on the rows that are
    marked in its mask, and evaluated on the others.
    """

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Sum over members of the mean loss on the training rows of each member."""
        labels, mask = (y_true[key].to(y_pred.device) for key in ("labels", "training"))
        loss = self.criterion_(
            y_pred, labels[:, None].expand_as(y_pred)
        )  # (n, members)
        counts = mask.sum(dim=0).clamp(min=1)
        return ((loss * mask).sum(dim=0) / counts).sum()


class _Criterion(nn.Module):
    """One of `LOSSES` as a module, as skorch expects it."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, outputs, labels):
        return LOSSES[self.name](outputs, labels)


class OutOfFoldStopping(Callback):
    """Stop if the out-of-fold loss has not improved for `patience` epochs.

    All members stop together, by the mean loss over all pairs of a member and a row
    that it left out. Then the best weights are restored. These can be the weights
    before the first epoch.
    """

    def __init__(self, dataset, patience):
        self.dataset = dataset
        self.patience = patience

    def on_train_begin(self, net, **kwargs):
        self.best_loss_ = self._out_of_fold_loss(net)
        self._keep(net, epoch=0)

    def on_epoch_end(self, net, **kwargs):
        loss = self._out_of_fold_loss(net)
        net.history.record("out_of_fold_loss", loss)
        epoch = len(net.history)
        if loss < self.best_loss_:
            self.best_loss_ = loss
            self._keep(net, epoch)
        elif epoch - self.best_epoch_ >= self.patience:
            raise KeyboardInterrupt  # skorch's own callbacks end training in this way

    def on_train_end(self, net, **kwargs):
        net.module_.load_state_dict(self.best_state_)

    def _keep(self, net, epoch):
        state = net.module_.state_dict()
        self.best_state_ = {name: value.clone() for name, value in state.items()}
        self.best_epoch_ = epoch

    def _out_of_fold_loss(self, net):
        total, count = 0.0, 0
        for features, truth in net.get_iterator(self.dataset, training=False):
            outputs = net.evaluation_step((features, truth), training=False)
            labels = truth["labels"].to(outputs.device)
            left_out = 1 - truth["training"].to(outputs.device)
            loss = net.criterion_(outputs, labels[:, None].expand_as(outputs))
            total += float((loss * left_out).sum())
            count += float(left_out.sum())
        return total / max(count, 1)


def fit_mlp_ensemble(features, values, labels, initial_outputs, *, loss, **options):
    """Train an :class:`MLPEnsemble` and return its weights as arrays.

    Parameters
    ----------
    features : ndarray of shape (n_queries, n_features)
        Standardised features, float32.
    values, labels : ndarray of shape (n_queries, n_values), (n_queries, n_outputs)
        See :mod:`sklearn_adaalloc.curves._target`.
    initial_outputs : ndarray of shape (n_outputs,)
        Outputs of the average predictor.
    loss : str
        A key of `LOSSES`.
    **options
        hidden_units, dropout, n_members, learning_rate, weight_decay, batch_size,
        max_epochs, patience, device, verbose and random_state (a RandomState), as in
        :class:`MLPRewardRegressor`.

    Returns
    -------
    weights : list of ndarray
        Hidden weights and biases, output weights and biases; members first.
    history : list of dict
        One entry per epoch: train_loss, out_of_fold_loss.
    """
    training = leave_one_fold_out(
        len(features), options["n_members"], options["random_state"]
    )
    dataset = TableDataset(features, labels, training)
    relevance = feature_relevance(features, values, training)
    # torch uses its global generator: fork it so that the caller's does not change.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(int(options["random_state"].randint(2**31 - 1)))
        net = CrossFittedNet(
            MLPEnsemble,
            module__relevance=torch.tensor(relevance, dtype=torch.float32),
            module__initial_outputs=torch.tensor(initial_outputs, dtype=torch.float32),
            module__hidden_units=options["hidden_units"],
            module__dropout=options["dropout"],
            criterion=_Criterion,
            criterion__name=loss,
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=options["weight_decay"],
            lr=options["learning_rate"],
            max_epochs=options["max_epochs"],
            batch_size=min(options["batch_size"], len(features)),
            iterator_train__shuffle=True,
            iterator_train__collate_fn=_as_fetched,
            iterator_valid__collate_fn=_as_fetched,
            iterator_valid__batch_size=4096,
            train_split=None,
            callbacks=[("stopping", OutOfFoldStopping(dataset, options["patience"]))],
            device=options["device"],
            verbose=int(options["verbose"]),
        )
        net.fit(dataset, None)
    if not net.history or "out_of_fold_loss" not in net.history[-1]:
        raise KeyboardInterrupt  # it came from the user, but skorch swallowed it
    return net.module_.arrays(), _summary(net.history)


def leave_one_fold_out(n_queries, n_members, random_state):
    """Mark the training rows of each member, (n_queries, n_members).

    A member leaves out one of at least five folds. With fewer queries than folds, each
    query is a fold.
    """
    n_folds = min(max(n_members, 5), n_queries)
    folds = random_state.permutation(n_queries) % n_folds
    return folds[:, None] != np.arange(n_members) % n_folds


def _summary(history):
    keys = ("epoch", "train_loss", "out_of_fold_loss")
    return [{key: row[key] for key in keys} for row in history]
