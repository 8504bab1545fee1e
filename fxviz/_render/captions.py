"""Write the texts of rows and frames that every style shares."""

from __future__ import annotations

from collections.abc import Iterator

from fxviz._graph import Failure, units
from fxviz._graph.metrics import METRICS
from fxviz._render import differences, palette, ranges, wording
from fxviz._render.bars import ROW, SHEET
from fxviz._render.drawing import Box, Cell, Color, Shape, Table, Text
from fxviz._render.text_width import fit, wrap
from fxviz._view.view import Heading, Repeat, Row, View, cards_in


class Captions:
    """The texts of one view.

    Attributes:
        view: what is shown.
        metric: what its totals count.
        whole: the metric's total, of which shares are taken; never 0.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.metric = METRICS[view.metric]
        self.whole = view.total or 1
        self._has_chains = any(row.kind == "chain" for row in view.rows)

    # ---------------------------------------------------------------- rows

    def look(self, row: Row) -> tuple[Color, bool]:
        """Return the colour of the row's name, and whether it is bold."""
        if row.kind == "failed":
            return palette.STOP, True
        if self.view.difference is not None:
            return (palette.INK, True) if row.change else (palette.MUTED, False)
        if row.kind in ("join", "projection"):
            return palette.SKIP, True
        return (palette.INK, True) if row.params or row.shared else (palette.MUTED, False)

    def tags(self, row: Row) -> str:
        """Return the text behind the row's name: norm and activation, skips and branches inside."""
        if row.kind == "failed":
            return self._failed_inputs()
        if row.change is not None:
            return differences.change_text(row)
        fused = "" if row.kind == "code" or (row.rail and self._has_chains) else wording.tags(row)
        inside = wording.inside(row.skips) or (f"{row.branches} branches" if row.branches else "")
        passes = "+ concat" if row.concat and row.kind != "join" and not inside else ""
        shared = "shared" if row.shared and row.total else ""
        return " · ".join(filter(None, (fused, inside, passes, shared, self._own_repetitions(row))))

    def _own_repetitions(self, row: Row) -> str:
        """Return how a row is repeated, unless its amount says it all."""
        is_said = row.own_times == 1 or (row.repeats == "chain" and row.total)
        return "" if is_said else ranges.times(row.own_times, row.repeats)

    def _failed_inputs(self) -> str:
        """Return the input tensors of the operation that raised."""
        failure = self.view.graph.trace.failure
        return f"on {wording.tensors_text(failure.inputs)}" if failure and failure.inputs else ""

    def path(self, row: Row, base: str) -> str:
        """Return the path of the row's module, relative to ``base``; "" for functions."""
        if row.span:
            return ranges.span(*row.span, base)
        if row.kind in ("join", "plain") and row.heads[0].kind != "module":
            return ""
        return ranges.relative(row.path, base)

    def amount(self, row: Row) -> str:
        """Return the metric of one repetition, and the number of repetitions."""
        if row.kind == "removed" and row.change is not None:
            return f"−{self._repeated(row.change.was / row.times, row.times)}" if row.change.was else ""
        if row.total:
            return self._repeated(row.amount, row.counted or row.times)
        return "shared" if row.shared and self.metric.name == "params" else ""

    def _repeated(self, amount: float, times: int) -> str:
        return self.metric.format(amount) + (f" ×{times}" if times > 1 else "")

    # ---------------------------------------------------------------- frames and ends

    def heading(self, heading: Heading) -> str:
        """Return a frame's tooltip in one line."""
        share = units.percent(heading.total / self.whole)
        return f"{heading.path} {self.kind_of(heading)}: {self.amount_of(heading)} {self.metric.noun}, {share}"

    def amount_of(self, heading: Heading) -> str:
        """Return the metric of one repetition of a frame, and the number of repetitions."""
        return self._repeated(heading.total / heading.times, heading.times)

    def kind_of(self, heading: Heading) -> str:
        """Return a frame's class, and what of the module is not in it."""
        return " · ".join(word for word in (heading.class_name.lstrip("_"), heading.missing) if word)

    def one_block(self, repeat: Repeat) -> bool:
        """Return whether a single module is repeated, so that paths relative to it are enough."""
        prefix = repeat.span[0] + "."
        return all(
            row.path == repeat.span[0] or row.path.startswith(prefix)
            for card in cards_in(repeat.items)
            for row in card.rows
        )

    def input(self) -> Box:
        """Return the pill of the input, with its shapes."""
        return self._pill("input")

    def end(self) -> Box:
        """Return the pill of the output, or the reason why there is none."""
        failure = self.view.graph.trace.failure
        return self._pill("output") if failure is None else notice("output", failure)

    def _pill(self, name: str) -> Box:
        nodes = [node for node in self.view.graph.nodes if node.kind == name]
        tensors = [tensor for node in nodes for tensor in node.outputs]
        shapes = [units.shape(tensor.shape) for tensor in tensors]
        if name == "input" and len(nodes) > 1:
            shapes = [f"{node.op} {shape}" for node, shape in zip(nodes, shapes, strict=True)]
        shown = " · ".join(shapes) if len(shapes) < 4 else f"{shapes[0]} · … ({len(shapes)} tensors)"
        texts = (Text(f"{name}  ", palette.INK, 10, bold=True), Text(fit(shown, SHEET - 70, 9), palette.MUTED, 9))
        return Box(name, Table(((Cell(texts),),)), f"{name} {shown}", Shape("pill", palette.PILL, palette.BORDER))


_MARGIN = 8
_MOST_LINES = 6


def notice(name: str, failure: Failure) -> Box:
    """Return a box as wide as the cards that says why the run stopped.

    >>> failure = Failure("head", "RuntimeError: shapes differ", "head", "nn.Linear", "net.py", 12)
    >>> notice("output", failure).title
    'stopped at head (Linear), net.py:12: RuntimeError: shapes differ'
    """
    rows = tuple((Cell((text,), SHEET - 2 * _MARGIN, ROW),) for text in _texts(failure))
    inside = Table(rows, width=SHEET - 2 * _MARGIN, height=ROW * len(rows))
    margin = Cell(width=_MARGIN, height=ROW * len(rows) + _MARGIN)
    row = (margin, Cell(inside, SHEET - 2 * _MARGIN, ROW * len(rows) + _MARGIN), margin)
    content = Table((row,), border=palette.STOP, fill=palette.STOPPED)
    return Box(name, content, f"stopped at {wording.stop(failure)}: {failure.message}")


def _texts(failure: Failure) -> Iterator[Text]:
    room = SHEET - 2 * _MARGIN - 4
    yield Text(
        fit(f"{wording.STOP} stopped at {wording.stop(failure)}", room, 10, bold=True), palette.STOP, 10, bold=True
    )
    for line in wrap(failure.message, room, 9, _MOST_LINES):
        yield Text(line, palette.INK, 9)
    if failure.code:
        yield Text(fit(f"> {failure.code}", room, 9), palette.INK, 9)
    if failure.inputs:
        yield Text(fit(f"on {wording.tensors_text(failure.inputs)}", room, 9), palette.INK, 9)
