"""The top of a figure: name and totals, the strip that shows where the parameters are, the legend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, cycle, pairwise

from fxviz._analysis.difference import Difference
from fxviz._graph import RESIDUAL_KINDS, SKIP_NOUNS, ArchGraph, TraceInfo, units
from fxviz._graph.metrics import METRICS
from fxviz._render import differences, palette, wording
from fxviz._render.bars import SHEET
from fxviz._render.drawing import Box, Cell, Look, Table, Text
from fxviz._render.legend import legend
from fxviz._render.text_width import fit, width
from fxviz._view.view import Part, View

_UNSEEN = 0.1
"""By so much of its length a part in the strip may be longer or shorter than it should be."""
_SLIGHTEST = 2
"""Points that a part takes in the strip at least. Where parts would have less than twice as much on average, there is none."""


def header(view: View, look: Look, largest: float | None) -> tuple[tuple[Cell, ...], ...]:
    """Title, strip and legend as rows as wide as the cards; none if neither is wanted.

    Args:
        view: the view that the header stands over.
        look: what is wanted.
        largest: the total of the row whose bar is full; None if there are no bars.
    """
    rows = [*_title(view, look)] if look.header else []
    if look.header and view.total and len(view.parts) * 2 * _SLIGHTEST <= SHEET:
        rows.append((Cell(_strip(view), SHEET, 20),))
    rows += [(Cell(line, SHEET, 15),) for line in legend(view, largest)] if look.legend else []
    return tuple(rows)


def title(view: View, look: Look) -> str:
    """The figure's name: the title that is wanted, else the model's, or those of both."""
    return look.title or (differences.full_name(view.difference) if view.difference else view.graph.model.name)


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
    if view.difference is not None:
        return differences.described(view)
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
    if graph.total_time:
        yield units.seconds(graph.total_time)
    if skips := _skips(graph):
        yield skips


def _certainty(graph: ArchGraph) -> str:
    """Sizes that depend on the data were guessed, and with them the MACs; operations without a formula come on top."""
    if graph.trace.guessed:
        return "about "
    return "over " if graph.unknown_macs else ""


def _skips(graph: ArchGraph) -> str:
    counts = graph.skip_counts
    residual = sum(counts[kind] for kind in RESIDUAL_KINDS)
    said = ((residual, "skip connection"), *((counts[kind], SKIP_NOUNS[kind]) for kind in ("concat", "gate")))
    return " · ".join(f"{count} {name}{'s' * (count > 1)}" for count, name in said if count)


def _title(view: View, look: Look) -> Iterator[tuple[Cell, ...]]:
    """The name and the facts, on one line if they fit; then what differs, and what this run never used."""
    graph = view.graph
    several = list(differences.totals(view.difference) if view.difference else _facts(graph))
    facts = " · ".join(several)
    name = _name_within(view, look, SHEET - 8, 15)
    used = width(name, 15, bold=True) + 14
    if used + width(facts, 10) <= SHEET:
        yield (Cell((Text(name, palette.INK, 15, bold=True), Text(f"   {facts}", palette.MUTED, 10)), SHEET, 21),)
    else:
        yield (Cell((Text(name, palette.INK, 15, bold=True),), SHEET, 21),)
        for line in _lines(several):
            yield (Cell((Text(fit(line, SHEET - 4, 10), palette.MUTED, 10),), SHEET, 15),)
    if view.difference is not None:
        for texts in _counted(view.difference):
            yield (Cell(tuple(texts), SHEET, 17),)
    if graph.untraced:
        yield (Cell((Text(fit(_unused(graph), SHEET - 4, 10), palette.MUTED, 10),), SHEET, 16),)


def _name_within(view: View, look: Look, room: float, size: int) -> str:
    """The figure's name; those of two models are shortened so that they are told apart."""
    if view.difference is not None and not look.title:
        return differences.names_within(view.difference, room, size)
    return fit(title(view, look), room, size, bold=True)


def _lines(facts: Sequence[str]) -> Iterator[str]:
    """The facts in as few lines as hold them, none broken, the lines about equally long."""
    said = [" · ".join(facts)]
    for count in range(1, len(facts) + 1):
        ways = [
            [" · ".join(facts[start:stop]) for start, stop in pairwise((0, *breaks, len(facts)))]
            for breaks in combinations(range(1, len(facts)), count - 1)
        ]
        said = min(ways, key=lambda lines: max(width(line, 10) for line in lines))
        if all(width(line, 10) <= SHEET - 4 for line in said):
            break
    yield from said


def _counted(difference: Difference) -> Iterator[list[Text]]:
    """How many layers differ, each number in the colour of its mark, and what is counted: beside them if there is room."""
    note = Text(differences.note(difference), palette.MUTED, 9)
    if difference.is_empty:
        yield [replace(note, color=palette.INK, size=11, bold=True)]
        return
    texts = [Text(f"{said}   ", palette.MARKS[kind], 11, bold=True) for kind, said in differences.counts(difference)]
    if sum(width(text.text, 11, bold=True) for text in texts) + width(note.text, 9) <= SHEET - 4:
        yield [*texts, *([note] if note.text else [])]
    else:
        yield texts
        yield [note]


def _unused(graph: ArchGraph) -> str:
    owners = list(dict.fromkeys(parameter.name.partition(".")[0] for parameter in graph.untraced))
    named = ", ".join(owners[:3]) + (", …" if len(owners) > 3 else "")
    return f"+ {units.count(sum(parameter.size for parameter in graph.untraced))} parameters {_left(graph)} in this run: {named}"


def _left(graph: ArchGraph) -> str:
    """What became of the parameters that the run does not read."""
    return "not reached" if graph.trace.failure else "not used"


def _name(part: Part) -> str:
    if part.last is None:
        return part.path
    return (
        wording.repeated(part.path, part.last, part.times) if part.times > 1 else wording.span(part.path, part.last, "")
    )


# -------------------------------------------------------------------- the strip


def _strip(view: View) -> Table:
    """One segment for each part, as wide as its share, together exactly as wide as the cards."""
    cells = []
    for part, length in zip(view.parts, _lengths(view.parts), strict=True):
        share = part.total / view.total
        said = _label(part, share, length)
        is_seen = part.differs or view.difference is None
        text = (Text(said, palette.on_bar(share) if is_seen else palette.INK, 9, bold=True),) if said else ()
        inset = min(4, length)
        inside = Table(
            ((Cell(width=inset, height=18), *((Cell(text, length - inset, 18),) if length > inset else ())),)
        )
        cells.append(Cell(inside, length, 18, palette.bar(share) if is_seen else palette.AS_IT_WAS))
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
