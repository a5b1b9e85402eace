"""Public sets of conversations, LMSYS-Chat-1M and Anthropic's HH; and tranches."""

from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._utils.parameters import check_in_interval
from sklearn_adaalloc._utils.rewards import check_rewards
from sklearn_adaalloc.datasets._hub import HubSet
from sklearn_adaalloc.datasets._public import fetch_public

_LMSYS = HubSet(
    repository="lmsys/lmsys-chat-1m",
    parts={"train": ("data/train",)},
    fields={"conversation": list, "turn": int, "language": str, "redacted": bool},
)
_HH = HubSet(
    repository="Anthropic/hh-rlhf",
    parts={"train": ("harmless-base/train",), "test": ("harmless-base/test",)},
    fields={"chosen": str},
    hub_ending=".jsonl.gz",
)
_MAX_TURNS = 9
_LMSYS_DESCRIPTION = """
Conversations with 25 language models in the wild (LMSYS-Chat-1M). A query is a
conversation up to the user's last message; its answer is what the model of that time
replied. Kept are English conversations of fewer than 10 turns that are not redacted. In
the paper: 50,000 training and 5,000 test queries; 8 samples of Gemma (2b-it, 7b-it),
reward by NCSOFT/Llama-3-OffsetBias-RM-8B.
"""
_HH_DESCRIPTION = """
Conversations that tempt a model to do harm (Anthropic HH, harmless-base), in the
official training and test parts. A query is a conversation up to the assistant's last
reply, in the set's own form, "Human: ...", "Assistant: ...", which ends in
"Assistant:"; its answer is the reply that people preferred. In the paper: 8,000
training and 400 test queries; 4 samples of Llama-2-7B with a value function, reward by
OpenAssistant/reward-model-deberta-v3-large-v2. Beware: offensive content.
"""


def fetch_lmsys_chat(
    *,
    n_train=50_000,
    n_validation=0,
    n_test=5_000,
    random_state=0,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
):
    """Fetch LMSYS-Chat-1M: English, fewer than 10 turns, not redacted, as in the paper.

    All splits are drawn from the only part of the set. Conversations must alternate
    between a user and an assistant, and no message before the last reply may be empty.
    Others are excluded, because many chat templates reject them. Every call reads the
    whole set, which takes minutes.

    Parameters
    ----------
    n_train : int or None, default=50000
        Number of training queries; None for all remaining ones.
    n_validation : int, default=0
        Number of validation queries.
    n_test : int, default=5000
        Number of test queries.
    random_state : int, RandomState instance or None, default=0
        Seed of the random splits. Equal files give equal splits.
    data_home : str or path, default=None
        Folder with the files in ``lmsys/lmsys-chat-1m/data/train-*.parquet``, as on the
        hub (``.jsonl`` and ``.json``, also ``.gz``, work too). Missing files are
        downloaded here. None for :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether missing files are downloaded. Needs the extra ``datasets``. The set has
        conditions of use: accept them on its page, and log in with ``hf auth login``.
    return_X_y : bool, default=False
        Whether to return ``(queries_train, queries_validation, queries_test,
        answers_train, answers_validation, answers_test)`` only.

    Returns
    -------
    table : :class:`~sklearn.utils.Bunch`
        queries_train, queries_validation, queries_test : lists of lists of dict
            Chats: messages with "role" and "content". The last message is the user's.
            No two chats are equal, ignoring white space.
        answers_train, answers_validation, answers_test : lists of str
            Replies of the model that the user talked to.
        DESCR : str
            Description of the set, with the number of rows that were read.

    Raises
    ------
    ValueError
        If there are too few queries, or if a file is damaged or incomplete.
    OSError
        If files are missing and may not or cannot be downloaded.
    ImportError
        If the extra ``datasets`` is needed but not installed.

    See Also
    --------
    variance_tranches : The paper's tranches of the test queries.

    Examples
    --------
    With one made-up row instead of the set:

    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets import fetch_lmsys_chat
    >>> from sklearn_adaalloc.datasets._hub import write_rows
    >>> row = {
    ...     "conversation": [
    ...         {"role": "user", "content": "Hello"},
    ...         {"role": "assistant", "content": "Hi, how can I help?"},
    ...     ],
    ...     "turn": 1,
    ...     "language": "English",
    ...     "redacted": False,
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     write_rows(folder, "lmsys/lmsys-chat-1m/data/train", [row])
    ...     table = fetch_lmsys_chat(n_train=1, n_test=0, data_home=folder)
    >>> table.queries_train
    [[{'role': 'user', 'content': 'Hello'}]]
    """
    return fetch_public(
        _LMSYS,
        _lmsys_pair,
        {"train": ("test", "validation", "train")},
        {"train": n_train, "validation": n_validation, "test": n_test},
        description=_LMSYS_DESCRIPTION,
        random_state=random_state,
        data_home=data_home,
        download_if_missing=download_if_missing,
        return_X_y=return_X_y,
    )


