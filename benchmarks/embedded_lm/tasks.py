"""The task family of the embedded language models.

A line is a query and its answer, such as ``27+48=75``, ``gcd 84 30=6`` or
``sort 5302=0235``. `OPERATIONS` makes queries; `arithmetic_answer` of the package
answers them, so what trains the models is what grades them.

Operand size spreads the difficulty: small operands are learnt by heart, large ones
half learnt, and some operations never (long products, the keyed hash).
"""

import random
import zlib

from sklearn_adaalloc.datasets._arithmetic import arithmetic_answer

DIGITS = "0123456789"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def number(rng, low, high):
    """Draw a number of `low` to `high` digits, as text."""
    n_digits = rng.randint(low, high)
    return str(
        rng.randint(10 ** (n_digits - 1) if n_digits > 1 else 0, 10**n_digits - 1)
    )


def positive(rng, low, high):
    """Draw a number of `low` to `high` digits, at least 2."""
    return str(max(2, int(number(rng, low, high))))


def text(rng, low, high, alphabet):
    """Draw a word of `low` to `high` characters."""
    return "".join(rng.choices(alphabet, k=rng.randint(low, high)))


def numbers(rng, low, high, low_digits, high_digits):
    """Draw a list of `low` to `high` numbers, as text."""
    count = rng.randint(low, high)
    return " ".join(number(rng, low_digits, high_digits) for _ in range(count))


# One entry per operation: a random generator in, a query out.
MATH = {
    "add": lambda r: f"{number(r, 1, 5)}+{number(r, 1, 5)}",
    "subtract": lambda r: f"{number(r, 1, 4)}-{number(r, 1, 4)}",
    "multiply": lambda r: f"{number(r, 1, 3)}*{number(r, 1, 3)}",
    "divide": lambda r: f"{number(r, 1, 4)}/{positive(r, 1, 2)}",
    "modulo": lambda r: f"{number(r, 1, 3)}%{positive(r, 1, 2)}",
    "modular product": lambda r: (
        f"({number(r, 1, 2)}*{number(r, 1, 2)})%{positive(r, 1, 2)}"
    ),
    "three terms": lambda r: f"{number(r, 1, 3)}+{number(r, 1, 3)}-{number(r, 1, 3)}",
    "multiply and add": lambda r: (
        f"{number(r, 1, 2)}*{number(r, 1, 1)}+{number(r, 1, 2)}"
    ),
    "greatest common divisor": lambda r: f"gcd {positive(r, 1, 3)} {positive(r, 1, 2)}",
    "least common multiple": lambda r: f"lcm {positive(r, 1, 2)} {positive(r, 1, 1)}",
    "maximum": lambda r: f"max {numbers(r, 3, 5, 1, 3)}",
    "median": lambda r: f"mid {numbers(r, 3, 5, 1, 2)}",
    "square root": lambda r: f"sqrt {number(r, 1, 4)}",
    "factor": lambda r: f"factor {positive(r, 1, 3)}",
    "digit sum": lambda r: f"digits {number(r, 2, 7)}",
}
CODE = {
    "sort": lambda r: f"sort {text(r, 3, 9, DIGITS)}",
    "reverse": lambda r: f"rev {text(r, 3, 10, LETTERS)}",
    "unique": lambda r: f"uniq {text(r, 4, 10, LETTERS[:6])}",
    "count": lambda r: f"count {r.choice('abc')} {text(r, 3, 14, 'abc')}",
    "shift": lambda r: f"shift {r.randint(1, 25)} {text(r, 1, 6, LETTERS)}",
    "binary": lambda r: f"bin {number(r, 1, 4)}",
    "hexadecimal": lambda r: f"hex {number(r, 1, 5)}",
    "decimal": lambda r: f"dec 1{text(r, 1, 10, '01')}",
    "long modulo": lambda r: f"{number(r, 4, 6)}%{number(r, 2, 3)}",
    "long product": lambda r: f"{number(r, 4, 6)}*{number(r, 4, 6)}",
    "keyed hash": lambda r: f"hash {number(r, 3, 6)}",
}
# Operations of which a wrong answer can be nearly right.
CHAT = {name: MATH[name] for name in ("add", "multiply", "divide", "square root")}
MIXES = {"math": MATH, "code": CODE, "chat": CHAT}
# The tables take the shortest or longest of a few queries of a kind, so that the weak
# model gets about four in ten right in math, and clearly fewer in code.
TABLE_PICK = {"math": (min, 5), "code": (max, 2), "chat": (min, 2)}


def draw_query(rng, mix, pick=min, n_draws=1):
    """Draw a query of a mix, ``=`` included: the shortest (min) or longest of a few."""
    operation = rng.choice(list(MIXES[mix].values()))
    return pick((operation(rng) for _ in range(n_draws)), key=len) + "="


def is_held_out(query):
    """Whether a query is kept from the training of the language models.

    A fixed eighth of all queries, by checksum of the text: the queries of the tables
    come from it and the lines of the training stream do not.
    """
    return zlib.crc32(query.encode()) % 8 == 0


def training_lines(seed, block, n_lines):
    """Make the lines of a block of the training stream, half of either mix."""
    rng = random.Random(f"{seed}/{block}")
    lines = []
    while len(lines) < n_lines:
        query = draw_query(rng, rng.choice(["math", "code"]))
        if not is_held_out(query):
            lines.append(query + arithmetic_answer(query))
    return lines


def table_queries(mix, n_queries, seed):
    """Draw distinct queries of a mix, none of them in the training stream."""
    rng = random.Random(f"{seed}/{mix}")
    queries = {}
    while len(queries) < n_queries:
        query = draw_query(rng, mix, *TABLE_PICK[mix])
        if is_held_out(query):
            queries[query] = None
    return list(queries)
