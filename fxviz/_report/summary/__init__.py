"""Summarize a graph as a table of layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fxviz._analysis.memory import size_of
from fxviz._analysis.structure import Structure, structure_of
from fxviz._graph import ArchGraph, ModelInfo, Node, TensorInfo, TraceInfo, units
from fxviz._graph.errors import UsageError, printable, shown, spelled
from fxviz._graph.index import above
from fxviz._report.summary.parallel import fold_parallel
from fxviz._report.summary.rows import to_depth, unused_layers, used_layers, with_subtotals
from fxviz._report.summary.stages import notes_on, rows_by_stage
from fxviz._report.summary.table import by_stage, tabulated
from fxviz._report.summary.values import SORTS, Row, SummaryOptions, Totals, in_order, summed, summed_times
from fxviz._report.tables import PROGRAMS, Table, Tabular

__all__ = ["SORTS", "Row", "Summary", "SummaryOptions", "Totals", "summarize"]


@dataclass(frozen=True, repr=False)
class Summary(Tabular):
    """A model as rows and totals. ``print`` shows its table.

    Attributes:
        model: the model's name, source, class and weights.
        trace: how it was run.
        rows: layers in the order of the run with subtotals, then unused layers, then the sums.
        shown: the rows of the table, in which one stands for many equal parts that run side by side.
        totals: sums over the whole model.
        structure: what the rows are taken from, if they are stages.
    """

    model: ModelInfo
    trace: TraceInfo
    rows: tuple[Row, ...]
    totals: Totals
    structure: Structure | None = None
    shown: tuple[Row, ...] = ()

    @property
    def table(self) -> Table:
        """Return the table for people."""
        return self._table(self.shown or self.rows)

    def tables(self, form: str = "table") -> tuple[Table, ...]:
        """Return the one table that a form shows its own columns of; programs get all rows."""
        return (self._table(self.rows) if form in PROGRAMS else self.table,)

    def _table(self, rows: Sequence[Row]) -> Table:
        table = tabulated(self.model, self.trace, rows, self.totals)
        return table if self.structure is None else by_stage(table, notes_on(self.structure))

    def __repr__(self) -> str:
        counts = f"{units.quantity(len(self.rows), 'row')}, {units.quantity(self.totals.params, 'parameter')}"
        return f"<Summary {shown(printable(self.model.name))}: {counts}, {units.macs(self.totals.macs)}>"


_DEFAULTS = SummaryOptions()


def summarize(graph: ArchGraph, options: SummaryOptions = _DEFAULTS) -> Summary:
    """Show which layer owns which parameters, and what it computes.

    Rows always add up to the totals: each parameter counts in one row, the first that reads it, and so does each
    operation with MACs.

    Raises:
        UsageError: rows are to be sorted by time, and the run was not timed; or options do not go together.

    >>> from fxviz._graph import ModelInfo, Node, Parameter, Scope, TensorInfo, TraceInfo
    >>> fc = Node("fc", "module", "Linear", "fc", uses=("fc.weight",), params=16, macs=16)
    >>> summary = summarize(ArchGraph(
    ...     ModelInfo("tiny", "python", "Tiny"), TraceInfo("meta", "fake", {}, "2.4.0", None), (fc,), (),
    ...     (Scope(0, "", "Tiny", 0, None),), (Parameter("fc.weight", (4, 4), "float32", True),),
    ... ))
    >>> [(row.kind, row.name, row.params, row.share) for row in summary.rows]
    [('layer', 'fc', 16, 1.0), ('total', 'TOTAL', 16, 1.0)]
    """
    if options.sort == "time" and graph.total_time is None:
        timed = spelled("fxviz.trace(model, time=True, device='cpu')", "--time --device cpu")
        raise UsageError(f"cannot sort by time: this run was not timed; {timed} measures it")
    structure = structure_of(graph) if options.by == "stage" else None
    if structure is None:
        (used, rest), unused = used_layers(graph, options.all), unused_layers(graph)
    else:
        _check_stages(options)
        (used, rest), unused = (rows_by_stage(graph, structure), ()), unused_layers(graph)
    if options.depth is not None:
        used, unused = to_depth(used, graph, options.depth), to_depth(unused, graph, options.depth)
    layers = _linked(used)

    def arranged(layers: Sequence[Row]) -> tuple[Row, ...]:
        ordered = (*_shown(layers, options), *_shown(unused, options))
        rows = _with_rest((*ordered, *_sums(used, unused)), rest)
        return tuple(_with_shares(rows, graph.traced_params))

    shown = () if (folded := fold_parallel(graph, layers)) == layers else arranged(folded)
    totals = _totals(graph, _outside(rest, used))
    return Summary(graph.model, graph.trace, arranged(layers), totals, structure, shown)


def _check_stages(options: SummaryOptions) -> None:
    """Refuse options that choose layers."""
    for name, value in (("depth", options.depth), ("all", options.all or None)):
        if value is not None:
            flag, by = spelled(name, f"--{name}"), spelled("by='stage'", "--by stage")
            raise UsageError(f"{flag} chooses layers, and {by} shows stages: leave out one of them")


def _linked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Name the rows where shared parameters count."""
    homes = {parameter.name: row.name for row in rows for parameter in row.parameters}
    shared = ([homes[parameter.name] for parameter in row.shared if parameter.name in homes] for row in rows)
    return tuple(replace(row, shared_with=tuple(dict.fromkeys(names))) for row, names in zip(rows, shared, strict=True))


