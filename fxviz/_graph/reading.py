"""Reading what a file should hold, field by field: whatever is of another kind is said to be, with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

_LIMIT = 2**63
"""No count is larger: torch counts in 64 bits."""


@dataclass(frozen=True)
class Fields:
    """The fields of one thing in a file.

    Args:
        value: what stands in the file in its place.
        where: what it is called in messages ("node 'conv1'").

    Each method reads one field.

    Raises:
        ValueError: the field is missing, or of another kind.

    >>> fields = Fields({"op": "Conv2d", "params": -1}, "node 'conv1'")
    >>> fields.text("op")
    'Conv2d'
    >>> fields.count("params")
    Traceback (most recent call last):
    ...
    ValueError: node 'conv1': 'params' is -1, not a whole number from 0 on
    """

    value: Any
    where: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, dict):
            raise ValueError(f"{self.where} is {_said(self.value)}, not an object")

    def raw(self, key: str) -> Any:
        """A field of any kind."""
        if key not in self.value:
            raise ValueError(f"{self.where} has no '{key}'")
        return self.value[key]

    def text(self, key: str) -> str:
        return str(self._checked(key, isinstance(self.raw(key), str), "a text"))

    def text_or_none(self, key: str) -> str | None:
        return None if self.raw(key) is None else self.text(key)

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        return str(self._checked(key, self.raw(key) in allowed, f"one of {', '.join(allowed)}"))

    def flag(self, key: str) -> bool:
        return bool(self._checked(key, isinstance(self.raw(key), bool), "true or false"))

    def count(self, key: str) -> int:
        return int(self._checked(key, _is_count(self.raw(key)), "a whole number from 0 on"))

    def count_or_none(self, key: str) -> int | None:
        return None if self.raw(key) is None else self.count(key)

    def seconds_or_none(self, key: str) -> float | None:
        value = self.raw(key)
        if value is None:
            return None
        known = isinstance(value, float) or _is_count(value)
        return float(self._checked(key, known and 0 <= value < _LIMIT, "a number of seconds"))

    def sizes(self, key: str) -> tuple[int, ...]:
        """The sizes of a tensor, whose elements can be counted too."""
        value = self.raw(key)
        good = isinstance(value, (list, tuple)) and all(map(_is_count, value)) and prod(value) < _LIMIT
        return tuple(self._checked(key, good, "a list of sizes"))

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.raw(key)
        good = isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
        return tuple(self._checked(key, good, "a list of texts"))

    def settings(self, key: str) -> dict[str, Any]:
        """Plain values by name: numbers, texts, true, false, null, and lists of such."""
        settings = self.inner(key).value
        for name, value in settings.items():
            if not _is_plain(value):
                expected = "a number, a text, true, false, null or a list of such"
                raise ValueError(f"{self.where}: '{key}' '{name}' is {_said(value)}, not {expected}")
        return dict(settings)

    def inner(self, key: str) -> Fields:
        """The fields of an object in this one."""
        return Fields(self.raw(key), f"{self.where}: '{key}'")

    def items(self, key: str, name: str = "") -> Iterator[Fields]:
        """The objects in a list; each is called by its field ``name`` in messages, or by its place in the list."""
        value = self._checked(key, isinstance(self.raw(key), (list, tuple)), "a list")
        for place, item in enumerate(value):
            fields = Fields(item, f"{self.where}: '{key}' {place}")
            yield Fields(item, f"{key.removesuffix('s')} '{fields.text(name)}'") if name else fields

    def _checked(self, key: str, good: bool, expected: str) -> Any:
        if not good:
            raise ValueError(f"{self.where}: '{key}' is {_said(self.value[key])}, not {expected}")
        return self.value[key]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LIMIT


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _said(value: Any) -> str:
    """
    >>> _said(None), _said("a" * 50), _said({"a": 1})
    ('null', "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...", 'an object')
    """
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, int) and abs(value) >= _LIMIT:
        return "a number beyond 64 bits"
    said = repr(value)
    return said if len(said) <= 41 else f"{said[:38]}..."
