"""The embedded tasks: queries and small language models that answer them.

The models and tables in ``data`` were made by the scripts in
``benchmarks/embedded_lm``. This module reads them and computes the right answers.
"""

import ast
import hashlib
import math
import operator
import re
import statistics
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from sklearn_adaalloc._utils.parameters import check_choice
from sklearn_adaalloc._utils.queries import check_answers

_DATA = Path(__file__).parent / "data"
_N_SAMPLES = 64

_DESCRIPTION = """\
Arithmetic and small string tasks, answered by two language models: a weak one of 0.86
million parameters, and a strong one of 1.29 million that was trained longer.

{task}

A query is a text that ends in "=": "27+48=", "gcd 84 30=", "sort 5302=". The models are
small Llama networks over characters, trained by this project on such lines (see
benchmarks/embedded_lm); none of the queries was among them. All samples were drawn at
temperature 0.7; every reward was measured. Training and test queries are distinct.
"""
_TASKS = {
    "math": "math: integer arithmetic; 0/1 rewards (1: the answer is right) of 64 "
    "samples of the weak model. Success rates are spread from 0 to 1.",
    "code": "code: sorting, reversing, shifting, converting; 0/1 rewards (1: the "
    "answer is right) of 64 samples of the weak model. Many queries are never solved.",
    "chat": "chat: a part of math, where an answer can be nearly right. Rewards are "
    "real-valued: a reward model's scores of 16 samples of the weak model, about the "
    "number of leading digits that are right, 0 to 3.",
    "routing": "routing: the queries of math and code in turn; 0/1 rewards of 64 "
    "samples of the weak model and of the strong one, weak first.",
}


def load_arithmetic(task="math", *, return_X_y=False):
    """Load an embedded task: queries, and graded answers of a small language model.

    Nothing is downloaded: models, queries and reward tables are part of the package.

    Parameters
    ----------
    task : {"math", "code", "chat", "routing"}, default="math"
        The task:

        - "math": integer arithmetic, 0/1 rewards, success rates spread from 0 to 1;
        - "code": small string and number conversions, 0/1 rewards, many queries are
          never solved;
        - "chat": real-valued rewards, the scores of a reward model;
        - "routing": the queries of "math" and "code" in turn, 0/1 rewards of a weak and
          a strong model.
    return_X_y : bool, default=False
        Whether to return ``(queries_train, queries_test, rewards_train,
        rewards_test)`` only, in the order of
        :func:`~sklearn.model_selection.train_test_split`.

    Returns
    -------
    table : :class:`~sklearn.utils.Bunch`
        queries_train, queries_test : lists of str
            2,000 and 1,000 distinct queries; twice as many for "routing".
        rewards_train, rewards_test : ndarrays of shape (n_queries, n_samples)
            Reward tables of 64 samples, 16 for "chat";
            (n_queries, 2, n_samples) for "routing", weak first.
        answers_train, answers_test : lists of str
            The right answers.
        model, strong_model, reward_model : str
            Folders of the weak and the strong language model and of the reward model.
        DESCR : str
            Description of the task.

    Raises
    ------
    ValueError
        If `task` is not one of the four.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets import load_arithmetic
    >>> table = load_arithmetic("math")
    >>> len(table.queries_train), table.rewards_train.shape
    (2000, (2000, 64))
    >>> load_arithmetic("routing").rewards_test.shape
    (2000, 2, 64)
    """
    check_choice(task, "task", _TASKS)
    read = _read_routing if task == "routing" else _read_task
    queries_train, answers_train, rewards_train = read(task, "train")
    queries_test, answers_test, rewards_test = read(task, "test")
    if return_X_y:
        return queries_train, queries_test, rewards_train, rewards_test
    return Bunch(
        queries_train=queries_train,
        queries_test=queries_test,
        rewards_train=rewards_train,
        rewards_test=rewards_test,
        answers_train=answers_train,
        answers_test=answers_test,
        model=embedded_model_path("weak"),
        strong_model=embedded_model_path("strong"),
        reward_model=embedded_model_path("reward"),
        DESCR=_DESCRIPTION.format(task=_TASKS[task]),
    )


def embedded_model_path(name="weak"):
    """Folder of a model that is part of the package.

    Parameters
    ----------
    name : {"weak", "strong", "reward"}, default="weak"
        The weak language model (called "embedded" elsewhere), the strong one, or the
        reward model. The reward model is a sequence classifier. Its logit scores a pair
        of query and answer.

    Returns
    -------
    folder : str
        Path that ``from_pretrained`` of transformers accepts.

    Raises
    ------
    ValueError
        If there is no such model.

    Examples
    --------
    >>> from pathlib import Path
    >>> from sklearn_adaalloc.datasets import embedded_model_path
    >>> Path(embedded_model_path("strong")).name
    'strong'
    """
    return str(_DATA / check_choice(name, "name", ("weak", "strong", "reward")))


