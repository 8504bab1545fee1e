"""Draw one kind of block: its rows from top to bottom, branches side by side, and its skips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations, pairwise

from fxviz._analysis.structure import Kind, Row
from fxviz._graph import units
from fxviz._render import palette
from fxviz._render.drawing import Point
from fxviz._render.paper.face import fit, wrapped
from fxviz._render.paper.net import Net, Skip
from fxviz._render.paper.scene import Area, Item, Label, Piece, Stroke
from fxviz._render.paper.style import SMALL, TEXT, TINTED, is_join, length, text, value, widths
from fxviz._view.view import Mark

ROW, JOIN, STEP = 13.0, 10.0, 7.0
"""Heights of a row and of a join, and the space between them."""
LANE = 9.0
"""Between two skips side by side."""
_PAD, _BETWEEN = 5.0, 8.0
_ARROW = 13.0
"""The length of an arrow from outside of a block."""
_LAYERS = ("Conv", "DW", "Linear", "UpConv")


@dataclass(frozen=True)
class Inset:
    """A kind of block, and where its rows are drawn.

    Attributes:
        kind: the kind.
        whole: the parameters of the whole model, by which rows are tinted.
        compact: tell norms and activations once, above the rows.
        percent: say the share of each row, and tint it.
        marks: how rows differ from those of another model, by their places.
    """

    kind: Kind
    whole: int
    compact: bool = False
    percent: bool = False
    marks: Mapping[int, Mark] = field(default_factory=dict)

    def share(self, row: Row) -> float:
        """Return the share of a row in all its occurrences; 0 if that is unknown."""
        return (row.params or 0) / self.whole if self.whole else 0.0

    @cached_property
    def net(self) -> Net:
        return Net(self.kind.rows)

    @cached_property
    def count(self) -> int:
        """Return the number of columns."""
        return int(max(self.net.columns.values(), default=0.0)) + 1

    @cached_property
    def common(self) -> tuple[str, ...]:
        """Return the marks of all layers of a block with branches, which are told once."""
        layers = [row.marks for row in self.kind.rows if row.word.split(" ")[0] in _LAYERS and not row.on_shortcut]
        marks = dict.fromkeys(mark for marks in layers for mark in marks if mark.isalpha())
        if self.count == 1 or not layers:
            return ()
        return tuple(mark for mark in marks if self.compact or all(mark in marks for marks in layers))

    def words(self, row: Row) -> tuple[str, str]:
        """Return a row's name, in bold, and what stands behind it."""
        name = f"{row.word} {widths(row)}" if len(row.channels) > 1 else row.word
        if self.compact and name.startswith("Conv "):
            name = name.removeprefix("Conv ")
        times = [f"×{row.times}"] if row.times > 1 else []
        strides = [mark for mark in row.marks if mark.startswith("/")]
        others = [mark for mark in row.marks if mark not in strides and mark not in self.common]
        beside = [widths(row)] if self.count > 1 and len(row.channels) == 1 else []
        share = self.share(row) if self.percent else 0.0
        shares = [units.percent(share)] if share >= TINTED else []
        behind = " · ".join(words for words in (" ".join([*others, *beside]), *shares) if words)
        return " ".join([name, *strides, *times]), behind

    def box(self, row: Row) -> float:
        """Return the width of a row's box."""
        name, beside = self.words(row)
        return length(name, bold=True) + (4 + length(beside, size=SMALL) if beside else 0) + 8

    @cached_property
    def column(self) -> float:
        """Return the width of a column."""
        return max((self.box(row) for row in self.kind.rows if not is_join(row) and not row.on_shortcut), default=30.0)

    @cached_property
    def behind(self) -> float:
        """Return the room for channels behind the only column."""
        if self.count > 1:
            return 0.0
        said = (widths(row) for row in self.kind.rows if len(row.channels) == 1 and not row.on_shortcut)
        return max((length(words, size=SMALL) + 4 for words in said), default=0.0)

    @cached_property
    def side(self) -> float:
        """Return the room for skips on the left, and for the rows on them."""
        lanes = LANE * (max(self.net.lanes.values(), default=-1) + 1)
        on_them = [self.box(row) for skip in self.net.skips if (row := self.through(skip))]
        return lanes + (max(on_them) if on_them else 0.0)

    def through(self, skip: Skip) -> Row | None:
        """Return the row on a skip, several in one; None if there is none."""
        rows = [self.kind.rows[place] for place in skip.through]
        return rows[0] if len(rows) == 1 else Row(", ".join(row.word for row in rows)) if rows else None

    def left(self, column: float) -> float:
        return _PAD + self.side + column * (self.column + _BETWEEN)

    def middle(self, row: int) -> float:
        return self.left(self.net.columns.get(row, 0.0)) + self.column / 2

    @cached_property
    def tops(self) -> list[float]:
        """Return the top of each level."""
        depth = max(self.net.levels, default=-1) + 1
        tops, y = [], 0.0
        for level in range(depth):
            tops.append(y)
            at = [row for row, place in zip(self.kind.rows, self.net.levels, strict=True) if place == level]
            y += (JOIN if all(is_join(row) for row in at if not row.on_shortcut) else ROW) + STEP
        return [*tops, y]

    def rect(self, row: int) -> tuple[float, float, float, float]:
        """Return left, top, width and height of a row on the main way."""
        top = self.tops[self.net.levels[row]]
        if is_join(self.kind.rows[row]):
            return self.middle(row) - JOIN / 2, top, JOIN, JOIN
        return self.middle(row) - self.column / 2, top, self.column, ROW

    @cached_property
    def collides(self) -> bool:
        """Return whether two rows stand on each other: branches that join and part again need more than columns."""
        spans = []
        for place, row in enumerate(self.kind.rows):
            left, _, width, _ = self.rect(place)
            said = length(" ".join(row.marks), size=SMALL) + 4 if is_join(row) and row.marks else 0.0
            said += self._entering(place)
            if not row.on_shortcut:
                spans.append((self.net.levels[place], left, left + width + said))
        spans.sort()
        beside = [skip for skip in self.net.skips if skip.through]
        if any(self.net.overlap(one, other) for one, other in combinations(beside, 2)):
            return True
        return any(one[0] == other[0] and other[1] < one[2] for one, other in pairwise(spans))

    def body(self) -> Piece:
        """Return the block without its frame, from the arrow that enters it to the one that leaves."""
        items = [
            *self._flows(),
            *self._skips(),
            *self._others(),
            *(item for row in range(len(self.kind.rows)) for item in self._row(row)),
        ]
        right = max((item.left + item.width for item in items if isinstance(item, Label)), default=0.0)
        right = max(right, self.left(self.count - 1) + self.column + self.behind)
        return Piece(right + _PAD, self.tops[-1] + STEP, tuple(item.moved(0, STEP) for item in items))

    def _row(self, place: int) -> Iterator[Item]:
        row = self.kind.rows[place]
        if row.on_shortcut:
            return
        left, top, width, height = self.rect(place)
        middle = top + height / 2
        if is_join(row):
            is_skip = any(skip.end == place for skip in self.net.skips)
            color = palette.SKIP if is_skip else palette.MUTED
            sign = {"+": "+", "×": "×"}.get(row.word, "C")
            yield Area(left, top, width, height, color, radius=JOIN / 2)
            yield text(left + width / 2, middle, sign, palette.CARD, bold=True, anchor="middle", size=8)
            if row.marks:
                x = left + width + 4 + self._entering(place)
                yield text(x, middle, " ".join(row.marks), palette.MUTED, size=SMALL)
            return
        name, beside = self.words(row)
        share = self.share(row)
        is_tinted = self.percent and share >= TINTED
        mark = self.marks.get(place)
        fill = palette.MARKED[mark] if mark else palette.bar(share) if is_tinted else palette.CARD
        border = palette.MARKS[mark] if mark else palette.BORDER
        yield Area(left, top, width, height, fill, border, title=row.text)
        yield text(left + 4, middle, name, palette.on_bar(share) if is_tinted else palette.INK, bold=True)
        if beside:
            color = palette.on_bar(share) if is_tinted else palette.MUTED
            yield text(left + width - 4, middle, beside, color, anchor="end", size=SMALL)
        if self.count == 1 and len(row.channels) == 1:
            yield text(left + width + 3, middle, widths(row), palette.MUTED, size=SMALL)

    def _entering(self, place: int) -> float:
        """Return the room on the right of a row for a tensor that enters there from outside of the block."""
        return length(self._from(place), size=SMALL) + _ARROW + 3 if place in self.net.entering else 0.0

    def _from(self, place: int) -> str:
        """Return what is said of a tensor that enters from outside: the other stream, skips, or one skip."""
        row = self.kind.rows[place]
        if not is_join(row):
            return "memory" if row.facts.get("cross") else "second input"
        return "earlier layers" if not any(read >= 0 for read in row.reads) else "skip"

    def _others(self) -> Iterator[Item]:
        """Draw what enters the block beside its first input: an arrow from the right."""
        for place in self.net.entering:
            left, top, width, height = self.rect(place)
            x, y = left + width, top + height / 2
            color = palette.SKIP if is_join(self.kind.rows[place]) else palette.FLOW
            yield Stroke(((x + _ARROW, y), (x, y)), color, 1.4, 5)
            yield text(x + _ARROW + 2, y, self._from(place), color, size=SMALL)

    def _ends(self, start: int) -> Point:
        """Return the bottom middle of a row, or where the block is entered."""
        if start < 0:
            return self.middle(-1), -STEP
        left, top, width, height = self.rect(start)
        return left + width / 2, top + height

    def _flows(self) -> Iterator[Item]:
        for start, end in self.net.flows:
            left, top, width, _ = self.rect(end)
            tip = (left + width / 2, top)
            tail = self._ends(start)
            bend = tip[1] - STEP / 2
            points: tuple[Point, ...] = (tail, tip)
            if abs(tail[0] - tip[0]) >= 0.1:
                points = (tail, (tail[0], bend), (tip[0], bend), tip)
            if abs(tail[0] - tip[0]) >= 0.1 and is_join(self.kind.rows[end]) and start >= 0:
                side = left if tail[0] < tip[0] else left + width
                middle = top + JOIN / 2
                points = (tail, (tail[0], middle), (side, middle))
            yield Stroke(points, palette.FLOW, 0.9, 4)
        last = len(self.kind.rows) - 1
        if last >= 0:
            x, y = self._ends(last)
            yield Stroke(((x, y), (x, y + STEP)), palette.FLOW, 0.9, 4)

    def _skips(self) -> Iterator[Item]:
        for skip, lane in self.net.lanes.items():
            x, y = self._ends(skip.start)
            y += STEP / 2 - (0.5 if skip.start < 0 else 0)
            left, top, _, height = self.rect(skip.end)
            tip = (left, top + height / 2)
            out = self.left(0) - LANE * (lane + 1) + LANE / 2
            through = self.through(skip)
            out -= self.box(through) / 2 if through else 0
            if through is None:
                yield Stroke(((x, y), (out, y), (out, tip[1]), tip), palette.SKIP, 1.4, 5, radius=3)
                continue
            middle = (y + tip[1]) / 2
            yield Stroke(((x, y), (out, y), (out, middle - ROW / 2)), palette.SKIP, 1.4, dashed=True, radius=3)
            yield Stroke(((out, middle + ROW / 2), (out, tip[1]), tip), palette.SKIP, 1.4, 5, dashed=True, radius=3)
            yield from self._on_shortcut(through, out, middle)

    def _on_shortcut(self, row: Row, x: float, y: float) -> Iterator[Item]:
        width = self.box(row)
        name, beside = self.words(row)
        yield Area(x - width / 2, y - ROW / 2, width, ROW, palette.CARD, palette.SKIP, title=row.text)
        yield text(x - width / 2 + 4, y, name, palette.SKIP, bold=True)
        if beside:
            yield text(x + width / 2 - 4, y, beside, palette.MUTED, anchor="end", size=SMALL)