def fetch_hh_harmless(
    *,
    n_train=8_000,
    n_validation=0,
    n_test=400,
    random_state=0,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
):
    r"""Fetch the harmlessness part of Anthropic's HH, with the paper's sizes.

    The official parts are not mixed. Test queries are drawn from the test part, all
    others from the training part. A conversation in both belongs to the test part.
    Beware: the content is offensive.

    Parameters
    ----------
    n_train : int or None, default=8000
        Number of training queries; None for all remaining ones.
    n_validation : int, default=0
        Number of validation queries, drawn from the training part.
    n_test : int or None, default=400
        Number of test queries; None for all.
    random_state : int, RandomState instance or None, default=0
        Seed of the random splits. Equal files give equal splits.
    data_home : str or path, default=None
        Folder with the files in
        ``Anthropic/hh-rlhf/harmless-base/{train,test}.jsonl.gz``, as on the hub
        (parquet, ``.jsonl`` and ``.json`` work too). Missing files are downloaded here.
        None for :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether missing files are downloaded. Needs the extra ``datasets``.
    return_X_y : bool, default=False
        Whether to return ``(queries_train, queries_validation, queries_test,
        answers_train, answers_validation, answers_test)`` only.

    Returns
    -------
    table : :class:`~sklearn.utils.Bunch`
        queries_train, queries_validation, queries_test : lists of str
            Conversations in a form that a base model continues: "Human: ...", a blank
            line, "Assistant:". No two are equal, ignoring white space. A reply ends
            where the model writes ``"\n\nHuman:"``. Use this as a stop string of the
            sampler.
        answers_train, answers_validation, answers_test : lists of str
            The reply that people preferred.
        DESCR : str
            Description of the set, with the number of rows that were read.

    Raises
    ------
    ValueError
        If there are too few queries, or if a file is damaged or incomplete.
    OSError
        If files are missing and may not or cannot be downloaded.
    ImportError
        If the extra ``datasets`` is needed but not installed.

    Examples
    --------
    With one made-up row instead of each part:

    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets import fetch_hh_harmless
    >>> from sklearn_adaalloc.datasets._hub import write_rows
    >>> chosen = "\n\nHuman: How do I {}?\n\nAssistant: Rather not."
    >>> with TemporaryDirectory() as folder:
    ...     for part, what in [("train", "pick a lock"), ("test", "forge a coin")]:
    ...         row = {"chosen": chosen.format(what), "rejected": ""}
    ...         write_rows(folder, f"Anthropic/hh-rlhf/harmless-base/{part}", [row])
    ...     table = fetch_hh_harmless(n_train=1, n_test=1, data_home=folder)
    >>> table.queries_test, table.answers_test
    (['Human: How do I forge a coin?\n\nAssistant:'], ['Rather not.'])
    """
    return fetch_public(
        _HH,
        _hh_pair,
        {"test": ("test",), "train": ("validation", "train")},
        {"train": n_train, "validation": n_validation, "test": n_test},
        description=_HH_DESCRIPTION,
        random_state=random_state,
        data_home=data_home,
        download_if_missing=download_if_missing,
        return_X_y=return_X_y,
    )


def variance_tranches(rewards, share=0.1):
    """Select the queries whose rewards vary least and those whose rewards vary most.

    The paper's second experiment on chat uses these two groups together. They are the
    10 % of the test queries with the lowest, and the 10 % with the highest variance of
    the rewards of their samples. For the former, few samples are enough. The latter
    gain from more samples.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples)
        Reward table with at least two samples of each query; NaN for missing ones.
    share : float, default=0.1
        Share of the queries in each tranche, at most one half. The number of queries is
        rounded, but no query is in both tranches.

    Returns
    -------
    low, high : ndarrays of shape (n_tranche,), dtype int64
        Rows of the table, in order. Among equal variances, earlier rows count as lower.

    Raises
    ------
    ValueError
        If `rewards` is not such a table, a query has a single sample, `share` is
        outside (0, 0.5], or a tranche would be empty.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets import variance_tranches
    >>> variance_tranches([[0, 9], [5, 5], [1, 2], [3, 5]], share=0.25)
    (array([1]), array([0]))
    """
    table = check_rewards(rewards)
    share = check_in_interval(share, "share", 0, 0.5, closed="right")
    if table.ndim != 2:
        raise ValueError(
            f"rewards has shape {table.shape}. Expected the table of one decoder, "
            "(n_queries, n_samples): pick one, as in rewards[:, 0]."
        )
    n_samples = (~np.isnan(table)).sum(axis=1)
    if n_samples.min() < 2:
        raise ValueError(
            f"rewards has a single sample in row {n_samples.argmin()}, and so no "
            "variance. Grade at least two answers to each query."
        )
    size = min(round(share * len(table)), len(table) // 2)  # none is in both
    if size == 0:
        raise ValueError(
            f"share={share!r} of {len(table)} queries is less than one query. Expected "
            f"at least {1 / len(table):.2g}."
        )
    order = np.argsort(np.nanvar(table, axis=1), kind="stable")
    return np.sort(order[:size]), np.sort(order[-size:])


def _lmsys_pair(row):
    if row["language"] != "English" or row["redacted"] or row["turn"] > _MAX_TURNS:
        return None
    try:
        roles = [message["role"] for message in row["conversation"]]
        texts = [message["content"] or "" for message in row["conversation"]]
        empty = not all(text.strip() for text in texts[:-1])
    except (AttributeError, KeyError, TypeError):
        raise ValueError(
            f"conversation={short_repr(row['conversation'])} is not accepted. Expected "
            'messages {"role": ..., "content": ...} of text.'
        ) from None
    if empty or not roles or roles != ["user", "assistant"] * (len(roles) // 2):
        return None
    messages = [
        {"role": role, "content": text} for role, text in zip(roles, texts, strict=True)
    ]
    return messages[:-1], texts[-1]


def _hh_pair(row):
    conversation, mark, reply = row["chosen"].rpartition("\n\nAssistant:")
    conversation = conversation.strip()
    if not mark or not conversation.startswith("Human:"):
        return None
    return f"{conversation}\n\nAssistant:", reply.strip()
