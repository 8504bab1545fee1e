"""What became of a row, in a few words, each of which knows what it tells of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fxviz.styling import wording
from fxviz.styling.differing.settings import CHANNELS, setting
from fxviz.view import Altered, Change, Row

SIGNS = {"added": "+", "removed": "−", "resized": "~", "altered": "~", "mixed": "~"}
"""Stands before what differs, so that it is seen without colour."""


class Word(NamedTuple):
    """A few words, and of what they tell: one of ``difference.KINDS``, or "" for what only joins others."""

    kind: str
    text: str


def sign(row: Row) -> str:
    """The sign of a row that differs, "" for one that does not."""
    return SIGNS[row.change.mark] if row.change else ""


def said(row: Row) -> str:
    """What became of a row, in a few words.

    >>> from fxviz.graph import Node
    >>> conv = Node("a", "module", "Conv2d", "a", settings={"out_channels": 128, "in_channels": 3})
    >>> was = Node("b", "module", "Conv2d", "a", settings={"out_channels": 64, "in_channels": 3})
    >>> said(Row(0, "layer", (conv,), "a", None, 0, 0, change=Change("resized", (Altered("resized", conv, was),))))
    'out 64 → 128'
    >>> said(Row(0, "layer", (conv,), "a", None, 0, 0, change=Change("added", (Altered("added", conv),))))
    'added'
    """
    return "".join(word.text for word in next(wordings(row), ()))


def wordings(row: Row) -> Iterator[tuple[Word, ...]]:
    """What became of a row in fewer and fewer words: whoever writes them takes the first that fit, and never cuts any."""
    change = row.change
    if change is None:
        return
    if change.mark in ("added", "removed") or (change.mark != "mixed" and row.is_several):
        yield (Word(change.mark, change.mark),)
    elif row.is_several:
        yield from _counted(change)
    else:
        yield from _told(row, change)


def least(row: Row) -> tuple[Word, ...]:
    """The one word for what became of a row that has no room for more."""
    mark = row.change.mark if row.change else ""
    return (Word(mark, "altered" if mark == "mixed" else mark),)


# -------------------------------------------------------------------- a row of several layers


def _counted(change: Change) -> Iterator[tuple[Word, ...]]:
    """How many layers of several differ, or steps if no layer does: "2 of 6 added"."""
    counts: Mapping[str, int] = change.tally.counts or Counter(part.kind for part in change.parts)
    if counts.keys() == {"resized", "altered"}:
        counts = {"altered": sum(counts.values())}
    of = f" of {change.of}" if change.tally.counts else ""
    if len(counts) == 1:
        ((kind, count),) = counts.items()
        yield (Word(kind, f"{count}{of} {kind}"),)
        yield (Word(kind, f"{count} {kind}"),)
        yield (Word(kind, f"{SIGNS[kind]}{count}"),)
        return
    words = list(_joined([Word(kind, f"{SIGNS[kind]}{count}") for kind, count in counts.items()], " "))
    yield (*words, Word("", of))
    yield tuple(words)


# -------------------------------------------------------------------- a row of one layer


def _told(row: Row, change: Change) -> Iterator[tuple[Word, ...]]:
    """The setting of its layer that differs, then its parts; in full, with fewer names, with fewer parts.

    Of parts that were there already it is told only where nothing else differs: a norm is as wide as its layer.
    """
    own = [part for part in change.parts if part.node is row.heads[0]]
    others = [part for part in change.parts if part.kind in ("added", "removed") and part not in own]
    found = [
        [
            *(Word(part.kind, _setting(part, is_short) or part.kind) for part in own),
            *(_part(part, is_short) for part in others or ([] if own else change.parts)),
        ]
        for is_short in (False, True)
    ]
    yield from (tuple(_joined(words, " · ")) for words in found)
    yield from ((words[0], Word("", " …")) for words in found if len(words) > 1)


def _joined(words: Sequence[Word], by: str) -> Iterator[Word]:
    for place, word in enumerate(words):
        yield from [Word("", by)] if place else []
        yield word


def _part(part: Altered, is_short: bool) -> Word:
    """A norm or activation that was fused into a layer, or is now, or is another one."""
    tag = wording.tag(part.node)
    if part.kind in ("added", "removed"):
        return Word(part.kind, f"{SIGNS[part.kind]} {tag}")
    return Word(part.kind, f"{tag} {_setting(part, is_short) or part.kind}")


def _setting(part: Altered, is_short: bool) -> str:
    """
    >>> from fxviz.graph import Node
    >>> was, now = (Node("a", "module", "Linear", "a", settings={"in_features": size}) for size in (1024, 2208))
    >>> [_setting(Altered("resized", now, was), is_short) for is_short in (False, True)]
    ['in 1024 → 2208', '1024→2208']
    """
    found = setting(part)
    if found is None:
        return ""
    name, values = found
    if is_short:
        name, values = "" if name in CHANNELS else name, values.replace(" → ", "→")
    return f"{name} {values}".strip()
