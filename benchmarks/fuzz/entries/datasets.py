"""Datasets: made ones, and public sets read from files that may be damaged."""

import gzip
import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.damage import seldom
from benchmarks.fuzz.outcomes import REFUSED, attempt
from benchmarks.fuzz.strategies import (
    asked_and_answered,
    number,
    odd_arrays,
    ragged,
    rarely,
    scalars,
    tables,
    texts,
)
from benchmarks.fuzz.targets import target
from sklearn_adaalloc import datasets


@target(
    "datasets.make_reward_table",
    inputs=2000,
    profile=rarely(scalars, st.sampled_from(["math", "code", "chat", "routing"])),
    n_queries=number(st.integers(1, 9)),
    n_samples=number(st.integers(1, 9)),
    n_features=number(st.integers(1, 4)),
    noise=number(st.floats(0, 5)),
    random_state=number(st.integers(0, 9)),
)
def make_reward_table(n_queries, n_samples, **options):
    table = attempt(datasets.make_reward_table, n_queries, n_samples, **options)
    if table is not REFUSED:
        assert len(table.data) == len(table.rewards) == n_queries
        assert np.isfinite(table.data).all()
        assert np.isfinite(table.rewards).all()


@target(
    "datasets.variance_tranches",
    inputs=2500,
    rewards=rarely(odd_arrays | ragged | tables(), tables(routing=False)),
    share=number(st.floats(0.1, 0.5)),
)
def variance_tranches(rewards, share):
    tranches = attempt(datasets.variance_tranches, rewards, share)
    if tranches is not REFUSED:
        low, high = tranches
        assert len(low) == len(high) > 0
        assert not set(low) & set(high)


_arithmetic = rarely(
    st.text("0123456789+-*/%()=", max_size=9).map("{}=".format) | texts,
    st.sampled_from(
        ["1+1=", "gcd 84 30=", "rev abc=", "7/0=", "9**9=", "(" * 999 + "="]
    ),
)


@target(
    "datasets.grade_arithmetic",
    inputs=2500,
    pair=asked_and_answered(_arithmetic),
)
def grade_arithmetic(pair):
    grades = attempt(datasets.grade_arithmetic, *pair)
    if grades is not REFUSED:
        assert [len(row) for row in grades] == [len(row) for row in pair[1]]
        assert all(np.isin(row, [0.0, 1.0]).all() for row in grades)


@target(
    "datasets.load_arithmetic",
    inputs=100,
    name=rarely(scalars | texts, st.sampled_from(["math", "code", "chat", "routing"])),
    model=scalars | texts | st.sampled_from(["weak", "strong", "reward"]),
)
def load_arithmetic(name, model):
    attempt(datasets.load_arithmetic, name)
    attempt(datasets.embedded_model_path, model)


_CHAT = [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "Yes"}]
_SETS = {
    "numina_math": (
        datasets.fetch_numina_math,
        ["AI-MO/NuminaMath-CoT/data/train"],
        {"problem": "1+1?", "solution": "So $\\boxed{2}$."},
    ),
    "gsm8k": (
        datasets.fetch_gsm8k,
        ["openai/gsm8k/main/train", "openai/gsm8k/main/test"],
        {"question": "1+1?", "answer": "So\n#### 2"},
    ),
    "taco": (
        datasets.fetch_taco,
        ["BAAI/TACO/ALL/train"],
        {
            "question": "Add 1.",
            "starter_code": "",
            "input_output": '{"inputs": ["1\\n"], "outputs": ["2\\n"]}',
            "source": "codeforces",
        },
    ),
    "lmsys_chat": (
        datasets.fetch_lmsys_chat,
        ["lmsys/lmsys-chat-1m/data/train"],
        {"conversation": _CHAT, "turn": 2, "language": "English", "redacted": False},
    ),
    "hh_harmless": (
        datasets.fetch_hh_harmless,
        [
            "Anthropic/hh-rlhf/harmless-base/train",
            "Anthropic/hh-rlhf/harmless-base/test",
        ],
        {"chosen": "\n\nHuman: 1+1\n\nAssistant: Yes"},
    ),
}
_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "inputs"]), inner)
    ),
    max_leaves=5,
)
_changes = st.lists(st.tuples(st.integers(0, 9), _json_values | texts), max_size=3)
_sizes = number(st.sampled_from([1, 1, 1, 0, 2]))


def _write(path, rows, damage):
    """Write rows as JSON lines, some of them zipped, and damage the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    data = gzip.compress(data, mtime=0) if path.suffix == ".gz" else data
    path.write_bytes(damage(data))


@target(
    "datasets.fetch",
    inputs=1500,
    name=st.sampled_from(list(_SETS)),
    ending=rarely(
        st.just(".parquet"), st.sampled_from([".jsonl", ".jsonl.gz", ".json"])
    ),
    n_rows=st.integers(0, 9),
    changes=_changes,
    damage=seldom,
    sizes=st.tuples(_sizes, _sizes, _sizes),
    random_state=number(st.integers(0, 3)),
)
def fetch(name, ending, n_rows, changes, damage, sizes, random_state):
    fetcher, beginnings, right = _SETS[name]
    rows = [json.loads(json.dumps(right).replace("1", f"{i}")) for i in range(n_rows)]
    for place, value in changes[:n_rows]:
        key = list(right)[place % len(right)]
        rows[place % n_rows][key] = value
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        for beginning in beginnings:
            _write(Path(folder, beginning + ending), rows, damage)
        table = attempt(
            fetcher,
            **dict(zip(["n_train", "n_validation", "n_test"], sizes, strict=True)),
            random_state=random_state,
            data_home=folder,
            download_if_missing=False,
            accepted=(ValueError, TypeError, OverflowError, FileNotFoundError),
        )
    if table is not REFUSED:
        assert len(table.queries_train) == len(table["queries_train"])
        assert all(size is None or size >= 0 for size in sizes)
