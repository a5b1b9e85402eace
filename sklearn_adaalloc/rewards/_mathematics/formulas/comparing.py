"""Whether two answers that were read mean the same."""

import sympy
from sympy.functions.elementary.trigonometric import TrigonometricFunction

from sklearn_adaalloc.rewards._mathematics.formulas.items import (
    Based,
    Collection,
    Matrix,
    NotRead,
    Number,
    Ratio,
    Relation,
    Sequence,
    Union,
    is_name,
)
from sklearn_adaalloc.rewards._mathematics.formulas.parsing import read
from sklearn_adaalloc.rewards._mathematics.formulas.values import (
    close,
    same_number,
    same_value,
    samples,
)

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


def same(gold, answer):
    r"""Whether two texts mean the same.

    Parameters
    ----------
    gold, answer : str
        Normalised answers, in LaTeX.

    Returns
    -------
    bool or None
        False if only the answer cannot be read; None if the reference cannot.

    Examples
    --------
    >>> from sklearn_adaalloc.rewards._mathematics.formulas import same
    >>> same("0.5", r"\frac12"), same("2", "2)"), same("2)", "2")
    (True, False, None)
    """
    try:
        gold = read(gold)
    except NotRead:
        return None
    try:
        return _equal(gold, read(answer))
    except NotRead:
        return False


def _equal(gold, answer):
    gold, answer = map(_real_numbers, _unwrap(gold, answer))
    if Union in (type(gold), type(answer)):
        gold, answer = (_without_points(each) or each for each in (gold, answer))
    if isinstance(gold, Relation) and isinstance(answer, Sequence | Union):
        gold = _as_interval(gold) or gold
    if isinstance(answer, Relation) and isinstance(gold, Sequence | Union):
        answer = _as_interval(answer) or answer
    pair = {type(gold), type(answer)}
    if pair == {Collection, Union}:
        return _equal_as_union(gold, answer)
    if pair == {Collection, Sequence}:
        return _equal_list_and_tuple(gold, answer)
    if Collection in pair and len(pair) == 2:
        return _equal_collections(gold, answer)
    if pair == {Matrix, Sequence}:
        rows = _rows(gold if isinstance(gold, Sequence) else answer)
        matrix = gold if isinstance(gold, Matrix) else answer
        return rows is not None and _equal_matrices(matrix, rows)
    if pair == {Based, Number}:
        return _equal_based_and_number(gold, answer)
    if pair == {Ratio, Number}:
        return _equal_ratio_and_number(gold, answer)
    if len(pair) == 2:
        return False
    return _COMPARE[type(gold)](gold, answer)


def _unwrap(gold, answer):
    """Right side of an equation that only gives its name to what the other is."""
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        return gold, answer
    if isinstance(gold, Collection) and isinstance(answer, Collection):
        return gold, answer
    if _is_equation(gold) and is_name(gold.sides[0]):
        gold = gold.sides[1]
    if _is_equation(answer) and not _is_to_be_solved(answer.sides[0]):
        answer = answer.sides[1]
    return gold, answer


def _is_equation(item):
    return isinstance(item, Relation) and item.signs == ("=",)


def _is_to_be_solved(side):
    """Whether an equation with this side asks for its only variable."""
    value = getattr(side, "value", None)
    return (
        not is_name(side)
        and isinstance(value, sympy.Expr)
        and not isinstance(value, sympy.Abs | TrigonometricFunction)
        and len(value.free_symbols) == 1
    )


def _collection(item):
    """Items of a list, both values of each plus-or-minus among them."""
    if not isinstance(item, Collection):
        return Collection((item,))
    items = []
    for part in item.items:
        plain = isinstance(part, Collection) and not part.braces
        items += part.items if plain else [part]
    return Collection(tuple(items), item.braces)


def _equal_collections(gold, answer):
    gold, answer = _collection(gold), _collection(answer)
    golds, answers = list(gold.items), list(answer.items)
    if gold.braces or answer.braces:
        golds, answers = _distinct(golds), _distinct(answers)
    if len(golds) != len(answers):
        return False
    names = _names(golds), _names(answers)
    if sorted(map(bool, names)) == [False, True] and len(set(names[0] or names[1])) > 1:
        return all(map(_equal, golds, answers))  # in the order of the names
    for item in golds:
        for place, candidate in enumerate(answers):
            if _equal(item, candidate):
                del answers[place]
                break
        else:
            return False
    return True


