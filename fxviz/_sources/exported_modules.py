"""Rebuild the modules of an exported program with their original classes and settings.

``torch.export.unflatten`` restores the hierarchy, but every module is an ``InterpreterModule`` that runs aten
operations. Here each module gets a class with the name of the original one, which the program records; the settings
of a layer are read from its operation; and an operation is called as the model's code would call it, without the name
of its overload.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.export.unflatten import InterpreterModule, UnflattenedModule

from fxviz._graph.operations import plain_name
from fxviz._graph.settings import settings_of_call
from fxviz._sources.torch_private import OpOverload, argument_names, schema_of, structure_of, unflattened

_SEQUENTIAL = "torch.nn.modules.container.Sequential"
_LIST = "torch.nn.modules.container.ModuleList"
"""The class for a module that was never called, but contains modules that were."""


def modules_of(program: Any) -> nn.Module:
    """Rebuild the module that ``program`` was exported from.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2))
    >>> program = torch.export.export(model, (torch.ones(1, 3, 9, 9),), strict=False)
    >>> module = modules_of(program)
    >>> type(module).__name__, type(module[0]).__name__, module[0].kernel_size, module[0].stride
    ('Sequential', 'Conv2d', (5, 5), (2, 2))
    """
    inline_blocks(program.graph_module, program.graph)
    root = torch.export.unflatten(program)
    classes = _classes(program.graph)
    for path, module in root.named_modules():
        if isinstance(module, (InterpreterModule, UnflattenedModule)):
            for name, value in settings(module, _graph(module)).items():
                setattr(module, name, value)
            _drop_overloads(_graph(module))
            module.__class__ = _class_of(module, classes.get(_without_calls(path), _LIST))
    return root


def _classes(graph: fx.Graph) -> dict[str, str]:
    """Return the class of each module that was called, by path."""
    stacks = (node.meta.get("nn_module_stack", {}) for node in graph.nodes)
    return {_without_calls(path): str(cls) for stack in stacks for path, cls in stack.values()}


def _without_calls(path: str) -> str:
    """Remove the numbers of later calls from a path: "block@1.conv" is "block.conv"."""
    return ".".join(part.partition("@")[0] for part in path.split("."))


def _graph(module: Any) -> fx.Graph:
    """Return the graph that the module runs; it is empty for a list, which is never called."""
    graph: fx.Graph = module.graph
    return graph


def _drop_overloads(graph: fx.Graph) -> None:
    """Call ``aten.add`` instead of ``aten.add.Tensor``, as the code of the model did."""
    for node in graph.nodes:
        if isinstance(node.target, OpOverload):
            node.target = node.target.overloadpacket


def _class_of(module: nn.Module, name: str) -> type:
    """Make a class with the name ``name`` for ``module``, which runs as before."""
    place, _, bare = name.rpartition(".")
    names = {"__module__": place, "__qualname__": bare}
    if _is_sequence(module, name):
        return type(bare, (nn.Sequential,), names)
    return type(bare, (type(module), *_torch_class(module, name)), names | _overridden(module))


def _torch_class(module: nn.Module, name: str) -> tuple[type, ...]:
    """Return the original class if it is torch's and has submodules: some (attention) are traced as one operation."""
    place, _, bare = name.rpartition(".")
    original = getattr(sys.modules.get(place), bare, None) if place.startswith("torch.nn.") else None
    if not isinstance(original, type) or not issubclass(original, nn.Module):
        return ()
    return (original,) if any(True for _ in module.children()) else ()


def _overridden(module: nn.Module) -> dict[str, Any]:
    """Return the attributes of the class: the argument names are those of the model, not settings of a layer."""
    if isinstance(module, InterpreterModule):
        return {"arg_names": vars(module).pop("arg_names", [])}
    names = _argument_names(module)
    if names is None:
        return {}

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        return UnflattenedModule.forward(self, *args, **kwargs)  # type: ignore[no-untyped-call]

    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", *names)]
    setattr(forward, "__signature__", inspect.Signature(parameters))  # noqa: B010
    return {"forward": forward}


def _argument_names(module: Any) -> list[str] | None:
    """Return the names of the program's arguments if each is a tensor or number, else None."""
    signature = module.module_call_graph[0].signature
    names = [str(node.target) for node in module.graph.nodes if node.op == "placeholder"]
    args, kwargs = unflattened(names, signature.in_spec)
    flat = [*args, *kwargs.values()]
    return [str(name) for name in flat] if all(isinstance(value, str) for value in flat) else None


def _is_sequence(module: nn.Module, name: str) -> bool:
    """Return whether it calls its children one after the other, as ``nn.Sequential`` does."""
    parts = [part for part, _ in module.named_children()]
    if not parts or not (name == _SEQUENTIAL or all(part.isdigit() for part in parts)):
        return False
    if isinstance(module, UnflattenedModule) and not _is_unary(module):
        return False
    nodes = list(_graph(module).nodes)
    if not nodes:
        return False
    first, *calls, last = nodes
    before = [first, *calls]
    chained = all(
        node.op == "call_module" and node.args == (source,) for node, source in zip(calls, before, strict=False)
    )
    returned = last.args[0] if last.op == "output" else None
    return chained and [node.target for node in calls] == parts and returned in (before[-1], (before[-1],))


