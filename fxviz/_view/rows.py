"""Turn steps into rows: norm, activation and scale join their layer, and what no author would draw is absorbed.

Every node ends in exactly one row, or with the input or output, so that parameters add up and no edge is lost.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from math import prod

from fxviz._analysis.difference import Removed
from fxviz._graph import Node, Skip, SkipKind
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
from fxviz._view.plan import Frame, Plan, Step
from fxviz._view.view import INPUT, OUTPUT, Row, RowKind


@dataclass(eq=False)
class Draft:
    """A row in the making.

    Attributes:
        shown: the row as decided so far; its id, scope, skips and sums are set when the view is assembled.
        nodes: the nodes that belong to it.
        frames: the frames around it, from the outside in.
        tail: the node whose result leaves the row; None once it is used inside and outside.
        scope: the module call, if the row is a whole module.
        repeated: the nodes of its repetitions that are not drawn.
        calls: the module calls that it stands for.
        id: its place among the rows.
        skips: skips inside it by kind.
        total: the metric of all its nodes.
        counts: how many nodes add to ``total``.
        removed: what another model had inside it, or as this row.
        was: the total in the other model.
        leads: it was removed, and belongs to the row below it.
    """

    shown: Row
    nodes: list[str]
    frames: tuple[Frame, ...]
    tail: str | None
    scope: int | None = None
    repeated: tuple[str, ...] = ()
    calls: tuple[int, ...] = ()
    id: int = 0
    skips: Counter[SkipKind] = field(default_factory=Counter)
    total: float = 0
    counts: int = 0
    removed: list[Removed] = field(default_factory=list)
    was: float = 0
    leads: bool = False

    @property
    def kind(self) -> RowKind:
        """Return the kind of the row."""
        return self.shown.kind

    @property
    def is_code(self) -> bool:
        """Return whether it is a mere function of the model's code: no layer, no skip."""
        return self.kind == "code" or (self.kind == "plain" and all(head.kind != "module" for head in self.shown.heads))

    @property
    def hides(self) -> bool:
        """Return whether it stands for whole modules or several layers, with the skips inside."""
        return self.kind in ("block", "blocks", "layers")

    @property
    def first_path(self) -> str:
        """Return the path of the row, or of the first thing that it stands for."""
        return self.shown.span[0] if self.shown.span else self.shown.path

    @property
    def last_path(self) -> str:
        """Return the path of the row, or of the last thing that it stands for."""
        return self.shown.span[1] if self.shown.span else self.shown.path


@dataclass
class Drafts:
    """The rows in order, and for each node that is drawn the row it belongs to (or ``INPUT``, ``OUTPUT``).

    ``lent`` are the constants that are counted in the row that reads them first. Other rows that read them read nothing
    of that row. ``enters`` names for what stands between calls and is not drawn the node that reads in its place.
    """

    rows: list[Draft]
    row_of: dict[str, Draft | int]
    stands_for: dict[str, str]
    lent: set[str]
    enters: dict[str, str]

    def row(self, node: str) -> Draft | int:
        """Return the row that shows a node, or its counterpart if the node is in a repetition that is not drawn."""
        return self.row_of[drawn_node(node, self.stands_for)]

    def reader(self, node: str) -> Draft | int:
        """Return the row that shows what a node reads."""
        return self.row(self.entrance(node) or node)

    def entrance(self, node: str) -> str | None:
        """Return the node that reads in place of one that stands between calls; None for any other."""
        while node in self.stands_for:
            if node in self.enters:
                return self.enters[node]
            node = self.stands_for[node]
        return None

    def is_lent(self, node: str) -> bool:
        """Return whether a node is a constant in a row that merely reads it."""
        return drawn_node(node, self.stands_for) in self.lent

    def absorb(self, row: Draft, other: Draft) -> None:
        """Make ``other``, which follows ``row``, a part of it."""
        row.nodes += other.nodes
        row.tail = other.tail
        self.row_of.update(dict.fromkeys(other.nodes, row))
        self.rows.remove(other)

    def number(self) -> None:
        """Set each row's id to its place."""
        for place, row in enumerate(self.rows):
            row.id = place


def repetitions(row: Draft) -> int:
    """Return how often a row stands for what it shows: its own repetitions, in those of the frames around it."""
    return row.shown.times * prod(frame.run.times for frame in row.frames if frame.run)


def drawn_node(node: str, stands_for: dict[str, str]) -> str:
    """Return the node that is drawn for ``node``: itself, or its counterpart in the repetition that is drawn."""
    while node in stands_for:
        node = stands_for[node]
    return node


