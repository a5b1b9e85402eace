"""Budgets of the queries of a data set on a Ray cluster."""

import gc
import pickle
from copy import copy
from functools import partial
from numbers import Real
from pathlib import Path
from reprlib import repr as short_repr

from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from sklearn_adaalloc._utils.estimators import unwrap
from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc._utils.parameters import check_whole
from sklearn_adaalloc.distributed._blocks import (
    KEPT,
    add_kept,
    assemble,
    decide_jointly,
    rows_of_groups,
    write_budgets,
)
from sklearn_adaalloc.distributed._columns import read_queries
from sklearn_adaalloc.distributed._pool import is_loss
from sklearn_adaalloc.persistence import load_policy

_NEW = ("budget", "predicted_success")
_MOST_LOSSES = 5  # of nodes, after all is predicted


def predict_budgets(
    policy,
    dataset,
    *,
    column="query",
    budget=None,
    group=None,
    keep=None,
    batch_size=1024,
    concurrency=None,
    num_gpus=0,
):
    """Predict the budget of each row of a Ray data set; needs the extra ``ray``.

    Features and predictions are computed by a pool of actors, batch by batch. Rows are
    never gathered in one place. A policy that decides jointly, such as
    `AdaptiveAllocator`, still gets its exact price: each block of rows counts its
    marginal rewards above some candidate prices, and the price is narrowed down until
    it is that of `predict` on all rows together. Ties are broken in the same order.

    Parameters
    ----------
    policy : estimator, str or path
        A fitted allocator, or a pipeline or search that contains one. Or the folder of
        a saved policy, which all nodes of the cluster must see. With several machines,
        a policy in memory is sent to each of them.
    dataset : ray.data.Dataset
        Queries.
    column : str, default="query"
        Column of the queries: texts, chats, or vectors of numbers if the policy takes
        features.
    budget : float or dict, default=None
        Mean budget per query. A dict has one for each group. None means the policy's
        own.
    group : str, default=None
        Column of groups. Each group then has the budget for itself, and shares it with
        no other. None means that all rows share it.
    keep : list of str, default=None
        Columns of the data set that the result has. None means all. Columns that are
        not kept take no room in the object store.
    batch_size : int, default=1024
        Number of rows that an actor predicts at a time.
    concurrency : int or tuple of two int, default=None
        Number of actors, or the least and the largest number. None means as many as the
        cluster has room for. An actor reserves one CPU, or less if none were left to
        read the data set.
    num_gpus : float, default=0
        GPUs that each actor needs.

    Returns
    -------
    dataset : ray.data.Dataset
        The same rows, with two more columns. `budget` is a number of samples, or a list
        with one for each decoder. `predicted_success` is the reward that is expected at
        that budget, such as the chance of success. If the policy decides jointly, the
        rows are in the order of `dataset`, and the result is in the object store.
        Otherwise nothing is computed before the result is read.

    Raises
    ------
    ImportError
        If Ray is not installed.
    NotFittedError
        If the policy is not fitted.
    ValueError
        If `dataset` is not a Ray data set, has no rows or lacks a column, if the policy
        cannot decide in blocks, or if a group has no budget.

    See Also
    --------
    AdaptiveAllocator : Its `predict` does the same in one process.

    Notes
    -----
    The budgets are those of `predict` on all rows as long as predictions are. What a
    regressor predicts can differ in the last digits with the number of rows that it
    gets at a time. A step whose marginal reward is as near to the price as that may
    then go to another query. The number of samples that are bought stays the same.

    Examples
    --------
    >>> from sklearn_adaalloc.distributed import predict_budgets

    On a cluster, or on a laptop, where Ray starts a cluster of one node:

    .. code-block:: python

        import ray

        queries = ray.data.read_parquet("queries.parquet")
        budgets = predict_budgets("policy", queries, column="prompt", budget=8)
        budgets.write_parquet("budgets")
    """
    ray_data = import_optional("ray.data", extra="ray")
    columns = _check_columns(dataset, ray_data, [column, group, *(keep or [])])
    batch_size = check_whole(batch_size, "batch_size", least=1)
    least, most = _check_concurrency(concurrency)
    folder = isinstance(policy, str | Path)
    _, allocator = unwrap(load_policy(policy) if folder else policy)
    check_is_fitted(allocator)
    if not hasattr(allocator, "_in_blocks"):
        raise ValueError(
            f"policy ends in {allocator!r}, which has no rule for queries in several "
            "blocks. Expected one such as AdaptiveAllocator, SequentialAllocator, "
            "PricedAllocator, BinnedAllocator or StreamAllocator."
        )
    _check_budgets(budget, group)
    budgeted = partial(_with_budget, allocator, budget)
    groups = list(budget) if isinstance(budget, dict) else [None]
    decisions = [budgeted(value)._in_blocks() for value in groups]  # each may raise
    ray = import_optional("ray", extra="ray")
    settings = {
        # As it is now, and for as long as a lost row may have to be computed again.
        "policy": str(policy) if folder else ray.cloudpickle.dumps(policy),
        "column": column,
        "kept_columns": list(columns if keep is None else keep),
        "group": group,
    }
    options = {
        "batch_size": batch_size,
        "batch_format": "pyarrow",
        "compute": ray_data.ActorPoolStrategy(min_size=least, max_size=most),
        "num_gpus": num_gpus,
        "num_cpus": _cpus_of_actor(ray, least, num_gpus),
    }
    if decisions[0] is None:
        settings["budget"] = budget
        return dataset.map_batches(
            _LoneDecider, fn_constructor_kwargs=settings, **options
        )
    predicted = dataset.map_batches(
        _Predictor, fn_constructor_kwargs=settings, **options
    )

    def decide_for(values):
        return {value: budgeted(value)._in_blocks() for value in values}

    n_losses = 0
    while True:
        try:
            tables = _in_order(predicted).to_arrow_refs()
            tables = decide_jointly(tables, decide_for, group=group)
            return ray_data.from_arrow_refs(tables)
        except Exception as error:
            # Left to a later collection of garbage, this would keep actors and CPUs.
            error.__context__ = None
            gc.collect()
            # What a lost node held of predictions can only be had from new actors.
            n_losses += 1
            if n_losses > _MOST_LOSSES or not is_loss(ray, error):
                raise


