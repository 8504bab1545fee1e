"""Define what a figure shows: rows in cards, cards in frames, skips and flows between rows.

Folding makes a view and a style draws it; nothing here knows of colours, sizes or words. Every node of the graph
belongs to at most one row; nodes in repetitions that are not drawn belong to the row of their counterpart, and
``times`` counts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from fxviz._analysis.difference import ChangeKind, Difference, Tally
from fxviz._graph import ArchGraph, Node, Scope, SkipKind, TensorInfo

ViewStyle = Literal["ledger", "graph"]
"""A style that was chosen, "auto" left behind."""

RowKind = Literal[
    "layer", "block", "chain", "join", "projection", "token", "code", "removed", "layers", "blocks", "failed", "plain"
]

Rail = Literal["", "branch", "branch on"]

Repeats = Literal["chain", "shared", "parallel", "calls"]
"""Kinds of repetition: each reads the one before, all read the same, or all call the same modules."""

Mark = Literal[ChangeKind, "mixed"]
"""The change of a row; "mixed" if only parts of its layer differ."""


@dataclass(frozen=True)
class Altered:
    """A step that differs from another model: how it changed, and the step ``before`` if there was one."""

    kind: ChangeKind
    node: Node
    before: Node | None = None


@dataclass(frozen=True)
class Change:
    """The change of a row from the other model.

    Attributes:
        mark: the change of the row's layer, or of all its layers: one of ``difference.KINDS``; "mixed" if only parts of
            it differ, such as a norm behind the layer.
        parts: the steps that differ, in one repetition.
        tally: the number of layers by change, in one repetition.
        of: the number of layers in one repetition, those that were removed included.
        was: the figure's metric in the other model, all repetitions.
    """

    mark: Mark
    parts: tuple[Altered, ...] = ()
    tally: Tally = field(default_factory=lambda: Tally({}, "layer"))
    of: int = 0
    was: float = 0


@dataclass(frozen=True)
class Row:
    """One line of the figure.

    Attributes:
        id: place in the figure, from 0.
        kind: "layer", "block" (a whole module), "chain" (one of several parallel branches), "join" (a residual add or
            concat), "projection" (the layer on a skip), "token" (a parameter of its own, such as a position embedding),
            "code" (consecutive functions), "removed" (layers of another model), "layers" and "blocks" (``count``
            consecutive ones), "failed" (the operation that raised), "plain".
        heads: the nodes that the row is named after.
        before: norm and activation in front of a layer, fused into its row.
        after: norm, activation and scale behind it.
        scope: the module, if the row is a block.
        word: what the module is in the words of the field, if there are any: "Attention 12×64".
        path: dotted path of the module or function.
        output: the tensor that leaves the row.
        params: scalars in its parameters, one repetition.
        total: the figure's metric (parameters, unless another is asked for), all repetitions.
        times: how many repetitions the row stands for.
        own_times: how many of these are its own, not those of frames around it.
        repeats: the kind of its own repetition.
        span: first and last path, if the row itself is repeated or stands for several modules.
        count: the number of layers or blocks, if it is a row of several.
        skips: skips inside the row by kind, one repetition.
        branches: parallel branches inside the row; 0 if there are none.
        rail: "branch" where one of several parallel branches starts, "branch on" where it goes on, else "".
        concat: its input is kept beside its output, for a concatenation further down (a dense block).
        shared: all parameters of its layer, without what is fused to it, are counted in an earlier row.
        lists: the steps in the row's module, if that is a mere list: named modules, and layers that are steps.
        alike: the number of blocks of one class and structure, but of different sizes; 0 if it is no such row.
        counted: how many of the repetitions count in ``total``; the others call the same modules again, whose
            parameters are counted already. None for all of them.
        merges: branches meet in it, and it has none of the metric: a residual add, a sum, a product, a concatenation.
        change: how it differs from the other model; None if it does not.
    """

    id: int
    kind: RowKind
    heads: tuple[Node, ...]
    path: str
    output: TensorInfo | None
    params: int = 0
    total: float = 0
    before: tuple[Node, ...] = ()
    after: tuple[Node, ...] = ()
    scope: Scope | None = None
    word: str = ""
    times: int = 1
    own_times: int = 1
    repeats: Repeats = "chain"
    span: tuple[str, str] | None = None
    count: int = 0
    skips: Mapping[SkipKind, int] = field(default_factory=dict)
    branches: int = 0
    rail: Rail = ""
    concat: bool = False
    shared: bool = False
    lists: tuple[Scope | Node, ...] = ()
    alike: int = 0
    counted: int | None = None
    merges: bool = False
    change: Change | None = None

    @property
    def is_several(self) -> bool:
        """Return whether it stands for several layers, or for what is in a module."""
        return self.kind in ("block", "blocks", "layers") or len(self.heads) != 1

    @property
    def keeps_layer(self) -> bool:
        """Return whether its one layer is unchanged, although what is fused to it may differ."""
        return self.change is None or (self.change.mark == "mixed" and not self.is_several)

    @property
    def differs(self) -> bool:
        """Return whether layers that changed have or had any of the metric."""
        return not self.keeps_layer and bool(self.total or (self.change and self.change.was))

    @property
    def amount(self) -> float:
        """Return the figure's metric in one of the repetitions that count."""
        return self.total / (self.counted or self.times)