def draft_rows(outline: Outline, plan: Plan) -> Drafts:
    """Return the rows of a plan."""
    fuser = _Fuser(outline, plan)
    for step in plan.steps:
        fuser.add(step)
    fuser.attach_rest()
    drafts = Drafts(fuser.rows, fuser.row_of, plan.stands_for, fuser.lent, plan.enters)
    drafts.number()
    return drafts


class _Fuser:
    """Takes the steps one by one and decides for each: a new row, a part of one, or nothing to draw."""

    def __init__(self, outline: Outline, plan: Plan) -> None:
        self.outline = outline
        self.stands_for = plan.stands_for
        self.carrying = plan.carrying
        self.rows: list[Draft] = []
        self.row_of: dict[str, Draft | int] = {}
        self.pending: dict[str, list[str]] = {}
        self.lent: set[str] = set()
        self.joins: dict[str, Skip] = {skip.join: skip for skip in outline.graph.skips}

    # ---------------------------------------------------------------- one step

    def add(self, step: Step) -> None:
        if step.scope is not None or step.times > 1:
            self._add_parameters(step)
            self._add_block(step)
            return
        node = self.outline.node(step.nodes[0])
        if node.kind == "module" and not is_passing(node):
            self._add_parameters(step)
        sources = self._rows_read(step)
        if node.kind == "input":
            self.row_of[node.id] = INPUT
        elif node.kind == "output":
            self.row_of[node.id] = OUTPUT
        elif node.id == self.outline.failed:
            self._add_failed(step, node)
        elif not sources and not self._stands_alone(node):
            self._keep_pending(step)
        elif sources and self._is_hidden(node, sources) and not (sources == [INPUT] and is_marked(self.outline, node)):
            self._absorb(node, sources)
        elif not self._fuse_back(step, node, sources):
            self._new_row(step, node, sources)

    def attach_rest(self) -> None:
        """Attach what no row reads to the last row that stands for itself alone, so that nothing is lost.

        Parameters of which only the output is made are rows.
        """
        for group in list(self.pending.values()):
            self._add_parameter_row(group, ())
        rows = [row for row in self.rows if row.kind != "failed"] or self.rows
        alone = [row for row in rows if row.shown.times == 1 and all(frame.run is None for frame in row.frames)]
        for group in list(self.pending.values()):
            self._attach_pending((alone or rows)[-1] if rows else INPUT, group, last=True)

    def _rows_read(self, step: Step) -> list[Draft | int]:
        """Return the rows, each once, whose results the step reads; INPUT stands for the model's input."""
        found: list[Draft | int] = []
        for name in step.nodes:
            for source in self.outline.sources[name]:
                drawn = drawn_node(source, self.stands_for)
                row = None if drawn in self.lent else self.row_of.get(drawn)
                if row is not None and row not in found:
                    found.append(row)
        return found

    def _stands_alone(self, node: Node) -> bool:
        """Return whether a node is drawn although it reads no row: it computes, or goes on from a repetition before."""
        return bool(node.kind == "module" and node.macs) or (node.id in self.carrying and self._reads_parameters(node))

    # ---------------------------------------------------------------- parameters that no layer owns

    def _add_parameters(self, step: Step) -> None:
        """Add a row for the parameters of others that a module reads, so that they do not count in the module's row."""
        path = self.outline.node(step.nodes[0]).path if step.scope is None else self.outline.scopes[step.scope].path
        groups = (self.pending[name] for node in step.nodes for name in self._pending_sources(node))
        for group in list(groups):
            read = [name for node in map(self.outline.node, group) for name in node.uses]
            if not all(name.startswith(f"{path}.") for name in read):
                self._add_parameter_row(group, step.frames)

    def _add_parameter_row(self, group: list[str], frames: tuple[Frame, ...]) -> None:
        nodes = [self.outline.node(name) for name in group if name in self.pending]
        heads = tuple(node for node in nodes if node.params)
        if heads:
            kind: RowKind = "token" if heads[0].kind == "parameter" else "layer"
            shown = Row(0, kind, heads, heads[0].path, nodes[-1].outputs[0] if nodes[-1].outputs else None)
            place = self.rows[-1].id + 1 if self.rows else 0
            row = Draft(shown, [node.id for node in nodes], frames, nodes[-1].id, id=place)
            self.rows.insert(len(self.rows) - (self.rows[-1:] != [] and self.rows[-1].kind == "failed"), row)
            for node in nodes:
                self.row_of[node.id] = row
                del self.pending[node.id]

    # ---------------------------------------------------------------- what makes no row

    def _keep_pending(self, step: Step) -> None:
        """Keep parameters, constants and what is computed from them alone for the row that reads them."""
        group = [name for node in step.nodes for name in self._pending_sources(node)] + list(step.nodes)
        for name in group:
            self.pending[name] = group

    def _pending_sources(self, node: str) -> list[str]:
        sources = self.outline.sources[node]
        return list(dict.fromkeys(name for source in sources for name in self.pending.get(source, ())))

    def _attach_pending(self, row: Draft | int, group: list[str], last: bool = False) -> None:
        """Attach pending nodes to the row that reads them; parameters read by a view of the input stay pending."""
        if row == INPUT and not last and any(self.outline.node(name).params for name in group):
            return
        for name in group:
            if self.pending.pop(name, None) is not None:
                self.row_of[name] = row
                self.lent.add(name)
                if isinstance(row, Draft):
                    row.nodes.append(name)

    def _is_hidden(self, node: Node, sources: list[Draft | int]) -> bool:
        """Return whether a node is not drawn: shape arithmetic, views, dropout, masks, scaling, what nothing reads."""
        if node.id in self.outline.graph.index.unread:
            return True
        if flattens(node) or (sources != [INPUT] and self._looks_up(node)):
            return False
        if is_view(node) or is_passing(node) or not any(tensor.is_floating for tensor in node.outputs):
            return True
        if node.id in self.joins or node.kind == "module":
            return False
        if plain_name(node.op) == "add" and len(self.outline.sources[node.id]) == 1:
            return node.id not in self.carrying
        if is_scaling(node):
            is_alone = len(sources) < 2 and not self._joins_repetitions(node)
            return len(self.outline.sources[node.id]) == 1 or (is_alone and not self._reads_parameters(node))
        if plain_name(node.op) != "cat" or self._joins_repetitions(node) or node.id in self.carrying:
            return False
        return len(sources) == 1 and not self._reads_parameters(node)

    def _looks_up(self, node: Node) -> bool:
        """Return whether a node reads a parameter at places that were computed, as the biases of the experts chosen."""
        table = next((edge.source for edge in self.outline.graph.index.edges_to[node.id] if edge.slot == "0"), None)
        return is_view(node) and any(self.outline.node(name).params for name in self.pending.get(table or "", ()))

    def _joins_repetitions(self, node: Node) -> bool:
        """Return whether a node reads several repetitions, of which one is drawn."""
        read = {origin for source in self.outline.sources[node.id] for origin in self.outline.origins[source]}
        return len(read) > 1 and not self.stands_for.keys().isdisjoint(read)

    def _reads_parameters(self, node: Node) -> bool:
        return any(self.outline.node(name).uses for name in self._pending_sources(node.id))

    def _counts_parameters(self, node: Node) -> bool:
        return any(self.outline.node(name).params for name in self._pending_sources(node.id))

    def _absorb(self, node: Node, sources: list[Draft | int]) -> None:
        """Add a node that is not drawn to the latest row that it reads, so that its readers stand below that row."""
        rows = [row for row in sources if isinstance(row, Draft)]
        row = max(rows, key=lambda row: row.id) if rows else INPUT
        self._put(node, row)
        if isinstance(row, Draft) and row.tail in self.outline.sources[node.id]:
            row.tail = node.id if self._only_user(row.tail, node.id) else row.tail

    def _put(self, node: Node, row: Draft | int) -> None:
        self.row_of[node.id] = row
        if isinstance(row, Draft):
            row.nodes.append(node.id)
        self._attach_pending(row, self._pending_sources(node.id))

    def _only_user(self, source: str | None, user: str) -> bool:
        """Return whether nothing else reads ``source``; a part of it that is taken out and not used reads nothing."""
        return source is not None and all(
            other == user or self._is_unused(other) for other in self.outline.users[source]
        )

    def _is_unused(self, name: str) -> bool:
        return not self.outline.users[name] and is_view(self.outline.node(name))

    # ---------------------------------------------------------------- what joins the row before

    def _fuse_back(self, step: Step, node: Node, sources: list[Draft | int]) -> bool:
        """Add a norm, activation or scale to the row whose only reader it is, if it stands in the same frame."""
        row = sources[0] if len(sources) == 1 else None
        if not isinstance(row, Draft) or row.frames != step.frames:
            return False
        if row.tail not in self.outline.sources[node.id] or not self._only_user(row.tail, node.id):
            return False
        if not self._continues(row, node):
            return False
        self._put(node, row)
        row.shown = replace(row.shown, after=(*row.shown.after, node), output=node.outputs[0])
        row.tail = node.id
        return True

    def _continues(self, row: Draft, node: Node) -> bool:
        done = [*row.shown.heads[-1:], *row.shown.after]
        if is_norm(node):
            return row.kind in ("layer", "projection") and not any(
                is_norm(part) or is_activation(part) for part in done
            )
        if is_activation(node):
            return row.kind != "token" and not any(is_activation(part) for part in done)
        return (
            is_scaling(node)
            and row.kind == "layer"
            and self._reads_parameters(node)
            and not self._counts_parameters(node)
        )

    # ---------------------------------------------------------------- what is a row

    def _new_row(self, step: Step, node: Node, sources: list[Draft | int]) -> None:
        kind, heads, path = self._kind(node)
        after = () if heads == (node,) else (node,)
        shown = Row(0, kind, heads, path, node.outputs[0] if node.outputs else None, after=after)
        row = Draft(shown, [], step.frames, node.id)
        self._append(row, step, sources)
        self._put(node, row)

    def _add_failed(self, step: Step, node: Node) -> None:
        """Add a row for the operation that raised, whatever it is."""
        row = Draft(Row(0, "failed", (node,), node.path, None), [], step.frames, None)
        self.rows.append(row)
        self._put(node, row)

    def _kind(self, node: Node) -> tuple[RowKind, tuple[Node, ...], str]:
        """Return the kind of a node's row, the nodes that it is named after, and its path."""
        skip = self.joins.get(node.id)
        if skip is not None and skip.kind != "gate":
            return "join", (node,), node.path
        pending = map(self.outline.node, self._pending_sources(node.id))
        parameters = [source for source in pending if source.uses]
        is_layer = node.kind == "module" or is_heavy(node) or is_norm(node) or is_activation(node)
        if parameters and not is_layer:
            return "token", tuple(parameters), parameters[0].path
        path = self.outline.graph.index.layer_of(parameters[0].path) or parameters[0].path if parameters else node.path
        has_weights = node.uses or (parameters and is_activation(node))
        return "layer" if is_heavy(node) or is_norm(node) or has_weights else "plain", (node,), path

    def _add_block(self, step: Step) -> None:
        sources = self._rows_read(step)
        nodes = [self.outline.node(name) for name in step.nodes]
        inside = set(step.nodes)
        leaving = [node for node in nodes if not inside.issuperset(self.outline.users[node.id])]
        last = leaving[-1] if leaving else nodes[-1]
        scope = None if step.scope is None else self.outline.scopes[step.scope]
        shown = Row(
            id=0,
            kind="block" if scope is not None else "layer" if is_heavy(last) or is_norm(last) or last.uses else "plain",
            heads=(nodes[-1],) if scope is None else (),
            path=nodes[-1].path if scope is None else scope.path,
            output=last.outputs[0] if last.outputs else None,
            word="" if step.scope is None else self.outline.word(step.scope),
            times=step.times,
            span=step.span,
            repeats=step.repeats,
        )
        tail = last.id if len(leaving) == 1 else None
        row = Draft(shown, [], step.frames, tail, step.scope, step.repeated, step.calls)
        self._append(row, step, sources)
        for node in nodes:
            self._put(node, row)

    def _append(self, row: Draft, step: Step, sources: list[Draft | int]) -> None:
        """Add the row, and make a norm that only this layer reads a part of it."""
        norm = sources[0] if len(sources) == 1 else None
        if isinstance(norm, Draft) and self._leads_into(norm, row, step):
            del self.rows[next(place for place in range(len(self.rows) - 1, -1, -1) if self.rows[place] is norm)]
            row.shown = replace(row.shown, before=(*norm.shown.heads, *norm.shown.after))
            row.nodes = list(norm.nodes)
            self.row_of.update(dict.fromkeys(norm.nodes, row))
        row.id = self.rows[-1].id + 1 if self.rows else 0
        self.rows.append(row)

    def _leads_into(self, norm: Draft, row: Draft, step: Step) -> bool:
        is_layer = row.kind == "block" or (row.kind == "layer" and is_heavy(row.shown.heads[0]))
        if (
            not is_layer
            or row.shown.times > 1
            or norm.kind != "layer"
            or not is_norm(norm.shown.heads[0])
            or norm.frames != row.frames
        ):
            return False
        inside = set(step.nodes)
        return norm.tail is not None and all(user in inside for user in self.outline.users[norm.tail])
