"""Damage to the bytes of a file, as disks and people do it."""

from dataclasses import dataclass

from hypothesis import strategies as st


@dataclass(frozen=True)
class Damage:
    """Changes to bytes: each is (kind, place in [0, 1), bytes)."""

    changes: tuple

    def __call__(self, data):
        """The bytes, damaged."""
        for kind, place, more in self.changes:
            data = _KINDS[kind](data, int(place * len(data)), more)
        return data


def _flip(data, at, more):
    bits = (more or b"\x01")[0] or 1
    return data[:at] + bytes([b ^ bits for b in data[at : at + 1]]) + data[at + 1 :]


_KINDS = {
    "flip": _flip,
    "truncate": lambda data, at, more: data[:at],
    "replace": lambda data, at, more: data[:at] + more + data[at + len(more) :],
    "insert": lambda data, at, more: data[:at] + more + data[at:],
    "remove": lambda data, at, more: data[:at] + data[at + len(more) + 1 :],
    "empty": lambda data, at, more: b"",
    "other": lambda data, at, more: more,
    "zeros": lambda data, at, more: data[:at] + bytes(len(data) - at),
}
_change = st.tuples(
    st.sampled_from(list(_KINDS)),
    st.floats(0, 1, exclude_max=True),
    st.binary(max_size=8)
    | st.sampled_from([b"null", b"[" * 2000, b'{"a":', b"1e999", b"-1", b"NaN"]),
)
damages = st.lists(_change, max_size=2).map(lambda changes: Damage(tuple(changes)))
"""No damage, or one or two of them."""
seldom = st.integers(0, 3).flatmap(lambda i: damages if i == 3 else st.just(Damage(())))
"""No damage but once in four times."""
