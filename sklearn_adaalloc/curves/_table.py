"""A reward table with what else is known of each sample: costs, answers, scores."""

from reprlib import repr as short_repr

import numpy as np

from sklearn_adaalloc._utils.numbers import check_numbers, reward_array
from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.queries import query_keys
from sklearn_adaalloc._utils.rewards import check_rewards, has_decoders
from sklearn_adaalloc.curves._answers import (
    NO_ANSWER,
    encode_answers,
    frame_cells,
    group_answers,
)
from sklearn_adaalloc.curves._table_checks import (
    check_costs,
    check_decoders,
    check_scores,
)


class RewardTable:
    """Rewards of sampled answers, with the costs, answers and scores of the samples.

    It is a `y` for scikit-learn: it has a length and a shape, gives rows by slice, mask
    or array of integers, and ``numpy.asarray`` gives its rewards. So splitters,
    searches, pipelines and scorers take it as they take the plain array.

    Parameters
    ----------
    rewards : array-like of shape (n_queries, n_samples) or \
            (n_queries, n_decoders, n_samples)
        Rewards; NaN marks a missing sample. Rows of different lengths are filled up
        with NaN.
    costs : array-like, default=None
        What samples cost, in a unit of yours such as tokens or dollars: one number, one
        per decoder (n_decoders,), one per query (n_queries,) or per query and decoder
        (n_queries, n_decoders), or the shape of `rewards`. Positive where there is a
        reward. None means that costs are not known.
    answers : array-like of the shape of `rewards`, default=None
        Labels to vote on, str or int. None, "" and -1 stand for no answer.
    scores : array-like of the shape of `rewards`, default=None
        What a reranker sees of each sample, where that is not the reward.
    decoders : sequence of n_decoders str, default=None
        Names of the decoders.

    Attributes
    ----------
    rewards : ndarray of shape (n_queries, n_samples) or \
            (n_queries, n_decoders, n_samples)
        Rewards, float64.
    costs : ndarray of the shape of `rewards` or None
        Costs, float64; NaN where there is no sample.
    codes : ndarray of the shape of `rewards` or None
        Answers as numbers, int32: equal answers of a query have equal numbers, from 0
        on; -1 stands for no answer.
    scores : ndarray of the shape of `rewards` or None
        Scores, float64; NaN where there is no sample.
    decoders : list of str or None
        Names of the decoders.

    Raises
    ------
    ValueError
        If a shape does not fit, a cost is zero, negative or NaN where there is a
        reward, there is a score or an answer without a reward or a reward without its
        score, or the rewards are no table.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_adaalloc import RewardTable
    >>> table = RewardTable(
    ...     [[1, 0], [0]], costs=[[120, 80], [300]], answers=[["7", "8"], ["7"]]
    ... )
    >>> table
    RewardTable(2 queries, 2 samples; costs, answers)
    >>> table[1:].costs
    array([[300.,  nan]])
    >>> np.asarray(table)
    array([[ 1.,  0.],
           [ 0., nan]])
    """

    def __init__(
        self, rewards, *, costs=None, answers=None, scores=None, decoders=None
    ):
        self.rewards = check_rewards(rewards, n_decoders=None)
        missing = np.isnan(self.rewards)
        self.decoders = check_decoders(decoders, self.rewards)
        self.costs = None if costs is None else check_costs(costs, missing)
        self.scores = None if scores is None else check_scores(scores, missing)
        self.codes = self._labels = None
        if answers is not None:
            self.codes, self._labels = encode_answers(answers, missing)

    @classmethod
    def _of(cls, rewards, **fields):
        """A table of arrays that were checked before."""
        table = cls.__new__(cls)
        vars(table).update(rewards=rewards, **fields)
        return table

    @classmethod
    def from_frame(
        cls,
        frame,
        *,
        query="query",
        reward="reward",
        decoder=None,
        cost=None,
        answer=None,
        score=None,
    ):
        """Read a table from a frame with one row per sample.

        Parameters
        ----------
        frame : DataFrame of pandas or polars
            Samples, in any order. Those of one query and decoder keep their order.
        query : str, default="query"
            Name of the column with the query of each sample: a text, a number, or a
            chat, a list of messages.
        reward : str, default="reward"
            Name of the column with rewards. A missing one marks a missing sample.
        decoder, cost, answer, score : str, default=None
            Names of further columns, if the frame has them.

        Returns
        -------
        table : RewardTable
            Queries and decoders are in the order in which they first occur.

        Raises
        ------
        ValueError
            If there is no such column, or the values make no table.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_adaalloc import RewardTable
        >>> frame = pd.DataFrame(
        ...     {"query": ["1+1=", "2+2=", "1+1="], "reward": [1, 0, 0], "tokens": 7}
        ... )
        >>> RewardTable.from_frame(frame, cost="tokens")
        RewardTable(2 queries, 2 samples; costs)
        """
        names = {"query": query, "reward": reward, "decoder": decoder, "cost": cost}
        names |= {"answer": answer, "score": score}
        columns = {
            role: _column(frame, name, role)
            for role, name in names.items()
            if name is not None
        }
        row, queries = _number(map(_hashable, columns["query"]))
        place, decoders = _number(columns.get("decoder", ["only"] * len(row)))
        cell = row * len(decoders) + place
        order = np.argsort(cell, kind="stable")
        starts = np.searchsorted(cell[order], cell[order])
        sample = np.empty(len(cell), dtype=np.int64)
        sample[order] = np.arange(len(cell)) - starts
        shape = (len(queries), len(decoders), sample.max(initial=0) + 1)

        def arrange(values, filler, dtype):
            table = np.full(shape, filler, dtype=dtype)
            table[row, place, sample] = values
            return table if "decoder" in columns else table[:, 0]

        fields = {
            f"{role}s": arrange(
                check_numbers(columns[role], role, "numbers"), np.nan, float
            )
            for role in ("reward", "cost", "score")
            if role in columns
        }
        if "answer" in columns:
            fields["answers"] = arrange(columns["answer"], None, object)
        if "decoder" in columns:
            fields["decoders"] = [str(name) for name in decoders]
        return cls(**fields)

    def to_frame(self):
        """Samples as a frame with one row each; needs pandas.

        Returns
        -------
        frame : DataFrame
            Columns `query`, a row of the table, `sample` and `reward`, and `decoder`,
            `cost`, `answer` and `score` where they are known. Samples that are missing
            are left out.

        Examples
        --------
        >>> from sklearn_adaalloc import RewardTable
        >>> RewardTable([[1, 0], [0]]).to_frame()
           query  sample  reward
        0      0       0     1.0
        1      0       1     0.0
        2      1       0     0.0
        """
        pandas = import_optional("pandas", extra="plot")
        given = np.argwhere(~np.isnan(self.rewards))
        columns = {"query": given[:, 0]}
        if has_decoders(self):
            names = self.decoders or list(range(self.shape[1]))
            columns["decoder"] = np.array(names, dtype=object)[given[:, 1]]
        columns |= {"sample": given[:, -1], "reward": self.rewards[tuple(given.T)]}
        known = {"cost": self.costs, "answer": self.answers, "score": self.scores}
        columns |= {
            name: values[tuple(given.T)]
            for name, values in known.items()
            if values is not None
        }
        return pandas.DataFrame(columns)

    @property
    def answers(self):
        """Labels of the samples, ndarray of the shape of `rewards`, or None."""
        if self.codes is None:
            return None
        flat = self.codes.reshape(len(self), -1)
        answers = np.full(flat.shape, None, dtype=object)
        if self._labels is None:
            answers[flat >= 0] = flat[flat >= 0].tolist()
            return answers.reshape(self.codes.shape)
        for row, labels in enumerate(self._labels):
            given = flat[row] >= 0
            answers[row, given] = np.array([*labels, None], dtype=object)[
                flat[row, given]
            ]
        return answers.reshape(self.codes.shape)

    def with_keys(self, key):
        """A table in which answers with equal keys are one.

        Parameters
        ----------
        key : callable
            Takes the list of distinct answers to one query and returns as many keys.
            None, "" and -1 as keys stand for no answer.

        Returns
        -------
        table : RewardTable
            The first of several answers that are the same stands for all.

        Raises
        ------
        ValueError
            If there are no answers, or not as many keys as answers.

        Examples
        --------
        >>> from sklearn_adaalloc import RewardTable
        >>> table = RewardTable([[1, 1, 0]], answers=[["0.5", ".5", "2"]])
        >>> table.with_keys(lambda answers: [float(a) for a in answers]).codes
        array([[0, 0, 1]], dtype=int32)
        """
        if self.codes is None:
            return self
        flat = self.codes.reshape(len(self), -1)
        codes = np.full_like(flat, NO_ANSWER)
        labels = np.empty(len(self), dtype=object)
        for row in range(len(self)):
            numbers = np.unique(flat[row][flat[row] >= 0]).tolist()
            answers = numbers
            if self._labels is not None:
                answers = [self._labels[row][number] for number in numbers]
            same, labels[row] = group_answers(key, answers, row)
            lookup = dict(zip(numbers, same, strict=True))
            codes[row] = [lookup.get(code, NO_ANSWER) for code in flat[row].tolist()]
        fields = {"costs": self.costs, "scores": self.scores, "decoders": self.decoders}
        codes = codes.reshape(self.codes.shape)
        return self._of(self.rewards, codes=codes, _labels=labels, **fields)

    @property
    def shape(self):
        """Shape of the rewards."""
        return self.rewards.shape

    @property
    def ndim(self):
        """Number of axes of the rewards."""
        return self.rewards.ndim

    def __len__(self):
        return len(self.rewards)

    def __array__(self, dtype=None, copy=None):
        if dtype is None or np.dtype(dtype) == self.rewards.dtype:
            return self.rewards.copy() if copy else self.rewards
        if copy is False:
            raise ValueError(f"rewards are float64; dtype={dtype!r} needs a copy.")
        return self.rewards.astype(dtype)

    def __getitem__(self, rows):
        """Rows by slice, mask or integers; one integer gives a table of one query."""
        if isinstance(rows, tuple):  # scikit-learn asks for [rows, ...]
            rows, *rest = rows
            if any(each is not Ellipsis for each in rest):
                raise IndexError(
                    f"a RewardTable gives rows, not {rest!r}. Index its fields, as in "
                    "table.rewards[:, :4]."
                )
        if np.ndim(rows) == 0 and not isinstance(rows, slice):
            rows = [rows]
        if self._labels is None:
            labels = None
        else:
            labels = np.fromiter(self._labels, dtype=object, count=len(self))[rows]
        arrays = {
            name: None if (array := getattr(self, name)) is None else array[rows]
            for name in ("costs", "codes", "scores")
        }
        return self._of(
            self.rewards[rows], decoders=self.decoders, _labels=labels, **arrays
        )

    def _of_decoder(self, decoder):
        """The table of one decoder, without an axis of decoders."""
        arrays = {
            name: None if (array := getattr(self, name)) is None else array[:, decoder]
            for name in ("costs", "codes", "scores")
        }
        names = self.decoders and [self.decoders[decoder]]
        return self._of(
            self.rewards[:, decoder], decoders=names, _labels=self._labels, **arrays
        )

    def head(self, budgets):
        """Keep the first samples of each query; the others are missing then.

        Parameters
        ----------
        budgets : array-like of shape (n_queries,), int
            Number of samples to keep of each query, and of each decoder if there are
            several. Missing samples do not count.

        Returns
        -------
        table : RewardTable
            Of the same shape. A query may have no sample at all.

        Examples
        --------
        >>> from sklearn_adaalloc import RewardTable
        >>> RewardTable([[1, 0], [0, 1]]).head([2, 1]).rewards
        array([[ 1.,  0.],
               [ 0., nan]])
        """
        rank = np.cumsum(~np.isnan(self.rewards), axis=-1)
        taken = rank <= np.reshape(budgets, (-1,) + (1,) * (self.ndim - 1))
        fillers = {"costs": np.nan, "codes": NO_ANSWER, "scores": np.nan}
        arrays = {
            name: np.where(taken, getattr(self, name), filler)
            for name, filler in fillers.items()
            if getattr(self, name) is not None
        }
        table = self[:]
        vars(table).update(rewards=np.where(taken, self.rewards, np.nan), **arrays)
        return table

    def _in_order(self, order):
        """The same table, the samples of each query in another order."""
        arrays = {
            name: np.take_along_axis(array, order, axis=-1)
            for name in ("rewards", "costs", "codes", "scores")
            if (array := getattr(self, name)) is not None
        }
        table = self[:]
        vars(table).update(arrays)
        return table

    def __repr__(self):
        *axes, n_samples = self.shape
        counts = [f"{axes[0]} queries"]
        counts += [f"{n_decoders} decoders" for n_decoders in axes[1:]]
        known = [name for name in ("costs", "answers", "scores") if self._has(name)]
        fields = f"; {', '.join(known)}" if known else ""
        return f"RewardTable({', '.join(counts)}, {n_samples} samples{fields})"

    def _has(self, name):
        return getattr(self, "codes" if name == "answers" else name) is not None


