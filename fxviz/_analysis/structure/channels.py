"""Write the widths of a kind's layers once for all its occurrences: "C", "4C", in terms of one width or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_FACTORS = 4
"""Factors are multiples of a quarter, or parts of one: 4C, 1.5C, C/16; never 9.85C."""

Widths = Sequence[int]


@dataclass(frozen=True)
class Symbols:
    """The symbols in which widths are written, with their values for each occurrence.

    ``names`` maps "C" and, where two are needed, "D" to these values; it is empty if all occurrences have the same
    widths, which are then numbers. ``fits`` is false if no rule serves all of them.
    """

    names: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    fits: bool = True

    def text(self, widths: Widths) -> str:
        """Write one width, given for each occurrence; "" if it follows no rule.

        >>> symbols = Symbols({"C": (64, 128)})
        >>> symbols.text((256, 512)), symbols.text((3, 3)), symbols.text((64, 100))
        ('4C', '3', '')
        """
        if not all(widths):
            return ""
        if len(set(widths)) == 1 and (not self.names or len(widths) > 1):
            return str(widths[0])
        for name, bases in list(self.names.items())[::-1]:
            factors = {round(width / base, 4) for width, base in zip(widths, bases, strict=True) if base}
            if all(bases) and len(factors) == 1 and _is_simple(factor := factors.pop()):
                return symbol(factor, name)
        return ""


def symbols_for(vectors: Sequence[Widths], entering: Widths, leaving: Widths) -> Symbols:
    """Return the symbols in which the widths of all occurrences are written by one rule.

    Args:
        vectors: for each occurrence the widths of its layers, in one order.
        entering, leaving: for each occurrence the channels that enter and leave.

    >>> dict(symbols_for([(64, 64, 256), (128, 128, 512)], [256, 256], [256, 512]).names)
    {'C': (64, 128)}
    >>> symbols_for([(96, 384, 96)], [96], [96])
    Symbols(names={}, fits=True)
    >>> dict(symbols_for([(96, 96, 24), (144, 144, 32)], [16, 24], [24, 32]).names)
    {'C': (16, 24), 'D': (24, 32)}
    >>> symbols_for([(96, 24), (150, 32)], [16, 24], [24, 32]).fits
    False
    """
    if not vectors or not vectors[0] or len({len(vector) for vector in vectors}) > 1:
        return Symbols(fits=not vectors or all(not vector for vector in vectors))
    if len({tuple(vector) for vector in vectors}) == 1:
        return Symbols()
    for bases in ([min(vector) for vector in vectors], leaving):
        if _factors(vectors, bases) is not None:
            return Symbols({"C": tuple(bases)})
    for bases in (entering, [min(vector) for vector in vectors]):
        two = Symbols({"C": tuple(bases), "D": tuple(leaving)})
        if all(two.text(column) for column in zip(*vectors, strict=True)):
            return two
    return Symbols(fits=False)


def _factors(vectors: Sequence[Widths], bases: Widths) -> tuple[float, ...] | None:
    if not all(bases):
        return None
    found = {tuple(round(width / base, 4) for width in vector) for vector, base in zip(vectors, bases, strict=True)}
    (first, *others) = found
    return first if not others and all(map(_is_simple, first)) else None


def _is_simple(factor: float) -> bool:
    """
    >>> [_is_simple(factor) for factor in (4, 1.25, 1 / 16, 1.52)]
    [True, True, True, False]
    """
    if factor <= 0:
        return False
    return abs(_FACTORS * factor - round(_FACTORS * factor)) < 0.01 or abs(1 / factor - round(1 / factor)) < 0.01


def symbol(factor: float, name: str) -> str:
    """Write a multiple of a width.

    >>> symbol(1, "C"), symbol(4, "C"), symbol(0.25, "C"), symbol(1.5, "D")
    ('C', '4C', 'C/4', '1.5D')
    """
    if factor == 1:
        return name
    if factor < 1 and abs(1 / factor - round(1 / factor)) < 0.01:
        return f"{name}/{round(1 / factor)}"
    return f"{factor:g}{name}"
