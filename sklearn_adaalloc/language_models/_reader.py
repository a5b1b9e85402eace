"""Mixin of estimators that read hidden states of a language model."""


class HiddenStateReader:
    """Mixin of estimators that read hidden states of a language model.

    Such an estimator has the parameters `model`, `revision`, `device`, `dtype`,
    `pooling`, `max_length` and `chat_template`. After `fit` it has `layers_` (the
    states that it reads), and `fingerprint_` and `commit_` of the checkpoint.
    """
