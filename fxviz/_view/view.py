"""What a figure shows: rows in cards, cards in frames, skips and flows between rows. Folding makes it, a style draws it.

Nothing here knows of colours, sizes or words. Every node of the graph belongs to at most one row; nodes in repetitions that
are not drawn belong to the row of their counterpart, and ``times`` counts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from fxviz._analysis.difference import Difference, Tally
from fxviz._graph import ArchGraph, Node, Scope, TensorInfo


@dataclass(frozen=True)
class Altered:
    """A step that differs from another model's: what became of it, and what it was ``before`` if it was there."""

    kind: str
    node: Node
    before: Node | None = None


@dataclass(frozen=True)
class Change:
    """How a row differs from the other model.

    Attributes:
        mark: what became of the row's layer, or of all layers if it stands for several: one of ``difference.KINDS``; "mixed"
            if only parts of it differ, such as a norm behind the layer.
        parts: the steps that differ, in one repetition.
        tally: how many layers became what, in one repetition.
        of: how many of these there are in one repetition, those that were removed included.
        was: the figure's metric in the other model, all repetitions.
    """

    mark: str
    parts: tuple[Altered, ...] = ()
    tally: Tally = field(default_factory=lambda: Tally({}, "layer"))
    of: int = 0
    was: float = 0


@dataclass(frozen=True)
class Row:
    """One line of the figure.

    Attributes:
        id: place in the figure, from 0.
        kind: "layer", "block" (a whole module), "chain" (one of several parallel branches), "join" (a residual add or concat),
            "projection" (the layer on a skip), "token" (a parameter of its own, such as a position embedding), "code"
            (functions that follow each other), "removed" (what another model had), "layers" and "blocks" (``count`` of them
            that follow each other), "failed" (the operation that raised), "plain".
        heads: the nodes that the row is named after.
        before: norm and activation in front of a layer, fused into its row.
        after: norm, activation and scale behind it.
        scope: the module, if the row is a block.
        path: dotted path of what the row shows.
        output: the tensor that leaves the row.
        params: scalars in its parameters, one repetition.
        total: the figure's metric (parameters, unless another is asked for), all repetitions.
        times: how many repetitions the row stands for.
        span: first and last path, if the row itself is repeated or stands for several.
        count: how many layers or blocks it stands for, if it is a row of several.
        skips: skips inside the row by kind, one repetition.
        branches: parallel branches inside the row; 0 if there are none.
        rail: "branch" where one of several parallel branches starts, "branch on" where it goes on, else "".
        concat: its input goes on beside its output, for a concatenation further down (a dense block).
        shared: its layer (what is fused to it left aside) reads parameters, all of which are counted in an earlier row.
        alike: how many blocks of one class and structure, but of other sizes, the row stands for; 0 if it is no such row.
        counted: how many of the repetitions count in ``total``; the others call the same modules again, and so read parameters
            that are counted already. None for all of them.
        merges: ways meet in it, and it has none of the metric: a residual add, a sum, a product, a concatenation.
        change: how it differs from the model that the view's is compared with; None if it does not.
    """

    id: int
    kind: str
    heads: tuple[Node, ...]
    path: str
    output: TensorInfo | None
    params: int
    total: float
    before: tuple[Node, ...] = ()
    after: tuple[Node, ...] = ()
    scope: Scope | None = None
    times: int = 1
    span: tuple[str, str] | None = None
    count: int = 0
    skips: Mapping[str, int] = field(default_factory=dict)
    branches: int = 0
    rail: str = ""
    concat: bool = False
    shared: bool = False
    alike: int = 0
    counted: int | None = None
    merges: bool = False
    change: Change | None = None

    @property
    def is_several(self) -> bool:
        """Whether it stands for several layers, or for what is in a module."""
        return self.kind in ("block", "blocks", "layers") or len(self.heads) != 1

    @property
    def keeps_layer(self) -> bool:
        """Whether its one layer is as it was in the other model, although what is fused to it may differ."""
        return self.change is None or (self.change.mark == "mixed" and not self.is_several)

    @property
    def differs(self) -> bool:
        """Whether it has or had any of the metric in layers that are not as they were in the other model."""
        return not self.keeps_layer and bool(self.total or (self.change and self.change.was))

    @property
    def amount(self) -> float:
        """The figure's metric, one of the repetitions that count."""
        return self.total / (self.counted or self.times)


@dataclass(frozen=True)
class Heading:
    """The name over a frame or card: the module's path and class, the metric's total and the skips inside by kind."""

    path: str
    class_name: str
    total: float
    skips: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """Rows that follow each other. ``heading`` is set when the card stands for a module on its own."""

    rows: tuple[Row, ...]
    heading: Heading | None = None


