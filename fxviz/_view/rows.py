"""From steps to rows: norm, activation and scale join their layer, what no author would draw is absorbed.

Every node ends in exactly one row, or with the input or output; so parameters add up and no edge is lost.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import prod

from fxviz._analysis.difference import Removed
from fxviz._graph import Node, Skip, TensorInfo
from fxviz._graph.operations import (
    flattens,
    is_activation,
    is_heavy,
    is_norm,
    is_passing,
    is_scaling,
    is_view,
    plain_name,
)
from fxviz._view.marks import is_marked
from fxviz._view.outline import Outline
from fxviz._view.plan import Place, Plan, Step
from fxviz._view.view import INPUT, OUTPUT


@dataclass(eq=False)
class Draft:
    """A row in the making.

    ``tail`` is the node whose result leaves the row, None once it is used inside and outside; ``counts`` is how many nodes add
    to its total. Against another model, ``lost`` is what was removed inside (or is the row), ``was`` the total that it had; a
    removed one that ``leads`` belongs to the row below it.
    """

    kind: str
    heads: list[Node]
    nodes: list[str]
    places: tuple[Place, ...]
    tail: str | None
    path: str
    output: TensorInfo | None
    before: list[Node] = field(default_factory=list)
    after: list[Node] = field(default_factory=list)
    scope: int | None = None
    times: int = 1
    span: tuple[str, str] | None = None
    repeated: tuple[str, ...] = ()
    calls: tuple[int, ...] = ()
    count: int = 0
    alike: int = 0
    skips: Counter[str] = field(default_factory=Counter)
    branches: int = 0
    rail: str = ""
    concat: bool = False
    id: int = 0
    total: float = 0
    counts: int = 0
    lost: list[Removed] = field(default_factory=list)
    was: float = 0
    leads: bool = False

    @property
    def is_code(self) -> bool:
        """A mere function of the model's code: no layer, no skip."""
        return self.kind == "code" or (self.kind == "plain" and all(head.kind != "module" for head in self.heads))

    @property
    def hides(self) -> bool:
        """Whether it stands for whole modules or several layers, with the skips inside."""
        return self.kind in ("block", "blocks", "layers")


@dataclass
class Drafts:
    """The rows in order, and for each node that is drawn the row it belongs to (or ``INPUT``, ``OUTPUT``)."""

    rows: list[Draft]
    row_of: dict[str, Draft | int]
    stands_for: dict[str, str]

    def row(self, node: str) -> Draft | int:
        """The row that shows a node, or shows its counterpart if the node is in a repetition that is not drawn."""
        return self.row_of[shown(node, self.stands_for)]

    def absorb(self, row: Draft, other: Draft) -> None:
        """Make ``other``, which follows ``row``, a part of it."""
        row.nodes += other.nodes
        row.tail = other.tail
        self.row_of.update(dict.fromkeys(other.nodes, row))
        self.rows.remove(other)

    def number(self) -> None:
        """Give every row its place as id."""
        for place, row in enumerate(self.rows):
            row.id = place


def repetitions(row: Draft) -> int:
    """How often a row stands for what it shows: its own repetitions, in those of the frames around it."""
    return row.times * prod(place.run.times for place in row.places if place.run)


def shown(node: str, stands_for: dict[str, str]) -> str:
    """The node that is drawn for ``node``: itself, or its counterpart in the repetition that is drawn."""
    while node in stands_for:
        node = stands_for[node]
    return node


def _last(rows: list[Draft], row: Draft) -> int:
    """The place of a row that is near the end."""
    return next(place for place in range(len(rows) - 1, -1, -1) if rows[place] is row)


def draft(outline: Outline, plan: Plan) -> Drafts:
    """The rows of a plan."""
    fuser = _Fuser(outline, plan.stands_for)
    for step in plan.steps:
        fuser.add(step)
    fuser.settle()
    drafts = Drafts(fuser.rows, fuser.row_of, plan.stands_for)
    drafts.number()
    return drafts