@dataclass(frozen=True)
class Heading:
    """The label of a frame or card.

    Attributes:
        path, class_name: those of the module.
        total: the metric's amount in all repetitions.
        times: number of repetitions that it counts.
        skips: the skips inside by kind.
        missing: why the total is less than the module's, such as "call 2 of 3" or "without embed_tokens"; else "".
    """

    path: str
    class_name: str
    total: float
    times: int = 1
    skips: Mapping[SkipKind, int] = field(default_factory=dict)
    missing: str = ""


@dataclass(frozen=True)
class Card:
    """Consecutive rows. ``heading`` is set when the card stands for a whole module."""

    rows: tuple[Row, ...]
    heading: Heading | None = None


@dataclass(frozen=True)
class Stage:
    """A frame around the cards of one module."""

    heading: Heading
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Repeat:
    """A frame around one repetition of ``times`` identical ones; ``span``: paths of the first and the last module.

    ``kind``: "chain", "shared", "parallel" or "calls".
    """

    times: int
    span: tuple[str, str]
    items: tuple[Item, ...]
    kind: Repeats = "chain"


Item = Card | Stage | Repeat

INPUT, OUTPUT = -1, -2
"""Ids of the input and the output among those of rows."""


@dataclass(frozen=True)
class Arc:
    """A skip from the row ``tail`` (or the input) to the row ``head``."""

    kind: SkipKind
    tail: int
    head: int


@dataclass(frozen=True)
class Flow:
    """Data flow from row to row past others that is no skip."""

    tail: int
    head: int


@dataclass(frozen=True)
class Part:
    """A piece of the model for the overview strip: a stage, a lone row, or blocks or layers up to the path ``last``.

    ``differs``: some layer in it differs from the other model. ``missing``: as in its heading.
    """

    path: str
    total: float
    times: int = 1
    last: str | None = None
    differs: bool = False
    missing: str = ""


@dataclass(frozen=True)
class View:
    """A figure's content, top to bottom.

    Attributes:
        edges: all data flow between rows, drawn or not.
        ways: the edges with a line for each of several repetitions of the tail, which the head reads; their number.
        metric: the metric of all totals.
        style: the style that it was folded for.
        trunk: the edges to be kept straight: through the middle one of several branches between rows that all paths
            pass.
        difference: how the model differs from another one; None for a figure of one model.
    """

    graph: ArchGraph
    items: tuple[Item, ...]
    arcs: tuple[Arc, ...]
    flows: tuple[Flow, ...]
    parts: tuple[Part, ...]
    edges: frozenset[tuple[int, int]] = frozenset()
    ways: Mapping[tuple[int, int], int] = field(default_factory=dict)
    metric: str = "params"
    style: ViewStyle = "ledger"
    trunk: frozenset[tuple[int, int]] = frozenset()
    difference: Difference | None = None

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for card in self.cards for row in card.rows)

    @cached_property
    def total(self) -> float:
        """Return the metric's total over all rows."""
        return sum(row.total for row in self.rows)

    @cached_property
    def cards(self) -> tuple[Card, ...]:
        return tuple(cards_in(self.items))

    @cached_property
    def lines(self) -> float:
        """Return the height of a ledger in rows.

        Header, input and output take 7.8, the space between cards 0.9, a frame 2, a card's heading 1.3.
        """
        frames = sum(1 for _ in _frames_in(self.items))
        headings = sum(card.heading is not None for card in self.cards)
        return 7.8 + len(self.rows) + 0.9 * len(self.cards) + 2 * frames + 1.3 * headings

    @cached_property
    def tall(self) -> float:
        """Return the estimated height of a graph in points: that of its longest path.

        Header and ends take 130, a card with a share 44, without 24, a merge 22, a frame on the path 32.
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
        """Return the estimated width of a graph in points: 130 for each row of the widest rank."""
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
    """Yield the cards in a list of items, top to bottom."""
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
    """Yield each row's id with the frames around it; a card's heading is a frame, too."""
    for item in items:
        if isinstance(item, Card):
            around = (*frames, id(item)) if item.heading else frames
            yield from ((row.id, around) for row in item.rows)
        else:
            yield from _framed_rows(item.items, (*frames, id(item)))


def _height(row: Row) -> float:
    return 22 if row.merges else 44 if row.total or row.shared or row.kind == "block" else 24
