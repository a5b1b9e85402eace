"""A policy made ready for requests: its stream opened, chats turned into texts."""

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_adaalloc._utils.estimators import unwrap
from sklearn_adaalloc._utils.queries import text_of
from sklearn_adaalloc.decoding._answer import check_decides_alone


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
    before, allocator = unwrap(policy)
    check_decides_alone(allocator)
    policy.predict(["Is this a text?"])
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


def _takes_chats(before, allocator):
    """Whether what reads the queries first knows how to read a chat."""
    first = before[0].steps[0][1] if before else getattr(allocator, "regressor_", None)
    return hasattr(first, "chat_template")


def _texts_of(queries):
    return [text_of(query) for query in queries]
