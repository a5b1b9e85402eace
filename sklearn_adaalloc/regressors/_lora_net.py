"""A language model with low-rank adapters and a linear head, and its training.

This module imports torch, peft and skorch at the top. Estimators therefore import it
inside methods.
"""

import numpy as np
import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.utils import set_peft_model_state_dict
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, Dataset
from transformers.pytorch_utils import Conv1D

from sklearn_adaalloc.language_models._forward import read_hidden_states
from sklearn_adaalloc.language_models._pooling import POOLINGS, pooled_batches
from sklearn_adaalloc.regressors._nets import (
    CrossFittedNet,
    OutOfFoldStopping,
    _Criterion,
)

# Without cuDNN: in torch 2.11 to 2.13, its gradients of masked attention can be NaN in
# half precision (pytorch/pytorch#196678), as they are for Qwen2.5-0.5B on an H200.
_KERNELS = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
_LENGTH_JITTER = 0.1  # standard deviation of the noise on log length before sorting


def inject_adapter(language_model, *, r, alpha, dropout, target_modules):
    """Add adapters to a model in place; untrained adapters do not change its output.

    The `LanguageModel` must not be shared. The options are those of
    :class:`LoRARewardRegressor`.
    """
    backbone = language_model.backbone
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=target_modules,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in backbone.modules()),
    )
    inject_adapter_in_model(config, backbone)
    for parameter in backbone.parameters():
        if (
            parameter.requires_grad
        ):  # adapters are trained in float32, whatever the precision of the model
            parameter.data = parameter.data.float()


def adapter_arrays(language_model):
    """Return the weights of the adapters by name, as float32 arrays."""
    state = get_peft_model_state_dict(language_model.backbone)
    return {name: value.float().cpu().numpy() for name, value in state.items()}


def restore_adapter(language_model, arrays, **options):
    """Add trained adapters, from :func:`adapter_arrays`, to a model in place.

    The `LanguageModel` must not be shared. The options are those of
    :func:`inject_adapter`.
    """
    # Adapters get random weights before these are replaced: see fit_lora.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        inject_adapter(language_model, **options)
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    set_peft_model_state_dict(language_model.backbone, state)
    language_model.model.eval()


def pooled_states(language_model, token_ids, *, layer, pooling, batch_tokens=16384):
    """Pooled hidden states (n_queries, hidden_size), float32."""
    states = None
    for rows, values in pooled_batches(
        language_model,
        token_ids,
        layers=[layer],
        pooling=pooling,
        batch_tokens=batch_tokens,
    ):
        if states is None:
            states = np.empty((len(token_ids), values.shape[1]), dtype=np.float32)
        states[rows] = values
    return states


class AdaptedLanguageModel(nn.Module):
    """Backbone with adapters, pooling, and a linear head on the standardised state.

    The head starts as the average predictor: weights 0 and biases `initial_outputs`
    (n_outputs,). `center` and `scale` (hidden_size,) are the mean and the standard
    deviation of the state over the queries before training.
    """

    def __init__(self, backbone, layer, pooling, center, scale, initial_outputs):
        super().__init__()
        self.backbone = backbone
        self.layer = layer
        self.pool = POOLINGS[pooling]
        self.register_buffer("center", torch.as_tensor(center, dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32))
        self.head = nn.Linear(len(center), len(initial_outputs))
        nn.init.zeros_(self.head.weight)
        self.head.bias.data = torch.as_tensor(initial_outputs, dtype=torch.float32)

    def forward(self, input_ids, attention_mask):
        """Map tokens (n, length) to outputs (n, 1, n_outputs), for one member."""
        (state,) = read_hidden_states(
            self.backbone, [self.layer], input_ids, attention_mask
        )
        pooled = self.pool(state.float(), attention_mask)  # (n, hidden_size)
        return self.head((pooled - self.center) / self.scale)[:, None]

    def head_arrays(self):
        """Weight (hidden_size, n_outputs), bias (n_outputs,) for the pooled state."""
        weight = (self.head.weight / self.scale).T
        bias = self.head.bias - self.center @ weight
        return [array.detach().cpu().numpy() for array in (weight, bias)]