def _shown(rows: Sequence[Row], options: SummaryOptions) -> tuple[Row, ...]:
    if options.by == "stage" and options.sort is None and options.top is None:
        return tuple(rows)
    if options.sort is None and options.top is None:
        return with_subtotals(rows)
    return in_order(rows, options)


def _sums(used: Sequence[Row], unused: Sequence[Row]) -> Iterable[Row]:
    if unused:
        yield summed("used", "used", used)
        yield summed("unused", "unused", unused, used=False)
    yield summed("total", "TOTAL", (*used, *unused))


def _outside(steps: Iterable[Node], rows: Iterable[Row]) -> tuple[Node, ...]:
    """Return the steps outside of all modules that are one row each."""
    modules = {row.name for row in rows if row.kind == "module"}
    return tuple(node for node in steps if modules.isdisjoint((node.path, *above(node.path))))


def _with_rest(rows: Iterable[Row], rest: Sequence[Node]) -> Iterator[Row]:
    """Add the times of steps without a row (additions, activations unless asked for) to modules and sums."""
    times: dict[str, float] = defaultdict(float)
    for node in rest:
        for path in (node.path, *above(node.path)):
            times[path] += node.time or 0
    for row in rows:
        path = "" if row.kind in ("used", "total") else row.name
        whole = row.used and (row.is_sum or row.kind == "module")
        yield replace(row, time=(row.time or 0) + times[path]) if whole and times.get(path) else row


def _with_shares(rows: Iterable[Row], whole: int) -> Iterable[Row]:
    """Add to rows their share of the parameters that the run uses, where they are a part of these."""
    for row in rows:
        yield replace(row, share=row.params / whole) if _is_part(row, whole) else row


def _is_part(row: Row, whole: int) -> bool:
    """Return whether a row is a part of what the run uses; the total is not, where the run does not use all."""
    return row.used and whole > 0 and row.params <= whole


def _totals(graph: ArchGraph, without_row: Sequence[Node]) -> Totals:
    sizes: dict[str, int] = defaultdict(int)
    for parameter in graph.parameters:
        sizes[parameter.dtype] += size_of(TensorInfo(parameter.shape, parameter.dtype))
    return Totals(
        graph.total_params,
        graph.traced_params,
        graph.trainable_params,
        graph.total_buffers,
        graph.total_macs,
        graph.unknown_macs,
        dict(sizes),
        graph.total_time,
        summed_times(node.time for node in without_row),
        graph.active_params,
    )