def inset(
    kind: Kind,
    variants: Sequence[Kind],
    whole: int,
    room: float,
    marks: Mapping[int, Mark] | None = None,
    percent: bool = False,
) -> Piece:
    """Return a kind of block in a frame, with its letter and name, and a line for each variant that is not drawn."""
    body, common = fitted(kind, whole, room - 2, percent, marks)
    symbols = wrapped(_symbols(kind), ", ", max(body.width, 90.0) - 2 * _PAD - 11, SMALL)
    said = [words for words in (title(kind), *symbols, common) if words]
    others = [f"{other.letter}  {variant(other, kind)}" for other in variants]
    needed = max((length(words, size=SMALL) for words in (*said, *others)), default=0.0) + 2 * _PAD + 11
    width = max(body.width, min(needed, room))
    head = 14.0 + 9 * max(0, len(said) - 1)
    foot = 9.0 * len(others) + 2
    high = head + body.height + foot
    items: list[Item] = [
        Area(0, 0, width, high, palette.PALE, palette.BORDER, radius=4),
        text(_PAD, 8, kind.letter, bold=True, size=8.5),
    ]
    behind = _PAD + length(kind.letter, bold=True, size=8.5) + 5
    for line, words in enumerate(said):
        items.append(text(behind, 8 + 9 * line, fit(words, width - behind - 2, SMALL), palette.MUTED, size=SMALL))
    for line, words in enumerate(others):
        y = head + body.height + 4 + 9 * line
        items.append(text(_PAD, y, fit(words, width - _PAD - 2, SMALL), palette.MUTED, size=SMALL))
    return Piece(width, high, (*items, *body.at((width - body.width) / 2, head)))


