"""Draw the ledger style: a card for each residual unit or run of layers, a row for each layer, skips on the left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from fxviz._graph import units
from fxviz._graph.options import RenderOptions
from fxviz._render import differences, palette, ranges, wording
from fxviz._render.bars import AMOUNT_FROM, COLUMNS, GUTTER, ROW, SHEET, Bars
from fxviz._render.captions import Captions
from fxviz._render.drawing import Box, Cell, Color, Drawing, Frame, Item, Table, Text
from fxviz._render.header import describe, footer, header, title
from fxviz._render.legend import MARK, mark
from fxviz._render.lines import lines
from fxviz._render.text_width import fit, fit_layer, fit_path, width
from fxviz._view.view import INPUT, OUTPUT, Card, Heading, Repeat, Row, Stage, View, cards_in
from fxviz._view.view import Item as ViewItem

_DEFAULTS = RenderOptions()
_BRANCH = 10


def draw(view: View, options: RenderOptions = _DEFAULTS) -> Drawing:
    """Draw a view as a ledger.

    Args:
        view: what to show.
        options: title, header and legend; a ledger runs from top to bottom.

    Returns:
        The drawing, 539 pt wide without frames and arcs, in the colours of every theme.

    >>> from fxviz._graph import ArchGraph, ModelInfo, Node, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> draw(View(graph, (), (), (), ())).description
    'empty: 0 parameters. No skip connections.'
    """
    return _Ledger(view, options).drawing()


class _Ledger:
    def __init__(self, view: View, options: RenderOptions) -> None:
        self.view = view
        self.options = options
        self.captions = Captions(view)
        self.whole = self.captions.whole
        self.bars = Bars(view, self.whole)
        self.box_of: dict[int, str] = {INPUT: "input", OUTPUT: "output"}
        self.frames = 0
        spans = list(self.spans())
        longest = max((earliest for earliest, _ in spans), default=0.0)
        self.split = min([max(COLUMNS["op"], longest), *(latest for _, latest in spans)])

    def spans(self) -> Iterator[tuple[float, float]]:
        """Yield the earliest and the latest position at which each row's tags can start; all rows are to share one."""
        room = COLUMNS["op"] + COLUMNS["tags"]
        for row in self.view.rows:
            _, bold = self.captions.look(row)
            tags = self.tags(row)
            earliest = width(wording.what(row), 10, bold) + self.indent(row) + 6
            latest = room - _total_width(tags) - 6
            if tags and earliest <= latest:
                yield earliest, latest

    def drawing(self) -> Drawing:
        items = tuple(self.item(item, "") for item in self.view.items)
        above, below = self.header(), footer(self.view)
        return Drawing(
            name=title(self.view, self.options),
            description=describe(self.view),
            items=(*above, self.captions.input(), *items, self.captions.end(), *below),
            lines=tuple(lines(self.view, self.box_of, [box.id for box in above], [box.id for box in below])),
        )

    def header(self) -> tuple[Box, ...]:
        rows = header(self.view, self.options, self.bars.largest)
        return (Box("header", Table(rows), describe(self.view)),) if rows else ()

    # ---------------------------------------------------------------- items

    def item(self, item: ViewItem, base: str) -> Item:
        if isinstance(item, Card):
            return self.card(item, base)
        if isinstance(item, Stage):
            return self.stage(item, base)
        return self.repeat(item, base)

    def stage(self, stage: Stage, base: str) -> Frame:
        share = stage.heading.total / self.whole
        self.frames += 1
        name = f"frame{self.frames}"
        items = tuple(self.item(item, stage.heading.path) for item in stage.items)
        room = AMOUNT_FROM - 1 + 5 * _depth(stage.items)
        label = Table((self.heading_cells(stage.heading, base, room, self.is_unchanged(stage)),))
        return Frame(name, label, self.captions.heading(stage.heading), items, palette.BORDER, self.tint(share))

    def repeat(self, repeat: Repeat, base: str) -> Frame:
        self.frames += 1
        name = f"frame{self.frames}"
        span = ranges.span(*repeat.span, base)
        label = Table(
            (
                (
                    Cell(
                        (
                            Text(ranges.times(repeat.times, repeat.kind), palette.INK, 11, bold=True),
                            Text(f"   {fit(span, 400, 9)}", palette.INK, 9),
                        ),
                        height=ROW,
                    ),
                ),
            )
        )
        inner = repeat.span[0] if self.captions.one_block(repeat) else base
        items = tuple(self.item(item, inner) for item in repeat.items)
        return Frame(name, label, f"{repeat.times} times {span}", items, palette.FLOW, dashed=True)

    def card(self, card: Card, base: str) -> Box:
        name = f"card{card.rows[0].id}"
        self.box_of.update({row.id: name for row in card.rows})
        if card.heading is not None:
            base = card.heading.path
        rows = [self.row(row, base) for row in card.rows]
        if card.heading is not None:
            rows.insert(0, self.heading_row(card.heading, self.is_unchanged(card)))
        title = ", ".join(wording.what(row) for row in card.rows)
        return Box(name, Table(tuple(rows), border=palette.BORDER, fill=palette.CARD), title)

    # ---------------------------------------------------------------- headings

    def is_unchanged(self, item: ViewItem) -> bool:
        """Return whether nothing in a frame or card differs from the other model."""
        return self.view.difference is not None and not any(
            row.change for card in cards_in((item,)) for row in card.rows
        )

    def heading_row(self, heading: Heading, pale: bool) -> tuple[Cell, ...]:
        """Return the heading of a card that is a module of its own, tinted by its share."""
        fill = self.tint(heading.total / self.whole)
        margin = Cell(width=GUTTER, height=ROW + 2)
        cells = (margin, *self.heading_cells(heading, "", AMOUNT_FROM - GUTTER, pale), margin)
        return (Cell(Table((cells,), width=SHEET, height=ROW + 2), SHEET, ROW + 2, fill, columns=len(COLUMNS) + 2),)

    def heading_cells(self, heading: Heading, base: str, room: int, pale: bool) -> tuple[Cell, ...]:
        """Return name and class in ``room`` points, then the totals, aligned with those of the rows."""
        ink, bold = (palette.MUTED, False) if pale else (palette.INK, True)
        share = heading.total / self.whole
        name = fit_path(ranges.relative(heading.path, base), room, 11, bold=True)
        left = room - width(name, 11, bold=True) - 12
        class_name = fit(self.captions.kind_of(heading), left, 9) if left > 30 else ""
        beside = palette.on_tint(share) if self.view.difference is None else palette.MUTED
        texts = [Text(name, ink, 11, bold), Text(f"   {class_name}", beside, 9)]
        return (
            Cell(tuple(texts[: 2 if class_name else 1]), room, ROW + 1),
            Cell((Text(self.captions.amount_of(heading), ink, 10, bold),), COLUMNS["amount"], ROW + 1),
            self.text(units.percent(share), COLUMNS["percent"], ink, bold, size=10, height=ROW + 1),
        )

    def tint(self, share: float) -> Color:
        """Return a frame's background; in a difference only what differs is coloured."""
        return palette.PALE if self.view.difference else palette.tint(share)

    # ---------------------------------------------------------------- rows

    def row(self, row: Row, base: str) -> tuple[Cell, ...]:
        share = row.total / self.whole
        strong = share >= 0.05 if self.view.difference is None else row.change is not None
        number = palette.INK if strong else palette.MUTED
        cells = (
            self.gutter(row),
            self.what(row),
            self.path(row, base),
            self.text(wording.output_shape(row), COLUMNS["shape"], palette.MUTED),
            self.bars.cell(row),
            self.text(self.captions.amount(row), COLUMNS["amount"], number, strong),
            self.text(units.percent(share) if row.total else "", COLUMNS["percent"], number, strong),
            Cell(width=GUTTER, height=ROW, port=f"{row.id}e"),
        )
        fill = palette.STOPPED if row.kind == "failed" else palette.MARKED[row.change.mark] if row.change else None
        return tuple(replace(cell, fill=fill) for cell in cells) if fill else cells

    def path(self, row: Row, base: str) -> Cell:
        """Return the path of the row's module; a range is shortened to the number of its last module if necessary."""
        path = self.captions.path(row, base)
        if row.span and width(path, 8) > COLUMNS["path"] - 2:
            path = ranges.short_span(*row.span, base)
        return self.text(path, COLUMNS["path"], palette.MUTED)

    def gutter(self, row: Row) -> Cell:
        """Return the left margin, with ports for skips or the rail of a dense block."""
        if set(row.skips) - {"gate"}:
            halves = Table(
                ((Cell(width=GUTTER, height=7, port=f"{row.id}w"),), (Cell(width=GUTTER, height=8, port=f"{row.id}s"),))
            )
            return Cell(halves, GUTTER, ROW)
        return Cell(width=GUTTER, height=ROW, port=f"{row.id}w", rail=palette.SKIP if row.concat else None)

    def what(self, row: Row) -> Cell:
        """Return the layer and its tags, which share the room; the text of a change is never cut."""
        room = COLUMNS["op"] + COLUMNS["tags"]
        indent = self.indent(row)
        op, tags = wording.what(row), self.tags(row)
        color, bold = self.captions.look(row)
        wanted = _total_width(tags)
        sizes = (10, 9) if row.change is None else (10, 9, 8)
        size = next((size for size in sizes if width(op, size, bold) + wanted + indent + 8 <= room), sizes[-1])
        needed = width(op, size, bold) + indent + 6
        split = (
            room
            if not tags
            else round(needed if row.kind == "failed" else self.split_at(row, room, needed, wanted + 2))
        )
        lead = self.lead(row)
        struck = row.kind == "removed"
        name = Cell(
            (Text(fit_layer(op, split - indent - 2, size, bold), color, size, bold, struck),), split - indent, ROW
        )
        if not tags:
            return Cell(Table(((*lead, name),)), room, ROW)
        if row.change is None:
            tags = [replace(tag, text=fit(tag.text, room - split - 1, 9)) for tag in tags]
        return Cell(Table(((*lead, name, Cell(tuple(tags), room - split, ROW)),)), room, ROW)

    def tags(self, row: Row) -> list[Text]:
        """Return the texts behind a row's name; for a change, the longest wording that leaves the name whole.

        If there is none, the name is cut for the shortest wording, as long as it keeps half of the room.
        """
        if row.change is None:
            text = self.captions.tags(row)
            return [Text(text, self.tag_color(row), 9)] if text else []
        room = COLUMNS["op"] + COLUMNS["tags"] - self.indent(row) - 8
        found = [_colored_texts(words) for words in differences.wordings(row)]
        for size in (9, 8):
            for tags in found:
                if _total_width(tags) + width(wording.what(row), size, bold=True) <= room:
                    return tags
        return found[-1] if _total_width(found[-1]) <= room / 2 else _colored_texts(differences.shortest_wording(row))

    def split_at(self, row: Row, room: float, needed: float, wanted: float) -> float:
        """Return where the tags begin: at the figure's common position if both texts fit, else as they need."""
        if needed + wanted <= room:
            return min(max(self.split, needed), room - wanted)
        return max(room * 0.6, min(needed, room - 24)) if row.change is None else room - wanted

    def has_skip(self, row: Row) -> bool:
        """Return whether a skip runs inside the row or along it."""
        return bool(set(row.skips) - {"gate"}) or row.concat

    def tag_color(self, row: Row) -> Color:
        return palette.SKIP if self.has_skip(row) and self.view.difference is None else palette.MUTED

    def indent(self, row: Row) -> int:
        """Return the room before a row's name: for the rail of branches and the sign of a change."""
        return (_BRANCH if row.rail.startswith("branch") else 0) + (MARK if self.view.difference else 0)

    def lead(self, row: Row) -> tuple[Cell, ...]:
        sign = mark(row.change.mark if row.change else None) if self.view.difference else ()
        return (*sign, *(self.branch_mark(row, _BRANCH) if row.rail.startswith("branch") else ()))

    def branch_mark(self, row: Row, indent: int) -> tuple[Cell, ...]:
        """Draw a grey rail along parallel branches, with a tick where each starts."""
        tick = palette.FLOW if row.rail == "branch" else None
        dash = Table(((Cell(width=6, height=7),), (Cell(width=6, height=1, fill=tick),), (Cell(width=6, height=7),)))
        return (Cell(dash, indent - 2, ROW, rail=palette.FLOW), Cell(width=2, height=ROW))

    def text(self, text: str, column: int, color: Color, bold: bool = False, size: int = 9, height: int = ROW) -> Cell:
        """Put a text into a column in this size, or one point smaller and cut if necessary."""
        size = next((tried for tried in (size, size - 1) if width(text, tried, bold) <= column - 2), size)
        shown = fit_path(text, column - 2, size, bold)
        return Cell((Text(shown, color, size, bold),) if shown else (), column, height)


def _colored_texts(words: Iterable[differences.Word]) -> list[Text]:
    return [Text(text, palette.MARKS[kind] if kind else palette.MUTED, 9, bold=True) for kind, text in words]


def _total_width(texts: list[Text]) -> float:
    return sum(width(text.text, text.size, text.bold) for text in texts)


def _depth(items: tuple[ViewItem, ...]) -> int:
    """Return how deep frames are nested; each level indents the cards by 5 points."""
    return max((1 + _depth(item.items) for item in items if not isinstance(item, Card)), default=0)