class QueryDataset(Dataset):
    """Tokens and labels of some queries: all for training or all held out."""

    def __init__(self, language_model, token_ids, labels, *, training):
        self.pad = language_model.pad
        self.token_ids = token_ids
        self.labels = torch.as_tensor(labels, dtype=torch.float32)
        self.lengths = torch.tensor([len(ids) for ids in token_ids])
        self.training = float(training)

    def __len__(self):
        return len(self.token_ids)

    def __getitem__(self, row):
        return row

    def collate(self, rows):
        """Return inputs and labels of a batch, padded to its longest query."""
        input_ids, attention_mask = self.pad([self.token_ids[row] for row in rows])
        truth = {
            "labels": self.labels[rows].to(input_ids.device),
            "training": torch.full((len(rows), 1), self.training).to(input_ids.device),
        }
        return {"input_ids": input_ids, "attention_mask": attention_mask}, truth

    def batches(self, batch_size, *, shuffle):
        """Rows of each batch; they have similar length, also with `shuffle`."""
        jitter = _LENGTH_JITTER * torch.randn(len(self)) if shuffle else 0
        order = torch.argsort(self.lengths.log() + jitter, stable=True)
        batches = order.split(batch_size)
        if shuffle:
            batches = [batches[i] for i in torch.randperm(len(batches))]
        return [batch.tolist() for batch in batches]


class LengthBucketedNet(CrossFittedNet):
    """A skorch net with one member that uses batches of queries of similar length."""

    def get_iterator(self, dataset, training=False):
        """Return a loader for the batches of a :class:`QueryDataset`."""
        batches = dataset.batches(self.batch_size, shuffle=training)
        return DataLoader(dataset, batch_sampler=batches, collate_fn=dataset.collate)


class HeldOutStopping(OutOfFoldStopping):
    """Stop by the loss on held-out queries; keep only adapters and head."""

    def on_train_end(self, net, **kwargs):
        """Restore the best weights."""
        net.module_.load_state_dict(self.best_state_, strict=False)

    def _keep(self, net, epoch):
        self.best_state_ = {
            name: parameter.detach().clone()
            for name, parameter in net.module_.named_parameters()
            if parameter.requires_grad
        }
        self.best_epoch_ = epoch


def fit_lora(language_model, token_ids, labels, initial_outputs, *, loss, **options):
    """Train adapters, in place, and a head.

    Parameters
    ----------
    language_model : LanguageModel
        A model that is not shared. It holds the trained adapters afterwards.
    token_ids : list of n_queries lists of int
        Token ids of the queries.
    labels : ndarray of shape (n_queries, n_outputs) or (n_queries, n_rates)
        See :mod:`sklearn_adaalloc.curves._target`.
    initial_outputs : ndarray of shape (n_outputs,)
        Outputs of the average predictor.
    loss : str
        A key of `LOSSES`.
    **options
        adapter (arguments of :func:`inject_adapter`), layer, pooling, learning_rate,
        weight_decay, batch_size, max_epochs, patience, validation_fraction, verbose and
        random_state (a RandomState), as in :class:`LoRARewardRegressor`.

    Returns
    -------
    adapter : dict of str to ndarray
        Weights of the adapters.
    head : list of ndarray
        Weight (hidden_size, n_outputs) and bias (n_outputs,).
    history : list of dict
        One entry per epoch: train_loss, held_out_loss.
    """
    layer, pooling = options["layer"], options["pooling"]
    states = pooled_states(language_model, token_ids, layer=layer, pooling=pooling)
    deviation = states.std(axis=0)
    training, held_out = _split(
        language_model,
        token_ids,
        labels,
        options["validation_fraction"],
        options["random_state"],
    )
    # torch uses its global generator: fork it so that the caller's does not change.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(int(options["random_state"].randint(2**31 - 1)))
        inject_adapter(language_model, **options["adapter"])
        net = LengthBucketedNet(
            AdaptedLanguageModel,
            module__backbone=language_model.backbone,
            module__layer=layer,
            module__pooling=pooling,
            module__center=states.mean(axis=0),
            module__scale=np.where(deviation > 0, deviation, 1.0),
            module__initial_outputs=initial_outputs,
            criterion=_Criterion,
            criterion__name=loss,
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=options["weight_decay"],
            lr=options["learning_rate"],
            max_epochs=options["max_epochs"],
            batch_size=options["batch_size"],
            train_split=None,
            callbacks=[("stopping", HeldOutStopping(held_out, options["patience"]))],
            device=str(language_model.device),
            verbose=int(options["verbose"]),
        )
        with sdpa_kernel(_KERNELS):
            net.fit(training, None)
    language_model.model.eval()
    history = [
        {
            "epoch": row["epoch"],
            "train_loss": row["train_loss"],
            "held_out_loss": row["out_of_fold_loss"],
        }
        for row in net.history
    ]
    return adapter_arrays(language_model), net.module_.head_arrays(), history


def _split(language_model, token_ids, labels, validation_fraction, random_state):
    """Split into training and held-out queries, with at least one of each."""
    n_queries = len(token_ids)
    n_held_out = min(max(1, round(validation_fraction * n_queries)), n_queries - 1)
    order = random_state.permutation(n_queries)
    return [
        QueryDataset(
            language_model,
            [token_ids[row] for row in rows],
            labels[rows],
            training=training,
        )
        for rows, training in (
            (order[n_held_out:], True),
            (order[:n_held_out], False),
        )
    ]
