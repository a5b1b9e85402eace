"""Public sets of mathematical problems: NuminaMath-CoT, MATH and GSM8K."""

from sklearn_adaalloc.datasets._hub import HubSet
from sklearn_adaalloc.datasets._public import fetch_public, truth_by_query
from sklearn_adaalloc.datasets._solutions import boxed_answer, is_multiple_choice

_NUMINA = HubSet(
    repository="AI-MO/NuminaMath-CoT",
    parts={"train": ("data/train",)},
    fields={"problem": str, "solution": str},
)
_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)
_MATH = HubSet(
    repository="EleutherAI/hendrycks_math",
    parts={
        part: tuple(f"{subject}/{part}" for subject in _SUBJECTS)
        for part in ("train", "test")
    },
    fields={"problem": str, "solution": str},
)
_GSM8K = HubSet(
    repository="openai/gsm8k",
    parts={"train": ("main/train",), "test": ("main/test",)},
    fields={"question": str, "answer": str},
)
_NUMINA_DESCRIPTION = r"""
Problems of school mathematics and of competitions (NuminaMath-CoT). A query is the
problem; its answer is what the last \boxed of the solution holds. Left out are
multiple-choice questions and problems whose solution ends with no such answer. In the
paper: 15,000 training, 2,000 validation and 3,000 test queries; 128 samples of
Mathstral-7B at temperature 0.7.
"""
_MATH_DESCRIPTION = r"""
Competition problems in seven subjects (MATH, Hendrycks et al. 2021), in the official
training and test parts. A query is the problem; its answer is what the last \boxed of
the solution holds.
"""
_GSM8K_DESCRIPTION = """
Word problems of grade school (GSM8K, Cobbe et al. 2021), in the official training and
test parts. A query is the question; its answer is the number after ####, without
commas.
"""


def fetch_numina_math(
    *,
    n_train=15_000,
    n_validation=2_000,
    n_test=3_000,
    random_state=0,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
):
    r"""Fetch NuminaMath-CoT without multiple-choice questions, split as in the paper.

    All splits are drawn from the training part of the set. Excluded are questions that
    list their choices or whose answer is a single letter from A to E, also in doubtful
    cases. Problems without a ``\boxed`` answer, such as proofs, are excluded too. Every
    call reads the whole set, which takes minutes.

    Parameters
    ----------
    n_train : int or None, default=15000
        Number of training queries; None for all remaining ones.
    n_validation : int, default=2000
        Number of validation queries.
    n_test : int, default=3000
        Number of test queries.
    random_state : int, RandomState instance or None, default=0
        Seed of the random splits. Equal files give equal splits.
    data_home : str or path, default=None
        Folder with the files in ``AI-MO/NuminaMath-CoT/data/train-*.parquet``, as on
        the hub (``.jsonl`` and ``.json``, also ``.gz``, work too). Missing files are
        downloaded here. None for :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether missing files are downloaded. Needs the extra ``datasets``.
    return_X_y : bool, default=False
        Whether to return ``(queries_train, queries_validation, queries_test,
        answers_train, answers_validation, answers_test)`` only.

    Returns
    -------
    table : :class:`~sklearn.utils.Bunch`
        queries_train, queries_validation, queries_test : lists of str
            Problems. No two are equal, ignoring white space.
        answers_train, answers_validation, answers_test : lists of str
            The right answers, in LaTeX.
        references : dict
            Query -> answer, for
            :class:`~sklearn_adaalloc.rewards.MathVerifier`.
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
    With two made-up rows instead of the set:

    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets import fetch_numina_math
    >>> from sklearn_adaalloc.datasets._hub import write_rows
    >>> rows = [
    ...     {"problem": "Find $6 \\cdot 7$.", "solution": "It is $\\boxed{42}$."},
    ...     {"problem": "2+2? (A) 3 (B) 4 (C) 5", "solution": "$\\boxed{B}$"},
    ... ]
    >>> with TemporaryDirectory() as folder:
    ...     write_rows(folder, "AI-MO/NuminaMath-CoT/data/train", rows)
    ...     table = fetch_numina_math(
    ...         n_train=1, n_validation=0, n_test=0, data_home=folder
    ...     )
    >>> table.queries_train, table.answers_train
    (['Find $6 \\cdot 7$.'], ['42'])
    """
    return _with_references(
        _NUMINA,
        _numina_pair,
        {"train": ("test", "validation", "train")},
        {"train": n_train, "validation": n_validation, "test": n_test},
        description=_NUMINA_DESCRIPTION,
        random_state=random_state,
        data_home=data_home,
        download_if_missing=download_if_missing,
        return_X_y=return_X_y,
    )


