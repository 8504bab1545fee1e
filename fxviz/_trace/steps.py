"""Decide what a recorded step depends on, and whether a module without children acts as one step.

What a module does counts, not what it is called: a module that adds two tensors joins them, whatever its class, and one
that reads only the length of its input makes a constant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from torch import fx, nn

from fxviz._graph import Node
from fxviz._graph.operations import (
    RUNS,
    is_activation,
    is_norm,
    makes_constant,
    plain_name,
    resamples,
    role_of,
    takes_shape_of,
    tells,
)
from fxviz._graph.settings import settings_of_call, weight_slots
from fxviz._sources.torch_private import RUN_GRAPHS, class_name
from fxviz._trace.calls import plain_arguments
from fxviz._trace.packed import weights_computed

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_JOINS = frozenset("add sub cat stack lerp addcmul addcdiv".split())
_VALUES_FROM = {"full": 1, "fulllike": 1, "newfull": 2, "newtensor": 1, "linspace": 0, "arange": 0}
"""The places at which the values begin, among the arguments of functions that make a new tensor of them."""


def read_for_values(node: fx.Node, op: str) -> frozenset[fx.Node]:
    """Return the nodes among the arguments whose values the result depends on, not only their shapes."""
    sources = frozenset(node.all_input_nodes)
    if node.op not in ("call_function", "call_method"):
        return sources
    if makes_constant(op):
        return sources.intersection(_values(node, plain_name(op)))
    return sources & {node.args[0]} if takes_shape_of(op) and node.args else sources


def _values(node: fx.Node, name: str) -> Iterator[fx.Node]:
    """Yield the nodes from whose values a new tensor is made, not its size and dtype."""
    if name in _VALUES_FROM:
        named = [value for key, value in node.kwargs.items() if key not in ("input", "size")]
        yield from (value for value in (*node.args[_VALUES_FROM[name] :], *named) if isinstance(value, fx.Node))


def acts_as_one_step(
    inside: Sequence[fx.Node], given: Collection[fx.Node | None], results: Collection[fx.Node], scope: int
) -> bool:
    """Return whether all that a module without children does is one step on one activation.

    It reads at most one activation, which it was given, all of which passes each layer in it, and at most one of these
    layers has weights. What two layers, or a path past one, do is recorded as steps of their own: it may be a skip
    connection. So is what it does to a part of its input, while it returns another part as it was.

    Args:
        inside: the nodes recorded in its call.
        given: the nodes among its arguments.
        results: the nodes that its results came from, in or outside of the call.
        scope: the id of its call.
    """
    varying = [node for node in inside if node.meta["varies"]]
    if any(node.op == "call_module" or node.meta["scope"] != scope for node in varying):
        return False
    read = {source for node in varying for source in node.meta["reads"] if source.meta["varies"]}
    outside = read.difference(varying)
    if len(outside) > 1 or not outside.issubset(given):
        return False
    layers = [node for node in varying if node.meta["macs"] != 0]
    if not layers and any(map(_joins, varying)) and any(_resizes_or_norms(node) for node in varying):
        return False
    weighted = [node for node in layers if any(not source.meta["varies"] for source in node.meta["reads"])]
    return len(weighted) < 2 and _pass_all(layers, varying, results)


def _joins(node: fx.Node) -> bool:
    varying = [source for source in node.meta["reads"] if source.meta["varies"]]
    return len(varying) > 1 and plain_name(node.meta["op"]) in _JOINS


def _resizes_or_norms(node: fx.Node) -> bool:
    return is_norm(_as_step(node)) or resamples(_as_step(node))


def _as_step(node: fx.Node) -> Node:
    return Node(node.name, "function", node.meta["op"], "")


def _pass_all(layers: Collection[fx.Node], varying: Sequence[fx.Node], results: Collection[fx.Node]) -> bool:
    """Return whether all results are made here, and depend on the module's input through every layer alone."""
    fewest: dict[fx.Node, int] = {}  # layers on a way from the input
    passed = set(layers)
    for node in varying:
        sources = (source for source in node.meta["reads"] if source.meta["varies"])
        fewest[node] = min((fewest.get(source, 0) for source in sources), default=0) + (node in passed)
    return all(fewest.get(node) == len(passed) for node in results if node.meta["varies"])


