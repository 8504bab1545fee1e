"""Draw the top of a figure: name and totals, the strip that shows where the parameters are, and the legend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, cycle, pairwise
from pathlib import PurePosixPath

from fxviz._analysis.difference import Difference
from fxviz._graph import RESIDUAL_KINDS, SKIP_NOUNS, ArchGraph, TraceInfo, units
from fxviz._graph.metrics import METRICS
from fxviz._graph.options import RenderOptions
from fxviz._render import differences, palette, ranges, wording
from fxviz._render.bars import SHEET
from fxviz._render.drawing import Box, Cell, Table, Text
from fxviz._render.legend import legend
from fxviz._render.text_width import fit, width
from fxviz._view.view import Part, View

_TOLERANCE = 0.1
"""The largest unnoticeable error of a part's length in the strip, as a fraction of that length."""
_MIN_LENGTH = 2
"""The least length of a part in the strip, in points. There is no strip if parts average less than twice this."""


def header(view: View, options: RenderOptions, largest: float | None) -> tuple[tuple[Cell, ...], ...]:
    """Return title, strip and legend as rows as wide as the cards, as far as they are shown.

    Args:
        view: what the figure shows.
        options: the title, and whether header and legend are shown.
        largest: the total of the row whose bar is full; None if there are no bars.
    """
    rows = [*_title(view, options)] if options.header else []
    if options.header and view.total and len(view.parts) * 2 * _MIN_LENGTH <= SHEET:
        rows.append((Cell(_strip(view), SHEET, 20),))
    rows += [(Cell(line, SHEET, 15),) for line in legend(view, largest)] if options.legend else []
    return tuple(rows)


def title(view: View, options: RenderOptions) -> str:
    """Return the figure's title: the given one, else the model's name, or the names of both models."""
    return options.title or (differences.full_name(view.difference) if view.difference else view.graph.model.name)


def short_title(name: str) -> str:
    """Return a title without the folders of a path: that of a configuration is its own folder, that of code its file.

    >>> short_title("/home/me/bert/config.json"), short_title("nets/lenet.py:Net"), short_title("nets/all.py:UNet")
    ('bert', 'lenet', 'UNet')
    >>> short_title("resnet18"), short_title("org/opt-125m"), short_title("timm:vit_tiny_patch16_224")
    ('resnet18', 'opt-125m', 'timm:vit_tiny_patch16_224')
    """
    path, _, inside = name.rpartition(":") if ".py:" in name else (name, "", "")
    parts = PurePosixPath(path.replace("\\", "/"))
    if inside:
        return parts.stem if inside.split("(")[0] in _VAGUE else inside
    if parts.suffix == ".json" and parts.parent.name:
        return parts.parent.name
    return parts.name if "/" in path else name


_VAGUE = ("Net", "Model", "Network", "build", "model", "net")
"""Names of code that say less than the file that they stand in."""


def footer(view: View) -> tuple[Box, ...]:
    """Return a note on how the model ran; none if that was in eval mode on fake tensors."""
    notes = " ".join(_run_notes(view.graph.trace))
    row = (Cell((Text(fit(notes, SHEET - 4, 9), palette.MUTED, 9),), SHEET, 15),)
    return (Box("footer", Table((row,)), notes),) if notes else ()


def _run_notes(trace: TraceInfo) -> Iterator[str]:
    if trace.training:
        yield "Traced in training mode."
    if trace.method == "real":
        yield f"Shapes from a real run on {trace.device}."
    elif trace.guessed:
        yield f"Shapes in part guessed, because they depend on the data: {trace.guesses}."
    yield from (f"{weights.sentence[:1].upper()}{weights.sentence[1:]}." for weights in trace.unregistered)
    yield from trace.sentences


# -------------------------------------------------------------------- words


