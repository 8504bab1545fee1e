"""The graph: a card for each layer, filled by its share, merges as circles, parallel branches side by side, skips in blue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fxviz._graph import units
from fxviz._graph.operations import plain_name
from fxviz._render import palette, wording
from fxviz._render.captions import Captions
from fxviz._render.drawing import Box, Cell, Color, Drawing, Frame, Item, Line, Look, Shape, Table, Text
from fxviz._render.header import describe, footer, header
from fxviz._render.lines import skip_look
from fxviz._render.text_width import fit, fit_path, width
from fxviz._view.view import INPUT, OUTPUT, Card, Heading, Repeat, Row, Stage, View
from fxviz._view.view import Item as ViewItem

_GLYPHS = {"add": "+", "sub": "−", "mul": "×"}
_CARD, _TAGS, _PATH = 168, 110, 96
"""The most points that a card's text, its tags and its path take."""
_LINES = (12, 11, 11)
"""Heights of a card's lines, in points."""
_GAPS = (12.0, 6.0)
_TRUNK, _NEXT, _ASIDE = 60, 8, 1
"""How strongly a line is pulled straight: where everything passes, where it is the only way on, else."""
_DEFAULTS = Look()


def draw(view: View, look: Look = _DEFAULTS) -> Drawing:
    """The graph of a view.

    Args:
        view: what to show.
        look: how it is framed, and which way it runs.

    Returns:
        The drawing, in every theme's colours; the header is as wide as that of a ledger.

    >>> from fxviz._graph import ArchGraph, ModelInfo, Node, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> draw(View(graph, (), (), (), ()), Look(direction="LR")).direction
    'LR'
    """
    return _Graph(view, look).drawing()


