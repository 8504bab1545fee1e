"""Draw tables: one line for each stage, or one for each run of blocks that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from fxviz._analysis.structure import Kind, Occurrence, Stage, Structure
from fxviz._graph import units
from fxviz._render import palette
from fxviz._render.drawing import Color
from fxviz._render.paper.face import fit
from fxviz._render.paper.scene import Anchor, Area, Item, Label, Piece, Stroke
from fxviz._render.paper.style import NARROW, SMALL, TEXT, TINTED, condensed, extent, length, plain_word, text, value

LINE, BETWEEN = 11.5, 7.0


MOST_WORDS = (84.0, 120.0)
"""Longer words for a stage, in a column and on a page, are told without pooling, and then cut."""


@dataclass(frozen=True)
class Line:
    """One line: the texts by column, the share of the parameters, and the kind of the blocks' shortcut."""

    cells: dict[str, str]
    share: float
    shortcut: str | None = None
    skips: int = 0


@dataclass(frozen=True)
class Column:
    """A column, and how soon it is left out where there is no room: the highest rank first, 0 never."""

    key: str
    title: str
    anchor: Anchor = "start"
    rank: int = 0
    bold: bool = False


STAGES = (
    Column("stage", "stage", bold=True),
    Column("blocks", "blocks", rank=1),
    Column("widths", "in → out", "middle", rank=2),
    Column("size", "size", "middle", rank=3),
    Column("params", "params", "end"),
    Column("share", "", "end", rank=4),
)
RUNS = (
    Column("stage", "stage", rank=5, bold=True),
    Column("operator", "operator", bold=True),
    Column("k", "k", "middle", rank=2),
    Column("t", "t", "middle", rank=3),
    Column("widths", "in → out", "middle", rank=1),
    Column("size", "size", "middle", rank=4),
    Column("times", "×", "middle"),
    Column("skip", "", "middle"),
    Column("params", "params", "end"),
)


def by_stage(structure: Structure, room: float) -> Piece:
    """Return a table with a line for each stage."""
    return _table(STAGES, [_stage(stage, _most(room)) for stage in structure.stages], room)


def by_run(structure: Structure, room: float) -> Piece:
    """Return a table with a line for each run of blocks of one kind, kernel, expansion and width."""
    return _table(RUNS, list(_lines(structure)), room)


def _most(room: float) -> float:
    return MOST_WORDS[room >= NARROW]


def _stage(stage: Stage, most: float) -> Line:
    words = [run.text if run.lettered else plain_word(run.text) for run in condensed(stage.runs)]
    blocks = " ".join(words)
    if length(blocks) > most:
        blocks = " ".join([word for word in words if "Pool" not in word] or words)
    return Line(
        {
            "stage": stage.title,
            "blocks": blocks,
            "widths": f"{stage.entering}→{stage.channels}" if stage.entering and stage.channels else "",
            "size": extent(stage.size),
            "params": units.count(stage.params),
            "share": units.percent(stage.share) if stage.params else "",
        },
        stage.share,
    )


def _lines(structure: Structure) -> Iterator[Line]:
    whole = sum(stage.params for stage in structure.stages) or 1
    found = [(kind, at, block) for kind in structure.kinds for at, block in enumerate(kind.occurrences)]
    by_node = {block.nodes[0]: (kind, at, block) for kind, at, block in found}
    for stage in structure.stages:
        blocks = [by_node[node] for node in stage.nodes if node in by_node]
        left = stage.params - sum(block.params for _, _, block in blocks)
        words = ", ".join(plain_word(run.text) for run in stage.runs if not run.lettered)
        if words and (left or not blocks):
            yield _lone(stage, words, left, whole)
        name = stage.title if not words or not left else ""
        for _, group in groupby(blocks, key=_alike):
            yield _run(list(group), name, whole)
            name = ""


def _alike(block: tuple[Kind, int, Occurrence]) -> tuple[object, ...]:
    kind, at, occurrence = block
    return kind.letter.rstrip("'"), occurrence.channels, _kernel(kind, at), _expansion(kind, at)


def _kernel(kind: Kind, at: int) -> str:
    """Return the kernel of a block's depthwise convolution, else the one that all its larger convolutions have."""
    rows = [row for row in kind.rows if "kernel" in row.facts and not row.on_shortcut]
    depthwise = [row for row in rows if row.word.startswith("DW")]
    kernels = {row.facts["kernel"][at] for row in depthwise or rows} - {None}
    larger = {kernel for kernel in kernels if kernel not in (1, (1,), (1, 1), (1, 1, 1))} or kernels
    if len(larger) != 1:
        return ""
    return value(larger.pop())


def _expansion(kind: Kind, at: int) -> str:
    """Return how many times wider a block's depthwise convolution is than what enters the block."""
    entering = kind.occurrences[at].entering
    widths = [row.facts["width"][at] for row in kind.rows if row.word.startswith("DW") and "width" in row.facts]
    if not entering or not widths or not widths[0]:
        return ""
    return f"{widths[0] / entering:.3g}"