def merged_facts(inside: Sequence[fx.Node], results: Collection[fx.Node]) -> dict[str, Any]:
    """Return the facts of the one node that takes the place of several."""
    macs = [node.meta["macs"] for node in inside]
    sources = {source for node in inside for source in node.meta["reads"]}
    outside = sources.union(results).difference(inside)
    steps = (node.meta["op"] for node in inside if node.meta["varies"])
    return {
        "steps": tuple(dict.fromkeys(steps)),
        "uses": tuple(dict.fromkeys(name for node in inside for name in node.meta["uses"])),
        "macs": None if None in macs else sum(macs),
        "known_macs": sum(node.meta["macs"] or node.meta.get("known_macs", 0) for node in inside),
        "reads": frozenset(outside),
        "runs": _what_runs(inside),
        "packed": weights_computed(inside),
    }


def inherited_facts(module: nn.Module) -> dict[str, Any]:
    """Return what tells of a subclass of one of torch's layers which one it is, unless the name of its class does.

    >>> class Skip(nn.Identity):
    ...     pass
    >>> inherited_facts(Skip()), inherited_facts(nn.Identity())
    ({'steps': ('Identity',), 'runs': {'runs_function': 'Identity'}}, {})
    """
    layer = next(cls.__name__ for cls in type(module).__mro__ if cls.__module__.startswith("torch.nn."))
    is_known = layer == nn.Module.__name__ or tells(class_name(module), layer)
    return {} if is_known else {"steps": (layer,), "runs": {RUNS: layer}}


def _what_runs(inside: Sequence[fx.Node]) -> dict[str, Any]:
    """Return the settings of the one layer, norm or activation among these nodes, and the function that computes it."""
    varying = [node for node in inside if node.meta["varies"]]
    layers = [node for node in varying if node.meta["macs"] != 0]
    found = layers or [node for node in varying if is_norm(_as_step(node))] or _only_activation(varying)
    if len(found) != 1:
        return {}
    op = found[0].meta["op"]
    settings = {name: value for name, value in _layer_settings(found[0]).items() if not name.isdigit()}
    return {**settings, RUNS: op} if settings or not layers else {}


def _only_activation(varying: Sequence[fx.Node]) -> list[fx.Node]:
    """Return the activations among these nodes, if the others move or scale data."""
    found = [node for node in varying if is_activation(_as_step(node))]
    others = [node for node in varying if node not in found]
    return found if all(role_of(_as_step(node), _reads(node)) in ("view", "scale") for node in others) else []


def _reads(node: fx.Node) -> int:
    """Return how many arguments of a node vary."""
    return sum(source.meta["varies"] for source in node.all_input_nodes)


def _layer_settings(node: fx.Node) -> dict[str, Any]:
    name, arguments = plain_name(node.meta["op"]), dict([*enumerate(node.args), *node.kwargs.items()])
    for slot in weight_slots(name):
        weight = arguments.get(int(slot) if slot.isdigit() else slot)
        if isinstance(weight, fx.Node) and not weight.meta["varies"] and weight.meta["outputs"]:
            return settings_of_call(name, plain_arguments(node), slot, weight.meta["outputs"][0].shape)
    return {}


def is_childless(module: nn.Module) -> bool:
    return not isinstance(module, _CONTAINERS) and all(
        name == "parametrizations" for name, _ in module.named_children()
    )


def has_forward_of_torch(module: nn.Module) -> bool:
    """Return whether torch wrote the module's code, also by inheritance; torchvision's operators are torch's own.

    A module that runs a graph was written as what it is called: torch only wrote what runs the graph.
    """
    cls = type(module)
    writer = next((each for each in cls.__mro__ if "forward" in vars(each)), nn.Module)
    written = cls if writer.__module__ in RUN_GRAPHS else writer
    return written.__module__ not in RUN_GRAPHS and f"{written.__module__}.".startswith(("torch.", "torchvision.ops."))


def is_sequence(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
