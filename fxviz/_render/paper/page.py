"""Put the parts of a figure for print together, at the width that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fxviz._analysis.structure import Kind, Structure
from fxviz._graph import units
from fxviz._render import palette
from fxviz._render.drawing import Point
from fxviz._render.paper import stage_table
from fxviz._render.paper.column import BESIDE, column
from fxviz._render.paper.face import fit, wrapped
from fxviz._render.paper.inset import inset, variant
from fxviz._render.paper.lanes import ladder, lanes, triangle
from fxviz._render.paper.overview import ONE_ROW, overview
from fxviz._render.paper.scene import Area, Item, Label, Piece, Scene, Stroke, below, beside, flowed
from fxviz._render.paper.style import GAP, NARROW, SMALL, TITLE, length, text
from fxviz._render.paper.valley import valley

MARGIN = 4.0
HEIGHTS = (340.0, 260.0)
"""The height within which a figure stays if it can: of a column, and of a page."""


@dataclass(frozen=True)
class Words:
    """What a figure says of the whole model.

    Attributes:
        name: its title.
        facts: totals, in one line.
        notes: remarks below the figure.
        description: what readers hear who cannot see it.
        entering: the sizes of its input, if it is one.
    """

    name: str
    facts: str
    notes: tuple[str, ...]
    description: str
    entering: str = ""


@dataclass(frozen=True)
class Detail:
    """How much is drawn.

    Attributes:
        insets: the number of kinds of blocks that are drawn.
        variants: whether a kind that differs little from another one is drawn, too, and not only told.
        table: the table by stage beside the overview.
        runs: the table by runs of equal blocks, where the layout is a table, and not by stage.
        overview: the stages from left to right, where the table by runs tells all that they do.
    """

    insets: int
    variants: bool = False
    table: bool = True
    runs: bool = True
    overview: bool = True


DETAILS = (
    Detail(4, variants=True),
    Detail(3),
    Detail(2),
    Detail(3, runs=False),
    Detail(3, table=False),
    Detail(2, overview=False),
    Detail(2, table=False),
    Detail(1),
    Detail(1, overview=False),
    Detail(1, table=False),
    Detail(0),
    Detail(0, table=False),
)
"""From the most to the least that a figure shows."""


def paper(structure: Structure, words: Words, width: float, height: float | None = None) -> Scene:
    """Return the figure of a structure.

    Args:
        structure: what the model consists of.
        words: what is said of the whole model.
        width: of the figure, in points.
        height: the greatest height, in points; None for that which suits a column or a page. Insets and the table are
            left out until the figure fits; if it never does, it is as high as it must be.
    """
    room = width - 2 * MARGIN
    words = replace(words, notes=(*words.notes, *untold(structure)))
    most = (height or HEIGHTS[room > NARROW]) - 2 * MARGIN
    drawn: dict[Detail, Piece] = {}
    for detail in _details(structure):
        if structure.layout != "table" and not detail.overview and min(map(_high, drawn.values())) <= 1.5 * most:
            break
        parts = [header(words, room), *body(structure, words, room, detail), *notes(words, room)]
        drawn[detail] = below([part for part in parts if part.height], GAP)
        if drawn[detail].height <= most:
            break
    detail = _chosen(drawn, most, most * (1.2 if height is None else 1.0))
    whole = drawn[detail]
    return Scene(
        words.name,
        words.description,
        width,
        whole.height + 2 * MARGIN,
        whole.at(MARGIN, MARGIN),
        left_out=tuple(left_out(structure, detail)),
    )


def _high(piece: Piece) -> float:
    return piece.height


def _details(structure: Structure) -> Iterator[Detail]:
    """Yield levels of detail: where stages are boxes with lines, a table alone is the last resort."""
    is_tabled = structure.layout == "table"
    yield from (detail for detail in DETAILS if detail.overview or is_tabled)
    yield from (detail for detail in DETAILS if not detail.overview and not is_tabled)


def _chosen(drawn: Mapping[Detail, Piece], most: float, stretched: float) -> Detail:
    """Return the first detail that fits, but rather a little more height than no block at all.

    Where the figure is too high in any case, it is the richest that is hardly higher than it must be.
    """
    heights = {detail: piece.height for detail, piece in drawn.items()}
    last = next(reversed(heights))
    lowest = min((height for detail, height in heights.items() if detail.insets), default=heights[last])
    if heights[last] <= most and (last.insets or lowest > stretched):
        return last
    if lowest > stretched:
        lowest = min(heights.values())
    return next(detail for detail, height in heights.items() if height <= max(most, lowest * 1.03))


def left_out(structure: Structure, detail: Detail) -> Iterator[str]:
    """Yield what a level of detail does not show."""
    told = {kind.letter for drawn, others in shown(structure, detail) for kind in (drawn, *others)}
    if missing := [kind.letter for kind in structure.kinds if kind.letter not in told]:
        yield f"the inside of {'block' if len(missing) == 1 else 'blocks'} {', '.join(missing)}"


def header(words: Words, room: float) -> Piece:
    """Return the model's name, and behind or below it what it amounts to."""
    named = fit(words.name, room, TITLE, bold=True)
    used = length(named, bold=True, size=TITLE) + 8
    title = text(0, TITLE / 2, named, bold=True, size=TITLE)
    if length(words.facts, size=SMALL) <= room - used:
        beside = text(used, TITLE / 2 + 0.8, words.facts, palette.MUTED, size=SMALL)
        return Piece(room, TITLE + 2, (title, beside))
    lines = wrapped(words.facts.split(" · "), " · ", room, SMALL)
    below_it = (text(0, TITLE + 5.5 + 9 * at, line, palette.MUTED, size=SMALL) for at, line in enumerate(lines))
    return Piece(room, TITLE + 3 + 9 * len(lines), (title, *below_it))