class _Fuser:
    """Takes the steps one by one and decides for each: a new row, a part of one, or nothing to draw."""

    def __init__(self, outline: Outline, stands_for: dict[str, str]) -> None:
        self.outline = outline
        self.stands_for = stands_for
        self.rows: list[Draft] = []
        self.row_of: dict[str, Draft | int] = {}
        self.loose: dict[str, list[str]] = {}
        self.joins: dict[str, Skip] = {skip.join: skip for skip in outline.graph.skips}

    # ---------------------------------------------------------------- one step

    def add(self, step: Step) -> None:
        if step.scope is not None or step.times > 1:
            self._add_block(step)
            return
        node = self.outline.node(step.nodes[0])
        sources = self._rows_read(step)
        if node.kind == "input":
            self.row_of[node.id] = INPUT
        elif node.kind == "output":
            self.row_of[node.id] = OUTPUT
        elif node.id == self.outline.failed:
            self._add_failed(step, node)
        elif not sources:
            self._keep_loose(step)
        elif self._is_hidden(node, sources) and not (sources == [INPUT] and is_marked(self.outline, node)):
            self._absorb(node, sources)
        elif not self._fuse_back(step, node, sources):
            self._new_row(step, node, sources)

    def settle(self) -> None:
        """What no row read stays with the last row that stands for itself alone, so that nothing is lost."""
        rows = [row for row in self.rows if row.kind != "failed"] or self.rows
        alone = [row for row in rows if row.times == 1 and all(place.run is None for place in row.places)]
        for group in list(self.loose.values()):
            self._take((alone or rows)[-1] if rows else INPUT, group, last=True)

    def _rows_read(self, step: Step) -> list[Draft | int]:
        """The rows, each once, that made what the step reads; INPUT stands for the model's input."""
        found: list[Draft | int] = []
        for name in step.nodes:
            for source in self.outline.sources[name]:
                row = self.row_of.get(shown(source, self.stands_for))
                if row is not None and row not in found:
                    found.append(row)
        return found

    # ---------------------------------------------------------------- what makes no row

    def _keep_loose(self, step: Step) -> None:
        """Parameters, constants and what is computed from them alone wait for the row that reads them."""
        group = [name for node in step.nodes for name in self._loose_sources(node)] + list(step.nodes)
        for name in group:
            self.loose[name] = group

    def _loose_sources(self, node: str) -> list[str]:
        return list(dict.fromkeys(name for source in self.outline.sources[node] for name in self.loose.get(source, ())))

    def _take(self, row: Draft | int, group: list[str], last: bool = False) -> None:
        """Give what waits to the row that reads it. Parameters that only a view of the input reads wait for a row to come."""
        if row == INPUT and not last and any(self.outline.node(name).params for name in group):
            return
        for name in group:
            if self.loose.pop(name, None) is not None:
                self.row_of[name] = row
                if isinstance(row, Draft):
                    row.nodes.append(name)

    def _is_hidden(self, node: Node, sources: list[Draft | int]) -> bool:
        """Shape arithmetic, views, dropout, masks, scaling by a constant: in the graph, not in the figure."""
        name = plain_name(node.op)
        if name == "flatten":
            return not flattens(node)
        if is_view(node) or is_passing(node) or not any(tensor.is_floating for tensor in node.outputs):
            return True
        if node.id in self.joins or node.kind == "module":
            return False
        if is_scaling(node):
            return len(self.outline.sources[node.id]) == 1 or (not self._reads_parameters(node) and len(sources) < 2)
        return name == "cat" and len(sources) == 1 and not self._reads_parameters(node)

    def _reads_parameters(self, node: Node) -> bool:
        return any(self.outline.node(name).uses for name in self._loose_sources(node.id))

    def _absorb(self, node: Node, sources: list[Draft | int]) -> None:
        """What is not drawn belongs to the latest row that it reads, so that what reads it in turn stands below."""
        rows = [row for row in sources if isinstance(row, Draft)]
        row = max(rows, key=self.rows.index) if rows else INPUT
        self._put(node, row)
        if isinstance(row, Draft) and row.tail in self.outline.sources[node.id]:
            row.tail = node.id if self._only_user(row.tail, node.id) else row.tail

    def _put(self, node: Node, row: Draft | int) -> None:
        self.row_of[node.id] = row
        if isinstance(row, Draft):
            row.nodes.append(node.id)
        self._take(row, self._loose_sources(node.id))

    def _only_user(self, source: str | None, user: str) -> bool:
        return source is not None and self.outline.users[source] == [user]

    # ---------------------------------------------------------------- what joins the row before

    def _fuse_back(self, step: Step, node: Node, sources: list[Draft | int]) -> bool:
        """Norm, activation and scale continue the row whose only reader they are, if they stand in the same frame."""
        row = sources[0]
        if len(sources) > 1 or not isinstance(row, Draft) or row.places != step.places:
            return False
        if row.tail not in self.outline.sources[node.id] or not self._only_user(row.tail, node.id):
            return False
        if not self._continues(row, node):
            return False
        self._put(node, row)
        row.after.append(node)
        row.tail, row.output = node.id, node.outputs[0]
        return True

    def _continues(self, row: Draft, node: Node) -> bool:
        done = [*row.heads[-1:], *row.after]
        if is_norm(node):
            return row.kind in ("layer", "projection") and not any(
                is_norm(part) or is_activation(part) for part in done
            )
        if is_activation(node):
            return row.kind != "token" and not any(is_activation(part) for part in done)
        return is_scaling(node) and row.kind == "layer" and self._reads_parameters(node)

    # ---------------------------------------------------------------- what is a row

    def _new_row(self, step: Step, node: Node, sources: list[Draft | int]) -> None:
        kind, heads, path = self._kind(node, sources)
        row = Draft(kind, heads, [], step.places, node.id, path, node.outputs[0] if node.outputs else None)
        if heads != [node]:
            row.after.append(node)
        self._append(row, step, sources)
        self._put(node, row)

    def _add_failed(self, step: Step, node: Node) -> None:
        """The operation that raised is a row of its own, whatever it is."""
        row = Draft("failed", [node], [], step.places, None, node.path, None)
        self.rows.append(row)
        self._put(node, row)

    def _kind(self, node: Node, sources: list[Draft | int]) -> tuple[str, list[Node], str]:
        skip = self.joins.get(node.id)
        if skip is not None and skip.kind != "gate":
            return "join", [node], node.path
        parameters = [self.outline.node(name) for name in self._loose_sources(node.id) if self.outline.node(name).uses]
        if parameters and not is_heavy(node) and node.kind != "module":
            return "token", parameters, parameters[0].path
        path = self.outline.owners.layer_of(parameters[0].path) or parameters[0].path if parameters else node.path
        return ("layer" if is_heavy(node) or is_norm(node) or node.uses else "plain"), [node], path

    def _add_block(self, step: Step) -> None:
        sources = self._rows_read(step)
        nodes = [self.outline.node(name) for name in step.nodes]
        inside = set(step.nodes)
        leaving = [node for node in nodes if not inside.issuperset(self.outline.users[node.id])]
        last = leaving[-1] if leaving else nodes[-1]
        scope = None if step.scope is None else self.outline.scopes[step.scope]
        row = Draft(
            kind="layer" if scope is None else "block",
            heads=[nodes[-1]] if scope is None else [],
            nodes=[],
            places=step.places,
            tail=last.id if len(leaving) == 1 else None,
            path=nodes[-1].path if scope is None else scope.path,
            output=last.outputs[0] if last.outputs else None,
            scope=step.scope,
            times=step.times,
            span=step.span,
            repeated=step.repeated,
            calls=step.calls,
        )
        self._append(row, step, sources)
        for node in nodes:
            self._put(node, row)

    def _append(self, row: Draft, step: Step, sources: list[Draft | int]) -> None:
        """Add the row; a norm that only this layer reads becomes a part of it."""
        norm = sources[0] if len(sources) == 1 else None
        if isinstance(norm, Draft) and self._leads_into(norm, row, step):
            del self.rows[_last(self.rows, norm)]
            row.before = [*norm.heads, *norm.after]
            row.nodes = list(norm.nodes)
            self.row_of.update(dict.fromkeys(norm.nodes, row))
        self.rows.append(row)

    def _leads_into(self, norm: Draft, row: Draft, step: Step) -> bool:
        is_layer = row.kind == "block" or (row.kind == "layer" and is_heavy(row.heads[0]))
        if (
            not is_layer
            or row.times > 1
            or norm.kind != "layer"
            or not is_norm(norm.heads[0])
            or norm.places != row.places
        ):
            return False
        return norm.tail is not None and set(self.outline.users[norm.tail]) <= set(step.nodes)
