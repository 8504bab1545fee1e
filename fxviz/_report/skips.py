"""List the skip connections of a graph: where each starts and ends, what it jumps over, and what stands on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from fxviz._analysis.facts import Kind as LayerKind
from fxviz._analysis.facts import Layer
from fxviz._analysis.layers import layers_of
from fxviz._graph import SKIP_KINDS, ArchGraph, ModelInfo, Node, Skip, SkipKind, units
from fxviz._graph.errors import UsageError, printable, shown, spelled
from fxviz._graph.operations import is_activation, is_norm, name_of
from fxviz._graph.options import check_choice
from fxviz._render import ranges, wording
from fxviz._report import in_words
from fxviz._report.tables import PEOPLE, PROGRAMS, Column, Line, Table, Tabular

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

_NOUNS: dict[LayerKind, str] = {
    "convolution": "convolution",
    "linear": "linear layer",
    "attention": "attention layer",
    "recurrent": "recurrent layer",
    "embedding": "embedding",
}
"""The kinds of layers that are counted; norms and single parameters are not."""

_MANY = 3
"""So many equal skips, one after the other, are one line for people."""


@dataclass(frozen=True)
class SkipRow:
    """A skip connection.

    Attributes:
        kind: "identity", "projection", "resample", "concat" or "gate".
        block: path of the smallest module that holds what is jumped over; "" for the model itself.
        start, end: paths of the steps at its two ends; of a function with its name: "layer1.0 add".
        fork, join: ids of these nodes in the graph.
        start_shape: sizes of the tensor at its start, with the batch.
        shape: sizes of the tensor as it reaches the end.
        over: the layers that it jumps over, by kind: ``{"convolution": 2}``. For a gate those that compute the factor.
        params: scalars in the parameters that it jumps over, with those of norms.
        through: what stands on it, in words: ("Conv 1×1 64→128 /2", "BN"); () for nothing.
        through_params: scalars in the parameters on it.
    """

    kind: SkipKind
    block: str
    start: str
    end: str
    fork: str
    join: str
    start_shape: tuple[int, ...]
    shape: tuple[int, ...]
    over: Mapping[LayerKind, int]
    params: int
    through: tuple[str, ...]
    through_params: int

    @property
    def changes_resolution(self) -> bool:
        """Return whether the sizes beside batch and channels are others at its end."""
        return self.start_shape[2:] != self.shape[2:]

    @property
    def layers(self) -> int:
        """Return the number of layers that it jumps over."""
        return sum(self.over.values())


@dataclass(frozen=True, repr=False)
class Skips(Tabular):
    """The skip connections of a model, in the order of the joins. ``print`` shows a line for each.

    Attributes:
        model: the model's name, source, class and weights.
        rows: the skips.
    """

    model: ModelInfo
    rows: tuple[SkipRow, ...]

    def __repr__(self) -> str:
        return f"<Skips of {shown(printable(self.model.name))}: {in_words(self.counts)}>"

    @property
    def counts(self) -> Mapping[SkipKind, int]:
        """Return the number of skips by kind."""
        return {kind: sum(row.kind == kind for row in self.rows) for kind in SKIP_KINDS}

    def tables(self, form: str = "table") -> tuple[Table, ...]:
        """Return the one table; people get one line for three or more equal skips in a row."""
        groups = [[row] for row in self.rows] if form in PROGRAMS else list(_folded(self.rows))
        lines = tuple(Line(tuple(of(group) for _, of in _COLUMNS)) for group in groups)
        name = self.model.name
        title = f"{name}: {in_words(self.counts)}"
        facts = {"model": name, "counts": dict(self.counts)}
        return (Table(title, tuple(column for column, _ in _COLUMNS), lines, tuple(_notes(self.rows)), facts),)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the rows as a pandas DataFrame, with the columns of the CSV form.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError:
            raise UsageError("a DataFrame needs pandas: pip install pandas") from None
        columns = [(column.key, of) for column, of in _COLUMNS if "csv" in column.forms]
        return DataFrame({key: [of([row]) for row in self.rows] for key, of in columns})


def skips_of(graph: ArchGraph, kind: str | None = None) -> Skips:
    """List the skip connections of a graph, or those of one kind.

    Raises:
        UsageError: there is no such kind.
    """
    check_kind(kind)
    layers = {name: layer for layer in layers_of(graph, {}) for name in layer.calls}
    rows = (_row(graph, skip, layers) for skip in graph.skips if kind in (None, skip.kind))
    return Skips(graph.model, tuple(rows))


def check_kind(kind: str | None) -> None:
    """Raise an error for an unknown kind.

    >>> check_kind("residual")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid kind 'residual': choose identity, projection, resample, concat or gate
    """
    if kind is not None:
        check_choice(spelled("kind", "--kind"), kind, tuple(SKIP_KINDS))


def _row(graph: ArchGraph, skip: Skip, layers: Mapping[str, Layer]) -> SkipRow:
    index = graph.index
    body = [name for name in index.between(skip.fork, skip.join) if name not in skip.through]
    jumped = {layers[name].path: layers[name] for name in body if name in layers}
    on_it = {layers[name].path: layers[name] for name in skip.through if name in layers}
    calls = {graph.by_id[name].scope for name in (*body, skip.join)}
    arriving = graph.by_id[skip.through[-1] if skip.through else skip.fork]
    counts = Counter(layer.kind for layer in jumped.values() if layer.kind in _NOUNS)
    return SkipRow(
        kind=skip.kind,
        block=index.around_all(calls).path,
        start=_place(graph.by_id[skip.fork]),
        end=_place(graph.by_id[skip.join]),
        fork=skip.fork,
        join=skip.join,
        start_shape=_sizes(graph.by_id[skip.fork]),
        shape=_sizes(arriving),
        over={kind: counts[kind] for kind in _NOUNS if counts[kind]},
        params=sum(layer.params for layer in jumped.values()),
        through=tuple(_words(graph.by_id[name]) for name in skip.through),
        through_params=sum(layer.params for layer in on_it.values()),
    )


def _place(node: Node) -> str:
    """Return where a step stands: a module's path, or of a function that of its module with its name."""
    if node.kind == "module":
        return node.path
    return node.id if node.kind == "input" else " ".join(filter(None, (node.path, name_of(node))))


