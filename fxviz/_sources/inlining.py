"""Blocks of an exported program that ``torch.no_grad()`` and ``torch.autocast(enabled=False)`` made: part of the code around.

torch keeps such a block as a graph module that a higher-order operation calls. Where there are no gradients, and there is no
dtype to cast to, the block is what stands in it.
"""

from __future__ import annotations

from typing import Any

from torch import fx, nn


def inline_blocks(module: nn.Module, graph: fx.Graph) -> None:
    """Write what stands in such blocks into ``graph``, which ``module`` runs; the blocks go.

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
    """The node that reads the block, and what the block is called with."""
    place = next(place for place, value in enumerate(node.args) if isinstance(value, fx.Node))
    reader = node.args[place]
    assert isinstance(reader, fx.Node)
    return reader, node.args[place + 1 :]


def _replace(graph: fx.Graph, node: fx.Node, body: fx.Graph, inputs: tuple[Any, ...]) -> None:
    """Put the nodes of ``body`` in the place of ``node``, whose results are read one by one unless there is but one."""
    placeholders = [inner for inner in body.nodes if inner.op == "placeholder"]
    with graph.inserting_before(node):
        results: Any = graph.graph_copy(body, dict(zip(placeholders, inputs, strict=True)))
    if isinstance(results, fx.Node):
        node.replace_all_uses_with(results)
    for user in list(node.users):
        user.replace_all_uses_with(results[user.args[1]])
        graph.erase_node(user)
    graph.erase_node(node)