def fitted(
    kind: Kind, whole: int, room: float, percent: bool = False, marks: Mapping[int, Mark] | None = None
) -> tuple[Piece, str]:
    """Return a block as it fits into ``room`` points, and what is said above it of all its layers."""
    drawn = _drawn(kind, whole, room, percent)
    drawn = replace(drawn, marks=marks) if drawn is not None and marks else drawn
    if drawn is None:
        return _listed(kind, room), ""
    return drawn.body(), f"with {', '.join(drawn.common)}" if drawn.common else ""


def _drawn(kind: Kind, whole: int, room: float, percent: bool) -> Inset | None:
    """Return a block with as many words as fit, None if it cannot be drawn in ``room`` points."""
    for compact, shares in dict.fromkeys([(False, percent), (True, percent), (True, False)]):
        drawn = Inset(kind, whole, compact, shares)
        if drawn.body().width <= room and not drawn.collides:
            return drawn
    return None


def is_drawn(kind: Kind, whole: int, room: float) -> bool:
    """Return whether a block can be drawn in ``room`` points, and need not be told as a list."""
    return _drawn(kind, whole, room, percent=True) is not None


def _listed(kind: Kind, room: float) -> Piece:
    """Return a block that is too wide to be drawn as a list of its branches, each from its first layer to its last."""
    net = Net(kind.rows)
    starts = [end for start, end in net.flows if start == -1 and not is_join(kind.rows[end])]
    lines = [_way(net, start) for start in starts] or [row.text for row in kind.rows if not is_join(row)]
    room = min(room, max((length(line, bold=True) for line in lines), default=0.0) + 2 * _PAD + 20)
    items: list[Item] = []
    for number, line in enumerate(lines):
        top = number * (ROW + 2)
        items.append(Area(_PAD + 9, top, room - 2 * _PAD - 9, ROW, palette.CARD, palette.BORDER, title=line))
        items.append(text(_PAD + 13, top + ROW / 2, fit(line, room - 2 * _PAD - 18, TEXT, bold=True), bold=True))
        items.append(Stroke(((_PAD + 3, top + ROW / 2), (_PAD + 9, top + ROW / 2)), palette.FLOW, 0.9, 3.5))
    high = len(lines) * (ROW + 2)
    items.append(Stroke(((_PAD + 3, 0), (_PAD + 3, high - ROW / 2 - 2)), palette.FLOW, 0.9))
    return Piece(room, high + 2, tuple(items))


