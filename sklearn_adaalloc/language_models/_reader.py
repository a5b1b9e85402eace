"""What estimators have in common that read hidden states of a language model."""


class HiddenStateReader:
    """Mixin of estimators that read hidden states of a language model.

    They have the parameters `model`, `revision`, `device`, `dtype`, `pooling`,
    `max_length` and `chat_template`. Fitted, they have `layers_`, the states that they
    read, and `fingerprint_` and `commit_` of the checkpoint.
    """