def _names(items):
    """What the equations in a list are for; empty if it has other items."""
    if not all(_is_equation(item) and is_name(item.sides[0]) for item in items):
        return ()
    return tuple(str(item.sides[0]) for item in items)


def _distinct(items):
    kept = []
    for item in items:
        if not any(_equal(item, other) for other in kept):
            kept.append(item)
    return kept


def _equal_list_and_tuple(gold, answer):
    items = gold if isinstance(gold, Collection) else answer
    if items.braces or len(gold.items) != len(answer.items):
        return False
    return all(map(_equal, gold.items, answer.items))


def _equal_as_union(gold, answer):
    """Compare a union with inequalities, one of which holds."""
    items = gold if isinstance(gold, Collection) else answer
    union = answer if items is gold else gold
    parts = [isinstance(i, Relation) and _as_interval(i) for i in items.items]
    if items.braces or union.operation != r"\cup" or not all(parts):
        return False
    return _equal_unions(Union(r"\cup", tuple(parts)), union)


def _equal_sequences(gold, answer):
    if len(gold.items) != len(answer.items):
        return False
    if len(gold.items) == 2 and _edges(gold) != _edges(answer):
        return False
    return all(map(_equal, gold.items, answer.items))


def _edges(pair):
    """Brackets of an interval; infinity is never in it."""
    low, high = (getattr(item, "value", None) for item in pair.items)
    infinite = {sympy.oo, -sympy.oo}
    return (
        "(" if low in infinite else pair.opening,
        ")" if high in infinite else pair.closing,
    )


def _equal_unions(gold, answer):
    if gold.operation != answer.operation:
        return False
    if gold.operation not in (r"\cup", r"\cap"):
        return len(gold.items) == len(answer.items) and all(
            map(_equal, gold.items, answer.items)
        )
    return _equal_collections(
        Collection(gold.items, braces=True), Collection(answer.items, braces=True)
    )


def _equal_matrices(gold, answer):
    return [len(row) for row in gold.rows] == [len(row) for row in answer.rows] and all(
        _equal(one, other)
        for rows in zip(gold.rows, answer.rows, strict=True)
        for one, other in zip(*rows, strict=True)
    )


def _rows(sequence):
    """The matrix that a list of lists in square brackets is; None for another."""
    lists = [sequence, *sequence.items]
    if all(isinstance(i, Sequence) and i.opening + i.closing == "[]" for i in lists):
        return Matrix(tuple(row.items for row in sequence.items))
    return None


def _real_numbers(item):
    """All real numbers as an interval."""
    if getattr(item, "value", None) == sympy.S.Reals:
        return Sequence((Number(-sympy.oo), Number(sympy.oo)), "(", ")")
    return item


def _without_points(item):
    """The union of intervals that is all but some points; None for anything else."""
    if isinstance(item, Relation) and item.signs == ("!=",):
        points = item.sides[1:]
        of_reals = getattr(getattr(item.sides[0], "value", None), "is_Symbol", False)
    elif isinstance(item, Union) and item.operation in (r"\setminus", r"\backslash"):
        first, *others = item.items
        points = [point for each in others for point in _collection(each).items]
        of_reals = getattr(first, "value", None) == sympy.S.Reals
    else:
        return None
    values = [getattr(point, "value", sympy.nan) for point in points]
    if not of_reals or not all(value.is_real and value.is_number for value in values):
        return None
    ends = [-sympy.oo, *sorted(set(values)), sympy.oo]
    intervals = zip(map(Number, ends), map(Number, ends[1:]), strict=False)
    return Union(r"\cup", tuple(Sequence(pair) for pair in intervals))