def _way(net: Net, start: int) -> str:
    """Return the layers from one to the next join; where ways part, in brackets: "Conv 1×1, [1×3 | 3×1]"."""
    words: list[str] = []
    before = ""
    place: int | None = start
    while place is not None and not is_join(net.rows[place]) and len(words) < len(net.rows):
        name, _, sizes = net.rows[place].word.partition(" ")
        words.append(sizes if sizes and name == before else net.rows[place].word)
        before = name
        following = [end for tail, end in net.flows if tail == place and net.levels[end] > net.levels[place]]
        if len(following) > 1:
            parts = [_way(net, end).removeprefix(f"{name} ") for end in following if not is_join(net.rows[end])]
            words += [f"[{' | '.join(parts)}]"] if parts else []
            break
        place = following[0] if following else None
    return ", ".join(words)


def title(kind: Kind) -> str:
    """Return what kind of block it is: the words for what its rows do not say, and its shortcut."""
    return ", ".join(words for words in (_name(kind), _shortcut(kind)) if words)


_LETTERS = {
    "/s": "stride",
    "groups g": "groups",
    "dilation d": "dilation",
    "k×k": "kernel",
    "heads×": "heads",
    "/r": "reduction",
}
"""What stands in a row for a fact that differs between occurrences, and the fact."""