class _Graph:
    def __init__(self, view: View, look: Look) -> None:
        self.view = view
        self.look = look
        self.say = Captions(view)
        self.box_of: dict[int, str] = {INPUT: "input", OUTPUT: "output"}
        self.frames = 0
        self.skipped_to = {arc.head for arc in view.arcs}
        self.outflow = Counter(tail for tail, _ in view.edges - {(arc.tail, arc.head) for arc in view.arcs})

    def drawing(self) -> Drawing:
        """Everything stands in a frame without outline, whose label is the header: it stays on top in either direction."""
        items = (self.say.input(), *self.items(self.view.items, ""), self.say.end())
        above = (*header(self.view, self.look, None), *(row for box in footer(self.view) for row in box.content.rows))
        whole = Frame("figure", Table(above), describe(self.view), items, None)
        name = self.look.title or self.view.graph.model.name
        return Drawing(name, describe(self.view), (whole,), tuple(self.lines()), self.look.direction, _GAPS)

    # ---------------------------------------------------------------- frames

    def items(self, items: tuple[ViewItem, ...], base: str) -> tuple[Item, ...]:
        return tuple(drawn for item in items for drawn in self.item(item, base))

    def item(self, item: ViewItem, base: str) -> tuple[Item, ...]:
        if isinstance(item, Stage):
            return (self.framed(item.heading, self.items(item.items, item.heading.path), base),)
        if isinstance(item, Repeat):
            return (self.repeated(item, base),)
        return self.card(item, base)

    def card(self, card: Card, base: str) -> tuple[Item, ...]:
        if card.heading is None:
            return tuple(self.box(row, base) for row in card.rows)
        return (self.framed(card.heading, tuple(self.box(row, card.heading.path) for row in card.rows), base),)

    def framed(self, heading: Heading, items: tuple[Item, ...], base: str) -> Frame:
        share = heading.total / self.say.whole
        name = fit_path(wording.relative(heading.path, base).lstrip("."), 150, 10, bold=True)
        texts = [Text(name, palette.INK, 10, bold=True)]
        if heading.class_name:
            texts.append(Text(f"  {fit(heading.class_name.lstrip('_'), 110, 9)} ", palette.on_tint(share), 9))
        if heading.total:
            said = f"{self.say.metric.said(heading.total)} · {units.percent(share)}"
            texts.append(Text(f"   {said}", palette.INK, 9, bold=True))
        fill = palette.tint(share)
        return Frame(self.name(), _label(texts, fill), self.say.heading(heading), items, palette.BORDER, fill)

    def repeated(self, repeat: Repeat, base: str) -> Frame:
        said = wording.span(*repeat.span, base)
        texts = [Text(f"×{repeat.times}", palette.INK, 11, bold=True), Text(f"  {fit(said, 200, 9)}", palette.INK, 9)]
        items = self.items(repeat.items, repeat.span[0] if self.say.one_block(repeat) else base)
        return Frame(self.name(), _label(texts), f"{repeat.times} times {said}", items, palette.FLOW, dashed=True)

    def name(self) -> str:
        self.frames += 1
        return f"frame{self.frames}"

    # ---------------------------------------------------------------- boxes

    def box(self, row: Row, base: str) -> Box:
        name = self.box_of[row.id] = f"row{row.id}"
        if row.merges:
            return self.merge(row, name)
        return (
            self.layer(row, name, base)
            if row.total or row.shared or row.kind in ("block", "failed")
            else self.step(row, name)
        )

    def layer(self, row: Row, name: str, base: str) -> Box:
        """What has parameters: name and tags, place and shape, amount and share, on the colour of the share."""
        share = row.total / self.say.whole
        color, bold = self.say.look(row)
        ink, muted = (palette.on_bar(share),) * 2 if row.total else (palette.INK, palette.MUTED)
        head = [Text(fit(wording.what(row).removeprefix("→ "), _CARD, 10, bold), ink, 10, bold)]
        if row.kind == "failed":
            head = [Text(fit(wording.what(row), _CARD, 10, bold), color, 10, bold)]
        if tags := self.say.tags(row):
            head.append(Text(f"  {fit(tags, _TAGS, 9)}", muted, 9))
        place = fit_path(self.say.path(row, base).lstrip(".").replace(" .", " "), _PATH, 9)
        where = "  ".join(filter(None, (place, wording.output_shape(row))))
        amount = "  ".join(filter(None, (self.say.amount(row), units.percent(share) if row.total else "")))
        lines = [head, [Text(where, muted, 9)] if where else [], [Text(amount, ink, 9, bold=True)] if amount else []]
        return Box(name, _stack([line for line in lines if line]), wording.what(row), self.shape(row))

    def shape(self, row: Row) -> Shape:
        if row.kind == "failed":
            return Shape("card", palette.STOPPED, palette.STOP, 2)
        fill = palette.bar(row.total / self.say.whole) if row.total else palette.CARD
        return Shape("card", fill, palette.SKIP, 2) if row.kind == "projection" else Shape("card", fill, palette.BORDER)

    def step(self, row: Row, name: str) -> Box:
        """What has no parameters, in one line."""
        texts = [Text(fit(wording.what(row).removeprefix("→ "), _CARD, 10), palette.MUTED, 10)]
        said = "  ".join(filter(None, (fit(self.say.tags(row), _TAGS, 9), wording.output_shape(row))))
        if said:
            texts.append(Text(f"  {said}", palette.MUTED, 9))
        return Box(name, _stack([texts]), wording.what(row), self.shape(row))

    def merge(self, row: Row, name: str) -> Box:
        """Where ways meet: a circle for a sum or a product, a pill where there is more to say."""
        color = palette.SKIP if row.kind == "join" or row.id in self.skipped_to else palette.FLOW
        glyph = _GLYPHS.get(plain_name(row.heads[0].op), "")
        said = " · ".join(filter(None, (glyph or "concat", fit(self.say.tags(row), _TAGS, 9))))
        text = Text(said, palette.CARD, 11 if said == glyph else 9, bold=True)
        if said == glyph:
            return Box(
                name, Table(((Cell((text,), align="center"),),)), wording.what(row), Shape("circle", color, color)
            )
        return Box(name, _stack([[text]], align="center"), wording.what(row), Shape("merge", color, color))

    # ---------------------------------------------------------------- lines

    def lines(self) -> Iterator[Line]:
        """All edges; those of a skip in blue, on both sides of the layer that stands on it."""
        skips = {(arc.tail, arc.head): arc.kind for arc in self.view.arcs}
        on_skips = {arc.head: arc.kind for arc in self.view.arcs if arc.head >= 0}
        on_skips = {row: kind for row, kind in on_skips.items() if self.view.rows[row].kind == "projection"}
        for tail, head in sorted({*skips, *self.view.edges}, key=self.place):
            yield self.line(tail, head, skips.get((tail, head)) or on_skips.get(tail))

    def place(self, edge: tuple[int, int]) -> tuple[int, int]:
        """Edges from the input come first, those to the output last."""
        tail, head = edge
        return tail, len(self.view.rows) if head == OUTPUT else head

    def line(self, tail: int, head: int, kind: str | None) -> Line:
        ends = self.box_of[tail], self.box_of[head]
        if kind is not None:
            return Line(*ends, "skip", f"{kind} skip", tail_side="_", head_side="_", weight=_ASIDE, **skip_look(kind))
        weight = _TRUNK if (tail, head) in self.view.trunk else _NEXT if self.outflow[tail] == 1 else _ASIDE
        return Line(*ends, "flow", "data", tail_side="_", head_side="_", color=palette.FLOW, weight=weight)


def _wide(texts: list[Text]) -> float:
    return sum(width(text.text, text.size, text.bold) for text in texts) + 4


def _stack(lines: list[list[Text]], align: str = "left") -> Table:
    """Lines of text above each other, as wide as the longest."""
    widest = max(map(_wide, lines))
    cells = (Cell(tuple(line), widest, height, align=align) for line, height in zip(lines, _LINES, strict=False))
    return Table(tuple((cell,) for cell in cells))


def _label(texts: list[Text], ground: Color | None = None) -> Table:
    """A frame's label; its ground hides lines that pass behind it."""
    return Table(((Cell(tuple(texts), _wide(texts) + 2, 13, ground),),))