def _is_unary(module: Any) -> bool:
    """Return whether the program takes one argument and returns one value."""
    signature = module.module_call_graph[0].signature
    return bool(signature.in_spec == structure_of(((0,), {})) and signature.out_spec == structure_of(0))


def inline_blocks(module: nn.Module, graph: fx.Graph) -> None:
    """Inline the blocks of ``torch.no_grad`` and disabled autocast into ``graph``, which ``module`` runs.

    >>> import torch
    >>> class Net(torch.nn.Module):
    ...     def forward(self, x):
    ...         with torch.no_grad():
    ...             y = x.cos() * 2
    ...         return x + y
    >>> program = torch.export.export(Net(), (torch.ones(2),))
    >>> inline_blocks(program.graph_module, program.graph)
    >>> [node.op for node in program.graph.nodes], len(list(program.graph_module.children()))
    (['placeholder', 'call_function', 'call_function', 'call_function', 'output'], 0)
    """
    for node in list(graph.nodes):
        if not _is_block(node):
            continue
        reader, inputs = _parts(node)
        body: Any = getattr(module, str(reader.target))
        inline_blocks(body, body.graph)
        if any(inner.op == "get_attr" for inner in body.graph.nodes):
            continue
        _replace(graph, node, body.graph, inputs)
        graph.erase_node(reader)
        delattr(module, str(reader.target))


def _is_block(node: fx.Node) -> bool:
    name = getattr(node.target, "__name__", "")
    return name == "wrap_with_set_grad_enabled" or (name == "wrap_with_autocast" and node.args[2] is False)


def _parts(node: fx.Node) -> tuple[fx.Node, tuple[Any, ...]]:
    """Return the node that reads the block, and the arguments of the block."""
    place = next(place for place, value in enumerate(node.args) if isinstance(value, fx.Node))
    reader = node.args[place]
    assert isinstance(reader, fx.Node)
    return reader, node.args[place + 1 :]


def _replace(graph: fx.Graph, node: fx.Node, body: fx.Graph, inputs: tuple[Any, ...]) -> None:
    """Replace ``node`` by the nodes of ``body``; if there are several results, each is read by a node of its own."""
    placeholders = [inner for inner in body.nodes if inner.op == "placeholder"]
    with graph.inserting_before(node):
        results: Any = graph.graph_copy(body, dict(zip(placeholders, inputs, strict=True)))
    if isinstance(results, fx.Node):
        node.replace_all_uses_with(results)
    for user in list(node.users):
        user.replace_all_uses_with(results[user.args[1]])
        graph.erase_node(user)
    graph.erase_node(node)


def settings(layer: nn.Module, graph: fx.Graph) -> dict[str, Any]:
    """Return the arguments of ``layer``'s operation and the sizes of its weight, by the names that torch's layers use.

    Args:
        layer: the module with the parameters.
        graph: the graph that it runs; a module with submodules has no settings.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 2), nn.MaxPool1d(2))
    >>> program = torch.export.export(model, (torch.ones(1, 1, 4),), strict=False)
    >>> linear, pool = torch.export.unflatten(program).children()
    >>> settings(linear, linear.graph), settings(pool, pool.graph)["kernel_size"]
    ({'in_features': 4, 'out_features': 2}, (2,))
    """
    node = _operation(graph)
    if node is None or any(name != "parametrizations" for name, _ in layer.named_children()):
        return {}
    schema = schema_of(node.target)
    if schema is None:
        return {}
    given = dict(zip([argument.name for argument in schema.arguments], node.args, strict=False)) | node.kwargs
    defaults = {argument.name: argument.default_value for argument in schema.arguments if argument.has_default_value()}
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in (defaults | given).items()}
    if isinstance(given.get("weight"), fx.Node):
        name = plain_name(schema.name.rpartition("::")[2])
        found |= settings_of_call(name, found, "weight", _shape(layer, given["weight"]))
    return {name: value for name, value in found.items() if _is_plain(value) and not hasattr(layer, name)}


def _operation(graph: fx.Graph) -> fx.Node | None:
    """Return the operation of a layer: the one with a weight, else the only one."""
    calls = [node for node in graph.nodes if isinstance(node.target, OpOverload)]
    weighted = [node for node in calls if "weight" in argument_names(node.target)]
    return next(iter(weighted), calls[0] if len(calls) == 1 else None)


def _shape(layer: nn.Module, weight: fx.Node) -> Sequence[int]:
    """Return the shape of a parameter, or of a weight that a parametrization computes from several."""
    sizes: Sequence[int] = (
        layer.get_parameter(str(weight.target)) if weight.op == "get_attr" else weight.meta["val"]
    ).shape
    return sizes


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str)) or (
        isinstance(value, tuple) and value != () and all(map(_is_plain, value))
    )