def _as_interval(relation):
    """Interval of the variable in inequalities; None if it is not alone there."""
    signs, sides = list(relation.signs), list(relation.sides)
    values = [getattr(side, "value", None) for side in sides]
    if any(value is None for value in values):
        return None
    variable = [place for place, value in enumerate(values) if value.is_Symbol]
    if len(variable) != 1 or not set(signs) <= {"<", "<=", ">", ">="}:
        return None
    if len({sign[0] for sign in signs}) > 1 or len(sides) > 3:
        return None
    if signs[0][0] == ">":
        signs = [_FLIPPED[sign] for sign in reversed(signs)]
        sides = sides[::-1]
        variable = [len(sides) - 1 - variable[0]]
    low, high = Number(-sympy.oo), Number(sympy.oo)
    opening, closing = "(", ")"
    if len(sides) == 3 and variable != [1]:
        return None
    if variable[0] > 0:
        low, opening = sides[0], "[" if signs[0] == "<=" else "("
    if variable[0] < len(sides) - 1:
        high, closing = sides[-1], "]" if signs[-1] == "<=" else ")"
    return Sequence((low, high), opening, closing)


def _equal_relations(gold, answer):
    if any(side is None for side in (*gold.sides, *answer.sides)):
        return _equal(gold.sides[-1], answer.sides[-1])
    intervals = _as_interval(gold), _as_interval(answer)
    if all(intervals):
        same_variable = _symbols(gold) == _symbols(answer)
        return same_variable and _equal_sequences(*intervals)
    if len(gold.signs) > 1 or len(answer.signs) > 1:
        return gold.signs == answer.signs and all(map(_equal, gold.sides, answer.sides))
    if all(map(_equal, gold.sides, answer.sides)):
        return gold.signs == answer.signs
    return _proportional(gold, answer)


def _symbols(relation):
    return {s for side in relation.sides for s in side.value.free_symbols}


def _proportional(gold, answer):
    """Whether two relations differ by a factor only."""
    sides = [*gold.sides, *answer.sides]
    if not all(
        isinstance(s, Number) and isinstance(s.value, sympy.Expr) for s in sides
    ):
        return False
    one, other = (r.sides[0].value - r.sides[1].value for r in (gold, answer))
    if one.free_symbols != other.free_symbols or not one.free_symbols:
        return False
    ratios = [a / b for a, b in samples(one, other) if a.is_finite and b]
    if len(ratios) < 4 or not all(close(ratios[0], ratio) for ratio in ratios):
        return False
    if not ratios[0].is_real or ratios[0] == 0:
        return False
    sign = answer.signs[0] if ratios[0] > 0 else _FLIPPED[answer.signs[0]]
    return gold.signs[0] == sign


def _equal_based(gold, answer):
    try:
        values = [int(item.digits, item.base) for item in (gold, answer)]
    except ValueError:
        return gold == answer
    return values[0] == values[1]


def _equal_based_and_number(gold, answer):
    """A number without a base is in the one asked for."""
    based, number = (gold, answer) if isinstance(gold, Based) else (answer, gold)
    return str(number.value) == based.digits


def _equal_ratios(gold, answer):
    if (gold.clock and answer.clock) or len(gold.parts) != len(answer.parts):
        return [p.value for p in gold.parts] == [p.value for p in answer.parts]
    (first, *others), (other_first, *answers) = (
        [part.value for part in ratio.parts] for ratio in (gold, answer)
    )
    return all(
        same_value(first * b, other_first * a)
        for a, b in zip(others, answers, strict=True)
    )


def _equal_ratio_and_number(gold, answer):
    ratio, number = (gold, answer) if isinstance(gold, Ratio) else (answer, gold)
    if len(ratio.parts) != 2 or ratio.parts[1].value == 0:
        return False
    return same_value(ratio.parts[0].value / ratio.parts[1].value, number.value)


def _equal_numbers(gold, answer):
    values = gold.value, answer.value
    if same_number(gold, answer):
        return True
    if gold.percent == answer.percent or not all(
        isinstance(value, sympy.Expr) for value in values
    ):
        return False
    gold_part, answer_part = (
        item.value / 100 if item.percent else item.value for item in (gold, answer)
    )
    return same_value(gold_part, answer_part)


_COMPARE = {
    Number: _equal_numbers,
    Based: _equal_based,
    Ratio: _equal_ratios,
    Collection: _equal_collections,
    Sequence: _equal_sequences,
    Union: _equal_unions,
    Matrix: _equal_matrices,
    Relation: _equal_relations,
}
