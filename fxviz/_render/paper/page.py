"""Put the parts of a figure for print together, at the width that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fxviz._analysis.structure import Kind, Structure
from fxviz._render import palette
from fxviz._render.paper import stage_table
from fxviz._render.paper.column import BESIDE, column
from fxviz._render.paper.face import fit, wrapped
from fxviz._render.paper.inset import inset, variant
from fxviz._render.paper.lanes import lanes
from fxviz._render.paper.overview import overview
from fxviz._render.paper.scene import Item, Piece, Scene, Stroke, below, flowed
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
        overview: the stages from left to right, where the table by runs tells all that they do.
    """

    insets: int
    variants: bool = False
    table: bool = True
    overview: bool = True


DETAILS = (
    Detail(4, variants=True),
    Detail(3),
    Detail(2),
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
    most = height or HEIGHTS[room > NARROW]
    for detail in DETAILS:
        parts = [header(words, room), *body(structure, words, room, detail), *notes(words, room)]
        whole = below([part for part in parts if part.height], GAP)
        # Without being asked, a figure is rather a little higher than without any block.
        if whole.height + 2 * MARGIN <= most * (1 if detail.insets != 1 or detail.table or height else 1.2):
            break
    return Scene(
        words.name,
        words.description,
        width,
        whole.height + 2 * MARGIN,
        whole.at(MARGIN, MARGIN),
        left_out=tuple(left_out(structure, detail)),
    )


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


def notes(words: Words, room: float) -> Iterator[Piece]:
    """Yield the remarks below the figure, one line each."""
    lines = [fit(note, room, SMALL) for note in words.notes]
    items: list[Item] = [text(0, 4 + 9 * place, line, palette.MUTED, size=SMALL) for place, line in enumerate(lines)]
    if lines:
        yield Piece(room, 9.0 * len(lines), tuple(items))


def body(structure: Structure, words: Words, room: float, detail: Detail) -> Iterator[Piece]:
    """Yield the parts below the header: the layout, insets of what it does not open, and the table."""
    whole = sum(stage.params for stage in structure.stages)
    insets = [inset(kind, others, whole, room) for kind, others in shown(structure, detail)]
    tabled = stage_table.by_run if structure.layout == "table" else stage_table.by_stage

    def table(left: float) -> Piece:
        return tabled(structure, left)

    sides = _sides(structure) if structure.layout == "encoder-decoder" else None
    if sides and room < NARROW:
        yield lanes(_in_two_lanes(structure, sides), room) or table(room)
        yield flowed(insets, room, GAP)
    elif sides:
        yield _side_by_side(structure, sides, [kind for kind, _ in shown(structure, detail)], room)
    elif structure.layout == "ladder" or (structure.layout == "U" and len(structure.main) == len(structure.stages)):
        yield from _with_insets(structure, insets, room)
    elif len(structure.main) < len(structure.stages) or structure.layout == "lanes":
        drawn = lanes(structure, room)
        yield drawn or table(room)
        yield _with_table(insets, table, room) if drawn and detail.table else flowed(insets, room, GAP)
    elif structure.layout in ("column", "encoder-decoder"):
        drawn = column(structure, structure.main, [kind for kind, _ in shown(structure, detail)], room)
        yield _with_table([drawn], table, room) if detail.table and room >= NARROW else drawn
    elif room < NARROW:
        yield table(room)
        yield flowed(insets, room, GAP)
    elif structure.layout == "table" and not detail.overview:
        yield _with_table(insets, table, room)
    else:
        yield overview(structure, words.entering, room)
        yield _with_table(insets, table, room) if detail.table else flowed(insets, room, GAP)


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
    points = ((edge / 2, encoder.height), (edge / 2, encoder.height + 6), (x - gap / 2, encoder.height + 6),
              (x - gap / 2, decoder.height / 2), (x, decoder.height / 2))  # fmt: skip
    items = (*encoder.items, *decoder.at(x, 0), Stroke(points, palette.FLOW, 1.2, 5))
    return Piece(x + decoder.width, max(encoder.height + 8, decoder.height), items)


def _with_insets(structure: Structure, insets: Sequence[Piece], room: float) -> Iterator[Piece]:
    """Yield a U or a ladder with its insets: on its right where the page is wide enough, else below."""
    widest = max((piece.width for piece in insets), default=0.0)
    if room - widest - 2 * GAP >= 300 and insets:
        left = room - widest - 2 * GAP
        yield flowed([valley(structure, left), below(insets, GAP)], room, 2 * GAP)
    else:
        yield valley(structure, room)
        yield flowed(insets, room, GAP)


def _with_table(pieces: Sequence[Piece], table: Callable[[float], Piece], room: float) -> Piece:
    """Put a table beside the last piece if there is room, else below."""
    last = 0.0
    for piece in pieces:
        last = piece.width if not last or last + GAP + piece.width > room else last + GAP + piece.width
    left = room - last - GAP
    drawn = table(left)
    if pieces and drawn.width <= left + 0.5:
        return flowed([*pieces, drawn], room, GAP)
    return below([*([flowed(pieces, room, GAP)] if pieces else []), table(room)], GAP)


def shown(structure: Structure, detail: Detail) -> list[tuple[Kind, list[Kind]]]:
    """Return the kinds with most parameters, in the order of their letters, each with the variants told beside it."""
    drawn: list[tuple[Kind, list[Kind]]] = []
    for kind in sorted(structure.kinds, key=lambda kind: -kind.params):
        same = None if detail.variants else next((pair for pair in drawn if variant(kind, pair[0]) is not None), None)
        if same is not None:
            same[1].append(kind)
        elif len(drawn) < detail.insets:
            drawn.append((kind, []))
    order = [kind.letter for kind in structure.kinds]
    return sorted(drawn, key=lambda pair: order.index(pair[0].letter))