def describe(view: View) -> str:
    """Describe the figure for readers who cannot see it: totals, the largest shares, the skips."""
    if view.difference is not None:
        return differences.describe(view)
    graph = view.graph
    failure = graph.trace.failure
    largest = sorted(view.parts, key=lambda part: -part.total)[:3]
    shares = ", ".join(f"{_part_name(part)} {units.percent(part.total / view.total)}" for part in largest)
    unused = sum(parameter.size for parameter in graph.untraced)
    return " ".join(
        (
            f"{graph.model.name}: {' · '.join(facts(graph))}.",
            *((f"Most of the {METRICS[view.metric].noun}: {shares}.",) if shares else ()),
            *((f"{units.count(unused)} parameters more are {_unread_reason(graph)} in this run.",) if unused else ()),
            *(() if _skips(graph) else ("No skip connections.",)),
            *((f"The run stopped at {wording.stop(failure)}: {failure.message}",) if failure else ()),
        )
    )


def notes(graph: ArchGraph) -> Iterator[str]:
    """Yield what stands below a figure for print: parameters that the run did not use, how it ran, where it stopped."""
    if graph.untraced:
        yield _unused(graph)
    yield from _run_notes(graph.trace)
    if failure := graph.trace.failure:
        yield f"The run stopped at {wording.stop(failure)}."


def facts(graph: ArchGraph) -> Iterator[str]:
    """Yield the totals of a model: parameters, MACs, time, skips."""
    yield f"{units.count(graph.traced_params)} parameters"
    if graph.active_params is not None:
        yield f"{units.count(graph.active_params)} active per token"
    if graph.total_macs:
        yield f"{_macs_qualifier(graph)}{units.macs(graph.total_macs)}"
    if frozen := graph.total_params - graph.trainable_params:
        yield f"{units.count(frozen)} frozen"
    if graph.total_time:
        yield units.seconds(graph.total_time)
    if skips := _skips(graph):
        yield skips


def _macs_qualifier(graph: ArchGraph) -> str:
    """Qualify the MACs: approximate or an upper bound if sizes were guessed, a lower one without some formulas."""
    if graph.trace.guessed and graph.trace.bound != "exact":
        return "about " if graph.unknown_macs or graph.trace.bound == "about" else "at most "
    return "over " if graph.unknown_macs else ""


def _skips(graph: ArchGraph) -> str:
    counts = graph.skip_counts
    residual = sum(counts[kind] for kind in RESIDUAL_KINDS)
    nouns = ((residual, "skip connection"), *((counts[kind], SKIP_NOUNS[kind]) for kind in ("concat", "gate")))
    return " · ".join(f"{count} {name}{'s' * (count > 1)}" for count, name in nouns if count)


def _title(view: View, options: RenderOptions) -> Iterator[tuple[Cell, ...]]:
    """Yield name and totals, on one line if they fit; then what differs, and the parameters that were not used."""
    graph = view.graph
    several = list(differences.totals(view.difference) if view.difference else facts(graph))
    said = " · ".join(several)
    name = _fit_title(view, options, SHEET - 8, 15)
    used = width(name, 15, bold=True) + 14
    if used + width(said, 10) <= SHEET:
        yield (Cell((Text(name, palette.INK, 15, bold=True), Text(f"   {said}", palette.MUTED, 10)), SHEET, 21),)
    else:
        yield (Cell((Text(name, palette.INK, 15, bold=True),), SHEET, 21),)
        for line in _lines(several):
            yield (Cell((Text(fit(line, SHEET - 4, 10), palette.MUTED, 10),), SHEET, 15),)
    if view.difference is not None:
        for texts in _change_counts(view.difference):
            yield (Cell(tuple(texts), SHEET, 17),)
    if graph.untraced:
        yield (Cell((Text(fit(_unused(graph), SHEET - 4, 10), palette.MUTED, 10),), SHEET, 16),)


def _fit_title(view: View, options: RenderOptions, room: float, size: int) -> str:
    """Return the figure's title, shortened to fit; the names of two models stay distinct."""
    if view.difference is not None and not options.title:
        return differences.fit_names(view.difference, room, size)
    return fit(title(view, options), room, size, bold=True)