def _run(blocks: Sequence[tuple[Kind, int, Occurrence]], name: str, whole: int) -> Line:
    kind, at, first = blocks[0]
    last, params = blocks[-1][2], sum(block.params for _, _, block in blocks)
    skips = sum(other.shortcut is not None for other, _, _ in blocks)
    cells = {
        "stage": name,
        "operator": kind.word.split(" ")[0].rstrip(",") or kind.letter,
        "k": _kernel(kind, at),
        "t": _expansion(kind, at),
        "widths": f"{first.entering}→{last.channels}",
        "size": extent(last.size),
        "times": str(len(blocks)),
        "params": units.count(params),
    }
    return Line(
        cells, params / whole, next((other.shortcut for other, _, _ in blocks[::-1] if other.shortcut), None), skips
    )


def _lone(stage: Stage, words: str, params: int, whole: int) -> Line:
    first = words.split(", ")[0].split(" ")
    kernel = next((word.split("×")[0] for word in first if "×" in word), "") if words.count(",") == 0 else ""
    names = list(dict.fromkeys(part.split(" ")[0] for part in words.split(", ")))
    operator = ", ".join([name for name in names if not name.endswith("Pool")] or names)
    return Line(
        {
            "stage": stage.title,
            "operator": operator,
            "k": kernel,
            "widths": f"{stage.entering}→{stage.channels}" if stage.entering and stage.channels else "",
            "size": extent(stage.size),
            "times": "1",
            "params": units.count(params) if params else "",
        },
        params / whole,
    )


@dataclass(frozen=True)
class Placed:
    """A column in its place."""

    column: Column
    left: float
    width: float

    def text(self, words: str, middle: float, color: Color, bold: bool = False, size: float = TEXT) -> Label:
        """Return words in this column."""
        at = {"start": 0.0, "middle": 0.5, "end": 1.0}[self.column.anchor]
        return text(self.left + at * self.width, middle, words, color, bold, self.column.anchor, size)


def _table(columns: Sequence[Column], lines: Sequence[Line], room: float) -> Piece:
    kept = _kept(columns, lines, room)
    widths = [_width(column, lines, room) for column in kept]
    spare = max(0.0, room - sum(widths) - BETWEEN * (len(kept) - 1) - 6) / max(1, len(kept) - 1)
    gap = BETWEEN + min(spare, 14.0)
    lefts = [3 + sum(widths[:place]) + gap * place for place in range(len(kept))]
    placed = [Placed(*each) for each in zip(kept, lefts, widths, strict=True)]
    across = sum(widths) + gap * (len(kept) - 1) + 6
    items: list[Item] = [each.text(each.column.title, LINE / 2, palette.MUTED, size=SMALL) for each in placed]
    for number, line in enumerate(lines, 1):
        items += _row(line, number * LINE, across, placed)
    return Piece(across, LINE * (len(lines) + 1), tuple(items))


def _kept(columns: Sequence[Column], lines: Sequence[Line], room: float) -> list[Column]:
    """Return the columns that say something and have room: those of the highest rank go first."""
    said = {key for line in lines for key, words in line.cells.items() if words}
    said |= {"skip"} if any(line.skips for line in lines) else set()
    kept = [column for column in columns if column.key in said]
    while sum(_width(column, lines, room) for column in kept) + BETWEEN * (len(kept) - 1) + 6 > room:
        dropped = max(kept, key=lambda column: column.rank)
        if not dropped.rank:
            break
        kept.remove(dropped)
    return kept


def _row(line: Line, top: float, across: float, columns: Sequence[Placed]) -> Iterator[Item]:
    if line.share >= TINTED:
        yield Area(0, top + 0.5, across, LINE - 1, palette.bar(line.share), radius=1.5)
    color = palette.on_bar(line.share) if line.share >= TINTED else palette.INK
    for placed in columns:
        if placed.column.key == "skip":
            yield from _hook(line, placed.left, top)
            continue
        bold = placed.column.bold or (placed.column.key == "params" and line.share >= 0.1)
        words = fit(line.cells.get(placed.column.key, ""), placed.width + 1, TEXT, bold)
        yield placed.text(words, top + LINE / 2, color, bold)


def _hook(line: Line, left: float, top: float) -> Iterator[Item]:
    """Draw the sign of a skip around the blocks of a line."""
    if line.skips:
        points = ((left + 1, top + 3), (left + 8, top + 3), (left + 8, top + 8.5), (left + 1, top + 8.5))
        yield Stroke(points, palette.SKIP, 1.2, 4, dashed=line.shortcut != "identity", radius=1.5)


def _width(column: Column, lines: Sequence[Line], room: float) -> float:
    if column.key == "skip":
        return 9.0
    texts = [line.cells.get(column.key, "") for line in lines]
    most = _most(room) if column.key in ("blocks", "operator") else 90.0
    bold = column.bold or column.key == "params"
    return min(most, max(length(column.title, size=SMALL), *(length(words, bold) for words in texts)))