def as_table(rewards, *, n_queries=None, n_decoders=2):
    """Check rewards and make them a table, if they are none yet.

    A table whose axis of decoders has one is the same as one without that axis.

    Parameters
    ----------
    rewards : array-like or RewardTable
        Rewards.
    n_queries : int, default=None
        Number of queries that there must be.
    n_decoders : int, default=2
        Number of decoders that there must be; None for any. It is not used without an
        axis of decoders.

    Returns
    -------
    table : RewardTable

    Raises
    ------
    ValueError
        As of :func:`~sklearn_adaalloc._utils.rewards.check_rewards`.

    Examples
    --------
    >>> from sklearn_adaalloc.curves._table import as_table
    >>> as_table([[0, 1]]).shape
    (1, 2)
    """
    if not isinstance(rewards, RewardTable):
        rewards = RewardTable._of(
            reward_array(rewards),
            **dict.fromkeys(("costs", "codes", "scores", "decoders", "_labels")),
        )
    if has_decoders(rewards) and rewards.shape[1] == 1:
        rewards = rewards._of_decoder(0)
    checked = check_rewards(rewards.rewards, n_queries=n_queries, n_decoders=n_decoders)
    fields = {name: value for name, value in vars(rewards).items() if name != "rewards"}
    return RewardTable._of(checked, **fields)


def _column(frame, name, role):
    """One column of a frame, as a list or array."""
    columns = list(getattr(frame, "columns", ()))
    if name not in columns:
        raise ValueError(
            f"{role}={name!r} is no column of the frame. Expected one of {columns}; "
            f"name the column with the {role} of each sample."
        )
    column = frame[name]
    return list(frame_cells(column)) if role == "answer" else column.to_list()


def _hashable(query):
    """A query that can be a key; a chat becomes one as JSON."""
    try:
        hash(query)
        return query
    except TypeError:
        chat = query.tolist() if isinstance(query, np.ndarray) else query
    try:
        return "chat", *query_keys([chat])
    except (TypeError, ValueError):
        raise ValueError(
            f"query holds {short_repr(query)}. Expected texts, numbers, or chats: "
            'lists of messages {"role": ..., "content": ...} that JSON can hold.'
        ) from None


def _number(values):
    """Number values in the order in which they first occur, and list them."""
    known = {}
    numbers = [known.setdefault(value, len(known)) for value in values]
    return np.array(numbers, dtype=np.int64), list(known)