def untold(structure: Structure) -> Iterator[str]:
    """Yield a remark on the skips that the figure cannot show at any size."""
    if count := len(structure.untold):
        yield f"{units.quantity(count, 'skip connection')} {'is' if count == 1 else 'are'} not drawn"


def notes(words: Words, room: float) -> Iterator[Piece]:
    """Yield the remarks below the figure, each in as few lines as it takes."""
    lines = [line for note in words.notes for line in wrapped(note.split(" "), " ", room, SMALL)]
    items: list[Item] = [text(0, 4 + 9 * place, line, palette.MUTED, size=SMALL) for place, line in enumerate(lines)]
    if lines:
        yield Piece(room, 9.0 * len(lines), tuple(items))


def body(structure: Structure, words: Words, room: float, detail: Detail) -> Iterator[Piece]:
    """Yield the parts below the header: the layout, insets of what it does not open, and the table."""
    opened = shown(structure, detail)
    sides = _sides(structure) if structure.layout == "encoder-decoder" else None
    if sides and room >= NARROW:
        yield _side_by_side(structure, sides, [kind for kind, _ in opened], room)
        return
    if sides:
        structure = _in_two_lanes(structure, sides)
    draw = _layout(structure, words, is_page=room >= NARROW)
    is_column = structure.layout in ("column", "encoder-decoder") and not sides
    if is_column and len(structure.main) == len(structure.stages):
        standing = column(structure, structure.main, [kind for kind, _ in opened], room, words.entering)
        has_table = detail.table and room >= NARROW
        yield _flow([standing], lambda left: stage_table.by_stage(structure, left), room) if has_table else standing
        return
    whole = sum(stage.params for stage in structure.stages)
    shares = len({stage.level for stage in structure.stages if stage.blocks}) == 1
    narrow = room if room < NARROW or _is_overview(structure) else room * BESIDE_BOXES
    insets = [inset(kind, others, whole, narrow, percent=shares) for kind, others in opened]
    drawn = draw(room) if detail.overview else None
    tabled = stage_table.by_run if structure.layout == "table" and detail.runs else stage_table.by_stage

    def table(left: float) -> Piece:
        return tabled(structure, left, repeated=drawn is not None)

    if drawn is None:
        yield _table_first(table, insets, room)
        return
    without = _filled(draw, insets, None, room)
    if not detail.table or room < NARROW:
        yield without
        return
    filled = _filled(draw, insets, table, room)
    # Boxes tell all but the numbers of parameters: there the table only fills what is free.
    yield filled if _is_overview(structure) or filled.height < without.height + 1 else without


def _is_overview(structure: Structure) -> bool:
    """Return whether stages are drawn from left to right, with letters for their blocks."""
    return structure.layout in ("stages", "table", "column") and len(structure.main) == len(structure.stages)


def _layout(structure: Structure, words: Words, is_page: bool) -> Callable[[float], Piece | None]:
    """Return a function from a width to the stages in their layout; None where only a table has room."""

    def draw(room: float) -> Piece | None:
        if structure.layout == "U" and (drawn := valley(structure, words.entering, room)):
            return drawn
        if structure.layout == "grid" and (drawn := triangle(structure, words.entering, room)):
            return drawn
        if structure.layout in ("U", "ladder"):
            return ladder(structure, words.entering, room)
        if not _is_overview(structure):
            return lanes(structure, words.entering, room)
        lying = overview(structure, words.entering, room) if is_page else None
        in_rows = lying is not None and lying.height > 1.5 * ONE_ROW
        return None if in_rows and structure.layout == "table" else lying  # a table tells as much in less room

    return draw


BESIDE_BOXES = 0.45
"""The part of a page's width that a block may take where stages are boxes with lines."""
SLACK = 1.4
"""How much higher stages may get to make room for what stands beside them: less than in two rows of an overview."""

Sized = Callable[[float], Piece | None]


def _table_first(table: Callable[[float], Piece], insets: Sequence[Piece], room: float) -> Piece:
    """Return the table above the insets, or on a page beside them where that takes less height."""
    options = [below([part for part in (table(room), flowed(insets, room, GAP)) if part.height], GAP)]
    if room >= NARROW:
        options.append(_flow(insets, table, room))
    return min(options, key=lambda option: option.height)


