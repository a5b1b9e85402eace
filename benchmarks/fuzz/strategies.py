"""What is drawn: tables, budgets and texts as they should be, and as they come.

Sizes are small or absurd (from 2**31): in between they ask for memory, not for checks.
"""

from fractions import Fraction

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse

ABSURD = (2**31, 2**63 - 1, 2**63, 2**64, 10**30, 10**400)

wild_floats = st.floats() | st.sampled_from([1e300, -1e300, 1e-300, 5e-324])
whole = st.integers(-1, 9) | st.sampled_from(ABSURD) | st.sampled_from([-(10**400)])
scalars = st.one_of(
    whole,
    wild_floats,
    st.sampled_from(
        [
            None,
            True,
            "",
            "3",
            b"3",
            3j,
            Fraction(5, 2),
            np.float32(1.5),
            np.int8(2),
            np.nan,
            np.array(2),
            np.array([1]),
            np.datetime64("2026-01-01"),
            [],
            [1.0],
            (),
            {},
            {"a": 1},
            object(),
            len,
        ]
    ),
)
"""Anything at all in place of a number."""


def number(good):
    """Mostly what is wanted, now and then anything."""
    return rarely(scalars, good)


def rarely(odd, good):
    """Draw one strategy once in sixteen times, and else the other."""
    return st.integers(0, 15).flatmap(lambda i: odd if i == 15 else good)


def arrays(shape, cells, dtype=np.float64):
    """Arrays of a shape whose cells are picked from a list, a byte each."""
    cells = np.asarray(cells, dtype=dtype)
    size = int(np.prod(shape))
    return st.binary(min_size=size, max_size=size).map(
        lambda data: cells[np.frombuffer(data, np.uint8) % len(cells)].reshape(shape)
    )


BINARY = [0.0, 1.0]
REAL = [0.0, 1.0, *np.linspace(-2, 3, 29)]
UNIT = np.linspace(0, 1, 33)
GAPS = [*REAL, np.nan, np.nan, np.nan]
EXTREMES = [1e-300, 5e-324, -0.0, 1e12, -1e12, 1e30, -1e30]
BEYOND = [np.inf, -np.inf, np.nan, 1.1e30, 1e308, -1e308]
ODD = [*EXTREMES, *BEYOND, 0.0, 1.0]

_shapes = st.lists(st.integers(0, 3), max_size=4)
_DTYPES = [
    "f2",
    "f4",
    "f8",
    "i1",
    "i8",
    "u8",
    "?",
    "c16",
    "U3",
    "S3",
    "M8[s]",
    "m8[s]",
    "V8",
]
_odd_containers = st.sampled_from(
    [
        None,
        0,
        "1 0",
        b"10",
        {},
        {1, 2},
        {"a": [1]},
        range(3),
        object(),
        iter(()),
        [[[]]],
        [[], [1]],
        [[1], 2],
        [[1], [[2]]],
        [None, 1],
        ["1", "0"],
        [1, "x"],
        [[1, 0], [0, 1j]],
        [10**400],
        [[10**400, 1]],
        [2**63],
        [True, False],
        np.float64(3),
        np.array(5),
        np.empty((0, 3)),
        np.empty((3, 0)),
        np.empty((2, 0, 3)),
        np.eye(2).view(np.matrix),
        np.ma.masked_array([[1.0, 0.0]], [[True, True]]),
        np.ma.masked_array([[1.0, 0.0], [0.0, 1.0]], [[True, False], [False, False]]),
        sparse.csr_matrix(np.eye(2)),
        pd.DataFrame({"a": [1, 0], "b": [0.5, None]}),
        pd.DataFrame({"a": ["x", "y"]}),
        pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
        pd.Series([1.0, 0.0]),
        pd.Series(pd.array([1, None], dtype="Int64")),
        pd.Series(["a", None]),
        np.array([[1, None], [None, 0]], dtype=object),
        np.array([{}, []], dtype=object),
    ]
)