def _sizes(node: Node) -> tuple[int, ...]:
    return node.outputs[0].shape if node.outputs else ()


def _words(node: Node) -> str:
    return wording.tag(node) if is_norm(node) or is_activation(node) else wording.layer(node)


# -------------------------------------------------------------------- the table


def _folded(rows: Sequence[SkipRow]) -> Iterator[list[SkipRow]]:
    """Yield the rows, many equal ones that follow one another together."""
    for _, group in groupby(rows, key=_likeness):
        found = list(group)
        yield from [found] if len(found) >= _MANY else [[row] for row in found]


def _likeness(row: SkipRow) -> object:
    jumped, on_it = (tuple(row.over.items()), row.params), (row.through, row.through_params)
    return row.kind, row.start_shape, row.shape, jumped, on_it, row.block.count(".")


def _span(rows: Sequence[SkipRow], path: str) -> str:
    first, last = getattr(rows[0], path), getattr(rows[-1], path)
    return first if len(rows) == 1 or first == last else ranges.span(first, last, "")


def _shapes(row: SkipRow) -> str:
    """Return the sizes that are carried, without the batch; both where they differ at the two ends."""
    start, end = units.shape(row.start_shape[1:]), units.shape(row.shape[1:])
    return start if start == end else f"{start} → {end}"


def _over(row: SkipRow) -> str:
    return ", ".join(units.quantity(count, _NOUNS[kind]) for kind, count in row.over.items()) or "no layer"


def _amount(count: int | None) -> str:
    return units.count(count) if count else ""


_COLUMNS: tuple[tuple[Column, Callable[[Sequence[SkipRow]], Any]], ...] = (
    (Column("kind", "kind"), lambda rows: rows[0].kind),
    (Column("block", "block", path=True), lambda rows: _span(rows, "block") or None),
    (Column("times", "×", str, right=True, forms=PEOPLE), lambda rows: len(rows) if len(rows) > 1 else None),
    (Column("start", "from", path=True, elastic=True, rank=2), lambda rows: _span(rows, "start")),
    (Column("end", "to", path=True, elastic=True, rank=3), lambda rows: _span(rows, "end")),
    (Column("shape", "shape", forms=PEOPLE), lambda rows: _shapes(rows[0])),
    (Column("over", "over", forms=PEOPLE), lambda rows: _over(rows[0])),
    (Column("start_shape", "shape at its start", forms=PROGRAMS), lambda rows: list(rows[0].start_shape)),
    (Column("end_shape", "shape at its end", forms=PROGRAMS), lambda rows: list(rows[0].shape)),
    (Column("changes_resolution", "", forms=PROGRAMS), lambda rows: rows[0].changes_resolution),
    (Column("layers", "layers", forms=PROGRAMS), lambda rows: rows[0].layers),
    (Column("params", "parameters", _amount, right=True), lambda rows: rows[0].params),
    (Column("on_skip", "on the skip"), lambda rows: ", ".join(rows[0].through) or None),
    (Column("on_skip_params", "parameters", _amount, right=True), lambda rows: rows[0].through_params),
    (Column("fork", "", forms=PROGRAMS), lambda rows: rows[0].fork),
    (Column("join", "", forms=PROGRAMS), lambda rows: rows[0].join),
)


def _notes(rows: Sequence[SkipRow]) -> Iterator[str]:
    changing = list(dict.fromkeys(row.block or row.end for row in rows if row.changes_resolution))
    if changing:
        yield f"The resolution changes on the way in {', '.join(changing)}."
    if on_them := sum(row.through_params for row in rows):
        yield f"On the skips stand {on_them:,} parameters."