def _attends(decoder: Piece) -> Point:
    """Return where the keys of cross-attention enter a decoder: at the row of that name, else half way down."""
    said = next((item for item in decoder.items if isinstance(item, Label) and item.text.startswith("Cross-")), None)
    areas = [item for item in decoder.items if isinstance(item, Area)]
    if said is None:
        return 0.0, decoder.height / 2
    around = [
        area
        for area in areas
        if area.x <= said.left <= area.x + area.width and area.y <= said.y <= area.y + area.height
    ]
    row = min(around, key=lambda area: area.width * area.height)
    return row.x, row.y + row.height / 2


def _filled(draw: Sized, insets: Sequence[Piece], table: Sized | None, room: float) -> Piece:
    """Return the stages, insets and the table in the arrangement that takes least height.

    Insets stand below the stages, or on their right where a page is wide enough; the table stands where room is left.
    """
    drawn = draw(room)
    options = [below([part for part in (drawn, _flow(insets, table, room)) if part and part.height], GAP)]
    widest = max((piece.width for piece in insets), default=0.0)
    left = draw(room - widest - 2 * GAP) if insets and room >= NARROW else None
    if drawn and left and left.width <= room - widest - 2 * GAP and left.height < drawn.height * SLACK:
        options.append(beside([left, _flow(insets, table, room - left.width - 2 * GAP)], 2 * GAP))
        if table:
            under = below([part for part in (left, table(max(left.width, room - widest - 2 * GAP))) if part], 2 * GAP)
            options.append(beside([under, _flow(insets, None, room - under.width - 2 * GAP)], 2 * GAP))
    fitting = [option for option in options if option.width <= room + 0.5]
    return min(fitting or options, key=lambda option: option.height)


def _sides(structure: Structure) -> tuple[set[int], set[int]] | None:
    """Return the stages of the encoder and of the decoder; None if they are not told apart."""
    ends = [link.source for link in structure.links if link.kind == "cross"]
    if not ends:
        return None
    encoder, waiting = set[int](), list(ends)
    while waiting:
        place = waiting.pop()
        if place not in encoder:
            encoder.add(place)
            waiting += [link.source for link in structure.links if link.target == place and link.kind != "cross"]
    decoder = set(range(len(structure.stages))) - encoder
    return (encoder, decoder) if decoder else None


def _in_two_lanes(structure: Structure, sides: tuple[set[int], set[int]]) -> Structure:
    """Return a structure whose decoder is in a lane of its own."""
    stages = (replace(stage, lane=int(place in sides[1])) for place, stage in enumerate(structure.stages))
    return replace(structure, stages=tuple(stages))


def _side_by_side(structure: Structure, sides: tuple[set[int], set[int]], opened: list[Kind], room: float) -> Piece:
    """Draw an encoder and the decoder that attends to it, with the arrow from the end of one to the other."""
    gap = 16.0
    encoder, decoder = (
        column(structure, tuple(structure.stages[place] for place in sorted(side)), opened, (room - gap) / 2)
        for side in sides
    )
    x = encoder.width + gap
    edge = encoder.width - BESIDE
    left, level = _attends(decoder)
    points = ((edge / 2, encoder.height), (edge / 2, encoder.height + 6), (x - gap / 2, encoder.height + 6),
              (x - gap / 2, level), (x + left, level))  # fmt: skip
    items = (*encoder.items, *decoder.at(x, 0), Stroke(points, palette.FLOW, 1.2, 5))
    return Piece(x + decoder.width, max(encoder.height + 8, decoder.height), items)


def _flow(pieces: Sequence[Piece], table: Sized | None, room: float) -> Piece:
    """Return pieces in rows, with a table beside the last piece if there is room, else below."""
    if table is None:
        return flowed(pieces, room, GAP)
    last = 0.0
    for piece in pieces:
        last = piece.width if not last or last + GAP + piece.width > room else last + GAP + piece.width
    left = room - last - GAP
    drawn = table(left)
    if pieces and drawn and drawn.width <= left + 0.5:
        return flowed([*pieces, drawn], room, GAP)
    under = table(room)
    return below([part for part in (flowed(pieces, room, GAP), under) if part and part.height], GAP)


def shown(structure: Structure, detail: Detail) -> list[tuple[Kind, list[Kind]]]:
    """Return the kinds with most parameters, in the order of their letters, each with the variants told beside it."""
    drawn: list[tuple[Kind, list[Kind]]] = []
    candidates = (*structure.kinds, *structure.lone)
    for kind in sorted(candidates, key=lambda kind: -kind.params):
        same = None if detail.variants else next((pair for pair in drawn if variant(kind, pair[0]) is not None), None)
        if same is not None:
            same[1].append(kind)
        elif len(drawn) < detail.insets:
            drawn.append((kind, []))
    order = [kind.letter for kind in candidates]
    return sorted(drawn, key=lambda pair: order.index(pair[0].letter))