@st.composite
def _typed_arrays(draw):
    """Arrays of any type and shape, filled from raw bytes."""
    shape = draw(_shapes)
    dtype = np.dtype(draw(st.sampled_from(_DTYPES)))
    size = int(np.prod(shape)) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype.kind == "U":  # not every four bytes are a character
        return np.full(shape, "3" if data[:1] else "a")
    return np.frombuffer(data, dtype).reshape(shape).copy()


odd_arrays = st.one_of(
    _odd_containers,
    _odd_containers,
    _typed_arrays(),
    st.lists(st.lists(scalars, max_size=3), max_size=3),
    st.lists(scalars, max_size=4),
)
"""Arrays, tables and containers of any kind."""

_TABLES = (BINARY, BINARY, REAL, REAL, GAPS, [*REAL, *EXTREMES], [*REAL, *ODD])


@st.composite
def tables(draw, n_queries=None, routing=None):
    """Reward tables that are right, all but for a few odd cells."""
    rows = n_queries or draw(st.integers(1, 7))
    samples = draw(st.integers(1, 6))
    routed = draw(st.booleans()) if routing is None else routing
    shape = (rows, 2, samples) if routed else (rows, samples)
    return draw(arrays(shape, draw(st.sampled_from(_TABLES))))


ragged = st.lists(st.lists(st.sampled_from(GAPS), max_size=4), max_size=5)
reward_tables = rarely(ragged | odd_arrays, tables())
"""Reward tables, sometimes anything else."""


def budgets_for(n_queries, largest=6):
    """Budgets of that many queries, seldom something else."""
    one = st.floats(0, largest) | st.integers(0, largest)
    right = arrays((n_queries,), range(largest + 1), int) | one
    some_odd = st.lists(whole, min_size=n_queries, max_size=n_queries)
    return rarely(some_odd | number(one) | odd_arrays, right)


@st.composite
def tables_and(draw, other, **options):
    """A table with something made for its number of queries by `other(n_queries)`."""
    if draw(st.integers(0, 9)) == 0:
        return draw(reward_tables), draw(other(draw(st.integers(1, 4))))
    table = draw(tables(**options))
    return table, draw(other(len(table)))


_characters = st.characters(codec=None)  # lone surrogates and control characters, too
texts = st.one_of(
    st.text(st.sampled_from("0123456789+-*= abc"), max_size=12),
    st.text(_characters, max_size=20),
    st.sampled_from(
        [
            "",
            " ",
            "\x00",
            "\ud800",
            "\udfff\ud800",
            "👩‍👩‍👧‍👦",
            "\u202eabc",
            "\r\n\t",
            "a" * 5000,
            "<|endoftext|>",
            "é" * 300,
            "{{ x }}",
            "%s%n",
            "27+48=",
        ]
    ),
)
"""Texts as people and other programs send them."""

_messages = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "assistant"]), "content": texts}
    ),
    st.fixed_dictionaries({"role": scalars, "content": scalars | texts}),
    st.dictionaries(st.sampled_from(["role", "content", "x"]), scalars, max_size=3),
)
chats = st.lists(_messages, max_size=3)
queries = st.one_of(
    st.lists(texts, min_size=1, max_size=3),
    st.lists(texts | chats, max_size=3),
    st.lists(texts | scalars, max_size=3),
    st.sampled_from(
        [
            None,
            "one",
            b"one",
            {"a": 1},
            np.array(["a", "b"]),
            np.array([["a"]]),
            np.array("a"),
            np.array([b"a"]),
            pd.Series(["a", None]),
            pd.Series(["a", "b"], dtype="string"),
            pd.DataFrame({"a": ["b"]}),
            {"a", "b"},
            range(2),
            np.eye(2),
            [np.str_("a")],
        ]
    ),
)
"""Queries: texts, chats, and what is neither."""


@st.composite
def asked_and_answered(draw, asked=texts):
    """Queries and as many lists of answers, or what is neither."""
    if draw(st.integers(0, 9)) == 0:
        return draw(queries), draw(odd_arrays | st.lists(st.lists(texts | scalars)))
    right = draw(st.lists(asked, min_size=1, max_size=3))
    rows = st.lists(texts, max_size=2)
    return right, [draw(rarely(scalars | st.lists(scalars), rows)) for _ in right]