def _lines(facts: Sequence[str]) -> Iterator[str]:
    """Distribute facts over as few lines as possible, about equally long, without breaking any."""
    lines = [" · ".join(facts)]
    for count in range(1, len(facts) + 1):
        ways = [
            [" · ".join(facts[start:stop]) for start, stop in pairwise((0, *breaks, len(facts)))]
            for breaks in combinations(range(1, len(facts)), count - 1)
        ]
        lines = min(ways, key=lambda way: max(width(line, 10) for line in way))
        if all(width(line, 10) <= SHEET - 4 for line in lines):
            break
    yield from lines


def _change_counts(difference: Difference) -> Iterator[list[Text]]:
    """Yield how many layers differ, each number in the colour of its mark, with a note on what is counted."""
    note = Text(differences.note(difference), palette.MUTED, 9)
    if difference.is_empty:
        yield [replace(note, color=palette.INK, size=11, bold=True)]
        return
    texts = [Text(f"{count}   ", palette.MARKS[kind], 11, bold=True) for kind, count in differences.counts(difference)]
    if sum(width(text.text, 11, bold=True) for text in texts) + width(note.text, 9) <= SHEET - 4:
        yield [*texts, *([note] if note.text else [])]
    else:
        yield texts
        yield [note]


def _unused(graph: ArchGraph) -> str:
    owners = list(dict.fromkeys(parameter.name.partition(".")[0] for parameter in graph.untraced))
    named = ", ".join(owners[:3]) + (", …" if len(owners) > 3 else "")
    amount = units.count(sum(parameter.size for parameter in graph.untraced))
    return f"+ {amount} parameters {_unread_reason(graph)} in this run: {named}"


def _unread_reason(graph: ArchGraph) -> str:
    """Return why the run does not read some parameters."""
    return "not reached" if graph.trace.failure else "not used"


def _part_name(part: Part) -> str:
    if part.last is None:
        return f"{part.path} {part.missing}".rstrip()
    return (
        ranges.repeated(part.path, part.last, part.times) if part.times > 1 else ranges.span(part.path, part.last, "")
    )


# -------------------------------------------------------------------- the strip


def _strip(view: View) -> Table:
    """Draw a segment for each part, as wide as its share; together they are exactly as wide as the cards."""
    cells = []
    for part, length in zip(view.parts, _lengths(view.parts), strict=True):
        share = part.total / view.total
        label = _label(part, share, length)
        is_seen = part.differs or view.difference is None
        text = (Text(label, palette.on_bar(share) if is_seen else palette.INK, 9, bold=True),) if label else ()
        inset = min(4, length)
        inside = Table(
            ((Cell(width=inset, height=18), *((Cell(text, length - inset, 18),) if length > inset else ())),)
        )
        cells.append(Cell(inside, length, 18, palette.bar(share) if is_seen else palette.UNCHANGED))
        cells.append(Cell(width=1, height=18))
    return Table((tuple(cells[:-1]),), width=SHEET, height=18)


def _lengths(parts: tuple[Part, ...]) -> list[int]:
    """Return lengths in whole points that fill the sheet's width less the gaps; the smallest part stays visible.

    The rounding error goes to the largest part or, where it would be noticed there, to the parts one by one.
    """
    room = SHEET - (len(parts) - 1)
    total = sum(part.total for part in parts)
    lengths = [max(_MIN_LENGTH, int(room * part.total / total)) for part in parts]
    by_size = sorted(range(len(parts)), key=lambda place: -parts[place].total)
    rest = room - sum(lengths)
    if abs(rest) <= _TOLERANCE * lengths[by_size[0]]:
        lengths[by_size[0]] += rest
        return lengths
    for place in cycle(by_size):
        if rest == 0:
            break
        if rest > 0 or lengths[place] > _MIN_LENGTH:
            lengths[place] += 1 if rest > 0 else -1
            rest += -1 if rest > 0 else 1
    return lengths


def _label(part: Part, share: float, length: int) -> str:
    name = _part_name(part)
    for label in (f"{name} {units.percent(share)}", name):
        if width(label, 9, bold=True) <= length - 6:
            return label
    return ""