def fetch_math(
    *,
    n_train=None,
    n_validation=0,
    n_test=None,
    random_state=0,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
):
    r"""Fetch MATH, the competition problems of Hendrycks et al.

    The official parts are not mixed. Test queries come from the test part, all others
    from the training part. A problem in both belongs to the test part.

    Parameters
    ----------
    n_train : int or None, default=None
        Number of training queries; None for all remaining ones.
    n_validation : int, default=0
        Number of validation queries, drawn from the training part.
    n_test : int or None, default=None
        Number of test queries; None for all.
    random_state : int, RandomState instance or None, default=0
        Seed of the random splits. A part that is used completely keeps its order.
    data_home : str or path, default=None
        Folder with the files in
        ``EleutherAI/hendrycks_math/SUBJECT/{train,test}-*.parquet`` for all seven
        subjects, as on the hub (``.jsonl`` and ``.json``, also ``.gz``, work too).
        Missing files are downloaded here. None for
        :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether missing files are downloaded. Needs the extra ``datasets``.
    return_X_y : bool, default=False
        Whether to return ``(queries_train, queries_validation, queries_test,
        answers_train, answers_validation, answers_test)`` only.

    Returns
    -------
    table : :class:`~sklearn.utils.Bunch`
        queries_train, queries_validation, queries_test : lists of str
            Problems. No two are equal, ignoring white space.
        answers_train, answers_validation, answers_test : lists of str
            The right answers, in LaTeX.
        references : dict
            Query -> answer, for
            :class:`~sklearn_adaalloc.rewards.MathVerifier`.
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
    With one made-up row instead of each file of the set:

    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_adaalloc.datasets import fetch_math
    >>> from sklearn_adaalloc.datasets._hub import write_rows
    >>> from sklearn_adaalloc.datasets._public_math import _MATH
    >>> with TemporaryDirectory() as folder:
    ...     for number, name in enumerate(_MATH.parts["train"] + _MATH.parts["test"]):
    ...         row = {"problem": f"Half of {number}?"}
    ...         row |= {"solution": f"$\\boxed{{\\frac{{{number}}}{{2}}}}$"}
    ...         write_rows(folder, f"EleutherAI/hendrycks_math/{name}", [row])
    ...     table = fetch_math(data_home=folder)
    >>> len(table.queries_train), table.queries_test[0], table.answers_test[0]
    (7, 'Half of 7?', '\\frac{7}{2}')
    """
    return _with_references(
        _MATH,
        _boxed_pair,
        {"test": ("test",), "train": ("validation", "train")},
        {"train": n_train, "validation": n_validation, "test": n_test},
        description=_MATH_DESCRIPTION,
        random_state=random_state,
        data_home=data_home,
        download_if_missing=download_if_missing,
        return_X_y=return_X_y,
    )


def fetch_gsm8k(
    *,
    n_train=None,
    n_validation=0,
    n_test=None,
    random_state=0,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
):
    r"""Fetch GSM8K, word problems of grade school.

    The official parts are not mixed. Test queries come from the test part, all others
    from the training part. A question in both belongs to the test part.

    Parameters
    ----------
    n_train : int or None, default=None
        Number of training queries; None for all remaining ones.
    n_validation : int, default=0
        Number of validation queries, drawn from the training part.
    n_test : int or None, default=None
        Number of test queries; None for all.
    random_state : int, RandomState instance or None, default=0
        Seed of the random splits. A part that is used completely keeps its order.
    data_home : str or path, default=None
        Folder with the files in ``openai/gsm8k/main/{train,test}-*.parquet``, as on the
        hub (``.jsonl`` and ``.json``, also ``.gz``, work too). Missing files are
        downloaded here. None for :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether missing files are downloaded. Needs the extra ``datasets``.
    return_X_y : bool, default=False
        Whether to return ``(queries_train, queries_validation, queries_test,
        answers_train, answers_validation, answers_test)`` only.

    Returns
    -------
    table : :class:`~sklearn.utils.Bunch`
        queries_train, queries_validation, queries_test : lists of str
            Questions. No two are equal, ignoring white space.
        answers_train, answers_validation, answers_test : lists of str
            The right answers: numbers without commas.
        references : dict
            Query -> answer, for
            :class:`~sklearn_adaalloc.rewards.MathVerifier`.
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
    >>> from sklearn_adaalloc.datasets import fetch_gsm8k
    >>> from sklearn_adaalloc.datasets._hub import write_rows
    >>> row = {"question": "Two dozen cost 1 each?", "answer": "2*12=24\n#### 24"}
    >>> other = {"question": "Three dozen?", "answer": "3*12=36\n#### 36"}
    >>> with TemporaryDirectory() as folder:
    ...     write_rows(folder, "openai/gsm8k/main/train", [row])
    ...     write_rows(folder, "openai/gsm8k/main/test", [other])
    ...     table = fetch_gsm8k(data_home=folder)
    >>> table.queries_test, table.answers_test
    (['Three dozen?'], ['36'])
    """
    return _with_references(
        _GSM8K,
        _gsm8k_pair,
        {"test": ("test",), "train": ("validation", "train")},
        {"train": n_train, "validation": n_validation, "test": n_test},
        description=_GSM8K_DESCRIPTION,
        random_state=random_state,
        data_home=data_home,
        download_if_missing=download_if_missing,
        return_X_y=return_X_y,
    )


def _with_references(*where, **options):
    """Fetch a set, and map its queries to their answers."""
    table = fetch_public(*where, **options)
    if not options["return_X_y"]:
        table.references = truth_by_query(table)
    return table


def _numina_pair(row):
    pair = _boxed_pair(row)
    return None if pair is None or is_multiple_choice(*pair) else pair


def _boxed_pair(row):
    problem, answer = row["problem"].strip(), boxed_answer(row["solution"])
    return (problem, answer) if problem and answer else None


def _gsm8k_pair(row):
    question, answer = row["question"].strip(), row["answer"].partition("####")[2]
    answer = answer.replace(",", "").strip()
    return (question, answer) if question and answer else None
