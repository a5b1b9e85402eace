"""Questions to the blocks of a data set, which stay where they are.

A block is an Arrow table in the object store of a Ray cluster. Tasks run beside it and
send back what the questions of :mod:`sklearn_adaalloc.planning._blocks` ask, so the
driver sees no row but for those.
"""

import numpy as np

from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc.distributed._columns import read_rows, write_rows

KEPT = "sklearn_adaalloc."  # before the names of columns that a decision needs
MOST = 2**20  # entries that blocks may answer with, all together


def decide_jointly(tables, decide_for, *, group=None):
    """Run the joint decision of each group on the blocks of a data set.

    Parameters
    ----------
    tables : list of n_blocks references to Arrow tables
        With columns of what decisions need, see :func:`add_kept`.
    decide_for : callable
        From the values of the groups to a dict: value -> decision of that group, see
        :mod:`sklearn_adaalloc.allocators._in_blocks`. Without groups, the value is
        None.
    group : str, default=None
        Column of the groups. None means that all rows are one group.

    Returns
    -------
    tables : list of n_blocks references to Arrow tables
        With `budget` and `predicted_success` in place of the columns that were needed.
    """
    ray = import_optional("ray", extra="ray")
    sizes = _gather(ray, _count_rows, [(table, group) for table in tables])
    homes = {}  # value -> numbers of the blocks that have rows of the group
    for block, counts in enumerate(sizes):
        for value in counts:
            homes.setdefault(value, []).append(block)
    decisions = decide_for(list(homes))
    searches = {
        value: decisions[value].search([sizes[block][value] for block in own], MOST)
        for value, own in homes.items()
    }
    known = ray.put(decisions)
    answers, plans, shares = dict.fromkeys(searches), {}, [{} for _ in tables]
    while searches:
        questions, asked = {}, [{} for _ in tables]
        for value, search in list(searches.items()):
            try:
                question = search.send(answers[value])
            except StopIteration as end:
                plans[value], own = end.value
                del searches[value]
                for block, share in zip(homes[value], own, strict=True):
                    shares[block][value] = share
                continue
            questions[value] = question
            own = question.own_arguments(len(homes[value]))
            for block, arguments in zip(homes[value], own, strict=True):
                asked[block][value] = arguments
        common = {v: (each.function, each.shared) for v, each in questions.items()}
        common = ray.put(common)  # once, and not for each task
        task = ray.remote(_answer)
        told = [
            task.remote(table, group, known, common, own) if own else None
            for table, own in zip(tables, asked, strict=True)
        ]
        answers = _collect(ray, questions, told, homes)
    finish, plans = ray.remote(_finish), ray.put(plans)
    return [
        finish.remote(table, group, known, plans, share)
        for table, share in zip(tables, shares, strict=True)
    ]


def add_kept(table, kept):
    """Add what a decision needs of each row to a table, as columns."""
    for name, rows in kept.items():
        table = table.append_column(KEPT + name, write_rows(rows))
    return table


def rows_of_groups(table, group):
    """Row numbers of each group in a table, as a dict; None stands for all rows.

    Examples
    --------
    >>> import pyarrow
    >>> from sklearn_adaalloc.distributed._blocks import rows_of_groups
    >>> table = pyarrow.table({"tier": ["free", "paid", "free"]})
    >>> rows_of_groups(table, "tier")
    {'free': array([0, 2]), 'paid': array([1])}
    """
    if group is None:
        return {None: slice(None)} if table.num_rows else {}
    if table[group].null_count:
        raise ValueError(
            f"group={group!r} has {table[group].null_count} rows without a value. "
            "Expected one in each row: fill them, as with a group of their own."
        )
    codes = table[group].combine_chunks().dictionary_encode()
    order = np.argsort(codes.indices.to_numpy(), kind="stable")
    counts = np.bincount(codes.indices.to_numpy(), minlength=len(codes.dictionary))
    parts = np.split(order, np.cumsum(counts)[:-1]) if len(counts) else []
    return dict(zip(codes.dictionary.to_pylist(), parts, strict=True))


def write_budgets(table, budgets, expected):
    """Add the columns `budget` and `predicted_success` to a table."""
    table = table.append_column("budget", write_rows(budgets))
    return table.append_column("predicted_success", write_rows(expected))


def _collect(ray, questions, told, homes):
    """Answers to the questions of all groups, one block after the other."""
    queues = {value: [] for value in questions}
    answers = {}
    for block, reference in enumerate(told):
        if reference is None:
            continue
        for value, answer in ray.get(reference).items():
            waiting = queues[value]
            waiting.append(answer)
            is_last = block == homes[value][-1]
            if questions[value].combine is not None or is_last:
                answers[value] = questions[value].collect(waiting)
                queues[value] = [answers[value]]
    return answers


def _gather(ray, function, arguments):
    """Results of a task for each of some arguments, in their order."""
    task = ray.remote(function)
    return ray.get([task.remote(*each) for each in arguments])


def _count_rows(table, group):
    if group is None:
        return {None: table.num_rows} if table.num_rows else {}
    return {value: len(rows) for value, rows in rows_of_groups(table, group).items()}


def _answer(table, group, decisions, common, questions):
    kept, rows = _kept(table), rows_of_groups(table, group)
    answers = {}
    for value, own in questions.items():
        function, shared = common[value]
        view = decisions[value].view({k: v[rows[value]] for k, v in kept.items()})
        answers[value] = function(view, *shared, *own)
    return answers


def _finish(table, group, decisions, plans, shares):
    kept = _kept(table)
    results = {}
    for value, rows in rows_of_groups(table, group).items():
        own = {name: values[rows] for name, values in kept.items()}
        results[value] = rows, decisions[value].decide(own, plans[value], shares[value])
    table = table.drop_columns([KEPT + name for name in kept])
    return write_budgets(table, *assemble(results, table.num_rows))


def assemble(results, n_rows):
    """Arrays of all rows, from those of each group.

    Parameters
    ----------
    results : dict
        Group -> its rows, and a tuple of arrays with one row for each of them.
    n_rows : int
        Number of all rows.

    Returns
    -------
    arrays : list of ndarrays with n_rows rows
    """
    (_, first), *_ = results.values()
    whole = [np.empty((n_rows, *each.shape[1:]), dtype=each.dtype) for each in first]
    for rows, parts in results.values():
        for array, part in zip(whole, parts, strict=True):
            array[rows] = part
    return whole


def _kept(table):
    """What decisions need, as a dict of arrays."""
    names = [name for name in table.column_names if name.startswith(KEPT)]
    return {name.removeprefix(KEPT): _numbers(table[name]) for name in names}


def _numbers(column):
    if hasattr(column.type, "list_size"):
        return read_rows(column)
    return column.to_numpy()
