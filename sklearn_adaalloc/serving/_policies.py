"""A policy made ready for requests: its stream opened, chats turned into texts."""

import re
from collections.abc import Mapping
from reprlib import repr as short_repr

from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc._utils.estimators import unwrap
from sklearn_adaalloc._utils.queries import text_of
from sklearn_adaalloc.decoding._answer import check_decides_alone

_FINGERPRINT = re.compile("[0-9a-f]{32,}")  # of a model that ran in a process


def open_policy(policy, state=None):
    """Open the stream of a policy, and let the policy take chats.

    Parameters
    ----------
    policy : estimator
        A fitted allocator that takes texts, or a pipeline or search that ends in one.
    state : path, default=None
        SQLite file of the stream, which outlives this process.

    Returns
    -------
    opened : Stream or Pipeline
        As decoders take it.
    allocator : estimator
        What decides.
    stream : Stream or None
        None if the policy decides before decoding.

    Raises
    ------
    ValueError
        If the policy does not take texts, if it decides for a batch, or if the file
        belongs to another policy. Also if there is a file, but no stream.
    """
    if not hasattr(policy, "predict"):
        raise ValueError(
            f"policy={short_repr(policy)} is not accepted. Expected a fitted "
            "allocator; load_policy reads one from its folder."
        )
    before, allocator = unwrap(policy)
    check_decides_alone(allocator)
    try:
        policy.predict(["Is this a text?"])
    except NotFittedError:
        raise
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"policy={short_repr(policy)} does not take texts: {error} Expected a "
            "pipeline that starts with features of texts, such as "
            "HiddenStateFeaturizer."
        ) from error
    if not hasattr(allocator, "open") and state is not None:
        raise ValueError(
            f"state={str(state)!r} is given, but {type(allocator).__name__} keeps no "
            "state. Expected a StreamAllocator, or no file."
        )
    stream = allocator.open(path=state) if hasattr(allocator, "open") else None
    # One pipeline, not several in each other: each costs time for each request.
    flat = [step for steps in before for _, step in steps.steps]
    steps = [(f"before{i}", step) for i, step in enumerate(flat)]
    if not _takes_chats(before, allocator):
        steps.insert(0, ("texts", FunctionTransformer(_texts_of)))
    decider = stream or allocator
    opened = Pipeline([*steps, ("decides", decider)]) if steps else decider
    return opened, allocator, stream


def check_answers_of(allocator, samplers):
    """Raise if a policy of one decoder is known to have learnt from another model.

    Policies keep the name of the decoder of their table, if it had one: the model, in a
    table of a store. What a policy does not know is not checked. The model whose hidden
    states it reads may be any; the policy itself checks that it has not changed.

    Parameters
    ----------
    allocator : estimator
        What decides.
    samplers : sampler, or dict with one sampler
        As the user gave them. A name that is given stands for what the policy knows.

    Raises
    ------
    ValueError
        If names differ.
    """
    [learnt] = getattr(allocator, "_decoder_names", None) or [None]
    if learnt is None:
        return
    if isinstance(samplers, Mapping):
        named, [model] = set(samplers), samplers
    else:
        model = getattr(samplers, "model", None)
        settings = getattr(samplers, "settings", None) or {}
        named = {str(model), str(settings.get("model"))}
    # A server only says a name, which no fingerprint can be compared with.
    is_comparable = not _FINGERPRINT.fullmatch(learnt) or len(named) == 2
    if learnt not in named and model is not None and is_comparable:
        raise ValueError(
            f"policy learnt from answers of {learnt!r}, but {str(model)!r} is to "
            "answer. Expected the same model, or a policy that learnt from answers of "
            f"{str(model)!r}. If it is the same under another name, or you accept the "
            f"difference, name it: samplers={{{learnt!r}: ...}}, or on the command "
            f"line --decoder '{learnt}=URL,MODEL'."
        )


def _takes_chats(before, allocator):
    """Whether what reads the queries first knows how to read a chat."""
    first = before[0].steps[0][1] if before else getattr(allocator, "regressor_", None)
    return hasattr(first, "chat_template")


def _texts_of(queries):
    return [text_of(query) for query in queries]