def arithmetic_answer(query):
    """Compute the right answer to a query of the embedded tasks.

    Parameters
    ----------
    query : str
        An expression with ``+ - * / %`` and parentheses (``/`` rounds down), or a word
        and its arguments, such as ``gcd 84 30``, followed by ``=``.

    Returns
    -------
    answer : str

    Raises
    ------
    ValueError
        If `query` is not of this form.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets._arithmetic import arithmetic_answer
    >>> arithmetic_answer("(3*17)%5="), arithmetic_answer("sort 5302=")
    ('1', '0235')
    """
    if isinstance(query, str) and query.endswith("="):
        word, *arguments = query[:-1].split(" ")
        try:
            if word in _WORD_OPERATIONS:
                return str(_WORD_OPERATIONS[word](*arguments))
            if re.fullmatch(r"[-+*/%()\d]+", query[:-1]):
                return str(_evaluate(ast.parse(query[:-1], mode="eval").body))
        except _NO_EXPRESSION:
            pass  # not a query: the error below says so
    raise ValueError(
        f"query={query!r} is not a query of the embedded tasks. Expected an expression "
        "such as '27+48=', or a word and its arguments such as 'gcd 84 30=', where the "
        f"word is one of {', '.join(_WORD_OPERATIONS)}."
    )


def grade_arithmetic(queries, answers):
    """Grade answers to queries of the embedded tasks: 1 if right, 0 if wrong.

    The right answer is computed from the query, so new queries can be graded too.

    Parameters
    ----------
    queries : sequence of n_queries str
        Queries, each ending in ``=``.
    answers : sequence of n_queries lists of str
        Any number of answers to each query. White space around an answer is ignored.

    Returns
    -------
    rewards : list of n_queries ndarrays of shape (n_answers,)
        One array per query, float64.

    Raises
    ------
    ValueError
        If `queries` and `answers` differ in length, if an answer is not a text, or if a
        query does not belong to these tasks.

    Examples
    --------
    >>> from sklearn_adaalloc.datasets import grade_arithmetic
    >>> grade_arithmetic(["27+48=", "rev abc="], [["75", "65"], ["cba"]])
    [array([1., 0.]), array([1.])]
    """
    queries, answers = check_answers(queries, answers)
    truths = [arithmetic_answer(query) for query in queries]
    return [
        np.array([answer.strip() == truth for answer in row], dtype=np.float64)
        for truth, row in zip(truths, answers, strict=True)
    ]


def _read_task(task, split):
    """Read queries, right answers and rewards of a task of one model."""
    lines = (_DATA / f"{task}_{split}.txt").read_text(encoding="ascii").splitlines()
    queries = [line[: line.index("=") + 1] for line in lines]
    answers = [line[line.index("=") + 1 :] for line in lines]
    return queries, answers, _read_rewards(task, "weak", split)


def _read_routing(task, split):
    """Read the queries of math and code alternately, with rewards of both models."""
    math_part, code_part = (_read_task(mix, split) for mix in ("math", "code"))
    rewards = [
        np.stack(
            [_read_rewards(mix, name, split) for name in ("weak", "strong")], axis=1
        )
        for mix in ("math", "code")
    ]
    queries, answers = (
        [text for pair in zip(*columns, strict=True) for text in pair]
        for columns in zip(math_part[:2], code_part[:2], strict=True)
    )
    return queries, answers, np.stack(rewards, axis=1).reshape(-1, 2, _N_SAMPLES)


def _read_rewards(task, model, split):
    """Read the reward table of a model, float64 (n_queries, n_samples)."""
    with np.load(_DATA / f"{task}.npz") as tables:
        table = tables[f"{model}_{split}"]
    if table.dtype == np.uint8:  # 0/1 rewards are stored as bits
        table = np.unpackbits(table, axis=1)
    return table.astype(np.float64)


def _evaluate(node):
    """Compute a parsed expression with integers."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.BinOp):
        apply = _INFIX_OPERATIONS[type(node.op)]
        return apply(_evaluate(node.left), _evaluate(node.right))
    raise TypeError(f"not part of an expression: {node!r}")


def _smallest_factor(number):
    """Find the smallest divisor above 1 (for a prime, the number itself)."""
    divisors = range(2, math.isqrt(number) + 1)
    return next((d for d in divisors if number % d == 0), number)


def _shift(offset, letters):
    """Apply Caesar's cipher."""
    return "".join(chr((ord(c) - 97 + int(offset)) % 26 + 97) for c in letters)


def _keyed_hash(text):
    """Make three digits that cannot be learnt."""
    digest = hashlib.blake2s(text.encode(), key=b"adaalloc", digest_size=4).digest()
    return f"{int.from_bytes(digest, 'big') % 1000:03d}"


_NO_EXPRESSION = (
    ArithmeticError,
    KeyError,
    MemoryError,  # from the parser, if brackets are nested too deeply
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)
_INFIX_OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}
_WORD_OPERATIONS = {
    "gcd": lambda *numbers: math.gcd(*map(int, numbers)),
    "lcm": lambda *numbers: math.lcm(*map(int, numbers)),
    "max": lambda *numbers: max(map(int, numbers)),
    "min": lambda *numbers: min(map(int, numbers)),
    "mid": lambda *numbers: statistics.median_low(map(int, numbers)),
    "sqrt": lambda number: math.isqrt(int(number)),
    "factor": lambda number: _smallest_factor(int(number)),
    "digits": lambda number: sum(map(int, number)),
    "sort": lambda text: "".join(sorted(text)),
    "rev": lambda text: text[::-1],
    "uniq": lambda text: "".join(dict.fromkeys(text)),
    "count": lambda character, text: text.count(character),
    "shift": _shift,
    "bin": lambda number: f"{int(number):b}",
    "hex": lambda number: f"{int(number):x}",
    "dec": lambda bits: int(bits, 2),
    "hash": _keyed_hash,
}
