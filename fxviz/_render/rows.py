"""What became of a row, in a few words, each of which knows what it tells of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fxviz._render import wording
from fxviz._render.settings import CHANNELS, settings
from fxviz._view.view import Altered, Change, Row

SIGNS = {"added": "+", "removed": "−", "resized": "~", "altered": "~", "mixed": "~"}
"""Stands before what differs, so that it is seen without colour."""

_FULL, _SHORT, _BARE = range(3)
"""How much of the names of settings is told: all; without those of channels unless there are several; without these, too."""


class Word(NamedTuple):
    """A few words, and of what they tell: one of ``difference.KINDS``, or "" for what only joins others."""

    kind: str
    text: str


def sign(row: Row) -> str:
    """The sign of a row that differs, "" for one that does not."""
    return SIGNS[row.change.mark] if row.change else ""


def said(row: Row) -> str:
    """What became of a row, in a few words.

    >>> from fxviz._graph import Node
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
    if {"resized", "altered"} <= counts.keys():
        both = counts["resized"] + counts["altered"]
        counts = {kind: both if kind == "altered" else count for kind, count in counts.items() if kind != "resized"}
    of = f" of {change.of}" if change.tally.counts and change.of != sum(counts.values()) else ""
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
    """The settings of its layer that differ, and its parts; in full, with fewer names, then fewer and fewer of them.

    A single one needs no name where it is a number of channels; two of these are told apart by theirs.
    """
    found = [_words(row, change, named) for named in (_FULL, _SHORT, _BARE)]
    for many in range(len(found[0]), 0, -1):
        for words in found if many == 1 else found[:2]:
            *some, last = words[:many]
            yield tuple(_joined([*some, last._replace(text=f"{last.text} …") if many < len(words) else last], " · "))


def _words(row: Row, change: Change, named: int) -> list[Word]:
    """What says most first: one setting of the layer, the parts, which are counted, the other settings of the layer.

    That parts were resized is told only where nothing else differs: a norm is as wide as its layer.
    """
    own = [part for part in change.parts if part.node is row.heads[0]]
    others = [part for part in change.parts if part.kind != "resized" and part not in own]
    said = [word for part in own for word in _settings(part, named)]
    parts = [word for part in others or ([] if own else change.parts) for word in _part(part, named)]
    counted = Counter([*said[:1], *parts, *said[1:]])
    return [Word(word.kind, f"{word.text} ×{count}" if count > 1 else word.text) for word, count in counted.items()]


def _joined(words: Sequence[Word], by: str) -> Iterator[Word]:
    for place, word in enumerate(words):
        yield from [Word("", by)] if place else []
        yield word


def _part(part: Altered, named: int) -> list[Word]:
    """A norm or activation that was fused into a layer, or is now, or is another one."""
    tag = wording.tag(part.node)
    if part.kind in ("added", "removed"):
        return [Word(part.kind, f"{SIGNS[part.kind]} {tag}")]
    return [Word(part.kind, f"{tag} {word.text}") for word in _settings(part, named)]


def _settings(part: Altered, named: int) -> list[Word]:
    """
    >>> from fxviz._graph import Node
    >>> was, now = (Node("a", "module", "Linear", "a", settings={"in_features": size}) for size in (1024, 2208))
    >>> [word.text for named in (_FULL, _SHORT) for word in _settings(Altered("resized", now, was), named)]
    ['in 1024 → 2208', '1024→2208']
    """
    found = settings(part) if part.kind != "added" else []
    if named != _FULL:
        leave_out = named == _BARE or sum(name in CHANNELS for name, _ in found) == 1
        found = [("" if leave_out and name in CHANNELS else name, values.replace(" → ", "→")) for name, values in found]
    return [Word(part.kind, f"{name} {values}".strip()) for name, values in found] or [Word(part.kind, part.kind)]
