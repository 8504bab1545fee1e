"""Draw the legend: the meaning of a figure's colours, lines, signs and bars."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import ceil

from fxviz._graph import units
from fxviz._graph.metrics import METRICS
from fxviz._render import differences, palette, wording
from fxviz._render.bars import ROW, SHEET, ticks
from fxviz._render.drawing import Cell, Table, Text
from fxviz._render.text_width import fit, width
from fxviz._view.view import Mark, View


def legend(view: View, largest: float | None) -> Iterator[Table]:
    """Yield the lines of a legend that explains the colours, lines and bars that occur in the view."""
    entries = [*_mark_entries(view), *_line_entries(view), *_bar_entries(view, largest)]
    for line in _lines([_cells(*entry) for entry in entries], even=view.difference is not None):
        yield _full_line([cell for cells in line for cell in cells])


def _cells(swatch: tuple[Cell, ...], meaning: str) -> tuple[Cell, ...]:
    lead = (*swatch, Cell(width=4, height=15)) if swatch else ()
    return (*lead, Cell((Text(meaning, palette.MUTED, 9),), ceil(width(meaning, 9)) + 12, 15))


def _lines(entries: Iterable[tuple[Cell, ...]], even: bool) -> list[list[tuple[Cell, ...]]]:
    """Put as many entries into each line as fit; if ``even``, avoid a single entry in the last line."""
    lines: list[list[tuple[Cell, ...]]] = []
    for entry in entries:
        if lines and sum(map(_total_width, (*lines[-1], entry))) <= SHEET:
            lines[-1].append(entry)
        else:
            lines.append([entry])
    if even and len(lines) > 1 and len(lines[-1]) == 1 and len(lines[-2]) > 2:
        lines[-1].insert(0, lines[-2].pop())
    return lines


def _total_width(cells: Iterable[Cell]) -> float:
    return sum(cell.width or 0 for cell in cells)


def _full_line(cells: Sequence[Cell]) -> Table:
    rest = Cell(width=max(1, SHEET - _total_width(cells)), height=15)
    return Table(((*cells, rest),), width=SHEET, height=15)


_Entry = tuple[tuple[Cell, ...], str]


def _mark_entries(view: View) -> Iterator[_Entry]:
    """Explain the marks of rows that differ from another model, and the bars of the others."""
    if view.difference is None:
        return
    changes = [row.change for row in view.rows if row.change]
    found = {change.mark for change in changes} | {part.kind for change in changes for part in change.parts}
    meanings: dict[Mark, str] = {"added": "added", "removed": "removed", "altered": _other_changes(found)}
    for kind, meaning in meanings.items():
        if kind in found or (kind == "altered" and meaning):
            yield mark(kind), meaning
    yield (Cell(Table(((Cell(width=22, height=5, fill=palette.UNCHANGED),),)), 22, 15),), "as before"


def _other_changes(found: Collection[str]) -> str:
    """Return the meanings of "~" that occur."""
    meanings = {"resized": "resized", "altered": "altered", "mixed": "parts differ"}
    return ", ".join(word for kind, word in meanings.items() if kind in found)


def _line_entries(view: View) -> Iterator[_Entry]:
    kinds = {arc.kind for arc in view.arcs if view.difference is None or view.rows[arc.head].change}
    if "identity" in kinds:
        yield _swatch(22, 0, 3), "identity skip"
    if "projection" in kinds:
        yield _swatch(6, 2, 3), "projection skip"
    if "resample" in kinds:
        yield _swatch(2, 2, 3), "resampled skip"
    if "concat" in kinds:
        yield _swatch(22, 0, 1), "concat skip"
    if "gate" in kinds:
        yield _swatch(2, 2, 1), "gate"
    if any(set(row.skips) - {"gate"} for row in view.rows):
        yield (Cell((Text("+ skip", palette.SKIP, 9),), ceil(width("+ skip", 9)), 15),), "inside the block"
    if view.style == "ledger" and any(row.concat and not set(row.skips) - {"gate"} for row in view.rows):
        yield (Cell(width=3, height=15, rail=palette.SKIP),), "concat skips, one after the other"
    if any(row.rail.startswith("branch") for row in view.rows):
        yield (Cell(width=3, height=15, rail=palette.FLOW),), "parallel branches"
    if view.graph.trace.failure:
        mark = Text(wording.STOP, palette.STOP, 9, bold=True)
        yield (Cell((mark,), ceil(width(wording.STOP, 9, bold=True)), 15),), "where the run stopped"


def _swatch(dash: int, gap: int, thickness: int) -> tuple[Cell, ...]:
    """Draw a piece of line, 22 points long, vertically centred."""
    count = 22 // (dash + gap)
    pieces = [
        (Cell(width=dash, height=thickness, fill=palette.SKIP), Cell(width=gap, height=thickness)) for _ in range(count)
    ]
    row = tuple(cell for piece in pieces for cell in (piece if gap else piece[:1]))
    length = sum(cell.width or 0 for cell in row)
    above, below = (Cell(width=length, height=height, columns=len(row)) for height in (6, 9 - thickness))
    return (Cell(Table(((above,), row, (below,)), width=length, height=15), 22, 15),)


def _bar_entries(view: View, largest: float | None) -> Iterator[_Entry]:
    if not view.total:
        return
    if view.difference is not None:
        yield from _difference_entries(view, largest)
        return
    yield (_ramp(),), f"<2% · 14% · 39% · 77% of {METRICS[view.metric].noun}"
    if largest is not None:
        yield (), f"bar: full = {units.percent(largest / view.total)}"


def _ramp() -> Cell:
    return Cell(Table((tuple(Cell(width=12, height=9, fill=palette.BARS[at]) for at in (0, 2, 4, 6)),)), 48, 15)


def _difference_entries(view: View, largest: float | None) -> Iterator[_Entry]:
    """Explain the bars of a difference."""
    difference = view.difference
    assert difference is not None
    if any(part.differs for part in view.parts):
        yield (_ramp(),), f"differs, by share of {METRICS[view.metric].noun}"
    if largest and any(ticks(row, largest) for row in view.rows):
        name = fit(difference.names[0], SHEET / 3, 9)
        yield (Cell(Table(((Cell(width=2, height=9, fill=palette.INK),),)), 2, 15),), f"in {name}"
    if largest:
        yield (), f"bar: full = {METRICS[view.metric].format(largest)}"


MARK = 20
"""The width of a change's mark, in points."""

_RULE, _GAP = 3, 3


def mark(kind: Mark | None) -> tuple[Cell, ...]:
    """Draw the rule and sign of a change; for an unchanged row (None), a blank of the same width."""
    if kind is None:
        return (Cell(width=MARK, height=ROW),)
    color, background = palette.MARKS[kind], palette.MARKED[kind]
    sign = Text(differences.SIGNS[kind], color, 11, bold=True)
    rule = Cell(width=_RULE + _GAP, height=ROW, fill=background, rail=color, rail_width=_RULE)
    return rule, Cell((sign,), MARK - _RULE - _GAP, ROW, background)
