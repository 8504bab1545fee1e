"""Draw tables: one line for each stage, or one for each run of blocks that are alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

from fxviz._analysis.structure import Kind, Occurrence, Run, Stage, Structure
from fxviz._graph import SKIP_KINDS, units
from fxviz._render import palette
from fxviz._render.drawing import Color
from fxviz._render.paper.face import fit
from fxviz._render.paper.lanes import further_on
from fxviz._render.paper.scene import Anchor, Area, Item, Label, Piece, Stroke
from fxviz._render.paper.style import (
    SMALL,
    TEXT,
    TINTED,
    condensed,
    extent,
    has_layers,
    in_lines,
    length,
    plain_word,
    short_name,
    text,
    value,
)

LINE, BETWEEN, CLOSE = 11.5, 7.0, 4.5
"""The height of a line, and the least space between columns: if there is room for all, and where room is short."""


MOST_WORDS = (160.0, 120.0, 84.0)
"""Longer words for a stage take two lines, and then are cut: the widest that leaves room for the other columns."""
LONGEST_NAME = 66.0
"""A longer name of a stage takes two lines."""
LANE, MOST_ARCS = 4.0, 6
"""The space between two arcs on the left of a table, and how many have room there."""
LARGE = ("params", "share")
"""The columns whose numbers are bold where they are large."""


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
    Column("blocks", "blocks", rank=2),
    Column("widths", "in → out", "middle", rank=1),
    Column("size", "size", "middle", rank=4),
    Column("params", "params", "end"),
    Column("share", "share", "end", rank=6),
)
RUNS = (
    Column("stage", "stage", rank=4, bold=True),
    Column("operator", "operator", bold=True),
    Column("k", "k", "middle", rank=2),
    Column("t", "t", "middle", rank=3),
    Column("widths", "in → out", "middle", rank=1),
    Column("size", "size", "middle", rank=5),
    Column("times", "×", "middle"),
    Column("skip", "", "middle"),
    Column("params", "params", "end"),
)


def by_stage(structure: Structure, room: float, repeated: bool = False) -> Piece:
    """Return a table with a line for each stage; ``repeated``: beside an overview that tells blocks and sizes."""
    ranks = {"blocks": 5, "widths": 0} if repeated else {}
    columns = [replace(column, rank=ranks.get(column.key, column.rank)) for column in STAGES]
    lines = [_stage(stage) for stage in structure.stages]
    return _with_arcs(structure, columns, lines, [(at, at) for at in range(len(lines))], room, repeated)


def by_run(structure: Structure, room: float, repeated: bool = False) -> Piece:
    """Return a table with a line for each run of blocks of one kind, kernel, expansion and width."""
    lines = [list(found) for found in _lines(structure)]
    ends = list(accumulate(map(len, lines)))
    spans = [(end - len(found), end - 1) for found, end in zip(lines, ends, strict=True)]
    return _with_arcs(structure, RUNS, [line for found in lines for line in found], spans, room, repeated)


def _with_arcs(
    structure: Structure,
    columns: Sequence[Column],
    lines: Sequence[Line],
    spans: Sequence[tuple[int, int]],
    room: float,
    repeated: bool,
) -> Piece:
    """Return a table with arcs on its left from stages to those further on that read them, unless they are told above.

    ``spans``: the first and the last line of each stage.
    """
    arcs: dict[tuple[int, str], list[int]] = defaultdict(list)
    for link in () if repeated else further_on(structure):
        arcs[link.target, link.kind if link.kind in SKIP_KINDS else "flow"].append(link.source)
    lanes: dict[tuple[int, str], int] = {}
    for target, kind in sorted(arcs, key=lambda arc: arc[0] - min(arcs[arc])):
        low = min(arcs[target, kind])
        busy = {lane for other, lane in lanes.items() if min(arcs[other]) <= target and low <= other[0]}
        lanes[target, kind] = next(lane for lane in range(len(lanes) + 1) if lane not in busy)
    margin = 6 + LANE * (max(lanes.values()) + 1) if lanes and len(lanes) <= MOST_ARCS else 0.0
    piece, tops = _table(columns, lines, room - margin)
    items = list(piece.at(margin, 0))
    for (target, kind), sources in arcs.items() if margin else ():
        x, end = margin - 7 - LANE * lanes[target, kind], tops[spans[target][0]] + LINE / 2
        for source in sources:
            start = tops[spans[source][1]] + LINE / 2
            points = ((margin, start), (x, start), (x, end), (margin, end))
            color = palette.FLOW if kind == "flow" else palette.SKIP
            items.append(Stroke(points, color, 1.2, 4.5, dashed=has_layers(kind)))
    return Piece(margin + piece.width, piece.height, tuple(items))


def _stage(stage: Stage) -> Line:
    return Line(
        {
            "stage": short_name(stage),
            "blocks": blocks(stage),
            "widths": f"{stage.entering}→{stage.channels}" if stage.entering and stage.channels else "",
            "size": extent(stage.size),
            "params": units.count(stage.params),
            "share": units.percent(stage.share) if stage.params else "",
        },
        stage.share,
    )


def blocks(stage: Stage) -> str:
    """Return the layers and blocks of a stage: "MaxPool 3×3 /2, A A'×2"."""
    words = ""
    last: Run | None = None
    for run in condensed(stage.runs):
        between = "" if last is None else " " if run.lettered and last.lettered else ", "
        words += between + (run.text if run.lettered else plain_word(run.text))
        last = run
    return words


def _lines(structure: Structure) -> Iterator[Iterator[Line]]:
    """Yield the lines of each stage."""
    whole = sum(stage.params for stage in structure.stages) or 1
    found = [(kind, at, block) for kind in structure.kinds for at, block in enumerate(kind.occurrences)]
    by_node = {block.nodes[0]: (kind, at, block) for kind, at, block in found}
    for stage in structure.stages:
        yield _stage_lines(stage, [by_node[node] for node in stage.nodes if node in by_node], whole)


def _stage_lines(stage: Stage, blocks: Sequence[tuple[Kind, int, Occurrence]], whole: int) -> Iterator[Line]:
    left = stage.params - sum(block.params for _, _, block in blocks)
    words = ", ".join(plain_word(run.text) for run in stage.runs if not run.lettered)
    if words and (left or not blocks):
        yield _lone(stage, words, left, whole)
    name = short_name(stage) if not words or not left else ""
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
    letters = " ".join(dict.fromkeys(other.letter for other, _, _ in blocks))
    cells = {
        "stage": name,
        "operator": f"{kind.word.split(' ')[0].rstrip(',')} {letters}".strip(),
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
            "stage": short_name(stage),
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

    def lines(self, line: Line) -> list[str]:
        """Return the words of a line in this column, those for blocks and names in one or two lines."""
        words = line.cells.get(self.column.key, "")
        if self.column.key == "stage":
            return in_lines(words, self.width + 1)
        if self.column.key != "blocks" or length(words) <= self.width + 1:
            return [words]
        return in_two(words, self.width + 1)

    def text(self, words: str, middle: float, color: Color, bold: bool = False, size: float = TEXT) -> Label:
        """Return words in this column."""
        at = {"start": 0.0, "middle": 0.5, "end": 1.0}[self.column.anchor]
        return text(self.left + at * self.width, middle, words, color, bold, self.column.anchor, size)


def _table(columns: Sequence[Column], lines: Sequence[Line], room: float) -> tuple[Piece, list[float]]:
    """Return a table, and the top of each line."""
    kept, widths = _kept(columns, lines, room)
    gap = min(BETWEEN + 14, max(CLOSE, (room - sum(widths) - 6) / max(1, len(kept) - 1)))
    lefts = [3 + sum(widths[:place]) + gap * place for place in range(len(kept))]
    placed = [Placed(*each) for each in zip(kept, lefts, widths, strict=True)]
    across = sum(widths) + gap * (len(kept) - 1) + 6
    items: list[Item] = [each.text(each.column.title, LINE / 2, palette.MUTED, size=SMALL) for each in placed]
    top, tops = LINE, []
    for line in lines:
        tops.append(top)
        high = LINE + 8.5 * (max(len(each.lines(line)) for each in placed) - 1)
        items += _row(line, top, high, across, placed)
        top += high
    return Piece(across, top, tuple(items)), tops


def in_two(words: str, room: float) -> list[str]:
    """Return words in two lines, the first as long as ``room`` points allow.

    >>> in_two("MaxPool 3×3 /2, A A'×2", 70)
    ['MaxPool 3×3 /2,', "A A'×2"]
    """
    parts = words.split(" ")
    ends = [end for end in range(1, len(parts)) if length(" ".join(parts[:end])) <= room]
    best = max((end for end in ends if parts[end - 1].endswith(",")), default=max(ends, default=1))
    return [" ".join(parts[:best]), " ".join(parts[best:])]


def _kept(columns: Sequence[Column], lines: Sequence[Line], room: float) -> tuple[list[Column], list[float]]:
    """Return the columns that say something and have room, and their widths: those of the highest rank go first."""
    said = {key for line in lines for key, words in line.cells.items() if words}
    said |= {"skip"} if any(line.skips for line in lines) else set()
    kept = [column for column in columns if column.key in said]
    while True:
        for most in MOST_WORDS:
            widths = [_width(column, lines, most) for column in kept]
            if sum(widths) + CLOSE * (len(kept) - 1) + 6 <= room:
                return kept, widths
        dropped = max(kept, key=lambda column: column.rank)
        if not dropped.rank:
            return kept, widths
        kept.remove(dropped)


def _row(line: Line, top: float, high: float, across: float, columns: Sequence[Placed]) -> Iterator[Item]:
    if line.share >= TINTED:
        yield Area(0, top + 0.5, across, high - 1, palette.bar(line.share), radius=1.5)
    color = palette.on_bar(line.share) if line.share >= TINTED else palette.INK
    for placed in columns:
        if placed.column.key == "skip":
            yield from _hook(line, placed.left, top)
            continue
        bold = placed.column.bold or (placed.column.key in LARGE and line.share >= 0.1)
        for number, words in enumerate(placed.lines(line)):
            yield placed.text(fit(words, placed.width + 1, TEXT, bold), top + LINE / 2 + 8.5 * number, color, bold)


def _hook(line: Line, left: float, top: float) -> Iterator[Item]:
    """Draw the sign of a skip around the blocks of a line."""
    if line.skips:
        points = ((left + 1, top + 3), (left + 8, top + 3), (left + 8, top + 8.5), (left + 1, top + 8.5))
        yield Stroke(points, palette.SKIP, 1.2, 4, dashed=has_layers(line.shortcut), radius=1.5)


def _width(column: Column, lines: Sequence[Line], most: float) -> float:
    if column.key == "skip":
        return 9.0
    texts = [line.cells.get(column.key, "") for line in lines]
    most = {"blocks": most, "operator": most, "stage": LONGEST_NAME}.get(column.key, 90.0)
    bold = column.bold or column.key in LARGE
    return min(most, max(length(column.title, size=SMALL), *(length(words, bold) for words in texts)))
