"""Count the bytes of weights and activations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import ceil, prod

from fxviz._analysis.facts import Memory, Tensor
from fxviz._graph import ArchGraph, Node, TensorInfo
from fxviz._graph.operations import is_passing, plain_name, shares_memory, turns

_FP32 = 4


_COPIES_IF_TURNED = ("reshape", "reshapeas", "flatten", "contiguous", "ravel")
_COPIES_IF_CAST = ("to", "type", "typeas", "float", "half", "bfloat16", "double", "int", "long", "bool", "cpu", "cuda")
_IN_PLACE = ("add", "sub", "mul", "truediv", "floordiv", "pow", "mod", "matmul", "and", "or", "xor", "lshift", "rshift")


def width(dtype: str) -> float:
    """Return the bytes of one element.

    >>> [width(dtype) for dtype in ("float32", "bfloat16", "int64", "bool", "float8_e4m3fn", "complex64", "uint4")]
    [4.0, 2.0, 8.0, 1.0, 1.0, 8.0, 0.5]
    """
    bits = re.search(r"\d+", dtype)
    return int(bits[0]) / 8 if bits else 1.0


def size_of(tensor: TensorInfo) -> int:
    """Return the bytes of a tensor.

    >>> size_of(TensorInfo((2, 3), "float16"))
    12
    """
    return ceil(prod(tensor.shape) * width(tensor.dtype))


def size_fp32(tensor: TensorInfo) -> int:
    """Return the bytes of a tensor with floating-point numbers in four bytes each; others stay as they are.

    >>> size_fp32(TensorInfo((2, 3), "float16")), size_fp32(TensorInfo((2, 3), "int64"))
    (24, 48)
    """
    return prod(tensor.shape) * _FP32 if tensor.is_floating else size_of(tensor)


def memory_of(graph: ArchGraph) -> Memory:
    """Add up the bytes of all weights, and of all activations of the run."""
    weights = [TensorInfo(parameter.shape, parameter.dtype) for parameter in graph.parameters]
    made = list(activations(graph))
    return Memory(
        sum(map(size_of, weights)),
        sum(map(size_fp32, weights)),
        sum(size_of(tensor) for _, tensor in made),
        sum(size_fp32(tensor) for _, tensor in made),
        _largest(made),
        _dtypes(weights),
        _dtypes(tensor for _, tensor in made),
    )


def _largest(made: Iterable[tuple[Node, TensorInfo]]) -> Tensor | None:
    """Return the first of the largest tensors."""
    sizes = [(size_of(tensor), node, tensor) for node, tensor in made]
    most = max((size for size, _, _ in sizes), default=None)
    equal = [(node, tensor) for size, node, tensor in sizes if size == most]
    if most is None or not equal:
        return None
    node, tensor = equal[0]
    return Tensor(node.path, node.op, tensor.shape, most, len(equal))


def _dtypes(tensors: Iterable[TensorInfo]) -> frozenset[str]:
    return frozenset(tensor.dtype for tensor in tensors if tensor.is_floating or "complex" in tensor.dtype)


def activations(graph: ArchGraph) -> Iterator[tuple[Node, TensorInfo]]:
    """Return every tensor that an operation newly allocates, for the batch as traced, with the operation.

    Views allocate nothing (torch documents which operations are views), nor do in-place operations, nor those that
    return their input (dropout in eval mode, a cast to the same dtype). ``reshape``, ``flatten`` and ``contiguous``
    copy if their input is a view that was transposed, expanded or cut. Inputs, parameters and buffers are no
    activations, and tensors that a layer allocates but does not return are not recorded. The sum is what a run holds if
    it frees nothing: training frees little before its backward pass, inference frees tensors after their last use.
    """
    turned: set[str] = set()
    for node in graph.nodes:
        if node.kind not in ("module", "function", "method") or not node.outputs:
            continue
        if not _allocates_nothing(node, graph, turned):
            yield from ((node, tensor) for tensor in node.outputs)
        elif _is_turned(node, graph, turned):
            turned.add(node.id)


def _is_turned(node: Node, graph: ArchGraph, turned: set[str]) -> bool:
    return turns(node) or any(source in turned for source in graph.index.sources[node.id][:1])


def _allocates_nothing(node: Node, graph: ArchGraph, turned: set[str]) -> bool:
    name, index = plain_name(node.op), graph.index
    if name == "getitem":  # an index that is a tensor copies
        return not any(source.outputs for slot, source in index.arguments(node).items() if slot != "0")
    if _is_in_place(node) or shares_memory(node):
        return True
    if name in _COPIES_IF_TURNED:
        return turned.isdisjoint(index.sources[node.id])
    if name in _COPIES_IF_CAST:
        return index.tensor_read(node) == node.outputs[0]
    return is_passing(node) and not (graph.trace.training and name != "identity")


def _is_in_place(node: Node) -> bool:
    """Return whether an operation writes to its input: ``add_``, ``__iadd__``, ``x[0] = y``, ``relu(inplace=True)``.

    >>> [_is_in_place(Node("n", "method", op, "")) for op in ("add_", "__iadd__", "setitem", "__add__", "invert")]
    [True, True, True, False, False]
    """
    op = node.op.rpartition(".")[2]
    marked = op.endswith("_") and not op.endswith("__")
    written = marked or (op.startswith("__i") and op[3:-2] in _IN_PLACE) or "setitem" in op
    return written or node.settings.get("inplace") is True