@dataclass(frozen=True)
class Stage:
    """A frame around the cards of one module."""

    heading: Heading
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Repeat:
    """A frame around one repetition of ``times`` identical ones; ``span``: paths of the first and the last module."""

    times: int
    span: tuple[str, str]
    items: tuple[Item, ...]


Item = Card | Stage | Repeat

INPUT, OUTPUT = -1, -2
"""Ids that stand for the input and the output where a row's id is meant."""


@dataclass(frozen=True)
class Arc:
    """A skip from the row ``tail`` (or the input) to the row ``head``."""

    kind: str
    tail: int
    head: int


@dataclass(frozen=True)
class Flow:
    """Data that goes from row to row past others and is no skip."""

    tail: int
    head: int


@dataclass(frozen=True)
class Part:
    """A piece of the model for the overview strip: a stage, a lone row, or blocks or layers up to the path ``last``.

    ``differs``: some layer in it is not as in the other model.
    """

    path: str
    total: float
    times: int = 1
    last: str | None = None
    differs: bool = False


@dataclass(frozen=True)
class View:
    """A figure's content, top to bottom.

    Attributes:
        edges: all data flow between rows, drawn or not.
        metric: what totals count.
        style: "ledger" or "graph".
        trunk: the edges to be kept straight: through the middle one of several ways, wherever all ways lead together.
        difference: to what the model is compared; None for a figure of one model.
    """

    graph: ArchGraph
    items: tuple[Item, ...]
    arcs: tuple[Arc, ...]
    flows: tuple[Flow, ...]
    parts: tuple[Part, ...]
    edges: frozenset[tuple[int, int]] = frozenset()
    metric: str = "params"
    style: str = "ledger"
    trunk: frozenset[tuple[int, int]] = frozenset()
    difference: Difference | None = None

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for card in self.cards for row in card.rows)

    @cached_property
    def total(self) -> float:
        """The metric's total over all rows."""
        return sum(row.total for row in self.rows)

    @cached_property
    def cards(self) -> tuple[Card, ...]:
        return tuple(cards_in(self.items))

    @cached_property
    def lines(self) -> float:
        """Height in rows: header, input and output take 7.8, the space between cards 0.9, a frame 2, a card's heading 1.3."""
        frames = sum(1 for _ in _frames_in(self.items))
        headings = sum(card.heading is not None for card in self.cards)
        return 7.8 + len(self.rows) + 0.9 * len(self.cards) + 2 * frames + 1.3 * headings

    @cached_property
    def tall(self) -> float:
        """Height in points where rows are cards of their own and ways stand side by side: that of the longest way.

        Header and ends take 130, a card with a share 44, without 24, a merge 22, a frame on the way 32.
        """
        frames = dict(_framed_rows(self.items, ()))
        bottom: dict[int, float] = {}
        for row in self.rows:
            above = [source for source in self._sources[row.id] if source >= 0]
            tops = [bottom[source] + 32 * len(set(frames[row.id]) - set(frames[source])) for source in above]
            bottom[row.id] = max(tops, default=32.0 * len(frames[row.id])) + _height(row)
        return 130 + max(bottom.values(), default=0)

    @cached_property
    def wide(self) -> float:
        """Width in points where ways stand side by side: 130 for each of the most rows that have equally many above them."""
        ranks: dict[int, int] = {}
        for row in self.rows:
            ranks[row.id] = 1 + max((ranks[source] for source in self._sources[row.id] if source >= 0), default=0)
        return 130 * max(Counter(ranks.values()).values(), default=0)

    @cached_property
    def _sources(self) -> dict[int, list[int]]:
        sources: dict[int, list[int]] = {row.id: [] for row in self.rows}
        for tail, head in self.edges:
            if head >= 0:
                sources[head].append(tail)
        return sources


def cards_in(items: tuple[Item, ...]) -> Iterator[Card]:
    """The cards in a list of items, top to bottom."""
    for item in items:
        if isinstance(item, Card):
            yield item
        else:
            yield from cards_in(item.items)


def _frames_in(items: tuple[Item, ...]) -> Iterator[Item]:
    for item in items:
        if not isinstance(item, Card):
            yield item
            yield from _frames_in(item.items)


def _framed_rows(items: tuple[Item, ...], frames: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Each row's id with the frames around it; a card's heading is a frame, too."""
    for item in items:
        if isinstance(item, Card):
            around = (*frames, id(item)) if item.heading else frames
            yield from ((row.id, around) for row in item.rows)
        else:
            yield from _framed_rows(item.items, (*frames, id(item)))


def _height(row: Row) -> float:
    return 22 if row.merges else 44 if row.total or row.shared or row.kind == "block" else 24
