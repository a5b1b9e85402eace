"""Public set of programming problems: TACO."""

import json

from sklearn_adaalloc.datasets._hub import HubSet
from sklearn_adaalloc.datasets._public import fetch_public, truth_by_query

_TACO = HubSet(
    repository="BAAI/TACO",
    parts={"train": ("ALL/train",)},
    fields={
        "question": str,
        "starter_code": (str, type(None)),
        "input_output": (str, type(None)),
        "source": (str, type(None)),
    },
)
_SOURCES_LEFT_OUT = ("geeksforgeeks", "aizu")
_DESCRIPTION = """
Problems of programming contests with unit tests (TACO), from the official training
part. A query is the prompt that TACO's own models were tuned on: the problem, the
starter code, and whether standard input is read. Left out are problems from
geeksforgeeks and aizu, and those without a unit test that can be run. In the paper:
10,000 training, 1,000 validation and 1,000 test queries; 100 samples of StarCoder-15B,
tuned on TACO, at temperature 0.7.
"""


def fetch_taco(
    *,
    n_train=10_000,
    n_validation=1_000,
    n_test=1_000,
    random_state=0,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
):
    r"""Fetch TACO's training part, split as in the paper.

    Problems from geeksforgeeks and aizu are excluded, and so are problems without a
    usable unit test. A test is not usable if it has no inputs, another number of
    outputs than inputs, a function name that is not a name, or a number too long for
    Python to read.

    Parameters
    ----------
    n_train : int or None, default=10000
        Number of training queries; None for all remaining ones.
    n_validation : int, default=1000
        Number of validation queries.
    n_test : int, default=1000
        Number of test queries.
    random_state : int, RandomState instance or None, default=0
        Seed of the random splits. Equal files give equal splits.
    data_home : str or path, default=None
        Folder with the files in ``BAAI/TACO/ALL/train-*.parquet``, as on the hub
        (``.jsonl`` and ``.json``, also ``.gz``, work too). Missing files are downloaded
        here. None for :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether missing files are downloaded. Needs the extra ``datasets``.
    return_X_y : bool, default=False
        Whether to return ``(queries_train, queries_validation, queries_test,
        tests_train, tests_validation, tests_test)`` only.

    Returns
    -------
    table : :class:`~sklearn.utils.Bunch`
        queries_train, queries_validation, queries_test : lists of str
            Prompts. No two are equal, ignoring white space. A completion ends where the
            model writes ``"\nQUESTION"``, ``"\n---"`` or ``"\nANSWER"``. Use these as
            stop strings of the sampler.
        tests_train, tests_validation, tests_test : lists of dict
            ``{"inputs": [...], "outputs": [...]}``, with ``"fn_name"`` if a function is
            called.
        tests : dict
            Query -> tests, for
            :class:`~sklearn_adaalloc.rewards.CodeVerifier`.
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
    With one made-up row instead of the set:

    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets import fetch_taco
    >>> from sklearn_adaalloc.datasets._hub import write_rows
    >>> row = {
    ...     "question": "Print twice the number.",
    ...     "starter_code": "",
    ...     "input_output": '{"inputs": ["2"], "outputs": ["4"]}',
    ...     "source": "codeforces",
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     write_rows(folder, "BAAI/TACO/ALL/train", [row])
    ...     table = fetch_taco(n_train=1, n_validation=0, n_test=0, data_home=folder)
    >>> print(table.queries_train[0].strip())
    QUESTION:
    Print twice the number.
    Use Standard Input format
    ANSWER:
    >>> table.tests_train
    [{'inputs': ['2'], 'outputs': ['4']}]
    """
    table = fetch_public(
        _TACO,
        _taco_pair,
        {"train": ("test", "validation", "train")},
        {"train": n_train, "validation": n_validation, "test": n_test},
        description=_DESCRIPTION,
        truth="tests",
        random_state=random_state,
        data_home=data_home,
        download_if_missing=download_if_missing,
        return_X_y=return_X_y,
    )
    if not return_X_y:
        table.tests = truth_by_query(table, "tests")
    return table


def unit_tests(text):
    """Read the unit tests of a problem.

    Parameters
    ----------
    text : str or None
        JSON of a dict with "inputs", "outputs" and optionally "fn_name".

    Returns
    -------
    tests : dict or None
        Only these keys; None if there is no usable test.

    Raises
    ------
    ValueError
        If `text` is not JSON.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._public_code import unit_tests
    >>> unit_tests('{"inputs": [[2]], "outputs": [4], "fn_name": "double"}')
    {'inputs': [[2]], 'outputs': [4], 'fn_name': 'double'}
    >>> unit_tests('{"inputs": [], "outputs": []}') is None
    True
    """
    if not text:
        return None
    try:
        tests = json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number with too many digits for Python
        return None
    if not isinstance(tests, dict):
        return None
    inputs, outputs = tests.get("inputs"), tests.get("outputs")
    if not (isinstance(inputs, list) and isinstance(outputs, list) and inputs):
        return None
    name = tests.get("fn_name")
    if len(inputs) != len(outputs) or (name and not str(name).isidentifier()):
        return None
    called = {"fn_name": name} if name else {}
    return {"inputs": inputs, "outputs": outputs, **called}


def _taco_pair(row):
    if row["source"] in _SOURCES_LEFT_OUT:
        return None
    try:
        tests = unit_tests(row["input_output"])
    except ValueError as error:
        raise ValueError(
            f"input_output of the problem {row['question'][:60]!r} is not JSON: "
            f"{error}. The files may be damaged: download or copy them again."
        ) from error
    if tests is None:
        return None
    form = "Call-Based" if "fn_name" in tests else "Standard Input"
    problem = row["question"] + (row["starter_code"] or "")
    return f"\nQUESTION:\n{problem}\nUse {form} format\nANSWER:\n", tests
