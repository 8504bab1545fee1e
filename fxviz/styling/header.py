"""The top of a figure: name and totals, the strip that shows where the parameters are, the legend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from math import ceil

from fxviz import units
from fxviz.drawing import Box, Cell, Table, Text
from fxviz.graph import ArchGraph, TraceInfo
from fxviz.metrics import METRICS
from fxviz.styling import palette, wording
from fxviz.styling.look import Look
from fxviz.styling.measuring import fit, width
from fxviz.styling.sheet import SHEET
from fxviz.view import Part, View

_UNSEEN = 0.1
"""By so much of its length a part in the strip may be longer or shorter than it should be."""
_SLIGHTEST = 2
"""Points that a part takes in the strip at least. Where parts would have less than twice as much on average, there is none."""
_RESIDUALS = ("identity", "projection", "resample")


def header(view: View, look: Look, largest: float | None) -> tuple[tuple[Cell, ...], ...]:
    """Title, strip and legend as rows as wide as the cards; none if neither is wanted.

    Args:
        view: the view that the header stands over.
        look: what is wanted.
        largest: the total of the row whose bar is full; None if there are no bars.
    """
    rows = [*_title(view.graph, look.title or view.graph.model.name)] if look.header else []
    if look.header and view.total and len(view.parts) * 2 * _SLIGHTEST <= SHEET:
        rows.append((Cell(_strip(view), SHEET, 20),))
    rows += [(Cell(line, SHEET, 15),) for line in _legend(view, largest)] if look.legend else []
    return tuple(rows)


def footer(view: View) -> tuple[Box, ...]:
    """How the model ran, where it was not simply in eval mode on fake tensors; nothing otherwise."""
    said = " ".join(_ways(view.graph.trace))
    row = (Cell((Text(fit(said, SHEET - 4, 9), palette.MUTED, 9),), SHEET, 15),)
    return (Box("footer", Table((row,)), said),) if said else ()


def _ways(trace: TraceInfo) -> Iterator[str]:
    if trace.training:
        yield "Traced in training mode."
    if trace.method == "real":
        yield f"Shapes from a real run on {trace.device}."
    elif trace.guessed:
        guesses = ", ".join(f"{name.rpartition('.')[2]} ×{times}" for name, times in trace.guessed.items())
        yield f"Shapes in part guessed, because they depend on the data: {guesses}."


# -------------------------------------------------------------------- words


def describe(view: View) -> str:
    """The figure in one breath, for readers who do not see it: totals, the largest shares, the skips."""
    graph = view.graph
    failure = graph.trace.failure
    largest = sorted(view.parts, key=lambda part: -part.total)[:3]
    shares = ", ".join(f"{_name(part)} {units.percent(part.total / view.total)}" for part in largest)
    unused = sum(parameter.size for parameter in graph.untraced)
    return " ".join(
        (
            f"{graph.model.name}: {' · '.join(_facts(graph))}.",
            *((f"Most of the {METRICS[view.metric].noun}: {shares}.",) if shares else ()),
            *((f"{units.count(unused)} parameters more are {_left(graph)} in this run.",) if unused else ()),
            *(() if _skips(graph) else ("No skip connections.",)),
            *((f"The run stopped at {wording.stop(failure)}: {failure.message}",) if failure else ()),
        )
    )


def _facts(graph: ArchGraph) -> Iterator[str]:
    yield f"{units.count(graph.traced_params)} parameters"
    if graph.total_macs:
        yield f"{_certainty(graph)}{units.macs(graph.total_macs)}"
    if frozen := graph.total_params - graph.trainable_params:
        yield f"{units.count(frozen)} frozen"
    times = sum(node.time or 0 for node in graph.nodes)
    if times:
        yield units.seconds(times)
    if skips := _skips(graph):
        yield skips


def _certainty(graph: ArchGraph) -> str:
    """Sizes that depend on the data were guessed, and with them the MACs; operations without a formula come on top."""
    if graph.trace.guessed:
        return "about "
    return "over " if any(node.macs is None for node in graph.nodes) else ""


def _skips(graph: ArchGraph) -> str:
    counts = graph.skip_counts
    residual = sum(counts[kind] for kind in _RESIDUALS)
    said = ((residual, "skip connection"), (counts["concat"], "concat skip"), (counts["gate"], "gate"))
    return " · ".join(f"{count} {name}{'s' * (count > 1)}" for count, name in said if count)


def _title(graph: ArchGraph, name: str) -> Iterator[tuple[Cell, ...]]:
    """The name and the facts, on one line if they fit; then what this run never used."""
    facts = " · ".join(_facts(graph))
    name = fit(name, SHEET - 8, 15, bold=True)
    used = width(name, 15, bold=True) + 14
    if used + width(facts, 10) <= SHEET:
        yield (Cell((Text(name, palette.INK, 15, bold=True), Text(f"   {facts}", palette.MUTED, 10)), SHEET, 21),)
    else:
        yield (Cell((Text(name, palette.INK, 15, bold=True),), SHEET, 21),)
        yield (Cell((Text(fit(facts, SHEET - 4, 10), palette.MUTED, 10),), SHEET, 15),)
    if graph.untraced:
        yield (Cell((Text(fit(_unused(graph), SHEET - 4, 10), palette.MUTED, 10),), SHEET, 16),)


def _unused(graph: ArchGraph) -> str:
    owners = list(dict.fromkeys(parameter.name.partition(".")[0] for parameter in graph.untraced))
    named = ", ".join(owners[:3]) + (", …" if len(owners) > 3 else "")
    return (
        f"+ {units.count(sum(parameter.size for parameter in graph.untraced))} parameters {_left(graph)} in this run: {named}"
    )


def _left(graph: ArchGraph) -> str:
    """What became of the parameters that the run does not read."""
    return "not reached" if graph.trace.failure else "not used"


def _name(part: Part) -> str:
    if part.last is None:
        return part.path
    return wording.repeated(part.path, part.last, part.times) if part.times > 1 else wording.span(part.path, part.last, "")


# -------------------------------------------------------------------- the strip


def _strip(view: View) -> Table:
    """One segment for each part, as wide as its share, together exactly as wide as the cards."""
    cells = []
    for part, length in zip(view.parts, _lengths(view.parts), strict=True):
        share = part.total / view.total
        said = _label(part, share, length)
        text = (Text(said, palette.on_bar(share), 9, bold=True),) if said else ()
        inset = min(4, length)
        inside = Table(((Cell(width=inset, height=18), *((Cell(text, length - inset, 18),) if length > inset else ())),))
        cells.append(Cell(inside, length, 18, palette.bar(share)))
        cells.append(Cell(width=1, height=18))
    return Table((tuple(cells[:-1]),), width=SHEET, height=18)


def _lengths(parts: tuple[Part, ...]) -> list[int]:
    """Whole points that add up to the sheet's width less the gaps; the least share is still to be seen.

    What rounding leaves over goes to the largest part, or, where that would be seen, to the parts one by one.
    """
    room = SHEET - (len(parts) - 1)
    total = sum(part.total for part in parts)
    lengths = [max(_SLIGHTEST, int(room * part.total / total)) for part in parts]
    by_size = sorted(range(len(parts)), key=lambda place: -parts[place].total)
    rest = room - sum(lengths)
    if abs(rest) <= _UNSEEN * lengths[by_size[0]]:
        lengths[by_size[0]] += rest
        return lengths
    for place in cycle(by_size):
        if rest == 0:
            break
        if rest > 0 or lengths[place] > _SLIGHTEST:
            lengths[place] += 1 if rest > 0 else -1
            rest += -1 if rest > 0 else 1
    return lengths


def _label(part: Part, share: float, length: int) -> str:
    name = _name(part)
    for said in (f"{name} {units.percent(share)}", name):
        if width(said, 9, bold=True) <= length - 6:
            return said
    return ""


# -------------------------------------------------------------------- the legend


def _legend(view: View, largest: float | None) -> Iterator[Table]:
    """What the colours, lines and bars mean, as far as they occur, in as many lines as it takes."""
    line: list[Cell] = []
    for swatch, said in [*_line_entries(view), *_bar_entries(view, largest)]:
        lead = (*swatch, Cell(width=4, height=15)) if swatch else ()
        entry = (*lead, Cell((Text(said, palette.MUTED, 9),), ceil(width(said, 9)) + 12, 15))
        if line and _wide(line) + _wide(entry) > SHEET:
            yield _filled(line)
            line = []
        line += entry
    if line:
        yield _filled(line)


def _wide(cells: Iterable[Cell]) -> float:
    return sum(cell.width or 0 for cell in cells)


def _filled(cells: Sequence[Cell]) -> Table:
    rest = Cell(width=max(1, SHEET - _wide(cells)), height=15)
    return Table(((*cells, rest),), width=SHEET, height=15)


_Entry = tuple[tuple[Cell, ...], str]


def _line_entries(view: View) -> Iterator[_Entry]:
    kinds = {arc.kind for arc in view.arcs}
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
    """A piece of line, 22 points long, in the middle of the row's height."""
    count = 22 // (dash + gap)
    pieces = [(Cell(width=dash, height=thickness, fill=palette.SKIP), Cell(width=gap, height=thickness)) for _ in range(count)]
    row = tuple(cell for piece in pieces for cell in (piece if gap else piece[:1]))
    long = sum(cell.width or 0 for cell in row)
    above, below = (Cell(width=long, height=height, columns=len(row)) for height in (6, 9 - thickness))
    return (Cell(Table(((above,), row, (below,)), width=long, height=15), 22, 15),)


def _bar_entries(view: View, largest: float | None) -> Iterator[_Entry]:
    if not view.total:
        return
    ramp = Table((tuple(Cell(width=12, height=9, fill=palette.BARS[at]) for at in (0, 2, 4, 6)),))
    yield (Cell(ramp, 48, 15),), f"<2% · 14% · 39% · 77% of {METRICS[view.metric].noun}"
    if largest is not None:
        yield (), f"bar: full = {units.percent(largest / view.total)}"
