"""Columns of Arrow tables as arrays and texts, and back."""

import numpy as np

from sklearn_adaalloc._utils.optional import import_optional


def read_queries(column):
    """Queries in a column of a table.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Texts, chats, or vectors of numbers.

    Returns
    -------
    queries : list of n_queries str or lists of dict, or ndarray of shape \
            (n_queries, n_features)

    Raises
    ------
    ValueError
        If it holds something else, or if a row has no value.

    Examples
    --------
    >>> import pyarrow
    >>> from sklearn_adaalloc.distributed._columns import read_queries
    >>> read_queries(pyarrow.chunked_array([[[1.0, 2.0]], [[3.0, 4.0]]]))
    array([[1., 2.],
           [3., 4.]])
    """
    pa = import_optional("pyarrow", extra="ray")
    kind = column.type
    if column.null_count:
        raise ValueError(
            f"column has {column.null_count} rows without a value. Expected a query in "
            "each row: drop the others, as with dataset.filter."
        )
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    checks = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view
    if any(check(kind) for check in checks):
        return column.to_pylist()
    if _is_list(kind) and pa.types.is_struct(kind.value_type):
        return [_without_none(chat) for chat in column.to_pylist()]
    numbers = read_rows(column) if _is_list(kind) or hasattr(kind, "shape") else None
    if numbers is None or numbers.ndim != 2 or numbers.dtype.kind not in "biuf":
        raise ValueError(
            f"column has the type {kind}. Expected texts, chats (lists of messages "
            "with role and content), or vectors of numbers of one length."
        )
    return numbers


def read_rows(column):
    """Lists of numbers of one length as an array, a view where possible.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Lists, or tensors of Ray.

    Returns
    -------
    rows : ndarray of shape (n_rows, n_columns), or None if lengths differ
    """
    pa = import_optional("pyarrow", extra="ray")
    kind = column.type
    if hasattr(kind, "shape"):
        chunks = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks]
        return np.concatenate(chunks)
    whole = column.combine_chunks()
    flat = whole.flatten().to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(kind):
        return flat.reshape(len(whole), kind.list_size)
    if len(whole) == 0 or len(flat) % len(whole):
        return None
    lengths = np.diff(whole.offsets.to_numpy())
    return flat.reshape(len(whole), -1) if np.ptp(lengths) == 0 else None


def write_rows(rows):
    """A column with a list for each row of an array, or with a number.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,) or (n_rows, n_columns)

    Returns
    -------
    column : pyarrow.Array
    """
    pa = import_optional("pyarrow", extra="ray")
    if rows.ndim == 1:
        return pa.array(rows)
    flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def _is_list(kind):
    types = import_optional("pyarrow", extra="ray").types
    checks = types.is_list, types.is_large_list, types.is_fixed_size_list
    return any(check(kind) for check in checks)


def _without_none(chat):
    """Messages without the keys that only other messages have."""
    return [
        {key: value for key, value in message.items() if value is not None}
        for message in chat
    ]
