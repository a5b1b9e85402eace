"""Compare outputs and values like public harnesses of contest problems.

Runs inside the sandbox.
"""

TOLERANCE = 1e-6


def same_text(output, expected):
    """Whether an output has the expected words; decimals may differ by 1e-6."""
    words, right_words = output.split(), expected.split()
    return len(words) == len(right_words) and all(
        word == right or close_words(word, right)
        for word, right in zip(words, right_words, strict=True)
    )


def close_words(word, right):
    try:
        return "." in right and close(float(word), float(right))
    except ValueError:
        return False


def close(number, right):
    return abs(number - right) <= TOLERANCE * max(1.0, abs(right))


def same_value(value, expected):
    """Whether a value equals the expected one, which was read from JSON.

    A tuple equals a list with the same items. Numbers may differ by 1e-6 if one is a
    float. Dict keys are compared as the texts that JSON writes.
    """
    if isinstance(value, (list, tuple)) and isinstance(expected, (list, tuple)):
        value = [*value]
        return len(value) == len(expected) and all(map(same_value, value, expected))
    if isinstance(value, dict) and isinstance(expected, dict):
        by_text = {_json_key(key): item for key, item in value.items()}
        right = {_json_key(key): item for key, item in expected.items()}
        return (
            len(by_text) == len(value)
            and by_text.keys() == right.keys()
            and all(same_value(item, right[key]) for key, item in by_text.items())
        )
    if (
        _is_real(value)
        and _is_real(expected)
        and float in (type(value), type(expected))
    ):
        return value == expected or close(value, expected)
    return value == expected


def _is_real(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _json_key(key):
    """A dict's key as JSON writes it."""
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    return str(key) if isinstance(key, (int, float)) else key
