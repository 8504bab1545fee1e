"""Draw a model beside the one it is compared with, for print: what differs in each stage and each kind of block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from fxviz._analysis.difference import ChangeKind, Difference, matters, tally
from fxviz._analysis.structure import Family, Kind, Row, Structure
from fxviz._graph import ArchGraph
from fxviz._render import palette
from fxviz._render.differences import SIGNS, counts, fit_names, note, totals
from fxviz._render.paper.face import fit, wrapped
from fxviz._render.paper.family import Remark, grids, put_together
from fxviz._render.paper.inset import inset, several
from fxviz._render.paper.page import MARGIN, Words
from fxviz._render.paper.scene import Item, Piece, Scene
from fxviz._render.paper.style import SMALL, TITLE, length, text
from fxviz._view.view import Mark


def difference_page(
    models: Family, words: Sequence[Words], difference: Difference, name: str, width: float, height: float | None = None
) -> Scene:
    """Return the figure of a difference: the old model, the new one beside it, and the kinds of blocks that changed.

    Args:
        models: the old and the new model.
        words: what is said of each.
        difference: how they differ.
        name: a text in place of both names; "" for these.
        width: of the figure, in points.
        height: the greatest height, as for a family.
    """
    room = width - 2 * MARGIN
    remarks = [dict(_remarks(structure, place, difference)) for place, structure in enumerate(models.structures)]
    columns = [_head(difference, name, room), *grids(models.structures, words, room, remarks)]
    changed = _changed(models, difference)

    def more_or_less() -> Iterator[tuple[Sequence[Piece], Sequence[str]]]:
        for count in range(len(changed), -1, -1):
            letters = ", ".join(kind.letter for kind, _ in changed[count:])
            yield [_inset(*each, room) for each in changed[:count]], [f"the changes in {letters}"] if letters else []

    return put_together(columns, more_or_less(), words, name or " against ".join(difference.names[::-1]), width, height)


def _head(difference: Difference, name: str, room: float) -> Piece:
    """Return both names, the totals, and how many layers differ, each number in the colour of its mark."""
    named = fit(name, room, TITLE, bold=True) if name else fit_names(difference, room, TITLE)
    items: list[Item] = [text(0, TITLE / 2, named, bold=True, size=TITLE)]
    y = TITLE + 6.0
    for line in wrapped(list(totals(difference)), " · ", room, SMALL):
        items.append(text(0, y, line, palette.MUTED, size=SMALL))
        y += 9
    said = [(words, palette.MARKS[kind], True) for kind, words in counts(difference)]
    x = 0.0
    for words, color, bold in [*said, (note(difference), palette.MUTED, False)]:
        if x and x + length(words, bold, SMALL) > room:
            x, y = 0.0, y + 9
        items.append(text(x, y, fit(words, room, SMALL, bold), color, bold, size=SMALL))
        x += length(words, bold, SMALL) + 8
    return Piece(room, y + 4, tuple(items))


# -------------------------------------------------------------------- stages


def _remarks(structure: Structure, place: int, difference: Difference) -> Iterator[tuple[int, Remark]]:
    """Yield what is said of each stage that differs: in the old model what was removed, in the new one all else."""
    removed = {node.id for lost in difference.removed for node in lost.nodes}
    graph = (difference.old, difference.new)[place]
    for number, stage in enumerate(structure.stages):
        kinds: dict[ChangeKind, list[str]] = {}
        for name in stage.nodes:
            kind = difference.kind(name) if place else "removed" if name in removed else ""
            if kind:
                kinds.setdefault(kind, []).append(name)
        if remark := _remark(graph, kinds, difference.readers):
            yield number, remark


def _remark(graph: ArchGraph, kinds: Mapping[ChangeKind, Sequence[str]], readers: Mapping[str, str]) -> Remark | None:
    nodes = {kind: list(filter(matters, (graph.by_id[name] for name in names))) for kind, names in kinds.items()}
    counted = tally(nodes, readers)
    if not counted.counts:
        return None
    texts = [
        (f"{SIGNS[kind]} {count} {counted.noun}{'s' * (count > 1)}{_ending(kind)}", palette.MARKS[kind])
        for kind, count in counted.counts.items()
    ]
    mark: Mark = next(iter(counted.counts)) if len(counted.counts) == 1 else "mixed"
    return Remark(tuple(texts), palette.MARKED[mark])


def _ending(kind: ChangeKind) -> str:
    """Return the word for a change that its sign does not say."""
    return f" {kind}" if kind in ("resized", "altered") else ""


# -------------------------------------------------------------------- blocks


def _changed(models: Family, difference: Difference) -> list[tuple[Kind, Kind | None]]:
    """Return the kinds of blocks that the old model has not or has otherwise, each with what it was, if anything."""
    old, new = models.structures
    before = {kind.letter: kind for kind in old.kinds}
    kept = {kind.letter for kind in new.kinds}
    at = {node: kind.letter for kind in old.kinds for block in kind.occurrences for node in block.nodes}
    found: list[tuple[Kind, Kind | None]] = []
    for kind in new.kinds:
        nodes = [node for block in kind.occurrences for node in block.nodes]
        if kind.letter not in before:
            was = Counter(at.get(difference.pairs.get(node, ""), "") for node in nodes)
            replaced = [letter for letter, _ in was.most_common() if letter and letter not in kept]
            found.append((kind, before[replaced[0]] if replaced else None))
        elif any(node in difference.changed for node in nodes):
            found.append((kind, before[kind.letter]))
    return sorted(found, key=lambda pair: -pair[0].params)


def _inset(kind: Kind, before: Kind | None, room: float) -> Piece:
    """Return a kind of block with its rows marked, and what it lost below."""
    if before is None:
        marks: dict[int, Mark] = dict.fromkeys(range(len(kind.rows)), "added")
        return _noted(inset(kind, (), 0, room, marks), [(f"{SIGNS['added']} {kind.letter} is new", "added")], room)
    marks, lost = compared(before.rows, kind.rows)
    said: list[tuple[str, Mark]] = []
    if before.letter != kind.letter:
        said.append((f"{SIGNS['mixed']} {kind.letter} in place of {before.letter}", "mixed"))
    for symbol, values in kind.symbols.items():
        was, now = several(before.symbols.get(symbol, ())), several(values)
        if was and was != now:
            said.append((f"{SIGNS['resized']} {symbol} was {was}", "resized"))
    said += [(f"{SIGNS['removed']} {row.text}", "removed") for row in lost]
    return _noted(inset(kind, (), 0, room, marks), said, room)


def compared(old: Sequence[Row], new: Sequence[Row]) -> tuple[dict[int, Mark], list[Row]]:
    """Return how rows of a block differ from those of another one, by their places, and which it lost.

    >>> first, last = Row("Conv 3×3", "C", ("C",), ("BN", "ReLU")), Row("Conv 1×1", "C", ("C",))
    >>> compared([first, last], [Row("Conv 3×3", "C", ("C",), ("BN", "GELU")), Row("SE"), last])
    ({0: 'altered', 1: 'added'}, [])
    """
    marks: dict[int, Mark] = {}
    lost: list[Row] = []
    matcher = SequenceMatcher(None, [_name(row) for row in old], [_name(row) for row in new], autojunk=False)
    for tag, start, end, first, last in matcher.get_opcodes():
        if tag != "equal":
            lost += old[start:end]
            marks |= dict.fromkeys(range(first, last), "added")
            continue
        for was, place in zip(old[start:end], range(first, last), strict=True):
            if was.text != new[place].text:
                marks[place] = "altered"
    return marks, lost


def _name(row: Row) -> tuple[str, bool]:
    """Return by what a row is known again."""
    return row.word.split(" ")[0], row.on_shortcut


def _noted(drawn: Piece, said: Sequence[tuple[str, Mark]], room: float) -> Piece:
    """Put lines in the colours of their marks below a piece."""
    items = [
        text(2, drawn.height + 6 + 9 * line, fit(words, room - 4, SMALL, True), palette.MARKS[mark], True, size=SMALL)
        for line, (words, mark) in enumerate(said)
    ]
    width = max([drawn.width, *(label.left + label.width for label in items)])
    return Piece(width, drawn.height + 9 * len(said) + 4, (*drawn.items, *items))
