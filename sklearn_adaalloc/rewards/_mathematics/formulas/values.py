"""Whether two values are equal: exactly, or at points where they are tried."""

from random import Random

import sympy

LEAST_DIGITS = 6  # significant ones, of a decimal that stands for what has none
FLOAT_DIGITS = 15  # significant ones, beyond which a decimal is noise


def same_number(gold, answer):
    if same_value(gold.value, answer.value):
        return True
    return _stands_for(gold, answer) or _stands_for(answer, gold)


def _stands_for(decimal, item):
    """Whether a long decimal is what a value is when it is rounded or cut off."""
    if not decimal.decimals or decimal.digits < LEAST_DIGITS:
        return False
    value = item.value
    if not value.is_number or not value.is_real or not value.is_finite:
        return False
    if item.digits:  # written down as well: only the noise of floats is ignored
        least = min(decimal.digits, FLOAT_DIGITS + 1)
        return least > FLOAT_DIGITS and close(decimal.value, value, FLOAT_DIGITS - 1)
    scaled = value * 10**decimal.decimals
    return abs(decimal.value) * 10**decimal.decimals in (
        sympy.floor(abs(scaled)),
        sympy.floor(abs(scaled) + sympy.Rational(1, 2)),
    ) and (decimal.value > 0) == bool(value > 0)


def same_value(gold, answer):
    """Whether two exact values are equal."""
    if gold == answer:
        return True
    if not (isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr)):
        return False
    if gold.free_symbols != answer.free_symbols:
        return _vanishes(gold - answer)
    if gold.is_Rational and answer.is_Rational:
        return False
    if not gold.free_symbols:
        return close(gold.evalf(40), answer.evalf(40)) or (
            0 in (gold, answer) and _vanishes(gold - answer)
        )
    pairs = [pair for pair in samples(gold, answer) if all(map(_is_real, pair))]
    if len(pairs) < 4:
        pairs = list(samples(gold, answer))
    return len(pairs) >= 4 and all(close(*pair) for pair in pairs)


def _is_real(value):
    return value.is_real and value.is_finite


def _vanishes(difference):
    return sympy.simplify(difference) == 0


def close(one, other, digits=25):
    if not (one.is_finite and other.is_finite):
        return one == other
    return bool(abs(one - other) <= max(abs(one), abs(other)) / 10**digits)


def samples(one, other):
    """Values of two formulas at the same points, some with negative coordinates."""
    random = Random(0)
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    for number in range(12):
        least = -400 if number % 2 else 1
        point = {
            s: sympy.Rational(random.randrange(least, 400) or 1, 97) for s in symbols
        }
        values = [value.subs(point).evalf(40) for value in (one, other)]
        if all(value.is_number and value.is_finite for value in values):
            yield tuple(values)