class _Actor:
    """Holds a policy and reads queries."""

    def __init__(self, policy, column, kept_columns, group, budget=None):
        is_folder = isinstance(policy, str)
        policy = load_policy(policy) if is_folder else pickle.loads(policy)
        self._before, self._allocator = unwrap(policy)
        self._column = column
        self._kept_columns = kept_columns
        self._group = group
        self._budget = budget
        self._budgeted = {}  # group -> allocator with its budget

    def _read(self, table):
        """Input of the allocator."""
        X = read_queries(table[self._column])
        for steps in self._before:
            X = steps.transform(X)
        return X


class _Predictor(_Actor):
    """Adds what a joint decision needs to batches of rows."""

    def __call__(self, table):
        kept = self._allocator._keep(self._read(table))
        names = dict.fromkeys([*self._kept_columns, *filter(None, [self._group])])
        return add_kept(table.select(list(names)), kept)


class _LoneDecider(_Actor):
    """Adds budgets to batches of rows, each of which is decided alone."""

    def __call__(self, table):
        X, results = self._read(table), {}
        for value, rows in rows_of_groups(table, self._group).items():
            if value not in self._budgeted:  # its rule is solved once
                own = _with_budget(self._allocator, self._budget, value)
                self._budgeted[value] = own
            own = X if self._group is None else _safe_indexing(X, rows)
            results[value] = rows, self._budgeted[value]._decide_alone(own)
        table = table.select(self._kept_columns)
        return write_budgets(table, *assemble(results, table.num_rows))


def _with_budget(allocator, budget, value):
    """A copy of an allocator with the budget of a group."""
    if isinstance(budget, dict):
        if value not in budget:
            raise ValueError(
                f"budget={short_repr(budget)} has no budget for the group {value!r}. "
                "Expected one for each value of the column of groups."
            )
        budget = budget[value]
    return allocator if budget is None else copy(allocator).set_params(budget=budget)


def _cpus_of_actor(ray, n_actors, num_gpus):
    """CPUs that each actor reserves, such that one is left to read the data set.

    Without it, actors would wait for rows for ever, and readers for a CPU.
    """
    n_cpus = ray.cluster_resources().get("CPU", 1)
    if num_gpus or n_actors < n_cpus:
        return None
    return max(n_cpus - 1, 0.5) / n_actors


def _in_order(dataset):
    """Rows of a data set in the object store, in the order of its source."""
    options = dataset.context.execution_options
    before = options.preserve_order
    options.preserve_order = True
    try:
        return dataset.materialize()
    finally:
        options.preserve_order = before


def _check_columns(dataset, ray_data, needed):
    """Names of the columns of a data set, which must contain some."""
    if not isinstance(dataset, ray_data.Dataset):
        raise ValueError(
            f"dataset={short_repr(dataset)} is not accepted. Expected a "
            "ray.data.Dataset, as from ray.data.read_parquet or ray.data.from_pandas."
        )
    columns = dataset.columns()
    if columns is None:
        raise ValueError("dataset has no rows. Give at least one.")
    missing = [name for name in needed if name is not None and name not in columns]
    if missing:
        raise ValueError(
            f"dataset has the columns {columns}, and lacks {missing}. Name the columns "
            "of the queries and of the groups in column= and group=."
        )
    taken = [name for name in columns if name in _NEW or name.startswith(KEPT)]
    if taken:
        raise ValueError(
            f"dataset has the columns {taken} already, which the result gets. Drop or "
            "rename them."
        )
    return columns


def _check_concurrency(concurrency):
    """The least and the largest number of actors, which is None for any."""
    if concurrency is None:
        return 1, None
    if not isinstance(concurrency, tuple):
        concurrency = (concurrency, concurrency)
    if len(concurrency) != 2:
        raise ValueError(
            f"concurrency={concurrency!r} is not accepted. Expected a whole number, or "
            "a tuple with the least and the largest number of actors."
        )
    least = check_whole(concurrency[0], "concurrency", least=1)
    return least, check_whole(concurrency[1], "concurrency", least=least)


def _check_budgets(budget, group):
    if isinstance(budget, dict) and group is None:
        raise ValueError(
            f"budget={short_repr(budget)} has budgets of groups, but group is None. "
            "Expected the column of the groups as group=, or one number."
        )
    if not (budget is None or isinstance(budget, dict | Real)):
        raise ValueError(
            f"budget={budget!r} is not accepted. Expected a number, a dict with one "
            "for each group, or None for the budget of the policy."
        )