def _symbols(kind: Kind) -> list[str]:
    """Return what letters in the rows stand for: "C = 64, 128, 256, 512", "heads = 3, 6, 12, 24"."""
    used = " ".join(width for row in kind.rows for width in (row.entering, *row.channels))
    told = [f"{symbol} = {several(values)}" for symbol, values in kind.symbols.items() if symbol in used]
    for written, fact in _LETTERS.items():
        rows = [row for row in kind.rows if fact in row.facts and written in row.text]
        if rows and (values := several(each for each in rows[0].facts[fact] if each is not None)):
            letter = fact if fact == "heads" else written.split(" ")[-1].split("×")[0].lstrip("/")
            told.append(f"{letter} = {values}")
    return told


def several(values: Iterable[object]) -> str:
    """Return different values in one line: all if there are few, else the first and the last."""
    different = list(dict.fromkeys(map(value, values)))
    return ", ".join(different) if len(different) <= 4 else f"{different[0]} … {different[-1]}"


def _shortcut(kind: Kind) -> str:
    """Return what stands on the only shortcut of a block; "" if it has none, or several."""
    if kind.shortcut not in ("identity", "projection", "resample") or sum(row.word == "+" for row in kind.rows) != 1:
        return ""
    return f"{kind.shortcut} shortcut"


def _name(kind: Kind) -> str:
    """Return the name of a kind where it says more than its rows."""
    name = kind.word.split(" ")[0].rstrip(",")
    return "" if any(row.word.startswith(name) for row in kind.rows) or name == "Conv" else name


def variant(kind: Kind, drawn: Kind) -> str | None:
    """Return how a kind differs from one that is drawn, in a few words; None if it differs in more.

    >>> from fxviz._analysis.structure import Kind
    >>> rows = (Row("Attention", marks=("12×64",), reads=(-1,)), Row("+", reads=(-1, 0)))
    >>> one = Kind("A", "Attention", (), rows, {}, "identity", (), 0, 0, 0.0)
    >>> variant(Kind("A'", "Attention", (), rows[:1], {}, None, (), 0, 0, 0.0), one)
    'without a shortcut'
    """
    if kind.letter.rstrip("'") == drawn.letter.rstrip("'"):
        return _primed(kind, drawn)
    if [row.reads for row in kind.rows] != [row.reads for row in drawn.rows]:
        return None
    differing = [row.text for row, other in zip(kind.rows, drawn.rows, strict=True) if row.text != other.text]
    return ", ".join(differing) if 0 < len(differing) <= 2 else None


def _primed(kind: Kind, drawn: Kind) -> str | None:
    """Return how a kind differs in its shortcut, or in a few rows, from the one whose letter it shares."""
    if kind.shortcut is None and drawn.shortcut is not None:
        return "without a skip" if drawn.shortcut == "concat" else "without a shortcut"
    beside = ", ".join(row.text for row in kind.rows if row.on_shortcut)
    if kind.shortcut != drawn.shortcut or beside:
        said = _shortcut(kind) or ("on a shortcut" if beside else "")
        return ": ".join(filter(None, (said, beside))) or None
    known = {row.text for row in drawn.rows}
    differing = [row.text for row in kind.rows if row.text not in known]
    return ", ".join(differing) if 0 < len(differing) <= 2 else None
